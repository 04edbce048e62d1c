"""TFRecord files, read whole or in order: every checksum and every count is checked."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from isal import igzip

from tfx_balance.documents.class_distribution import SIDECAR_NAME, WrittenSplits, check_files
from tfx_balance.errors import DataError
from tfx_balance.inputs.file_names import SPLIT_PREFIX, names_in
from tfx_balance.inputs.parsing import RecordForm, TensorColumns
from tfx_balance.inputs.python_calls import call_python, key_of
from tfx_balance.inputs.staging import given_path
from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.fixed_layout import FixedColumns
from tfx_balance.tfrecord.frames import FOOTER, HEADER, Frames, ScratchBuffer, concatenate
from tfx_balance.tfrecord.reading import GZIP_SUFFIX, FileVersions, frames_of_stream
from tfx_balance.tfrecord.storage import incomplete, missing_files

RECORD_OVERHEAD = 40
"""Bytes that a record of `read_file` takes beside its own: its frame and three offsets."""


def compression(path: str) -> str:
  """Returns 'GZIP' or '', as the file's name says."""
  return 'GZIP' if path.endswith(GZIP_SUFFIX) else ''


def read_all(paths: Sequence[str], counts: Sequence[int], form: RecordForm) -> TensorColumns:
  """Returns the records of many files in order; some threads read.

  Raises:
    DataError: if a file cannot be read or parsed, or does not hold as many records as it should.
  """

  def read(path: str, n_records: int) -> list[TensorColumns]:
    if form.parsed:
      parts: list[TensorColumns] = [_parsed_columns(path, form)]
    else:
      parts = [[batch] for batch in batches_of(path)]
    _check_count(path, sum(len(part[0]) for part in parts), n_records)
    return parts

  with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
    parts = [part for of_file in pool.map(read, paths, counts) for part in of_file]
  none = [tf.zeros([0, *spec.shape], spec.dtype) for spec in form.columns]
  return [tf.concat(own, 0) for own in zip(none, *parts, strict=True)]


def batches_of(path: str) -> Iterator[tf.Tensor]:
  """Yields the records of one file, some megabytes at a time: string tensors.

  Raises:
    DataError: if the file cannot be read whole.
  """
  with _opened(path) as raw:
    for frames in _frames(raw, path, buffer=ScratchBuffer()):
      yield tf.constant(frames.payloads(), tf.string)


def record_place(paths: Sequence[str], counts: Sequence[int], row: int) -> str:
  """Returns the file and the position of a record of files, for messages.

  >>> record_place(['a', 'b'], [2, 3], 4)
  'record 2 of b'

  Args:
    paths: Paths of the files.
    counts: Number of records of each file.
    row: Number of the record, from the first file on.
  """
  starts = np.cumsum([0, *counts])
  file = int(np.searchsorted(starts, row, side='right')) - 1
  return f'record {row - starts[file]} of {paths[file]}'


RecordsAt = Callable[[Ints], list[Any]]
"""Positions in a file, int64 [n], to its records there, as a `RecordForm` keeps them: arrays or
lists [n, ...], of bytes objects where they are serialized."""


def read_file(path: str, n_records: int, n_bytes: int, form: RecordForm) -> RecordsAt:
  """Reads one file, and returns a function that gives its records.

  For use by `tf.numpy_function`, whose callers hold threads of the pool that datasets need: what is
  serialized is read without any TensorFlow op, and to parse takes none that waits for that pool.

  Args:
    path: Path of the file.
    n_records: Number of records that it should have.
    n_bytes: Bytes that it takes in memory when serialized. It is decompressed straight to where it
      is kept: fresh memory costs more than decompression.
    form: How the records are kept.

  Raises:
    DataError: if the file cannot be read or parsed, or does not hold as many records as it should.
  """
  if form.parsed:
    columns = _parsed_columns(path, form)
    _check_count(path, len(columns[0]), n_records)
    return lambda positions: [column[positions] for column in columns]
  with _opened(path) as raw:
    frames = concatenate(list(_frames(raw, path, n_bytes)))
  _check_count(path, len(frames), n_records)
  return functools.partial(_serialized_at, frames, frames.column())


def _serialized_at(frames: Frames, column: pa.LargeBinaryArray, positions: Ints) -> list[Any]:
  """Returns the records at positions [n] of frames: a sequence of n bytes objects.

  Args:
    frames: Frames of a file's records, in one run of bytes.
    column: What frames a record, the record, and so on: bytes [2 n] of n records.
    positions: Positions of the records.
  """
  if not frames.are_large:  # Arrow copies twice, and is four times as fast otherwise
    return [column.take(pa.array(2 * positions + 1)).to_numpy(zero_copy_only=False)]
  data, offsets = memoryview(frames.data), frames.offsets
  starts, ends = offsets[positions] + HEADER, offsets[positions + 1] - FOOTER
  return [[data[a:b].tobytes() for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]]


def _parsed_columns(path: str, form: RecordForm) -> list[npt.NDArray[Any]]:
  """Returns the columns of a file's records."""
  parts = [[np.empty((0, *spec.shape), spec.dtype.as_numpy_dtype) for spec in form.columns]]
  layout: FixedColumns | None = None
  with _opened(path) as raw, tf.init_scope(), tf.device('/CPU:0'):
    for frames in _frames(raw, path, buffer=ScratchBuffer()):
      table = frames.table()
      if table is not None and len(parts) == 1:  # looked for once a file, as this takes a while
        layout = form.layout(table[0].tobytes())
      values = None if table is None or layout is None else layout.values(table)
      if values is not None:  # several times as fast as the parser
        pairs = zip(values, form.columns, strict=True)
        parts.append([own.reshape(-1, *spec.shape).copy() for own, spec in pairs])
        continue
      try:
        kept = form.keep(tf.constant(frames.payloads(), tf.string))
      except tf.errors.InvalidArgumentError as error:
        raise DataError(
          f'{path} has a record that the feature spec does not fit ({error.message}); give the '
          f'spec of these records'
        ) from error
      parts.append([column.numpy() for column in kept])
  return [np.concatenate(own) for own in zip(*parts, strict=True)]


def _frames(
  raw: tf.io.gfile.GFile, path: str, block_bytes: int = 1, buffer: ScratchBuffer | None = None
) -> Iterator[Frames]:
  """Yields the frames of an open file; see `frames_of_stream`."""
  readable = _Readable(raw)
  stream = igzip.GzipFile(fileobj=readable, mode='rb') if compression(path) else readable
  return frames_of_stream(cast('BinaryIO', stream), path, block_bytes=block_bytes, buffer=buffer)


def check_read_whole(path: str, n_bytes: int) -> None:
  """Checks that TensorFlow's reader has read a file to its end.

  That reader takes a truncated header for the file's end, and so it does a gzip member
  without content.

  Args:
    path: Path of the file.
    n_bytes: Bytes of the records that were read, with their frames.

  Raises:
    DataError: if it has not.
  """
  with _opened(path) as file:
    stated = file.size()
    if compression(path):  # the last gzip member states its bytes modulo 2^32
      file.seek(max(stated - 4, 0))
      stated = int.from_bytes(file.read(), 'little')
  if n_bytes and stated == (n_bytes % (1 << 32) if compression(path) else n_bytes):
    return
  with _opened(path) as file:  # of a whole gzip file only if it has several members
    found = sum(int(f.offsets[-1]) for f in _frames(file, path, buffer=ScratchBuffer()))
  if found != n_bytes:
    raise DataError(
      f'{path} holds {found} bytes of records, and TensorFlow reads {n_bytes} of them: it stops at '
      f'a gzip member without content, or the file changed; write it again as one member'
    )


def _check_count(path: str, n_records: int, planned: int) -> None:
  """Checks the number of a file's records against the plan; raises DataError if it differs."""
  if n_records != planned:
    raise DataError(
      f'{path} holds {n_records} records, and the plan says {planned}; the plan and the files do '
      f'not belong together: run BalancedInputGen again'
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
  """A file of TensorFlow's with the interface of the standard library."""

  def __init__(self, file: tf.io.gfile.GFile) -> None:
    self._file = file

  def readable(self) -> bool:
    return True

  def readinto(self, buffer: Any) -> int:
    data = self._file.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def checked_batches(
  paths: Sequence[str],
  batch_size: int,
  promised: int | None = None,
  seen: FileVersions | None = None,
) -> tf.data.Dataset:
  """Returns one pass over files in order: batches of serialized records, string [B].

  It ends in an error if a file is not whole. TensorFlow's reader checks the CRCs, but its errors
  name no file, and it takes a truncated header for the file's end. So its errors only end
  the file, and at that end Python compares what was read with the file's size, and finds the fault
  where it differs.

  Args:
    paths: Paths of the files, of any compression.
    batch_size: Records in a batch; the last one may be smaller.
    promised: Number of records of all the files together, where it is known.
    seen: Versions that the files must be of at the end; None where they were not read before.
  """
  kinds = [compression(path) for path in paths]
  nothing = tf.constant([], tf.string)

  def of_file(path: tf.Tensor, kind: tf.Tensor) -> tf.data.Dataset:
    batches = tf.data.TFRecordDataset(path, kind).batch(batch_size).ignore_errors()
    ending = tf.data.Dataset.from_tensors(nothing)
    return tf.data.Dataset.zip(
      (tf.data.Dataset.from_tensors(path).repeat(), batches.concatenate(ending))
    )

  def check(path: bytes, n_bytes: np.int64, n_records: np.int64) -> np.bool_:
    if path:
      check_read_whole(path.decode(), int(n_bytes))
    else:
      if seen is not None:
        for each in paths:
          seen.check(each)  # first, for it is the cause where records are missing
      check_promised(paths, int(n_records), promised)
    return np.bool_(True)

  def count(
    state: tuple[tf.Tensor, tf.Tensor], element: tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]
  ) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
    (n_bytes, n_records), (key, (path, batch)) = state, element
    ends = tf.equal(tf.size(batch), 0)
    whole = tf.cond(
      ends,
      lambda: call_python(key, [path, n_bytes, n_records], [tf.bool])[0],
      lambda: tf.constant(True),
    )
    framed = tf.cast(tf.strings.length(batch), tf.int64) + HEADER + FOOTER
    with tf.control_dependencies([whole]):
      n_bytes = tf.where(ends, tf.constant(0, tf.int64), n_bytes + tf.reduce_sum(framed))
    return (n_bytes, n_records + tf.size(batch, tf.int64)), batch

  files = tf.data.Dataset.from_tensor_slices((list(paths), kinds)).flat_map(of_file)
  marked = files.concatenate(tf.data.Dataset.from_tensors((tf.constant(b''), nothing)))
  keys = tf.data.Dataset.from_tensors(key_of(check)).repeat()
  zero = tf.constant(0, tf.int64)
  return tf.data.Dataset.zip((keys, marked)).scan((zero, zero), count).rebatch(batch_size)


def promised_records(paths: Sequence[str]) -> int | None:
  """Returns the records that sidecars promise of files; None where one says nothing of them.

  Warns of files that are missing beside them or are empty, where none of a folder was left out.

  Args:
    paths: Files; a sidecar counts a whole split, so it says something of all its files only.

  Raises:
    DataError: if a sidecar is damaged, or a file that it lists is gone or has another size.
  """
  promised: list[int | None] = []
  missing: list[str] = []
  for folder in sorted({os.path.dirname(path) for path in paths}):
    found = {name: os.path.join(folder, name) for name in names_in(folder or os.curdir)}
    if not set(found.values()) <= set(paths):
      promised.append(None)
      continue
    sizes = {name: int(tf.io.gfile.stat(path).length) for name, path in found.items()}
    missing += missing_files(given_path(folder), sizes)
    promised.append(_promised_of(folder, sizes))
  if missing:
    warnings.warn(incomplete(missing), stacklevel=5)
  return None if None in promised else sum(filter(None, promised))


def _promised_of(folder: str, sizes: Mapping[str, int]) -> int | None:
  """Returns the records that a sidecar lists for a folder; None where it says nothing of it."""
  root, name = os.path.split(folder)
  split, path = name.removeprefix(SPLIT_PREFIX), os.path.join(root, SIDECAR_NAME)
  if split == name or not tf.io.gfile.exists(path):
    return None
  try:
    with tf.io.gfile.GFile(path, 'rb') as file:
      written = WrittenSplits.from_json(file.read(), given_path(path)).splits.get(split)
  except tf.errors.OpError as error:
    raise DataError(f'{path} cannot be read ({error}); write the artifact again') from error
  if written is None:  # a split that was passed through
    return None
  check_files({split: written}, {split: sizes}, given_path(path))
  return written.records


def check_promised(paths: Sequence[str], n_records: int, promised: int | None) -> None:
  """Checks the records of files against the counts of their sidecars.

  Raises:
    DataError: if they differ; names the files of 0 bytes first, if there are any.
  """
  if promised is None or n_records == promised:
    return
  empty = [path for path in paths if not tf.io.gfile.stat(path).length]
  where = empty[0] if empty else os.path.dirname(paths[0])
  raise DataError(
    f'{where} is {"empty" if empty else "not whole"}: {n_records} records were read, and '
    f'{SIDECAR_NAME} lists {promised}; copy the files again, or write the artifact again'
  )
