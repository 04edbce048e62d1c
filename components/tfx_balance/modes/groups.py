"""Splits of whole groups, each in one split, as near to the shares of strata as groups allow.

With an order, groups follow each other in time.

What is planned is how many groups of each histogram, of its counts of records by stratum, each
split gets. Which they are depends on the groups' own numbers,
hashes that depend on the seed: the first ones in ascending order are in the first split.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tfx_balance.argument_readers import Argument, as_given, optional_names
from tfx_balance.arguments import check_choice
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.documents.sentences import gathered, plain_number
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.array_items import ArrayItems
from tfx_balance.modes.mode import FileRounds, Mode, ScanTotals
from tfx_balance.modes.time import TimeOrder, keys_of_times
from tfx_balance.plan.class_value import Stratum, stratum_name
from tfx_balance.plan.group_search import UNIT, GroupSearch
from tfx_balance.plan.group_table import (
  FREE,
  GroupBy,
  GroupPart,
  GroupTable,
  count_entries,
  group_numbers,
)
from tfx_balance.plan.group_times import GroupBounds, GroupMarks, NearGroups, TimedGroups
from tfx_balance.plan.narrow_integers import SparseCounts
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.runs import places_in_runs, starts_of_runs
from tfx_balance.plan.split_plan import (
  GroupSummary,
  NamedGroup,
  Placed,
  SplitPlan,
  label_sets,
  prefixes,
)
from tfx_balance.sizes import SIZES, Sizes


@dataclass(frozen=True)
class Groups(Mode):
  """Groups of records, each of which is in one split.

  Attributes:
    by: What makes groups.
  """

  by: GroupBy

  places = waits = True
  ARGUMENTS = {
    'group_by': Argument(str, optional_names),
    'missing_group': Argument(str, as_given, 'error'),
  }
  APART = {
    ('embargo_records', 'group_by'): (
      'groups are left out whole, so that no number of records is met; give embargo= in units of '
      'time'
    ),
    ('group_by', 'within'): (
      'a group has records of many strata, which cannot each be cut by time; leave within= out, or '
      'group_by='
    ),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> Groups | None:
    features, missing = given['group_by'], given['missing_group']
    check_choice('missing_group', missing, ('error', 'own', 'drop'))
    if features:
      return cls(GroupBy(tuple(features), missing))
    if missing != 'error':
      raise ConfigError(
        f'missing_group={missing!r} is of group_by=, which is not given; name a feature in it'
      )
    return None

  def describe(self) -> dict[str, Any]:
    return {'group_by': list(self.by.features), 'missing_group': self.by.missing}

  @property
  def groups(self) -> GroupBy:
    return self.by

  def scan_options(self) -> dict[str, Any]:
    return {'groups': self.by}

  def check_totals(
    self, totals: ScanTotals, by_split: Mapping[str, ScanTotals], features: Sequence[str]
  ) -> None:
    drops = self.by.missing == 'drop'
    n = totals.n_records + (totals.without_group if drops else 0)
    if totals.without_group < n or not n:
      return
    for name in self.by.features:
      if name not in totals.feature_names:
        known = ', '.join(sorted(totals.feature_names)) or 'none'
        raise DataError(
          f'feature {name!r} is in none of the {n} records; group_by= takes one of: {known}'
        )
    if drops:
      raise DataError(f'all {n} records lack a group and missing_group drops them; fill it in')

  def place_files(self, rounds: FileRounds) -> None:
    rounds.place_groups()

  def split_items(self, items: ArrayItems) -> Ints:
    given, order = items.given, items.modes.order
    if given['key'] is not None:
      raise ConfigError(
        'key= and group_by= do not combine: whole groups are chosen; leave key= out'
      )
    skeleton = items.plan()
    numbers = group_numbers(items.groups, items.seed)
    times, kind = keys_of_times(given['order_by'], len(items)) if order else (None, '')
    entries = count_entries(numbers, items.strata_of, np.arange(len(items)), times)
    part = GroupPart([entries], ['groups'], predefined_splits(skeleton))
    groups = WholeGroups(skeleton, items.seed, order=order, kind=kind)
    merge_first, merge_second = group_merges(order is not None)
    first = merge_first([groups.first(lambda: part, 0)])
    second = merge_second([groups.second(lambda: part, first)])
    split, embargoed = groups.place(first, second).assign(part, 0)
    of = np.searchsorted(part.groups, numbers)
    placed = Placed(split[of], embargoed[of])
    found: Ints = order.kept(placed, skeleton.splits) if order else placed.split
    _warn_of_empty(found, skeleton)
    return found

  def warnings(self, plan: SplitPlan, source: InputRecords) -> list[str]:
    groups, off = plan.groups, plan.furthest()
    assert groups is not None
    found = []
    if abs(off.records - off.ideal) >= 1:
      kind = 'class' if plan.unlabelled() is None else 'label'
      what = f'{kind} {stratum_name(off.stratum)}' if off.stratum else 'all classes'
      what += '' if plan.embargoed is None else ' before the embargo'
      found.append(
        f'groups are kept whole, and split {off.split!r} has {off.records} records of {what}, '
        f'ideally {plain_number(off.ideal):.6g}: no count is further from its ideal'
      )
    large = [
      f'the group of {group.where} has {group.records} records, more than any split should have'
      for group in groups.too_large
    ]
    found += gathered(f'{len(large)} groups are too large', large)
    if groups.without:
      done = 'were dropped' if self.by.missing == 'drop' else 'make groups of their own'
      found.append(f'{groups.without} records without a group {done}')
    return found


def _warn_of_empty(split: Ints, skeleton: SplitPlan) -> None:
  """Warns of splits that have a share and no group, given the split of each item: int64 [n]."""
  counts = np.bincount(split[split >= 0], minlength=len(skeleton.splits))
  rows = zip(skeleton.splits, skeleton.shares, counts.tolist(), strict=True)
  empty = [f'split {name!r}' for name, share, n in rows if share and not n]
  if empty:
    more = f', and {len(empty) - 3} more' if len(empty) > 3 else ''
    warnings.warn(
      f'{", ".join(empty[:3])}{more} {"are" if empty[1:] else "is"} empty: no whole group '
      f'there brings the counts nearer to their shares; give it a larger share, or smaller groups',
      stacklevel=4,
    )


Build = Callable[[], GroupPart]
"""Builds a part of the groups, which not every round needs."""


@dataclass(frozen=True, eq=False)
class WholeGroups:
  """A split of whole groups: two rounds summarize each part, and their results place the groups.

  Summaries are merged by `group_merges`. Those of the first round are histograms of groups, or in
  time marks; those of the second the records of groups that no plan places, or in time the groups
  near the ends of splits.

  Attributes:
    skeleton: Plan whose quotas are those of predefined strata alone; in time, those of all.
    seed: Seed of the search and of groups that are dealt.
    without: Number of records without a group.
    sizes: Sizes of summaries.
    order: Order of groups in time; None for no order.
    kind: Type of the times, 'int' or 'float'.
  """

  skeleton: SplitPlan
  seed: int
  without: int = 0
  sizes: Sizes = SIZES
  order: TimeOrder | None = None
  kind: str = ''

  @property
  def ends(self) -> Ints:
    """The number of records before each end of a split in time, but the last: int64 [ends]."""
    ends: Ints = np.cumsum(self.skeleton.quotas.sum(axis=0))[:-1]
    return ends

  def first(self, build: Build, number: int) -> Any:
    """Returns the first summary of the part of this number."""
    if self.order:
      return TimedGroups(build()).marks(self.sizes.group_marks)
    return build().table(number)

  def second(self, build: Build, first: Any) -> Any:
    """Returns the second summary of a part, given the first of all parts."""
    if self.order:
      return TimedGroups(build()).near(first.neighbours(self.ends))
    shape = self.skeleton.quotas.shape
    if first.is_whole and not self.skeleton.predefined.any():
      return SparseCounts.count(shape, np.empty(0, np.int64))
    part = build()
    return part.sums(dealt_splits(part, self.skeleton, first, self.seed), shape)

  def place(self, first: Any, second: Any) -> GroupPlan | GroupBounds:
    """Returns the plan that places groups, given the summaries of all parts.

    Raises:
      DataError: if an embargo reaches below the least number.
    """
    if self.order is None:
      return plan_groups(self.skeleton, first, second, self.seed, self.without)
    groups = summarize(self.skeleton, int(first.n_groups.sum()), self.without, first.largest)
    keep = partial(self.order.last_kept, kind=self.kind)
    return GroupBounds.of(replace(self.skeleton, groups=groups), second, self.ends, keep)


def group_merges(in_time: bool, sizes: Sizes = SIZES) -> Sequence[Callable[[Iterable[Any]], Any]]:
  """Returns the functions from several summaries to one: of the first round, and of the second."""
  if in_time:
    return GroupMarks.merge, NearGroups.merge
  return partial(GroupTable.merge, most=sizes.histograms), SparseCounts.merge


@dataclass(frozen=True, eq=False)
class GroupPlan:
  """Numbers of groups of each histogram in each split.

  Attributes:
    plan: Records of each stratum in each split.
    table: Groups that are planned.
    ends: Number of groups of each histogram in each split and those before: int64 [n, splits].
    seed: Seed of the groups that are dealt.
  """

  plan: SplitPlan
  table: GroupTable
  ends: Ints
  seed: int

  def assign(self, part: GroupPart, number: int) -> Placed:
    """Returns the places of the groups of the part of this number."""
    table = self.table
    split = dealt_splits(part, self.plan, table, self.seed)
    planned = np.flatnonzero(split == FREE)
    mine = table.parts == number  # in the order of the keys
    kinds, first = table.of[mine], table.firsts()[mine]
    keys = part.keys[planned]
    order = np.argsort(keys, kind='stable')
    own = np.searchsorted(table.keys[kinds], keys[order])
    places = first[own] + places_in_runs(starts_of_runs(own), len(own))
    kind = kinds[own]
    found = np.zeros(len(own), np.int64)
    for ends in self.ends.T[:-1]:  # a column at a time: no [groups, splits] array
      found += places >= ends[kind]
    split[planned[order]] = found
    return Placed.in_splits(split)


def predefined_splits(skeleton: SplitPlan) -> Ints:
  """Returns the split that is predefined for each stratum, or FREE: int64 [strata]."""
  return np.where(skeleton.predefined, skeleton.quotas.argmax(axis=1), FREE)


def dealt_splits(part: GroupPart, skeleton: SplitPlan, table: GroupTable, seed: int) -> Ints:
  """Returns the split of each group of a part that the plan does not place, FREE for others."""
  return part.deal(table.keys, _weights(skeleton), seed)


def _weights(skeleton: SplitPlan) -> list[int]:
  """Returns the shares of the splits as whole numbers, above 0 in sum."""
  whole = math.lcm(*(share.denominator for share in skeleton.shares))
  weights = [int(share * whole) for share in skeleton.shares]
  return weights if any(weights) else [1] * len(weights)


def plan_groups(
  skeleton: SplitPlan, table: GroupTable, placed: SparseCounts, seed: int, without: int = 0
) -> GroupPlan:
  """Returns the groups of each split, and the records of each stratum that they make.

  Strata, the classes of the first features together (or labels, where classes are sets of them),
  and the splits are as near to their ideals as a search finds; see `SplitPlan.furthest`.

  Args:
    skeleton: Plan whose quotas are those of predefined strata alone.
    table: Groups to place.
    placed: Records by stratum and split of the groups that are not in the table.
    seed: Seed of the search.
    without: Number of records without a group.
  """
  n_splits = len(skeleton.splits)
  has_share = np.array([share > 0 for share in skeleton.shares])
  shares = np.array([float(share) for share in skeleton.shares])
  before = placed.dense()
  stratified = np.where(skeleton.predefined, 0, skeleton.records)
  apart = np.where(skeleton.predefined[:, None], 0, before)
  sums, row_splits = _sums_of(skeleton.strata)
  counts = np.zeros((int(sums.max()) + 1, n_splits + 1), np.int64)
  both = np.column_stack([stratified, apart])
  np.add.at(counts, sums, np.repeat(both, np.diff(row_splits), axis=0))
  ideal = np.rint(counts[:, :1] * shares * UNIT) / UNIT - counts[:, 1:]
  ends = np.zeros((len(table.keys), n_splits), np.int64)
  quotas = before
  if len(table.keys):
    search = GroupSearch(
      table.histograms.summed(sums, row_splits),
      table.totals,
      ideal[:, has_share],
      [weight for weight in _weights(skeleton) if weight],
      seed,
    )
    search.run()
    ends[:, has_share] = search.placed
    quotas = before + _records(table, ends, len(stratified))
    ends = np.cumsum(ends, axis=1)
  summary = summarize(skeleton, table.n_groups, without, table.largest)
  return GroupPlan(replace(skeleton, quotas=quotas, groups=summary), table, ends, seed)


def summarize(
  skeleton: SplitPlan, n_groups: int, without: int, largest: Sequence[NamedGroup]
) -> GroupSummary:
  """Returns the summary of a split by groups: their number, records without one, the largest.

  Args:
    skeleton: Plan with the shares of the splits.
    n_groups: Number of groups.
    without: Number of records without a group.
    largest: The largest groups, of which those are taken that are too large for any split.
  """
  most = max(skeleton.shares) * int(skeleton.records[~skeleton.predefined].sum())
  too_large = tuple(group for group in largest if group.records > most)
  return GroupSummary(n_groups, without, too_large)


def _sums_of(strata: Sequence[Stratum]) -> tuple[Ints, Ints]:
  """Returns the numbers of the sums of strata that are to be near their ideals.

  Those are each stratum, the classes of the first features together and the whole split; where
  classes are sets of labels, each label and the whole split.

  Returns:
    sums: Those that the first stratum is part of, then the next: int64 [m].
    row_splits: Where those of each stratum begin, and of the last one end: int64 [strata + 1].
  """
  places = np.arange(len(strata) + 1)
  sets = label_sets(strata)
  if sets is not None:
    sums = np.insert(sets.members, sets.row_splits[1:], len(sets.labels))
    return sums, sets.row_splits + places
  levels = [places[:-1], *(np.array(level) for level in prefixes(strata)), 0 * places[:-1]]
  firsts = np.cumsum([0, *(level.max() + 1 for level in levels)])
  columns = [level + first for level, first in zip(levels, firsts, strict=False)]
  return np.column_stack(columns).reshape(-1), places * len(levels)


def _records(table: GroupTable, placed: Ints, n_strata: int) -> Ints:
  """Returns the records of so many placed groups [n, splits]: int64 [strata, splits]."""
  histograms = table.histograms
  found = np.zeros((n_strata, placed.shape[1]), np.int64)
  for column, n_groups in zip(found.T, placed.T, strict=True):
    np.add.at(column, histograms.rows, histograms.records * n_groups[histograms.of_entry])
  return found
