"""Every operation of the storage module on a real server, counted, and with faults injected."""

import errno
import functools
import random
import subprocess
import sys
import textwrap
import time

import pytest
from tfx_balance.errors import DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.tfrecord import object_store
from tfx_balance.tfrecord.object_store import RANGE_BYTES, WHOLE_BYTES
from tfx_balance.tfrecord.storage import (
  copy,
  exists,
  move,
  read_whole,
  storage_of,
  write_whole,
)

from tests.objectstore.storage_proxy import FAULTS

SCHEMES = ('s3', 'gs')  # minio:// is s3:// under another name
RATES = dict.fromkeys(FAULTS, 0.06)


@functools.cache
def block(n, seed=0):
  """Returns n bytes that repeat nowhere."""
  return random.Random(seed).randbytes(n)


@pytest.fixture(params=SCHEMES)
def bucket(request, new_bucket):
  return new_bucket(request.param)


@pytest.mark.parametrize('n', [0, 1, 100_000])
def test_a_small_object_is_written_and_read_by_one_request(bucket, n):
  write_whole(f'{bucket.uri}/a/b', block(n))
  assert bucket.traffic().requests == {'PUT': 1}
  assert bucket.read('a/b') == block(n)

  bucket.meddle()
  assert read_whole(f'{bucket.uri}/a/b') == block(n)

  # A range of an empty object cannot be had: it is asked for again without one.
  assert bucket.traffic().requests == {'GET': 1 if n else 2}
  assert sum(bucket.traffic().bytes_read.values()) < n + 1000


@pytest.mark.parametrize('n', [WHOLE_BYTES, WHOLE_BYTES + 1])
def test_a_large_object_is_written_in_parts_and_read_in_ranges(bucket, n):
  write_whole(f'{bucket.uri}/a', block(n))

  requests = bucket.traffic().requests
  if n > WHOLE_BYTES:
    assert (requests['CREATE'], requests['PART'], requests['COMPLETE']) == (1, 3, 1)
  else:
    assert requests == {'PUT': 1}
  assert bucket.uploads() == []
  bucket.meddle()
  assert read_whole(f'{bucket.uri}/a') == block(n)
  assert bucket.traffic().requests == {'GET': -(-n // RANGE_BYTES)}
  assert bucket.traffic().bytes_read == {'GET': n}


@pytest.mark.parametrize('name', ['a b', 'a[1]', 'a#1?x=1&y', '100%25', 'é/ü', "it's+(1)~"])
def test_any_name_is_taken_as_it_is(bucket, name):
  write_whole(f'{bucket.uri}/folder/{name}', b'x')

  assert bucket.keys() == [f'folder/{name}']
  assert read_whole(f'{bucket.uri}/folder/{name}') == b'x'
  assert storage_of(bucket.uri).names(f'{bucket.uri}/folder') == [name.split('/')[0]]
  storage_of(bucket.uri).delete(f'{bucket.uri}/folder/{name}')
  assert bucket.keys() == []


def test_each_range_is_one_request(bucket):
  bucket.write('a', block(100_000))
  ranges = [(i * 1000, i * 1000 + 500) for i in range(20)]
  bucket.meddle()

  found = list(object_store.read_ranges(f'{bucket.uri}/a', ranges))

  assert found == [block(100_000)[start:end] for start, end in ranges]
  assert bucket.traffic().requests == {'GET': 20}


def test_folders_are_listed_and_deleted(bucket):
  files = storage_of(bucket.uri)
  pages = 2 if bucket.scheme == 'gs' else 1  # of 1,000, which this server of S3 deletes slowly
  n = 1_050 if pages == 2 else 50
  for i in range(n):
    bucket.write(f'a/b/{i:04d}', b'x')
  for key in ('a/b-more', 'a/c', 'ab/c'):
    bucket.write(key, b'x')

  assert files.names(f'{bucket.uri}/a') == ['b', 'b-more', 'c']
  assert len(files.times(f'{bucket.uri}/a/b')) == n
  assert files.is_folder(f'{bucket.uri}/a/b')
  assert not files.is_folder(f'{bucket.uri}/a/b-')
  bucket.meddle()
  files.delete_folder(f'{bucket.uri}/a/b')

  assert bucket.keys() == ['a/b-more', 'a/c', 'ab/c']
  assert bucket.traffic().requests == {'LIST': pages, 'DELETE': n if pages == 2 else 1}


def test_copies_within_a_bucket_are_not_downloaded(bucket):
  bucket.write('a', block(100_000))

  copy(f'{bucket.uri}/a', f'{bucket.uri}/b')
  move(f'{bucket.uri}/a', f'{bucket.uri}/c')

  assert bucket.keys() == ['b', 'c']
  assert bucket.read('b') == bucket.read('c') == block(100_000)
  assert sum(bucket.traffic().bytes_read.values()) < 2000


def test_an_object_that_is_missing_is_named(bucket):
  path = f'{bucket.uri}/missing'
  for call in (read_whole, storage_of(path).size, storage_of(path).names):
    with pytest.raises(FileNotFoundError, match=path) as raised:
      call(path)
    assert raised.value.errno == errno.ENOENT
  assert not exists(path)


def test_a_bucket_that_is_missing_is_named(bucket):
  bucket.meddle()
  path = f'{bucket.scheme}://no-such-bucket/a'
  message = 'no bucket .*no-such-bucket at this endpoint; check its name and (AWS|GOOGLE)_'
  for call in (read_whole, storage_of(path).names, storage_of(path).times):
    with pytest.raises(FileNotFoundError, match=message):
      call(path)
  with pytest.raises(FileNotFoundError, match=message):
    write_whole(path, b'x')
  assert bucket.traffic().requests == {'GET': 1, 'LIST': 2, 'PUT': 1}


def read_replaced(bucket):
  """Reads an object that is replaced after its first bytes."""
  bucket.write('a', block(4 * RANGE_BYTES))
  with storage_of(bucket.uri).open(f'{bucket.uri}/a') as file:
    file.read(1)
    bucket.write('a', block(4 * RANGE_BYTES, seed=1))
    file.seek(3 * RANGE_BYTES)
    file.read()


def test_an_object_that_is_replaced_while_it_is_read_is_named(bucket):
  with pytest.raises(OSError, match=f"replaced while it was read; run.*: '{bucket.uri}/a'"):
    read_replaced(bucket)


def test_an_object_of_fake_gcs_that_is_replaced_while_it_is_read_is_named(fake_gcs_bucket):
  with pytest.raises(OSError, match='replaced while it was read; run again'):
    read_replaced(fake_gcs_bucket)


def test_nothing_is_left_of_what_fails_while_it_is_written(bucket):
  def write():
    with storage_of(bucket.uri).create(f'{bucket.uri}/a') as file:
      file.write(block(WHOLE_BYTES + 1))
      raise RuntimeError('in the middle')

  with pytest.raises(RuntimeError, match='in the middle'):
    write()

  assert bucket.keys() == bucket.uploads() == []


def test_every_operation_survives_faults(bucket, impatient):
  files = storage_of(bucket.uri)
  data = {f'in/{i}': block(1000 * i, i) for i in range(12)}
  # A fault is drawn for each request, and again for each repetition.
  bucket.meddle(rates=RATES, seed=5, stall=1.5)

  for key, value in data.items():
    write_whole(f'{bucket.uri}/{key}', value)
  read = {key: read_whole(f'{bucket.uri}/{key}') for key in data}
  names = files.names(f'{bucket.uri}/in')
  sizes = {key: files.size(f'{bucket.uri}/{key}') for key in data}
  listed = files.times(f'{bucket.uri}/in')
  copy(f'{bucket.uri}/in/3', f'{bucket.uri}/out/3')
  (part,) = object_store.read_ranges(f'{bucket.uri}/in/9', [(100, 200)])
  files.delete_folder(f'{bucket.uri}/in')

  assert set(bucket.traffic().faults) == set(FAULTS)
  assert read == data
  assert names == sorted(key.partition('/')[2] for key in data)
  assert sizes == {key: len(value) for key, value in data.items()}
  assert set(listed) == {f'{bucket.uri}/{key}' for key in data}
  assert part == data['in/9'][100:200]
  assert bucket.keys() == ['out/3']
  assert bucket.read('out/3') == data['in/3']
  assert bucket.uploads() == []


def test_a_large_object_survives_faults(bucket, impatient):
  # Not while the upload is created: of that, nobody knows the name if the answer is lost.
  operations = ('PART', 'COMPLETE', 'GET')
  rates = dict.fromkeys(('error_500', 'error_503', 'reset', 'stall'), 0.12)
  bucket.meddle(rates=rates, seed=1, stall=1.5, operations=operations)

  write_whole(f'{bucket.uri}/a', block(WHOLE_BYTES + 1))
  read = read_whole(f'{bucket.uri}/a')

  assert sum(bucket.traffic().faults.values()) >= 4
  assert read == bucket.read('a') == block(WHOLE_BYTES + 1)
  assert bucket.uploads() == []


def test_what_fails_for_good_is_an_error_that_names_the_object(bucket):
  bucket.write('a', b'x')
  bucket.meddle(rates={'reset_in_body': 1.0}, operations=('LIST',))

  with pytest.raises(OSError, match='list response') as raised:
    storage_of(bucket.uri).names(f'{bucket.uri}/folder')

  assert raised.value.filename == f'{bucket.uri}/folder'
  assert bucket.traffic().requests == {'LIST': 4}


def test_a_server_that_takes_its_time_to_store_is_waited_for(bucket, impatient):
  """A server that is slow to answer a PUT, or a slow line, is not a silent one."""
  bucket.meddle(delay=1.5)
  start = time.monotonic()

  write_whole(f'{bucket.uri}/a', block(1000))

  assert bucket.traffic().requests == {'PUT': 1}
  assert bucket.read('a') == block(1000)
  assert time.monotonic() - start >= 1.5


CHILD = """
  import multiprocessing, os, sys
  from tfx_balance.tfrecord.storage import read_whole, write_whole

  def check():
    assert read_whole(sys.argv[1] + '/a') == b'x'

  def check_refused():
    try:
      check()
    except OSError as error:
      assert "start it by multiprocessing's 'spawn'" in str(error), error
      return
    raise AssertionError

  if __name__ == '__main__':
    write_whole(sys.argv[1] + '/a', b'x')
    check()
    for way in sys.argv[2:]:
      target = check_refused if way == 'fork' else check
      process = multiprocessing.get_context(way).Process(target=target)
      process.start()
      process.join(60)
      print(way, process.exitcode)
      process.kill()
"""


def test_processes_that_are_spawned_read_too_and_forked_ones_say_why_not(bucket, tmp_path):
  program = tmp_path / 'program.py'
  program.write_text(textwrap.dedent(CHILD))

  done = subprocess.run(
    [sys.executable, str(program), bucket.uri, 'spawn', 'forkserver', 'fork'],
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )

  assert (done.returncode, done.stdout) == (0, 'spawn 0\nforkserver 0\nfork 0\n'), done.stderr


def test_images_are_read_by_their_paths(new_bucket):
  bucket = new_bucket('s3')
  paths = [f'{bucket.uri}/{folder}/{i}.png' for folder in 'ab' for i in range(10)]
  for path in paths:
    write_whole(path, b'\x89PNG\r\n\x1a\n' + path.encode())
  bucket.meddle()
  made = BalancedInputs.from_files(paths, [0, 1] * 10)
  assert bucket.traffic().requests == {'GET': 20}
  ((features, _),) = made.eval(20)
  assert [image[8:].decode() for image in features['image'].numpy()] == paths
  with pytest.raises(DataError, match=r'no\.png cannot be read .* check that it exists'):
    BalancedInputs.from_files([f'{bucket.uri}/no.png'], [1])
