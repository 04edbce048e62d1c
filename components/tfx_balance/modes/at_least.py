"""A least number of records of each class in each split, of classes that have enough.

An exact share of a small class is often no record: of a class of 2 at 8:2, test gets none.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfx_balance.argument_readers import Argument, json_of
from tfx_balance.arguments import check_whole
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.documents.sentences import plain_number, some_of
from tfx_balance.errors import ConfigError
from tfx_balance.modes.mode import SHARES, Mode
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.split_plan import SplitPlan, label_sets
from tfx_balance.plan.split_shares import SplitShares

MOST_NAMED = 20
"""Classes that a warning names."""
_FIX = 'give records such as 1, or {"test": 1}'


@dataclass(frozen=True)
class AtLeast(Mode):
  """Lower bounds of the records of a class in a split.

  Attributes:
    n: Number of records in every split, or numbers by split.
  """

  n: int | Mapping[str, int]

  ARGUMENTS = {'at_least': Argument(str, json_of(numbers.Integral, Mapping))}
  TOGETHER = (((*SHARES, 'order_by', 'within', 'embargo', 'embargo_records'), ('at_least',)),)
  APART = {
    ('at_least', 'extend'): (
      'old records stay in their splits, whatever a class lacks in another; leave one of them out'
    ),
    ('at_least', 'group_by'): (
      'whole groups decide which classes a split can have; leave at_least= out, and read the '
      'warning about classes that are not in every split'
    ),
    ('at_least', 'mode'): (
      "mode='stable' deals each record by its hash alone, so that no number is met; leave one of "
      'them out'
    ),
    ('at_least', 'multilabel'): (
      'a record counts for several labels, whose bounds may contradict each other; leave at_least= '
      'out, and see the warning about labels that are not in every split'
    ),
    ('at_least', 'split_by'): (
      'predefined splits have what is there of each class; leave one of them out'
    ),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> AtLeast | None:
    n = given['at_least']
    if n is None:
      return None
    if isinstance(n, Mapping):
      n = {key: check_whole(f'at_least[{key!r}]', each, 0, fix=_FIX) for key, each in n.items()}
    else:
      n = check_whole('at_least', n, 0, fix=_FIX)
    if given['order_by'] is not None and (
      given['within'] != 'strata' or given['embargo'] or given['embargo_records']
    ):
      raise ConfigError(
        'at_least= and order_by= do not combine where one cut of all records, or an embargo, '
        "decides what a split has of each class; give within='strata' without an embargo, or leave "
        'at_least= out'
      )
    return cls(n)

  def describe(self) -> dict[str, Any]:
    return {'at_least': self.n}

  def divide(self, shares: SplitShares) -> SplitShares:
    if not isinstance(self.n, Mapping):
      none = {name for name, n in {**shares.divided, **shares.counts}.items() if not n}
      return replace(shares, at_least={name: self.n for name in shares.names if name not in none})
    for name, n in self.n.items():
      if name not in shares.names:
        raise ConfigError(
          f'at_least= names split {name!r}, which is not in {list(shares.names)}; name one of these'
        )
      if n > shares.counts.get(name, n):
        raise ConfigError(
          f'at_least[{name!r}]={n} is more than counts[{name!r}]={shares.counts[name]}; ask for '
          f'fewer, or for a larger split'
        )
    return replace(shares, at_least=dict(self.n))

  def needed(self, plan: SplitPlan) -> int:
    """Returns the least number of records of a class that has enough for all splits."""
    if isinstance(self.n, Mapping):
      return sum(self.n.values())
    return self.n * sum(share > 0 for share in plan.shares)

  def warnings(self, plan: SplitPlan, source: InputRecords | None = None) -> list[str]:
    found, needed = [], self.needed(plan)
    few = [f'{value} ({n})' for value, n in class_records(plan) if n < needed]
    if few:
      found.append(
        f'at_least={self.n} takes {needed} records of a class, and classes with fewer are split by '
        f'their shares alone: {some_of(few, MOST_NAMED)}'
      )
    totals = zip(plan.splits, plan.totals(), plan.shares, strict=True)
    ideals = [(name, n, share * int(plan.records.sum())) for name, n, share in totals]
    off = [
      f'{name!r} has {n} records, ideally {plain_number(ideal):.6g}'
      for name, n, ideal in ideals
      if abs(n - ideal) >= 1
    ]
    if off:
      found.append(f'at_least={self.n} moves totals from their shares: {some_of(off)}')
    return found


def class_records(plan: SplitPlan) -> list[tuple[ClassValue, int]]:
  """Returns the classes of the first feature that have records, and how many."""
  found: dict[ClassValue, int] = {}
  for stratum, n in zip(plan.strata, plan.records.tolist(), strict=True):
    if n:
      found[stratum[0]] = found.get(stratum[0], 0) + n
  return list(found.items())


def absent_classes(plan: SplitPlan, fewest: int = 1) -> list[str]:
  """Returns one warning of the classes, or labels, that a split with a share has none of, if any.

  Args:
    plan: Plan of a split; splits without records are left out.
    fewest: Least number of records of the classes that are named.
  """
  sets = label_sets(plan.strata)
  cells = np.column_stack([plan.records, plan.quotas])
  if sets is not None:
    names, counts = list(map(str, sets.labels)), sets.sums(cells)
  else:
    number = {value: i for i, (value, _) in enumerate(class_records(plan))}
    names, counts = list(map(str, number)), np.zeros((len(number), cells.shape[1]), np.int64)
    rows = np.flatnonzero(plan.records)
    np.add.at(counts, [number[plan.strata[row][0]] for row in rows.tolist()], cells[rows])
  has_share = np.array([share > 0 for share in plan.shares])
  lacks = (counts[:, 1:] == 0) & has_share & plan.quotas.any(axis=0)
  lacks &= counts[:, :1] >= fewest
  absent = [
    f'{names[row]} ({counts[row, 0]} records, none in '
    f'{some_of([plan.splits[split] for split in np.flatnonzero(lacks[row])])})'
    for row in np.flatnonzero(lacks.any(axis=1))
  ]
  kind = 'classes' if sets is None else 'labels'
  return [f'{kind} that are not in every split: {some_of(absent, MOST_NAMED)}'] if absent else []
