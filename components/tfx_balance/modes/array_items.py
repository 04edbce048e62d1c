"""The items of arrays, as split modes see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.modes.mode import SplitModes
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.array_columns import read_column, types_differ
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.labels import as_array, encoded, parts_of
from tfx_balance.plan.ranks import (
  Assigner,
  Candidates,
  Ints,
  RankHistogram,
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

  def plan(self) -> SplitPlan:
    """Returns the items of each stratum in each split, as far as counts tell them."""
    records = np.bincount(self.strata_of, minlength=len(self.strata)).astype(np.int64)
    return self.modes.plan(self.strata, records, self.shares, self.seed)

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
    (name, column), *others = self.given['group_by'].items()
    found = hashes_of(name, column, len(self))
    for name, column in others:
      found = mix(found, _NEXT) ^ hashes_of(name, column, len(self))
    return found

  def ranks(self, part: slice = slice(None)) -> UInts:
    """Returns the rank by which each item of a part, or of all, is chosen: uint64 [n]."""
    if self.given['key'] is None:
      hashes = np.arange(*part.indices(len(self)), dtype=np.uint64)
    else:
      hashes = self.hashes[part]
    return ranks(hashes, self.seed, 'indices')

  def in_shares(self, quotas: Ints) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Returns the split of each item, by rank: [n], of few bytes.

    Ranks are made a part at a time, and never sorted as a whole, so that little is in memory.

    Args:
      quotas: Number of items of each stratum in each split: int64 [strata, splits].
    """
    of, parts = self.strata_of, parts_of(len(self))
    layout = RankHistogram.of(quotas.sum(axis=1))
    counts = np.zeros(layout.n_buckets, np.int64)
    for part in parts:
      np.add.at(counts, layout.buckets(of[part], self.ranks(part)), 1)
    ends, positions = boundary_buckets(layout, counts, quotas)
    near = []
    for part in parts:
      rank = self.ranks(part)
      buckets = layout.buckets(of[part], rank)
      wanted = np.isin(buckets, ends)
      near.append(Candidates.collect(buckets[wanted], rank[wanted], 0))
    found = find_thresholds(quotas, ends, positions, Candidates.merge(near))
    assigner = Assigner(found, np.arange(len(quotas)), 0)
    split = np.empty(len(self), np.min_scalar_type(quotas.shape[1]))
    for part in parts:
      split[part] = assigner.assign(of[part], self.ranks(part))
    return split


def in_shares(which: Ints, quotas: Ints, *order: npt.NDArray[Any]) -> Ints:
  """Returns the column of each item: the first of a row are in its first one: int64 [n].

  Args:
    which: Row of each item: int64 [n].
    quotas: Number of items of each row in each column: int64 [rows, columns].
    *order: What items are ordered by in a row, the last first: [n].
  """
  found = np.empty(len(which), np.int64)
  columns = np.tile(np.arange(quotas.shape[1]), len(quotas))
  found[np.lexsort((*order, which))] = np.repeat(columns, np.ravel(quotas))
  return found


def hashes_of(argument: str, key: npt.ArrayLike, n: int) -> UInts:
  """Returns a hash of each of n values of an argument: uint64 [n].

  Raises:
    DataError: if there are not n values, or some are missing or do not compare.
  """
  values = as_array(read_column(key, argument).check_items(n, 'one value an item'), argument)
  try:
    distinct, which = np.unique(values, return_inverse=True)
  except TypeError as error:
    raise types_differ(values, argument) from error
  plain = [encoded(value) if isinstance(value, str) else value for value in distinct.tolist()]
  hashes: UInts = np.array([tie_break(0, 'key', value) for value in plain], np.uint64)
  found: UInts = hashes[which.reshape(-1)]
  return found
