"""Groups as columns: which strata the records of each are of, and how many groups are equal.

Groups are numbers, 64-bit hashes, in parts by the first bits of these. What leaves a part is a
table of distinct histograms, counts of records by stratum, with the number of groups that have
each; of many histograms, the table that is made of all parts keeps `Sizes.histograms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.group_search import Histograms, deal
from tfx_balance.plan.narrow_integers import SparseCounts
from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.plan.runs import concatenated, starts_of_runs, sums_of_runs
from tfx_balance.plan.split_plan import NamedGroup
from tfx_balance.sizes import SIZES

ENTRY = np.dtype([('group', '<u8'), ('row', '<u4'), ('records', '<u4'), ('position', '<u4')])
"""A group, the row of a stratum, the number of its records that are of this stratum, and the
position of one of them in its file."""
TIMED_ENTRY = np.dtype([*ENTRY.descr, ('time', '<u8')])
"""The same, and the key of the time of the latest of these records."""
FREE = -1
"""The split of a group that the plan chooses."""

_ROW, _RECORDS = (tie_break(0, 'histogram', part) for part in ('row', 'records'))
_LARGEST = 5  # groups that can be named

Entries = npt.NDArray[np.void]


@dataclass(frozen=True)
class GroupBy:
  """Features whose values make groups, each of which is in one split.

  Attributes:
    features: Names of the features; records with equal values of all of them are a group.
    missing: Treatment of a record without a value of one of them: 'error', 'own' for a group of its
      own, together with records that are equal to it, or 'drop'.
  """

  features: tuple[str, ...]
  missing: str = 'error'

  def parts_of(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns the values that make groups, given values of a feature: [m], here these values.

    A mode may have a subclass whose groups are of ranges of values.
    """
    return values


def group_numbers(hashes: UInts, seed: int) -> UInts:
  """Returns the numbers of groups with these hashes, another order of them for each seed."""
  return mix(hashes, tie_break(seed, 'group'))


def count_entries(
  groups: UInts, rows: Ints, positions: Ints, times: UInts | None = None
) -> Entries:
  """Returns the entries of some records, in the order of groups and rows.

  Args:
    groups: Group of each record: uint64 [n].
    rows: Row of its stratum: int64 [n].
    positions: Its position: integers [n].
    times: Key of its time: uint64 [n]; None where times do not count.

  Returns:
    ENTRY [m], or TIMED_ENTRY where there are times.
  """
  order = np.lexsort((rows, groups))
  found = np.empty(len(order), ENTRY if times is None else TIMED_ENTRY)
  if times is not None:
    found['time'] = times[order]
  found['group'], found['row'], found['position'] = groups[order], rows[order], positions[order]
  found['records'] = 1
  return _summed(found)[0]


def _summed(entries: Entries) -> tuple[Entries, Ints]:
  """Returns sorted entries with those of a group and a row in one, and where each began."""
  starts = starts_of_runs(entries['group'], entries['row'])
  found = entries[starts]
  ends = np.append(starts, len(entries))
  found['records'] = sums_of_runs(entries['records'].astype(np.int64), ends)
  if entries.dtype == TIMED_ENTRY:
    found['time'] = np.maximum.reduceat(entries['time'], starts) if len(starts) else []
  return found, starts


def largest_groups(groups: Iterable[NamedGroup]) -> tuple[NamedGroup, ...]:
  """Returns the largest of some groups, as many as can be named."""
  return tuple(sorted(groups, reverse=True)[:_LARGEST])


@dataclass(frozen=True, eq=False)
class GroupTable:
  """The distinct histograms of some groups.

  Attributes:
    keys: A hash of each histogram: uint64 [n], ascending.
    histograms: The histograms.
    parts: Number of the part that groups are of, for each entry: int64 [m].
    of: Histogram that they have: int64 [m].
    groups: Number of the part's groups that have this histogram: int64 [m].
    n_groups: Number of all groups, dealt ones and those with a predefined split too.
    largest: The largest of them.
    is_whole: Whether no histogram was left out.
  """

  keys: UInts
  histograms: Histograms
  parts: Ints
  of: Ints
  groups: Ints
  n_groups: int
  largest: tuple[NamedGroup, ...]
  is_whole: bool = True

  def __len__(self) -> int:
    return len(self.parts) + len(self.histograms.rows)

  @property
  def totals(self) -> Ints:
    """The number of groups that have each histogram: int64 [n]."""
    sums = np.zeros(len(self.keys), np.int64)
    np.add.at(sums, self.of, self.groups)
    return sums

  @classmethod
  def merge(cls, several: Iterable[GroupTable], most: int = SIZES.histograms) -> GroupTable:
    """Returns the table of several parts, the same in whatever order they are merged.

    Of more histograms than `most`, those are kept that a hash draws, more likely those of
    more records.
    """
    tables = list(several)
    first = np.cumsum([0, *(len(table.keys) for table in tables)])
    (keys,) = concatenated(tables, 'keys')
    distinct, one, number = np.unique(keys, return_index=True, return_inverse=True)
    joined = _joined([table.histograms for table in tables]).take(one)
    pairs = zip(tables, first.tolist(), strict=False)
    of = number.reshape(-1)[np.concatenate([table.of + start for table, start in pairs])]
    parts, groups = concatenated(tables, 'parts', 'groups')
    order = np.lexsort((parts, of))
    found = cls(
      distinct,
      joined,
      parts[order],
      of[order],
      groups[order],
      sum(table.n_groups for table in tables),
      largest_groups({group for table in tables for group in table.largest}),
      all(table.is_whole for table in tables),
    )
    return found._trimmed(most)

  def _trimmed(self, most: int) -> GroupTable:
    if len(self.keys) <= most:
      return self
    draws = (self.keys >> np.uint64(11)).astype(np.float64) / self.histograms.sizes
    kept = np.sort(np.lexsort((self.keys, draws))[:most])
    number = np.full(len(self.keys), -1, np.int64)
    number[kept] = np.arange(len(kept))
    mine = number[self.of] >= 0
    return replace(
      self,
      keys=self.keys[kept],
      histograms=self.histograms.take(kept),
      parts=self.parts[mine],
      of=number[self.of[mine]],
      groups=self.groups[mine],
      is_whole=False,
    )

  def firsts(self) -> Ints:
    """Returns the number of groups of each entry's histogram in lower parts: int64 [m]."""
    before = np.cumsum(self.groups) - self.groups
    starts = starts_of_runs(self.of)
    found: Ints = before - np.repeat(before[starts], np.diff(np.append(starts, len(before))))
    return found


def _joined(several: Sequence[Histograms]) -> Histograms:
  """Returns histograms one after another."""
  lengths = np.concatenate([np.diff(one.starts) for one in several])
  rows, records = concatenated(several, 'rows', 'records')
  return Histograms(np.append(0, np.cumsum(lengths)), rows, records)


class GroupPart:
  """The groups of one part.

  Attributes:
    groups: The groups: uint64 [n], ascending.
    histograms: Histogram of each.
    keys: A hash of its histogram, equal for equal ones: uint64 [n].
    split: Split that is predefined for each, or FREE: int64 [n].
    times: Key of the time of its latest record: uint64 [n]; None where times do not count.
  """

  def __init__(self, several: Sequence[Entries], names: Sequence[str], predefined: Ints) -> None:
    """Takes the entries of a part.

    Args:
      several: Entries of each file, one at least, all ENTRY or all TIMED_ENTRY [m], in any order.
      names: Names of the files, for messages.
      predefined: Split that is predefined for each stratum, or FREE: int64 [strata].

    Raises:
      DataError: if a group has records with different predefined splits.
    """
    entries = np.concatenate(several)
    file = np.repeat(np.arange(len(several)), [len(each) for each in several])
    order = np.lexsort((entries['row'], entries['group']))
    summed, starts = _summed(entries[order])
    new = starts_of_runs(summed['group'])
    self._names, self._file = names, file[order][starts[new]]
    self._position = summed['position'][new]
    self.groups = summed['group'][new]
    rows, records = summed['row'].astype(np.int64), summed['records'].astype(np.int64)
    self.histograms = Histograms(np.append(new, len(summed)), rows, records)
    hashes = mix(mix(records.view(np.uint64), _RECORDS) ^ rows.view(np.uint64), _ROW)
    self.keys = sums_of_runs(hashes, self.histograms.starts)
    self.split = self._predefined(predefined[rows])
    self.times: UInts | None = None
    if entries.dtype == TIMED_ENTRY:
      self.times = np.maximum.reduceat(summed['time'], new)

  def table(self, number: int) -> GroupTable:
    """Returns the table of the groups that the plan places, in the part of this number."""
    free = np.flatnonzero(self.split == FREE)
    keys, one, counts = np.unique(self.keys[free], return_index=True, return_counts=True)
    return GroupTable(
      keys,
      self.histograms.take(free[one]),
      np.full(len(keys), number, np.int64),
      np.arange(len(keys)),
      counts.astype(np.int64),
      len(self.groups),
      self.largest(free),
    )

  def largest(self, among: Ints) -> tuple[NamedGroup, ...]:
    """Returns the largest groups among some of them, as many as can be named."""
    sizes = self.histograms.sizes
    found = among[np.lexsort((self.groups[among], -sizes[among]))[:_LARGEST]]
    return tuple(NamedGroup(int(sizes[i]), self._record(i)) for i in found.tolist())

  def deal(self, kept: UInts, shares: Sequence[int], seed: int) -> Ints:
    """Returns the split of groups that is predefined, or dealt since no plan is made for them.

    Dealt are groups with other histograms, the largest first, so that each split has its share of
    those of any size.

    Args:
      kept: Keys of histograms, ascending, for which a plan is made.
      shares: Weights of the splits.
      seed: Seed of the deal.

    Returns:
      int64 [n], FREE for a group that the plan places.
    """
    split = self.split.copy()
    others = np.flatnonzero((split == FREE) & ~np.isin(self.keys, kept))
    order = others[np.lexsort((self.keys[others], -self.histograms.sizes[others]))]
    split[order] = deal(len(order), shares, seed)
    return split

  def sums(self, split: Ints, shape: tuple[int, ...]) -> SparseCounts:
    """Returns the records of the groups that have a split, by stratum and split.

    Args:
      split: Split of each group, or FREE: int64 [n].
      shape: Numbers of strata and splits.
    """
    of_entry = split[self.histograms.of_entry]
    placed = of_entry != FREE
    cells = self.histograms.rows[placed] * shape[1] + of_entry[placed]
    return SparseCounts.total(shape, cells, self.histograms.records[placed])

  def _predefined(self, split: Ints) -> Ints:
    """Returns the split that is predefined for each group, given that for each entry."""
    starts = self.histograms.starts[:-1]
    if not len(starts) or (split == FREE).all():
      return np.full(len(starts), FREE, np.int64)
    most = np.maximum.reduceat(split, starts)
    least = np.minimum.reduceat(np.where(split == FREE, split.max(), split), starts)
    wrong = np.flatnonzero((most != FREE) & (least < most))
    if len(wrong):
      raise DataError(
        f'{len(wrong)} groups have records with different predefined splits, one of them that of '
        f'{self._record(int(wrong[0]))}; give all records of a group one split'
      )
    return most

  def _record(self, i: int) -> str:
    """Returns a record of a group, as people find it."""
    return f'record {self._position[i]} of {self._names[self._file[i]]}'
