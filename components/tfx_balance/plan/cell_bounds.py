"""Bounds of the cells of a split, and quotas with totals as near to their shares as these allow.

Cells are integers between bounds, whose rows have a sum: a transportation problem, whose totals of
columns are the integers of a base polyhedron. So where no move of records along a path of columns
brings a total nearer to its share, no other table does (Murota 2003, "Discrete Convex Analysis":
what is a local optimum of an M-convex function is a global one).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.ranks import Ints

_PARTS = 1 << 28  # of a record, in which goals are compared


def goals_above(least: Sequence[int], more: int, shares: Sequence[Fraction]) -> list[Fraction]:
  """Returns the ideal number of records in each split, of which some are there in any case.

  >>> [str(goal) for goal in goals_above([5, 0], 5, [Fraction(1, 2), Fraction(1, 2)])]
  ['5', '5']
  >>> thirds = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
  >>> [str(goal) for goal in goals_above([9, 0, 0], 3, thirds)]
  ['9', '3/2', '3/2']

  Args:
    least: Number of records that each split has in any case.
    more: Number of further records.
    shares: Share of each split.
  """
  goals = [Fraction(n) for n in least]
  left, open_splits = Fraction(sum(least) + more), [i for i, share in enumerate(shares) if share]
  left -= sum(n for n, share in zip(least, shares, strict=True) if not share)
  while more:
    whole = sum((shares[i] for i in open_splits), Fraction(0))
    full = [i for i in open_splits if least[i] * whole > left * shares[i]]
    if not full:
      for i in open_splits:
        goals[i] = left * shares[i] / whole
      break
    left -= sum(least[i] for i in full)
    open_splits = [i for i in open_splits if i not in full]
  return goals


def round_within(
  n: int, low: Sequence[int], high: Sequence[int], goals: Sequence[Fraction]
) -> list[int]:
  """Returns integers that sum to n: the low ones, and one more where most is lacking to the goal.

  >>> round_within(3, [1, 0, 0], [2, 1, 1], [Fraction(7, 4), Fraction(3, 4), Fraction(1, 2)])
  [2, 1, 0]

  Args:
    n: Sum, from the sum of `low` to one more for each that `high` lets be larger.
    low: Least value of each.
    high: Largest value of each.
    goals: Goal of each.
  """
  free = [i for i in range(len(low)) if high[i] > low[i]]
  free.sort(key=lambda i: low[i] - goals[i])  # the largest remainder first
  found = list(low)
  for i in free[: n - sum(low)]:
    found[i] += 1
  return found


def raise_cells(
  quotas: Ints,
  least: Sequence[int],
  shares: Sequence[Fraction],
  fixed: Sequence[int],
  order: npt.NDArray[np.int64],
) -> Ints:
  """Returns quotas that have at least so many records in each cell of a row with enough records.

  The ideal of a row is its shares or, where a bound is above one of these, the bounds, and of what
  they leave the shares. Each cell is the floor or the ceiling of that, but where the totals of
  `fixed` need others, those nearest to it. Totals are within one record of their shares of all
  records, or as few records further as cells allow. Quotas that keep the bounds already are as they
  were.

  Args:
    quotas: Floors or ceilings of shares: int64 [rows, splits].
    least: Least number of records in each split, of rows with as many as the sum.
    shares: Share of each split.
    fixed: Splits whose totals are to be met if bounds alone allow it.
    order: Rows in the order in which records are moved: int64 [rows].
  """
  sizes = quotas.sum(axis=1)
  minimum = np.where(sizes[:, None] >= sum(least), np.array(least, np.int64), 0)
  if (quotas >= minimum).all():
    return quotas
  distinct, which = np.unique(sizes, return_inverse=True)
  rows = []
  for n in distinct.tolist():
    bound = list(least) if n >= sum(least) else [0] * len(least)
    goals = goals_above(bound, n - sum(bound), shares)
    low, high = [*map(math.floor, goals)], [*map(math.ceil, goals)]
    most = [n - sum(bound) + each for each in bound]
    parts = [int(goal * _PARTS) for goal in goals]
    rows.append((round_within(n, low, high, goals), low, high, bound, most, parts))
  start, low, high, bound, most, parts = np.array(rows, np.int64).transpose(1, 0, 2)[
    :, which.reshape(-1)
  ]
  off = ((quotas < low) | (quotas > high)).any(axis=1, keepdims=True)
  found = np.where(off, start, quotas)
  wanted = [share * int(sizes.sum()) for share in shares]
  counted = {i: wanted[i] for i in fixed}
  move_to_totals(found, low, high, counted, order, parts)
  move_to_totals(found, bound, most, counted, order, parts)
  weights = [0 if i in fixed else math.ceil(goal) for i, goal in enumerate(wanted)]
  move_to_totals(found, low, high, dict(enumerate(wanted)), order, parts, weights)
  return found


def move_to_totals(
  quotas: Ints,
  low: Ints,
  high: Ints,
  wanted: dict[int, Fraction],
  order: npt.NDArray[np.int64],
  goals: Ints | None = None,
  weights: Sequence[int] = (),
) -> None:
  """Moves records between splits, within the bounds of cells, until the totals are as wanted.

  A total is as wanted if it is the floor or the ceiling of its goal; else no other quotas within
  the bounds have fewer records beyond these, of all splits together.

  Args:
    quotas: Records of each row and split, which are changed: int64 [rows, splits].
    low: Least records of each cell: int64 [rows, splits].
    high: Most records of each cell: int64 [rows, splits].
    wanted: Goals of the totals of splits, by number of the split; others may have any total.
    order: Rows in the order in which records are moved: int64 [rows].
    goals: Goal of each cell, in equal parts of a record: int64 [rows, splits]. Those records are
      moved that leave cells nearest to these; None where the order alone decides.
    weights: By which splits share the records beyond their goals, as far as bounds allow.
  """
  shared = np.array(weights or [0] * quotas.shape[1], np.int64)
  least, most = np.zeros(quotas.shape[1], np.int64), np.full(quotas.shape[1], quotas.sum())
  for split, goal in wanted.items():
    least[split], most[split] = math.floor(goal), math.ceil(goal)
  while True:
    totals = quotas.sum(axis=0)
    can_give, can_take = quotas > low, quotas < high
    movable = can_give.T.astype(np.int64) @ can_take
    above, below = totals - most, least - totals  # records too many, and too few
    too_many, too_few = _uneven(above, shared), _uneven(below, shared)
    for room, space in ((above, -above), (-below, below), too_many, too_few[::-1]):
      path = _path(movable, room > 0, space > 0)
      if path:
        break
    else:
      return
    several = min(int(room[path[0]]), int(space[path[-1]]))
    steps = list(itertools.pairwise(path))
    for a, b in steps:
      several = min(several, int((can_give[:, a] & can_take[:, b]).sum()))
    for a, b in steps:  # what comes to a split leaves the next step as much to move
      free = order[(quotas[order, a] > low[order, a]) & (quotas[order, b] < high[order, b])]
      if goals is not None:
        above_goal = quotas[free] * _PARTS - goals[free]
        free = free[np.argsort(above_goal[:, b] - above_goal[:, a], kind='stable')]
      quotas[free[:several], a] -= 1
      quotas[free[:several], b] += 1


def _uneven(beyond: Ints, weights: Ints) -> tuple[Ints, Ints]:
  """Returns by how much splits at their goals, or beyond, are above and below their parts of it.

  >>> [each.tolist() for each in _uneven(np.array([-9, 5, 4, 0]), np.array([8, 1, 1, 1]))]
  [[0, 2, 1, -3], [0, -2, -1, 3]]

  Args:
    beyond: Records of each split beyond its goal: int64 [splits].
    weights: Weights of the parts, 0 for splits that have none: int64 [splits].
  """
  share = np.where(beyond >= 0, weights, 0)
  product, whole = share * beyond[share > 0].sum(), max(int(share.sum()), 1)
  above, below = beyond + -product // whole, product // whole - beyond
  return np.where(share > 0, above, 0), np.where(share > 0, below, 0)


def _path(movable: Ints, sources: npt.NDArray[np.bool_], sinks: npt.NDArray[np.bool_]) -> list[int]:
  """Returns the splits of a shortest way from a source to a sink; [] if there is none.

  Args:
    movable: Rows that allow to move a record from one split to another: int64 [splits, splits].
    sources: Splits to take from: bool [splits].
    sinks: Splits to give to: bool [splits].
  """
  before: dict[int, int | None] = dict.fromkeys(np.flatnonzero(sources).tolist())
  waiting = list(before)
  for split in waiting:
    if sinks[split] and before[split] is not None:
      way = [split]
      while (last := before[way[-1]]) is not None:
        way.append(last)
      return way[::-1]
    for other in np.flatnonzero(movable[split]).tolist():
      if other not in before:
        before[other] = split
        waiting.append(other)
  return []
