"""Rules on how far the class distributions of two splits may be apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tfx_balance.plan.checks import Check, number, percent, short_name
from tfx_balance.plan.class_counts import BASELINE, ClassCounts
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import jensen_shannon

DEFAULT_L_INFINITY = 0.05


@dataclass(frozen=True)
class SplitPair:
  """A split, and what it is compared with."""

  split: str
  other: str


@dataclass(frozen=True)
class DistanceLimit:
  """The largest distance.

  Attributes:
    limit: of the distance.
    rounding: whether a limit below what whole records can reach is raised to that. A split whose
      classes are each within one record of their ideal, and as a whole too, has shares within
      2 / records of theirs; so two of them differ by at most the sum.
  """

  limit: float
  rounding: bool = False

  def between(self, left: int, right: int) -> float:
    """Returns the limit for two splits of so many records.

    >>> DistanceLimit(0.05, rounding=True).between(1000, 20)
    0.102
    """
    if not self.rounding or not left or not right:
      return self.limit
    return max(self.limit, 2 * (left + right) / (left * right))


def default_pairs(splits: Sequence[str], baseline: Sequence[str]) -> list[SplitPair]:
  """Returns every pair of splits, and each split with that of the same name in the baseline.

  Of two splits, what is compared with is 'train', or else the first in the alphabet.

  >>> [(pair.split, pair.other) for pair in default_pairs(['eval', 'train'], ['train'])]
  [('eval', 'train'), ('train', 'baseline:train')]
  """
  ordered = sorted(splits, key=lambda name: (name != 'train', name))
  pairs = [SplitPair(split, other) for i, other in enumerate(ordered) for split in ordered[i + 1 :]]
  return pairs + [SplitPair(name, BASELINE + name) for name in splits if name in baseline]


def check_l_infinity(rule: str, counts: ClassCounts, pair: SplitPair, limit: float) -> Check:
  """Returns the check of the largest difference between the shares of a class.

  Args:
    rule: its name.
    counts: of both.
    pair: what to compare.
    limit: of the distance.
  """
  classes, left, right = _columns(counts, pair)
  total_left, total_right = sum(left), sum(right)
  scale = (total_left or 1) * (total_right or 1)
  gaps = [
    abs(a * (total_right or 1) - b * (total_left or 1)) for a, b in zip(left, right, strict=True)
  ]
  worst = max(range(len(gaps)), key=gaps.__getitem__, default=None)
  measured = 0.0 if worst is None else gaps[worst] / scale
  value = None if worst is None else classes[worst]
  return _distance_check(rule, 'L-infinity', counts, pair, value, measured, limit)


def check_jensen_shannon(rule: str, counts: ClassCounts, pair: SplitPair, limit: float) -> Check:
  """Returns the check of the Jensen-Shannon divergence in bits; names the class that adds most.

  An empty split has no class in common with any other: 1.
  """
  classes, left, right = _columns(counts, pair)
  total_left, total_right = sum(left), sum(right)
  parts = [
    _contribution(a / (total_left or 1), b / (total_right or 1))
    for a, b in zip(left, right, strict=True)
  ]
  worst = max(range(len(parts)), key=parts.__getitem__, default=None)
  if total_left and total_right:
    measured = jensen_shannon(left, right)
  else:
    measured = 1.0 if total_left or total_right else 0.0
  value = None if worst is None else classes[worst]
  return _distance_check(rule, 'Jensen-Shannon', counts, pair, value, measured, limit)


def _columns(counts: ClassCounts, pair: SplitPair) -> tuple[list[ClassValue], list[int], list[int]]:
  classes = counts.classes([pair.split, pair.other])
  return classes, counts.column(pair.split, classes), counts.column(pair.other, classes)


def _contribution(p: float, q: float) -> float:
  """Returns what a class adds to the Jensen-Shannon divergence."""
  middle = (p + q) / 2
  return sum(x * math.log2(x / middle) for x in (p, q) if x) / 2


def _distance_check(
  rule: str,
  name: str,
  counts: ClassCounts,
  pair: SplitPair,
  value: ClassValue | None,
  measured: float,
  limit: float,
) -> Check:
  text = (
    f'the {name} distance of {shown(pair.split)} from {shown(pair.other)} is {number(measured)}, '
    f'the limit {number(limit)}'
  )
  if value is not None:
    here, there = counts.share(pair.split, value), counts.share(pair.other, value)
    text += (
      f'; the class that differs most is {short_name(value)}: {percent(here)} of '
      f'{shown(pair.split)}, {percent(there)} of {shown(pair.other)}'
    )
  return Check(rule, pair.split, pair.other, value, measured, limit, measured <= limit, text)


def shown(split: str) -> str:
  """Returns how a sentence names a split.

  >>> shown('eval'), shown('baseline:train')
  ("split 'eval'", "the baseline's split 'train'")
  """
  if split.startswith(BASELINE):
    return f"the baseline's split {split.removeprefix(BASELINE)!r}"
  return f'split {split!r}'
