"""Extension of an earlier split: what is there stays, and counts come back to their shares."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import stratified_indices
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.extend import extend_split
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

ROWS = st.lists(
  st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 12)),
  min_size=1,
  max_size=12,
)
WEIGHTS = st.tuples(*[st.integers(1, 9)] * 3)


def strata_of(n):
  return [(ClassValue('int', i),) for i in range(n)]


def extended(rows, weights, seed=0):
  table = np.array(rows, np.int64)
  shares = SplitShares.parse(dict(zip('abc', weights, strict=True)))
  return extend_split(strata_of(len(table)), table[:, :3], table[:, 3], shares, seed)


@settings(max_examples=300)
@given(rows=ROWS, weights=WEIGHTS, seed=st.integers(0, 9))
def test_old_records_stay_and_cells_are_as_near_as_they_can(rows, weights, seed):
  if not np.sum(rows):
    return
  plan = extended(rows, weights, seed)
  for row, quotas in zip(rows, plan.quotas.tolist(), strict=True):
    old, n = row[:3], sum(row)
    assert sum(quotas) == n
    assert all(q >= earlier for q, earlier in zip(quotas, old, strict=True))
    ideals = [Fraction(n * weight, sum(weights)) for weight in weights]
    least = [max(earlier, math.floor(ideal)) for earlier, ideal in zip(old, ideals, strict=True)]
    if sum(least) <= n:  # then every cell that is not full already is exact
      for q, earlier, ideal in zip(quotas, old, ideals, strict=True):
        assert abs(q - ideal) < 1 or q == earlier > ideal


@given(rows=ROWS, weights=WEIGHTS, data=st.data())
def test_the_answer_does_not_depend_on_the_order_of_strata(rows, weights, data):
  if not np.sum(rows):
    return
  table, shares = (
    np.array(rows, np.int64),
    SplitShares.parse(dict(zip('abc', weights, strict=True))),
  )
  order = np.array(data.draw(st.permutations(range(len(rows)))))
  strata = strata_of(len(rows))
  plan = extend_split(strata, table[:, :3], table[:, 3], shares)
  other = extend_split([strata[i] for i in order], table[order, :3], table[order, 3], shares)
  assert other.quotas.tolist() == plan.quotas[order].tolist()


@settings(max_examples=50)
@given(
  sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30),
  weights=WEIGHTS,
  data=st.data(),
  seed=st.integers(0, 9),
)
def test_an_exact_split_that_grows_is_exact_again(sizes, weights, data, seed):
  shares = SplitShares.parse(dict(zip('abc', weights, strict=True)))
  strata = strata_of(len(sizes))
  first = plan_splits(strata, sizes, shares, seed)
  # As many new records as no cell can be above its ideal: one more of the whole in each.
  more = [data.draw(st.integers(sum(weights), 2 * sum(weights))) for _ in sizes]
  plan = extend_split(strata, first.quotas, np.array(more), shares, seed)
  assert (plan.quotas >= first.quotas).all()
  ideals = plan.records[:, None] * np.array(weights) / sum(weights)
  assert np.abs(plan.quotas - ideals).max() < 1
  assert np.abs(plan.quotas.sum(axis=0) - ideals.sum(axis=0)).max() < 1


def test_totals_come_back_where_single_cells_cannot():
  # A thousand classes of one record, and one more of each: cells of 1.6, 0.2 and 0.2.
  shares, strata = SplitShares.parse(), strata_of(1000)
  first = plan_splits(strata, [1] * 1000, shares)
  plan = extend_split(strata, first.quotas, np.ones(1000, np.int64), shares)
  assert plan.totals() == [1600, 200, 200]
  assert np.abs(plan.quotas - np.array([1.6, 0.2, 0.2])).max() < 1


def test_a_split_that_is_too_large_already_stays_and_the_others_share_the_rest():
  plan = extended([(0, 50, 0, 10)], (6, 1, 3))
  assert plan.quotas.tolist() == [[7, 50, 3]]
  assert plan.totals() == [7, 50, 3]


def test_counts_are_met_while_the_rest_grows():
  shares = SplitShares.parse({'train': 1}, {'test': 20})
  first = plan_splits(strata_of(2), [60, 40], shares)
  plan = extend_split(strata_of(2), first.quotas, np.array([30, 20]), shares)
  assert first.totals() == [80, 20]
  assert plan.totals() == [130, 20]


def test_nothing_new_changes_nothing():
  assert extended([(5, 0, 1, 0), (0, 2, 2, 0)], (8, 1, 1)).quotas.tolist() == [[5, 0, 1], [0, 2, 2]]


def test_no_records_are_an_error():
  with pytest.raises(DataError, match='the input holds no records; give at least one'):
    extended([(0, 0, 0, 0)], (1, 1, 1))


def test_items_of_an_earlier_split_stay_and_ten_percent_more_restore_the_shares():
  labels, key = np.arange(1100) % 7, np.arange(1100) * 3
  first = stratified_indices(labels[:1000], {'train': 4, 'test': 1}, key=key[:1000])
  earlier = {name: key[index] for name, index in first.items()}
  order = np.random.default_rng(0).permutation(1100)
  found = stratified_indices(
    labels[order], {'train': 4, 'test': 1}, seed=5, key=key[order], extend=earlier
  )
  assert sum(map(len, found.values())) == 1100
  for name, share in (('train', 0.8), ('test', 0.2)):
    index = order[found[name]]
    assert set(key[index].tolist()) >= set(earlier[name].tolist())
    assert abs(len(index) - 1100 * share) < 1
    classes = np.bincount(labels[index], minlength=7)
    assert np.abs(classes - np.bincount(labels) * share).max() < 1


@pytest.mark.parametrize(
  ('arguments', 'error', 'message'),
  [
    ({'extend': {}}, ConfigError, 'extend= names items by their keys, and key= is not given'),
    (
      {'key': [1, 2, 3], 'extend': {'train': [1]}},
      ConfigError,
      r"extend= has the splits \['train'\], and those to make are \['test', 'train'\]; give the",
    ),
    (
      {'key': [1, 2, 3], 'extend': {'train': [1, 9.5], 'test': []}},
      DataError,
      r"2 keys of extend\['train'\] are not in key=; give .* of one type",
    ),
    (
      {'key': [1, 2, 3], 'extend': {'train': [1], 'test': [2, 1]}},
      DataError,
      r"extend\['test'\] has keys of another split too; give each key once",
    ),
  ],
)
def test_what_items_cannot_extend(arguments, error, message):
  with pytest.raises(error, match=message):
    stratified_indices([0, 1, 1], {'train': 1, 'test': 1}, **arguments)
