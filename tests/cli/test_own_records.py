import re

import pytest
import tensorflow as tf
from tfx_balance.cli import own_records
from tfx_balance.errors import DataError

from tests.cli.helpers_own_data import write_records

GOOD = [{'kind': k, 'n': 1} for k in ('a', 'bb') * 100]


def test_labels_are_counted_in_all_records_and_files(tmp_path):
  late = [{'kind': 'late', 'n': 1}, {'kind': None, 'n': 1}, {'n': 1}]
  a = write_records(tmp_path / 'a.gz', GOOD + late)
  b = write_records(tmp_path / 'b', [{'kind': 'late', 'n': 1}, {'kind': '', 'n': 1}])
  found = own_records.read_records([a, b], 'kind')
  assert found.labels.records == {b'a': 100, b'bb': 100, b'late': 2, b'': 1}
  assert found.labels.missing == 2
  assert found.labels.first_missing == f'record 201 of {a}'
  assert found.types == {'kind': 'text', 'n': 'int'}


@pytest.mark.parametrize(
  ('late', 'message'),
  [
    (3, "give feature 'kind' one type in all records"),
    (['a', 'b'], "'kind' has 2 values in record 200 of .*; a class is one value a record"),
    (1.5, r"'kind' has the value 1\.5 in .*: bin it, or name"),
  ],
  ids=['another type', 'several values', 'a measure'],
)
@pytest.mark.parametrize('n_files', [1, 2])
def test_a_label_that_is_wrong_late(tmp_path, late, message, n_files):
  good = [{'kind': 1.0}] * 200 if late == 1.5 else GOOD
  rows = [*good, {'kind': late, 'n': 1}]
  parts = [rows] if n_files == 1 else [good, [*good[:200], rows[-1]]]
  files = [write_records(tmp_path / str(i), part) for i, part in enumerate(parts)]
  with pytest.raises(DataError, match=message):
    own_records.read_records(files, 'kind')


def test_a_label_of_too_many_values_ends_the_reading(tmp_path):
  files = [
    write_records(tmp_path / name, [{'kind': f'{name}{i}'} for i in range(n)])
    for name, n in (('a', 99_999), ('b', 2))
  ]
  with pytest.raises(DataError, match="'kind' has more than 100,000 values"):
    own_records.read_records(files, 'kind')


def test_sequence_examples(tmp_path):
  example = tf.train.SequenceExample()
  example.context.feature['kind'].bytes_list.value.append(b'a')
  example.feature_lists.feature_list['tokens'].feature.add().int64_list.value.append(1)
  with tf.io.TFRecordWriter(str(tmp_path / 'a')) as writer:
    writer.write(example.SerializeToString())
  message = 'holds tf.SequenceExamples, with the sequences tokens; the model takes no sequences'
  with pytest.raises(DataError, match=message):
    own_records.read_records([tmp_path / 'a'], 'kind')


def test_a_file_that_is_damaged_late(tmp_path):
  path = write_records(tmp_path / 'a', GOOD)
  damaged = bytearray(path.read_bytes())
  damaged[-20] ^= 255
  path.write_bytes(damaged)
  message = r'a is damaged \(corrupted record at \d+\); write it again$'
  with pytest.raises(DataError, match=message):
    own_records.read_records([path], 'kind')


@pytest.mark.parametrize('in_frames', [False, True])
def test_a_file_without_examples(tmp_path, in_frames):
  path = tmp_path / 'notes.txt'
  path.write_text('These are notes about the data in this folder.')
  if in_frames:
    with tf.io.TFRecordWriter(str(path)) as writer:
      writer.write(b'a line of text')
  with pytest.raises(DataError, match=re.escape(f'{path} is not a TFRecord file of tf.Example')):
    own_records.read_records([path], 'kind')


@pytest.mark.parametrize(
  ('name', 'other', 'message'),
  [
    ('a.gz', 'a.tfrecord', 'a.gz is not compressed, which its name contradicts'),
    ('a.tfrecord', 'a.gz', 'a.tfrecord is compressed, which its name contradicts'),
  ],
)
def test_a_name_that_belies_the_compression(tmp_path, name, other, message):
  path = write_records(tmp_path / other, GOOD).rename(tmp_path / name)
  with pytest.raises(DataError, match=message):
    own_records.read_records([path], 'kind')
