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


def fisher_p_value(left: int, left_rest: int, right: int, right_rest: int) -> float:
  """Returns the probability of shares at least as different in two samples of one distribution.

  Fisher's exact test (Fisher 1935, The Design of Experiments): given the records of the class and
  of each sample, those of the class in one sample follow the hypergeometric distribution. The value
  is twice the smaller tail, at most 1. Up to 10**11 records it is right within a percent.

  >>> round(fisher_p_value(3, 1, 1, 3), 4)
  0.4857

  Args:
    left: Records of the class in one sample.
    left_rest: Other records of that sample.
    right: Records of the class in the other sample.
    right_rest: Other records of this one.
  """
  if left * right_rest < right * left_rest:  # the tail is of the sample with the larger share
    left, left_rest, right, right_rest = right, right_rest, left, left_rest
  cells = (left, left_rest, right, right_rest)
  margins = (left + left_rest, right + right_rest, left + right, left_rest + right_rest)
  logs = [math.lgamma(n + 1) for n in margins] + [-math.lgamma(n + 1) for n in (*cells, sum(cells))]
  term = tail = 1.0
  while term > tail * 1e-17:
    term *= right * left_rest / ((left + 1) * (right_rest + 1))
    left, left_rest, right, right_rest = left + 1, left_rest - 1, right - 1, right_rest + 1
    tail += term
  return min(1.0, 2 * tail * math.exp(math.fsum(logs)))
