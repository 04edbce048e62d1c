"""Splits that keep their records when data is added: by hash alone, whatever else there is.

A record is in the split in whose range its rank is, and the ranges are the cumulative shares of
the splits times 2**63. So a record's split follows from its hash, the seed and the shares: records
of equal hash are always together, and no other record has a say. The price is that counts are not
exact: of n records that differ, the number in a split of share p is binomial, with the standard
deviation sqrt(n p (1 - p)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tfx_balance.argument_readers import Argument, as_given
from tfx_balance.arguments import check_choice
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.documents.sentences import plain_number, some_of
from tfx_balance.errors import ConfigError
from tfx_balance.modes.array_items import ArrayItems
from tfx_balance.modes.mode import FileRounds, Mode
from tfx_balance.plan.ranks import RANK_BITS, Assigner, Ints, Thresholds, UInts
from tfx_balance.plan.split_plan import SplitPlan


@dataclass(frozen=True)
class StableSplits(Mode):
  """Splits by hash alone: `mode='stable'`."""

  places = recounts = waits = True
  ARGUMENTS = {'mode': Argument(str, as_given, 'exact')}
  APART = {
    ('counts', 'mode'): (
      "mode='stable' deals each record by its hash alone, so that no number is met exactly; give "
      'weights as splits=, or leave mode= out'
    ),
    ('group_by', 'mode'): (
      "mode='stable' keeps records of one key together by itself; give the groups as "
      'key=, and leave group_by= out'
    ),
    ('mode', 'order_by'): (
      "mode='stable' deals each record by its hash, and order_by= by its time; leave one of them "
      'out'
    ),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> StableSplits | None:
    stable = check_choice('mode', given['mode'], ('exact', 'stable')) == 'stable'
    return cls() if stable else None

  def describe(self) -> dict[str, Any]:
    return {'mode': 'stable'}

  def place_files(self, rounds: FileRounds) -> None:
    rounds.use_thresholds(self.thresholds)

  def thresholds(self, plan: SplitPlan) -> Thresholds:
    """Returns the ranks at which the splits end: the same in every stratum that is not predefined.

    Args:
      plan: Plan whose quotas are those of predefined strata alone.
    """
    ends = np.tile(_range_ends(plan.shares), (len(plan.strata), 1))
    filled = np.cumsum(plan.quotas[plan.predefined] > 0, axis=1)[:, :-1]
    ends[plan.predefined] = filled.astype(np.uint64) << np.uint64(RANK_BITS)
    return Thresholds(np.zeros_like(ends), ends)

  def split_items(self, items: ArrayItems) -> Ints:
    if items.given['key'] is None:
      raise ConfigError("mode='stable' deals items by their keys, and key= is not given; give ids")
    plan = items.plan()
    everyone = Assigner(self.thresholds(plan), np.arange(len(plan.strata)), 0)
    return everyone.assign(items.strata_of, items.ranks())

  def warnings(self, plan: SplitPlan, source: InputRecords) -> list[str]:
    n = int(plan.records[~plan.predefined].sum())
    dealt = plan.quotas[~plan.predefined].sum(axis=0).tolist()
    cells = [
      f'{name!r} has {n_dealt} of ideally {plain_number(n * share):.6g} (standard deviation '
      f'{deviation(n, share):.3g})'
      for name, n_dealt, share in zip(plan.splits, dealt, plan.shares, strict=True)
      if share
    ]
    if not n:
      return []
    return [f"mode='stable' deals records by chance, so counts are not exact: {some_of(cells)}"]


def _range_ends(shares: Sequence[Fraction]) -> UInts:
  """Returns the rank below which each split but the last ends: uint64 [splits - 1].

  >>> (_range_ends([Fraction(3, 4), Fraction(1, 8), Fraction(1, 8)]) >> np.uint64(60)).tolist()
  [6, 7]
  """
  sums = [sum(shares[: i + 1], Fraction(0)) for i in range(len(shares) - 1)]
  return np.array([math.floor(share * 2**RANK_BITS) for share in sums], np.uint64)


def deviation(n: int, share: Fraction | float) -> float:
  """Returns the standard deviation of the records of a split, of n that are dealt by hash.

  >>> deviation(100, 0.1)
  3.0
  """
  return math.sqrt(n * float(share) * (1 - float(share)))
