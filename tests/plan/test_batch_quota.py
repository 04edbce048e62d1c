"""Quotas hold in every batch, and running totals never drift."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError
from tfx_balance.plan.adjustable_shares import AdjustableShares
from tfx_balance.plan.batch_draws import BatchDraws
from tfx_balance.plan.batch_quota import MAX_RESOLUTION, BatchQuota, bounded_weights
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.record_order import RecordOrder
from tfx_balance.plan.sampling import (
  Sampling,
  ScheduledWeights,
  TrainingCounts,
  annealed,
  deferred,
  progressive,
)

SHAPES = [(2, 1), (2, 7), (5, 256), (10, 3), (37, 512), (256, 32), (1000, 1), (1000, 512)]


def next_counts(quota, lag):
  """Returns the next batch's records of each class, and the lag after it."""
  chosen, lag = quota.next_extra(lag, 1)
  return quota.whole + np.bincount(chosen[0], minlength=len(lag)), lag


def check(weights, batch_size, n_batches):
  """Asserts both bounds, in integers, over a run."""
  quota = BatchQuota(weights, batch_size)
  share, total = np.array(weights, np.int64) * batch_size, sum(weights)
  low, high = share // total, -(-share // total)
  lag, sums = np.zeros_like(quota.whole), np.zeros(len(weights), np.int64)
  for t in range(1, n_batches + 1):
    counts, lag = next_counts(quota, lag)
    assert counts.sum() == batch_size
    assert (low <= counts).all(), (weights, batch_size, t)
    assert (counts <= high).all(), (weights, batch_size, t)
    sums += counts
    assert (np.abs(t * share - sums * total) < total).all(), (weights, batch_size, t)


@pytest.mark.parametrize(('n_classes', 'batch_size'), SHAPES)
@pytest.mark.parametrize('equal', [True, False], ids=['equal', 'unequal'])
def test_quotas_hold_in_every_one_of_3000_batches(n_classes, batch_size, equal):
  weights = np.random.default_rng(n_classes).integers(1, 500, n_classes).tolist()
  check(bounded_weights([1] * n_classes if equal else weights), batch_size, 3_000)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40).filter(any), st.integers(1, 64))
def test_quotas_hold_for_any_weights(weights, batch_size):
  check(bounded_weights(weights), batch_size, 120)


@settings(max_examples=100, deadline=None)
@given(
  st.lists(st.integers(0, 3), min_size=1, max_size=30).filter(any),
  st.integers(1, 64),
  st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_batches_do_not_depend_on_how_many_are_planned_at_a_time(weights, batch_size, runs):
  quota = BatchQuota(bounded_weights(weights), batch_size)
  one, many = np.zeros_like(quota.whole), np.zeros_like(quota.whole)
  for n in runs:
    chosen, many = quota.next_extra(many, n)
    for row in chosen:
      counts, one = next_counts(quota, one)
      assert (counts - quota.whole == np.bincount(row, minlength=len(weights))).all()
    assert (one == many).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.integers(1, 90))
def test_taking_turns_is_what_the_deadlines_come_to(n_classes, idle, batch_size):
  quota = BatchQuota((1,) * n_classes + (0,) * idle, batch_size)
  turns, _ = quota.next_extra(np.zeros_like(quota.whole), 100)
  object.__setattr__(quota, '_even', None)
  deadlines, _ = quota.next_extra(np.zeros_like(quota.whole), 100)
  assert (np.sort(turns) == np.sort(deadlines)).all()


DRAWS = [(2, 1, 1), (2, 7, 300), (10, 3, 2), (37, 64, 5), (256, 32, 1), (1000, 8, 1)]


@pytest.mark.parametrize(('n_classes', 'batch_size', 'largest'), DRAWS)
def test_quotas_hold_in_10000_batches_of_records(n_classes, batch_size, largest):
  ratios = np.random.default_rng(1).integers(1, largest + 1, n_classes).tolist()
  counts = TrainingCounts(tuple(ClassValue('int', i) for i in range(n_classes)), (9,) * n_classes)
  weights = ScheduledWeights(counts, bounded_weights(ratios))
  draws = BatchDraws(RecordOrder(((9,),) * n_classes, 0), 'exact', weights, batch_size, 50)
  share, total = np.array(weights.at(0)) * batch_size, sum(weights.at(0))
  state, sums = draws.start(), np.zeros(n_classes, np.int64)
  for _ in range(20):
    batches, state = draws.next(state, 500)
    rows = np.repeat(np.arange(500), batch_size)
    found = np.zeros((500, n_classes), np.int64)
    np.add.at(found, (rows, batches.classes.reshape(-1)), 1)
    assert (share // total <= found).all()
    assert (found <= -(-share // total)).all()
    running = sums + found.cumsum(axis=0)
    steps = np.arange(int(state.step) - 499, int(state.step) + 1)[:, None]
    assert (np.abs(steps * share - running * total) < total).all()
    sums = running[-1]


def test_the_check_can_fail(monkeypatch):
  monkeypatch.setattr(BatchQuota, '_most_urgent', lambda self, lag: np.arange(self._open))
  with pytest.raises(AssertionError):
    check((1, 2, 4), 3, 100)


@pytest.mark.parametrize(('n_classes', 'batch_size'), [(3, 4), (5, 2), (7, 3), (10, 1), (4, 6)])
def test_equal_ratios_hold_in_any_window(n_classes, batch_size):
  quota = BatchQuota((1,) * n_classes, batch_size)
  lag, rows = np.zeros_like(quota.whole), []
  for _ in range(60):
    counts, lag = next_counts(quota, lag)
    rows.append(counts)
  for start, end in itertools.combinations(range(61), 2):
    window = np.sum(rows[start:end], axis=0)
    assert window.max() - window.min() <= 1


SCHEDULES = {
  'progressive': progressive(200),
  'every step': progressive(200, stages=200),
  'deferred': deferred(100),
  'annealed': annealed(1, -1, 250, stages=250),
  'saw': lambda step: (step % 7) / 6,
  'erratic': lambda step: (step * 7919 % 31) / 30,
}


@pytest.mark.parametrize('schedule', SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(
  ('n_classes', 'batch_size'), [(2, 7), (5, 1), (30, 32), (30, 256), (300, 7)]
)
def test_a_schedule_keeps_its_bound(schedule, n_classes, batch_size):
  records = tuple(np.random.default_rng(n_classes).integers(1, 2000, n_classes).tolist())
  counts = TrainingCounts(tuple(ClassValue('int', i) for i in range(n_classes)), records)
  weights = ScheduledWeights(counts, schedule=schedule)
  order = RecordOrder(tuple((n,) for n in records), seed=0)
  draws = BatchDraws(order, 'exact', weights, batch_size, epoch_steps=50)
  state, off = draws.start(), np.zeros(n_classes)
  for step in range(300):
    batch, state = draws.next(state, 1)
    drawn = np.bincount(batch.classes[0], minlength=n_classes)
    share = np.array(weights.at(step)) * batch_size / sum(weights.at(step))
    assert (np.floor(share) <= drawn).all()
    assert (drawn <= np.ceil(share)).all()
    off += drawn - share
    assert np.abs(off).max() < 1.001  # float noise of the sums


@pytest.mark.parametrize('batch_size', [0, -3, 1.5, True, None])
def test_a_wrong_batch_size_is_refused(batch_size):
  with pytest.raises(ConfigError, match=r'batch_size=.* must be a whole number from 1'):
    BatchQuota((1, 1), batch_size)


def test_large_weights_are_rounded_and_none_vanishes():
  weights = bounded_weights([10**12, 1, 3 * 10**11])
  assert sum(weights) == MAX_RESOLUTION
  assert min(weights) == 1
  assert abs(weights[0] / sum(weights) - 10 / 13) < 1e-7


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=200))
def test_no_share_is_rounded_by_as_much_as_a_unit(ratios):
  exact = [Fraction(str(ratio)) for ratio in ratios]
  counts = TrainingCounts(
    tuple(ClassValue('int', i) for i in range(len(ratios))), (9,) * len(exact)
  )
  try:
    weights = counts.weights(ratios=dict(enumerate(ratios)))
  except ConfigError:
    assert min(exact) / sum(exact) < Fraction(1000, MAX_RESOLUTION)
    return
  shares = [Fraction(weight, sum(weights)) for weight in weights]
  wanted = [ratio / sum(exact) for ratio in exact]
  off = [abs(a - b) for a, b in zip(shares, wanted, strict=True)]
  assert max(off) < Fraction(1, MAX_RESOLUTION)
  assert all(x * 1000 <= share for x, share in zip(off, wanted, strict=True))


@pytest.mark.parametrize(
  'weigh',
  [
    lambda counts, ratios: counts.weights(ratios=ratios),
    lambda counts, ratios: Sampling(strategy='weighted', ratios=ratios).weights(counts),
    lambda counts, ratios: Sampling(schedule=lambda step: ratios).weights(counts),
    lambda counts, ratios: Sampling(schedule=AdjustableShares(ratios=ratios)).weights(counts),
  ],
  ids=['ratios', 'weighted', 'schedule', 'AdjustableShares'],
)
def test_a_ratio_that_would_be_another_is_refused(weigh):
  counts = TrainingCounts(tuple(ClassValue('bytes', c) for c in (b'a', b'b', b'c')), (9, 9, 9))
  rule = r'share 5e-10 of class c would be 1\.49e-08, .* part in 1,000; give it 0, or 1\.49e-05'
  with pytest.raises(ConfigError, match=rule):
    weigh(counts, {'a': 1, 'b': 1, 'c': 1e-9})


@pytest.mark.parametrize(
  ('value', 'rule'),
  [
    ([0.5], r'q=\[0.5\] must be a finite number; fix the value that the schedule returns'),
    (np.array(0.5), 'q=.*0.5.* must be a finite number; fix the value that the schedule returns'),
    ({0: [1], 1: 2}, r'ratios\[0\]=\[1\] must be'),
  ],
)
def test_what_a_schedule_must_not_return_is_named(value, rule):
  counts = TrainingCounts((ClassValue('int', 0), ClassValue('int', 1)), (9, 9))
  with pytest.raises(ConfigError, match=rule):
    Sampling(schedule=lambda step: value).weights(counts)


def test_weights_above_the_resolution_are_refused():
  with pytest.raises(ConfigError, match='bounded_weights'):
    BatchQuota((MAX_RESOLUTION, 1), 4)
