"""The benchmarks' data is what it claims to be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tfx_balance.tfrecord import files as records

from benchmarks.data import CLASS_PERCENT, KINDS, SPLIT, DataSpec, find_or_write
from benchmarks.floor import LEVEL, recode

RECORDS = 1_200


def read(files):
  """Returns the tf.Examples of files, as TensorFlow reads them."""
  import tensorflow as tf

  dataset = tf.data.TFRecordDataset(files.paths(), 'GZIP')
  return [tf.train.Example.FromString(record) for record in dataset.as_numpy_iterator()]


def labels_of(examples):
  return Counter(example.features.feature['label'].int64_list.value[0] for example in examples)


@pytest.mark.parametrize('compressor', ['isal', 'zlib'])
@pytest.mark.parametrize('kind', KINDS)
def test_records_are_distinct_examples_of_the_stated_size_and_class(tmp_path, kind, compressor):
  examples = read(find_or_write(DataSpec(kind, RECORDS, 3, compressor), tmp_path))

  labels = labels_of(examples)
  assert [labels[i] for i in range(len(CLASS_PERCENT))] == [
    p * RECORDS // 100 for p in CLASS_PERCENT
  ]
  found = {
    np.array(example.features.feature['x'].float_list.value, np.float32).tobytes()
    for example in examples
  }
  assert len(found) == RECORDS
  assert {len(x) // 4 for x in found} == set(KINDS[kind])


def test_labels_of_more_classes_than_a_byte_holds_are_read(tmp_path):
  spec = DataSpec('small', 3_000, 1, classes=1_000)
  labels = labels_of(read(find_or_write(spec, tmp_path)))
  assert [labels[spec.first_label + i] for i in range(1_000)] == list(spec.class_counts())


def test_files_are_named_as_examples_are_and_their_sizes_are_told(tmp_path):
  files = find_or_write(DataSpec('small', 100, 2), tmp_path)

  names = [f'data_tfrecord-0000{i}-of-00002.gz' for i in range(2)]
  assert files.paths() == [f'{files.folder}/Split-{SPLIT}/{name}' for name in names]
  assert files.file_bytes == sum(Path(path).stat().st_size for path in files.paths())
  frames = [frame for path in files.paths() for frame in records.read_frames(path)]
  assert files.raw_bytes == sum(int(frame.offsets[-1]) for frame in frames)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('small:3:4', '3 records cannot fill 4 shards'),
    ('small:3', "'small:3' is not KIND:RECORDS:SHARDS"),
    ('tiny:3:1', "kind 'tiny' is not in"),
    ('small:3:1:5:lzma', "compressor 'lzma' is not in"),
    ('small:3:1:20000', '20000 classes do not fit into labels of two bytes'),
  ],
)
def test_files_that_cannot_be_are_refused(text, message):
  with pytest.raises(ValueError, match=message):
    DataSpec.parse(text)


def test_a_written_case_is_read():
  assert DataSpec.parse('small:500_000:8') == DataSpec('small', 500_000, 8)
  assert DataSpec.parse('4k:10:1:7:zlib') == DataSpec('4k', 10, 1, 'zlib', classes=7)


def test_the_floor_compresses_as_the_package_does():
  assert LEVEL == records._GZIP_LEVEL


def test_a_file_that_is_cut_has_no_floor(tmp_path):
  from dataclasses import asdict

  files = find_or_write(DataSpec('small', 100, 1), tmp_path)
  (path,) = files.paths()
  Path(path).write_bytes(Path(path).read_bytes()[:-20])
  with pytest.raises(RuntimeError, match='is not one complete gzip member'):
    recode(asdict(files)).run()
