"""Sums of sparse counts: the same whether by a table or by sorting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.narrow_integers import SparseCounts

CELLS = st.lists(st.integers(0, 11), max_size=30)


@given(st.lists(CELLS, min_size=2, max_size=4), st.sampled_from([0, 1000]))
def test_counts_are_summed_by_a_table_and_by_sorting(several, cells_per_row):
  parts = [SparseCounts.count((3, 4), np.array(cells, np.int64)) for cells in several]
  found = SparseCounts.merge(parts, cells_per_row)
  cells = np.array([cell for part in several for cell in part], np.int64)
  np.testing.assert_array_equal(found.dense(), np.bincount(cells, minlength=12).reshape(3, 4))
  assert (np.diff(found.cells) > 0).all()
  assert found.counts.all()
