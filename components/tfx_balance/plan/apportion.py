"""Integers that share a total: by largest remainder, and by controlled rounding of a table.

Controlled rounding replaces every number of a table by its floor or its ceiling so that the sums
of rows, of columns and of nested groups of rows are the floor or the ceiling of their own exact
values. Such a table always exists: the constraints are a network, and a network with integer bounds
that has a fractional flow has an integer one (Cox 1987, "A constructive procedure for unbiased
controlled rounding"; Cox and Ernst 1982). It is found by walking around cycles of fractional
numbers and shifting weight along them, as Cox does, which also makes it unbiased: over the seeds
every cell's mean is its exact value, so that other sums of cells come near to theirs. Where no such
sum matters, exchanges bring cells to the nearer integer after that, as far as margins allow.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Hashable, MutableSequence, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def tie_break(seed: int, *key: Hashable) -> int:
  """Returns a 64-bit hash of the seed and the key.

  >>> tie_break(0, 'cat') == tie_break(0, 'cat'), tie_break(0, 'cat') == tie_break(1, 'cat')
  (True, False)
  """
  return int.from_bytes(hashlib.blake2b(_text(seed, *key), digest_size=8).digest(), 'big')


def draw(below: int, seed: int, *key: Hashable) -> int:
  """Returns an integer from 0 to below - 1, uniform but for 2**-64.

  >>> 0 <= draw(10**30, 0, 'cat') < 10**30
  True
  """
  n_bytes = below.bit_length() // 8 + 9
  return int.from_bytes(hashlib.shake_128(_text(seed, *key)).digest(n_bytes), 'big') % below


def _text(seed: int, *key: Hashable) -> bytes:
  return repr((int(seed), *key)).encode('utf-8', 'surrogatepass')


def largest_remainder(total: int, weights: Sequence[int], seed: int = 0) -> list[int]:
  """Returns integers in proportion to the weights, each within one of its share, summing to total.

  Every share is rounded down and what is left goes to the largest remainders (Hamilton's method).
  Equal remainders are served in an order that the seed gives.

  >>> largest_remainder(10, [1, 1, 2])
  [3, 2, 5]

  Args:
    total: Sum of the integers, 0 or more.
    weights: Integers, 0 or more, one of them above 0.
    seed: Seed of the order of ties.

  Raises:
    ValueError: if the total or a weight is negative, or all the weights are 0.
  """
  if total < 0 or not weights or min(weights) < 0 or sum(weights) == 0:
    raise ValueError(
      f'total {total} and weights {list(weights)} must be 0 or more, one weight above 0'
    )
  whole = sum(weights)
  quotas = [total * weight // whole for weight in weights]
  by_need = sorted(
    range(len(weights)), key=lambda i: (-(total * weights[i] % whole), tie_break(seed, i))
  )
  for i in by_need[: total - sum(quotas)]:
    quotas[i] += 1
  return quotas


def controlled_rounding(
  table: Sequence[Sequence[int]] | npt.NDArray[Any],
  denominator: int,
  levels: Sequence[Sequence[Hashable]] = (),
  key: Callable[[int], Hashable] = int,
  seed: int = 0,
  nearest: bool = False,
) -> npt.NDArray[np.int64]:
  """Returns the table divided by the denominator and rounded, with every margin kept.

  Each cell, each column's total and each group's total in a column, at every level, is the floor or
  the ceiling of its exact value; each row's total is exact. The same counts and seed give
  the same table whatever the order of the rows.

  >>> rounded = controlled_rounding([[5, 5], [5, 5]], denominator=10).tolist()
  >>> rounded in ([[1, 0], [0, 1]], [[0, 1], [1, 0]])
  True

  Args:
    table: Numerators, integers of 0 or more, rows of equal length; the sum of every row must be a
      multiple of the denominator.
    denominator: Denominator of every cell, above 0.
    levels: Group of each row, level by level; rows of one group are of one group at the levels
      before, too.
    key: Function of the position of a row to its name in ties.
    seed: Seed of the rounding.
    nearest: Whether cells and columns are rounded to the nearer integers, for tables without
      levels: the seed decides among equal ones only. Of two columns, the sum of the distances of
      cells and totals is the least, and of equal sums that of cells; of more, no exchange between
      two rows lowers it. Else the rounding is unbiased.

  Raises:
    ValueError: if the sum of a row is not a multiple of the denominator.
  """
  names = map(key, range(len(table)))
  ties = np.fromiter((tie_break(seed, 'row', name) for name in names), np.uint64, len(table))
  rank = np.argsort(ties, kind='stable')
  cells = np.asarray(table, object).reshape(len(table), -1 if len(table) else 0)
  if max(cells.max(initial=0), denominator * (sum(cells.shape) + 1)) < 1 << 63:
    cells = cells.astype(np.int64)  # else they stay Python's integers, which have no limit
  floors, fractions = cells // denominator, cells % denominator
  shape = cells.shape
  del cells
  wrong = np.flatnonzero(fractions.sum(axis=1) % denominator)
  if len(wrong):
    raise ValueError(f'the sum of row {list(table[wrong[0]])} must be a multiple of {denominator}')
  fractions = fractions[rank]
  order = _array('q', rank)
  network = _network(fractions, denominator, [[groups[i] for i in order] for groups in levels])
  network.round(seed, key, order)
  ups = np.zeros(shape, np.int64)
  at = np.nonzero(fractions)
  ups[at] = [value == denominator for value in network.fractions[: len(at[0])]]
  if nearest:
    ups = _exchange(ups, fractions, denominator)
  rounded = np.empty(shape, np.int64)
  rounded[rank] = floors[rank] + ups
  return rounded


def _exchange(
  ups: npt.NDArray[np.int64], fractions: npt.NDArray[Any], denominator: int
) -> npt.NDArray[np.int64]:
  """Returns the cells that are rounded up, after exchanges between two rows that bring them nearer.

  Of two columns, one row gives what the other takes, and the other way around, so that no margin
  changes. What the columns lack to whole numbers is a row too: an exchange with it changes the
  columns' totals.

  Args:
    ups: Whether each cell is rounded up: int64 [rows, columns].
    fractions: Numerators below the denominator: int64 or Python's integers [rows, columns].
    denominator: Denominator of every cell.
  """
  if denominator >= 1 << 30:
    fractions = fractions.astype(object)  # the square of it may not fit into 64 bits
  totals = fractions.sum(axis=0)
  lacking = -totals % denominator
  ups = np.vstack([ups, (lacking > 0) - (ups.sum(axis=0) - totals // denominator)])
  weights = np.full(len(ups), 2 * denominator + 1, fractions.dtype)
  weights[-1] -= 1  # of equal sums, cells count
  parts = np.vstack([fractions, lacking])
  numbers = _numbered([tuple(column) for column in parts.T.tolist()])
  pairs = np.argwhere(np.triu(numbers[:, None] != numbers)).tolist()
  found = True
  while found:
    found = False
    for one, other in pairs:
      gain = (parts[:, other] - parts[:, one]) * weights  # of a row that gives to the other
      free = (parts[:, one] > 0) & (parts[:, other] > 0)
      gives = np.where(free, ups[:, one] - ups[:, other], 0)
      first, second = np.flatnonzero(gives == 1), np.flatnonzero(gives == -1)
      n = min(len(first), len(second))
      first = first[np.argsort(-gain[first], kind='stable')[:n]]
      second = second[np.argsort(gain[second], kind='stable')[:n]]
      rows = np.concatenate([first, second])[np.tile(gain[first] > gain[second], 2)]
      ups[rows, one], ups[rows, other] = ups[rows, other], ups[rows, one]
      found = found or len(rows) > 0
  return ups[:-1]


def _network(
  fractions: npt.NDArray[Any], denominator: int, levels: Sequence[Sequence[Hashable]] = ()
) -> _Network:
  """Returns the network of a table: an edge for each cell, row by row, then one for each margin.

  Nodes are the rows, each group in each column from the last level to the first, the columns, and
  the sink that these flow into.

  Args:
    fractions: Numerators below the denominator: int64 or Python's integers [rows, columns].
    denominator: Denominator of every cell.
    levels: Group of each row, level by level.
  """
  height, width = fractions.shape
  values, of_row, first = fractions, np.arange(height), height  # of the groups below, rows at first
  nodes = np.repeat(of_row.astype(np.int32), width).reshape(height, width)
  edges = []
  for groups in (*map(_numbered, reversed(levels)), np.zeros(height, np.int64)):
    n_groups = int(groups.max(initial=0)) + 1
    if 1 < n_groups == len(values):
      continue  # the same groups as those below
    of = np.zeros(len(values), np.int64)
    of[of_row] = groups
    at, column = np.nonzero(values)
    heads = (first + of * width)[at]
    heads += column
    edges.append((nodes[at, column], heads.astype(np.int32), values[at, column]))
    del at, column, heads
    totals = np.zeros((n_groups, width), fractions.dtype)
    np.add.at(totals, of, values)
    values, of_row = totals % denominator, groups
    nodes = np.arange(first, first + n_groups * width, dtype=np.int32).reshape(n_groups, width)
    first += n_groups * width
  (column,) = np.nonzero(values[0])
  edges.append((nodes[0, column], np.full(len(column), first, np.int32), values[0, column]))
  tails, heads, numerators = map(np.concatenate, zip(*edges, strict=True))
  del values, nodes, edges
  compact = _array('q', numerators) if numerators.dtype == np.int64 else numerators.tolist()
  del numerators
  return _Network(denominator, first + 1, tails, heads, compact)


def _array(kind: str, values: npt.NDArray[Any]) -> array[int]:
  """Returns values of the same type as an array of Python's, whose single items are read faster."""
  found: array[int] = array(kind)
  found.frombytes(values.view(np.uint8).data)
  return found


def _numbered(groups: Sequence[Hashable]) -> npt.NDArray[np.int64]:
  """Returns the number of each group, in the order in which groups first appear: int64 [rows]."""
  numbers: dict[Hashable, int] = {}
  return np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64)


class _Network:
  """A flow whose edges carry fractions of a denominator; `round` makes every edge an integer.

  Nodes and edges are numbers. An edge whose fraction is 0 or 1 needs no decision any more: it is
  dead. Flow is conserved at every node, so a node touches either no live edge or two and more, and
  a walk along live edges must close a cycle. No step looks more than twice at a dead edge, so that
  a million rows take half a minute.

  Attributes:
    fractions: Numerator of each edge, 0 to the denominator.
    live: Whether each edge is live.
  """

  def __init__(
    self,
    denominator: int,
    n_nodes: int,
    tails: npt.NDArray[np.int32],
    heads: npt.NDArray[np.int32],
    fractions: MutableSequence[int],
  ) -> None:
    """Makes a network of live edges, each from a node of lower number to one of higher."""
    self.fractions, self.live = fractions, bytearray([1]) * len(fractions)
    self._denominator = denominator
    self._ends = _array('i', tails + heads)  # less a node: the other one
    nodes = np.concatenate([heads, tails])  # what comes into a node has the lower numbers
    edges = np.argsort(nodes, kind='stable')
    edges %= len(tails)
    self._edges = _array('i', edges.astype(np.int32))  # that touch a node, node by node
    counts = np.bincount(nodes, minlength=n_nodes)
    starts = _array('i', np.append(0, np.cumsum(counts)).astype(np.int32))
    # Of each node, where the first and the second edge are that may be live, and the next node's.
    self._first, self._second, self._stop = starts[:-1], starts[:-1], starts[1:]

  def round(self, seed: int, key: Callable[[int], Hashable], order: Sequence[int]) -> None:
    """Rounds every edge, one walk from each of the first nodes after another.

    The order has the row of each of these nodes, and the key is a function of a row to its name.

    A walk leaves a node by its first live edge but for the one that led to it. It is one function,
    for a million rows have millions of steps.
    """
    edges, ends, live = self._edges, self._ends, self.live
    first, second, stop = self._first, self._second, self._stop
    for start, of in enumerate(order):
      name, turn = key(of), 0
      nodes, path, ups = [start], list[int](), list[bool]()  # an edge leads from a node to the next
      place = {start: 0}  # of each node in the walk
      node, came_by = start, -1
      while True:
        at = first[node]
        if not path:  # back at the start, where no live edge may be left
          while at < stop[node] and not live[edges[at]]:
            at += 1
          if at == stop[node]:
            break
        edge = edges[at]
        while not live[edge]:
          at += 1
          edge = edges[at]
        first[node] = at
        if edge == came_by:
          at = max(at + 1, second[node])
          edge = edges[at]
          while not live[edge]:
            at += 1
            edge = edges[at]
          second[node] = at
        to = ends[edge] - node
        path.append(edge)
        ups.append(to > node)
        node, came_by = to, edge
        at = place.setdefault(node, len(nodes))
        if at == len(nodes):
          nodes.append(node)
          continue
        # The walk goes on from where it took the first edge that is dead now.
        kept = at + self._shift(path[at:], ups[at:], (seed, 'turn', name, turn))
        turn += 1
        for passed in nodes[kept + 1 :]:
          del place[passed]
        del nodes[kept + 1 :], path[kept:], ups[kept:]
        node, came_by = nodes[-1], path[-1] if path else -1

  def _shift(self, cycle: Sequence[int], ups: Sequence[bool], key: tuple[Any, ...]) -> int:
    """Moves flow around a cycle until an edge of it is whole; returns the place of the first such.

    The key decides the direction, so that the mean step is 0.

    Args:
      cycle: Edges of the cycle.
      ups: Whether the walk took each edge from its tail to its head.
      key: Key of the draw.
    """
    fractions, room = self.fractions, self._denominator
    more = less = room
    for edge, up in zip(cycle, ups, strict=True):
      above = fractions[edge]
      below = room - above
      if not up:
        above, below = below, above
      if below < more:
        more = below
      if above < less:
        less = above
    step = more if draw(more + less, *key) < less else -less
    dead = -1
    for place, edge in enumerate(cycle):
      value = fractions[edge] = fractions[edge] + (step if ups[place] else -step)
      if value == 0 or value == room:
        self.live[edge] = 0
        if dead < 0:
          dead = place
    return dead
