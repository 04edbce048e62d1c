"""TFRecord files read whole, natively, with their counts checked."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from isal import igzip
from isal.igzip_lib import IsalError

from tfx_balance.errors import DataError

GZIP_SUFFIX = '.gz'
RECORD_OVERHEAD = 32
"""Bytes that a record of a `RecordFile` takes beside its own: its frame, and where it lies."""

Ints = npt.NDArray[np.int64]
_HEADER, _FOOTER = 12, 4
_FRAME = _HEADER + _FOOTER
_GZIP_FAULTS = (zlib.error, cast('type[Exception]', IsalError))
_LENGTH = struct.Struct('<Q').unpack_from
_RECORDS_AT_A_TIME = 4096
_FILES_AT_A_TIME = 64  # opening one is 1 ms of Python when done alone, and 0.1 ms in a list


def compression(path: str) -> str:
  """Returns the compression that a file's name says."""
  return 'GZIP' if path.endswith(GZIP_SUFFIX) else ''


def read_records(paths: Sequence[str], counts: Sequence[int]) -> list[tf.Tensor]:
  """Returns the records of files of one compression, in order: several string tensors.

  Raises:
    DataError: if a file cannot be read, or does not hold as many records as it should.
  """
  expected = sum(counts)
  files = tf.data.TFRecordDataset(list(paths), compression(paths[0]), buffer_size=1 << 18)
  try:
    # In runs, since a record takes twice its memory until it is in a batch.
    found = list(files.take(expected + 1).batch(_RECORDS_AT_A_TIME))
  except tf.errors.OpError as error:
    raise DataError(_what_is_wrong(paths, error.message)) from error
  if sum(len(part) for part in found) != expected:
    raise DataError(_which_count_is_wrong(paths, counts))
  return found


def read_all(paths: Sequence[str], counts: Sequence[int]) -> tf.Tensor:
  """Returns the records of many files in order, string [sum(counts)]; some threads read."""
  chunks = _chunks(paths)
  with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
    reading = [pool.submit(read_records, paths[chunk], counts[chunk]) for chunk in chunks]
    parts = [part for one in reading for part in one.result()]
  return tf.concat([tf.zeros([0], tf.string), *parts], 0)


@dataclass(frozen=True)
class RecordFile:
  """The records of a file, in one run of bytes.

  Attributes:
    data: the file, decompressed.
    starts: int64 [n], where each record begins in it.
    ends: int64 [n], where it ends.
  """

  data: bytes
  starts: Ints
  ends: Ints

  def take(self, positions: Ints) -> list[bytes]:
    """Returns the records at positions."""
    data, starts, ends = self.data, self.starts[positions], self.ends[positions]
    return [data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def read_in_python(path: str, n_records: int) -> RecordFile:
  """Returns the records of one file without running any TensorFlow op.

  For use inside `tf.numpy_function`, whose callers hold threads of the pool that an op run from
  there may need. A gzip file's own checksum is checked, and that every frame is whole.

  Raises:
    DataError: if the file cannot be read, or does not hold as many records as it should.
  """
  try:
    with tf.io.gfile.GFile(path, 'rb') as file:
      data = file.read()
    data = igzip.decompress(data) if compression(path) else data
  except (tf.errors.OpError, OSError, EOFError, *_GZIP_FAULTS) as error:
    raise DataError(_what_is_wrong([path], str(error))) from error
  starts, position = [], 0
  while position + _FRAME <= len(data):
    starts.append(position + _HEADER)
    position += _FRAME + _LENGTH(data, position)[0]
  if position != len(data):
    raise DataError(_what_is_wrong([path], 'it ends in the middle of a record'))
  if len(starts) != n_records:
    raise DataError(_wrong_count(path, len(starts), n_records))
  begin = np.array(starts, np.int64)
  return RecordFile(data, begin, np.append(begin[1:] - _FRAME, position - _FOOTER)[:n_records])


def _chunks(paths: Sequence[str]) -> list[slice]:
  """Returns runs of files of one compression, of a limited length."""
  chunks, start = [], 0
  for i in range(1, len(paths) + 1):
    ends = i == len(paths) or compression(paths[i]) != compression(paths[start])
    if ends or i - start == _FILES_AT_A_TIME:
      chunks.append(slice(start, i))
      start = i
  return chunks


def _what_is_wrong(paths: Sequence[str], error: str) -> str:
  for path in paths:
    if not tf.io.gfile.exists(path):
      return (
        f'{path} does not exist, and the plan names it; put it back, or give the place the files '
        f'were moved to'
      )
  return (
    f'{paths[0]}{" or a file after it" if len(paths) > 1 else ""} cannot be read as TFRecord '
    f'({error}); copy or write it again'
  )


def _which_count_is_wrong(paths: Sequence[str], counts: Sequence[int]) -> str:
  for path, n in zip(paths, counts, strict=True):
    found = int(tf.data.TFRecordDataset(path, compression(path)).reduce(0, lambda k, _: k + 1))
    if found != n:
      return _wrong_count(path, found, n)
  return f'{paths[0]} changed while it was read; run again when nothing writes to it'


def _wrong_count(path: str, found: int, planned: int) -> str:
  return (
    f'{path} holds {found} records, and the plan says {planned}; the plan and the files do not '
    f'belong together: run BalancedInputGen again'
  )
