"""A split that extends an earlier one: old records stay, new ones bring counts to their shares.

Each cell is to be the floor or the ceiling of its ideal share of old and new records together or,
where the earlier split has more already, what it has. Where a stratum has too few new records for
that, the splits that are not full share them by their weights. Records are then moved along paths
between splits, within these bounds, until the totals of the splits are at theirs too, or no cell
allows more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_mapping
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.documents.sentences import plain_number, some_of
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.array_items import ArrayItems, hashes_of
from tfx_balance.modes.mode import Mode
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.cell_bounds import goals_above, move_to_totals, round_within
from tfx_balance.plan.class_value import Stratum, stratum_key, stratum_name
from tfx_balance.plan.labels import as_array
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.plan.split_plan import SplitPlan, exact_shares
from tfx_balance.plan.split_shares import SplitShares


@dataclass(frozen=True)
class Extension(Mode):
  """An earlier output, whose records stay in their splits; a channel of a component holds it."""

  APART = {
    ('bins', 'extend'): (
      'the edges of bins may differ from those of the earlier output; bin the numbers before, or '
      'leave one of them out'
    ),
    ('extend', 'group_by'): (
      'a group that has old records and new ones could be parted; leave one of them out'
    ),
    ('extend', 'mode'): (
      "mode='stable' keeps old records in their splits without the earlier artifact; leave one of "
      'them out'
    ),
    ('extend', 'multilabel'): (
      'new records are dealt by their sets of labels alone, not brought near the shares of labels; '
      'leave one of them out'
    ),
    ('extend', 'order_by'): (
      'old records stay in their splits whatever their time; leave one of them out'
    ),
    ('extend', 'split_by'): (
      'records that extend= finds keep the splits of the earlier artifact, whatever split_by= '
      'says; leave one of them out'
    ),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> Extension | None:
    return cls() if given['extend'] else None

  def asked_by(self) -> Sequence[str]:
    return ['extend']

  def split_items(self, items: ArrayItems) -> Ints:
    given, shares, of = items.given, items.shares, items.strata_of
    if given['key'] is None:
      raise ConfigError('extend= names items by their keys, and key= is not given; give ids')
    held = _held_splits(given['extend'], items.hashes, shares.names)
    stays, new = np.flatnonzero(held >= 0), np.flatnonzero(held < 0)
    old = np.zeros((len(items.strata), len(shares.names)), np.int64)
    np.add.at(old, (of[stays], held[stays]), 1)
    n_new = np.bincount(of[new], minlength=len(items.strata)).astype(np.int64)
    quotas = extend_split(items.strata, old, n_new, shares, items.seed).quotas - old
    held[new] = items.select(quotas, which=new)[1]
    return held

  def warnings(self, plan: SplitPlan, source: InputRecords) -> list[str]:
    if source.extended is None:
      return []
    old, n = source.extended or 0, int(plan.records.sum())
    held = (
      f'; {source.in_base} more were there already and are not taken again'
      if source.in_base
      else ''
    )
    summary = (
      f'{old} records of the artifact to extend stay in their splits, {n - old} are new{held}'
    )
    rows = itertools.chain(
      zip(plan.strata, plan.records.tolist(), plan.quotas.tolist(), strict=True),
      [((), n, plan.totals())],
    )
    off = [
      (
        abs(found - total * share),
        f'{_who(stratum)} {found} in {name!r} ({plain_number(total * share):.6g})',
      )
      for stratum, total, row in rows
      for name, found, share in zip(plan.splits, row, plan.shares, strict=True)
      if abs(found - total * share) >= 1
    ]
    if not off:
      return [summary]
    texts = [text for _, text in sorted(off, key=lambda each: -each[0])]
    return [
      summary,
      f'extend= cannot bring all counts to their ideals (in brackets): {some_of(texts)}',
    ]


def _who(stratum: Stratum) -> str:
  return f'class {stratum_name(stratum)} has' if stratum else 'all classes have'


def _held_splits(extend: Mapping[str, npt.ArrayLike], hashes: UInts, splits: Sequence[str]) -> Ints:
  """Returns the split in which each of n items is already, -1 for none: int64 [n]."""
  if set(check_mapping('extend', extend, '{"train": [1, 2]}')) != set(splits):
    raise ConfigError(
      f'extend= has the splits {sorted(extend, key=str)}, and those to make are {sorted(splits)}; '
      f'give the keys of each'
    )
  held = np.full(len(hashes), -1, np.int64)
  for i, name in enumerate(splits):
    values = as_array(extend[name], f'extend[{name!r}]')
    keys = np.unique(hashes_of(f'extend[{name!r}]', values, len(values)))
    mine = np.isin(hashes, keys)
    absent = len(keys) - len(np.unique(hashes[mine]))
    if absent:
      raise DataError(
        f'{absent} keys of extend[{name!r}] are not in key=; give the labels and keys of all items '
        f'so far, with keys of one type'
      )
    if (held[mine] >= 0).any():
      raise DataError(f'extend[{name!r}] has keys of another split too; give each key once')
    held[mine] = i
  return held


def extend_split(
  strata: Sequence[Stratum], old: Ints, new: Ints, shares: SplitShares, seed: int = 0
) -> SplitPlan:
  """Returns the records of each stratum in each split, of which those of the earlier one stay.

  A cell is within one record of its ideal, unless the earlier split holds more than that, or holds
  so much in another split that there are too few for it; so is the total of a split. With several
  features, the classes of the first ones alone have no such bound.

  Args:
    strata: Strata in canonical order.
    old: Records that have a split: int64 [strata, splits].
    new: Records that have none: int64 [strata].
    shares: Shares of the splits.
    seed: Seed of the rounding.

  Raises:
    DataError: if there are no records, or the counts ask for more than there are.
  """
  records = old.sum(axis=1) + new
  numerators, denominator = exact_shares(int(records.sum()), shares)
  exact = tuple(Fraction(numerator, denominator) for numerator in numerators)
  pairs, of_pair = np.unique(np.column_stack([old, new]), axis=0, return_inverse=True)
  bounds = [_bounds(row[:-1], row[-1], exact) for row in pairs.tolist()]
  start, low, high = np.array(bounds, np.int64).transpose(1, 0, 2)[:, of_pair.reshape(-1)]
  quotas = start.copy()
  wanted = dict(enumerate(goals_above(old.sum(axis=0).tolist(), int(new.sum()), exact)))
  ties = [tie_break(seed, 'extend', stratum_key(stratum)) for stratum in strata]
  move_to_totals(quotas, low, high, wanted, np.argsort(np.array(ties, np.uint64), kind='stable'))
  return SplitPlan(strata, records, shares.names, quotas, exact, np.zeros(len(records), bool))


def _bounds(
  old: Sequence[int], new: int, shares: Sequence[Fraction]
) -> tuple[list[int], list[int], list[int]]:
  """Returns the records of a stratum in each split to begin with, and the least and the most.

  >>> _bounds([0, 1, 0], 1, [Fraction(8, 10), Fraction(1, 10), Fraction(1, 10)])
  ([1, 1, 0], [1, 1, 0], [2, 1, 1])
  """
  n = sum(old) + new
  goals = [n * share for share in shares]
  low = [max(held, math.floor(goal)) for held, goal in zip(old, goals, strict=True)]
  if sum(low) > n:
    goals = goals_above(old, new, shares)
    low = list(map(math.floor, goals))
  high = [max(held, math.ceil(goal)) for held, goal in zip(old, goals, strict=True)]
  return round_within(n, low, high, goals), low, high
