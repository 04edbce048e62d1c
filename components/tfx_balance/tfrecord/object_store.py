"""Objects of S3, MinIO and GCS, by obstore: read by ranges, uploaded whole, listed, deleted.

An object is read by ranges, the next ones requested ahead, without asking for its size first; all
of them are of the version that the first one is of. It is written to a local temporary file and
uploaded when that is whole, in one request or, if it is large, in parts, so that an incomplete
object is never visible.

Endpoint, region and credentials come from the usual environment variables (AWS_ENDPOINT_URL,
AWS_REGION, AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS and so on), and for S3 from Beam's
options (`--s3_endpoint_url` and so on) where a pipeline has them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import posixpath
import re
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, BinaryIO

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
REPLACED = 'was replaced while it was read; run again when nothing writes to it'
STALLED_SECONDS = 60
"""Seconds after which a range, a page of a list or an upload that makes no progress is an error."""
SLOWEST_UPLOAD = 500_000
"""Bytes per second that an upload has beside these seconds."""
_ATTEMPTS = 4  # at what obstore itself does not repeat, such as a list that breaks off
_FIRST_WAIT = 0.2  # seconds before the second attempt, doubled before each other one
# An answer that stalls is asked for again after ten seconds; obstore's default is to wait for all
# of it for 30, which a large object needs on a slow line. Of a writing request these ten seconds
# would include the sending, so its limit is one for the whole.
_CLIENT: Any = {'allow_http': True, 'connect_timeout': '5s'}
_READS: Any = {'read_timeout': '10s', 'timeout': '300s'}
_RETRIES: Any = {'max_retries': 100, 'backoff': {'max_backoff': timedelta(seconds=5)}}
_PAGE = 1000  # objects that one request deletes or lists
_VARIABLES = ('AWS_', 'GOOGLE_')
_AWS = 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL'
_GOOGLE = 'GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_BASE_URL'
_WRONG_KEYS = re.compile(r'40[13] |400 .*(Token|Authorization|AccessKey|invalid_grant)', re.DOTALL)
_DENIED = re.compile(r'^(PermissionDenied|Unauth)|configured region|(Open|Decode)Credentials \{')
_NOT_OF_RANGES = re.compile(r'HTTP error|redirect|token request|status code: (?!416)')
_NO_BUCKET = re.compile(r'404 .*(NoSuchBucket|bucket does not exist)', re.DOTALL)
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
    self._size, self._version, first = ask(_read_first, path)
    self._end = len(first)  # of what was requested
    self._data = memoryview(first)
    self._request()

  def readable(self) -> bool:
    return True

  def seekable(self) -> bool:
    return True

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
      span = self._end, end, self._version
      self._requests.append(_pool().submit(ask, _read_range, self._path, *span))
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
        # Whoever wants no part of a failed upload to stay sets a lifecycle rule for that.
        large = self.size > WHOLE_BYTES
        options = {'use_multipart': large, 'chunk_size': PART_BYTES, 'max_concurrency': _PARTS}
        ask(_put, self._path, file, n_bytes=self.size, **options)

  def discard(self) -> None:
    """Has `close` upload nothing."""
    self._discarded = True

  def __exit__(self, kind: object, *_: object) -> None:
    self._discarded |= kind is not None
    self.close()


def _put(store: Any, key: str, file: BinaryIO, **options: Any) -> None:
  file.seek(0)
  try:
    obstore().put(store, key, file, **options)
  except FileNotFoundError as error:  # the answer to the last request was lost: upload it again
    if not options['use_multipart'] or _NO_BUCKET.search(str(error)):
      raise
    text = str(error).replace('status code: 404', '404')
    raise obstore().exceptions.GenericError(text) from error


def list_below(path: str, most: int | None = None) -> list[Any]:
  """Returns the objects below a folder, or the first of them, as obstore describes them."""
  found: list[Any] = []
  pages: Iterator[Any] | None = None

  def next_page(store: Any, key: str) -> Sequence[Any]:
    nonlocal pages
    prefix, last = key.rstrip('/') or None, found[-1]['path'] if found else None
    listed = pages or obstore().list(store, prefix, offset=last, chunk_size=most or _PAGE)
    pages = None  # if this fails, the next attempt lists what is behind what was found
    page = next(listed, ())
    pages = listed
    return page

  while page := ask(next_page, path):
    found += page
    if most:
      break
  return found


def list_in(store: Any, key: str) -> list[str]:
  """Returns the names in a folder, sorted."""
  found = obstore().list_with_delimiter(store, key.rstrip('/') or None)
  paths = [*found['common_prefixes'], *(each['path'] for each in found['objects'])]
  return sorted({posixpath.basename(path.rstrip('/')) for path in paths} - {''})


def delete_all(paths: Sequence[str]) -> None:
  """Deletes objects of one bucket; those that are not there are no error."""
  if paths and paths[0].startswith('gs://'):  # one request each, at whose failure the others go on
    list(_pool().map(_delete, paths))
    return
  for i in range(0, len(paths), _PAGE):
    some = [place(path)[1] for path in paths[i : i + _PAGE]]
    ask(lambda store, _, keys: obstore().delete(store, keys), paths[i], some)


def _delete(path: str) -> None:
  with contextlib.suppress(FileNotFoundError):
    ask(obstore().delete, path)


def _read_first(store: Any, key: str) -> tuple[int, Any, bytes]:
  """Returns the size of an object, its version and its first bytes."""
  try:
    found = obstore().get(store, key, options={'range': (0, RANGE_BYTES)})
    return int(found.meta['size']), _version(found), found.bytes().to_bytes()
  except obstore().exceptions.GenericError as error:  # of an empty object no range can be had
    if _NOT_OF_RANGES.search(str(error)):
      raise
    found = obstore().get(store, key)
    if int(found.meta['size']):
      raise
    return 0, None, b''


def _version(file: Any) -> Any:
  """Returns the ETag of an object; where the server gives none, its size and time."""
  return file.meta['e_tag'] or (file.meta['size'], file.meta['last_modified'])


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


def _read_range(store: Any, key: str, start: int, end: int, version: Any = None) -> bytes:
  """Returns bytes of an object, which must be of a version where one is given."""
  options: Any = {'range': (start, end)}
  if isinstance(version, str) and not version.startswith('W/'):  # a weak ETag matches nothing
    options['if_match'] = version
  found = obstore().get(store, key, options=options)
  if version not in (None, _version(found)):  # of a server that does not heed if_match
    raise obstore().exceptions.PreconditionError
  return found.bytes().to_bytes()


def ask(
  call: Callable[..., Any],
  path: str,
  *args: Any,
  n_bytes: int | None = None,
  stalled_seconds: int = STALLED_SECONDS,
  **options: Any,
) -> Any:
  """Calls a function of obstore for an object, again where that can help, and returns its result.

  obstore repeats each request for most of a minute. What it does not repeat is repeated here, if
  an attempt as long as the last one would end in time.

  Args:
    call: Function of the bucket, the object's name in it, and what else is given; repeatable.
    path: Path of the object.
    *args: Other arguments.
    n_bytes: Bytes that the call sends or copies; None for one that does neither.
    stalled_seconds: Seconds after which no progress is an error.
    **options: Other arguments, by name.

  Raises:
    FileNotFoundError: if there is no such object, or no such bucket.
    PermissionError: if it may not be used.
    TimeoutError: if nothing came of it in a minute.
    OSError: if the last attempt fails too; of ESTALE if the object was replaced since its first
      bytes were read.
  """
  if _parent_has_asked:
    raise OSError(
      errno.ENOTSUP,
      'objects cannot be used in a process that was forked when its parent had used some already; '
      "start it by multiprocessing's 'spawn'",
      path,
    )
  began, wait, exceptions = time.monotonic(), _FIRST_WAIT, obstore().exceptions
  limit = stalled_seconds + (n_bytes or 0) / SLOWEST_UPLOAD
  for attempt in range(1, _ATTEMPTS + 1):
    asked = time.monotonic()
    try:
      return call(*place(path, n_bytes, stalled_seconds), *args, **options)
    except (FileNotFoundError, ValueError, exceptions.BaseError) as error:
      now = time.monotonic()
      lasting = _lasting_fault(error, path)
      if lasting is not None:
        raise lasting from error
      text = _text_of(error)
      fix = f'check that the storage answers this machine, and {_names(path)}'
      if now - began + wait + now - asked > limit:
        what = f'no progress in {now - began:.0f} seconds ({text}); {fix}'
        raise OSError(errno.ETIMEDOUT, what, path) from error
      if attempt == _ATTEMPTS or not isinstance(error, exceptions.GenericError):
        raise OSError(errno.EIO, f'{text}; {fix}', path) from error
    time.sleep(wait)
    wait *= 2
  raise AssertionError


def _lasting_fault(error: Exception, path: str) -> OSError | None:
  """Returns the exception for an error that no other attempt would change; None for others."""
  text = _text_of(error)
  answer = text.rpartition('status code: ')[2]
  if isinstance(error, obstore().exceptions.PreconditionError) or answer.startswith('416 '):
    return OSError(errno.ESTALE, REPLACED, path)
  if _WRONG_KEYS.match(answer) or _DENIED.search(repr(error)):
    fix = f'check the keys and their rights: {_names(path)}'
    return PermissionError(errno.EACCES, f'{answer}; {fix}', path)
  if _NO_BUCKET.match(answer) or (answer.startswith('404 ') and 'list request' in text):
    what = f'there is no bucket {bucket_of(path)} at this endpoint'
    return FileNotFoundError(errno.ENOENT, f'{what}; check its name and {_names(path)}', path)
  if isinstance(error, FileNotFoundError):
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
  return None


def _names(path: str) -> str:
  """Returns the variables that say how an object is reached."""
  return _GOOGLE if path.startswith('gs://') else _AWS


def _text_of(error: Exception) -> str:
  """Returns the message of an error of obstore, without its internals."""
  return str(error).partition('\n\nDebug source:')[0]


def place(
  path: str, n_bytes: int | None = None, stalled_seconds: int = STALLED_SECONDS
) -> tuple[Any, str]:
  """Returns the bucket that an object is in, and its name there.

  Args:
    path: Path of the object.
    n_bytes: Bytes to send or copy, which a request has time for; None if it does neither.
    stalled_seconds: Seconds after which no progress is an error.
  """
  scheme, _, rest = path.partition('://')
  bucket, _, key = rest.partition('/')
  settings = [item for item in os.environ.items() if item[0].startswith(_VARIABLES)]
  options = () if scheme == 'gs' else _s3_options()
  client: Any = _READS
  if n_bytes is not None:
    client = {'timeout': f'{stalled_seconds + _upload_seconds(n_bytes)}s'}
  limits = tuple(client.items())
  return _bucket(scheme, bucket, tuple(settings), options, limits, stalled_seconds), key


def _upload_seconds(n_bytes: int) -> int:
  """Returns the seconds that sending may take: a large object goes in parts, several at a time.

  Bytes are rounded up, since a bucket of other limits takes 0.1 s to make.
  """
  most = min(max(n_bytes, 1 << 20), _PARTS * PART_BYTES)
  return (1 << (most - 1).bit_length()) // SLOWEST_UPLOAD


@functools.cache
def obstore() -> Any:
  """Returns the library of that name, imported at the first object: other files need none."""
  try:
    import obstore as library
  except ModuleNotFoundError as error:
    raise ImportError(
      'objects of S3, MinIO and Google Cloud Storage are read by obstore, which is not installed; '
      'install it, or copy the files to this machine'
    ) from error
  return library


@functools.lru_cache(maxsize=64)
def _bucket(
  scheme: str,
  bucket: str,
  settings: tuple[Any, ...],
  options: tuple[tuple[str, str], ...],
  limits: tuple[tuple[str, str], ...],
  stalled_seconds: int,
) -> Any:
  """Returns a bucket, one for equal settings of the environment, which obstore reads itself."""
  client: Any = {**_CLIENT, **dict(limits)}
  # What fails before is repeated, and may stall once more: all ends within the seconds.
  retries: Any = {**_RETRIES, 'retry_timeout': timedelta(seconds=0.75 * stalled_seconds)}
  if scheme == 'gs':
    return obstore().store.GCSStore(bucket, client_options=client, retry_config=retries)
  given: dict[str, Any] = dict(options)
  if scheme == 'minio' and not {'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3'} & set(dict(settings)):
    given.setdefault('endpoint', MINIO_ENDPOINT)
  return obstore().store.S3Store(bucket, client_options=client, retry_config=retries, **given)


def _s3_options() -> tuple[tuple[str, str], ...]:
  """Returns the settings of S3 among Beam's options of filesystems, by obstore's names."""
  beam = sys.modules.get('apache_beam.io.filesystems')
  given = getattr(getattr(beam, 'FileSystems', None), '_pipeline_options', None)
  options = given.get_all_options() if given is not None else {}
  return tuple((ours, options[name]) for name, ours in _S3_OPTIONS.items() if options.get(name))


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
