"""Files of this machine, objects, and what only Beam knows: all of it by one interface.

The objects here are those of a store in a folder; tests/objectstore has them in servers.
"""

import os
import random
import shutil
import threading

import pytest
from obstore.store import LocalStore
from tfx_balance.errors import DataError, StorageError
from tfx_balance.examples_artifact import data_sizes
from tfx_balance.tfrecord import object_store, storage
from tfx_balance.tfrecord.object_store import RANGE_BYTES
from tfx_balance.tfrecord.storage import (
  BeamFiles,
  LocalFiles,
  Objects,
  copy,
  exists,
  is_local,
  missing_files,
  move,
  read_whole,
  storage_of,
  write_whole,
)

from tests.helpers_disks import small_disk


@pytest.fixture(autouse=True)
def _buckets(tmp_path, monkeypatch):
  """Has every bucket in a folder."""
  (tmp_path / 'buckets').mkdir()

  def bucket(scheme, name, *_):
    return LocalStore(tmp_path / 'buckets' / name, mkdir=True, automatic_cleanup=True)

  monkeypatch.setattr(object_store, '_bucket', bucket)


@pytest.fixture(params=['local', 's3', 'gs', 'minio', 'beam'])
def root(request, tmp_path, monkeypatch):
  if request.param in ('local', 'beam'):
    if request.param == 'beam':
      beam = BeamFiles()
      monkeypatch.setattr(
        storage, 'storage_of', lambda path: storage_of(path) if '://' in path else beam
      )
    return str(tmp_path / 'files')
  return f'{request.param}://bucket/files'


def test_a_path_says_where_it_is():
  assert isinstance(storage_of('/a/b'), LocalFiles)
  assert isinstance(storage_of('a:b://c'), LocalFiles)
  for path in ('s3://b/a', 'gs://b/a', 'minio://b/a'):
    assert isinstance(storage_of(path), Objects)
  assert isinstance(storage_of('hdfs://a/b'), BeamFiles)
  assert is_local('/a/b')
  assert not is_local('s3://b/a')


@pytest.mark.parametrize('n', [0, 1, RANGE_BYTES - 1, RANGE_BYTES, RANGE_BYTES * 4 + 3])
def test_what_is_written_is_read(root, n):
  path, data = f'{root}/deep/a b#[1].gz', random.Random(n).randbytes(n)
  write_whole(path, data)
  assert read_whole(path) == data
  assert storage_of(path).size(path) == n
  with storage_of(path).open(path) as file:
    pieces = iter(lambda: file.read(30_000), b'')
    assert b''.join(pieces) == data


def test_any_place_of_a_file_is_read(root):
  n_bytes = 3 * RANGE_BYTES
  path, data = f'{root}/a', random.Random(1).randbytes(n_bytes)
  write_whole(path, data)
  draw = random.Random(2)
  with storage_of(path).open(path) as file:
    for _ in range(30):
      start, n = draw.randrange(n_bytes + 1), draw.randrange(RANGE_BYTES)
      file.seek(start)
      assert file.read(n) == data[start : start + n]
    assert file.seek(0, 2) == n_bytes
    assert file.read() == b''


def test_a_folder_among_files_of_data_is_named(root):
  for name in ('1', 'old/1', 'old/2'):
    write_whole(f'{root}/Split-train/{name}', b'x')
  fault = r'Split-train/old is a folder, and the data of a split are files; move its files to '
  with pytest.raises(DataError, match=fault):
    data_sizes(f'{root}/Split-train')


def test_folders(root):
  storage = storage_of(root)
  assert not exists(root)
  assert not storage.is_folder(root)
  for name in ('b', 'Split-train/1', 'Split-train/2', 'Split-train-more/1'):
    write_whole(f'{root}/{name}', b'x')
  assert storage.is_folder(root)
  assert storage.is_folder(f'{root}/Split-train')
  assert not storage.is_folder(f'{root}/Split-tr')
  assert not exists(f'{root}/Split-tr')
  assert storage.names(root) == ['Split-train', 'Split-train-more', 'b']
  assert storage.names(f'{root}/Split-train') == ['1', '2']
  assert data_sizes(f'{root}/Split-train') == {'1': 1, '2': 1}
  assert data_sizes(f'{root}/Split-tr') == {}
  for name in ('.DS_Store', '_SUCCESS', '.1.crc', '_temporary/1'):
    write_whole(f'{root}/Split-train/{name}', b'no record')
  assert data_sizes(f'{root}/Split-train') == {'1': 1, '2': 1}
  times = storage.times(f'{root}/Split-train')
  assert {f'{root}/Split-train/{i}' for i in (1, 2)} <= set(times)
  assert all(seconds >= 0 for seconds in times.values())
  storage.delete_folder(f'{root}/Split-train')
  assert storage.names(root) == ['Split-train-more', 'b']
  storage.delete(f'{root}/b')
  assert not exists(f'{root}/b')


@pytest.mark.parametrize('first', [0, 1])
def test_shards_are_numbered_from_0_or_from_1(first):
  sizes = {f'a-{first + i:05d}-of-00003.gz': 9 for i in range(3)}
  assert missing_files('in', sizes) == []
  gone = f'a-{first + 1:05d}-of-00003.gz'
  del sizes[gone]
  assert missing_files('in', sizes) == [f'in/{gone} is not there']


def test_what_is_not_there(root):
  write_whole(f'{root}/there', b'x')
  with pytest.raises(OSError, match='absent'):
    read_whole(f'{root}/absent')
  with pytest.raises(OSError, match='absent'):
    storage_of(root).size(f'{root}/absent')


@pytest.mark.parametrize('target', ['other', 's3://bucket/other', 'gs://second/other'])
def test_copies_and_moves_between_storages(tmp_path, root, target):
  target = target if '://' in target else f'{tmp_path}/{target}'
  write_whole(f'{root}/a', b'12345')
  copy(f'{root}/a', f'{target}/b')
  assert read_whole(f'{target}/b') == read_whole(f'{root}/a') == b'12345'
  move(f'{root}/a', f'{target}/c')
  assert read_whole(f'{target}/c') == b'12345'
  assert not exists(f'{root}/a')


def test_who_reads_a_file_while_it_is_written_again_sees_it_whole(tmp_path):
  path, n = str(tmp_path / 'files' / 'report.html'), 300_000
  whole = [bytes([i]) * n for i in range(2)]
  write_whole(path, whole[0])
  torn, stop = [], threading.Event()

  def read():
    while not stop.is_set():
      found = read_whole(path)
      torn.extend([len(found)] if found not in whole else [])

  reader = threading.Thread(target=read)
  reader.start()
  for i in range(1000):
    write_whole(path, whole[i % 2])
  stop.set()
  reader.join()
  assert torn == []
  assert os.listdir(tmp_path / 'files') == ['report.html']


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
  with small_disk(tmp_path / 'disk', 'size=64k') as disk:
    path = str(disk / 'report.html')
    write_whole(path, b'good' * 8192)
    with pytest.raises(StorageError, match=r'report\.html cannot be written: No space left'):
      write_whole(path, b'new!' * 16384)
    assert read_whole(path) == b'good' * 8192
    assert os.listdir(disk) == ['report.html']


def test_a_file_that_is_written_again_keeps_its_permissions_and_a_link_stays_one(tmp_path):
  (tmp_path / 'there').write_bytes(b'old')
  (tmp_path / 'there').chmod(0o600)
  (tmp_path / 'link').symlink_to('there')
  write_whole(str(tmp_path / 'link'), b'new')
  assert (tmp_path / 'there').read_bytes() == b'new'
  assert (tmp_path / 'there').stat().st_mode & 0o777 == 0o600
  assert (tmp_path / 'link').is_symlink()


def test_an_object_is_whole_or_not_there():
  path = 's3://bucket/a'

  def write_half():
    with storage_of(path).create(path) as file:
      file.write(b'half')
      assert not exists(path)
      raise ValueError('in between')

  with pytest.raises(ValueError, match='in between'):
    write_half()
  assert not exists(path)


def test_settings_of_s3(monkeypatch):
  from apache_beam.io.filesystems import FileSystems
  from apache_beam.options.pipeline_options import PipelineOptions

  monkeypatch.setattr(FileSystems, '_pipeline_options', None)
  assert object_store._s3_options() == ()
  given = ['--s3_endpoint_url=http://here:9', '--s3_region_name=eu-west-1']
  FileSystems.set_options(PipelineOptions(given))
  assert dict(object_store._s3_options()) == {'endpoint': 'http://here:9', 'region': 'eu-west-1'}


def test_a_move_to_another_disk(tmp_path, monkeypatch):
  def rename(*_):
    raise OSError(18, 'Invalid cross-device link')

  monkeypatch.setattr(shutil.os, 'rename', rename)
  write_whole(f'{tmp_path}/a', b'1')
  move(f'{tmp_path}/a', f'{tmp_path}/b')
  assert read_whole(f'{tmp_path}/b') == b'1'
  assert not exists(f'{tmp_path}/a')
