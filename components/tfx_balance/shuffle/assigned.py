"""Assignment of the records of a spilled file to output files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.plan.runs import places_in_runs
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.spill import FramesReader, Rows, Spill, SpillWriter, record_keys
from tfx_balance.shuffle.frequent import FrequentKeys, KeySpreader
from tfx_balance.shuffle.ranges import COUNTS, BatchKey, FileGroup, RangeFinder, SpillRanges
from tfx_balance.shuffle.select import FileCounts
from tfx_balance.sizes import Workspace
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer
from tfx_balance.tfrecord.work_files import OutputFile, create_as_is, new_work_file, scratch_folder


class AssignedRecords(contextlib.ExitStack):
  """Writes the assignment of a spilled file to output files; a context manager.

  They are read from where they were spilled. Those that are not near others of their file there are
  spilled once more, and so are copies.
  """

  def __init__(
    self, spill: Spill, file_groups: Sequence[FileGroup], folder: str, buffer: ScratchBuffer
  ) -> None:
    """Begins a file.

    Args:
      spill: Spilled file.
      file_groups: Groups of files to which its records go.
      folder: Folder for the rows, and for what is spilled once more.
      buffer: Buffer of what is read to be spilled once more.
    """
    super().__init__()
    self._path = new_work_file(folder, f'assigned-{spill.file_number:05d}')
    self._writer = self.enter_context(SpillWriter(folder, 'again', spill.file_number, spill.key))
    spilled = self._writer.spill
    self._ranges = RangeFinder(spill, self._path, file_groups)
    self._again = RangeFinder(spilled, str(spilled.rows_file), file_groups)
    self._reader, self._buffer = self.enter_context(FramesReader(spill)), buffer
    self._start = 0
    self._file: OutputFile | None = None

  def add(
    self,
    rows: Rows,
    again: Ints,
    file_groups: Ints | None = None,
    together: int | None = None,
  ) -> None:
    """Takes the next block.

    Args:
      rows: ASSIGNED_ROW or COPIED_ROW [n].
      again: Positions of the records to spill once more, ascending: int64 [m].
      file_groups: Group of files that takes each record: int64 [n]; None where each takes all.
      together: Number of copies of a record that go to one file, of COPIED_ROWs: one with twice as
        many is spilled once more for so many of its copies.
    """
    sizes, keys = rows['size'], rows['key']
    if together is not None:
      again = np.union1d(again, np.flatnonzero(rows['times'] >= 2 * together))
    if self._file is None:
      self._file = self.enter_context(create_as_is(self._path))
    self._file.write(rows.view(np.uint8).data)
    self._ranges.add(sizes, keys, file_groups, again)
    if len(again):
      low, end = again[0], again[-1] + 1
      start = self._start + int(sizes[:low].sum(dtype=np.int64))
      frames = self._reader.read(start, sizes[low:end], self._buffer)
      rows = rows[again]
      if together is not None:
        again, rows = _shared_out(again, rows, together)
      self.spill(rows, frames, again - low, None if file_groups is None else file_groups[again])
    self._start += int(sizes.sum(dtype=np.int64))

  def spill(
    self, rows: Rows, frames: Frames, which: Ints | None = None, file_groups: Ints | None = None
  ) -> None:
    """Takes further records; the arguments are those of `SpillWriter.write`."""
    order = self._writer.write(rows, frames, which, file_groups)
    rows = rows[order]
    self._again.add(rows['size'], rows['key'], None if file_groups is None else file_groups[order])

  def by_files(self, work: Workspace) -> list[tuple[BatchKey, SpillRanges]]:
    """Returns the ranges of the files that get records, once this is closed."""
    return [*self._ranges.by_files(work), *self._again.by_files(work)]


Assigned = tuple[Rows, Ints, Ints | None]
"""Rows of a block, positions of the records to spill once more, and groups of files, as from
`AssignedRecords.add`."""


def assign_blocks(
  scanned: ScannedFile,
  output_plan: Any,
  frequent: FrequentKeys,
  buffer: ScratchBuffer,
  counts: FileCounts,
  columns: Sequence[str],
  assign: Callable[[Rows, UInts, Ints], Assigned],
) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
  """Yields the ranges of a scanned file by output file, and the counts of what was assigned.

  Args:
    scanned: Scanned file.
    output_plan: OutputPlan of the run, which has the groups of files.
    frequent: Keys of records that are there very often.
    buffer: Buffer of what is spilled once more.
    counts: Counts of the assigned records, which `assign` adds to.
    columns: Columns of the index that `assign` reads, beside hashes, 'code' and 'size'.
    assign: Function of the index of a block, of the keys of its records and of the positions of
      those that are frequent.
  """
  spill, spreader = scanned.spill, KeySpreader(frequent, scanned.spill.file_number)
  with scratch_folder(output_plan.context.work_dir) as folder:
    with AssignedRecords(spill, output_plan.file_groups, folder, buffer) as assigned:
      for index in spill.index('hash', 'content', 'code', 'size', *columns):
        assigned.add(*assign(index, *spreader.spread(record_keys(index, spill.key))))
    yield from assigned.by_files(output_plan.context)
  yield beam.pvalue.TaggedOutput(COUNTS, (spill.file_number, counts.sparse()))


def _shared_out(which: Ints, rows: Rows, together: int) -> tuple[Ints, Rows]:
  """Returns rows among which the copies of each record are shared out, about `together` to each.

  Args:
    which: Which record each row is of: int64 [n].
    rows: COPIED_ROW [n].
    together: Number of copies.
  """
  times = rows['times'].astype(np.int64)
  n_rows = np.maximum(times // together, 1)
  of = np.repeat(np.arange(len(rows)), n_rows)
  number = places_in_runs(np.cumsum(n_rows) - n_rows, len(of))
  shared = rows[of]
  times, n_rows = times[of], n_rows[of]
  shared['times'] = times * (number + 1) // n_rows - times * number // n_rows
  shared['key'] = np.where(n_rows > 1, mix(shared['key'], number.view(np.uint64)), shared['key'])
  return which[of], shared
