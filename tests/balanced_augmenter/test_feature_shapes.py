"""Examples as columns and back, read again with TensorFlow's own messages."""

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.balanced_augmenter.examples import (
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
  return encode(decode(records, shapes, 'file'))


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


def test_a_value_that_is_missing_is_missing_afterwards():
  # A feature that is there without a value is not the same: tf.io.parse_example takes its default
  # for the one and refuses the other.
  assert [message(r) for r in round_trip(RECORDS)] == [message(r) for r in RECORDS]


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


def test_mixed_types_in_one_file_are_an_error_that_names_file_and_feature():
  mixed = [example(label='a', x=1.0), example(label='b', x=1)]
  with pytest.raises(DataError, match=r'in/file-0 .*"x".*; give each feature one type'):
    feature_shapes(mixed, 'in/file-0')


def test_mixed_types_in_several_files_are_an_error_that_names_the_feature():
  several = [(feature_shapes([example(label='a', x=x)], 'file'), 1) for x in (1.0, 1)]
  with pytest.raises(DataError, match=r"feature 'x' has values of different types \(float and int"):
    merge_shapes(several)


def test_a_type_that_the_layout_does_not_have_is_an_error():
  with pytest.raises(DataError, match=r'in/file-1 .*"x".*; give each feature one type'):
    decode([example(x='text')], {'x': FeatureShape('int', 1, 1)}, 'in/file-1')


def test_no_example_is_an_error():
  with pytest.raises(DataError, match='broken holds records that cannot be decoded'):
    feature_shapes([b'no example at all'], 'broken')


def shapes_of_x(fewest, most):
  """Returns shapes of one feature."""
  return {'x': FeatureShape('int', fewest, most)}


@pytest.mark.parametrize(
  ('parts', 'expected'),
  [
    pytest.param([(shapes_of_x(1, 1), 5), (shapes_of_x(3, 4), 5)], shapes_of_x(1, 4), id='both'),
    pytest.param([(shapes_of_x(2, 2), 5), ({}, 5)], shapes_of_x(0, 2), id='the second lacks it'),
    pytest.param([({}, 5), (shapes_of_x(2, 2), 5)], shapes_of_x(0, 2), id='the first lacks it'),
    pytest.param([(shapes_of_x(2, 2), 5), ({}, 0)], shapes_of_x(2, 2), id='a file without records'),
    pytest.param([], {}, id='none'),
  ],
)
def test_layouts_are_merged(parts, expected):
  assert merge_shapes(parts) == (expected, sum(n for _, n in parts))


def test_layouts_do_not_depend_on_where_files_are_cut():
  parts = [(feature_shapes([record], 'file'), 1) for record in RECORDS]
  assert merge_shapes(parts) == (feature_shapes(RECORDS, 'file'), len(RECORDS))


def test_a_sequence_example_is_not_taken_for_an_example():
  # Its lists of features would be lost: the component refuses it beforehand.
  (found,) = round_trip([sequence_example(label='a')])
  assert found != sequence_example(label='a')
