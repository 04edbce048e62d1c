"""Examples as columns and back, read again with TensorFlow's own messages."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.balanced_augmenter.examples import (
  Column,
  FeatureShape,
  decode,
  encode,
  feature_shapes,
  merge_shapes,
)
from tfx_balance.errors import DataError

from tests.helpers_examples import example, sequence_example

RECORDS = [
  example(label='a', id=1, x=[1.0, 2.5], tags=['p', 'q'], note='n', raw=b'\xff\x00'),
  example(label='b', id=-(2**63), x=[float('inf'), -0.0], tags=['r'], note=None, raw=b''),
  example(label='c', id=2**63 - 1, x=[1e-30, 3.0], tags=None, note='ü', raw=b'z' * 300),
]


def message(record):
  return tf.train.Example.FromString(record)


def round_trip(records):
  shapes = feature_shapes(records, 'file')
  return encode(decode(records, shapes, 'file'), shapes)


def test_the_layout_is_what_all_records_have_in_common():
  assert feature_shapes(RECORDS, 'file') == {
    'label': FeatureShape('bytes', 1, 1),
    'id': FeatureShape('int', 1, 1),
    'x': FeatureShape('float', 2, 2),
    'tags': FeatureShape('bytes', 0, 2),
    'note': FeatureShape('bytes', 0, 1),
    'raw': FeatureShape('bytes', 1, 1),
  }
  fixed = {name for name, shape in feature_shapes(RECORDS, 'file').items() if shape.is_fixed}
  assert fixed == {'label', 'id', 'x', 'raw'}


def test_no_records_have_no_features():
  assert feature_shapes([], 'file') == {}


def test_examples_with_all_their_values_come_back_as_they_were():
  whole = [RECORDS[0], example(label='d', id=0, x=[0.5, 7.0], tags=['s'] * 9, note='', raw=b'1')]
  assert [message(r) for r in round_trip(whole)] == [message(r) for r in whole]


def test_a_value_that_is_missing_is_missing_afterwards():
  # A feature that is there without a value is not the same: tf.io.parse_example takes its default
  # for the one and refuses the other.
  assert [message(r) for r in round_trip(RECORDS)] == [message(r) for r in RECORDS]


def test_a_copy_of_a_record_without_a_value_is_parsed_as_the_record_is():
  spec = {'note': tf.io.FixedLenFeature([], tf.string, default_value='none')}
  parsed = tf.io.parse_example(round_trip(RECORDS), spec)['note'].numpy()
  assert parsed.tolist() == [b'n', b'none', 'ü'.encode()]


def test_columns_hold_the_values_of_all_records_one_after_another():
  columns = decode(RECORDS, feature_shapes(RECORDS, 'file'), 'file')
  assert columns['x'].values.dtype == np.float32
  np.testing.assert_array_equal(columns['x'].offsets, [0, 2, 4, 6])
  assert columns['id'].values.dtype == np.int64
  assert columns['id'].values.tolist() == [1, -(2**63), 2**63 - 1]
  assert columns['tags'].values.tolist() == [b'p', b'q', b'r']
  assert columns['tags'].offsets.tolist() == [0, 2, 3, 3]
  assert columns['note'].offsets.tolist() == [0, 1, 1, 2]


def test_the_same_columns_give_the_same_bytes_in_the_order_of_names():
  # The encoder of tfx_bsl, given several columns, orders them by chance.
  records = [example(**{f'f{j}': i + j for j in range(30)}) for i in range(200)]
  found = round_trip(records)
  assert all(round_trip(records) == found for _ in range(5))
  assert found == [round_trip([record])[0] for record in records]  # whatever the batch
  first = found[0]
  places = [first.index(name.encode()) for name in sorted(f'f{j}' for j in range(30))]
  assert places == sorted(places)


VALUES = {
  'int': st.integers(-(2**63), 2**63 - 1),
  'float': st.floats(width=32, allow_nan=False),
  'bytes': st.binary(max_size=8),
}


@given(st.data())
def test_any_records_come_back(data):
  names = data.draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True))
  kinds = {name: data.draw(st.sampled_from(sorted(VALUES))) for name in names}
  n = data.draw(st.integers(1, 5))
  records = [
    example(
      **{name: data.draw(st.lists(VALUES[kinds[name]], min_size=1, max_size=3)) for name in names}
    )
    for _ in range(n)
  ]
  assert [message(r) for r in round_trip(records)] == [message(r) for r in records]


def test_nan_comes_back():
  (found,) = round_trip([example(x=[float('nan'), 1.0])])
  values = message(found).features.feature['x'].float_list.value
  assert np.isnan(values[0])
  assert values[1] == 1


def test_columns_may_be_made_anew():
  shapes = {'i': FeatureShape('int', 0, 2), 'b': FeatureShape('bytes', 1, 1)}
  columns = {
    'i': Column(np.array([1, 2, 3]), np.array([0, 2, 3])),
    'b': Column(np.array([b'x', b'y'], object), np.array([0, 1, 2])),
  }
  expected = [example(i=[1, 2], b='x'), example(i=3, b='y')]
  assert [message(r) for r in encode(columns, shapes)] == [message(r) for r in expected]


def test_mixed_types_in_one_file_are_an_error_that_names_file_and_feature():
  mixed = [example(label='a', x=1.0), example(label='b', x=1)]
  with pytest.raises(DataError, match=r'in/file-0 .*"x".*; give each feature one type'):
    feature_shapes(mixed, 'in/file-0')


def test_mixed_types_in_several_files_are_an_error_that_names_the_feature():
  several = [feature_shapes([example(label='a', x=x)], 'file') for x in (1.0, 1)]
  with pytest.raises(DataError, match=r"feature 'x' has values of different types \(float and int"):
    merge_shapes(several, [1, 1])


def test_a_type_that_the_layout_does_not_have_is_an_error():
  with pytest.raises(DataError, match=r'in/file-1 .*"x".*; give each feature one type'):
    decode([example(x='text')], {'x': FeatureShape('int', 1, 1)}, 'in/file-1')


def test_no_example_is_an_error():
  with pytest.raises(DataError, match='broken holds records that cannot be decoded'):
    feature_shapes([b'no example at all'], 'broken')


@pytest.mark.parametrize(
  ('parts', 'expected'),
  [
    pytest.param(
      [{'x': FeatureShape('int', 1, 1)}, {'x': FeatureShape('int', 3, 4)}],
      {'x': FeatureShape('int', 1, 4)},
      id='both have it',
    ),
    pytest.param(
      [{'x': FeatureShape('int', 2, 2)}, {}],
      {'x': FeatureShape('int', 0, 2)},
      id='the second lacks it',
    ),
    pytest.param(
      [{}, {'x': FeatureShape('int', 2, 2)}],
      {'x': FeatureShape('int', 0, 2)},
      id='the first lacks it',
    ),
    pytest.param([], {}, id='none'),
  ],
)
def test_layouts_are_merged(parts, expected):
  assert merge_shapes(parts, [5] * len(parts)) == expected


def test_a_file_without_records_says_nothing_of_the_layout():
  shapes = {'x': FeatureShape('int', 2, 2)}
  assert merge_shapes([shapes, {}], [5, 0]) == shapes


def test_layouts_do_not_depend_on_where_files_are_cut():
  whole = feature_shapes(RECORDS, 'file')
  parts = [feature_shapes([record], 'file') for record in RECORDS]
  assert merge_shapes(parts, [1] * 3) == whole


def test_a_sequence_example_is_not_taken_for_an_example():
  # Its lists of features would be lost: the component refuses it beforehand.
  (found,) = round_trip([sequence_example(label='a')])
  assert found != sequence_example(label='a')
