"""Splits that keep their records when data is added: by hash alone, whatever else there is.

A record is in the split in whose range its rank is, and the ranges are the cumulative shares of
the splits times 2**63. So a record's split follows from its hash, the seed and the shares: records
of equal hash are always together, and no other record has a say. The price is that counts are not
exact: of n records that differ, the number in a split of share p is binomial, with the standard
deviation sqrt(n p (1 - p)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from tfx_balance.arguments import check_choice
from tfx_balance.plan.ranks import RANK_BITS, Cuts, Thresholds, UInts
from tfx_balance.plan.split_plan import SplitPlan

SplitMode = Literal['exact', 'stable']
"""How many records a split gets: its exact share, or those whose hash is in its range."""


def parse_mode(value: Any) -> SplitMode:
  """Returns the mode; raises a ConfigError if there is none of that name."""
  mode: SplitMode = check_choice('mode', value, ('exact', 'stable'))
  return mode


def stable_thresholds(plan: SplitPlan) -> Thresholds:
  """Returns the ranks at which the splits end: the same in every stratum that is not predefined.

  Args:
    plan: Plan whose quotas are those of predefined strata alone.
  """
  ends = np.tile(_range_ends(plan.shares), (len(plan.strata), 1))
  told = np.cumsum(plan.quotas[plan.predefined] > 0, axis=1)[:, :-1]
  ends[plan.predefined] = told.astype(np.uint64) << np.uint64(RANK_BITS)
  none = np.empty(0, np.int64)
  return Thresholds(np.zeros_like(ends), ends, Cuts(none, none, none, none))


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
