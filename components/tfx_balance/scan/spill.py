"""Records shuffled onto disk as they are first read, before it is known where each of them goes.

A file is cut into blocks. Within a block records lie in buckets, ranges of a random number, so that
a range of buckets is a random part of the file, a piece of each block, whatever order the file has.
What is known of the records lies beside them in the same order: `INDEX_ROW`, and a table of how
much each bucket has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.ranks import mix
from tfx_balance.plan.sorting import order_of_groups, record_numbers
from tfx_balance.scan.scan import INDEX_ROW, InputFile, ScannedFile
from tfx_balance.scan.strata import BAD
from tfx_balance.tfrecord.files import fill, read_sized
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer, concatenate
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file, open_as_is

BLOCK_BYTES = 16 << 20
"""Decompressed bytes that are held until they are written, about."""

Ints = npt.NDArray[np.int64]
_TABLE = np.dtype('<u4')


@dataclass(frozen=True)
class SpilledFile(ScannedFile):
  """A file that was read once, and need not be read again.

  Attributes:
    spill_path: of the frames, block by block.
    n_buckets: in each block.

  The chunks of the index are the blocks. Records that were dropped are in neither.
  """

  spill_path: str
  n_buckets: int

  def index_rows(self) -> Iterator[npt.NDArray[np.void]]:
    return (rows for rows, _ in self.blocks())

  def blocks(self) -> Iterator[tuple[npt.NDArray[np.void], Ints]]:
    """Yields each block: its index, and int64 [2, buckets], records and bytes of its buckets."""
    with open_as_is(self.index_path) as index:
      for n in self.chunks:
        rows, table = np.empty(n, INDEX_ROW), np.empty((2, self.n_buckets), _TABLE)
        fill(index, rows.view(np.uint8), self.index_path)
        fill(index, table.view(np.uint8), self.index_path)
        yield rows, table.astype(np.int64)

  def frames(self) -> Iterator[tuple[npt.NDArray[np.void], Frames]]:
    with open_as_is(self.spill_path) as spill:
      for rows in self.index_rows():
        yield rows, read_sized(spill, rows['size'], self.spill_path)


class SpillWriter:
  """Keeps the records of a file as `SpilledFile` says: a `Keeper`."""

  def __init__(self, file: InputFile, work_dir: str, n_buckets: int, seed_key: int) -> None:
    """Opens the files.

    Args:
      file: whose records are to come.
      work_dir: for the files.
      n_buckets: in each block.
      seed_key: of the random numbers.
    """
    self._rank, self._n_buckets, self._seed_key = file.rank, n_buckets, seed_key
    self._paths = [
      new_work_file(work_dir, f'{kind}-{file.rank:05d}') for kind in ('index', 'spill')
    ]
    with contextlib.ExitStack() as stack:
      self._index, self._spill = (stack.enter_context(create_as_is(path)) for path in self._paths)
      self._files = stack.pop_all()
    self._held: list[tuple[npt.NDArray[np.void], Frames]] = []
    self._joined, self._taken = ScratchBuffer(), ScratchBuffer()
    self._held_bytes = 0
    self._position = 0
    self._blocks: list[int] = []

  def add(self, rows: npt.NDArray[np.void], frames: Frames) -> None:
    """Takes the next records of the file: INDEX_ROW [n], and their frames."""
    # Without the records as objects, which `frames` keeps: they would take as much memory again.
    self._held.append((rows, Frames(frames.data, frames.offsets)))
    self._held_bytes += int(frames.offsets[-1])
    if self._held_bytes >= BLOCK_BYTES:
      self._write()

  def scanned(self, **found: Any) -> SpilledFile:
    """Returns what was kept, and what else was found in the file."""
    self._write()
    index_path, spill_path = self._paths
    return SpilledFile(
      index_path=index_path,
      chunks=tuple(self._blocks),
      digests=(),
      spill_path=spill_path,
      n_buckets=self._n_buckets,
      **found,
    )

  def close(self) -> None:
    self._files.close()

  def _write(self) -> None:
    """Writes what is held as a block."""
    if not self._held:
      return
    rows = np.concatenate([rows for rows, _ in self._held])
    frames = concatenate([frames for _, frames in self._held], self._joined)
    self._held, self._held_bytes = [], 0
    numbers = record_numbers(self._rank, self._position, len(rows))
    self._position += len(rows)
    random = mix(numbers, self._seed_key) >> np.uint64(32)
    buckets = ((random * np.uint64(self._n_buckets)) >> np.uint64(32)).astype(np.int64)
    order = order_of_groups(buckets)
    if rows['code'].max() >= BAD:
      order = order[rows['code'][order] < BAD]
      if not len(order):
        return
    frames = frames.take(order, self._taken)
    records = np.bincount(buckets[order], minlength=self._n_buckets)
    n_bytes = np.diff(frames.offsets[np.append(0, np.cumsum(records))])
    self._index.write(rows[order].view(np.uint8).data)
    self._index.write(np.stack([records, n_bytes]).astype(_TABLE).tobytes())
    self._spill.write(memoryview(frames.data)[: int(frames.offsets[-1])])
    self._blocks.append(len(order))
