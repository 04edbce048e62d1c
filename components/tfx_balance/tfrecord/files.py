"""TFRecord files, read and written a chunk of frames at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

from isal import igzip_threaded

from tfx_balance.deflate import Compressor
from tfx_balance.errors import DataError
from tfx_balance.tfrecord.frames import Frames
from tfx_balance.tfrecord.reading import GZIP_SUFFIX, FileVersions, frames_of_stream
from tfx_balance.tfrecord.storage import storage_of
from tfx_balance.tfrecord.work_files import OutputFile, open_as_is

_GZIP_LEVEL = 1
_GZIP_WINDOW = 31  # the largest, with the header and the trailer of gzip
_PIECE_BYTES = 256 << 10  # that are compressed at a time: more leave the cache


def suffix_of(path: str) -> str:
  """Returns '.gz' for a file that is compressed, '' for a plain one, as the name says."""
  return GZIP_SUFFIX if path.endswith(GZIP_SUFFIX) else ''


def read_frames(path: str, **options: Any) -> Iterator[Frames]:
  """Yields a file's frames in blocks of one chunk or several, with every CRC checked.

  Args:
    path: Path of a TFRecord file, gzip-compressed if it ends in .gz; any storage.
    **options: Options of `frames_of_stream`, by name.

  Raises:
    DataError: if the file is truncated or corrupted, or claims a longer record; names the file and
      the place. Also if it was replaced while it was read.
    StorageError: if it cannot be read.
  """
  with FileVersions().reading(path), open_decompressed(path) as stream:
    yield from frames_of_stream(stream, path, **options)


@contextlib.contextmanager
def open_decompressed(path: str) -> Iterator[BinaryIO]:
  """Opens a file for reading; a gzip file is decompressed in a thread of its own.

  Raises:
    DataError: if the file cannot be opened.
  """
  try:
    raw = open_as_is(path)
  except OSError as error:
    raise DataError(
      f'{path} cannot be opened; check that it exists and may be read ({error})'
    ) from error
  with raw:
    if path.endswith(GZIP_SUFFIX):
      with igzip_threaded.open(raw, 'rb') as stream:
        yield stream
    else:
      yield raw


class GzipWriter:
  """Compresses the bytes that are written, in a thread of its own.

  The gzip header carries no time and no name, so equal content gives equal bytes.
  """

  def __init__(self, raw: BinaryIO) -> None:
    self._raw = raw
    self._compressor = Compressor(_GZIP_LEVEL, _GZIP_WINDOW)
    self._thread = ThreadPoolExecutor(1, 'tfx-balance-gzip')
    self._running: Future[None] = Future()
    self._running.set_result(None)

  def write(self, data: Any) -> None:
    """Takes bytes, which must not change before the next call; raises the last call's OSError."""
    self._running.result()
    self._running = self._thread.submit(self._compress, memoryview(data))

  def close(self) -> None:
    """Writes the remaining bytes; raises OSError if that fails, or if the last call did."""
    try:
      self._running.result()
      self._raw.write(self._compressor.flush())
    finally:
      self._thread.shutdown()

  def _compress(self, data: memoryview) -> None:
    for start in range(0, len(data), _PIECE_BYTES):
      self._raw.write(self._compressor.compress_piece(data[start : start + _PIECE_BYTES]))


def create_compressed(path: str) -> OutputFile:
  """Opens a file for writing; if its name ends in .gz, it is compressed in a thread of its own.

  What is written must not change before the next call: it may not be compressed until then.
  """
  raw = storage_of(path).create(path)
  if not path.endswith(GZIP_SUFFIX):
    return OutputFile(path, raw)
  return OutputFile(path, GzipWriter(raw), raw)
