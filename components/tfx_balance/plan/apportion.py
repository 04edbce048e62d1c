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
from dataclasses import dataclass, field
from typing import Any

Node = tuple[Hashable, ...]


def tie_break(seed: int, *key: Hashable) -> int:
  """Returns a 64-bit integer that depends on nothing but the seed and the key.

  >>> tie_break(0, 'cat') == tie_break(0, 'cat'), tie_break(0, 'cat') == tie_break(1, 'cat')
  (True, False)
  """
  return int.from_bytes(hashlib.blake2b(_text(seed, *key), digest_size=8).digest(), 'big')


def draw(below: int, seed: int, *key: Hashable) -> int:
  """Returns an integer from 0 up to, but not including, below; each as likely, but for 2**-64.

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
    total: what is shared out, 0 or more.
    weights: integers, 0 or more, one of them above 0.
    seed: breaks ties.

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
    table: numerators, integers of 0 or more, rows of equal length; the sum of every row must be a
      multiple of the denominator.
    denominator: of every cell, above 0.
    groups: the group of each row, or None for one group a row.
    keys: what names each row in ties, or None for its position.
    seed: chooses among the roundings.

  Raises:
    ValueError: if the sum of a row is not a multiple of the denominator.
  """
  for row in table:
    if sum(row) % denominator:
      raise ValueError(f'the sum of row {list(row)} must be a multiple of {denominator}')
  names = list(keys) if keys is not None else list(range(len(table)))
  rank = sorted(range(len(table)), key=lambda i: tie_break(seed, 'row', names[i]))
  network = _Network(denominator)
  for i in rank:
    for j, value in enumerate(table[i]):
      column = ('column', j)
      network.add(('row', i), column if groups is None else ('group', groups[i], j), value, (i, j))
  _add_margins(network, [table[i] for i in rank], groups and [groups[i] for i in rank])
  network.round(seed, {('row', i): names[i] for i in rank})
  return [[network.rounded[i, j] for j in range(len(row))] for i, row in enumerate(table)]


def _add_margins(
  network: _Network, table: Sequence[Sequence[int]], groups: Sequence[Hashable] | None
) -> None:
  """Adds an edge for each sum that is rounded too: groups into columns, columns into a sink."""
  width = len(table[0]) if table else 0
  if groups is not None:
    totals: dict[tuple[Hashable, int], int] = {}
    for group, row in zip(groups, table, strict=True):
      for j, value in enumerate(row):
        totals[group, j] = totals.get((group, j), 0) + value
    for (group, j), total in totals.items():
      network.add(('group', group, j), ('column', j), total, ('group', group, j))
  for j in range(width):
    network.add(('column', j), ('sink',), sum(row[j] for row in table), ('column', j))


@dataclass
class _Network:
  """A flow whose edges carry value / denominator; `round` makes every edge an integer.

  An edge is kept as its whole part in `rounded` and its fractional part, 1 to denominator - 1, in
  `fraction`; edges without one need no decision and are not kept in `edges`. Flow is conserved at
  every node, so a node touches either no fractional edge or two and more, and a walk along
  fractional edges must close a cycle.
  """

  denominator: int
  rounded: dict[Hashable, int] = field(default_factory=dict)
  fraction: dict[Hashable, int] = field(default_factory=dict)
  ends: dict[Hashable, tuple[Node, Node]] = field(default_factory=dict)
  edges: dict[Node, dict[Hashable, None]] = field(default_factory=dict)

  def add(self, tail: Node, head: Node, value: int, name: Hashable) -> None:
    """Adds an edge from tail to head that carries value / denominator."""
    self.rounded[name], part = divmod(value, self.denominator)
    if part:
      self.fraction[name] = part
      self.ends[name] = (tail, head)
      self.edges.setdefault(tail, {})[name] = None
      self.edges.setdefault(head, {})[name] = None

  def round(self, seed: int, names: dict[Node, Hashable]) -> None:
    """Rounds every edge, one walk from each named node after another."""
    for start, name in names.items():
      turn = 0
      path: list[tuple[Node, Hashable]] = []  # a node, and the edge by which the walk leaves it
      seen: dict[Node, int] = {}
      node = start
      while path or self.edges.get(node):
        if node in seen:
          at = seen[node]
          self._shift([edge for _, edge in path[at:]], node, (seed, 'turn', name, turn))
          turn += 1
          path, node = self._shortened(path, start)
          seen = {passed: i for i, (passed, _) in enumerate(path)}
          continue
        came_by = path[-1][1] if path else None
        edge = next(e for e in self.edges[node] if e != came_by)
        seen[node] = len(path)
        path.append((node, edge))
        tail, head = self.ends[edge]
        node = head if node == tail else tail

  def _shortened(
    self, path: list[tuple[Node, Hashable]], start: Node
  ) -> tuple[list[tuple[Node, Hashable]], Node]:
    """Returns the part of the path before its first edge that is whole now, and the node there."""
    for i, (node, edge) in enumerate(path):
      if edge not in self.fraction:
        return path[:i], node
    return [], start

  def _shift(self, cycle: list[Hashable], node: Node, key: tuple[Any, ...]) -> None:
    """Moves flow around the cycle that starts at the node until an edge of it is whole.

    The key decides the direction, so that the mean step is 0.
    """
    forward: list[Hashable] = []
    backward: list[Hashable] = []
    for edge in cycle:
      tail, head = self.ends[edge]
      along = node == tail
      (forward if along else backward).append(edge)
      node = head if along else tail
    room = self.denominator
    more = min([room - self.fraction[e] for e in forward] + [self.fraction[e] for e in backward])
    less = min([self.fraction[e] for e in forward] + [room - self.fraction[e] for e in backward])
    step = more if draw(more + less, *key) < less else -less
    for edge in forward:
      self._set(edge, self.fraction[edge] + step)
    for edge in backward:
      self._set(edge, self.fraction[edge] - step)

  def _set(self, edge: Hashable, part: int) -> None:
    """Sets the fractional part of an edge, and drops the edge from the walk once it is whole."""
    if 0 < part < self.denominator:
      self.fraction[edge] = part
      return
    self.rounded[edge] += part // self.denominator
    del self.fraction[edge]
    for node in self.ends[edge]:
      del self.edges[node][edge]
