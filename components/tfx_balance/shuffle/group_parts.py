"""Groups of records brought together in Beam, as columns in work files, and their splits back.

    scanned files ── count_groups ── parts of groups ── split_part ── splits by file

A part is a range of the numbers of groups. A file's groups in a part, with their strata and numbers
of records, block by block, are a range of a work file; the splits of these groups come back in the
same order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.group_table import (
  ENTRY,
  TIMED_ENTRY,
  Entries,
  GroupPart,
  count_entries,
  group_numbers,
)
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.runs import starts_of_runs
from tfx_balance.plan.split_plan import Placed
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.shuffle.ranges import RangePacker
from tfx_balance.sizes import SIZES, Workspace
from tfx_balance.tfrecord.packed import PackedFile, opened
from tfx_balance.tfrecord.work_files import (
  create_as_is,
  fill,
  new_work_file,
  scratch_folder,
)

MOST_PARTS = 64
"""Parts of the largest input: each is an element for each file."""
_PLACE = np.dtype([('split', '<u2'), ('embargoed', '?')])


def n_parts(n_records: int, part_records: int = SIZES.group_records) -> int:
  """Returns the number of parts of the groups of so many records, a power of 2.

  >>> n_parts(0), n_parts(5_000_000), n_parts(10**12)
  (1, 8, 64)

  Args:
    n_records: Number of records.
    part_records: Records of a part, about.
  """
  return min(MOST_PARTS, 1 << (n_records // part_records).bit_length())


@dataclass(frozen=True, eq=False)
class PartColumn:
  """Values of one part for one file, or of one file in a part: runs of a work file.

  Attributes:
    file_number: Number of the file.
    name: Path of the file.
    part: Number of the part.
    file: Work file that has the runs.
    runs: First value and end of the run of each block: int64 [blocks, 2].
    row: Type of a value.
  """

  file_number: int
  name: str
  part: int
  file: str | PackedFile
  runs: Ints
  row: np.dtype[Any]


def _read(stream: BinaryIO, run: Ints, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
  """Returns the values of a run, a first one and an end."""
  first, end = run.tolist()
  found = np.empty(end - first, dtype)
  if len(found):
    stream.seek(first * dtype.itemsize)
    fill(stream, found.view(np.uint8), 'a work file')
  return found


def _blocks(column: PartColumn) -> list[Entries]:
  """Returns the entries of a file in a part, block by block."""
  with opened(column.file) as stream:
    return [_read(stream, run, column.row) for run in column.runs]


def count_groups(
  scanned: ScannedFile, rows: Ints, seed: int, parts: int, work: Workspace, timed: bool = False
) -> Iterator[PartColumn]:
  """Yields the entries of a file's groups, part by part.

  Args:
    scanned: File whose records are spilled with the hashes of their groups.
    rows: Row of the stratum of each code: int64 [strata].
    seed: Seed of the order of groups.
    parts: Number of parts.
    work: Where work files are.
    timed: Whether the time of the latest record of each group counts.
  """
  edges, first, row = [], 0, TIMED_ENTRY if timed else ENTRY
  firsts = np.array([part * 2**64 // parts for part in range(parts)], np.uint64)
  with scratch_folder(work.work_dir) as folder:
    path = new_work_file(folder, f'groups-{scanned.spill.file_number:05d}')
    with create_as_is(path) as file:
      for index in scanned.spill.index('group', 'code', 'position', *(['time'] if timed else [])):
        numbers, times = group_numbers(index['group'], seed), index['time'] if timed else None
        entries = count_entries(numbers, rows[index['code']], index['position'], times)
        file.write(entries.view(np.uint8).data)
        edges.append(first + np.append(np.searchsorted(entries['group'], firsts), len(entries)))
        first += len(entries)
    table = np.array(edges, np.int64).reshape(-1, parts + 1)
    with RangePacker(path, work) as packer:
      for part in range(parts):
        runs = table[:, part : part + 2]
        some = runs[runs[:, 0] < runs[:, 1]]
        if len(some):
          packed = packer.pack(some * row.itemsize)
          yield PartColumn(scanned.spill.file_number, scanned.file.path, part, packed, runs, row)


def build_part(columns: Sequence[PartColumn], predefined: Ints) -> GroupPart:
  """Returns the groups of a part; raises DataError as `GroupPart` does."""
  entries = [np.concatenate(_blocks(column)) for column in columns]
  return GroupPart(entries, [column.name for column in columns], predefined)


def return_splits(
  part: GroupPart, placed: Placed, columns: Sequence[PartColumn], work: Workspace
) -> Iterator[PartColumn]:
  """Yields the places of the groups of a part by file, in the order of its groups.

  Args:
    part: The groups.
    placed: Where each goes.
    columns: What the files have of them.
    work: Where work files are.
  """
  first, found = 0, []
  places = np.empty(len(placed.split), _PLACE)
  places['split'], places['embargoed'] = placed
  with scratch_folder(work.work_dir) as folder:
    path = new_work_file(folder, f'group-splits-{columns[0].part:05d}')
    with create_as_is(path) as file:
      for column in columns:
        ends = [first]
        for entries in _blocks(column):
          groups = entries['group'][starts_of_runs(entries['group'])]
          file.write(places[np.searchsorted(part.groups, groups)].view('u1').data)
          first += len(groups)
          ends.append(first)
        found.append((column, np.stack([ends[:-1], ends[1:]], axis=1)))
    with RangePacker(path, work) as packer:
      for column, runs in found:
        whole = np.array([[runs[0, 0], runs[-1, 1]]]) * _PLACE.itemsize
        packed = packer.pack(whole)
        yield PartColumn(column.file_number, column.name, column.part, packed, runs, _PLACE)


class GroupAssigner:
  """The places of the records of one file, a block at a time, in their order."""

  def __init__(self, columns: Sequence[PartColumn], stack: contextlib.ExitStack, seed: int) -> None:
    """Takes the splits of the file's groups.

    Args:
      columns: Places of groups of each part, in any order.
      stack: What closes the files that are read.
      seed: Seed of the order of groups.
    """
    self._streams = [
      (stack.enter_context(opened(each.file)), each.runs, each.row)
      for each in sorted(columns, key=attrgetter('part'))
    ]
    self._seed, self._block = seed, 0

  def place(self, index: npt.NDArray[np.void]) -> Placed:
    """Returns the places of the records of the next block."""
    own = [_read(stream, runs[self._block], row) for stream, runs, row in self._streams]
    self._block += 1
    groups, which = np.unique(group_numbers(index['group'], self._seed), return_inverse=True)
    places = np.concatenate(own)
    assert len(places) == len(groups)
    found = places[which.reshape(-1)]
    return Placed(found['split'].astype(np.int64), found['embargoed'])
