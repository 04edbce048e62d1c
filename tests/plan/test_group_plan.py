"""Splits of groups: none in two splits, nothing lost, and counts near their ideals."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.modes.groups import dealt_splits, plan_groups, predefined_splits
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.group_search import deal
from tfx_balance.plan.group_table import (
  ENTRY,
  FREE,
  GroupPart,
  GroupTable,
  count_entries,
  group_numbers,
)
from tfx_balance.plan.narrow_integers import SparseCounts
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares
from tfx_balance.sizes import SIZES

SPLITS = {'train': 8, 'eval': 1, 'test': 1}


def random_items(seed, n_groups, n_classes, mean=10):
  """Returns labels and groups of items; classes and groups are of many sizes."""
  rng = np.random.default_rng(seed)
  groups = np.repeat(np.arange(n_groups), rng.poisson(mean, n_groups) + 1)
  shares = rng.dirichlet(np.ones(n_classes), n_groups)[groups].cumsum(axis=1)
  labels = (rng.random(len(groups))[:, None] > shares).sum(axis=1).clip(max=n_classes - 1)
  order = rng.permutation(len(groups))
  return labels[order], groups[order]


def assert_groups_are_whole(split_groups):
  found = [set(groups) for groups in split_groups]
  assert sum(map(len, found)) == len(set().union(*found))


def deviations(labels, indices, weights):
  """Returns how far each class, and all of them, are from the ideal in each split."""
  shares = np.array([weights[name] for name in indices]) / sum(weights.values())
  counts = np.stack([np.bincount(labels[i], minlength=labels.max() + 1) for i in indices.values()])
  counts = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
  return np.abs(counts - shares[:, None] * counts.sum(axis=0))


MAY_BE_EMPTY = pytest.mark.filterwarnings('ignore:split .* is empty')


@MAY_BE_EMPTY
@settings(max_examples=30, deadline=None)
@given(
  st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60),
  st.integers(0, 9),
  st.integers(1, 4),
)
def test_no_group_is_in_two_splits_and_nothing_is_lost(items, seed, test):
  groups, labels = np.array(items).T
  indices = stratified_indices(labels, {'train': 5, 'test': test}, seed, groups=groups)
  assert sorted(np.concatenate(list(indices.values())).tolist()) == list(range(len(items)))
  assert_groups_are_whole(groups[i].tolist() for i in indices.values())


@MAY_BE_EMPTY
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40), st.integers(1, 5))
def test_the_order_of_items_does_not_matter(seed, n_groups, n_classes):
  labels, groups = random_items(seed, n_groups, n_classes, mean=3)
  order = np.random.default_rng(seed).permutation(len(labels))
  there = stratified_indices(labels, SPLITS, groups=groups)
  then = stratified_indices(labels[order], SPLITS, groups=groups[order])
  for name in SPLITS:
    assert set(groups[there[name]]) == set(groups[order][then[name]])


@pytest.mark.parametrize('weights', [SPLITS, dict.fromkeys('abcde', 1)], ids=['8:1:1', 'folds'])
@pytest.mark.parametrize('n_classes', [1, 2, 5])
@pytest.mark.parametrize('seed', range(6))
def test_300_groups_come_within_one_record(seed, n_classes, weights):
  labels, groups = random_items(seed, 300, n_classes)
  indices = stratified_indices(labels, weights, seed, groups=groups)
  assert deviations(labels, indices, weights).max() <= 1


def test_another_seed_gives_other_groups():
  labels, groups = random_items(0, 500, 2)
  one, two = (stratified_indices(labels, SPLITS, seed, groups=groups) for seed in (0, 1))
  assert set(groups[one['test']]) != set(groups[two['test']])


def test_folds_and_an_untouched_test_split():
  labels, groups = random_items(1, 400, 3)
  indices = stratified_indices(labels, folds=4, groups=groups)
  weights = {**{f'fold-{i}': 9 for i in range(4)}, 'test': 4}
  assert list(indices) == list(weights)
  assert_groups_are_whole(groups[i].tolist() for i in indices.values())
  assert deviations(labels, indices, weights).max() <= 1


def test_a_group_with_a_predefined_split_is_there_as_a_whole():
  labels, groups = random_items(2, 400, 2)
  sets = np.where((groups < 50) & (labels == 0), 'test', 'none')  # some items of a group alone
  wanted = set(groups[sets == 'test'])
  indices = stratified_indices(
    labels, SPLITS, split_by=sets, split_values={'test': 'test'}, groups=groups
  )
  assert wanted <= set(groups[indices['test']])
  assert_groups_are_whole(groups[i].tolist() for i in indices.values())


def test_a_group_with_two_predefined_splits_is_refused():
  with pytest.raises(DataError, match='1 groups have records with different predefined splits'):
    stratified_indices([0, 0, 1], split_by=['train', 'eval', 'test'], groups=[7, 7, 8])


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'groups': [1]}, 'groups is of shape'),
    ({'groups': [1, 2], 'key': [1, 2]}, 'key= and groups= do not combine'),
  ],
)
def test_what_does_not_go_with_groups(arguments, message):
  with pytest.raises((ConfigError, DataError), match=message):
    stratified_indices([0, 1], **arguments)


def planned(parts, n_rows, seed=0, most=SIZES.histograms):
  """Returns the plan of parts, of so many histograms, and the split of each group by its number."""
  entries = np.concatenate([entry for part in parts for entry in part])
  records = np.bincount(entries['row'], entries['records'], minlength=n_rows).astype(np.int64)
  frame = plan_splits(
    [(ClassValue('int', row),) for row in range(n_rows)],
    records,
    SplitShares.parse(SPLITS),
    seed,
    None,
    stable=True,
  )
  predefined = predefined_splits(frame)
  built = [GroupPart(part, ['f'] * len(part), predefined) for part in parts]
  table = GroupTable.merge([part.table(i) for i, part in enumerate(built)], most)
  dealt = [dealt_splits(part, frame, table, seed) for part in built]
  placed = SparseCounts.merge(
    [part.sums(split, frame.quotas.shape) for part, split in zip(built, dealt, strict=True)]
  )
  groups = plan_groups(frame, table, placed, seed)
  plan, found = groups.plan, [groups.assign(part, i).split for i, part in enumerate(built)]
  sums = [part.sums(split, plan.quotas.shape) for part, split in zip(built, found, strict=True)]
  assert SparseCounts.merge(sums).dense().tolist() == plan.quotas.tolist()
  return plan, {
    number: split
    for part, splits in zip(built, found, strict=True)
    for number, split in zip(part.groups.tolist(), splits.tolist(), strict=True)
  }


@pytest.mark.parametrize('most', [200_000, 60])
def test_files_do_not_matter_and_parts_get_what_is_planned(most):
  labels, groups = random_items(5, 600, 3, mean=5)
  numbers = group_numbers(groups.astype(np.uint64), 0)
  of_part = (numbers >> np.uint64(62)).astype(np.int64)
  found = []
  for n_files in (1, 3):
    file = np.arange(len(labels)) % n_files
    chosen = [[(of_part == p) & (file == f) for f in range(n_files)] for p in range(4)]
    parts = [
      [count_entries(numbers[mine], labels[mine], np.flatnonzero(mine)) for mine in part]
      for part in chosen
    ]
    found.append(planned(parts, 3, most=most))
  assert found[0][1] == found[1][1]
  assert found[0][0].quotas.tolist() == found[1][0].quotas.tolist()


def test_more_histograms_than_are_planned():
  labels, groups = random_items(3, 3000, 6)
  entries = count_entries(groups.astype(np.uint64), labels, groups)
  (_, whole), (plan, few) = (planned([[entries]], 6, most=most) for most in (200_000, 400))
  assert plan.quotas.sum() == len(labels)
  assert abs(plan.furthest().records - plan.furthest().ideal) <= 1
  assert whole != few


def test_a_group_that_is_too_large_is_named():
  entries = np.array([(1, 0, 900, 17), (2, 0, 50, 3), (3, 0, 50, 8)], ENTRY)
  plan, _ = planned([[entries]], 1)
  assert [(group.records, group.where) for group in plan.groups.too_large] == [
    (900, 'record 17 of f')
  ]
  assert plan.furthest().records == 900
  assert plan.furthest().ideal == 800


def test_tables_merge_in_any_order():
  merge = partial(GroupTable.merge, most=50)
  tables = []
  for part in range(3):
    labels, groups = random_items(part, 100, 4, mean=3)
    entries = count_entries(groups.astype(np.uint64), labels, groups)
    tables.append(GroupPart([entries], ['f'], np.full(4, FREE)).table(part))
  one = merge(tables)
  two = merge([tables[2], merge([tables[1], tables[0]])])
  assert len(one.keys) == 50
  for name in ('keys', 'parts', 'of', 'groups'):
    assert getattr(one, name).tolist() == getattr(two, name).tolist()


@given(st.integers(0, 500), st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any))
def test_what_is_dealt_is_in_proportion(n, shares):
  dealt = np.bincount(deal(n, shares, 1), minlength=len(shares))
  ideal = n * np.array(shares) / sum(shares)
  assert dealt.sum() == n
  assert (np.abs(dealt - ideal) < 5).all()  # the discrepancy grows with the logarithm of n


@pytest.mark.parametrize('labels', [['a'] * 100, ['a', 'b'] * 50], ids=['one class', 'two'])
@pytest.mark.parametrize('seed', range(5))
def test_of_plans_that_are_equally_near_one_without_an_empty_split_is_taken(labels, seed):
  groups = [0] * 60 + [1] * 40
  indices = stratified_indices(labels, {'train': 4, 'test': 1}, seed, groups=groups)
  assert sorted(map(len, indices.values())) == [40, 60]  # 100 and 0 are as near to 80 and 20


def test_a_group_that_would_take_counts_further_from_their_shares_leaves_a_split_empty():
  groups = [0] * 60 + [1] * 40
  with pytest.warns(UserWarning, match=r"split 'test' is empty: .*; give it a larger share"):
    indices = stratified_indices(['a'] * 100, {'train': 9, 'test': 1}, groups=groups)
  assert {name: len(index) for name, index in indices.items()} == {'train': 100, 'test': 0}


@MAY_BE_EMPTY
@settings(max_examples=60, deadline=None)
@given(
  st.lists(st.integers(1, 40), min_size=2, max_size=6),
  st.lists(st.integers(1, 9), min_size=2, max_size=3),
)
def test_no_single_move_fills_an_empty_split_at_no_cost(sizes, weights):
  groups, splits = np.repeat(np.arange(len(sizes)), sizes), dict(zip('abc', weights, strict=False))
  indices = stratified_indices(np.zeros(len(groups), int), splits, groups=groups)
  ideal = {name: len(groups) * weight / sum(weights) for name, weight in splits.items()}
  for empty in (name for name, index in indices.items() if not len(index)):
    for name, index in indices.items():
      group_sizes = [sizes[group] for group in set(groups[index].tolist())]
      for size in group_sizes if len(group_sizes) > 1 else []:
        now = (len(index) - ideal[name]) ** 2 + ideal[empty] ** 2
        then = (len(index) - size - ideal[name]) ** 2 + (size - ideal[empty]) ** 2
        assert then > now - 0.2  # ideals are rounded to 1 / 1024 of a record
