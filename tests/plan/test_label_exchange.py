"""Label sets in memory: how exchanges bring labels near to their shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.plan.apportion import controlled_rounding
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distinct_sets import MOST_PAIRS, DistinctSets
from tfx_balance.plan.label_exchange import exchange_records

SPLITS = {'train': 7, 'eval': 2, 'test': 1}


def matrix(n, n_labels, seed=0):
  draw = np.random.default_rng(seed)
  return (draw.random((n, n_labels)) < 2 / np.arange(2, n_labels + 2)).astype(np.int64)


def worst(labels, indices, splits):
  total = sum(splits.values())
  return max(
    np.abs(labels[indices[name]].sum(axis=0) - labels.sum(axis=0) * share / total).max()
    for name, share in splits.items()
  )


@pytest.mark.parametrize('n_labels', [3, 20, 100])
def test_labels_are_nearer_than_sets_alone_bring_them(n_labels):
  labels = matrix(3000, n_labels)
  indices = stratified_indices(labels, SPLITS, multilabel=True)
  assert sorted(np.concatenate(list(indices.values()))) == list(range(len(labels)))
  names = [repr(row) for row in labels.tolist()]
  rounded = stratified_indices(names, SPLITS)
  assert [len(index) for index in indices.values()] == [2100, 600, 300]
  assert worst(labels, indices, SPLITS) < 1.2
  assert worst(labels, indices, SPLITS) <= worst(labels, rounded, SPLITS)


def test_a_matrix_and_lists_give_the_same_sizes_of_sets():
  labels = matrix(200, 5)
  lists = [[f'l{at}' for at in np.flatnonzero(row)][::-1] for row in labels]
  found = stratified_indices(labels, SPLITS, multilabel=True)
  other = stratified_indices(lists, SPLITS, multilabel=True)
  for name in SPLITS:
    assert len(found[name]) == len(other[name])
    assert np.abs(labels[found[name]].sum(axis=0) - labels[other[name]].sum(axis=0)).max() <= 2


@settings(max_examples=60, deadline=None)
@given(
  rows=st.lists(
    st.tuples(st.frozensets(st.integers(0, 5), max_size=4), st.integers(1, 9)),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[0],
  ),
  shares=st.lists(st.integers(1, 5), min_size=2, max_size=4),
  seed=st.integers(0, 9),
)
def test_exchanges_keep_totals_and_bounds_and_lower_the_deviation(rows, shares, seed):
  sets = DistinctSets.of(
    ClassValue('set', tuple(ClassValue('int', label) for label in sorted(set(members))))
    for members, _ in rows
  )
  records = np.array([n for _, n in rows], np.int64)
  whole = sum(shares)
  table = records[:, None] * np.array(shares)
  quotas = controlled_rounding(table.tolist(), whole, seed=seed)
  floors, movable = table // whole, table % whole > 0
  found = exchange_records(quotas, movable, quotas > floors, sets, seed)
  assert (found.sum(axis=0) == quotas.sum(axis=0)).all()
  assert (found.sum(axis=1) == records).all()
  assert ((found == floors) | (movable & (found == floors + 1))).all()
  assert deviation(found, sets) <= deviation(quotas, sets) + 1e-3
  assert (found == exchange_records(quotas, movable, quotas > floors, sets, seed)).all()


def deviation(quotas, sets):
  """The sum that exchanges lower: of squares, those of labels weighted by 32."""
  pairs, owners = sets.pairs()
  total = 0.0
  for items, of, weight in ((sets.members, sets.owners, 32), (pairs, owners, 1)):
    counts = np.zeros((int(items.max(initial=-1)) + 1, quotas.shape[1]))
    np.add.at(counts, items, quotas[of])
    wanted = counts.sum(axis=1, keepdims=True) * quotas.sum(axis=0) / quotas.sum()
    total += weight * ((counts - wanted) ** 2).sum()
  return total


def test_pairs_of_very_many_labels_are_left_out():
  n_labels = 3000
  everything = ClassValue('set', tuple(ClassValue('int', i) for i in range(n_labels)))
  assert n_labels * (n_labels - 1) // 2 > MOST_PAIRS
  pairs, owners = DistinctSets.of([everything]).pairs()
  assert len(pairs) == len(owners) == 0
