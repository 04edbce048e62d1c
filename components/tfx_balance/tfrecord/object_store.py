"""Objects of S3, MinIO and GCS, by obstore: read by ranges, uploaded whole, listed, deleted.

An object is read by ranges, the next ones requested ahead, without asking for its size first. It is
written to a local temporary file and uploaded when that is whole, in one request or, if it is
large, in parts, so that an incomplete object is never visible.

Endpoint, region and credentials come from the usual environment variables (AWS_ENDPOINT_URL,
AWS_REGION, AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS and so on), and for S3 from Beam's
options (`--s3_endpoint_url` and so on) where a pipeline has them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import os
import posixpath
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import obstore
from obstore import exceptions
from obstore.store import GCSStore, S3Store

SCHEMES = ('s3', 'minio', 'gs')
S3_PREFIXES = ('s3://', 'minio://')
"""Beginnings of the paths of objects that TensorFlow cannot open."""
RANGE_BYTES = 8 << 20
"""Bytes of an object that one request reads, where there are that many."""
WHOLE_BYTES = 32 << 20
"""Bytes up to which an object is uploaded by one request, of which a killed process leaves none."""
PART_BYTES = 16 << 20
"""Bytes of each part of a larger one."""
MINIO_ENDPOINT = 'http://minio-service.kubeflow:9000'
"""Endpoint of `minio://` where the environment names none: what Kubeflow's launcher takes."""
_AHEAD = 2  # ranges that are requested before they are needed
_REQUESTS = 16  # at a time in this process
_PARTS = 4  # of one object that are uploaded at a time
_ATTEMPTS = 4  # at what obstore itself does not repeat, such as a list that breaks off
_FIRST_WAIT = 0.2  # seconds before the second attempt, doubled before each other one
# An answer that stalls is asked for again after ten seconds; obstore's default is to wait for all
# of it for 30, which a large object needs on a slow line. Of a writing request these ten seconds
# would include the sending, so its limit is one for the whole.
_CLIENT: Any = {'allow_http': True, 'connect_timeout': '5s'}
_READS: Any = {'read_timeout': '10s', 'timeout': '300s'}
_WRITES: Any = {'timeout': '120s'}
_OBJECTS_AT_A_TIME = 1000  # that one request deletes
_VARIABLES = ('AWS_', 'GOOGLE_')
_S3_OPTIONS = {  # Beam's name to obstore's
  's3_endpoint_url': 'endpoint',
  's3_region_name': 'region',
  's3_access_key_id': 'access_key_id',
  's3_secret_access_key': 'secret_access_key',
  's3_session_token': 'session_token',
}


class ObjectReader(io.RawIOBase):
  """Reads an object from where it is, range by range, the next ones requested ahead."""

  def __init__(self, path: str) -> None:
    self._path = path
    self._requests: deque[Future[bytes]] = deque()  # before what may fail: `close` uses it
    self._position = 0
    self._size, first = ask(_read_first, path)
    self._end = len(first)  # of what was requested
    self._data = memoryview(first)
    self._request()

  def readable(self) -> bool:
    return True

  def seekable(self) -> bool:
    return True

  def tell(self) -> int:
    return self._position

  def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
    base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
    target = base + offset
    if not 0 <= target - self._position <= len(self._data):
      self._cancel()
      self._end, self._data = target, memoryview(b'')
    else:
      self._data = self._data[target - self._position :]
    self._position = target
    return target

  def readinto(self, buffer: Any) -> int:
    if not len(self._data):
      self._request()
      if not self._requests:
        return 0
      self._data = memoryview(self._requests.popleft().result())
      self._request()
    n = min(len(buffer), len(self._data))
    buffer[:n] = self._data[:n]
    self._data = self._data[n:]
    self._position += n
    return n

  def close(self) -> None:
    self._cancel()
    super().close()

  def _request(self) -> None:
    """Requests the next ranges, up to those that are read ahead."""
    while len(self._requests) < _AHEAD and self._end < self._size:
      end = min(self._end + RANGE_BYTES, self._size)
      self._requests.append(_pool().submit(ask, _read_range, self._path, self._end, end))
      self._end = end

  def _cancel(self) -> None:
    for request in self._requests:
      request.cancel()
    self._requests.clear()


class Upload(io.RawIOBase):
  """A temporary file that becomes an object when it is closed, unless it was discarded.

  Attributes:
    size: Number of bytes of the object, once it is closed.
  """

  def __init__(self, path: str) -> None:
    self._path = path
    self.size = 0
    self._file = tempfile.TemporaryFile(prefix='tfx-balance-')  # noqa: SIM115
    self._discarded = False

  def writable(self) -> bool:
    return True

  def write(self, data: Any) -> int:
    return self._file.write(data)

  def close(self) -> None:
    if self.closed:
      return
    super().close()
    with self._file as file:
      self.size = file.seek(0, os.SEEK_END)
      if not self._discarded:
        upload(file, self._path)

  def discard(self) -> None:
    """Has `close` upload nothing."""
    self._discarded = True

  def __exit__(self, kind: object, *_: object) -> None:
    self._discarded |= kind is not None
    self.close()


def upload(file: BinaryIO, path: str) -> None:
  """Writes an object: the bytes of a local file, in parts if they are many.

  Whoever wants no part of a failed upload to stay in the bucket sets a lifecycle rule for that.
  """
  large = file.seek(0, os.SEEK_END) > WHOLE_BYTES
  options = {'use_multipart': large, 'chunk_size': PART_BYTES, 'max_concurrency': _PARTS}
  ask(_put, path, file, writes=True, **options)


def _put(store: Any, key: str, file: BinaryIO, **options: Any) -> None:
  file.seek(0)
  try:
    obstore.put(store, key, file, **options)
  except FileNotFoundError as error:  # the answer to the last request was lost: upload it again
    raise exceptions.GenericError(str(error)) from error


def list_below(store: Any, key: str, most: int | None = None) -> list[Any]:
  """Returns what there is below a folder, or the first of it, as obstore describes it."""
  stream = obstore.list(store, key.rstrip('/') or None, chunk_size=most or _OBJECTS_AT_A_TIME)
  batches = itertools.islice(stream, 1 if most else None)
  return [each for batch in batches for each in batch]


def list_in(store: Any, key: str) -> list[str]:
  """Returns the names in a folder, sorted."""
  found = obstore.list_with_delimiter(store, key.rstrip('/') or None)
  paths = [*found['common_prefixes'], *(each['path'] for each in found['objects'])]
  return sorted({posixpath.basename(path.rstrip('/')) for path in paths} - {''})


def delete_all(paths: Sequence[str]) -> None:
  """Deletes objects of one bucket; those that are not there are no error."""
  if paths and paths[0].startswith('gs://'):  # one request each, at whose failure the others go on
    list(_pool().map(_delete, paths))
    return
  for i in range(0, len(paths), _OBJECTS_AT_A_TIME):
    some = [place(path)[1] for path in paths[i : i + _OBJECTS_AT_A_TIME]]
    ask(lambda store, _, keys: obstore.delete(store, keys), paths[i], some)


def _delete(path: str) -> None:
  with contextlib.suppress(FileNotFoundError):
    ask(obstore.delete, path)


def _read_first(store: Any, key: str) -> tuple[int, bytes]:
  """Returns the size of an object, and its first bytes."""
  try:
    found = obstore.get(store, key, options={'range': (0, RANGE_BYTES)})
    return int(found.meta['size']), found.bytes().to_bytes()
  except exceptions.GenericError:  # of an empty object no range can be had
    found = obstore.get(store, key)
    if int(found.meta['size']):
      raise
    return 0, b''


def read_ranges(path: str, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
  """Yields the bytes of an object from each start to its end, each by a request, some ahead."""
  requests: deque[Future[bytes]] = deque()
  try:
    for start, end in ranges:
      requests.append(_pool().submit(ask, _read_range, path, start, end))
      if len(requests) > _AHEAD:
        yield requests.popleft().result()
    while requests:
      yield requests.popleft().result()
  finally:
    for request in requests:
      request.cancel()


def _read_range(store: Any, key: str, start: int, end: int) -> bytes:
  return obstore.get_range(store, key, start=start, end=end).to_bytes()


def ask(
  call: Callable[..., Any], path: str, *args: Any, writes: bool = False, **options: Any
) -> Any:
  """Returns what a call answers of an object, asking again where that can help.

  Args:
    call: Function of the bucket, the object's name in it, and what else is given; repeatable.
    path: Path of the object.
    *args: Other arguments.
    writes: Whether the call sends or copies an object, which may take long.
    **options: Other arguments, by name.

  Raises:
    FileNotFoundError: if there is no such object.
    PermissionError: if it may not be used.
    OSError: if the last attempt fails too.
  """
  if _parent_has_asked:
    raise OSError(
      errno.ENOTSUP,
      'objects cannot be used in a process that was forked when its parent had used some already; '
      "start it by multiprocessing's 'spawn'",
      path,
    )
  wait = _FIRST_WAIT
  for attempt in range(1, _ATTEMPTS + 1):
    try:
      return call(*place(path, writes), *args, **options)
    except (FileNotFoundError, exceptions.NotFoundError) as error:
      raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
      raise PermissionError(errno.EACCES, _told(error), path) from error
    except (exceptions.BaseError, ValueError) as error:
      if attempt == _ATTEMPTS or not isinstance(error, exceptions.GenericError):
        raise OSError(errno.EIO, _told(error), path) from error
    time.sleep(wait)
    wait *= 2
  raise AssertionError


def _told(error: Exception) -> str:
  """Returns what an error of obstore says, without its internals."""
  return str(error).partition('\n\nDebug source:')[0]


def place(path: str, writes: bool = False) -> tuple[S3Store | GCSStore, str]:
  """Returns the bucket that an object is in, and its name there."""
  scheme, _, rest = path.partition('://')
  bucket, _, key = rest.partition('/')
  settings = [item for item in os.environ.items() if item[0].startswith(_VARIABLES)]
  options = () if scheme == 'gs' else _s3_options()
  return _bucket(scheme, bucket, tuple(settings), options, writes), key


@functools.lru_cache(maxsize=64)
def _bucket(
  scheme: str,
  bucket: str,
  settings: tuple[Any, ...],
  options: tuple[tuple[str, str], ...],
  writes: bool,
) -> S3Store | GCSStore:
  """Returns a bucket, one for equal settings of the environment, which obstore reads itself."""
  client: Any = {**_CLIENT, **(_WRITES if writes else _READS)}
  if scheme == 'gs':
    return GCSStore(bucket, client_options=client)
  given: dict[str, Any] = dict(options)
  if scheme == 'minio' and not {'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3'} & set(dict(settings)):
    given.setdefault('endpoint', MINIO_ENDPOINT)
  return S3Store(bucket, client_options=client, **given)


def _s3_options() -> tuple[tuple[str, str], ...]:
  """Returns what Beam's options set of S3, by obstore's names; Beam keeps them for filesystems."""
  beam = sys.modules.get('apache_beam.io.filesystems')
  given = getattr(getattr(beam, 'FileSystems', None), '_pipeline_options', None)
  known = given.get_all_options() if given is not None else {}
  return tuple((ours, known[name]) for name, ours in _S3_OPTIONS.items() if known.get(name))


@functools.cache
def _pool() -> ThreadPoolExecutor:
  return ThreadPoolExecutor(_REQUESTS, 'tfx-balance-storage')


def _after_fork() -> None:
  global _parent_has_asked
  _parent_has_asked = bool(_bucket.cache_info().misses)


# obstore's threads do not exist in a forked process: its first call would wait for ever.
_parent_has_asked = False
os.register_at_fork(after_in_child=_after_fork)


def bucket_of(path: str) -> str:
  """Returns the scheme and the bucket of an object's path."""
  scheme, _, rest = path.partition('://')
  return f'{scheme}://{rest.partition("/")[0]}'
