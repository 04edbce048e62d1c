"""A file in which bytes are changed, cut or added is named, or all its records are right."""

import gzip
import json
import random

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.inputs.parsing import RecordForm
from tfx_balance.inputs.record_files import (
  checked_batches,
  promised_records,
  read_all,
  read_file,
)

from tests.inputs.helpers_inputs import SPEC, example, write_artifact, write_file

N = 12
RECORDS = [example(i, i % 3, padding=i % 2) for i in range(N)]
FAULTS = (DataError, tf.errors.InvalidArgumentError)
MUTATIONS = 25  # of each kind of file by each reader; `make fuzz` and `make reliability` try more
SUFFIXES = pytest.mark.parametrize('suffix', ['', '.gz'], ids=['plain', 'gzip'])


SERIALIZED, PARSED = RecordForm(SPEC), RecordForm(SPEC, parsed=True)


def in_memory(path):
  return lambda: list(read_all([path], [N], SERIALIZED)[0].numpy())


def streamed(path):
  return lambda: list(read_file(path, N, 1 << 10, SERIALIZED)(np.arange(N))[0])


def parsed(path):
  def read():
    columns = [column.numpy().tolist() for column in read_all([path], [N], PARSED)]
    return [example(*row, padding=row[0] % 2) for row in zip(*columns, strict=True)]

  return read


def evaluated(path):
  dataset = checked_batches([path], 5)  # made once: it opens the file anew in each pass
  return lambda: [r for batch in dataset for r in batch.numpy()]


COUNTED = [in_memory, streamed, parsed]
READERS = [*COUNTED, evaluated]


def mutate(data, rng):
  """Returns the bytes with one fault in them."""
  at = rng.randrange(len(data))
  some = rng.randrange(1, 20)
  return rng.choice(
    [
      data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
      data[:at],
      data[:at] + data[at + some :],
      data[:at] + rng.randbytes(some) + data[at:],
      data[:at] + bytes(some) + data[at + some :],
      data + rng.randbytes(some),
    ]
  )


@pytest.mark.parametrize('reader', READERS)
@SUFFIXES
def test_a_mutated_file_is_named_or_reads_as_before(tmp_path, reader, suffix):
  path, rng = tmp_path / f'in{suffix}', random.Random(7)
  write_file(path, RECORDS)
  whole = path.read_bytes()
  edges = {sum(len(r) + 16 for r in RECORDS[:i]) for i in range(N + 1)}
  read = reader(str(path))
  assert read() == RECORDS
  named = 0
  for _ in range(MUTATIONS):
    data = mutate(whole, rng)
    if reader not in COUNTED and data == whole[: len(data)] and len(data) in edges:
      continue  # a shorter file without a fault, as only a count can tell
    path.write_bytes(data)
    try:
      result = read()
    except FAULTS as error:
      result = str(error)
    if isinstance(result, str):
      assert str(path) in result
      named += 1
    else:
      assert result == RECORDS, data
  assert named > MUTATIONS // 2


@pytest.mark.parametrize('reader', READERS)
def test_the_byte_of_a_fault_is_named(tmp_path, reader):
  path = tmp_path / 'in'
  write_file(path, RECORDS)
  data = bytearray(path.read_bytes())
  start = sum(len(r) + 16 for r in RECORDS[:7])
  data[start + 14] ^= 1
  path.write_bytes(data)
  with pytest.raises(FAULTS, match=rf'/in is corrupted.* a record .* at byte {start} of its'):
    reader(str(path))()


@pytest.mark.parametrize('reader', READERS)
@SUFFIXES
def test_a_header_that_is_cut_short_is_named(tmp_path, reader, suffix):
  path = tmp_path / f'in{suffix}'
  write_file(tmp_path / 'whole', RECORDS)
  data = (tmp_path / 'whole').read_bytes()[: sum(len(r) + 16 for r in RECORDS[:-1]) + 5]
  path.write_bytes(gzip.compress(data) if suffix else data)
  with pytest.raises(FAULTS, match=r'/in\S* ends in the middle of a record, 5 bytes after byte'):
    reader(str(path))()


@SUFFIXES
def test_an_ordered_pass_over_whole_files_is_as_before(tmp_path, suffix):
  paths = [str(tmp_path / f'{i}{suffix}') for i in range(3)]
  write_file(paths[0], RECORDS[:7])
  write_file(paths[1], [])
  write_file(paths[2], RECORDS[7:])
  found = [batch.numpy().tolist() for batch in checked_batches(paths, 5)]
  assert found == [RECORDS[:5], RECORDS[5:10], RECORDS[10:]]


def test_gzip_members_are_read_or_named(tmp_path):
  write_file(tmp_path / 'plain', RECORDS)
  data, path = (tmp_path / 'plain').read_bytes(), tmp_path / 'in.gz'
  path.write_bytes(gzip.compress(data[:90]) + gzip.compress(data[90:]))
  assert all(reader(str(path))() == RECORDS for reader in READERS)
  # TensorFlow stops at a member without content.
  path.write_bytes(gzip.compress(data[:90]) + gzip.compress(b'') + gzip.compress(data[90:]))
  assert all(reader(str(path))() == RECORDS for reader in COUNTED)
  with pytest.raises(FAULTS, match=r'in\.gz'):
    evaluated(str(path))()


@pytest.fixture
def split(tmp_path):
  """Returns a split of two files, with a sidecar that counts it, in a folder with a bracket."""
  folder = tmp_path / 'a[1]' / 'Split-eval'
  folder.mkdir(parents=True)
  write_file(folder / 'x', RECORDS[:4])
  write_file(folder / 'y', RECORDS[4:])
  kind = {'format': 'tfx_balance.class_distribution', 'version': 1}
  sidecar = {**kind, 'splits': {'eval': {'records': N}}}
  (tmp_path / 'a[1]' / SIDECAR_NAME).write_text(json.dumps(sidecar))
  return folder


def test_a_file_cut_to_nothing_is_named_where_a_sidecar_promises_records(split):
  made = BalancedInputs.from_files(f'{split}/*', 'label', SPEC)
  assert sum(len(label) for _, label in made.eval(5)) == N
  (split / 'y').write_bytes(b'')
  with pytest.raises(tf.errors.InvalidArgumentError, match='Split-eval/y was replaced while'):
    list(made.eval(5))
  message = r'Split-eval/y is empty: 4 records were read, and class_distribution.json lists 12'
  with pytest.raises(DataError, match=message):
    BalancedInputs.from_files(f'{split}/*', 'label', SPEC)


def test_a_sidecar_promises_the_records_of_whole_splits(split):
  paths = [f'{split}/{name}' for name in 'xy']
  assert promised_records(paths) == N
  assert promised_records(paths[:1]) is None
  (split.parent / SIDECAR_NAME).write_text(
    '{"format": "tfx_balance.class_distribution", "version": 1, "splits": {}}'
  )
  assert promised_records(paths) is None
  (split.parent / SIDECAR_NAME).write_text('{"splits"')
  with pytest.raises(DataError, match=r'class_distribution\.json is not JSON'):
    promised_records(paths)


def shards(folder, *names):
  folder.mkdir(parents=True)
  for name in names:
    write_file(folder / name, RECORDS)
  return folder


def test_shards_that_are_missing_or_empty_are_warned_of_once(tmp_path):
  folder = shards(tmp_path / 'in', *(f'x-0000{i}-of-00006.gz' for i in (0, 4, 5)))
  (folder / 'x-00004-of-00006.gz').write_bytes(b'')
  message = (
    r'input is incomplete, 4 of its files are missing or empty: \S+/x-00001-of-00006.gz is not '
    r'there, .* and 1 more; the others are read'
  )
  for files in (str(folder), f'{folder}/*'):
    with pytest.warns(UserWarning, match=message) as warned:
      made = BalancedInputs.from_files(files, 'label', SPEC)
    assert len(warned) == 1
    assert sum(made.source.counts.records) == 2 * N


def test_a_part_of_a_folder_that_was_chosen_is_complete(tmp_path, recwarn):
  folder = shards(tmp_path / 'in', *(f'x-0000{i}-of-00003.gz' for i in range(2)), 'empty')
  (folder / 'empty').write_bytes(b'')  # of a plain file that is no fault
  BalancedInputs.from_files([f'{folder}/x-00000-of-00003.gz'], 'label', SPEC)
  shards(tmp_path / 'all', 'x-00000-of-00001.gz', 'y')
  BalancedInputs.from_files(f'{tmp_path}/all/*', 'label', SPEC)
  assert [str(w.message) for w in recwarn if 'incomplete' in str(w.message)] == []


def test_an_artifact_that_is_loaded_tells_what_is_missing_of_a_split(tmp_path):
  write_artifact(tmp_path, (4, 2))
  folder = shards(tmp_path / 'Split-eval', 'x-00001-of-00002.gz')
  made = BalancedInputs.load(str(tmp_path), SPEC)
  with pytest.warns(
    UserWarning, match='incomplete, 1 of its files .*/x-00000-of-00002.gz is not t'
  ):
    made.eval(5)
  size = (folder / 'x-00001-of-00002.gz').stat().st_size
  described = {'records': 2 * N, 'file_bytes': {f'x-0000{i}-of-00002.gz': size for i in range(2)}}
  kind = {'format': 'tfx_balance.class_distribution', 'version': 2}
  (tmp_path / SIDECAR_NAME).write_text(json.dumps(sealed({**kind, 'splits': {'eval': described}})))
  message = rf'^Split-eval/x-00000-of-00002.gz is not there, and {tmp_path}/{SIDECAR_NAME} says'
  with pytest.raises(DataError, match=message):
    made.eval(5)
  with pytest.raises(DataError, match=message):
    BalancedInputs.from_files(str(folder), 'label', SPEC)
