"""Exchanges of records between splits, until labels and pairs of labels have their shares.

Sets of labels are rounded first, so that each set, in each split, has the floor or the ceiling of
its share. Which of the two is free: where set A has the ceiling in a split and the floor in
another, and set B the other way round, both may change places, which leaves all totals as they are.
That is done while the sum of squares of what labels and pairs of labels deviate by falls, splits in
pairs as in a tournament. It is a local search for what iterative stratification (Sechidis,
Tsoumakas and Vlahavas 2011; of pairs Szymanski and Kajdanowicz 2017) deals greedily.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.distinct_sets import DistinctSets
from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.plan.runs import places_of_runs

_SCALE = 1 << 16  # deviations are in this part of a record
_LABEL_WEIGHT = 32  # of the square of a label's deviation; that of a pair has 1
_CYCLES = 3
_MOST_TURNS = 15  # of a tournament, after which tries are more selective
_TRIED_TOGETHER = 16  # of each split, of which the best are tried in all combinations
_MOST_SETS_TOGETHER = 4096
_COUNTED_TOGETHER = 1 << 18  # items of sets, so that counting them takes a few MB
_SUMMED_TOGETHER = 1 << 14  # sets, for which a few arrays of their items are made


def exchange_records(
  quotas: Ints,
  movable: npt.NDArray[np.bool_],
  up: npt.NDArray[np.bool_],
  sets: DistinctSets,
  seed: int,
) -> Ints:
  """Returns quotas whose labels, and pairs of labels, are nearer to their shares.

  Each row and each column sums to what it did. Each cell is the floor or the ceiling that it was
  before.

  Args:
    quotas: Records of each set in each split: int64 [sets, splits].
    movable: Whether a cell has a fractional share, so that it may be rounded up or down.
    up: Whether it is rounded up.
    sets: The labels of the sets.
    seed: Seed of the order in which exchanges are tried.
  """
  search = _Search(quotas, movable, up, sets)
  key = tie_break(seed, 'exchange')
  turns = itertools.count()
  n_splits = quotas.shape[1]
  for _ in range(_CYCLES):
    n_alike = 1
    found = 0
    while n_alike < 2 * len(quotas):
      for first, second in _tournament(n_splits):
        found += search.improve(first, second, n_alike, tie_break(key, next(turns)))
      n_alike *= 2
    if not found:
      break
  return quotas - up + search.up


def _tournament(n: int) -> Iterator[tuple[int, int]]:
  """Yields pairs of n numbers, all of them where n is small (circle method).

  >>> sorted(tuple(sorted(pair)) for pair in _tournament(3))
  [(0, 1), (0, 2), (1, 2)]
  """
  last, others = n - 1 + n % 2, n - 1 + n % 2  # with a number that stands for a pause
  for turn in range(min(others, _MOST_TURNS)):
    ring = [last, *((turn + place) % others for place in range(others))]
    for place in range((others + 1) // 2):
      pair = ring[place], ring[-1 - place]
      if max(pair) < n:
        yield pair


class _Search:
  """The state of the search. An item is a label or a pair of labels.

  Attributes:
    up: Whether each cell is rounded up: bool [sets, splits].
  """

  def __init__(
    self,
    quotas: Ints,
    movable: npt.NDArray[np.bool_],
    up: npt.NDArray[np.bool_],
    sets: DistinctSets,
  ) -> None:
    self.up, self._movable = up.copy(), movable
    pairs, owners_of_pairs = sets.pairs()
    n_labels, n_pairs = len(sets.labels), int(pairs.max(initial=-1)) + 1
    owners = np.concatenate([sets.owners, owners_of_pairs], dtype=np.int32, casting='same_kind')
    items = np.concatenate([sets.members, pairs + n_labels], dtype=np.int32, casting='same_kind')
    del pairs, owners_of_pairs
    order = np.argsort(owners, kind='stable')
    owners, self._items = owners[order], items[order]
    del items, order
    self._starts = np.searchsorted(owners, np.arange(len(quotas) + 1, dtype=np.int32))
    self._weights = np.repeat([_LABEL_WEIGHT, 1], [n_labels, n_pairs]).astype(np.int64)
    self._scaled: list[int] = (self._weights * _SCALE).tolist()
    self._sizes = self._sums(np.arange(len(quotas)), self._weights * _SCALE)
    self._deviations = self._deviations_of(quotas, owners)

  def _deviations_of(self, quotas: Ints, owners: npt.NDArray[np.int32]) -> Ints:
    """Returns the deviation of each item in each split from its share: int64 [items, splits].

    From its part of all records, times the split's: so labels that nearly all records have are as
    frequent among the records of each split, as Sechidis measures it. As floats the products have
    53 bits, which are rounded to whole parts of a record: the same on each machine.
    """
    counts = np.zeros((len(self._weights), quotas.shape[1]))
    for at in range(0, len(owners), _COUNTED_TOGETHER):
      some = slice(at, at + _COUNTED_TOGETHER)
      for i, column in enumerate(quotas.T):
        counts[:, i] += np.bincount(self._items[some], column[owners[some]], len(counts))
    shares = quotas.sum(axis=0) / quotas.sum()
    wanted = np.rint(counts.sum(axis=1, keepdims=True) * shares * _SCALE)
    deviations: Ints = counts.astype(np.int64) * _SCALE - wanted.astype(np.int64)
    return deviations

  def _sums(self, which: Ints, values: Ints) -> Ints:
    """Returns the sum of the values of each set's items: int64 [sets].

    Args:
      which: Numbers of the sets.
      values: Value of each item: int64 [items].
    """
    starts = range(0, len(which), _SUMMED_TOGETHER)
    return np.concatenate(
      [self._sums_of(which[at : at + _SUMMED_TOGETHER], values) for at in starts]
    )

  def _sums_of(self, which: Ints, values: Ints) -> Ints:
    lengths = self._starts[which + 1] - self._starts[which]
    ends, places = np.cumsum(lengths), places_of_runs(self._starts[which], lengths)
    running = np.concatenate([[0], np.cumsum(values[self._items[places]])])
    sums: Ints = running[ends] - running[ends - lengths]
    return sums

  def improve(self, first: int, second: int, n_alike: int, key: int) -> int:
    """Makes exchanges between two splits that lower the sum of squares; returns their number.

    Args:
      first: Number of a split.
      second: Number of another.
      n_alike: Number of sets of each split, of which the best are tried together.
      key: Key of the draw of these.
    """
    up, movable = self.up, self._movable[:, first] & self._movable[:, second]
    leaving = np.flatnonzero(movable & up[:, first] & ~up[:, second])
    coming = np.flatnonzero(movable & up[:, second] & ~up[:, first])
    n_groups = max(1, min(len(leaving), len(coming)) // n_alike)
    if not len(leaving) or not len(coming):
      return 0
    before = (self._deviations[:, second] - self._deviations[:, first]) * self._weights
    costs_there = self._sums(leaving, before) + self._sizes[leaving]
    costs_back = self._sizes[coming] - self._sums(coming, before)
    if n_groups == 1 and max(len(leaving), len(coming)) <= _MOST_SETS_TOGETHER:
      there = leaving[np.argsort(costs_there, kind='stable')[:_TRIED_TOGETHER]]
      back = coming[np.argsort(costs_back, kind='stable')[:_TRIED_TOGETHER]]
      tries = list(itertools.product(there.tolist(), back.tolist()))
    else:
      there, back = (
        _best(costs_there, leaving, n_groups, key),
        _best(costs_back, coming, n_groups, key),
      )
      both = np.flatnonzero((there >= 0) & (back >= 0))
      there, back = there[both], back[both]
      # Items of both sets stay, which saves twice their weights, at most those of one set.
      saved = 2 * np.minimum(self._sizes[leaving[there]], self._sizes[coming[back]])
      both = np.flatnonzero(costs_there[there] + costs_back[back] < saved)
      tries = list(zip(leaving[there[both]].tolist(), coming[back[both]].tolist(), strict=True))
    return self._exchange(first, second, tries, before)

  def _exchange(self, first: int, second: int, tries: list[tuple[int, int]], before: Ints) -> int:
    """Makes those exchanges that lower the sum of squares, one after another; returns how many.

    Moving a record from one split to another changes the squares of an item's deviations a and b by
    2 (b - a + 1), so that `gaps`, w (b - a) of each item of weight w, are all that is needed.
    """
    gaps, weights = before.tolist(), self._scaled
    found = 0
    for there, back in tries:
      if not self.up[there, first] or not self.up[back, second]:
        continue
      items, others = self._items_of(there), self._items_of(back)
      leaving, coming = items - others, others - items
      change = sum([gaps[i] + weights[i] for i in leaving])
      change += sum([weights[i] - gaps[i] for i in coming])
      if change < 0:
        for i in leaving:
          gaps[i] += 2 * weights[i]
        for i in coming:
          gaps[i] -= 2 * weights[i]
        self.up[there, [first, second]] = False, True
        self.up[back, [first, second]] = True, False
        found += 1
    if found:
      moved = (np.array(gaps, np.int64) - before) // (2 * self._weights)
      self._deviations[:, second] += moved
      self._deviations[:, first] -= moved
    return found

  def _items_of(self, row: int) -> set[int]:
    return set(self._items[self._starts[row] : self._starts[row + 1]].tolist())


def _best(costs: Ints, which: Ints, n_groups: int, key: int) -> Ints:
  """Returns the place of the least cost in each random group, -1 of an empty one: int64 [groups].

  Args:
    costs: Costs of sets.
    which: Number of each set, by which groups are drawn.
    n_groups: Number of groups.
    key: Key of the draw.
  """
  drawn: UInts = mix(which.astype(np.uint64), key)
  groups = (drawn % np.uint64(n_groups)).astype(np.int64)
  order = np.lexsort((costs, groups))
  filled, places = np.unique(groups[order], return_index=True)
  found = np.full(n_groups, -1, np.int64)
  found[filled] = order[places]
  return found
