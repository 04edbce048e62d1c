"""Files that are replaced while they are read, or between two readings of the same inputs."""

import itertools
from pathlib import Path

import pytest
import tensorflow as tf
from tfx_balance.errors import DataError
from tfx_balance.inputs.balanced_inputs import BalancedInputs
from tfx_balance.inputs.record_files import read_all

from tests.inputs.helpers_inputs import SPEC, example, write_artifact, write_file

FAULTS = (DataError, tf.errors.InvalidArgumentError)
REPLACED = 'was replaced while it was read; run again when nothing writes to it'


def replace(path):
  """Writes as many records of as many bytes and of another class."""
  n = sum(1 for _ in tf.data.TFRecordDataset(str(path), 'GZIP' if path.suffix else ''))
  write_file(path, [example(i % 100, 9) for i in range(n)])


def files_of(folder):
  return sorted(Path(folder).glob('Split-train/*'))


def replace_when_read(monkeypatch, path):
  """Has a file replaced as soon as records of files to hold are in memory."""

  def read_and_replace(*args):
    records = read_all(*args)
    replace(path)
    return records

  monkeypatch.setattr('tfx_balance.inputs.file_source.read_all', read_and_replace)


def test_a_streamed_file_stays_the_same_in_all_passes(tmp_path):
  write_artifact(tmp_path, (400, 400), per_file=20)
  made = BalancedInputs.load(str(tmp_path), SPEC, memory_budget=900)
  with pytest.warns(UserWarning, match='streaming'):
    batches = iter(made.train(4096))  # 16,384 records are drawn at a time
  next(batches)
  for path in files_of(tmp_path):
    replace(path)
  with pytest.raises(FAULTS, match=f'-of-00040.gz {REPLACED}'):
    list(itertools.islice(batches, 20))


def test_held_files_stay_the_same_in_all_readings(tmp_path, monkeypatch):
  write_artifact(tmp_path, (60, 60))
  made = BalancedInputs.load(str(tmp_path), SPEC)
  next(iter(made.train(8)))
  made.train(8)  # reads nothing
  replace(files_of(tmp_path)[1])
  with pytest.raises(DataError, match=f'-00001-of-00002.gz {REPLACED}'):
    made.train(8, feature_spec={'label': SPEC['label']})
  with pytest.raises(FAULTS, match=f'-00001-of-00002.gz {REPLACED}'):
    list(made.source.ordered(50, SPEC))
  replace_when_read(monkeypatch, files_of(tmp_path)[0])
  with pytest.raises(DataError, match=f'-00000-of-00002.gz {REPLACED}'):
    BalancedInputs.load(str(tmp_path), SPEC).train(8)


def test_files_in_any_order_stay_the_same(tmp_path):
  path = tmp_path / 'in'
  write_file(path, [example(i, i % 3) for i in range(60)])
  made = BalancedInputs.from_files(str(path), 'label', SPEC)
  assert sum(len(label) for _, label in made.eval(50)) == 60
  replace(path)
  with pytest.raises(FAULTS, match=f'{path} {REPLACED}'):
    list(made.eval(50))


def test_a_file_that_is_replaced_while_it_is_counted_is_an_error(tmp_path, monkeypatch):
  path = tmp_path / 'in'
  write_file(path, [example(i % 100, i % 3) for i in range(900)])
  real, seen = tf.strings.length, []

  def length(*args):
    seen.append(args)
    if len(seen) == 1:
      replace(path)
    return real(*args)

  monkeypatch.setattr(tf.strings, 'length', length)
  with pytest.raises(DataError, match=f'{path} {REPLACED}'):
    BalancedInputs.from_files(str(path), 'label', SPEC)
