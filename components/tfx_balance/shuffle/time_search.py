"""Finding in Beam where splits in the order of time end: the times of the cuts, then their ties.

    scanned files ── times of the cuts ── numbers of earlier and of equal ones ── ranks among these

Times and ranks are searched for as thresholds of ranks are, in `shuffle.select`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.plan.number_keys import spread_ranks
from tfx_balance.plan.ranks import Assigner, Ints, Thresholds, UInts
from tfx_balance.plan.sparse_counts import SparseCounts
from tfx_balance.plan.time_order import TimeCuts, TimeOrder
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.spill import Rows
from tfx_balance.shuffle.ranges import NOWHERE
from tfx_balance.shuffle.select import Selection, find_file_thresholds


@dataclass(frozen=True, eq=False)
class TimeSelection(Selection):
  """Numbers of records in parts of each row that follow each other in time.

  Attributes are as in `Selection`, of which the ranks are keys of times here, and:
    order: Order of the splits; where it is within 'all', there is one row.
    kind: Type of the times, 'int' or 'float'.
    pivots: Keys at which buckets of times begin.
  """

  order: TimeOrder
  kind: str
  pivots: UInts

  @property
  def behind_ends(self) -> TimeSelection:
    """The parts with the first record behind each end, whose time is the last of a part then."""
    quotas = self.quotas.copy()
    quotas[:, 0] += 1
    return replace(self, quotas=quotas)

  def rows_of(self, scanned: ScannedFile) -> Ints:
    """Returns the row of each code in a file's index."""
    if self.order.within == 'all':
      return np.zeros(len(scanned.strata), np.int64)
    return self.strata_of(scanned)

  def strata_of(self, scanned: ScannedFile) -> Ints:
    """Returns the stratum of each code in a file's index."""
    return super().rows_of(scanned)

  def buckets(self, rows: Ints, rank: UInts) -> Ints:
    """Returns the bucket of each record, given its row and the key of its time: int64 [n]."""
    return self.layout.buckets(rows, spread_ranks(rank, self.pivots))

  def ranked(self, scanned: ScannedFile) -> Iterator[tuple[Ints, UInts]]:
    """Yields the codes and the times of a file's records, block by block."""
    for index in scanned.spill.index('code', 'time'):
      yield index['code'].astype(np.int64), index['time']

  def times(self, found: Thresholds) -> UInts:
    """Returns the time of the first record behind each end, given what `behind_ends` found."""
    return found.ends - np.uint64(1)


@dataclass(frozen=True, eq=False)
class TieSelection(Selection):
  """Numbers of records in parts of each tie, by rank.

  Attributes are as in `Selection`, of which a row is a tie here, and:
    times: Records in parts by time.
    cuts: Cuts that have the ties.
  """

  times: TimeSelection
  cuts: TimeCuts

  def rows_of(self, scanned: ScannedFile) -> Ints:
    """Returns the rows: codes are numbers of ties here."""
    return np.arange(len(self.quotas))

  def ranked(self, scanned: ScannedFile) -> Iterator[tuple[Ints, UInts]]:
    """Yields the ties and the ranks of those of a file's records that are in one."""
    rows = self.times.rows_of(scanned)
    for index in scanned.spill.index('hash', 'content', 'code', 'time'):
      _, ties = self.cuts.parts_of(rows[index['code']], index['time'])
      among = np.flatnonzero(ties >= 0)
      yield ties[among], self.ranks(index[among])


class TimeAssigner:
  """Tells the row and the split of each record of one file by its time, a block at a time."""

  def __init__(self, ties: TieSelection, found: Thresholds, scanned: ScannedFile) -> None:
    """Takes the ties and the thresholds of their ranks."""
    self._ties = ties
    self._rows = ties.times.rows_of(scanned)
    self._strata = ties.times.strata_of(scanned)
    self._assigner = Assigner(found, ties.rows_of(scanned), scanned.file.rank)
    self._counts = np.zeros((len(self._strata), ties.quotas.shape[1]), np.int64)

  @property
  def counts(self) -> SparseCounts:
    """The number of records told so far by stratum and part: what is kept, what is embargoed."""
    n_strata = sum(map(len, self._ties.times.strata.values()))
    n_parts = self._counts.shape[1]
    cells = self._strata[:, None] * n_parts + np.arange(n_parts)
    return SparseCounts.of((n_strata, n_parts), cells.reshape(-1), self._counts.reshape(-1))

  def assign(self, index: Rows) -> tuple[Ints, Ints]:
    """Returns strata and splits, NOWHERE for what is embargoed: int64 [n]."""
    codes, keys = index['code'].astype(np.int64), index['time']
    rows, cuts = self._rows[codes], self._ties.cuts
    parts, ties = cuts.parts_of(rows, keys)
    among = np.flatnonzero(ties >= 0)
    parts[among] = self._assigner.assign(ties[among], self._ties.ranks(index[among]))
    parts = cuts.left_out(rows, keys, parts)
    cells = np.bincount(codes * self._counts.shape[1] + parts, minlength=self._counts.size)
    self._counts += cells.reshape(self._counts.shape)
    return self._strata[codes], np.where(parts & 1, NOWHERE, parts >> 1)


def find_ties(
  scanned: beam.PCollection[ScannedFile],
  times: beam.PCollection[TimeSelection],
  n_files: int,
  work_dir: str,
) -> list[beam.PCollection]:
  """Returns the `TieSelection` and the `Thresholds` of its ranks, one element each.

  Args:
    scanned: Files.
    times: Selection of parts by time, one element.
    n_files: Number of files.
    work_dir: Folder of work files.
  """
  find = functools.partial(_FindThresholds, n_files, work_dir)
  behind = times | 'BehindEnds' >> beam.Map(attrgetter('behind_ends'))
  found = beam.pvalue.AsSingleton((scanned, behind) | 'Times' >> find())
  ties = summed(
    scanned,
    'CountTimes',
    count_times,
    MergeRows(SparseCounts.merge),
    cut_times,
    beam.pvalue.AsSingleton(times),
    found,
    rank=attrgetter('file.rank'),
    n=n_files,
  )
  return [ties, (scanned, ties) | 'Ties' >> find()]


class _FindThresholds(beam.PTransform):
  """Gives the steps of a search labels of their own."""

  def __init__(self, n_files: int, work_dir: str) -> None:
    super().__init__()
    self._n_files, self._work_dir = n_files, work_dir

  def expand(
    self, inputs: tuple[beam.PCollection[ScannedFile], beam.PCollection[Selection]]
  ) -> beam.PCollection[Thresholds]:
    return find_file_thresholds(*inputs, self._n_files, self._work_dir)


def count_times(scanned: ScannedFile, selection: TimeSelection, found: Thresholds) -> SparseCounts:
  """Returns how many records of a file are before each end, and how many at its time.

  The counts are [2, rows, parts - 1]: of earlier records, and of those with the time of the first
  record behind the end.
  """
  times, rows = selection.times(found), selection.rows_of(scanned)
  counts = np.zeros((2, len(scanned.strata), times.shape[1]), np.int64)
  for codes, keys in selection.ranked(scanned):
    for end in range(times.shape[1]):
      at = times[rows[codes], end]
      for count, counted in zip(counts, (keys < at, keys == at), strict=True):
        count[:, end] += np.bincount(codes[counted], minlength=len(rows))
  shape = (2, *times.shape)
  places = np.arange(2)[:, None, None] * times.size + rows[:, None] * times.shape[1]
  cells = places + np.arange(times.shape[1])
  return SparseCounts.total(shape, cells.reshape(-1), counts.reshape(-1))


def cut_times(counted: SparseCounts, selection: TimeSelection, found: Thresholds) -> TieSelection:
  """Returns the cuts that all the files' counts make, with their ties."""
  earlier, equal = counted.dense()
  times = selection.times(found)
  cuts = TimeCuts.of(selection.quotas, times, earlier, equal, selection.order, selection.kind)
  return TieSelection({}, cuts.quotas, selection.seed, selection.purpose, selection, cuts)
