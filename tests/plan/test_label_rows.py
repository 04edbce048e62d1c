"""One rule tells label sets in memory: rows of 0 and 1, or lists of labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.plan.label_sets import count_label_sets
from tfx_balance.plan.labels import LabelRows, are_no_labels, as_flags

MATRIX = np.random.default_rng(5).random((200, 6)) < 0.3
FLAGS = MATRIX.astype(int)


@pytest.mark.parametrize(
  'rows',
  [MATRIX, FLAGS.astype(float), FLAGS.tolist(), list(FLAGS), tuple(map(tuple, FLAGS.tolist()))],
  ids=['bool', 'float', 'lists', 'arrays', 'tuples'],
)
def test_rows_of_0_and_1_are_a_matrix(rows):
  found = LabelRows.of(rows)
  assert found.row_splits is None
  np.testing.assert_array_equal(found.values, MATRIX)
  want = stratified_indices(FLAGS, multilabel=True)
  for name, index in stratified_indices(rows, multilabel=True).items():
    np.testing.assert_array_equal(index, want[name])


def test_lists_of_labels_and_a_matrix_give_the_same_sets():
  values = [np.flatnonzero(row)[::-1].repeat(2) for row in MATRIX]
  (a, order), (b, other) = (count_label_sets(LabelRows.of(rows)) for rows in (MATRIX, values))
  assert (a.classes, a.records) == (b.classes, b.records)
  np.testing.assert_array_equal(order, other)
  text, _ = count_label_sets(LabelRows.of([{'cat', 'dog'}, ('dog',)]))
  assert [str(value) for value in text.classes] == ['{dog}', '{cat, dog}']


def test_rows_of_one_length_may_be_lists_of_labels():
  pairs = [[7, 5], [5, 9], [7, 5]]
  sets, which = LabelRows.of(pairs).distinct()
  assert [str(value) for value in sets.classes] == ['{5, 7}', '{5, 9}']
  assert which.tolist() == [0, 1, 0]
  text, _ = LabelRows.of(np.array([['a', 'b'], ['b', 'b']])).distinct()
  assert [str(value) for value in text.classes] == ['{a, b}', '{b}']


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(-2, 3), max_size=4), min_size=1, max_size=30))
def test_sets_are_those_of_python(rows):
  rows.append([2])  # so that they are no rows of 0 and 1
  sets, which = LabelRows.of(rows).distinct()
  assert sets.labels == tuple(sorted(sets.labels))
  named = [tuple(label.value for label in value.value) for value in sets.classes]
  assert named == sorted(set(named))
  assert [named[i] for i in which] == [tuple(sorted(set(row))) for row in rows]


def test_only_rows_that_repeat_a_label_are_no_labels():
  of = lambda *rows: as_flags(np.concatenate(rows), np.array([len(row) for row in rows]))  # noqa: E731
  assert are_no_labels(of([0, 1, 0]))
  assert are_no_labels(of([0, 1], [1, 1]))
  assert not are_no_labels(of([0, 1], [1, 0]))
  assert not are_no_labels(of([1], [0]))
  assert of([0, 1], [1]) is None
  assert of([0, 2], [1, 0]) is None


@pytest.mark.parametrize(
  ('labels', 'fault'),
  [
    pytest.param(
      np.array([[0, 2]]), r'labels of shape \(1, 2\) hold 2, and must be 0 or 1', id='2'
    ),
    pytest.param(np.array([[0, 0.5]]), 'hold 0.5, and must be 0 or 1', id='a fraction'),
    pytest.param(np.array([[0, np.nan]]), r'labels\[0, 1\] is missing', id='nan'),
    pytest.param(np.zeros((0, 3)), r'labels of shape \(0, 3\) must be \[n, n_labels\]', id='none'),
    pytest.param(np.zeros((2, 2, 1)), r'shape \(2, 2, 1\) must be \[n, n_labels\]', id='3 axes'),
    pytest.param(np.zeros((3, 2)), 'none of 3 records has a label', id='zeros'),
    pytest.param([], 'there are 0 items', id='an empty list'),
    pytest.param([[], []], 'none of 2 records has a label', id='empty lists'),
    pytest.param([0, 1], 'item 0 has the labels 0; with multilabel=True give each item', id='flat'),
    pytest.param(np.array([0, 1]), 'item 0 has the labels 0; with', id='a flat array'),
    pytest.param([['c'], 'ab'], "item 1 has the labels 'ab'; with multilabel=True", id='text'),
    pytest.param(
      [['a'], [1]], r"labels\[1\] is 1, and the first value is 'a', of another type", id='two types'
    ),
    pytest.param([[1], [0.5]], 'label 0.5 must be an integer', id='a fraction in a list'),
    pytest.param(5, 'labels of type int are not a matrix of 0 and 1, nor lists', id='a number'),
  ],
)
def test_what_is_neither_is_refused(labels, fault):
  with pytest.raises(DataError, match=fault):
    LabelRows.of(labels).distinct()
