"""Hashes of the features that identify a record: equal for equal values, however they were read."""

import numpy as np
import pytest
from tfx_balance.errors import DataError
from tfx_balance.scan.index_columns import identity_of
from tfx_balance.scan.record_reader import RecordReader
from tfx_balance.scan.spill import INDEX_ROW
from tfx_balance.scan.strata import StratumDecoder
from tfx_balance.tfrecord.frames import frame
from tfx_balance.tfrecord.reading import BadRecords

from tests.helpers_examples import example, sequence_example


def hashes(records, *features, in_place=False, payload='FORMAT_TF_EXAMPLE'):
  reader = RecordReader(features, payload, 'in/file-0')
  columns = reader.in_place(frame(records)) if in_place else reader.parse(records)
  rows = np.zeros(len(records), INDEX_ROW)
  rows['position'] = np.arange(len(records))
  return identity_of(features, False, payload, 'in/file-0')(rows, None, columns).tolist()


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
    assert hashes(records, 'id', in_place=True) == found


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
  decoder = StratumDecoder(['label'], 'FORMAT_TF_EXAMPLE', 'error', 'in/file-0', others=['id'])
  first, second = (frame([example(id=value, label=1)] * 9) for value in pair)
  decoder.decode(first)
  with pytest.raises(DataError, match=r"in/file-0 holds .* give feature 'id' one type"):
    decoder.decode(second)


@pytest.mark.parametrize('skips', [False, True])
def test_a_key_of_another_type_is_no_bad_record(skips):
  """What is skipped is known by its class: records must be identified by the others."""
  bad = BadRecords('in/file-0', skips, 10)
  decoder = StratumDecoder(['label'], 'FORMAT_TF_EXAMPLE', 'error', 'in/file-0', bad, others=['id'])
  records = [example(id=i, label=1) for i in range(9)]
  with pytest.raises(DataError, match=r"in/file-0 holds .* give feature 'id' one type"):
    decoder.decode(frame([*records, example(id='x', label=1)]))


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
