"""What workers send to each other is what they get, in fewer bytes."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.narrow_integers import SparseCounts, from_steps, narrow, steps, wide
from tfx_balance.plan.ranks import Candidates, RankHistogram
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

ENDS = st.sampled_from([0, 1, -1, 255, 256, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63)])


def same(one, other, *names):
  for name in names:
    found, wanted = getattr(one, name), getattr(other, name)
    assert found.dtype == wanted.dtype, name
    np.testing.assert_array_equal(found, wanted)


@given(arrays.arrays(np.int64, st.tuples(st.integers(0, 4), st.integers(0, 3)), elements=ENDS))
def test_narrow_values_are_the_same(values):
  found = wide(narrow(values))
  assert found.dtype == np.int64
  np.testing.assert_array_equal(found, values)


@given(st.lists(st.integers(0, 2**62)).map(sorted))
def test_steps_come_back(values):
  np.testing.assert_array_equal(from_steps(steps(np.array(values, np.int64))), values)


@pytest.mark.parametrize('n', [0, 1, 1000])
def test_what_is_sent_is_what_comes_and_in_fewer_bytes(n):
  draw = np.random.default_rng(0)
  cells = np.sort(draw.choice(5 * n + 1, n, replace=False))
  counts = SparseCounts((5 * n + 1,), cells, draw.integers(1, 9, n))
  ranks = draw.integers(0, 2**63, n).astype(np.uint64)
  near = Candidates.collect(draw.integers(0, n + 1, n), ranks, 3)
  layout = RankHistogram.of(draw.integers(0, 9, n))
  for sent, names in (
    (counts, ('cells', 'counts')),
    (near, ('buckets', 'ranks', 'shards', 'counts')),
    (layout, ('bits', 'offsets')),
  ):
    data = pickle.dumps(sent)
    same(pickle.loads(data), sent, *names)
    assert len(data) < 400 + 16 * n


def test_a_plan_is_sent_in_fewer_bytes_than_its_columns_take():
  strata = [(ClassValue('int', i),) for i in range(500)]
  plan = plan_splits(strata, [i % 7 + 1 for i in range(500)], SplitShares.parse())
  data = pickle.dumps(plan)
  same(pickle.loads(data), plan, 'records', 'quotas', 'predefined')
  columns = pickle.dumps([plan.records, plan.quotas])
  assert len(data) < len(pickle.dumps(plan.__dict__)) - len(columns) // 2


CELLS = st.lists(st.integers(0, 11), max_size=30)


@given(st.lists(CELLS, min_size=2, max_size=4), st.sampled_from([0, 1000]))
def test_counts_are_summed_by_a_table_and_by_sorting(several, cells_per_row):
  parts = [SparseCounts.count((3, 4), np.array(cells, np.int64)) for cells in several]
  found = SparseCounts.merge(parts, cells_per_row)
  cells = np.array([cell for part in several for cell in part], np.int64)
  np.testing.assert_array_equal(found.dense(), np.bincount(cells, minlength=12).reshape(3, 4))
  assert (np.diff(found.cells) > 0).all()
  assert found.counts.all()
