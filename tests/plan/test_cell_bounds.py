"""Lower bounds of classes in splits, against all tables that there are."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import controlled_rounding
from tfx_balance.plan.cell_bounds import goals_above, raise_cells
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

N_TABLES = 2000


def strata_of(n):
  return [(ClassValue('int', i),) for i in range(n)]


def beyond(totals, shares, n):
  """Returns the records that totals are beyond the floor or the ceiling of their shares."""
  goals = [share * n for share in shares]
  return sum(
    max(total - math.ceil(goal), math.floor(goal) - total, 0)
    for total, goal in zip(totals, goals, strict=True)
  )


def rows_within(n, goals):
  """Yields all rows of floors and ceilings of goals that sum to n."""
  choices = [sorted({math.floor(goal), math.ceil(goal)}) for goal in goals]
  return [row for row in itertools.product(*choices) if sum(row) == n]


def random_table(rng):
  """Returns records of classes, weights of splits, and bounds of these."""
  width = int(rng.integers(2, 4))
  records = rng.integers(1, 16, rng.integers(1, 6)).tolist()
  weights = dict(zip('abc', rng.integers(1, 9, width).tolist(), strict=False))
  return records, weights, {name: int(rng.integers(0, 4)) for name in weights}


def test_bounds_hold_and_no_table_deviates_less():
  rng, seen, moved = np.random.default_rng(41), 0, 0
  for _ in range(N_TABLES):
    records, weights, bounds = random_table(rng)
    given = SplitShares.parse(weights)
    shares = SplitShares(given.weights, given.counts, at_least=bounds)
    plan = plan_splits(strata_of(len(records)), records, shares, int(rng.integers(100)))
    least, n = list(bounds.values()), sum(records)
    rows = []
    for size, row in zip(records, plan.quotas.tolist(), strict=True):
      bound = least if size >= sum(least) else [0] * len(least)
      assert sum(row) == size
      assert all(cell >= low for cell, low in zip(row, bound, strict=True))
      rows.append(rows_within(size, goals_above(bound, size - sum(bound), plan.shares)))
      assert tuple(row) in rows[-1]
    tables = [np.sum(table, axis=0) for table in itertools.product(*rows)]
    best = min(beyond(totals.tolist(), plan.shares, n) for totals in tables)
    assert beyond(plan.totals(), plan.shares, n) == best
    seen += best > 0
    without = plan_splits(strata_of(len(records)), records, given, 0)
    moved += without.quotas.tolist() != plan.quotas.tolist()
  assert seen > 100  # tables whose totals cannot be at their shares
  assert moved > 500


def test_of_two_splits_cells_are_the_nearest_that_have_these_totals():
  rng, moved = np.random.default_rng(0), 0
  shares = [Fraction(9, 10), Fraction(1, 10)]
  for _ in range(200):
    records = rng.integers(2, 30, 6)
    goals = [goals_above([1, 1], n - 2, shares) for n in records.tolist()]
    start = controlled_rounding(records[:, None] * [9, 1], 10, nearest=True)
    found = raise_cells(start, [1, 1], shares, [], np.arange(6))
    moved += found is not start
    if found is start:
      assert (start >= 1).all()
      continue
    rows = [rows_within(n, goal) for n, goal in zip(records.tolist(), goals, strict=True)]
    totals = found.sum(axis=0).tolist()
    tables = [t for t in itertools.product(*rows) if np.sum(t, axis=0).tolist() == totals]
    off = [np.abs(np.array(table) - np.array(goals)).sum() for table in tables]
    assert np.abs(found - np.array(goals)).sum() == min(off)
  assert moved > 50


def test_records_beyond_the_shares_are_shared_by_weight():
  shares = SplitShares({'train': 8, 'eval': 1, 'test': 1}, {}, at_least={'eval': 1, 'test': 1})
  plan = plan_splits(strata_of(101), [3] * 100 + [100], shares)
  assert plan.totals() == [180, 110, 110]


def test_several_features_have_the_bound_for_the_first_one():
  strata = [
    (ClassValue('int', label), ClassValue('int', site)) for label in range(8) for site in range(5)
  ]
  records = [1 + label * site for label in range(8) for site in range(5)]
  shares = SplitShares({'train': 8, 'eval': 1, 'test': 1}, {}, at_least={'eval': 2, 'test': 2})
  plan = plan_splits(strata, records, shares)
  labels = plan.quotas.reshape(8, 5, 3).sum(axis=1)
  assert (labels[:, 1:] >= 2).all()
  assert plan.quotas.sum(axis=1).tolist() == records
  off = plan.quotas - plan.records[:, None] * np.repeat(labels, 5, axis=0) / np.repeat(
    labels.sum(axis=1), 5
  ).reshape(-1, 1)
  assert (np.abs(off) < 1).all()


def test_counts_hold_or_are_refused_with_the_number_that_can():
  shares = SplitShares({'train': 1}, {'test': 14}, at_least={'train': 1, 'test': 1})
  plan = plan_splits(strata_of(12), [2] * 10 + [25, 35], shares)
  assert plan.totals() == [66, 14]
  assert (plan.quotas[:10] == 1).all()
  assert plan.quotas[10:, 1].tolist() == [1, 3]
  low = SplitShares({'train': 1}, {'test': 9}, at_least={'train': 1, 'test': 1})
  with pytest.raises(DataError, match=r"12 classes bring split 'test' to 12 records; ask for 12"):
    plan_splits(strata_of(12), [2] * 10 + [25, 35], low)


def test_a_plan_that_has_its_bounds_is_as_it_was():
  records = [10, 20, 37, 1]
  plain = SplitShares.parse({'train': 8, 'test': 2})
  bounded = SplitShares(plain.weights, {}, at_least={'train': 1, 'test': 1})
  plans = [plan_splits(strata_of(4), records, shares, 3) for shares in (plain, bounded)]
  assert plans[0].quotas.tolist() == plans[1].quotas.tolist()


def test_nine_thousand_classes_of_which_many_are_small():
  sizes = np.maximum(1, np.random.default_rng(0).pareto(0.8, 9198) * 3).astype(np.int64)
  shares = SplitShares.parse({'train': 8, 'eval': 1, 'test': 1})
  bounded = SplitShares(shares.weights, {}, at_least=dict.fromkeys(shares.names, 1))
  plan = plan_splits(strata_of(9198), sizes, bounded)
  assert (plan.quotas[sizes >= 3] >= 1).all()
  large = sizes >= 10
  off = plan.quotas[large] - sizes[large][:, None] * np.array([0.8, 0.1, 0.1])
  assert (np.abs(off) < 1).all()
  assert abs(plan.totals()[1] - plan.totals()[2]) <= 1
