"""Label sets get the weights, and the places in batches, that give labels their shares."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.batch_quota import MAX_RESOLUTION
from tfx_balance.plan.epochs import epoch_steps
from tfx_balance.plan.label_sets import count_label_sets, systematic_sets
from tfx_balance.plan.labels import LabelRows
from tfx_balance.plan.sampling import Mixture, Sampling


def counted(labels):
  return count_label_sets(LabelRows.of(labels))


def sets_of(counts):
  """Returns the labels of each set, which are numbers."""
  return [tuple(label.value for label in value.value) for value in counts.classes]


def long_tail(n=5000, n_labels=8, seed=0):
  """Returns bool [n, n_labels], each label with a third of the records of the one before."""
  share = 0.5 * 0.6 ** np.arange(n_labels)
  return np.random.default_rng(seed).random((n, n_labels)) < share


@pytest.mark.parametrize('q', [1.0, 0.5, 0.0])
def test_labels_have_the_shares_asked_for(q):
  counts, _ = counted(long_tail())
  wanted = np.array(counts.label_counts.records, float) ** q
  found = counts.label_shares(counts.weights(q=q))
  np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=0.005)


def test_natural_shares_leave_the_sets_as_they_are():
  counts, _ = counted(long_tail())
  weights = np.array(counts.weights(q=1))
  np.testing.assert_allclose(
    weights / weights.sum(), np.array(counts.records) / sum(counts.records), atol=1e-6
  )


def test_of_all_weights_those_nearest_to_the_natural_ones_are_found():
  # Sets {0}, {1}, {0, 1} with a, b, c records: the shares are equal where {0} and {1} weigh the
  # same, and the divergence is least at sqrt(a b) each, beside c.
  counts, _ = counted([[1, 0]] * 90 + [[0, 1]] * 10 + [[1, 1]] * 20)
  by_name = dict(zip(map(str, counts.classes), counts.weights(), strict=True))
  assert by_name['{0}'] / by_name['{1}'] == pytest.approx(1, rel=0.01)
  assert by_name['{0}'] / by_name['{0, 1}'] == pytest.approx(30 / 20, rel=0.01)


def test_records_without_a_label_keep_their_natural_share():
  rows = long_tail()
  counts, _ = counted(rows)
  weights = counts.weights()
  empty = sets_of(counts).index(())
  assert weights[empty] / sum(weights) == pytest.approx((~rows.any(axis=1)).mean(), abs=1e-5)


def test_a_ratio_of_zero_leaves_out_the_sets_that_have_the_label():
  counts, _ = counted(long_tail())
  weights = counts.weights(ratios={label: int(label != 3) for label in range(8)})
  assert all((w == 0) == (3 in own) for w, own in zip(weights, sets_of(counts), strict=True))
  assert counts.label_shares(weights)[3] == 0
  only = counted([[1, 1], [1, 0]])[0]
  with pytest.raises(ConfigError, match='ratios= are 0 for a label of every record'):
    only.weights(ratios={0: 0, 1: 1})


def test_what_the_sets_do_not_allow_is_told():
  rows = np.zeros((1000, 2), int)
  rows[:, 1] = 1
  rows[:10, 0] = 1  # never without the other label
  counts, _ = counted(rows)
  counts.weights(q=1)
  counts.weights()  # 0.4977 to 0.5023
  with pytest.warns(UserWarning, match='label 1 gets 0.50.* in place of 0.3333'):
    counts.weights(ratios={0: 2, 1: 1})


def test_a_mixture_is_between_natural_and_balanced():
  counts, _ = counted(long_tail())
  natural, half, balanced = (counts.label_shares(counts.weights(Mixture(b))) for b in (0, 0.5, 1))
  np.testing.assert_allclose(half, (natural + balanced) / 2, rtol=0.01)


def test_an_epoch_shows_as_many_records_of_a_label_as_there_are():
  counts, _ = counted(long_tail())
  shares = counts.label_shares(counts.weights())
  weights = np.array(counts.weights()) / sum(counts.weights())
  mean_labels = sum(w * len(own) for w, own in zip(weights, sets_of(counts), strict=True))
  for word, records in (('largest', max), ('smallest', min)):
    label = counts.label_counts.records.index(records(counts.label_counts.records))
    a_batch = 64 * mean_labels * shares[label]
    steps = epoch_steps(Sampling(), counts, 64, word)
    assert steps == pytest.approx(counts.label_counts.records[label] / a_batch, abs=1)
    natural = epoch_steps(Sampling(schedule=lambda step: 1.0), counts, 64, word)
    assert natural == pytest.approx(5000 / 64, abs=1.01)


@settings(max_examples=50, deadline=None)
@given(
  st.lists(st.integers(1, 10**5), min_size=1, max_size=40),
  st.integers(1, 70),
  st.integers(0, 2**32),
)
def test_every_batch_holds_the_floor_or_the_ceiling_of_each_set(weights, batch_size, key):
  drawn = systematic_sets(tuple(weights), batch_size, np.arange(key, key + 20), np.uint64(key))
  counts = np.array([np.bincount(row, minlength=len(weights)) for row in drawn])
  ideal = batch_size * np.array(weights) / sum(weights)
  assert drawn.shape == (20, batch_size)
  assert (np.abs(counts - ideal) < 1).all()


def test_batches_are_several_times_nearer_to_the_shares_than_independent_draws():
  counts, _ = counted(long_tail())
  weights = counts.weights()
  has = np.array([[label in own for label in range(8)] for own in sets_of(counts)])
  drawn = has[systematic_sets(weights, 64, np.arange(2000), np.uint64(5))].sum(axis=1)
  ideal = 64 * (np.array(weights) / sum(weights)) @ has
  independent = np.sqrt(ideal * (1 - ideal / 64))
  assert (np.sqrt(((drawn - ideal) ** 2).mean(axis=0)) < 0.75 * independent).all()
  running = np.abs((drawn - ideal).cumsum(axis=0)).max(axis=0)
  assert (running < 20).all(), running  # independent draws: about 100


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_table_of_labels_has_weights_that_can_be_drawn(seed):
  rng = np.random.default_rng(seed)
  rows = rng.random((rng.integers(1, 60), rng.integers(1, 9))) < rng.random() + 0.02
  rows[0, 0] = True
  counts, order = counted(rows)
  assert sorted(order) == list(range(len(rows)))
  for own, n, start in zip(
    sets_of(counts), counts.records, np.cumsum((0, *counts.records)), strict=False
  ):
    assert all(np.flatnonzero(rows[i]).tolist() == list(own) for i in order[start : start + n])
  present = [i for i, n in enumerate(counts.label_counts.records) if n]
  ratios = {i: int(i in present) for i in range(rows.shape[1])}
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # which tells what the sets do not allow
    weights = counts.weights(ratios=ratios)
  assert min(weights) >= 1
  assert sum(weights) <= MAX_RESOLUTION


def test_too_many_labels_are_refused():
  with pytest.raises(DataError, match='there are 2001 labels'):
    counted(np.ones((1, 2001)))
