"""Orders found fast are those that a stable sort finds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.ranks import order_of_groups, order_of_keys

WORDS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3))


@given(WORDS)
def test_keys_are_ordered_as_by_a_stable_sort(values):
  keys = np.array(values, np.uint64)
  assert order_of_keys(keys).tolist() == np.argsort(keys, kind='stable').tolist()


def test_many_keys_of_which_some_are_equal_are_ordered_as_by_a_stable_sort():
  keys = np.random.default_rng(0).integers(0, 1 << 14, 20_000).astype(np.uint64)
  assert (order_of_keys(keys) == np.argsort(keys, kind='stable')).all()


@given(st.lists(st.integers(0, 3) | st.integers(65_530, 65_540)))
def test_groups_are_ordered_as_by_a_stable_sort(values):
  groups = np.array(values, np.int64)
  assert order_of_groups(groups).tolist() == np.argsort(groups, kind='stable').tolist()
