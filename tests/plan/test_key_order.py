"""Orders by keys: random, and a function of the set of records."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.key_order import mixed_order, order_of_block, parts_of_keys

KEYS = st.sampled_from([0, 1, 7, 1 << 32, (1 << 32) + 7, 5 << 40, (1 << 64) - 1])
RECORDS = st.lists(st.tuples(KEYS, st.integers(0, 3), st.integers(0, 4)), max_size=40)


def columns(records):
  keys, outputs, times = np.array(records, object).reshape(-1, 3).T
  return keys.astype(np.uint64), outputs.astype(np.int64), times.astype(np.int64)


def test_parts_are_equal_ranges_of_keys():
  keys = np.sort(np.random.default_rng(0).integers(0, 1 << 64, 10_000, np.uint64))
  for n in (1, 3, 4096, 10**9):
    parts = parts_of_keys(keys, n)
    assert parts.tolist() == [(int(key) >> 32) * n >> 32 for key in keys]
    assert parts.tolist() == parts_of_keys(keys, np.full(len(keys), n, np.uint64)).tolist()
    assert (np.diff(parts) >= 0).all()
    assert parts.min() >= 0
    assert parts.max() < n


@given(records=RECORDS, seed=st.integers(0, 9), repeated=st.booleans())
def test_the_order_is_that_of_the_set_of_records(records, seed, repeated):
  shuffled = [records[i] for i in np.random.default_rng(seed).permutation(len(records))]
  found = []
  for each in (records, shuffled):
    keys, outputs, times = columns(each)
    order = mixed_order(keys, outputs, times if repeated else None)
    named = list(zip(keys, outputs, times if repeated else times * 0, strict=True))
    found.append([named[i][:2] for i in order])
    counts = np.bincount(order, minlength=len(records))
    assert counts.tolist() == (times if repeated else np.ones_like(times)).tolist()
    assert (np.diff(outputs[order]) >= 0).all()
  assert found[0] == found[1]


def test_records_of_equal_bytes_are_mixed_with_the_others():
  n = 4000
  keys = np.random.default_rng(0).integers(0, 1 << 64, n, np.uint64)
  keys[: n // 2] = keys[0]  # half of the records are one record
  order = mixed_order(keys, np.zeros(n, np.int64))
  by_tenth = np.bincount(np.flatnonzero(order < n // 2) * 10 // n)
  assert np.abs(by_tenth - n // 20).max() < 5 * np.sqrt(n // 40)
  times = np.where(np.arange(100) == 0, 900, 1)
  order = mixed_order(keys[-100:], np.zeros(100, np.int64), times)
  by_tenth = np.bincount(np.flatnonzero(order == 0) * 10 // len(order))
  assert np.abs(by_tenth - 90).max() < 5 * np.sqrt(9)


def test_a_block_is_in_the_order_of_keys_in_each_group():
  rng = np.random.default_rng(0)
  keys, groups = rng.integers(0, 1 << 64, 5000, np.uint64), rng.integers(0, 4, 5000)
  assert (np.diff(keys[order_of_block(keys)] >> np.uint64(48)).astype(np.int64) >= 0).all()
  order = order_of_block(keys, groups)
  assert (np.diff(groups[order]) >= 0).all()
  for group in range(4):
    own = keys[order][groups[order] == group] >> np.uint64(48)
    assert (np.diff(own.astype(np.int64)) >= 0).all()


@pytest.mark.parametrize('times', [None, np.full(1000, 2)])
def test_keys_that_differ_in_the_upper_half_alone_are_told_apart(times):
  keys = np.arange(1000, dtype=np.uint64) << np.uint64(32)
  outputs = np.zeros(1000, np.int64)
  order = mixed_order(keys, outputs, times)
  back = mixed_order(keys[::-1].copy(), outputs, times)
  assert order.tolist() == (999 - back).tolist()
