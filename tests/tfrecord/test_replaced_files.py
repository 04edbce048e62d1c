"""Files and objects that are replaced while they are read are an error, never a mixture."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from tfx_balance.errors import DataError
from tfx_balance.tfrecord.files import read_frames
from tfx_balance.tfrecord.object_store import RANGE_BYTES
from tfx_balance.tfrecord.storage import copy, read_whole, storage_of
from tfx_balance.tfrecord.work_files import FileCopy, copy_file

from tests.helpers_examples import example, write_tfrecords
from tests.objectstore.buckets import set_address
from tests.tfrecord.helpers_scripted_store import ScriptedStore, part_of

KINDS = ['S3', 'heedless', 'weak', 'without']
SERVERS = [(scheme, kind) for scheme in ('s3', 'gs') for kind in KINDS][:-1]  # GCS has ETags
REPLACED = 'was replaced while it was read; run again when nothing writes to it'
N = 400


def records_of(label, n_bytes=100):
  """Returns the bytes of a file of records of one class, all of one size."""
  return [example(label=label, text=b'x' * n_bytes) for _ in range(N)]


@pytest.fixture
def data(tmp_path):
  """Returns the bytes of two files of equal size."""
  paths = [write_tfrecords(tmp_path / f'{i}', records_of(i)) for i in (0, 1)]
  return [Path(path).read_bytes() for path in paths]


@pytest.fixture(scope='module')
def objects(tmp_path_factory):
  """Returns the bytes of two objects of equal size, several ranges each."""
  folder = tmp_path_factory.mktemp('objects')
  paths = [write_tfrecords(folder / f'{i}', records_of(i, RANGE_BYTES // 64)) for i in (0, 1)]
  return [Path(path).read_bytes() for path in paths]


@pytest.fixture
def serve(monkeypatch):
  """Returns a function that serves objects by a function."""
  with contextlib.ExitStack() as stack:

    def start(answer):
      server = stack.enter_context(ScriptedStore(answer))
      set_address(monkeypatch, server.address)
      return server

    yield start


def replaced_after(n, objects, kind):
  """Returns what serves the first object for n requests, then the second."""
  served = []

  def answer(request):
    served.append(request)
    return part_of(objects[len(served) > n], request, kind)

  return answer


@pytest.mark.parametrize(('scheme', 'kind'), SERVERS)
def test_an_object_that_stays_is_read_by_one_request_a_range(serve, objects, scheme, kind):
  server = serve(replaced_after(99, objects, kind))
  assert read_whole(f'{scheme}://bucket/a') == objects[0]
  assert len(server.requests) == -(-len(objects[0]) // RANGE_BYTES) == 7


@pytest.mark.parametrize(('scheme', 'kind'), SERVERS)
def test_an_object_that_is_replaced_is_an_error(serve, objects, scheme, kind):
  serve(replaced_after(4, objects, kind))
  with pytest.raises(DataError, match=f'^{scheme}://bucket/a {REPLACED}'):
    for _ in read_frames(f'{scheme}://bucket/a', chunk_bytes=1000):
      pass


@pytest.mark.parametrize('kind', KINDS)
def test_an_object_that_is_replaced_by_a_short_one_is_an_error(serve, objects, kind):
  serve(replaced_after(3, [objects[0], objects[1][:100]], kind))
  with pytest.raises(OSError, match=f"{REPLACED}: 's3://bucket/a'"):
    read_whole('s3://bucket/a')


def test_places_of_an_object_and_copies_of_it_are_of_one_version(serve, objects, tmp_path):
  serve(replaced_after(1, objects, 'S3'))
  with storage_of('s3://b/a').open('s3://b/a') as file:
    file.seek(5 * RANGE_BYTES)
    with pytest.raises(OSError, match=f"{REPLACED}: 's3://b/a'"):
      file.read(10)
  serve(replaced_after(2, objects, 'S3'))
  with pytest.raises(OSError, match=f"{REPLACED}: 's3://b/a'"):
    copy('s3://b/a', f'{tmp_path}/copy')


def overwrite(path, data):
  """Writes other bytes into the file that is there."""
  with open(path, 'r+b') as file:
    file.write(data)


def put_in_place(path, data):
  """Puts another file of the same time in its place."""
  before = os.stat(path)
  Path(f'{path}-new').write_bytes(data)
  os.utime(f'{path}-new', ns=(before.st_atime_ns, before.st_mtime_ns))
  os.replace(f'{path}-new', path)


def flip_back(path, data):
  """Writes damage, so that a checksum fails first."""
  overwrite(path, bytes(len(data)))


@pytest.mark.parametrize('change', [overwrite, put_in_place, flip_back])
def test_a_file_of_this_machine_that_is_replaced_is_an_error(tmp_path, data, change):
  path = f'{tmp_path}/0'
  os.utime(path, (1, 1))
  frames = read_frames(path, chunk_bytes=1000)
  next(frames)
  change(path, data[1])
  with pytest.raises(DataError, match=f'{path} {REPLACED}'):
    list(frames)


def test_a_file_that_is_replaced_while_it_is_copied_is_an_error(tmp_path, data, monkeypatch):
  path, copied = f'{tmp_path}/0', shutil.copyfileobj

  def copy_and_replace(file, *args):
    copied(file, *args)
    overwrite(path, data[1])

  monkeypatch.setattr(shutil, 'copyfileobj', copy_and_replace)
  with pytest.raises(DataError, match=f'{path} {REPLACED}'):
    copy_file(FileCopy(path, f'{tmp_path}/copy'), str(tmp_path))


def test_a_file_may_be_linked_given_other_rights_or_given_up(tmp_path):
  path = write_tfrecords(tmp_path / 'a', records_of(0))
  frames = read_frames(path, chunk_bytes=1000)
  next(frames)
  os.chmod(path, 0o400)
  os.link(path, f'{path}-link')
  assert sum(map(len, frames)) > N - 10
  frames = read_frames(path, chunk_bytes=1000)
  next(frames)
  overwrite(path, Path(path).read_bytes())
  frames.close()
