"""Storage that does not answer, refuses or is not there: one error, which says what to check."""

import errno

import obstore
import pytest
from tfx_balance.errors import DataError, StorageError, plain_cause
from tfx_balance.tfrecord import object_store
from tfx_balance.tfrecord.files import read_frames
from tfx_balance.tfrecord.object_store import ask, list_in
from tfx_balance.tfrecord.storage import exists, read_whole, storage_of, write_whole

from tests.objectstore.buckets import set_address
from tests.objectstore.helpers_objects import be_impatient
from tests.tfrecord.helpers_scripted_store import STALL, Answer, ScriptedStore, failed

CALLS = {
  'list': lambda path: storage_of(path).times(path),
  'names': lambda path: storage_of(path).names(path),
  'read': read_whole,
  'write': lambda path: write_whole(path, b'x'),
  'size': lambda path: storage_of(path).size(path),
}
NAMES = {
  's3': 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, .*AWS_REGION, AWS_ENDPOINT_URL',
  'gs': 'GOOGLE_APPLICATION_CREDENTIALS',
}
EVERY_CALL = pytest.mark.parametrize('call', CALLS.values(), ids=CALLS)
SCHEMES = pytest.mark.parametrize('scheme', NAMES)


@pytest.fixture
def server(monkeypatch):
  """Returns a server that does not answer, and is asked again after a second."""
  be_impatient(monkeypatch)
  with ScriptedStore(lambda request: STALL) as running:
    set_address(monkeypatch, running.address)
    yield running


REQUESTS = pytest.mark.parametrize(
  ('request_of', 'options'),
  [
    pytest.param(list_in, {}, id='list'),
    pytest.param(object_store._read_first, {}, id='read'),
    pytest.param(obstore.put, {'file': b'x', 'n_bytes': 1}, id='write'),
    pytest.param(obstore.head, {}, id='size'),
  ],
)


@SCHEMES
@REQUESTS
def test_a_stalled_storage_is_given_up(server, scheme, request_of, options):
  message = (
    rf"no progress in [4-9] seconds \(.*check that the storage .*{NAMES[scheme]}.*: '{scheme}"
  )
  with pytest.raises(TimeoutError, match=message) as raised:
    ask(request_of, f'{scheme}://bucket/a', stalled_seconds=5, **options)
  assert raised.value.filename == f'{scheme}://bucket/a'
  assert 'Debug source' not in str(raised.value)  # obstore's internals
  assert len(server.requests) <= 5


@REQUESTS
def test_a_storage_that_is_overloaded_is_given_up(server, request_of, options):
  server.answer = lambda request: failed(503, 'SlowDown')
  with pytest.raises(TimeoutError, match=r'no progress in [3-9] seconds \(.*503 Service Unav'):
    ask(request_of, 's3://bucket/a', stalled_seconds=5, **options)


def test_a_page_of_a_list_is_asked_for_again_alone(server):
  pages = [range(0, 1000), range(1000, 2000), range(2000, 2010)]
  asked = []

  def answer(request):
    asked.append(request.path)
    if len(asked) == 2:
      return STALL
    page = min(len(asked) - (len(asked) > 2), 3) - 1
    keys = ''.join(
      f'<Contents><Key>a/{i:04d}</Key><LastModified>2026-10-21T07:28:00.000Z</LastModified>'
      f'<ETag>"a"</ETag><Size>3</Size></Contents>'
      for i in pages[page]
    )
    more = '<NextContinuationToken>next</NextContinuationToken>' if page < 2 else ''
    return Answer(200, f'<ListBucketResult>{more}{keys}</ListBucketResult>'.encode())

  server.answer = answer
  assert len(storage_of('s3://b/a').times('s3://b/a')) == 2010
  assert len(asked) == 4


@SCHEMES
@EVERY_CALL
@pytest.mark.parametrize(
  ('status', 'code'), [(403, 'InvalidAccessKeyId'), (401, 'Unauthorized'), (400, 'ExpiredToken')]
)
def test_wrong_keys_are_refused_at_once(server, scheme, call, status, code):
  server.answer = lambda request: failed(status, code)
  if status == 400 and call is CALLS['size']:
    server.answer = lambda request: failed(403, code)  # a HEAD has no text
  with pytest.raises(PermissionError, match=f"check the keys .*{NAMES[scheme]}.*: '{scheme}") as e:
    call(f'{scheme}://bucket/a')
  assert e.value.errno == errno.EACCES
  assert len(server.requests) == 1


@SCHEMES
@pytest.mark.parametrize('name', ['list', 'names', 'read', 'write'])
def test_a_bucket_that_is_missing_is_refused_at_once(server, scheme, name):
  server.answer = lambda request: failed(404, 'NoSuchBucket')
  message = f"no bucket {scheme}://bucket at this endpoint; check .*{NAMES[scheme]}.*: '{scheme}"
  with pytest.raises(FileNotFoundError, match=message):
    CALLS[name](f'{scheme}://bucket/a')
  assert len(server.requests) == 1
  with pytest.raises(FileNotFoundError, match='no bucket'):
    exists(f'{scheme}://bucket/a')


def test_a_region_that_is_wrong_is_refused_at_once(server):
  server.answer = lambda request: failed(301, 'PermanentRedirect')
  with pytest.raises(PermissionError, match=r'region.*AWS_REGION'):
    read_whole('s3://bucket/a')
  assert len(server.requests) == 1


def test_a_file_of_keys_that_is_missing_is_refused_at_once(server, monkeypatch, tmp_path):
  monkeypatch.delenv('GOOGLE_BEARER_TOKEN')
  monkeypatch.setenv('GOOGLE_APPLICATION_CREDENTIALS', f'{tmp_path}/missing.json')
  with pytest.raises(PermissionError, match=r'missing\.json.*GOOGLE_APPLICATION_CREDENTIALS'):
    read_whole('gs://bucket/a')
  assert server.requests == []


def test_a_component_says_what_the_storage_says(server):
  server.answer = lambda request: failed(403, 'InvalidAccessKeyId')
  with pytest.raises(DataError, match=r's3://b/a cannot be opened; .*InvalidAccessKeyId.*AWS_ACC'):
    list(read_frames('s3://b/a'))
  error = RuntimeError("tfx_balance.errors.StorageError: a cannot be read [while running 'x']")
  assert isinstance(plain_cause(error), StorageError)


@pytest.mark.parametrize(
  ('n_bytes', 'seconds'), [(0, 2), (1 << 20, 2), (8 << 20, 16), (32 << 20, 67), (1 << 40, 134)]
)
def test_an_upload_has_time_for_its_bytes(n_bytes, seconds):
  assert object_store._upload_seconds(n_bytes) == seconds
