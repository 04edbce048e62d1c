"""TFRecord frames, read and written a chunk at a time. The only file that knows the format.

A frame is the length of a record (8 bytes), the CRC of the length (4), the record, and the CRC of
the record (4). It is the same going in and coming out, so a record is never encoded again.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import google_crc32c
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from isal import igzip_threaded
from isal.igzip_lib import IsalError

from tfx_balance.errors import DataError

HEADER, FOOTER = 12, 4
"""Bytes before and after the record in a frame."""
CHUNK_BYTES = 2 << 20
"""Decompressed bytes held at a time: larger chunks leave the cache, smaller ones pay per chunk."""
GZIP_SUFFIX = '.gz'
_GZIP_LEVEL = 1
_GZIP_FAULTS = (EOFError, zlib.error, gzip.BadGzipFile, cast('type[Exception]', IsalError))
_LENGTH = struct.Struct('<Q').unpack_from
_RUN = 64  # frames of equal length in a row, from which on they are found all at once


@dataclass(frozen=True)
class Frames:
  """Frames that follow each other without a gap.

  Attributes:
    data: the bytes.
    offsets: int64 [n + 1], where each frame starts, and where the last one ends.
  """

  data: bytes | pa.Buffer
  offsets: npt.NDArray[np.int64]

  def __len__(self) -> int:
    return len(self.offsets) - 1

  @property
  def sizes(self) -> npt.NDArray[np.int64]:
    """The bytes of each frame: int64 [n]."""
    return np.diff(self.offsets)

  @functools.cached_property
  def _payloads(self) -> list[bytes]:
    edges = np.empty(2 * len(self) + 1, np.int64)  # of what frames a record, and the record, ...
    edges[0] = self.offsets[0]
    edges[1::2] = self.offsets[:-1] + HEADER
    edges[2::2] = self.offsets[1:] - FOOTER
    return _column(self.data, edges).to_numpy(zero_copy_only=False)[1::2].tolist()

  def payloads(self) -> list[bytes]:
    """Returns the records, without what frames them; made once, three times as fast as slices."""
    return self._payloads

  def take(self, order: npt.NDArray[np.int64]) -> Frames:
    """Returns the frames at these positions, in this order."""
    size = self._equal_size()
    if size:  # twice as fast
      rows = np.frombuffer(self.data, np.uint8, len(self) * size).reshape(-1, size)
      edges = np.arange(len(order) + 1, dtype=np.int64) * size
      return Frames(pa.py_buffer(np.take(rows, order, axis=0)), edges)
    taken = _column(self.data, self.offsets).take(pa.array(order))
    _, offsets, data = taken.buffers()
    return Frames(b'' if data is None else data, np.frombuffer(offsets, np.int64)[: len(order) + 1])

  def _equal_size(self) -> int:
    """Returns the bytes of each frame; 0 if they differ, if there are none or they begin later."""
    first = int(self.offsets[1]) if len(self) and not self.offsets[0] else 0
    equal = first * len(self) == self.offsets[-1] and (self.sizes == first).all()
    return first if equal else 0


def _column(data: bytes | pa.Buffer, offsets: npt.NDArray[np.int64]) -> pa.LargeBinaryArray:
  """Returns the bytes between the offsets as values of an Arrow array, without copying them."""
  buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)]
  return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def frame(records: Sequence[bytes]) -> Frames:
  """Returns records in frames, as TFRecord has them."""
  lengths = np.array([len(record) for record in records], '<u8')
  heads = np.empty((len(records), HEADER), np.uint8)
  heads[:, :8] = lengths.view(np.uint8).reshape(-1, 8)
  heads[:, 8:] = _masked(_length_crcs(lengths)).view(np.uint8).reshape(-1, 4)
  crcs = np.fromiter(map(google_crc32c.value, records), np.uint32, len(records))
  head, foot = heads.tobytes(), _masked(crcs).tobytes()
  pieces: list[bytes] = []
  for i, record in enumerate(records):
    pieces += head[HEADER * i : HEADER * (i + 1)], record, foot[FOOTER * i : FOOTER * (i + 1)]
  sizes = lengths.astype(np.int64) + HEADER + FOOTER
  return Frames(b''.join(pieces), np.cumsum(np.append(0, sizes)))


def concatenate(parts: Sequence[Frames]) -> Frames:
  """Returns the frames of all the parts, in order."""
  if len(parts) == 1:
    return parts[0]
  bases = np.cumsum([0] + [int(part.offsets[-1]) for part in parts])
  offsets = [part.offsets[:-1] + base for part, base in zip(parts, bases, strict=False)]
  data = b''.join(memoryview(p.data)[: int(p.offsets[-1])] for p in parts)
  return Frames(data, np.concatenate([*offsets, bases[-1:]]))


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
      frames = Frames(data, _frame_edges(data))
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
    raise DataError(f'{path} changed while it was read; run again when nothing writes to it')
  return Frames(data, offsets)


@contextlib.contextmanager
def open_decompressed(path: str) -> Iterator[BinaryIO]:
  """Opens a file for reading; a gzip file is decompressed in a thread of its own.

  Raises:
    DataError: if the file cannot be opened.
  """
  try:
    raw = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
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
  with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as raw:
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


def _frame_edges(data: bytes) -> npt.NDArray[np.int64]:
  """Returns where each whole frame starts and where the last one ends, trusting the lengths.

  A loop over lengths, but for chunks that start with frames of one size: there all of them are
  found at once, 20 times faster.
  """
  equal = _equal_frame_edges(data)
  position, end = int(equal[-1]), len(data)
  edges = []
  while position + HEADER <= end:
    position += _LENGTH(data, position)[0] + HEADER + FOOTER
    edges.append(position)
  if position > end:
    edges.pop()
  return np.append(equal, np.array(edges, np.int64)) if edges else equal


def _equal_frame_edges(data: bytes) -> npt.NDArray[np.int64]:
  """Returns the edges of the first frames if many have the size of the first one, else [0]."""
  none = np.zeros(1, np.int64)
  if len(data) < HEADER:
    return none
  length = _LENGTH(data, 0)[0]
  size = length + HEADER + FOOTER
  whole = len(data) // size
  if whole < _RUN:
    return none
  lengths: npt.NDArray[np.uint64] = np.ndarray((whole,), '<u8', data, 0, (size,))
  equal = lengths == length
  run = whole if equal.all() else int(np.argmin(equal))
  return np.arange(run + 1, dtype=np.int64) * size if run >= _RUN else none


def _check_headers(frames: Frames, path: str, position: int) -> int:
  """Checks the CRC of every length, and returns the bytes that the frame after the last one needs.

  A wrong length leads all later ones astray, so the first one that fails is the fault.
  """
  data, starts = frames.data, frames.offsets
  if starts[-1] + HEADER > len(data):
    starts = starts[:-1]
  headers = _gather(data, starts, HEADER)
  lengths = headers[:, :8].copy().view('<u8')[:, 0]
  stored = headers[:, 8:].copy().view('<u4')[:, 0]
  _check(stored, _length_crcs(lengths), starts, 'the length of a record', path, position)
  return int(lengths[-1]) + HEADER + FOOTER if len(starts) == len(frames) + 1 else 0


def _check_records(frames: Frames, path: str, position: int) -> None:
  """Checks the CRC of every record."""
  stored = _gather(frames.data, frames.offsets[1:] - FOOTER, FOOTER).view('<u4')[:, 0]
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
  wrong = np.flatnonzero(stored != _masked(crcs))
  if len(wrong):
    raise DataError(
      f'{path} is corrupted, or no TFRecord file: {what} does not match its checksum at byte '
      f'{position + int(starts[wrong[0]])} of its decompressed data; copy or write it again'
    )


def _length_crcs(lengths: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
  """Returns the CRC of each length; most lengths are the same few."""
  distinct, which = np.unique(lengths, return_inverse=True)
  crcs = [google_crc32c.value(int(n).to_bytes(8, 'little')) for n in distinct]
  return np.array(crcs, np.uint32)[which]


def _masked(crcs: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
  """Returns CRCs as TFRecord stores them: rotated by 15 bits, plus a constant."""
  return ((crcs >> np.uint32(15)) | (crcs << np.uint32(17))) + np.uint32(0xA282EAD8)


def _gather(data: bytes, starts: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.uint8]:
  """Returns the bytes from each start on: uint8 [n, width]."""
  return np.frombuffer(data, np.uint8)[starts[:, None] + np.arange(width)]
