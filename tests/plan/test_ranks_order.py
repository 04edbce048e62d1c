"""Orders found fast are those that a stable sort finds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.ranks import stable_order


@given(st.lists(st.integers(0, 3) | st.integers(65_530, 65_540)))
def test_groups_are_ordered_as_by_a_stable_sort(values):
  numbers = np.array(values, np.int64)
  assert stable_order(numbers).tolist() == np.argsort(numbers, kind='stable').tolist()
