"""The items of arrays, as split modes see them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.modes.mode import SplitModes
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.arrays import read_column, types_differ
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.group_table import GroupBy
from tfx_balance.plan.labels import as_array, encoded, parts_of
from tfx_balance.plan.number_keys import NumberSample, pair_buckets
from tfx_balance.plan.ranks import (
  Assigner,
  Candidates,
  Ints,
  RankHistogram,
  Thresholds,
  UInts,
  boundary_buckets,
  find_thresholds,
  mix,
  ranks,
)
from tfx_balance.plan.split_plan import GroupSummary, SplitPlan, exact_shares
from tfx_balance.plan.split_shares import SplitShares

_NEXT = tie_break(0, 'key', 'next')


@dataclass(frozen=True, eq=False)
class ArrayItems:
  """Items to split.

  Attributes:
    strata: Strata in canonical order.
    strata_of: Row of the stratum of each item: int64 [n].
    shares: Shares of the splits.
    modes: The modes that are asked for.
    seed: Seed of the draw.
    given: Further arguments of `stratified_indices`, by name; `group_by` as its columns by name.
  """

  strata: Sequence[Stratum]
  strata_of: Ints
  shares: SplitShares
  modes: SplitModes
  seed: int
  given: Mapping[str, Any]

  def __len__(self) -> int:
    return len(self.strata_of)

  def plan(self, in_base: Ints | None = None) -> SplitPlan:
    """Returns the items of each stratum in each split, as far as counts tell them."""
    records = np.bincount(self.strata_of, minlength=len(self.strata)).astype(np.int64)
    return self.modes.plan(self.strata, records, self.shares, self.seed, in_base)

  def counted(self, names: Sequence[str], quotas: Ints) -> SplitPlan:
    """Returns the splits that were made as a plan, of splits that have a share or are predefined.

    Args:
      names: Names of the splits.
      quotas: Number of items of each stratum in each split: int64 [strata, splits].
    """
    records = np.bincount(self.strata_of, minlength=len(self.strata)).astype(np.int64)
    shares = dict.fromkeys(names, Fraction(0))
    numerators, denominator = exact_shares(len(self), self.shares)
    for name, numerator in zip(self.shares.names, numerators, strict=True):
      shares[name] = Fraction(numerator, denominator)
    plan = SplitPlan(
      self.strata,
      records,
      tuple(names),
      quotas,
      tuple(shares.values()),
      predefined=np.zeros(len(records), bool),
    )
    if self.modes.groups is None:
      return plan
    return replace(plan, groups=GroupSummary(len(np.unique(self.groups)), 0, ()))

  @cached_property
  def hashes(self) -> UInts:
    """The hash of each item's `key`: uint64 [n]."""
    return hashes_of('key', self.given['key'], len(self))

  @cached_property
  def groups(self) -> UInts:
    """The hash of the group of each item, of one column or several: uint64 [n]."""
    by, columns = self.modes.groups, self.given['group_by']
    assert by is not None
    hashes = (hashes_of(name, column, len(self), by) for name, column in columns.items())
    return functools.reduce(lambda found, more: mix(found, _NEXT) ^ more, hashes)

  def ranks(self, which: slice | Ints = slice(None)) -> UInts:
    """Returns the rank by which each of some items, or of all, is chosen: uint64 [n]."""
    if self.given['key'] is not None:
      hashes = self.hashes[which]
    elif isinstance(which, slice):
      hashes = np.arange(*which.indices(len(self)), dtype=np.uint64)
    else:
      hashes = which.astype(np.uint64)
    return ranks(hashes, self.seed, 'indices')

  def select(
    self,
    quotas: Ints,
    rows: Ints | None = None,
    orders: UInts | None = None,
    which: Ints | None = None,
  ) -> tuple[Thresholds, npt.NDArray[np.unsignedinteger[Any]]]:
    """Returns thresholds between parts, and the part of each item by them: [n], of few bytes.

    Ranks are made some at a time, and never sorted as a whole, so that little is in memory.

    Args:
      quotas: Number of items of each row in each part: int64 [rows, parts].
      rows: Row of each item: int64 [items]; None for those of the strata.
      orders: What comes before the rank of each: uint64 [items]; None for nothing.
      which: Items to select from, in the order in which equal ones are taken: int64 [n]; None for
        all.
    """
    of = self.strata_of if rows is None else rows
    n = len(self) if which is None else len(which)
    layout, pivots = RankHistogram.of(quotas.sum(axis=1)), None
    if orders is not None:
      pivots = NumberSample.of(np.arange(len(orders), dtype=np.uint64), orders).pivots()

    def blocks() -> Iterator[tuple[slice, Ints, UInts, UInts | None]]:
      for block in parts_of(n):
        items = block if which is None else which[block]
        yield block, of[items], self.ranks(items), None if orders is None else orders[items]

    counts, near = np.zeros(layout.n_buckets, np.int64), []
    for _, row, rank, order in blocks():
      np.add.at(counts, pair_buckets(layout, row, rank, order, pivots), 1)
    ends, positions = boundary_buckets(layout, counts, quotas)
    for _, row, rank, order in blocks():
      buckets = pair_buckets(layout, row, rank, order, pivots)
      wanted = np.isin(buckets, ends)
      order = None if order is None else order[wanted]
      near.append(Candidates.collect(buckets[wanted], rank[wanted], 0, order))
    found = find_thresholds(quotas, ends, positions, Candidates.merge(near))
    assigner = Assigner(found, np.arange(len(quotas)), 0)
    part = np.empty(n, np.min_scalar_type(quotas.shape[1]))
    for block, row, rank, order in blocks():
      part[block] = assigner.assign(row, rank, order)
    return found, part


def hashes_of(argument: str, key: npt.ArrayLike, n: int, groups: GroupBy | None = None) -> UInts:
  """Returns a hash of each of n values of an argument, or of what groups are made of: uint64 [n].

  Raises:
    DataError: if there are not n values, or some are missing or do not compare.
  """
  values = as_array(read_column(key, argument).check_items(n, 'one value an item'), argument)
  values = groups.parts_of(values) if groups else values
  try:
    distinct, which = np.unique(values, return_inverse=True)
  except TypeError as error:
    raise types_differ(values, argument) from error
  hashes: UInts = np.array(
    [
      tie_break(0, 'key', encoded(value, argument) if isinstance(value, str) else value)
      for value in distinct.tolist()
    ],
    np.uint64,
  )
  found: UInts = hashes[which.reshape(-1)]
  return found
