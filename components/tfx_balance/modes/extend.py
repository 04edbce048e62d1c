"""A split that extends an earlier one: old records stay, new ones bring counts to their shares.

Each cell is to be the floor or the ceiling of its ideal share of old and new records together or,
where the earlier split has more already, what it has. Where a stratum has too few new records for
that, the splits that are not full share them by their weights. Records are then moved along paths
between splits, within these bounds, until the totals of the splits are at theirs too, or no cell
allows more.

New files are without the records that the earlier output has, which are found by their hashes:

    columns of hashes by part ── those of new files that the earlier ones have ── by file

Arrays go between the steps, not records: a part is compared in memory, 8 bytes a record, and so is
what is found of one file.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_mapping
from tfx_balance.documents.class_distribution import ClassDistribution, InputRecords
from tfx_balance.documents.json_document import REMEDY
from tfx_balance.documents.sentences import plain_number, some_of
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.array_items import ArrayItems, hashes_of
from tfx_balance.modes.mode import NEW, FileRounds, Mode, ScanTotals
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.cell_bounds import goals_above, move_to_totals, round_within
from tfx_balance.plan.class_value import (
  MISSING,
  ClassValue,
  Stratum,
  stratum_key,
  stratum_name,
)
from tfx_balance.plan.labels import as_array
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.plan.split_plan import SplitPlan, exact_shares
from tfx_balance.plan.split_shares import SplitShares
from tfx_balance.sizes import Workspace
from tfx_balance.tfrecord.storage import read_whole

HashColumn = tuple[int, UInts]
"""Number of a new file, -1 for any of the earlier output, and hashes of its records, ascending."""
_PARTS = 64


@dataclass(frozen=True)
class Extension(Mode):
  """An earlier output, whose records stay in their splits; a channel of a component holds it.

  Attributes:
    sidecar: Path of its sidecar; '' where that is not known yet, or arrays are split.
  """

  sidecar: str = ''

  places = True
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
    return None if given['extend'] is None else cls(given['extend'])

  def asked_by(self) -> Sequence[str]:
    return ['extend']

  def revise(self, rounds: FileRounds) -> None:
    rounds.exchange('InBase', hash_columns, find_in_base, leave_out)

  def check_totals(
    self, totals: ScanTotals, by_split: Mapping[str, ScanTotals], features: Sequence[str]
  ) -> None:
    """Checks the records of each class in each split of the earlier output against its sidecar."""
    sidecar = ClassDistribution.from_json(read_whole(self.sidecar), self.sidecar)
    for i, feature in enumerate(features):
      is_binned = feature in (sidecar.parameters.get('bins') or ())
      expected = None if is_binned else sidecar.tallies(feature, sidecar.splits)
      for split, tally in (expected or {}).items():
        counted: Counter[ClassValue] = Counter()
        for counts in by_split[split].counts if split in by_split else ():
          for stratum, n in zip(counts.strata, counts.records.tolist(), strict=True):
            counted[stratum[i]] += n
        for value in sorted({*counted, *tally} - {MISSING}):
          if counted[value] != tally.get(value, 0):
            raise DataError(
              f'split {split!r} of the artifact to extend holds {counted[value]} records of class '
              f'{value} of {feature!r}, and {self.sidecar} tells {tally.get(value, 0)}: the files '
              f'are not those that were published with it; {REMEDY}'
            )

  def plan(
    self,
    strata: Sequence[Stratum],
    records: Ints,
    shares: SplitShares,
    seed: int,
    in_base: Ints | None,
  ) -> SplitPlan | None:
    if in_base is None:
      return None
    return extend_split(strata, in_base, records - in_base.sum(axis=1), shares, seed)

  def split_items(self, items: ArrayItems) -> Ints:
    given, shares, of = items.given, items.shares, items.strata_of
    if given['key'] is None:
      raise ConfigError('extend= names items by their keys, and key= is not given; give ids')
    split = _base_splits(given['extend'], items.hashes, shares.names)
    stays, new = np.flatnonzero(split >= 0), np.flatnonzero(split < 0)
    in_base = np.zeros((len(items.strata), len(shares.names)), np.int64)
    np.add.at(in_base, (of[stays], split[stays]), 1)
    quotas = items.plan(in_base).quotas - in_base
    split[new] = items.select(quotas, which=new)[1]
    return split

  def warnings(self, plan: SplitPlan, source: InputRecords) -> list[str]:
    if source.extended is None:
      return []
    old, n = source.extended or 0, int(plan.records.sum())
    more = (
      f'; {source.in_base} more were there already and are not taken again'
      if source.in_base
      else ''
    )
    summary = (
      f'{old} records of the artifact to extend stay in their splits, {n - old} are new{more}'
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


def hash_columns(scanned: Any) -> Iterator[tuple[int, HashColumn]]:
  """Yields the hashes of a scanned file's records, part by part: a part is a range of hashes."""
  number = scanned.file.file_number if scanned.file.input_split == NEW else -1
  for index in scanned.spill.index('hash'):
    hashes = np.unique(index['hash'])
    part = (hashes >> np.uint64(58)).astype(np.int64)
    edges = np.searchsorted(part, np.arange(_PARTS + 1))
    for i in np.flatnonzero(np.diff(edges)).tolist():
      yield i, (number, hashes[edges[i] : edges[i + 1]])


def find_in_base(columns: Iterable[HashColumn]) -> Iterator[HashColumn]:
  """Yields, of each new file, the hashes that the earlier output has; columns of one part."""
  several = list(columns)
  none = np.empty(0, np.uint64)
  base = np.unique(np.concatenate([none, *(hashes for number, hashes in several if number < 0)]))
  for number, hashes in several:
    found = hashes[np.isin(hashes, base, assume_unique=True)] if number >= 0 else none
    if len(found):
      yield number, found


def leave_out(scanned: Any, columns: Sequence[UInts], work: Workspace) -> Any:
  """Returns a scanned file without the records that the earlier output has, as their hashes say."""
  return scanned.without(np.concatenate(columns), work) if len(columns) else scanned


def _base_splits(extend: Mapping[str, npt.ArrayLike], hashes: UInts, splits: Sequence[str]) -> Ints:
  """Returns the split in which each of n items is already, -1 for none: int64 [n]."""
  if set(check_mapping('extend', extend, '{"train": [1, 2]}')) != set(splits):
    raise ConfigError(
      f'extend= has the splits {sorted(extend, key=str)}, and those to make are {sorted(splits)}; '
      f'give the keys of each'
    )
  found = np.full(len(hashes), -1, np.int64)
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
    if (found[mine] >= 0).any():
      raise DataError(f'extend[{name!r}] has keys of another split too; give each key once')
    found[mine] = i
  return found


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
  low = [max(n_old, math.floor(goal)) for n_old, goal in zip(old, goals, strict=True)]
  if sum(low) > n:
    goals = goals_above(old, new, shares)
    low = list(map(math.floor, goals))
  high = [max(n_old, math.ceil(goal)) for n_old, goal in zip(old, goals, strict=True)]
  return round_within(n, low, high, goals), low, high
