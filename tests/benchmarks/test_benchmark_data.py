"""The benchmarks' data is what it claims to be, and so are the figures that follow from a run."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tfx_balance.transforms import records

from benchmarks.codec import LEVEL
from benchmarks.data import CLASS_PERCENT, KINDS, SPLIT, DataSpec, find_or_write
from benchmarks.measure import Measured, PieceError, run_piece
from benchmarks.split_results import CaseResult, Codec, memory_growth

RECORDS = 1_200


def read(folder: str):
  """Returns the tf.Examples of a split folder, as TensorFlow reads them."""
  import tensorflow as tf

  paths = sorted(str(path) for path in Path(folder).iterdir())
  dataset = tf.data.TFRecordDataset(paths, 'GZIP')
  return [tf.train.Example.FromString(record) for record in dataset.as_numpy_iterator()]


def values(example) -> bytes:
  feature = example.features.feature['x']
  if feature.WhichOneof('kind') == 'bytes_list':
    return feature.bytes_list.value[0]
  return np.array(feature.float_list.value, np.float32).tobytes()


@pytest.mark.parametrize('compressor', ['isal', 'zlib'])
@pytest.mark.parametrize('kind', KINDS)
def test_records_are_distinct_examples_of_the_stated_size_and_class(tmp_path, kind, compressor):
  spec = DataSpec(kind, RECORDS, 3, compressor)

  files = find_or_write(spec, tmp_path)

  examples = read(files.split_folder)
  labels = Counter(example.features.feature['label'].int64_list.value[0] for example in examples)
  assert [labels[i] for i in range(len(CLASS_PERCENT))] == [
    p * RECORDS // 100 for p in CLASS_PERCENT
  ]
  found = {values(example) for example in examples}
  assert len(found) == RECORDS
  lengths = {len(x) // np.dtype(KINDS[kind].values).itemsize for x in found}
  assert lengths == set(KINDS[kind].lengths)


def test_files_are_named_as_examples_are_and_their_sizes_are_told(tmp_path):
  files = find_or_write(DataSpec('small', 100, 2), tmp_path)

  names = [f'data_tfrecord-0000{i}-of-00002.gz' for i in range(2)]
  assert files.paths() == [f'{files.folder}/Split-{SPLIT}/{name}' for name in names]
  assert files.file_bytes == sum(Path(path).stat().st_size for path in files.paths())
  frames = [frame for path in files.paths() for frame in records.read_frames(path)]
  assert files.raw_bytes == sum(int(frame.offsets[-1]) for frame in frames)


def test_files_that_are_there_are_not_written_again(tmp_path):
  spec = DataSpec('small', 100, 2)
  first = find_or_write(spec, tmp_path)
  times = [Path(path).stat().st_mtime_ns for path in first.paths()]

  assert find_or_write(spec, tmp_path) == first
  assert [Path(path).stat().st_mtime_ns for path in first.paths()] == times


@pytest.mark.parametrize('n', [1, 7, 99, 100, 12_345])
def test_every_record_has_a_class(n):
  assert sum(DataSpec('small', n, 1).class_counts()) == n


def test_more_shards_than_records_are_refused():
  with pytest.raises(ValueError, match='3 records cannot fill 4 shards'):
    DataSpec('small', 3, 4)


def test_the_floor_compresses_as_the_package_does():
  assert LEVEL == records._GZIP_LEVEL


def test_a_piece_is_measured_in_its_own_process(tmp_path):
  spec = {'kind': 'small', 'records': 20_000, 'shards': 1}

  found = run_piece('benchmarks.data:make_data', spec=spec, cache=str(tmp_path))

  assert found.result['records'] == 20_000
  assert 0 < found.cpu_seconds < 60
  assert 0 < found.seconds < 60
  assert 0 < found.start_bytes <= found.peak_bytes


def test_a_piece_that_fails_shows_why():
  with pytest.raises(PieceError, match="kind 'tiny' is not in"):
    run_piece(
      'benchmarks.data:make_data', spec={'kind': 'tiny', 'records': 1, 'shards': 1}, cache=''
    )


@pytest.fixture(scope='module')
def split_output(tmp_path_factory):
  """Returns a component's folder in a pipeline's root, with 30 records in train and 10 in eval."""
  root = tmp_path_factory.mktemp('pipeline')
  for name, n in {'train': 30, 'eval': 10}.items():
    files = find_or_write(DataSpec('small', n, 2), root / 'cache')
    shutil.copytree(files.split_folder, root / 'Splitter' / 'examples' / '1' / f'Split-{name}')
  return root / 'Splitter'


def test_a_whole_split_is_counted(split_output):
  from benchmarks.split_check import check_split

  assert check_split(split_output, 40, ['train', 'eval']) == {'train': 30, 'eval': 10}


@pytest.mark.parametrize(
  ('n_records', 'splits'),
  [(41, ['train', 'eval']), (39, ['train', 'eval']), (40, ['train']), (40, ['train', 'test'])],
  ids=['lost', 'doubled', 'one too many', 'another name'],
)
def test_a_split_that_is_not_whole_is_refused(split_output, n_records, splits):
  from benchmarks.split_check import check_split

  with pytest.raises(RuntimeError, match=f'^{n_records} records went in'):
    check_split(split_output, n_records, splits)


def result(n_records: int, seconds: dict[str, float], peak_bytes: int) -> CaseResult:
  runs = {side: [Measured(s, s, peak_bytes, 0, 0.0, None)] for side, s in seconds.items()}
  floor = {'isal': Codec(1.0, 2.0), 'zlib': Codec(10.0, 20.0)}
  return CaseResult(DataSpec('small', n_records, 8), {}, floor, runs, [])


def test_ratio_floor_and_growth_follow_from_the_runs():
  few = result(1_000, {'stock': 8.0, 'ours': 2.0, 'empty': 1.0}, 5_000)
  many = result(3_000, {'stock': 30.0, 'ours': 3.0, 'empty': 1.0}, 29_000)

  assert (few.ratio, many.ratio) == (4.0, 10.0)
  assert many.records_per_second('ours') == 1_000.0
  assert few.floor_seconds == 4.0
  assert [(g.side, g.bytes_per_record) for g in memory_growth([many, few])] == [
    ('ours', 12.0),
    ('stock', 12.0),
  ]


def test_a_side_that_failed_has_no_figures():
  failed = CaseResult(DataSpec('small', 10, 1), {}, {}, {'stock': [], 'ours': []}, ['killed'])

  assert failed.seconds('stock') is None
  assert failed.ratio is None
  assert memory_growth([failed, failed]) == []
