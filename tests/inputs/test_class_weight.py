"""Weights, priors and losses agree with scikit-learn and the papers, and warn where they idle."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.inputs.helpers_inputs import SPEC, write_artifact

COUNTS = (60, 20, 7, 1)
LABELS = np.repeat(np.arange(4), COUNTS)
ODD = {0: 1, 1: 2, 2: 3, 3: 4}


@pytest.fixture
def made():
  return BalancedInputs.from_arrays(np.arange(88), LABELS)


def test_balanced_weights_are_scikit_learns(made):
  wanted = compute_class_weight('balanced', classes=np.arange(4), y=LABELS)
  assert list(made.class_weight().values()) == pytest.approx(wanted.tolist())


def test_effective_weights_are_in_the_proportion_of_the_paper_and_1_on_average(made):
  raw = np.array([(1 - 0.99) / (1 - 0.99**n) for n in COUNTS])
  wanted = raw / np.average(raw, weights=COUNTS)
  assert list(made.class_weight('effective', beta=0.99).values()) == pytest.approx(wanted.tolist())


def test_weights_keep_a_classs_emphasis_whatever_is_sampled(made):
  natural = np.array(COUNTS) / 88 * list(made.class_weight('effective').values())
  sampled = np.array([1, 2, 3, 4]) / 10
  under = list(made.class_weight('effective', strategy='weighted', ratios=ODD).values())
  assert (sampled * under).tolist() == pytest.approx(natural.tolist())


@pytest.mark.parametrize('scheme', ['balanced', 'effective'])
def test_weights_are_1_on_average_over_the_samples(made, scheme):
  natural = list(made.class_weight(scheme).values())
  assert np.average(natural, weights=COUNTS) == pytest.approx(1)
  sampled = list(made.class_weight(scheme, strategy='weighted', ratios=ODD).values())
  assert np.average(sampled, weights=[1, 2, 3, 4]) == pytest.approx(1)


def test_what_does_nothing_warns(made):
  for call in (
    lambda: made.class_weight(strategy='exact'),
    lambda: made.train(8, sample_weight=True),
    lambda: made.logit_adjusted_loss(strategy='exact'),
    lambda: made.prior_correction(strategy='natural'),
  ):
    with pytest.warns(UserWarning, match='does nothing: under strategy='):
      call()


def test_the_prior_correction_makes_a_balanced_model_natural(made):
  correction = made.prior_correction()
  balanced = np.log([0.4, 0.3, 0.2, 0.1])  # what a model of balanced batches says
  posterior = np.exp(balanced + correction)
  wanted = np.array([0.4, 0.3, 0.2, 0.1]) * COUNTS
  assert (posterior / posterior.sum()).tolist() == pytest.approx((wanted / wanted.sum()).tolist())


def test_losses_are_what_they_say(made):
  logits = np.random.default_rng(0).normal(size=(4, 4)).astype('float32')
  log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
  plain = -log_softmax[np.arange(4), np.arange(4)]
  weighted = made.weighted_loss()(np.arange(4)[:, None], logits).numpy()
  assert weighted.tolist() == pytest.approx(
    (plain * list(made.class_weight().values())).tolist(), rel=1e-5
  )
  adjusted = logits + made.log_prior()
  wanted = np.log(np.exp(adjusted).sum(1)) - adjusted[np.arange(4), np.arange(4)]
  found = made.logit_adjusted_loss()(np.arange(4), logits).numpy()
  assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)


def test_rows_of_labels_are_refused(made):
  for loss in (made.weighted_loss(), made.logit_adjusted_loss()):
    with pytest.raises(ConfigError, match=r"shape \(4, 4\) must be class.*label_as='index'"):
      loss(np.eye(4), np.zeros((4, 4), 'float32'))


def test_merged_splits_must_be_named(tmp_path):
  natural = {'train': (10, 2), 'augmented': (0, 8)}
  write_artifact(tmp_path / 'a', (10, 10), natural=natural)
  made = BalancedInputs.load(str(tmp_path / 'a'), SPEC)
  assert made.log_prior(split='train').tolist() == pytest.approx(np.log([10 / 12, 2 / 12]).tolist())
  with pytest.raises(ConfigError, match=r"splits \['train', 'augmented'\] were merged"):
    made.log_prior()
  with pytest.raises(ConfigError, match="split 'tset' is not in"):
    made.log_prior(split='tset')
  with pytest.raises(DataError, match="class 0 has 0 records in split 'augmented'"):
    made.log_prior(split='augmented')
  assert made.prior_correction(split='train').tolist() == pytest.approx(
    np.log([10 / 6, 2 / 6]).tolist()
  )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'scheme': 'fair'}, "scheme='fair' is not one of"),
    ({'scheme': 'effective', 'beta': 1}, 'beta=1'),
  ],
)
def test_what_breaks_a_rule_is_refused(made, arguments, message):
  with pytest.raises(ConfigError, match=message):
    made.class_weight(**arguments)
