"""From scores of folds to verdicts."""

import numpy as np
import pytest
from tfx_balance.compare.judging import Fold, judge, with_shifts
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import shifted


def folds_of(labels, log_p_of, repeats=5):
  """Returns 5 folds a repetition; log_p_of gives the scores of an arm for rows of a repetition."""
  found = []
  for repeat in range(repeats):
    order = np.random.default_rng(repeat).permutation(len(labels))
    for k in range(5):
      rows = order[k::5]
      arms = {arm: of(rows, repeat) for arm, of in log_p_of.items()}
      found.append(Fold(repeat, rows, len(labels) - len(rows), arms))
  return found


@pytest.fixture(scope='module')
def rare():
  """Labels of 100 rare records in 1,000, their prior, and scores that know the true odds."""
  rng = np.random.default_rng(0)
  labels = np.repeat([0, 1], [900, 100])
  odds = rng.normal(0, 1, 1000) + 1.5 * labels + np.log(0.1 / 0.9)

  def natural(rows, repeat):
    noise = np.random.default_rng(repeat).normal(0, 0.1, 1000)
    return shifted(np.stack([np.zeros(1000), odds + noise], 1)[rows], [0, 0])

  return labels, np.log([0.9, 0.1]), natural


def test_a_threshold_helps_macro_recall_and_the_correction_changes_nothing(rare):
  labels, log_prior, natural = rare

  def balanced(rows, repeat):
    return shifted(natural(rows, repeat), -log_prior)

  measures = Measures.of(np.bincount(labels), None)
  folds = folds_of(labels, {'natural': natural, 'balanced': balanced})
  found = judge(
    with_shifts(folds, labels, log_prior, measures, 'macro_recall'),
    labels,
    measures,
    'macro_recall',
  )
  assert list(found) == ['natural', 'threshold', 'balanced', 'correction']
  verdicts = {arm: one.verdict for arm, one in found.items()}
  assert verdicts == {
    'natural': '',
    'threshold': 'helps',
    'balanced': 'helps',
    'correction': 'no practical difference',
  }
  assert found['balanced'].calibration[0] < -1 < found['natural'].calibration[0]


def test_a_metric_of_which_less_is_better_counts_the_other_way(rare):
  labels, _, natural = rare

  def wrong(rows, repeat):
    return shifted(natural(rows, repeat), [0, 3])

  measures = Measures.of(np.bincount(labels), None)
  found = judge(
    folds_of(labels, {'natural': natural, 'balanced': wrong}), labels, measures, 'brier'
  )
  assert found['balanced'].verdict == 'harms'
  assert found['balanced'].interval.high < 0
  assert found['balanced'].values['brier'] > found['natural'].values['brier']


def test_a_fold_is_not_asked_for_its_own_threshold(rare):
  labels, log_prior, natural = rare
  measures = Measures.of(np.bincount(labels), None)
  folds = folds_of(labels, {'natural': natural}, repeats=1)
  spoiled = Fold(0, folds[0].rows, folds[0].n_trained, {'natural': -folds[0].log_p['natural']})
  args = (labels, log_prior, measures, 'macro_recall')
  kept = with_shifts(folds, *args)[0].log_p
  other = with_shifts([spoiled, *folds[1:]], *args)[0].log_p
  moved = kept['threshold'] - kept['natural']
  np.testing.assert_allclose(np.ptp(moved[:, 1] - moved[:, 0]), 0, atol=1e-9)
  shift = (other['threshold'] - other['natural'])[0]
  np.testing.assert_allclose(shift[1] - shift[0], moved[0, 1] - moved[0, 0])


def test_in_time_a_fold_learns_from_earlier_ones_alone(rare):
  labels, log_prior, natural = rare
  measures = Measures.of(np.bincount(labels), None)
  folds = folds_of(labels, {'natural': natural}, repeats=1)
  found = with_shifts(folds, labels, log_prior, measures, 'macro_recall', in_time=True)
  first = found[0].log_p
  np.testing.assert_allclose(first['threshold'], shifted(first['natural'], -log_prior))


def test_too_few_records_of_the_rarest_class_tell_nothing():
  labels = np.repeat([0, 1], [900, 29])
  rng = np.random.default_rng(0)

  def scores(strength):
    logits = rng.normal(size=(929, 2)) + strength * np.eye(2)[labels]
    return lambda rows, repeat: shifted(logits[rows], [0, 0])

  measures = Measures.of(np.bincount(labels), None)
  folds = folds_of(labels, {'natural': scores(0), 'balanced': scores(9)})
  found = judge(folds, labels, measures, 'macro_recall')
  assert found['balanced'].interval.low > 0.2
  assert found['balanced'].verdict == 'cannot tell'
