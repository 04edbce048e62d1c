"""Integers that share a total: by largest remainder, and by controlled rounding of a table.

Controlled rounding replaces every number of a table by its floor or its ceiling so that the sums
of rows, of columns and of groups of rows are the floor or the ceiling of their own exact values.
Such a table always exists: the constraints are a network, and a network with integer bounds that
has a fractional flow has an integer one (Cox 1987, "A constructive procedure for unbiased
controlled rounding"; Cox and Ernst 1982). It is found by walking around cycles of fractional
numbers and shifting weight along them, as Cox does, which also makes it unbiased: over the seeds
every cell's mean is its exact value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any


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
  table: Sequence[Sequence[int]],
  denominator: int,
  groups: Sequence[Hashable] | None = None,
  keys: Sequence[Hashable] | None = None,
  seed: int = 0,
) -> list[list[int]]:
  """Returns the table divided by the denominator and rounded, with every margin kept.

  Each cell, each column's total and, where groups are given, each group's total in a column is the
  floor or the ceiling of its exact value; each row's total is exact. The same counts and seed give
  the same table whatever the order of the rows.

  >>> controlled_rounding([[5, 5], [5, 5]], denominator=10) in ([[1, 0], [0, 1]], [[0, 1], [1, 0]])
  True

  Args:
    table: Numerators, integers of 0 or more, rows of equal length; the sum of every row must be a
      multiple of the denominator.
    denominator: Denominator of every cell, above 0.
    groups: Group of each row, or None for one group a row.
    keys: Name of each row in ties, or None for its position.
    seed: Seed of the rounding.

  Raises:
    ValueError: if the sum of a row is not a multiple of the denominator.
  """
  for row in table:
    if sum(row) % denominator:
      raise ValueError(f'the sum of row {list(row)} must be a multiple of {denominator}')
  names = list(keys) if keys is not None else list(range(len(table)))
  rank = sorted(range(len(table)), key=lambda i: tie_break(seed, 'row', names[i]))
  ranked = [table[i] for i in rank]
  network = _network(ranked, denominator, groups and [groups[i] for i in rank])
  network.round(seed, [names[i] for i in rank])
  rounded: list[list[int]] = [[] for _ in table]
  edge = 0
  for i, row in zip(rank, ranked, strict=True):
    ups = network.fractions[edge : edge + len(row)]
    rounded[i] = [(value + up) // denominator for value, up in zip(row, ups, strict=True)]
    edge += len(row)
  return rounded


def _network(
  table: Sequence[Sequence[int]], denominator: int, groups: Sequence[Hashable] | None
) -> _Network:
  """Returns the network of a table: an edge for each cell, row by row, then one for each margin.

  Nodes are the rows, the columns, the sink that columns flow into, and each group in each column.
  """
  height, width = len(table), len(table[0]) if table else 0
  sink = height + width
  network = _Network(denominator, sink + 1)
  if groups is None:
    for i, row in enumerate(table):
      for j, value in enumerate(row):
        network.add(i, height + j, value)
  else:
    first: dict[Hashable, int] = {}  # of a group's nodes, one a column
    totals: list[list[int]] = []
    for i, (group, row) in enumerate(zip(groups, table, strict=True)):
      if group not in first:
        first[group] = network.add_nodes(width)
        totals.append([0] * width)
      total = totals[(first[group] - sink - 1) // width if width else 0]
      for j, value in enumerate(row):
        network.add(i, first[group] + j, value)
        total[j] += value
    for node, total in zip(first.values(), totals, strict=True):
      for j, value in enumerate(total):
        network.add(node + j, height + j, value)
  for j in range(width):
    network.add(height + j, sink, sum(row[j] for row in table))
  return network


class _Network:
  """A flow whose edges carry value / denominator; `round` makes every edge an integer.

  Of an edge only the fraction above its floor is kept, as a numerator; nodes and edges are numbers.
  An edge whose fraction is 0 or 1 needs no decision any more: it is dead. Flow is conserved at
  every node, so a node touches either no live edge or two and more, and a walk along live edges
  must close a cycle. A million rows take a minute at the most, for no step looks twice at a
  dead edge.

  Attributes:
    fractions: Numerator of each edge, 0 to the denominator.
  """

  def __init__(self, denominator: int, n_nodes: int) -> None:
    self.fractions: list[int] = []
    self._denominator = denominator
    self._tails: list[int] = []  # nodes at which edges begin
    self._heads: list[int] = []  # nodes at which they end
    self._edges: list[list[int]] = [[] for _ in range(n_nodes)]  # that touch each node
    self._at = [0] * n_nodes  # where the first of these is that may be live

  def add_nodes(self, n: int) -> int:
    """Adds n nodes, and returns the first."""
    first = len(self._edges)
    self._edges += [[] for _ in range(n)]
    self._at += [0] * n
    return first

  def add(self, tail: int, head: int, value: int) -> None:
    """Adds an edge from tail to head that carries value / denominator."""
    edge, fraction = len(self.fractions), value % self._denominator
    self.fractions.append(fraction)
    self._tails.append(tail)
    self._heads.append(head)
    if fraction:
      self._edges[tail].append(edge)
      self._edges[head].append(edge)

  def round(self, seed: int, names: Sequence[Hashable]) -> None:
    """Rounds every edge, one walk from each of the first nodes, which have names, after another."""
    for start, name in enumerate(names):
      turn = 0
      nodes, edges = [start], list[int]()  # of the walk; an edge leads from a node to the next
      place = {start: 0}  # of each node in the walk
      while edges or self._is_live(start):
        edge = self._way_out(nodes[-1], edges[-1] if edges else -1)
        edges.append(edge)
        node = self._heads[edge] + self._tails[edge] - nodes[-1]
        if node not in place:
          place[node] = len(nodes)
          nodes.append(node)
          continue
        at = place[node]
        self._shift(edges[at:], nodes[at:], (seed, 'turn', name, turn))
        turn += 1
        # The walk goes on from where it took the first edge that is dead now.
        kept = next(i for i in range(at, len(edges)) if not self._undecided(edges[i]))
        for passed in nodes[kept + 1 :]:
          del place[passed]
        del edges[kept:], nodes[kept + 1 :]

  def _undecided(self, edge: int) -> bool:
    return 0 < self.fractions[edge] < self._denominator

  def _is_live(self, node: int) -> bool:
    """Returns whether a node touches a live edge."""
    edges, at = self._edges[node], self._at[node]
    while at < len(edges) and not self._undecided(edges[at]):
      at += 1
    self._at[node] = at
    return at < len(edges)

  def _way_out(self, node: int, came_by: int) -> int:
    """Returns the first live edge of a node but for the one that led to it."""
    edges, at = self._edges[node], self._at[node]
    fractions, denominator = self.fractions, self._denominator
    while not 0 < fractions[edges[at]] < denominator:
      at += 1
    if edges[at] == came_by:
      after = at + 1
      while not 0 < fractions[edges[after]] < denominator:
        after += 1
      edges[after - 1], at = came_by, after - 1  # so that dead edges are passed once
      self._at[node] = at
      return edges[after]
    self._at[node] = at
    return edges[at]

  def _shift(self, cycle: Sequence[int], nodes: Sequence[int], key: tuple[Any, ...]) -> None:
    """Moves flow around a cycle until an edge of it is whole.

    The key decides the direction, so that the mean step is 0.

    Args:
      cycle: Edges of the cycle.
      nodes: Node from which the walk took each edge.
      key: Key of the draw.
    """
    fractions, tails, room = self.fractions, self._tails, self._denominator
    more = less = room
    signs = []
    for edge, node in zip(cycle, nodes, strict=True):
      above = fractions[edge]
      below = room - above
      forward = tails[edge] == node
      signs.append(1 if forward else -1)
      more = min(more, below if forward else above)
      less = min(less, above if forward else below)
    step = more if draw(more + less, *key) < less else -less
    for edge, sign in zip(cycle, signs, strict=True):
      fractions[edge] += sign * step
