"""One seed in a chain of components, and in calls inside of calls, never draws the same twice."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from tfx_balance import (
  BalancedAugmenter,
  BalancedInputGen,
  StratifiedSplits,
  StratifiedSplitter,
  stratified_indices,
)

from tests.balanced_augmenter.helpers_balance import tabular
from tests.helpers_examples import labelled, read_splits, value_of
from tests.helpers_pipeline import execute, in_new_folders

N = {'a': 4000, 'b': 1000}
SIGMAS = 4  # of what chance gives; the draws are fixed, so that a test passes always or never


def ids_of(artifact, split='train', label=b'a'):
  """Returns the ids of the records of a class in the order of the files: int64 [n]."""
  records = read_splits(artifact.uri)[split]
  return np.array([value_of(one, 'id') for one in records if value_of(one) == label])


def rank_correlation(before, after):
  """Returns Spearman's correlation of the first places of ids in two orders, and their number."""
  both = np.intersect1d(before, after)
  places = [np.unique(ids[np.isin(ids, both)], return_index=True)[1] for ids in (before, after)]
  return float(np.corrcoef(*np.argsort(np.argsort(places)))[0, 1]), len(both)


def assert_by_chance(hits, n, p):
  """Checks that of n independent draws with probability p about as many hit as chance has it."""
  assert abs(hits - n * p) <= SIGMAS * np.sqrt(n * p * (1 - p)), f'{hits} of {n}, by chance {n * p}'


@pytest.fixture(scope='module')
def chain(tmp_path_factory):
  """The artifacts of a chain of components that all have the default seed."""
  folder = tmp_path_factory.mktemp('chain')
  made = [
    in_new_folders(StratifiedSplitter, folder)(
      {'all': [labelled(N)]}, splits={'train': 9, 'eval': 1}
    )
  ]
  steps = [
    (BalancedAugmenter, {'sampling_strategy': {'a': 3600, 'b': 1350}}),
    (BalancedAugmenter, {'sampling_strategy': {'a': 3000, 'b': 450}, 'undersample': True}),
    (StratifiedSplitter, {'splits': {'train': 9, 'eval': 1}}),
    (BalancedInputGen, {}),
    (BalancedInputGen, {}),
  ]
  for i, (component, arguments) in enumerate(steps):
    made.append(execute(component, [made[-1]], folder / f'step{i}', **arguments))
  return made


def test_each_step_of_a_chain_shuffles_anew(chain):
  for label in (b'a', b'b'):
    for before, after in pairwise(chain):
      correlation, n = rank_correlation(ids_of(before, label=label), ids_of(after, label=label))
      assert n >= 250
      assert abs(correlation) <= SIGMAS / np.sqrt(n - 1), (after.uri, label)


def test_under_sampling_does_not_choose_what_over_sampling_chose(chain):
  _, over, under, *_ = chain
  copies = Counter(ids_of(over, label=b'b').tolist())
  kept = set(ids_of(under, label=b'b').tolist())
  assert sum(copies.values()) == 1350
  assert set(copies.values()) == {1, 2}
  assert_by_chance(sum(copies[i] == 2 for i in kept), len(kept), 1 / 2)


def test_a_second_split_does_not_choose_what_the_first_chose(tmp_path):
  split = in_new_folders(StratifiedSplitter, tmp_path)
  source = {'all': [labelled(N)]}
  half = split(source, splits={'train': 1, 'eval': 1})
  quarter = set(ids_of(split(source, splits={'train': 1, 'eval': 3})).tolist())
  assert quarter < set(ids_of(half).tolist())  # the first ones of one draw
  again = split(half, splits={'train': 1, 'other': 1}, input_splits=['train'])
  assert_by_chance(len(quarter & set(ids_of(again).tolist())), len(quarter), 1 / 2)


def test_a_second_augmentation_makes_other_copies(tmp_path):
  function = 'tests.balanced_augmenter.functions.jitter'
  augment = in_new_folders(BalancedAugmenter, tmp_path)
  once = augment({'train': [tabular(N)]}, factors={'b': 2}, augment_fn=function)
  twice = augment(once, factors={'b': 2}, augment_fn=function)
  for artifact, n in ((once, 2000), (twice, 4000)):
    records = [one for one in read_splits(artifact.uri)['train'] if value_of(one) == b'b']
    assert len(records) == len(set(records)) == n


@pytest.mark.parametrize('grouped', [False, True])
def test_folds_inside_of_folds_are_others(grouped):
  y = np.repeat([0, 1], [4000, 1000])
  groups = np.random.default_rng(0).permutation(len(y)) // 2 if grouped else None
  splits = StratifiedSplits(5)
  outer = fold_of(splits, y, groups)
  for train, _ in splits.split(y, y, groups):
    inner = fold_of(splits, y[train], groups[train] if grouped else None)
    for fold in (outer[: len(train)], outer[train]):  # by place, and by item
      table = np.zeros((5, 5))
      np.add.at(table, (fold, inner), 1)
      expected = np.outer(np.bincount(fold, minlength=5), np.full(5, 0.2))
      of_chance = np.sqrt(
        expected * 0.8 * (2 if grouped else 1)
      )  # two items of a group are one draw
      assert (np.abs(table - expected) <= SIGMAS * of_chance).all()


def fold_of(splits, y, groups):
  """Returns the fold in which each item is tested: int64 [n]."""
  fold = np.empty(len(y), np.int64)
  for i, (_, test) in enumerate(splits.split(y, y, groups)):
    fold[test] = i
  return fold


def test_folds_are_no_parts_of_a_split_of_the_same_items():
  y = np.repeat([0, 1], [4000, 1000])
  train = stratified_indices(y, {'train': 1, 'test': 1})['train']
  (_, test), *_ = StratifiedSplits(5).split(y, y)
  assert_by_chance(len(np.intersect1d(train, test)), len(test), 1 / 2)
