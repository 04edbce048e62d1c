"""Thresholds that select the quota of each stratum, found in Beam without sorting the records.

    scanned files ──┬── histogram of pairs ──┐
                    └── candidates ──────────┴── Thresholds

Records are selected in the order of pairs: of a number of each, such as its time, where there is
one, and the rank of its hash. Where a key or the values identify a record, and not its bytes, the
number is the rank of that identity, and the hash is of the bytes, which decides among records of
one identity. The records stay where they are; only counts, and the few pairs near a threshold, come
together: in a tree, and where strata are many range by range of them, so that no worker gets more
than a few hundred MB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import itemgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.beam.steps import MergeRows, merged
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.narrow_integers import NarrowColumns, SparseCounts
from tfx_balance.plan.number_keys import pair_buckets
from tfx_balance.plan.ranks import (
  Assigner,
  Candidates,
  Ints,
  RankHistogram,
  Thresholds,
  UInts,
  boundary_buckets,
  find_thresholds,
  fine_buckets,
  ranks,
)
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.stratum_counts import StratumColumns
from tfx_balance.shuffle.stored_values import WithStored, store
from tfx_balance.sizes import SIZES, Workspace


@dataclass(frozen=True, eq=False)
class Selection(NarrowColumns):
  """Numbers of records to select from each stratum of each input split.

  Attributes:
    strata: Strata by input split; `quotas` has the rows of the first split, then of the next.
    quotas: Number of records for each part: int64 [rows, parts]; a row sums to its stratum.
    seed: Seed of the component.
    purpose: Name of the draw; another purpose gives independent ranks. '' where ranks are all 0.
    column: Column of the index that comes before the rank, 'time' or 'number', or whose rank does,
      'hash'; '' for none.
    pivots: Keys at which buckets of this column begin, as from `NumberSample.pivots`; None for
      buckets that are equal ranges of ranks, those of 'hash' where it is the column.
    is_joint: Whether all strata are one row.
    at_first: Whether the first record is searched for where parts before it have none.
    range_rows: Buckets and candidates of a range of strata, about.
  """

  strata: Mapping[str, StratumColumns]
  quotas: Ints
  seed: int
  purpose: str
  column: str = ''
  pivots: UInts | None = None
  is_joint: bool = False
  at_first: bool = False
  range_rows: int = SIZES.range_rows

  narrow_columns = ('quotas',)

  def __getstate__(self) -> dict[str, Any]:
    """Returns the state to send to workers, with layout and ranges: each would find them again."""
    _ = self.edges
    return super().__getstate__()

  @cached_property
  def layout(self) -> RankHistogram:
    """Where each row's buckets are."""
    return RankHistogram.of(self.quotas.sum(axis=1))

  @cached_property
  def edges(self) -> Ints:
    """The rows with which ranges of rows begin, and the number of rows: int64 [ranges + 1]."""
    buckets = np.diff(self.layout.offsets)
    records = self.quotas.sum(axis=1)
    inner = (self.quotas > 0).sum(axis=1) - 1  # ends, in each of which a bucket is looked into
    rows = np.cumsum(buckets + np.maximum(0, inner) * (records // buckets))
    return np.append(np.flatnonzero(np.diff(rows // self.range_rows, prepend=-1)), len(rows))

  def range_of(self, number: int) -> tuple[int, int]:
    """Returns the first row of a range, and that of the next."""
    return int(self.edges[number]), int(self.edges[number + 1])

  def ranges_of(self, rows: Ints) -> list[int]:
    """Returns the ranges that some rows are in."""
    placed = rows[rows >= 0]
    return [int(n) for n in np.unique(np.searchsorted(self.edges, placed, side='right') - 1)]

  def stratum(self, row: int) -> Stratum:
    """Returns the stratum of a row."""
    for strata in self.strata.values():
      if row < len(strata):
        return strata[row]
      row -= len(strata)
    raise IndexError(row)

  def strata_of(self, scanned: ScannedFile) -> Ints:
    """Returns the number of the stratum of each code in a file's index, split after split."""
    first, input_split = 0, scanned.file.input_split
    for name, strata in self.strata.items():
      if name == input_split:
        break
      first += len(strata)
    present = np.flatnonzero(scanned.records)  # others are of records that were dropped
    rows = np.zeros(len(scanned.records), np.int64)
    rows[present] = first + self.strata[input_split].rows_of(scanned.strata.take(present))
    return rows

  def rows_of(self, scanned: ScannedFile) -> Ints:
    """Returns the row of each code in a file's index, -1 where none is selected."""
    return np.zeros(len(scanned.strata), np.int64) if self.is_joint else self.strata_of(scanned)

  def ranks(self, index: npt.NDArray[np.void]) -> UInts:
    """Returns the ranks of the records of an index."""
    if not self.purpose:
      return np.zeros(len(index), np.uint64)
    if self.column == 'hash':
      return ranks(index['content'], self.seed, self.purpose)
    with_content = self.column and 'content' in (index.dtype.names or ())
    content = index['content'] if with_content else None
    return ranks(index['hash'], self.seed, self.purpose, content)

  def order(self, index: npt.NDArray[np.void]) -> UInts | None:
    """Returns the first sort key of an index's records, before their ranks; None for none."""
    if self.column == 'hash':
      return ranks(index['hash'], self.seed, self.purpose)
    return index[self.column] if self.column else None

  def placed(self, scanned: ScannedFile) -> Iterator[tuple[Ints, Ints, UInts | None, UInts]]:
    """Yields codes, buckets, orders and ranks of a file's records that have a row, by block."""
    rows = self.rows_of(scanned)
    names = [self.column] if self.column else []
    for index in scanned.spill.index('hash', 'content', 'code', *names):
      if rows.min(initial=0) < 0:
        index = index[rows[index['code']] >= 0]
      codes, order, rank = index['code'].astype(np.int64), self.order(index), self.ranks(index)
      yield codes, pair_buckets(self.layout, rows[codes], rank, order, self.pivots), order, rank


class FileAssigner:
  """Assigns the records of one file to parts of a selection, a block at a time.

  Attributes:
    rows: Rows of the quotas that the file has records of, ascending: int64 [rows].
    of_code: Place among them of that of each code in the file's index: int64 [codes].
  """

  def __init__(self, selection: Selection, thresholds: Thresholds, scanned: ScannedFile) -> None:
    self._selection = selection
    self.rows, of_code = np.unique(selection.rows_of(scanned), return_inverse=True)
    self.of_code = of_code.reshape(-1)
    self._assigner = Assigner(thresholds, self.rows, scanned.file.file_number)

  def assign(self, index: npt.NDArray[np.void]) -> Ints:
    """Returns the part of each record: int64 [n]."""
    selection, rows = self._selection, self.of_code[index['code']]
    return self._assigner.assign(rows, selection.ranks(index), selection.order(index))


class FileCounts:
  """Numbers of records of one file by cell, such as by stratum and split."""

  def __init__(self, strata: Ints, shape: tuple[int, ...]) -> None:
    """Begins a file.

    Args:
      strata: Number of the stratum of each code in the file's index: int64 [codes].
      shape: Number of all strata, and of what else a cell is of.
    """
    self._strata, self._shape = strata, shape
    self._counts = np.zeros(len(strata) * math.prod(shape[1:]), np.int64)

  def add(self, codes: npt.NDArray[Any], *columns: npt.NDArray[Any]) -> None:
    """Takes records: their codes, and what else their cells are of: integers [n]."""
    cells = codes.astype(np.int64)
    for column, n in zip(columns, self._shape[1:], strict=True):
      cells = cells * n + column
    self._counts += np.bincount(cells, minlength=len(self._counts))

  def sparse(self) -> SparseCounts:
    """Returns the counts among those of all strata."""
    some, n = np.flatnonzero(self._counts), math.prod(self._shape[1:])
    cells = self._strata[some // n] * n + some % n
    return SparseCounts.total(self._shape, cells, self._counts[some])


def find_file_thresholds(
  scanned: beam.PCollection[ScannedFile],
  selection: beam.PCollection[Selection],
  work: Workspace,
) -> beam.PCollection[Thresholds]:
  """Returns the thresholds, one element.

  Args:
    scanned: Files.
    selection: Selection, one element.
    work: Where work files are, and how many files there are.
  """

  def exchange(
    label: str, each: Any, merge: Any, then: Callable[..., Any], *side_inputs: Any
  ) -> beam.pvalue.AsList:
    """Returns the results of `then` for the merged parts of all files, one a range of rows."""

    def keyed(file: ScannedFile, *side_inputs: Any) -> Iterator[tuple[tuple[int, int], Any]]:
      fan_in = work.fan_in_of(file.file.file_number)
      return (((number, fan_in), part) for number, part in each(file, *side_inputs))

    def bound(merged: tuple[tuple[int, int], Any], *side_inputs: Any) -> list[Any]:
      return [then(merged[0][0], merged[1], *side_inputs)]

    parts = scanned | f'{label}Each' >> beam.ParDo(WithStored(keyed), *side_inputs)
    sums = merged(parts, label, merge, work)
    found = sums | f'{label}Then' >> beam.ParDo(WithStored(bound), *side_inputs)
    return beam.pvalue.AsList(store(found, f'Store{label}', work.work_dir))

  selected = beam.pvalue.AsSingleton(store(selection, 'StoreSelection', work.work_dir))
  count = partial(count_ranks, n_files=work.n_files)
  searches = exchange('Ranks', count, SparseCounts.merge, plan_search, selected)
  found = exchange(
    'Candidates', collect_candidates, Candidates.merge, set_thresholds, selected, searches
  )
  once = scanned.pipeline | 'OnceThresholds' >> beam.Impulse()
  return once | 'Thresholds' >> beam.ParDo(
    WithStored(lambda _, found: [join_thresholds(found)]), found
  )


@dataclass(frozen=True, eq=False)
class Search(NarrowColumns):
  """Buckets in which parts end, as `boundary_buckets` returns them, for a range of rows."""

  number: int
  buckets: Ints
  positions: Ints

  narrow_columns = ('buckets', 'positions')


def count_ranks(
  scanned: ScannedFile, selection: Selection, n_files: int
) -> Iterator[tuple[int, SparseCounts]]:
  """Yields the counts of a file's records by the bucket of their pair, by range of rows."""
  layout, rows = selection.layout, selection.rows_of(scanned)
  counts = _counted_ranks(scanned, selection, rows, n_files)
  if counts is None:
    each = [
      SparseCounts.count((layout.n_buckets,), buckets)
      for _, buckets, _, _ in selection.placed(scanned)
    ]
    counts = SparseCounts.merge(each) if each else None
  if counts is not None:
    for number in selection.ranges_of(rows):
      low, high = layout.offsets[list(selection.range_of(number))].tolist()
      yield number, counts.between(low, high)


def _counted_ranks(
  scanned: ScannedFile, selection: Selection, rows: Ints, n_files: int
) -> SparseCounts | None:
  """Returns the counts of ranks that the scan made, by buckets of all files; None if too coarse."""
  if not scanned.spill.n_rank_counts or selection.pivots is not None:
    return None
  layout = selection.layout
  fine = fine_buckets(scanned.records, n_files)
  if (fine.bits < layout.bits[rows]).any():
    return None
  cells, counts = scanned.spill.rank_counts()
  codes = np.searchsorted(fine.offsets, cells, side='right') - 1
  shift = (fine.bits - layout.bits[rows]).astype(np.int64)[codes]
  buckets = layout.offsets[rows[codes]] + ((cells - fine.offsets[codes]) >> shift)
  return SparseCounts.total((layout.n_buckets,), buckets, counts)


def plan_search(number: int, histogram: SparseCounts, selection: Selection) -> Search:
  """Returns the buckets in which parts end, for a range of rows."""
  low, high = selection.range_of(number)
  layout, quotas = selection.layout.between(low, high), selection.quotas[low:high]
  buckets, positions = boundary_buckets(layout, histogram.dense(), quotas, selection.at_first)
  first = selection.layout.offsets[low]
  return Search(number, np.where(buckets >= 0, buckets + first, -1), positions)


def collect_candidates(
  scanned: ScannedFile, selection: Selection, searches: Sequence[Search]
) -> Iterator[tuple[int, Candidates]]:
  """Yields a file's pairs in the buckets in which parts end, by range of rows."""
  layout, rows = selection.layout, selection.rows_of(scanned)
  ends = np.full((len(rows), selection.quotas.shape[1] - 1), -1, np.int64)  # by code
  for search in searches:
    low, high = selection.range_of(search.number)
    own = (rows >= low) & (rows < high)
    ends[own] = search.buckets[rows[own] - low]

  def of_block(placed: tuple[Ints, Ints, UInts | None, UInts]) -> Candidates:
    codes, buckets, order, rank = placed
    wanted = np.zeros(len(codes), bool)
    for part in range(ends.shape[1]):  # a column at a time: no [n, parts] array
      wanted |= ends[codes, part] == buckets
    orders = None if order is None else order[wanted]
    return Candidates.collect(buckets[wanted], rank[wanted], scanned.file.file_number, orders)

  found = MergeRows(Candidates.merge).merged(map(of_block, selection.placed(scanned)))
  for number in selection.ranges_of(rows):
    low, high = layout.offsets[list(selection.range_of(number))]
    yield number, found.between(low, high)


def set_thresholds(
  number: int, candidates: Candidates, selection: Selection, searches: Sequence[Search]
) -> tuple[int, Thresholds]:
  """Returns the thresholds of a range of rows, with its number."""
  low, high = selection.range_of(number)
  (search,) = (search for search in searches if search.number == number)
  quotas = selection.quotas[low:high]
  return number, find_thresholds(quotas, search.buckets, search.positions, candidates)


def join_thresholds(ranges: Iterable[tuple[int, Thresholds]]) -> Thresholds:
  """Returns the thresholds of all ranges of rows."""
  return Thresholds.join([thresholds for _, thresholds in sorted(ranges, key=itemgetter(0))])
