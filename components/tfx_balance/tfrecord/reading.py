"""TFRecord frames read from a stream a chunk at a time, every length and every record checked."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast, get_args

import google_crc32c
import numpy as np
import pyarrow as pa
from isal.igzip_lib import IsalError

from tfx_balance.arguments import check_choice, check_whole
from tfx_balance.errors import DataError, StorageError
from tfx_balance.sizes import SIZES
from tfx_balance.tfrecord.frames import (
  FOOTER,
  HEADER,
  Frames,
  ScratchBuffer,
  all_numbers,
  frame_edges,
  length_crcs,
  masked,
  numbers_at,
  unmasked,
)

LARGEST_RECORD_BYTES = 2**31 - 1
"""Most bytes of a message of protobuf: TensorFlow 2.16 crashes in its parser at one more."""

GZIP_SUFFIX = '.gz'
GZIP_FAULTS = (EOFError, zlib.error, gzip.BadGzipFile, cast('type[Exception]', IsalError))
_RESIDUE = 0x48674BC7  # CRC of any record with its CRC behind it
_BRIDGE = 0xB0802EF6  # what follows such a record and eight zeros, so that a CRC begins anew
_PIECE_BYTES = 16 << 20  # that are read at a time
OnBadRecord = Literal['error', 'skip']
"""Treatment of a record whose checksum is wrong, or that is no example with a class."""


class BadRecords:
  """Collects the bad records of a file as they are met.

  Attributes:
    skips: Whether bad records are skipped.
    positions: Those of the bad records in the file, in the order in which they were met.
    first: What is wrong with the first of them in the file, a sentence; '' where there is none.
    truncated_bytes: Length of what is left of a record that the end of the file truncates.
  """

  def __init__(self, path: str, skips: bool = False, most: int = 0) -> None:
    """Begins a file.

    Args:
      path: Name of the file.
      skips: Whether bad records are skipped; the first one is an error otherwise.
      most: Number of bad records to skip.
    """
    self.skips = skips
    self.positions: list[int] = []
    self.first = ''
    self.truncated_bytes = self._least = 0
    self._path = path
    self._most = most

  def add(self, position: int, fault: DataError) -> None:
    """Takes a record that cannot be used.

    Raises:
      DataError: if it is not to be skipped, or there are too many.
    """
    if not self.skips:
      raise fault
    if not self.positions or position < self._least:
      self._least = position
      self.first = f'record {position} of {self._path}: {fault}'
    self.positions.append(position)
    if len(self.positions) > self._most:
      raise too_many(len(self.positions), self._most, self.first)


def too_many(n: int, most: int, first: str) -> DataError:
  """Returns the error for more bad records than max_bad_records."""
  return DataError(
    f'{n} bad records or more are above max_bad_records={most}; fix the files, or raise it. The '
    f'first is {first}'
  )


class FileVersions:
  """Checks that each file of this machine is the same one whenever it is read.

  A file is another one if its size or its time differs; or its inode, if its time of change does
  too: some network file systems give a file a new inode now and then. Files elsewhere are not
  compared: an object is of one version while it is read, and to ask again would be a request.
  """

  def __init__(self) -> None:
    self._first: dict[str, os.stat_result] = {}

  def check(self, path: str) -> None:
    """Raises DataError if a file is another one than when it was first checked."""
    try:
      found = os.stat(path)
    except OSError:  # of another storage, or missing: who reads it says so
      return
    first = self._first.setdefault(path, found)
    same = (first.st_size, first.st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    if not same or (first.st_ino != found.st_ino and first.st_ctime_ns != found.st_ctime_ns):
      raise DataError(f'{path} was replaced while it was read; run again when nothing writes to it')

  @contextlib.contextmanager
  def reading(self, path: str) -> Iterator[None]:
    """Checks a file before it is read and after, also where what was read is damaged.

    Raises:
      DataError: if it was replaced, an object too.
      StorageError: if it cannot be read.
    """
    self.check(path)
    try:
      yield
    except DataError:
      self.check(path)
      raise
    except OSError as error:
      if error.errno == errno.ESTALE:
        raise DataError(f'{path} {error.strerror}') from error
      raise StorageError(f'{path} cannot be read: {error.strerror or error}') from error
    self.check(path)


@dataclass(frozen=True)
class ReadOptions:
  """Options of reading records.

  Attributes:
    max_record_bytes: Bytes of the longest record; a file that claims more is refused.
    bad_records: Treatment of records that cannot be used.
    max_bad_records: Number of bad records in all the files that may be skipped.

  Raises:
    ConfigError: if a value breaks a rule.
  """

  max_record_bytes: int = LARGEST_RECORD_BYTES
  bad_records: OnBadRecord = 'error'
  max_bad_records: int = 100

  def __post_init__(self) -> None:
    fix = 'leave it out for the largest message of protobuf'
    n = check_whole('max_record_bytes', self.max_record_bytes, 1, LARGEST_RECORD_BYTES, fix)
    most = check_whole('max_bad_records', self.max_bad_records, 0)
    check_choice('bad_records', self.bad_records, get_args(OnBadRecord))
    object.__setattr__(self, 'max_record_bytes', n)
    object.__setattr__(self, 'max_bad_records', most)

  def describe(self) -> dict[str, Any]:
    """Returns the options that differ from the defaults, as the sidecar shows them."""
    defaults = vars(READ_DEFAULTS)
    return {name: value for name, value in vars(self).items() if value != defaults[name]}


READ_DEFAULTS = ReadOptions()


def frames_of_stream(
  stream: BinaryIO,
  path: str,
  chunk_bytes: int = SIZES.chunk_bytes,
  max_record_bytes: int = LARGEST_RECORD_BYTES,
  bad: BadRecords | None = None,
  block_bytes: int = 1,
  buffer: ScratchBuffer | None = None,
) -> Iterator[Frames]:
  """Yields the frames of a stream in blocks of one chunk or several, with every CRC checked.

  Args:
    stream: Decompressed data of a TFRecord file.
    path: Name of the file, for messages.
    chunk_bytes: Bytes that are checked at a time, about; a larger record is a chunk of its own.
    max_record_bytes: Length of the longest record.
    bad: Collector of records whose checksum is wrong, which are among the frames nevertheless,
      and of a last one that is truncated; None refuses them. What follows a wrong length cannot be
      found, nor what follows a fault of gzip: these are always refused.
    block_bytes: Bytes from which on the chunks of a block are enough.
    buffer: Memory of the blocks, each of which holds until the next; None for memory of their own.

  Raises:
    DataError: if the data is truncated or corrupted, or claims a longer record; names the file and
      the byte.
  """
  bad = bad or BadRecords(path)
  position, n_records, wanted = 0, 0, 0
  block = _Block(buffer, block_bytes + chunk_bytes)
  while block.read(stream, max(chunk_bytes, wanted, HEADER), path):
    frames = block.unchecked()
    wanted = _check_headers(frames, path, position, max_record_bytes)
    if len(frames):
      _check_records(frames, path, position, n_records, bad)
    n_records += len(frames)
    position += block.add(frames)
    if block.n_bytes >= block_bytes:
      yield block.frames()
      block.begin()
  if block.n_bytes:
    yield block.frames()
  if block.pending:
    fault = DataError(
      f'{path} ends in the middle of a record, {block.pending} bytes after byte {position} of its '
      f'decompressed data; the file is truncated: copy or write it again'
    )
    bad.add(n_records, fault)
    bad.truncated_bytes = block.pending


class _Block:
  """Chunks of frames read into one buffer one after another, so that no copy makes the block.

  Attributes:
    n_bytes: Bytes of the chunks so far.
  """

  def __init__(self, buffer: ScratchBuffer | None, n_bytes: int) -> None:
    """Begins the first block, with memory for so many bytes."""
    self._buffer, self._room = buffer, n_bytes
    self.n_bytes = self._end = 0
    self._memory = np.empty(0, np.uint8)
    self.begin()

  @property
  def pending(self) -> int:
    """The bytes that were read behind the chunks so far."""
    return self._end - self.n_bytes

  def begin(self) -> None:
    """Begins a block with what was read behind the last one."""
    rest = self._memory[self.n_bytes : self._end]
    self._scratch = self._buffer or ScratchBuffer()
    self._memory = self._scratch.take(max(self._room, len(rest)))
    self._memory[: len(rest)] = rest
    self.n_bytes, self._end = 0, len(rest)
    self._edges = [np.zeros(1, np.int64)]

  def read(self, stream: BinaryIO, n_bytes: int, path: str) -> bool:
    """Reads until n bytes follow the chunks so far, fewer at the end; returns whether it read any.

    Memory is taken for what is there, a piece at a time, and not for what a length claims.

    Raises:
      DataError: if it is a gzip file that is truncated or corrupted.
    """
    before, asked = self._end, self.n_bytes + n_bytes - self._end
    try:
      while asked > 0:
        end = self._end + min(asked, _PIECE_BYTES)
        self._memory = self._scratch.take(max(end, len(self._memory)), self._end)
        n = cast('io.BufferedReader', stream).readinto(self._memory[self._end : end].data)
        self._end += n
        asked = asked - n if n else 0
    except GZIP_FAULTS as error:
      raise DataError(
        f'{path} is not a whole gzip file ({error}); it is truncated or corrupted, or its name '
        f'should not end in {GZIP_SUFFIX}: copy or write it again'
      ) from error
    return self._end > before

  def unchecked(self) -> Frames:
    """Returns the frames behind the chunks so far, and the part of one behind these."""
    data = self._memory[self.n_bytes : self._end]
    return Frames(pa.py_buffer(data), frame_edges(data.data))

  def add(self, chunk: Frames) -> int:
    """Adds frames that were checked, and returns their bytes."""
    n = int(chunk.offsets[-1])
    self._edges.append(chunk.offsets[1:] + self.n_bytes)
    self.n_bytes += n
    return n

  def frames(self) -> Frames:
    """Returns the frames of the block."""
    return Frames(pa.py_buffer(self._memory[: self.n_bytes]), np.concatenate(self._edges))


def _check_headers(frames: Frames, path: str, position: int, max_record_bytes: int) -> int:
  """Checks each length and its CRC, and returns the bytes that the frame after the last one needs.

  A wrong length leads all later ones astray, so the first one that fails is the fault.
  """
  data, starts = frames.data, frames.offsets
  if starts[-1] + HEADER > len(data):
    starts = starts[:-1]
  lengths, stored = numbers_at(data, starts, '<u8'), numbers_at(data, starts + 8, '<u4')
  for i in np.flatnonzero(stored != masked(length_crcs(lengths))):
    raise _corrupted(path, 'the length of a record', position + int(starts[i]))
  if lengths.max(initial=0) > max_record_bytes:
    at = int(np.argmax(lengths > max_record_bytes))
    fix = (
      'TensorFlow cannot parse more;'
      if max_record_bytes == LARGEST_RECORD_BYTES
      else f'raise it, up to {LARGEST_RECORD_BYTES}, or'
    )
    raise DataError(
      f'{path} claims a record of {lengths[at]} bytes at byte {position + int(starts[at])} of its '
      f'decompressed data; max_record_bytes={max_record_bytes} allows no more: {fix} write the '
      f'file again without that record'
    )
  return int(lengths[-1]) + HEADER + FOOTER if len(starts) == len(frames) + 1 else 0


def _check_records(
  frames: Frames, path: str, position: int, n_before: int, bad: BadRecords
) -> None:
  """Checks the CRC of every record."""
  if _all_match(frames):
    return
  stored = numbers_at(frames.data, frames.offsets[1:] - FOOTER, '<u4')
  crcs = np.fromiter(map(google_crc32c.value, frames.payloads()), np.uint32, len(frames))
  for i in np.flatnonzero(stored != masked(crcs)).tolist():
    bad.add(n_before + i, _corrupted(path, 'a record', position + int(frames.offsets[i])))


def _all_match(frames: Frames) -> bool:
  """Returns whether the CRC of every record is right, in one run over all of them.

  A CRC's register that has run over a record and the CRC of that holds one and the same value,
  whatever the record. In place of the next header, _BRIDGE takes it from there to where a CRC
  begins: it is put there in the data, which must be writable, and the header back again. A wrong
  record changes the end of the run, always; of several, the changes cancel each other as rarely as
  one CRC is right by chance.
  """
  starts, ends = frames.offsets[:-1], frames.offsets[1:]
  data = np.frombuffer(frames.data, np.uint8)[: ends[-1]]
  places = ((starts, '<u8'), (starts + 8, '<u4'), (ends - FOOTER, '<u4'))
  found = [all_numbers(data, *place) for place in places]
  before = [numbers[at].copy() for numbers, at in found]
  for (numbers, at), values in zip(found, (0, _BRIDGE, unmasked(before[2])), strict=True):
    numbers[at] = values
  right = google_crc32c.value(data[HEADER:]) == _RESIDUE
  for (numbers, at), values in zip(found, before, strict=True):
    numbers[at] = values
  return bool(right)


def _corrupted(path: str, what: str, at: int) -> DataError:
  """Returns the error for data that does not match its checksum."""
  return DataError(
    f'{path} is corrupted, or not a TFRecord file: {what} does not match its checksum at byte '
    f'{at} of its decompressed data; copy or write it again'
  )
