"""How large pools are within a limit on bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.pool_plan import PoolRequest, plan_pools


@given(
  st.lists(st.tuples(st.integers(0, 500), st.integers(1, 40)), min_size=1, max_size=30),
  st.integers(1, 200),
  st.integers(1, 50_000),
)
def test_pools_are_as_large_as_the_limit_allows(classes, pool_size, most):
  records, sizes = zip(*classes, strict=True)
  plan = plan_pools(records, sizes, PoolRequest('Smote', pool_size, None, most))
  assert plan.wanted == tuple(min(n, pool_size) for n in records)
  for n, got, wanted in zip(records, plan.sizes, plan.wanted, strict=True):
    assert bool(n) <= got <= wanted
  used = sum(got * size for got, size in zip(plan.sizes, sizes, strict=True))
  least = sum(size for n, size in classes if n)
  assert used <= most + least  # one of each is kept whatever the limit
  if used + max(sizes) * len(sizes) < most:  # what is left over is rounding
    assert plan.sizes == plan.wanted


@pytest.mark.parametrize(
  ('records', 'most', 'expected'),
  [
    pytest.param([3, 500, 900, 0], 1000, (3, 48, 49, 0), id='the rest is shared'),
    pytest.param([3, 500, 900, 0], 10**6, (3, 100, 100, 0), id='no limit met'),
    pytest.param([5, 5, 5], 1, (1, 1, 1), id='one of each'),
    pytest.param([0, 0], 1, (0, 0), id='no copies'),
  ],
)
def test_what_a_small_class_leaves_goes_to_the_others(records, most, expected):
  request = PoolRequest('Smote', 100, None, most)
  assert plan_pools(records, [10] * len(records), request).sizes == expected
