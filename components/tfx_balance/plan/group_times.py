"""Ends of splits among whole groups in the order of time.

The time of a group is that of its latest record, so that no record of an earlier split is later
than the time at which the next one begins. (By its earliest record, later ones would tell an
earlier split of what comes after.) Of equal times, the number of the group chooses.

Groups are in parts by their number, so each part has groups of all times, in its own order. A part
marks a few of its groups; the marks of all parts say between which two groups a split ends, and
the groups between these say where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.group_table import GroupPart, largest_groups
from tfx_balance.plan.ranks import LAST_ORDER, Ints, UInts
from tfx_balance.plan.runs import concatenated
from tfx_balance.plan.split_plan import NamedGroup, Placed, SplitPlan
from tfx_balance.sizes import SIZES


@dataclass(frozen=True, eq=False)
class GroupMarks:
  """Some groups of one part or of several, with the records between those of each part.

  Attributes:
    times: Key of the time of each group: uint64 [n].
    numbers: Number of each: uint64 [n].
    earlier: Records of the groups of its part from the mark before it on: int64 [n].
    later: Records of it and of the groups of its part up to the next mark: int64 [n].
    n_groups: Number of all groups: int64 [parts].
    largest: The largest groups.
  """

  times: UInts
  numbers: UInts
  earlier: Ints
  later: Ints
  n_groups: Ints
  largest: tuple[NamedGroup, ...]

  def __len__(self) -> int:
    return len(self.times)

  @classmethod
  def merge(cls, several: Iterable[GroupMarks]) -> GroupMarks:
    """Returns the marks of several parts."""
    marks = list(several)
    times, numbers, earlier, later, n_groups = concatenated(
      marks, 'times', 'numbers', 'earlier', 'later', 'n_groups'
    )
    largest = largest_groups(group for one in marks for group in one.largest)
    return cls(times, numbers, earlier, later, n_groups, largest)

  def neighbours(self, ends: Ints) -> tuple[UInts, UInts]:
    """Returns neighbours of the groups in which splits end, as (time, number): uint64 [ends, 2].

    The first of a pair is that group or an earlier one. The second is a later one, or behind all.

    Args:
      ends: Number of records before each end: int64 [ends].
    """
    order = np.lexsort((self.numbers, self.times))
    pairs = np.stack([self.times, self.numbers], axis=1)[order]
    pairs = np.concatenate([pairs, np.full((1, 2), LAST_ORDER)])
    least = np.cumsum(self.earlier[order])  # records before each mark, of groups known to be
    most = np.cumsum(self.later[order]) - self.later[order]
    first = np.searchsorted(most, ends, side='right') - 1
    return pairs[first], pairs[np.searchsorted(least, ends, side='right')]


@dataclass(frozen=True, eq=False)
class NearGroups:
  """The groups of one part, or of several, near the ends of splits.

  Attributes:
    before: Records of groups before those near each end: int64 [parts, ends].
    ends: End that each group is near: int64 [n].
    times: Key of its time: uint64 [n].
    numbers: Its number: uint64 [n].
    records: Its records: int64 [n].
  """

  before: Ints
  ends: Ints
  times: UInts
  numbers: UInts
  records: Ints

  def __len__(self) -> int:
    return len(self.ends)

  @classmethod
  def merge(cls, several: Iterable[NearGroups]) -> NearGroups:
    """Returns the groups of several parts."""
    return cls(*concatenated(several, 'before', 'ends', 'times', 'numbers', 'records'))


@dataclass(frozen=True, eq=False)
class GroupBounds:
  """The groups with which splits begin.

  Attributes:
    plan: Plan of the split, with its groups.
    times: Key of the time of the first group behind each end: uint64 [ends].
    numbers: Its number: uint64 [ends].
    is_behind: Whether there is a group behind the end: bool [ends].
    last_kept: Latest time that the embargo leaves in each split: uint64 [splits].
  """

  plan: SplitPlan
  times: UInts
  numbers: UInts
  is_behind: npt.NDArray[np.bool_]
  last_kept: UInts

  @classmethod
  def of(
    cls, plan: SplitPlan, near: NearGroups, ends: Ints, last_kept: Callable[[UInts], UInts]
  ) -> GroupBounds:
    """Returns the cuts between groups that are nearest to the ends; of two, the earlier one.

    Args:
      plan: Plan of the split, with its groups.
      near: The groups near the ends, of all parts.
      ends: Number of records before each end: int64 [ends].
      last_kept: Function from keys of the first times behind ends to the highest keys that an
        embargo leaves before them.

    Raises:
      DataError: if the embargo reaches below the least number.
    """
    sums = near.before.sum(axis=0).tolist()
    cuts = np.full((len(ends), 2), LAST_ORDER)
    is_behind = np.zeros(len(ends), bool)
    for end, (wanted, before) in enumerate(zip(ends.tolist(), sums, strict=True)):
      own = np.flatnonzero(near.ends == end)
      own = own[np.lexsort((near.numbers[own], near.times[own]))]
      # The last group whose records are not all behind the end, and records up to it and with it.
      sizes = np.append(before, before + np.cumsum(near.records[own]))
      at = int(np.searchsorted(sizes[:-1], wanted, side='right')) - 1
      at += int(wanted - sizes[at] > sizes[at + 1] - wanted)
      if at < len(own):
        is_behind[end], cuts[end] = True, (near.times[own[at]], near.numbers[own[at]])
    kept = np.full(len(ends) + 1, LAST_ORDER)
    kept[:-1][is_behind] = last_kept(cuts[is_behind, 0])
    return cls(plan, cuts[:, 0], cuts[:, 1], is_behind, kept)

  def assign(self, part: GroupPart, number: int = 0) -> Placed:
    """Returns the places of the groups of a part."""
    times, numbers = part.times, part.groups
    assert times is not None
    split = np.zeros(len(times), np.int64)
    for time, number in zip(self.times[self.is_behind], self.numbers[self.is_behind], strict=True):
      split += (times > time) | ((times == time) & (numbers >= number))
    return Placed(split, times > self.last_kept[split])


class TimedGroups:
  """The groups of one part in the order of time."""

  def __init__(self, part: GroupPart) -> None:
    """Takes a part that was made of entries with times."""
    assert part.times is not None
    order = np.lexsort((part.groups, part.times))
    self._part = part
    self._times, self._numbers = part.times[order], part.groups[order]
    self._records = part.histograms.sizes[order]
    self._ends = np.cumsum(self._records)

  def marks(self, n: int = SIZES.group_marks) -> GroupMarks:
    """Returns the first group, and those after each of n equal shares of the records."""
    firsts = self._ends - self._records
    total = int(self._ends[-1]) if len(firsts) else 0
    steps = np.unique([total * i // n for i in range(n)])
    at = np.unique(np.searchsorted(firsts, steps))
    at = at[at < len(firsts)]
    edges = np.append(firsts[at], total)
    return GroupMarks(
      self._times[at],
      self._numbers[at],
      np.diff(edges[:-1], prepend=0),
      np.diff(edges),
      np.array([len(firsts)]),
      self._part.largest(np.arange(len(firsts))),
    )

  def near(self, neighbours: tuple[UInts, UInts]) -> NearGroups:
    """Returns the groups between those of `GroupMarks.neighbours`, and the next one behind them."""
    low, high = (np.array([self._place(*pair) for pair in pairs.tolist()]) for pairs in neighbours)
    high = np.minimum(high + 1, len(self._ends))
    own = np.concatenate([np.arange(a, b) for a, b in zip(low, high, strict=True)])
    return NearGroups(
      np.append(0, self._ends)[low][np.newaxis],
      np.repeat(np.arange(len(low)), high - low),
      self._times[own],
      self._numbers[own],
      self._records[own],
    )

  def _place(self, time: int, number: int) -> int:
    """Returns the number of groups before a time and a group number."""
    key = np.uint64(time)
    first, last = (int(np.searchsorted(self._times, key, side)) for side in ('left', 'right'))
    return first + int(np.searchsorted(self._numbers[first:last], np.uint64(number)))
