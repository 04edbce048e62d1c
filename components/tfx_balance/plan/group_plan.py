"""A split of groups: each is in one split, and strata are as near to their shares as groups allow.

Groups with equal histograms, their counts of records by stratum, are alike: what is planned is how
many groups of each histogram each split gets. Which they are is told by the groups' own numbers,
hashes that depend on the seed: the first ones in ascending order are in the first split.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.group_search import UNIT, GroupSearch
from tfx_balance.plan.group_table import FREE, GroupPart, GroupTable
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sparse_counts import SparseCounts
from tfx_balance.plan.split_plan import (
  GroupSummary,
  NamedGroup,
  SplitPlan,
  label_sets,
  prefixes,
)


@dataclass(frozen=True, eq=False)
class GroupPlan:
  """How many groups of each histogram are in each split.

  Attributes:
    frame: Plan whose quotas are those of predefined strata alone.
    table: Groups that are planned.
    ends: Number of groups of each histogram in each split and those before: int64 [n, splits].
    seed: Seed of the groups that are dealt.
  """

  frame: SplitPlan
  table: GroupTable
  ends: Ints
  seed: int

  def assign(self, part: GroupPart, number: int) -> Ints:
    """Returns the split of each group of the part of this number: int64 [groups]."""
    table = self.table
    split = dealt_splits(part, self.frame, table, self.seed)
    planned = np.flatnonzero(split == FREE)
    mine = table.parts == number  # in the order of the keys
    kinds, first = table.of[mine], table.firsts()[mine]
    keys = part.keys[planned]
    order = np.argsort(keys, kind='stable')
    own = np.searchsorted(table.keys[kinds], keys[order])
    new = np.append(True, own[1:] != own[:-1])[: len(own)]
    places = np.arange(len(own))
    places += first[own] - np.maximum.accumulate(np.where(new, places, 0))
    kind = kinds[own]
    found = np.zeros(len(own), np.int64)
    for ends in self.ends.T[:-1]:  # a column at a time: no [groups, splits] array
      found += places >= ends[kind]
    split[planned[order]] = found
    return split


def told_splits(frame: SplitPlan) -> Ints:
  """Returns the split that is predefined for each stratum, or FREE: int64 [strata]."""
  return np.where(frame.predefined, frame.quotas.argmax(axis=1), FREE)


def dealt_splits(part: GroupPart, frame: SplitPlan, table: GroupTable, seed: int) -> Ints:
  """Returns the split of each group of a part that the plan does not place, FREE for others."""
  return part.deal(table.keys, _weights(frame), seed)


def _weights(frame: SplitPlan) -> list[int]:
  """Returns the shares of the splits as whole numbers, above 0 in sum."""
  whole = math.lcm(*(share.denominator for share in frame.shares))
  weights = [int(share * whole) for share in frame.shares]
  return weights if any(weights) else [1] * len(weights)


def plan_groups(
  frame: SplitPlan, table: GroupTable, placed: SparseCounts, seed: int, without: int = 0
) -> tuple[SplitPlan, GroupPlan]:
  """Returns the records of each stratum in each split, and the groups that make them.

  Strata, the classes of the first features together (or labels, where classes are sets of them),
  and the splits are as near to their ideals as a search finds; `SplitPlan.furthest` tells how near.

  Args:
    frame: Plan whose quotas are those of predefined strata alone.
    table: Groups to place.
    placed: Records by stratum and split of the groups that are not in the table.
    seed: Seed of the search.
    without: Number of records without a group.
  """
  n_splits = len(frame.splits)
  held = np.array([share > 0 for share in frame.shares])
  shares = np.array([float(share) for share in frame.shares])
  before = placed.dense()
  stratified = np.where(frame.predefined, 0, frame.records)
  apart = np.where(frame.predefined[:, None], 0, before)
  sums, row_splits = _sums_of(frame.strata)
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
      ideal[:, held],
      [weight for weight in _weights(frame) if weight],
      seed,
    )
    search.run()
    ends[:, held] = search.placed
    quotas = before + _records(table, ends, len(stratified))
    ends = np.cumsum(ends, axis=1)
  summary = summarize(frame, table.n_groups, without, table.largest)
  return replace(frame, quotas=quotas, groups=summary), GroupPlan(frame, table, ends, seed)


def summarize(
  frame: SplitPlan, n_groups: int, without: int, largest: Sequence[NamedGroup]
) -> GroupSummary:
  """Returns what a split is of, given the numbers of groups and of records without one.

  Args:
    frame: Plan with the shares of the splits.
    n_groups: Number of groups.
    without: Number of records without a group.
    largest: The largest groups, of which those are taken that are too large for any split.
  """
  most = max(frame.shares) * int(frame.records[~frame.predefined].sum())
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
