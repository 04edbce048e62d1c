"""TFRecord files, read and written a chunk of frames at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from isal import igzip_threaded

from tfx_balance.errors import DataError
from tfx_balance.tfrecord.frames import Frames
from tfx_balance.tfrecord.reading import (
  CHUNK_BYTES,
  GZIP_SUFFIX,
  LARGEST_RECORD_BYTES,
  BadRecords,
  frames_of_stream,
)
from tfx_balance.tfrecord.work_files import OutputFile, create_stream, fill, open_as_is

_GZIP_LEVEL = 1


def suffix_of(path: str) -> str:
  """Returns '.gz' for a file that is compressed, '' for a plain one, as the name says."""
  return GZIP_SUFFIX if path.endswith(GZIP_SUFFIX) else ''


def read_frames(
  path: str,
  chunk_bytes: int = CHUNK_BYTES,
  *,
  max_record_bytes: int = LARGEST_RECORD_BYTES,
  bad: BadRecords | None = None,
) -> Iterator[Frames]:
  """Yields a file's frames, about chunk_bytes of them at a time, with every CRC checked.

  Args:
    path: Path of a TFRecord file, gzip-compressed if it ends in .gz; any storage.
    chunk_bytes: Decompressed bytes to hold; a larger record gets a chunk of its own.
    max_record_bytes: Bytes of the longest record.
    bad: Collector of records that cannot be used, as in `frames_of_stream`; None refuses them.

  Raises:
    DataError: if the file is truncated or corrupted, or claims a longer record; names the file and
      the place.
  """
  with open_decompressed(path) as stream:
    yield from frames_of_stream(stream, path, chunk_bytes, max_record_bytes, bad)


FileRanges = tuple[str, Sequence[int], Sequence[npt.NDArray[np.uint8]]]
"""Path of a work file, places in it, and an array for the bytes from each place on."""


def fill_ranges(files: Iterable[FileRanges]) -> None:
  """Fills arrays with ranges of work files.

  Raises:
    OSError: if a file has fewer bytes.
  """
  for path, starts, arrays in files:
    with open_as_is(path) as file:
      for start, array in zip(starts, arrays, strict=True):
        file.seek(start)
        fill(file, array, path)


@contextlib.contextmanager
def open_decompressed(path: str) -> Iterator[BinaryIO]:
  """Opens a file for reading; a gzip file is decompressed in a thread of its own.

  Raises:
    DataError: if the file cannot be opened.
  """
  try:
    raw = open_as_is(path)
  except OSError as error:
    raise DataError(f'{path} cannot be opened; check that it exists and may be read') from error
  with raw:
    if path.endswith(GZIP_SUFFIX):
      with igzip_threaded.open(raw, 'rb') as stream:
        yield stream
    else:
      yield raw


def create_compressed(path: str) -> OutputFile:
  """Opens a file for writing; if its name ends in .gz, it is compressed in a thread of its own.

  The gzip header carries no time and no name, so equal content gives equal bytes.
  """
  raw = create_stream(path)
  if not path.endswith(GZIP_SUFFIX):
    return OutputFile(path, raw)
  return OutputFile(path, igzip_threaded.open(raw, 'wb', compresslevel=_GZIP_LEVEL), raw)
