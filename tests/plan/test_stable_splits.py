"""Splits by hash alone: an item keeps its split, and the error is binomial."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tfx_balance import stratified_indices
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.stable import deviation

SPLITS = {'train': 8, 'eval': 1, 'test': 1}


def split_of_keys(keys, labels, **arguments):
  """Returns the splits in which each key is."""
  found = stratified_indices(labels, key=keys, mode='stable', **arguments)
  splits = {}
  for name, index in found.items():
    for key in np.asarray(keys)[index].tolist():
      splits.setdefault(key, set()).add(name)
  return splits


@given(
  items=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), min_size=1, max_size=60),
  n_before=st.integers(1, 60),
  seed=st.integers(0, 99),
  folds=st.sampled_from([0, 3]),
)
def test_a_key_is_in_one_split_and_stays_there(items, n_before, seed, folds):
  splits = {'train': 7, 'test': 3}
  keys, labels = zip(*items, strict=True)
  try:
    after = split_of_keys(keys, labels, seed=seed, splits=splits, folds=folds)
    arguments = {'seed': seed, 'splits': splits, 'folds': folds}
    before = split_of_keys(keys[:n_before], labels[:n_before], **arguments)
  except DataError:  # a fold is empty
    assume(not folds)
    raise
  assert all(len(names) == 1 for names in after.values())
  assert before.items() <= after.items()


def test_shares_are_met_up_to_chance():
  n = 100_000
  found = stratified_indices(np.arange(n) % 5, SPLITS, key=np.arange(n), mode='stable')
  assert sum(map(len, found.values())) == n
  for name, weight in SPLITS.items():
    assert abs(len(found[name]) - n * weight / 10) < 4 * deviation(n, weight / 10)
    classes = np.bincount(found[name] % 5)
    assert np.abs(classes - n * weight / 50).max() < 4 * deviation(n // 5, weight / 10)


def test_over_the_seeds_the_deviation_is_that_of_a_binomial():
  sizes = [
    len(stratified_indices([0] * 400, SPLITS, seed, key=np.arange(400), mode='stable')['test'])
    for seed in range(300)
  ]
  assert abs(np.mean(sizes) - 40) < 4 * deviation(400, 0.1) / np.sqrt(300)
  assert np.std(sizes) == pytest.approx(deviation(400, 0.1), rel=0.2)


def test_items_go_where_they_are_told_and_the_others_by_hash():
  sets = ['test', 'train', '', ''] * 50
  labels, keys = [0, 1] * 100, np.arange(200)
  shares = {'train': 1, 'test': 1}
  found = stratified_indices(labels, shares, split_by=sets, key=keys, mode='stable')
  alone = stratified_indices(labels, shares, key=keys, mode='stable')
  for name, index in found.items():
    mine = {i for i in range(200) if sets[i] == name}
    free = {i for i in alone[name].tolist() if not sets[i]}
    assert set(index.tolist()) == mine | free


def test_stable_splits_need_keys():
  with pytest.raises(ConfigError, match="mode='stable' deals items by their keys, and key= is not"):
    stratified_indices([0, 1], mode='stable')
