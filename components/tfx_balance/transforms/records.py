"""TFRecord files, read and written a chunk of frames at a time."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import google_crc32c
import numpy as np
import numpy.typing as npt
from apache_beam.io.filesystem import BeamIOError
from isal import igzip_threaded
from isal.igzip_lib import IsalError

from tfx_balance.errors import DataError
from tfx_balance.transforms.frames import (
  FOOTER,
  HEADER,
  Frames,
  frame_edges,
  length_crcs,
  masked,
  numbers_at,
)
from tfx_balance.transforms.work_files import create_as_is, open_as_is

CHUNK_BYTES = 2 << 20
"""Decompressed bytes held at a time: larger chunks leave the cache, smaller ones pay per chunk."""
GZIP_SUFFIX = '.gz'
_GZIP_LEVEL = 1
_GZIP_FAULTS = (EOFError, zlib.error, gzip.BadGzipFile, cast('type[Exception]', IsalError))


def suffix_of(path: str) -> str:
  """Returns '.gz' for a file that is compressed, '' for a plain one, as the name says."""
  return GZIP_SUFFIX if path.endswith(GZIP_SUFFIX) else ''


def read_frames(path: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Frames]:
  """Yields a file's frames, about chunk_bytes of them at a time, with every CRC checked.

  Args:
    path: of a TFRecord file, gzip-compressed if its name ends in .gz; any Beam filesystem.
    chunk_bytes: decompressed bytes to hold; a larger record gets a chunk of its own.

  Raises:
    DataError: if the file is truncated or corrupted; names the file and the place.
  """
  position, pending, wanted = 0, b'', 0
  with open_decompressed(path) as stream:
    while block := _read(stream, max(chunk_bytes, wanted, HEADER) - len(pending), path):
      data = pending + block if pending else block
      frames = Frames(data, frame_edges(data))
      wanted = _check_headers(frames, path, position)
      end = int(frames.offsets[-1])
      if len(frames):
        _check_records(frames, path, position)
        yield frames
      pending, position = data[end:], position + end
  if pending:
    raise DataError(
      f'{path} ends in the middle of a record, {len(pending)} bytes after byte {position} of its '
      f'decompressed data; the file is truncated: copy or write it again'
    )


def read_sized(stream: BinaryIO, sizes: npt.NDArray[Any], path: str) -> Frames:
  """Returns the next frames of a stream, whose sizes are known from an earlier, checked reading.

  Raises:
    DataError: if the stream ends early: the file has changed in between.
  """
  offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
  data = _read(stream, int(offsets[-1]), path)
  if len(data) != offsets[-1]:
    raise changed(path)
  return Frames(data, offsets)


def check_end(stream: BinaryIO, path: str) -> None:
  """Checks that nothing follows in a stream; raises DataError if the file has grown."""
  if _read(stream, 1, path):
    raise changed(path)


def changed(path: str) -> DataError:
  """Returns the error for a file that is not what an earlier reading of it found."""
  return DataError(f'{path} changed while it was read; run again when nothing writes to it')


def fill(stream: BinaryIO, array: npt.NDArray[Any], path: str) -> None:
  """Fills an array with the next bytes of a work file; raises OSError if it has fewer."""
  n = cast('io.BufferedReader', stream).readinto(array.data)
  if n != array.nbytes:
    raise OSError(f'{path} ends {array.nbytes - n} bytes early; is the disk full? run again')


@contextlib.contextmanager
def open_decompressed(path: str) -> Iterator[BinaryIO]:
  """Opens a file for reading; a gzip file is decompressed in a thread of its own.

  Raises:
    DataError: if the file cannot be opened.
  """
  try:
    raw = open_as_is(path)
  except (OSError, BeamIOError) as error:
    raise DataError(f'{path} cannot be opened; check that it exists and may be read') from error
  with raw:
    if path.endswith(GZIP_SUFFIX):
      with igzip_threaded.open(raw, 'rb') as stream:
        yield stream
    else:
      yield raw


@contextlib.contextmanager
def create_compressed(path: str) -> Iterator[BinaryIO]:
  """Opens a file for writing; if its name ends in .gz, it is compressed in a thread of its own.

  The gzip header carries no time and no name, so equal content gives equal bytes.
  """
  with create_as_is(path) as raw:
    if path.endswith(GZIP_SUFFIX):
      with igzip_threaded.open(raw, 'wb', compresslevel=_GZIP_LEVEL) as stream:
        yield stream
    else:
      yield raw


def _read(stream: BinaryIO, n_bytes: int, path: str) -> bytes:
  """Returns the next n bytes, fewer at the end of the stream."""
  try:
    return stream.read(n_bytes)
  except _GZIP_FAULTS as error:
    raise DataError(
      f'{path} is not a whole gzip file ({error}); it is truncated or corrupted, or its name '
      f'should not end in {GZIP_SUFFIX}: copy or write it again'
    ) from error


def _check_headers(frames: Frames, path: str, position: int) -> int:
  """Checks the CRC of every length, and returns the bytes that the frame after the last one needs.

  A wrong length leads all later ones astray, so the first one that fails is the fault.
  """
  data, starts = frames.data, frames.offsets
  if starts[-1] + HEADER > len(data):
    starts = starts[:-1]
  lengths, stored = numbers_at(data, starts, '<u8'), numbers_at(data, starts + 8, '<u4')
  _check(stored, length_crcs(lengths), starts, 'the length of a record', path, position)
  return int(lengths[-1]) + HEADER + FOOTER if len(starts) == len(frames) + 1 else 0


def _check_records(frames: Frames, path: str, position: int) -> None:
  """Checks the CRC of every record."""
  stored = numbers_at(frames.data, frames.offsets[1:] - FOOTER, '<u4')
  crcs = np.fromiter(map(google_crc32c.value, frames.payloads()), np.uint32, len(frames))
  _check(stored, crcs, frames.offsets[:-1], 'a record', path, position)


def _check(
  stored: npt.NDArray[Any],
  crcs: npt.NDArray[Any],
  starts: npt.NDArray[np.int64],
  what: str,
  path: str,
  position: int,
) -> None:
  """Compares stored CRCs with those of the data."""
  wrong = np.flatnonzero(stored != masked(crcs))
  if len(wrong):
    raise DataError(
      f'{path} is corrupted, or no TFRecord file: {what} does not match its checksum at byte '
      f'{position + int(starts[wrong[0]])} of its decompressed data; copy or write it again'
    )
