"""Order in time, in memory: `stratified_indices` and the keys of numbers."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.plan.number_keys import NumberSample, keys_of, numbers_of, spread_ranks
from tfx_balance.plan.ranks import ranks

SPLITS = {'train': 6, 'eval': 2, 'test': 2}
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(INT64, min_size=2) | st.lists(FLOATS, min_size=2))
def test_keys_have_the_order_of_the_numbers_and_give_them_back(values):
  kind = 'int' if isinstance(values[0], int) else 'float'
  keys = keys_of(np.array(values, np.int64 if kind == 'int' else np.float64))
  assert numbers_of(keys, kind).tolist() == values
  assert (np.argsort(keys, kind='stable') == np.argsort(np.array(values), kind='stable')).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=300), st.integers(0, 2**64 - 1))
def test_spread_ranks_are_in_the_order_of_the_pairs(values, key):
  keys = np.array([*values, key], np.uint64)
  numbers = np.arange(len(keys), dtype=np.uint64)
  rank = ranks(numbers, key, 'test')
  order = np.lexsort((rank, keys))
  found = spread_ranks(keys[order], rank[order], NumberSample.of(numbers, keys).pivots())
  assert (np.diff(found.astype(object)) >= 0).all()
  assert found.max() < 2**63


@pytest.mark.parametrize('equal', [3, 30_000, 100_000])
def test_a_sample_of_skewed_times_fills_buckets_evenly(equal):
  numbers = np.arange(100_001, dtype=np.uint64)
  times = keys_of(np.append(0, 1_700_000_000 + np.arange(100_000) // equal))
  pivots = NumberSample.of(numbers, times).pivots()
  spread = spread_ranks(times, ranks(numbers, 0, 'test'), pivots) >> np.uint64(63 - 6)
  counts = np.bincount(spread.astype(np.int64), minlength=64)
  # 1,563 each by chance, with a standard deviation of 24 places of 1/4096: about 190.
  assert 800 < counts.min() <= counts.max() < 2400


@given(
  times=st.lists(st.integers(0, 9), min_size=15, max_size=80),
  within=st.sampled_from(['all', 'strata']),
  seed=st.integers(0, 99),
)
def test_indices_are_in_order_and_none_is_lost(times, within, seed):
  labels = [i % 3 for i in range(len(times))]
  found = stratified_indices(labels, SPLITS, seed, order=times, within=within)
  assert sorted(np.concatenate(list(found.values()))) == list(range(len(times)))
  plain = stratified_indices(labels, SPLITS, seed)
  assert [len(index) for index in found.values()] == [len(index) for index in plain.values()]
  groups = [range(len(times))] if within == 'all' else [range(c, len(times), 3) for c in range(3)]
  for group in groups:
    times_of = [sorted(times[i] for i in index if i in group) for index in found.values()]
    assert list(chain(*times_of)) == sorted(chain(*times_of))


@given(
  times=st.lists(st.integers(0, 60), min_size=40, max_size=80),
  embargo=st.sampled_from([0, 1, 2.5, 4]),
  lost=st.integers(0, 3),
  seed=st.integers(0, 99),
)
def test_the_embargo_is_kept_and_nothing_else_is_lost(times, embargo, lost, seed):
  labels = [0] * len(times)
  whole = list(stratified_indices(labels, SPLITS, seed, order=times).values())
  arguments = {'order': times, 'embargo': embargo, 'embargo_records': lost}
  gone = [
    lost_of(i, [[times[j] for j in index] for index in whole], embargo, lost) for i in range(3)
  ]
  if any(n == len(index) for n, index in zip(gone, whole, strict=True)):
    with pytest.raises(DataError, match='leave none of the'):
      stratified_indices(labels, SPLITS, seed, **arguments)
    return
  found = stratified_indices(labels, SPLITS, seed, **arguments)
  for before, after, n in zip(whole, found.values(), gone, strict=True):
    assert set(after) <= set(before)
    assert len(before) - len(after) == n
    kept, left = ([times[j] for j in each] for each in (after, set(before) - set(after)))
    assert not left or max(kept) <= min(left)


def lost_of(i, times, embargo, embargo_records):
  """Returns how many records of the i-th split an embargo leaves out, given times by split."""
  later = [t for each in times[i + 1 :] for t in each]
  near = sum(min(later) - t < embargo for t in times[i]) if embargo and later else 0
  return max(near, min(embargo_records, len(times[i])) if later else 0)


def test_order_takes_dates():
  days = np.datetime64('2024-01-01') + np.arange(20)
  found = stratified_indices([0] * 20, {'train': 1, 'test': 1}, order=days[::-1], embargo='3D')
  assert found['train'].tolist() == list(range(12, 20))
  assert found['test'].tolist() == list(range(10))


@pytest.mark.parametrize(
  ('order', 'match'),
  [
    (['a', 'b', 'c'], r'order has .*, and must be numbers or times'),
    ([[1], [1, 2], [1]], r'order is not an array'),
    ([1, 2], r'order is of shape \(2,\), and must be numbers or times, of shape \[3\]'),
    ([1.0, 2.0, np.nan], r'order\[2\] is missing; fill it in'),
    (np.array(['2024', 'NaT', '2025'], 'M8[s]'), r'order\[1\] is missing; fill it in'),
  ],
)
def test_times_that_are_refused(order, match):
  with pytest.raises(DataError, match=match):
    stratified_indices([0, 0, 0], order=order)
