"""Records in work files, written once and read in ranges: blocks of a file, each in order of keys.

A record's key is a keyed hash of its bytes, so each block is in random order. An output file takes
a range of keys, which is a run of neighbours in every block, or, where blocks are ordered by class
first, in every class of a block.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from tfx_balance.plan.key_order import order_of_block, parts_of_keys
from tfx_balance.plan.narrow_integers import SparseCounts
from tfx_balance.plan.number_bins import Recoding
from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer, concatenate
from tfx_balance.tfrecord.packed import PackedFile, PackedWriter, local_copy, opened
from tfx_balance.tfrecord.work_files import create_as_is, fill, new_work_file, open_as_is

INDEX_ROW = np.dtype([('hash', '<u8'), ('code', '<u4'), ('size', '<u4'), ('position', '<u4')])
"""Hash that identifies a record, its stratum in the file's own numbering, bytes of its frame, and
its position in the file."""
ASSIGNED_ROW = np.dtype([('size', '<u4'), ('output', '<u4'), ('key', '<u8')])
"""Bytes of a record's frame, the number of its output, such as a split, and the key of its place
there."""
COPIED_ROW = np.dtype([('size', '<u4'), ('times', '<u4'), ('key', '<u8')])
"""Bytes of a record's frame, how often it is written to the one output, and the key of its place
there."""

# In packed rows, where neighbors are read together.
_COLUMNS = ('position', 'hash', 'content', 'code', 'size', 'group', 'time', 'number')
_MOST_UNITS = 2048  # ranges of keys of all records or of a stratum, in each some of every block

Rows = npt.NDArray[np.void]
"""A row of each record: INDEX_ROW, with more columns or without; or ASSIGNED_ROW or
COPIED_ROW: [n]."""


def index_row(*columns: str) -> np.dtype[Any]:
  """Returns INDEX_ROW with columns of 64 bits behind it.

  They are 'time', 'number' and 'group', the hash of a record's group, and 'content', the hash of a
  record's bytes, where 'hash' is that of something else.
  """
  return np.dtype([*INDEX_ROW.descr, *((name, '<u8') for name in columns)])


def hashes_of_bytes(values: Sequence[Any] | npt.NDArray[Any]) -> UInts:
  """Returns the hash of each value, bytes or a view of some: uint64 [n]."""
  return np.fromiter(map(xxhash.xxh3_64_intdigest, values), np.uint64, len(values))


def record_keys(rows: Rows, seed_key: int) -> UInts:
  """Returns the key of each record, made from the hash of its bytes: uint64 [n].

  Args:
    rows: Index of the records: [n].
    seed_key: Number that stands for the seed.
  """
  return mix(rows['content' if 'content' in (rows.dtype.names or ()) else 'hash'], seed_key)


@dataclass(frozen=True)
class Spill:
  """Records of one file, block by block.

  Attributes:
    file_number: Number of the file.
    key: Number that stands for the seed of the order of records.
    rows_file: Rows in the order of the frames; packed, a column after another.
    frames_file: Frames.
    blocks: Number of records of each block.
    n_rank_counts: Number of buckets of ranks whose records are counted behind packed rows.
    row: Type of a row, as from `index_row`.
    recoding: Codes of strata in place of those of the rows; None where these hold.
  """

  file_number: int
  key: int
  rows_file: str | PackedFile
  frames_file: str | PackedFile
  blocks: tuple[int, ...]
  n_rank_counts: int = 0
  row: np.dtype[Any] = INDEX_ROW
  recoding: Recoding | None = None

  def rank_counts(self) -> tuple[Ints, Ints]:
    """Returns the buckets of ranks, ascending, and the number of records in each."""
    assert isinstance(self.rows_file, PackedFile)
    place = sum(self.blocks) * self.row.itemsize
    data = np.empty((8, 2 * self.n_rank_counts), np.uint8)
    with opened(self.rows_file, np.array([[place, place + data.nbytes]])) as file:
      file.seek(place)
      fill(file, data, self.rows_file.path)
    steps, counts = np.split(_of_planes(data, np.dtype(np.int64)), 2)
    return np.cumsum(steps), counts

  def index(self, *names: str) -> Iterator[Rows]:
    """Yields the rows of what was scanned, block by block.

    Args:
      *names: Columns to read; all if there are none.

    Yields:
      Rows, or only these columns of them: [records of the block].
    """
    if self.recoding is None or (names and 'code' not in names):
      yield from self._stored(*names)
      return
    for rows in self._stored(*((*names, 'number') if names else ())):
      rows['code'] = self.recoding.recoded(rows['code'].astype(np.int64), rows['number'])
      yield rows

  def _stored(self, *names: str) -> Iterator[Rows]:
    """Yields the rows as they are stored."""
    if not self.blocks:
      return
    chosen = [name for name in self.row.names or () if not names or name in names]
    if isinstance(self.rows_file, PackedFile):
      yield from _unpacked(self.rows_file, self.blocks, self.row, chosen)
      return
    with open_as_is(self.rows_file) as file:
      for n in self.blocks:
        rows = np.empty(n, self.row)
        fill(file, rows.view(np.uint8), self.rows_file)
        yield rows[chosen] if names else rows

  def frames(self, *names: str) -> Iterator[tuple[Rows, Frames]]:
    """Yields these rows with their frames, valid until the next ones; 'size' is one column."""
    start, buffer = 0, ScratchBuffer()
    with FramesReader(self) as reader:
      for rows in self.index(*names):
        frames = reader.read(start, rows['size'], buffer)
        start += int(frames.offsets[-1])
        yield rows, frames


class FramesReader(contextlib.ExitStack):
  """Reads frames of a spill; a context manager. Of packed ones it has a local copy."""

  def __init__(self, spill: Spill) -> None:
    super().__init__()
    self._source = spill.frames_file
    self._file: BinaryIO | None = None

  def read(self, start: int, sizes: npt.NDArray[Any], buffer: ScratchBuffer) -> Frames:
    """Returns frames of these sizes from a byte offset on, valid as long as the buffer."""
    offsets = np.cumsum(np.append(0, sizes.astype(np.int64)))
    data = buffer.take(int(offsets[-1]))
    if isinstance(self._source, str):
      self._file, path = self._file or self.enter_context(open_as_is(self._source)), self._source
    else:
      self._file, path = self._file or self.enter_context(local_copy()), self._source.path
      wanted = self._source.having(np.array([[start, start + len(data)]]))
      wanted.fetch(self._file)
      self._source = self._source.without(wanted.units)
    self._file.seek(start)
    fill(self._file, data, path)
    return Frames(pa.py_buffer(data), offsets)


class SpillWriter(contextlib.ExitStack):
  """Writes a spill; a context manager, whose files are made with the first block."""

  def __init__(self, work_dir: str, name: str, file_number: int, key: int) -> None:
    super().__init__()
    self._rows_path, self._frames_path = (
      new_work_file(work_dir, f'{name}-{kind}-{file_number:05d}') for kind in ('rows', 'frames')
    )
    self._file_number, self._key = file_number, key
    self._files: list[Any] = []
    self._buffers = itertools.repeat(ScratchBuffer())
    self._blocks: list[int] = []
    self._row = INDEX_ROW

  @property
  def spill(self) -> Spill:
    """The spill that was written; complete once the files are closed."""
    paths = self._rows_path, self._frames_path
    return Spill(self._file_number, self._key, *paths, tuple(self._blocks), row=self._row)

  def write(
    self, rows: Rows, frames: Frames, which: Ints | None = None, leading: Ints | None = None
  ) -> Ints:
    """Writes a block in the order of leading numbers, then in that of keys.

    Args:
      rows: Rows of the records to write, of the index or with the keys: [n].
      frames: Frames among which they are.
      which: Position of each among these frames, some more than once: int64 [n]; None for all.
      leading: Number of each record, 0 or above, that is compared first: int64 [n]; None for none.

    Returns:
      The order in which they are written: int64 [n].
    """
    n = len(rows)
    if not n:
      return np.empty(0, np.int64)
    has_key = 'key' in (rows.dtype.names or ())
    keys = rows['key'] if has_key else record_keys(rows, self._key)
    order = order_of_block(keys, leading)
    if not self._files:
      paths = (self._rows_path, self._frames_path)
      self._files = [self.enter_context(create_as_is(path)) for path in paths]
    rows_file, frames_file = self._files
    rows_file.write(rows[order].view(np.uint8).data)
    for taken in frames.taken(order if which is None else which[order], self._buffers):
      frames_file.write(memoryview(taken.data)[: int(taken.offsets[-1])])
    self._blocks.append(n)
    self._row = rows.dtype
    return order


def in_blocks(
  batches: Iterable[tuple[Rows, Frames]], joined: ScratchBuffer, block_bytes: int
) -> Iterator[tuple[Rows, Frames]]:
  """Yields batches joined to blocks of block_bytes or more in a buffer, until the next one."""
  pending: list[tuple[Rows, Frames]] = []
  n_bytes = 0

  def block() -> tuple[Rows, Frames]:
    rows, frames = zip(*pending, strict=True)
    return np.concatenate(rows), concatenate(frames, joined)

  for rows, frames in batches:
    # Without the records as objects, which `frames` keeps: they would take as much memory again.
    pending.append((rows, Frames(frames.data, frames.offsets)))
    n_bytes += int(frames.offsets[-1])
    if n_bytes >= block_bytes:
      yield block()
      pending, n_bytes = [], 0
  if pending:
    yield block()


def new_rows(row: np.dtype[Any], **columns: Any) -> Rows:
  """Returns rows of a type, ASSIGNED_ROW or COPIED_ROW, given their columns: [n]."""
  rows = np.empty(len(columns['key']), row)
  for name, values in columns.items():
    rows[name] = values
  return rows


def pack(
  spill: Spill,
  work_dir: str,
  stratum_bytes: Ints | None,
  rank_counts: SparseCounts | None = None,
  sizes: Sizes = SIZES,
) -> Spill:
  """Returns a local spill as packed files, arranged for workers that each read a part of it.

  All records, or those of each stratum, the one with the fewest bytes first, are stored as a small
  range of keys of every block, then the next one: so any range of keys is one range of bytes.

  Args:
    spill: What was scanned; of this machine.
    work_dir: Folder of the packed files.
    stratum_bytes: Bytes of the frames of each stratum, int64 [strata], where blocks are ordered by
      stratum; None where they are not.
    rank_counts: Number of records in each bucket of ranks; None where none are counted.
    sizes: Sizes of the units.
  """
  if not spill.blocks:
    return spill
  rows_path, frames_path = (
    f'{work_dir}/{posixpath.basename(str(path))}' for path in (spill.rows_file, spill.frames_file)
  )
  largest = sizes.largest_unit_bytes
  with PackedWriter(rows_path, largest) as rows:
    place = 0
    for name in _columns(spill.row):
      for index in spill.index(name):
        data = _planes(index[name])
        rows.add(data, place)
        place += len(data)
    if rank_counts is not None:
      rows.add(_planes(np.append(np.diff(rank_counts.cells, prepend=0), rank_counts.counts)), place)
  with PackedWriter(frames_path, largest) as frames, open_as_is(str(spill.frames_file)) as file:
    for parts in _units(spill, stratum_bytes, sizes.unit_bytes):
      frames.add_parts(file, parts)
  n = 0 if rank_counts is None else len(rank_counts)
  return replace(spill, rows_file=rows.packed(), frames_file=frames.packed(), n_rank_counts=n)


def _planes(values: npt.NDArray[Any]) -> bytes:
  """Returns the first bytes of all values, then their second ones, and so on; high ones repeat."""
  return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1).T.tobytes()


def _of_planes(planes: npt.NDArray[np.uint8], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
  """Returns the values from the bytes that `_planes` returned: [n] from uint8 [bytes of one, n]."""
  return np.ascontiguousarray(planes.T).view(dtype)[:, 0]


def _columns(row: np.dtype[Any]) -> list[str]:
  """Returns the columns of packed rows of a type in their order."""
  return [name for name in _COLUMNS if name in (row.names or ())]


def _unpacked(
  file: PackedFile, blocks: Sequence[int], stored: np.dtype[Any], names: Sequence[str]
) -> Iterator[Rows]:
  """Yields columns of packed rows, block by block: of the type stored, what is asked for: [n]."""
  columns = _columns(stored)
  edges = sum(blocks) * np.cumsum([0, *(stored[name].itemsize for name in columns)])
  row = np.dtype([(name, stored[name]) for name in names])
  places = {name: int(edges[columns.index(name)]) for name in names}
  ends = [edges[[i, i + 1]] for i in map(columns.index, names)]
  with opened(file, np.array(ends)) as copy:
    for n in blocks:
      rows = np.empty(n, row)
      for name, place in places.items():
        data = np.empty((row[name].itemsize, n), np.uint8)
        copy.seek(place)
        fill(copy, data, file.path)
        rows[name] = _of_planes(data, row[name])
        places[name] += data.nbytes
      yield rows


def _units(spill: Spill, stratum_bytes: Ints | None, unit_bytes: int) -> Iterator[Ints]:
  """Yields the parts of a spill's frames to store in one unit, first bytes and ends: [parts, 2]."""
  found = []
  start = 0
  by_stratum = stratum_bytes is not None
  if stratum_bytes is None:
    stratum_bytes = np.array([os.path.getsize(str(spill.frames_file))])
  shares = np.clip(stratum_bytes // unit_bytes, 1, _MOST_UNITS)
  order = np.argsort(np.argsort(stratum_bytes, kind='stable'))
  for index in spill.index('hash', 'content', 'code', 'size'):
    offsets = start + np.cumsum(np.append(0, index['size'].astype(np.int64)))
    codes = index['code'].astype(np.int64) if by_stratum else np.zeros(len(index), np.int64)
    share = parts_of_keys(record_keys(index, spill.key), shares.astype(np.uint64)[codes])
    low = np.flatnonzero(np.diff(codes, prepend=-1) | np.diff(share, prepend=-1))
    end = np.append(low[1:], len(index))
    found.append(np.stack([order[codes[low]], share[low], offsets[low], offsets[end]], axis=1))
    start = int(offsets[-1])
  cells = np.concatenate(found)
  cells = cells[np.lexsort((cells[:, 2], cells[:, 1], cells[:, 0]))]
  new = (np.diff(cells[:, :2], axis=0, prepend=-1) != 0).any(axis=1)
  before = np.cumsum(cells[:, 3] - cells[:, 2]) - (cells[:, 3] - cells[:, 2])
  # Small shares go together, until there is enough for a unit.
  crossed = np.diff(before[new] // unit_bytes, prepend=-1) > 0
  yield from np.split(cells[:, 2:], np.flatnonzero(new)[crossed][1:])
