"""Records in work files, written once and read in ranges: blocks of a file, each in random order.

Records are spilled before it is known where they go. Whatever part of a block is taken, a run of
neighbours is a random sample of it; and where blocks are ordered by class first, that of a class.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_balance.plan.ranks import Ints, mix, order_of_groups, record_numbers
from tfx_balance.tfrecord.files import fill
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer, concatenate
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file, open_as_is

BLOCK_BYTES = 16 << 20
"""Decompressed bytes that are held until they are written, about."""
INDEX_ROW = np.dtype([('hash', '<u8'), ('code', '<u4'), ('size', '<u4'), ('position', '<u4')])
"""Hash of a record's bytes, its stratum in the file's own numbering, bytes of its frame, and its
position in the file."""
ASSIGNED_ROW = np.dtype([('size', '<u4'), ('output', '<u4')])
"""Bytes of a record's frame, and the number of its output, such as a split."""

Rows = npt.NDArray[np.void]
"""What is known of each record: INDEX_ROW or ASSIGNED_ROW [n]."""


@dataclass(frozen=True)
class Spill:
  """Records of one file, block by block.

  Attributes:
    rank: Number of the file, by which random numbers of its records are drawn.
    rows_path: Path of the rows, in the order of the frames.
    frames_path: Path of the frames.
    blocks: Number of records of each block.
  """

  rank: int
  rows_path: str
  frames_path: str
  blocks: tuple[int, ...]

  def index(self) -> Iterator[Rows]:
    """Yields the rows of what was scanned, block by block: INDEX_ROW [records of the block]."""
    if not self.blocks:
      return
    with open_as_is(self.rows_path) as file:
      for n in self.blocks:
        rows = np.empty(n, INDEX_ROW)
        fill(file, rows.view(np.uint8), self.rows_path)
        yield rows

  def frames(self) -> Iterator[tuple[Rows, Frames]]:
    """Yields the same beside the frames, which hold until the next ones."""
    start, buffer = 0, ScratchBuffer()
    for rows in self.index():
      frames = self.read(start, rows['size'], buffer)
      start += int(frames.offsets[-1])
      yield rows, frames

  def read(self, start: int, sizes: npt.NDArray[Any], buffer: ScratchBuffer) -> Frames:
    """Returns the frames of these sizes from a byte on; they hold while the buffer does."""
    offsets = np.cumsum(np.append(0, sizes.astype(np.int64)))
    data = buffer.take(int(offsets[-1]))
    with open_as_is(self.frames_path) as file:
      file.seek(start)
      fill(file, data, self.frames_path)
    return Frames(pa.py_buffer(data), offsets)


class SpillWriter:
  """Writes a spill; a context manager, whose files are made with the first block."""

  def __init__(self, work_dir: str, name: str, rank: int, key: int) -> None:
    self._rows_path, self._frames_path = (
      new_work_file(work_dir, f'{name}-{kind}-{rank:05d}') for kind in ('rows', 'frames')
    )
    self._rank, self._key = rank, key
    self._files: list[Any] = []
    self._stack = contextlib.ExitStack()
    self._taken = ScratchBuffer()
    self._position = 0
    self._blocks: list[int] = []

  def __enter__(self) -> SpillWriter:
    return self

  def __exit__(self, *error: Any) -> None:
    self._stack.__exit__(*error)

  @property
  def spill(self) -> Spill:
    """What was written; whole once the files are closed."""
    return Spill(self._rank, self._rows_path, self._frames_path, tuple(self._blocks))

  def write(
    self, rows: Rows, frames: Frames, which: Ints | None = None, groups: Ints | None = None
  ) -> Ints:
    """Writes a block in random order, or in that of groups, each of which is in random order.

    Args:
      rows: Rows of the records to write: [n].
      frames: Frames among which they are.
      which: Position of each among these frames, some more than once: int64 [n]; None for all.
      groups: Number of each record's group, 0 or above: int64 [n]; None for one group.

    Returns:
      The order in which they are written: int64 [n].
    """
    n = len(rows)
    if not n:
      return np.empty(0, np.int64)
    drawn = mix(record_numbers(self._rank, self._position, n), self._key) >> np.uint64(48)
    self._position += n
    order = order_of_groups(drawn.view(np.int64))
    if groups is not None:
      order = order[order_of_groups(groups[order])]
    taken = frames.take(order if which is None else which[order], self._taken)
    if not self._files:
      paths = (self._rows_path, self._frames_path)
      self._files = [self._stack.enter_context(create_as_is(path)) for path in paths]
    rows_file, frames_file = self._files
    rows_file.write(rows[order].view(np.uint8).data)
    frames_file.write(memoryview(taken.data)[: int(taken.offsets[-1])])
    self._blocks.append(n)
    return order


def in_blocks(batches: Iterable[tuple[Rows, Frames]]) -> Iterator[tuple[Rows, Frames]]:
  """Yields batches joined to blocks of BLOCK_BYTES or more, each of which holds until the next."""
  held: list[tuple[Rows, Frames]] = []
  n_bytes, joined = 0, ScratchBuffer()

  def block() -> tuple[Rows, Frames]:
    rows, frames = zip(*held, strict=True)
    return np.concatenate(rows), concatenate(frames, joined)

  for rows, frames in batches:
    # Without the records as objects, which `frames` keeps: they would take as much memory again.
    held.append((rows, Frames(frames.data, frames.offsets)))
    n_bytes += int(frames.offsets[-1])
    if n_bytes >= BLOCK_BYTES:
      yield block()
      held, n_bytes = [], 0
  if held:
    yield block()


def assigned_rows(sizes: npt.NDArray[Any], outputs: npt.NDArray[Any] | int) -> Rows:
  """Returns rows of assigned records: ASSIGNED_ROW [n]."""
  rows = np.empty(len(sizes), ASSIGNED_ROW)
  rows['size'], rows['output'] = sizes, outputs
  return rows
