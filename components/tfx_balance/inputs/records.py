"""TFRecord files read whole or a batch at a time, with every checksum and their counts checked."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from isal import igzip

from tfx_balance.errors import DataError
from tfx_balance.tfrecord.frames import FOOTER, HEADER
from tfx_balance.tfrecord.reading import (
  GZIP_FAULTS,
  GZIP_SUFFIX,
  frames_of_stream,
  gzip_fault,
)

RECORD_OVERHEAD = 32
"""Bytes that a record of a `RecordFile` takes beside its own: its frame, and where it lies."""

Ints = npt.NDArray[np.int64]
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
    for path in paths:
      check_file(path)
    raise _changed(paths[0]) from error
  if sum(len(part) for part in found) != expected:
    for path, n in zip(paths, counts, strict=True):
      _check_count(path, check_file(path).records, n)
    raise _changed(paths[0])
  return found


def read_all(paths: Sequence[str], counts: Sequence[int]) -> tf.Tensor:
  """Returns the records of many files in order, string [sum(counts)]; some threads read."""
  chunks = _chunks(paths)
  with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
    reading = [pool.submit(read_records, paths[chunk], counts[chunk]) for chunk in chunks]
    parts = [part for one in reading for part in one.result()]
  return tf.concat([tf.zeros([0], tf.string), *parts], 0)


def batches_of(path: str) -> Iterator[tf.Tensor]:
  """Yields the records of one file, some thousands at a time: string tensors.

  Raises:
    DataError: if the file cannot be read whole.
  """
  n_bytes = 0
  try:
    for batch in tf.data.TFRecordDataset(path, compression(path)).batch(_RECORDS_AT_A_TIME):
      n_bytes += int(framed_bytes(batch))
      yield batch
  except tf.errors.OpError as error:
    check_file(path)
    raise _changed(path) from error
  check_read_whole(path, n_bytes)


def framed_bytes(records: tf.Tensor) -> tf.Tensor:
  """Returns the bytes that records take in a file with their frames: int64 []."""
  lengths = tf.cast(tf.strings.length(records), tf.int64)
  return tf.reduce_sum(lengths) + (HEADER + FOOTER) * tf.size(records, tf.int64)


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
  there may need.

  Raises:
    DataError: if the file cannot be read, or does not hold as many records as it should.
  """
  with _opened(path) as file:
    data = file.read()
  if compression(path):
    try:
      data = igzip.decompress(data)
    except GZIP_FAULTS as error:
      raise DataError(gzip_fault(path, error)) from error
  edges = [np.zeros(1, np.int64)]
  for frames in frames_of_stream(io.BytesIO(data), path):
    edges.append(frames.offsets[1:] + edges[-1][-1])
  offsets = np.concatenate(edges)
  _check_count(path, len(offsets) - 1, n_records)
  return RecordFile(data, offsets[:-1] + HEADER, offsets[1:] - FOOTER)


@dataclass(frozen=True)
class FileSize:
  """What a file holds.

  Attributes:
    records: how many.
    n_bytes: of these with their frames, decompressed.
  """

  records: int
  n_bytes: int


def check_file(path: str) -> FileSize:
  """Returns what a file holds, having checked every byte of it, without any TensorFlow op.

  Raises:
    DataError: if it is truncated or corrupted; names the file and the byte.
  """
  records = n_bytes = 0
  with _opened(path) as raw:
    stream = igzip.GzipFile(fileobj=_Readable(raw), mode='rb') if compression(path) else raw
    for frames in frames_of_stream(cast('BinaryIO', stream), path):
      records, n_bytes = records + len(frames), n_bytes + int(frames.offsets[-1])
  return FileSize(records, n_bytes)


def check_read_whole(path: str, n_bytes: int) -> None:
  """Checks that the bytes which TensorFlow's reader gave of a file are all.

  That reader takes a header that is cut short for the file's end, and so it does a gzip member
  without content.

  Args:
    path: of the file.
    n_bytes: of the records that were read, with their frames.

  Raises:
    DataError: if they are not.
  """
  stated = _stated_bytes(path)
  if n_bytes and stated == (n_bytes % (1 << 32) if compression(path) else n_bytes):
    return
  found = check_file(path).n_bytes  # of a whole gzip file only if it has several members
  if found != n_bytes:
    raise DataError(
      f'{path} holds {found} bytes of records, and TensorFlow reads {n_bytes} of them: it stops at '
      f'a gzip member without content, or the file changed; write it again as one member'
    )


def _stated_bytes(path: str) -> int:
  """Returns a plain file's bytes, or those that a gzip file's last member states, modulo 2^32."""
  with _opened(path) as file:
    size = file.size()
    if not compression(path):
      return size
    file.seek(max(size - 4, 0))
    return int.from_bytes(file.read(), 'little')


def _check_count(path: str, found: int, planned: int) -> None:
  """Checks a file's records against the plan; raises DataError if they are not as many."""
  if found != planned:
    raise DataError(
      f'{path} holds {found} records, and the plan says {planned}; the plan and the files do not '
      f'belong together: run BalancedInputGen again'
    )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tf.io.gfile.GFile]:
  """Opens a file as it is; raises DataError where that or reading fails."""
  try:
    with tf.io.gfile.GFile(path, 'rb') as file:
      yield file
  except tf.errors.NotFoundError as error:
    raise DataError(
      f'{path} does not exist; put it back, or give the place the files were moved to'
    ) from error
  except tf.errors.OpError as error:
    raise DataError(
      f'{path} cannot be read ({error.message}); check that it is a file and may be read'
    ) from error


class _Readable(io.RawIOBase):
  """A file of TensorFlow's as the standard library has them, which igzip wants."""

  def __init__(self, file: tf.io.gfile.GFile) -> None:
    self._file = file

  def readable(self) -> bool:
    return True

  def readinto(self, buffer: Any) -> int:
    data = self._file.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _changed(path: str) -> DataError:
  return DataError(
    f'{path} or a file after it changed while it was read; run again when nothing writes to it'
  )


def _chunks(paths: Sequence[str]) -> list[slice]:
  """Returns runs of files of one compression, of a limited length."""
  chunks, start = [], 0
  for i in range(1, len(paths) + 1):
    ends = i == len(paths) or compression(paths[i]) != compression(paths[start])
    if ends or i - start == _FILES_AT_A_TIME:
      chunks.append(slice(start, i))
      start = i
  return chunks
