"""Measures of class distributions: shares, distances, imbalance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def shares(counts: Sequence[int]) -> list[Fraction]:
  """Returns each class's share of the total, exactly; all 0 where the total is 0.

  >>> shares([1, 3])
  [Fraction(1, 4), Fraction(3, 4)]
  """
  total = sum(counts)
  return [Fraction(count, total) if total else Fraction(0) for count in counts]


def imbalance_ratio(counts: Sequence[int]) -> float:
  """Returns the largest count over the smallest: 1 for balanced, inf where a class is absent.

  >>> imbalance_ratio([90, 9])
  10.0
  """
  if not counts or max(counts) == 0:
    return math.nan
  return max(counts) / min(counts) if min(counts) else math.inf


def l_infinity(left: Sequence[int], right: Sequence[int]) -> float:
  """Returns the largest difference between the shares of a class, 0 to 1.

  >>> l_infinity([1, 1], [1, 3])
  0.25

  Args:
    left: Counts, one a class.
    right: Counts of the same classes in the same order.
  """
  pairs = zip(shares(left), shares(right), strict=True)
  return float(max((abs(a - b) for a, b in pairs), default=Fraction(0)))


def jensen_shannon(left: Sequence[int], right: Sequence[int]) -> float:
  """Returns the Jensen-Shannon divergence in bits, 0 (equal) to 1 (no class in common); Lin 1991.

  >>> jensen_shannon([5, 0], [0, 7])
  1.0

  Args:
    left: Counts, one a class.
    right: Counts of the same classes in the same order.
  """
  p, q = [float(x) for x in shares(left)], [float(x) for x in shares(right)]
  middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
  to_p, to_q = (
    math.fsum(a * math.log2(a / m) for a, m in zip(side, middle, strict=True) if a)
    for side in (p, q)
  )
  return min(max((to_p + to_q) / 2, 0.0), 1.0)  # rounding may leave this range
