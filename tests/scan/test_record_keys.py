"""Hashes of the features that identify a record: equal for equal values, however they were read."""

import numpy as np
import pytest
from tfx_balance.errors import DataError
from tfx_balance.scan.record_keys import RecordKeys
from tfx_balance.tfrecord.frames import frame

from tests.helpers_examples import example, sequence_example


def hashes(records, *features, table=False, payload='FORMAT_TF_EXAMPLE'):
  keys, frames = RecordKeys(features, payload, 'in/file-0'), frame(records)
  if table:
    assert frames.table() is not None
  else:
    for column in keys.columns:  # which leaves all to the parser
      column.values_by_place = lambda frames: None
  return keys.hashes(frames, np.arange(len(records))).tolist()


@pytest.mark.parametrize(
  'values',
  [
    pytest.param([7, 100, 7, 3], id='int'),
    pytest.param([-7, 2**62, -7, 3], id='large int'),
    pytest.param([0.5, 1.5, 0.5, -3.0], id='float'),
    pytest.param(['ab', 'cd', 'ab', 'xy'], id='text'),
  ],
)
def test_equal_values_have_equal_hashes_read_by_layout_or_by_the_parser(values):
  records = [example(label=3, id=value) for value in values]
  found = hashes(records, 'id')
  assert found[0] == found[2]
  assert len(set(found)) == 3
  if len({len(record) for record in records}) == 1:
    assert hashes(records, 'id', table=True) == found


def test_other_features_and_their_order_do_not_matter():
  first, second = example(a=1, b='x', c=0.5), example(c=9.0, b='x', a=1)
  assert hashes([first], 'a', 'b') == hashes([second], 'a', 'b')
  assert hashes([first], 'a', 'b') != hashes([first], 'b', 'a')
  assert hashes([first], 'a') != hashes([first], 'a', 'b')


def test_several_values_count_with_their_places():
  lists = [[1, 2], [2, 1], [1], [1, 2, 0], [1, 2]]
  found = hashes([example(id=values) for values in lists], 'id')
  assert found[0] == found[4]
  assert len(set(found)) == 4


def test_plus_and_minus_zero_are_one_value():
  assert len({*hashes([example(id=0.0), example(id=-0.0)], 'id')}) == 1


@pytest.mark.parametrize('pair', [(0, 'x'), ('x', 0), (0, 0.5)])
def test_blocks_of_a_file_are_of_one_type(pair):
  keys = RecordKeys(['id'], 'FORMAT_TF_EXAMPLE', 'in/file-0')
  first, second = (frame([example(id=value)] * 9) for value in pair)
  keys.find(first)
  with pytest.raises(DataError, match=r"in/file-0 holds .* give feature 'id' one type"):
    keys.find(second)


def test_sequence_examples_are_known_by_their_context():
  records = [sequence_example(id=i % 2, n=i) for i in range(4)]
  found = hashes(records, 'id', payload='FORMAT_TF_SEQUENCE_EXAMPLE')
  assert found[:2] == found[2:]
  assert found[0] != found[1]


def test_a_record_without_the_feature_is_named():
  records = [example(id=1), example(label=1)]
  with pytest.raises(
    DataError, match=r"feature 'id' has no value in record 1 of in/file-0, or NaN; key="
  ):
    hashes(records, 'id')
