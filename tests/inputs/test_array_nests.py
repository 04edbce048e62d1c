"""Lists, pandas and what generators yield are the same arrays in train, in eval and in fit."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_balance.errors import DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.inputs.selection import ClassSelector, UniformSelector, selection_dataset

N = 32
LABELS = np.repeat([0, 1], [24, 8])
X = np.arange(3 * N).reshape(N, 3).astype('float32')
ROWS = np.random.default_rng(0).permutation(N)
"""Labels of the rows of a table of pandas that was shuffled."""


def first_batches(features):
  """Returns the features of the first batch of train, of eval and of a selector."""
  made = BalancedInputs.from_arrays(features, LABELS)
  batches = [next(iter(data))[0] for data in (made.train(8), made.eval(8))]
  return [*batches, selection_dataset(features, LABELS, UniformSelector(N), 8)[0][0]]


@pytest.mark.parametrize(
  ('features', 'shapes'),
  [
    ([X, X[:, :2]], ((8, 3), (8, 2))),
    ([X, X], ((8, 3), (8, 3))),
    (X.tolist(), (8, 3)),
    ({'x': [1.0] * N, 'text': ['a', b'b'] * (N // 2)}, {'x': (8,), 'text': (8,)}),
    ([X, [{'x': [1] * N}]], ((8, 3), ({'x': (8,)},))),
  ],
  ids=['of two widths', 'of one width', 'rows', 'columns', 'a nest'],
)
def test_a_list_of_numbers_is_an_array_and_a_list_of_arrays_a_nest(features, shapes):
  for batch in first_batches(features):
    assert tf.nest.map_structure(lambda array: tuple(array.shape), batch) == shapes


def test_bytes_in_lists_and_from_a_generator_keep_the_zeros_at_their_ends():
  for batch in first_batches([b'a\0'] * N):
    assert set(np.asarray(batch)) == {b'a\0'}
  made = BalancedInputs.from_generator(lambda: ((b'a\0', label) for label in LABELS))
  assert set(next(iter(made.train(8)))[0].numpy()) == {b'a\0'}


@pytest.mark.parametrize(
  ('features', 'message'),
  [
    ([[1, 2]] * 31 + [[1]], 'is not an array .* give rows of one length'),
    (['a'] * 31 + [1.0], r"feature\[31\] is 1.0, and the first value is 'a', of another type"),
    (list(X), r'has 3 rows and there are 32 .* np\.stack\(rows\)'),
  ],
)
def test_lists_that_are_no_arrays_are_refused(features, message):
  for make in (
    lambda: BalancedInputs.from_arrays(features, LABELS),
    lambda: selection_dataset(features, LABELS, UniformSelector(N), 8),
  ):
    with pytest.raises(DataError, match=message):
      make()


@pytest.mark.parametrize('name', ['keras', 'tf_keras'])
def test_fit_takes_a_list_of_arrays_from_both_datasets(name):
  keras = pytest.importorskip(name)
  inputs = [keras.Input((3,)), keras.Input((2,))]
  model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()(inputs)))
  model.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
  features = [X, X[:, :2]]
  selected = selection_dataset(features, LABELS.tolist(), UniformSelector(N), 8, keras=name)
  for data in (selected, BalancedInputs.from_arrays(features, LABELS).train(8, stop=3)):
    assert len(model.fit(data, verbose=0).history['loss']) == 1


@pytest.mark.parametrize(
  ('make', 'shapes'),
  [
    (lambda row: row.tolist(), (8, 3)),
    (lambda row: [row, row[:2]], ((8, 3), (8, 2))),
    (lambda row: {'x': row.tolist(), 'z': tf.constant('t')}, {'x': (8, 3), 'z': (8,)}),
    (tuple, ((8,),) * 3),
  ],
  ids=['list', 'list of arrays', 'dict', 'tuple'],
)
def test_the_rows_of_a_generator_are_lists_or_nests_too(make, shapes):
  made = BalancedInputs.from_generator(lambda: zip(map(make, X), LABELS, strict=True))
  for data in (made.train(8), made.eval(8)):
    batch, _ = next(iter(data))
    assert tf.nest.map_structure(lambda array: tuple(array.shape), batch) == shapes
  (first, *_) = tf.nest.flatten(next(iter(made.eval(8)))[0])
  assert np.array_equal(first, X[:8] if first.ndim == 2 else X[:8, 0])


@pytest.mark.parametrize(
  ('features', 'labels', 'message'),
  [
    (X.reshape(4, 8, 3), LABELS.reshape(4, 8), r'record 0 .* label of shape \(8,\), .* no batches'),
    ([1.0] * 9 + [b'x'], [0] * 10, r'record 9 .* text \[\], and record 0 has float \[\]'),
    ([1] * 9 + [1.5], [0] * 10, r'record 9 .* float \[\], and record 0 has int \[\]'),
    ([[1]] * 9 + [[1, 2]], [0] * 10, r'record 9 .* int \[2\], and record 0 has int \[1\]'),
    ([{'a': 1}, {'b': 1}], [0, 0], r"record 1 .* {'b': 'int \[\]'}, and record 0 has {'a'"),
    ([None] * 2, [0, 0], 'feature is missing'),
  ],
  ids=['batches', 'bytes', 'a fraction', 'a shape', 'a name', 'nothing'],
)
def test_records_of_a_generator_that_differ_are_refused_by_number(features, labels, message):
  with pytest.raises(DataError, match=message):
    BalancedInputs.from_generator(lambda: zip(features, labels, strict=True))


def test_batches_of_several_labels_are_refused():
  batches = [(X[:4], np.eye(4, dtype=int))] * 2
  with pytest.raises(DataError, match=r'record 0 .* label of shape \(4, 4\), .* no batches'):
    BalancedInputs.from_generator(lambda: batches, multilabel=True)


@pytest.mark.parametrize(
  'features',
  [
    np.arange(N),
    pd.Series(np.arange(N), index=ROWS),
    pd.DataFrame({'a': np.arange(N)}, index=ROWS),
    {'a': pd.Series(np.arange(N), index=ROWS)},
  ],
  ids=['array', 'series', 'table', 'column'],
)
def test_rows_of_pandas_go_by_position(features):
  labels = pd.Series(LABELS, index=ROWS)
  made = BalancedInputs.from_arrays(features, labels)
  uniform, balanced = (
    selection_dataset(features, labels, selector, N)
    for selector in (UniformSelector(N), ClassSelector(labels))
  )
  for batch, found in (*made.train(8).take(4), *made.eval(8), uniform[0], balanced[0]):
    (rows,) = tf.nest.flatten(batch)
    assert np.array_equal(LABELS[np.ravel(rows)], found)
  share = np.mean([balanced[i][1].mean() for i in range(20)])
  assert abs(share - 0.5) < 0.1


@pytest.mark.parametrize('kind', ['Int64', 'Float64', 'boolean'])
def test_nullable_types_of_pandas_are_numbers_where_nothing_is_missing(kind):
  values = pd.array(LABELS, 'Int64').astype(kind)
  for features in (values, pd.Series(values, ROWS), pd.DataFrame({'x': values})):
    for batch in first_batches(features):
      (found,) = tf.nest.flatten(batch)
      assert np.asarray(found).dtype.kind == {'I': 'i', 'F': 'f', 'b': 'b'}[kind[0]]
  for labels in (values, pd.Series(values, ROWS)):
    _, found = next(iter(BalancedInputs.from_arrays(X, labels).train(8)))
    assert sorted(found.numpy().tolist()) == [0] * 4 + [1] * 4


def test_a_table_is_a_dict_of_its_columns():
  table = pd.DataFrame(
    {
      'float': X[:, 0],
      'red': LABELS == 1,
      'count': pd.array(LABELS, 'Int64'),
      'text': np.where(LABELS == 1, 'é', 'b\0'),
      'category': pd.Categorical(np.where(LABELS == 1, 'x', 'y')),
      'level': pd.Categorical(LABELS),
      'string': pd.array(['a'] * N, 'string'),
    },
    ROWS,
  )
  kinds = dict(
    zip(table, ['float32', 'bool', 'int64', *['object'] * 2, 'int64', 'object'], strict=True)
  )
  for batch in first_batches(table):
    assert {name: np.asarray(column).dtype.name for name, column in batch.items()} == kinds
  features, labels = next(iter(BalancedInputs.from_arrays(table, pd.Series(LABELS, ROWS)).eval(N)))
  for name in ('text', 'category', 'string'):
    assert [each.decode() for each in features[name].numpy()] == table[name].tolist()
  for name in ('float', 'red', 'count', 'level'):
    assert features[name].numpy().tolist() == table[name].tolist()
  assert labels.numpy().tolist() == LABELS.tolist()


def test_a_table_of_labels_stays_one_array():
  hot = pd.get_dummies(pd.Series(LABELS))
  assert selection_dataset(X, hot, UniformSelector(N), 8)[0][1].shape == (8, 2)


@pytest.mark.parametrize(
  ('table', 'message'),
  [
    ({'a': [1] * N, 't': ['x'] * 31 + [None]}, r"column 't'\[31\] is missing"),
    (
      {'when': pd.date_range('2024', periods=N)},
      r"column 'when' has .*2024-01-01.* give an array, times as",
    ),
    ({'a': pd.array([None] + [True] * 31, 'boolean')}, r"column 'a'\[0\] is missing"),
    (X, r'columns of a table are \[0, 1, 2\], .* give table\.to_numpy\(\) as one array'),
  ],
)
def test_columns_that_are_no_features_are_named(table, message):
  with pytest.raises(DataError, match=message):
    BalancedInputs.from_arrays(pd.DataFrame(table), LABELS)


def test_a_missing_value_of_pandas_is_no_number():
  missing = pd.array([None, *(LABELS[1:] == 1)], 'boolean')  # pandas 2 makes NaN of that of Int64
  with pytest.raises(DataError, match=r'feature\[0\] is missing'):
    BalancedInputs.from_arrays({'x': missing}, LABELS)
