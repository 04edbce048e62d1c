"""Places groups of records in splits so that no stratum's count is far from its ideal.

To meet every ideal is a problem of subset sums, so what is found is near, not proven best. Groups
are placed one after another, the largest first, each where it brings the counts nearest to their
ideals; as many as a few thousand of the largest and of the smallest are, and those between are
dealt in proportion. Then one group or two of a split change places with none, one or two of
another while that brings the sum of squared deviations down (Kernighan and Lin 1970 exchange nodes
of a graph in the same way). Among plans of one sum, exchanges find one whose ratios of records with
and without a class, which Sechidis et al. (2011) measure, are nearer to those of all records.
A split without a group gets one where that leaves the sum as it is.

Scores are sums of products of whole numbers and of multiples of 1 / UNIT, exact in float64 below
2**53, so that they do not depend on the order in which a machine adds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.narrow_integers import SparseCounts
from tfx_balance.plan.ranks import Ints, mix
from tfx_balance.plan.runs import places_of_runs, sums_of_runs

UNIT = 1024
"""Parts of a record in which ideals are measured."""
_PLACED_ONE_BY_ONE = 2048  # groups at each end of the order of sizes
_CANDIDATES = 256  # groups of a split, and pairs of them, that are tried against another split's
_MAX_CELLS = 1 << 18  # of a table of exchanges by rows
_RATIO_UNIT, _LARGEST_RATIO = 1 << 32, 1 << 20  # parts in which differences of ratios are measured
_ROUNDS = 300  # exchanges between two splits that are looked for
_KICKS = 30  # times that a plan is shaken to find a better one, where groups are few
_FEW_GROUPS = 4096

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Histograms:
  """Counts of records by stratum, of several kinds of groups: a sparse table, row after row.

  Attributes:
    starts: First entry of each histogram, and the number of entries: int64 [n + 1].
    rows: Row of the stratum of each entry, ascending in a histogram: int64 [m].
    records: Number of records of each entry, above 0: int64 [m].
  """

  starts: Ints
  rows: Ints
  records: Ints

  def __len__(self) -> int:
    return len(self.starts) - 1

  @property
  def of_entry(self) -> Ints:
    """The histogram of each entry: int64 [m]."""
    return np.repeat(np.arange(len(self)), np.diff(self.starts))

  @property
  def sizes(self) -> Ints:
    """The records of each histogram: int64 [n]."""
    return sums_of_runs(self.records, self.starts)

  def take(self, which: Ints) -> Histograms:
    """Returns these histograms, in this order."""
    lengths = np.diff(self.starts)[which]
    at = places_of_runs(self.starts[which], lengths)
    return Histograms(np.append(0, np.cumsum(lengths)), self.rows[at], self.records[at])

  def summed(self, sums: Ints, row_splits: Ints) -> Histograms:
    """Returns the histograms with sums of rows for rows.

    Args:
      sums: Numbers of the sums that the first row is part of, then of the next: int64 [m].
      row_splits: Where those of each row begin, and of the last one end: int64 [rows + 1].
    """
    lengths = np.diff(row_splits)[self.rows]
    at = places_of_runs(row_splits[self.rows], lengths)
    width = int(sums.max(initial=0)) + 1
    cells = np.repeat(self.of_entry, lengths) * width + sums[at]
    counts = SparseCounts.total((len(self), width), cells, np.repeat(self.records, lengths))
    starts = np.searchsorted(counts.cells, np.arange(len(self) + 1) * width)
    return Histograms(starts.astype(np.int64), counts.cells % width, counts.counts)


def _ratios(records: Floats) -> Floats:
  """Returns the ratio of records of each row to others, of which the last row has all: [..., rows].

  A ratio to no record is that to one.
  """
  ratios: Floats = records / np.maximum(records[..., -1:] - records, 1)
  return ratios[..., :-1]


def deal(n: int, shares: Sequence[int], seed: int) -> Ints:
  """Returns the split of each of n groups in order, so that any run of them has each in proportion.

  By a Kronecker sequence of the golden ratio.

  Args:
    n: Number of groups.
    shares: Weights of the splits.
    seed: Seed of where the sequence begins.
  """
  ends = np.cumsum(np.array(shares, object))[:-1] * 2**64 // sum(shares)
  with np.errstate(over='ignore'):
    places = np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN + np.uint64(tie_break(seed, 'deal'))
  most = np.minimum(ends, 2**64 - 1).astype(np.uint64)
  return np.searchsorted(most, places, side='right').astype(np.int64)


class GroupSearch:
  """Search for the numbers of groups of each histogram in each split.

  Attributes:
    placed: Number of groups of each histogram in each split: int64 [n, splits].
    off: Records of each row in each split less their ideal: float64 [rows, splits].
  """

  def __init__(
    self, histograms: Histograms, n_groups: Ints, ideal: Floats, shares: Sequence[int], seed: int
  ) -> None:
    """Takes the groups, none of which is placed.

    Args:
      histograms: Distinct histograms in an order that does not depend on that of the input.
      n_groups: Number of groups of each: int64 [n].
      ideal: Records that are still to place of each row in each split, in multiples of 1 / UNIT:
        float64 [rows, splits]; the last row is that of all records.
      shares: Weights of the splits.
      seed: Seed of the search.
    """
    self._histograms, self._n_groups = histograms, n_groups
    self._shares, self._seed = shares, seed
    self._records = histograms.records.astype(np.float64)
    self._turn = 0
    self.placed = np.zeros((len(histograms), len(shares)), np.int64)
    self.off = -ideal
    self._ideal = ideal

  def run(self) -> None:
    """Places all the groups, and then exchanges them."""
    self._place()
    pairs = list(itertools.combinations(range(len(self._shares)), 2))
    if not len(self._histograms) or not pairs:
      return
    self._improve(pairs, _ROUNDS)
    if self._n_groups.sum() <= _FEW_GROUPS:
      self._shake(pairs)
    self._improve(pairs, len(pairs), by_ratios=True)
    self._fill_empty()

  def _place(self) -> None:
    whole = sum(self._shares)
    share = np.array([(weight << 20) // whole for weight in self._shares], np.int64)
    base = (self._n_groups[:, None] * share) >> 20
    self._add(base)
    left = self._n_groups - base.sum(axis=1)
    groups = np.repeat(np.arange(len(left)), left)
    sizes = self._histograms.sizes[groups]
    order = groups[np.argsort(-sizes, kind='stable')]
    first, last = _PLACED_ONE_BY_ONE, max(_PLACED_ONE_BY_ONE, len(order) - _PLACED_ONE_BY_ONE)
    between = order[first:last]
    dealt = np.zeros_like(self.placed)
    np.add.at(dealt, (between, deal(len(between), self._shares, self._seed)), 1)
    self._add(dealt)
    self._place_each(np.concatenate([order[:first], order[last:]]))

  def _add(self, more: Ints) -> None:
    """Places so many groups more of each histogram in each split: int64 [n, splits]."""
    self.placed += more
    of, rows = self._histograms.of_entry, self._histograms.rows
    for split in range(more.shape[1]):
      weights = self._records * more[of, split]
      self.off[:, split] += np.bincount(rows, weights, minlength=len(self.off))

  def _place_each(self, groups: Ints) -> None:
    """Places groups of these histograms one by one where they fit best."""
    histograms, records = self._histograms, self._records
    starts, rows = histograms.starts.tolist(), histograms.rows
    off = self.off
    for i in groups.tolist():
      own = slice(starts[i], starts[i + 1])
      at, added = rows[own], records[own]
      split = int((added @ off[at]).argmin())
      off[at, split] += added
      self.placed[i, split] += 1

  def _improve(
    self, pairs: Sequence[tuple[int, int]], rounds: int, by_ratios: bool = False
  ) -> None:
    """Exchanges groups of two splits, those furthest from their ideals first, while it helps."""
    stale: dict[tuple[int, int], int] = {}
    for _ in range(rounds):
      gaps = [
        (((self.off[:, a] - self.off[:, b]) ** 2).sum() / 4 ** stale.get((a, b), 0), a, b)
        for a, b in pairs
        if stale.get((a, b), 0) < 2
      ]
      if not gaps:
        return
      _, a, b = max(gaps)
      if self._exchange(a, b, by_ratios):
        stale = {pair: n for pair, n in stale.items() if not {a, b} & set(pair)}
      else:
        stale[a, b] = stale.get((a, b), 0) + 1

  def _exchange(self, a: int, b: int, by_ratios: bool) -> bool:
    """Exchanges groups of two splits while that helps; returns whether any were.

    Args:
      a: Number of a split.
      b: Number of the other.
      by_ratios: Whether what leaves the sum of squares as it is helps by nearer ratios.
    """
    self._turn += 1
    of_a, of_b = self._candidates(a, b), self._candidates(b, a)
    used, counts_a, counts_b = self._tables(of_a, of_b)
    # To move d from a to b changes the sum of squares by 2 (d . d - d . (off a - off b)).
    products = counts_a @ counts_b.T
    square_a, square_b = ((counts**2).sum(axis=1) for counts in (counts_a, counts_b))
    fixed = square_a[:, None] + square_b - 2 * products
    change, found = np.empty_like(fixed), False
    while True:
      gap = self.off[used, a] - self.off[used, b]
      gain_a = np.where(self._are_there(of_a, a), counts_a @ gap, -np.inf)
      gain_b = np.where(self._are_there(of_b, b), counts_b @ gap, np.inf)
      np.add(fixed, gain_b, out=change)
      change -= gain_a[:, None]
      i, j = divmod(int(change.argmin()), len(of_b))
      if change[i, j] >= 0:
        if not by_ratios:
          return found
        ties = np.argwhere((change == 0) & (fixed > 0))[: _MAX_CELLS // len(self.off)]
        more = np.zeros((len(ties), len(self.off)))
        more[:, used] = counts_b[ties[:, 1]] - counts_a[ties[:, 0]]
        best = self._nearest(more, a, b)
        if best is None:
          return found
        i, j = ties[best].tolist()
      found = True
      for which, one, other in ((of_a[i], a, b), (of_b[j], b, a)):
        for histogram in which[which >= 0].tolist():
          self.placed[histogram, one] -= 1
          self.placed[histogram, other] += 1
      self.off[used, a] += counts_b[j] - counts_a[i]
      self.off[used, b] += counts_a[i] - counts_b[j]

  def _nearest(self, more: Floats, a: int, b: int) -> int | None:
    """Returns the exchange that brings ratios of two splits nearest to those of all, if any does.

    Args:
      more: Records of each row that split a gets from b: float64 [exchanges, rows].
      a: Number of a split.
      b: Number of the other.
    """
    now = (self._ideal + self.off)[:, [a, b]].T[:, np.newaxis]
    both = now + np.stack([more, -more])
    ideal = _ratios(self._ideal.sum(axis=1))
    before, after = (np.abs(_ratios(records) - ideal) for records in (now, both))
    # In whole numbers, whose sums do not depend on the order in which a machine adds.
    sums = [
      np.rint(np.minimum(each, _LARGEST_RATIO) * _RATIO_UNIT).astype(np.int64).sum(axis=(0, 2))
      for each in (before, after)
    ]
    best = int(np.append(sums[0], sums[1]).argmin())
    return best - 1 if best else None

  def _are_there(self, candidates: Ints, split: int) -> npt.NDArray[np.bool_]:
    """Returns whether a split has the groups of each candidate: bool [candidates]."""
    wanted = 1 + (candidates[:, 0] == candidates[:, 1])
    have = np.where(candidates < 0, 2, self.placed[candidates, split])
    found: npt.NDArray[np.bool_] = (have >= wanted[:, None]).all(axis=1)
    return found

  def _candidates(self, a: int, b: int) -> Ints:
    """Returns sets of 0 to 2 groups that may leave a for b: int64 [candidates, 2], -1 for none."""
    there = np.flatnonzero(self.placed[:, a])
    draws = mix(there.astype(np.uint64), tie_break(self._seed, 'candidates', self._turn, a))
    if len(there) > _CANDIDATES:
      histograms = self._histograms
      gap = self.off[:, a] - self.off[:, b]
      products = self._records * (gap[histograms.rows] - self._records)
      gains = sums_of_runs(products, histograms.starts)[there]
      best = np.argpartition(-gains, _CANDIDATES // 2)[: _CANDIDATES // 2]
      drawn = np.argpartition(draws, _CANDIDATES // 2)[: _CANDIDATES // 2]
      chosen = np.union1d(best, drawn)
      there, draws = there[chosen], draws[chosen]
    if not len(there):
      return np.full((1, 2), -1, np.int64)
    numbers = np.arange(min(_CANDIDATES, len(there) ** 2), dtype=np.uint64)
    key = tie_break(self._seed, 'pairs', self._turn, a)
    pairs = [
      there[(mix(numbers, key + i) % np.uint64(len(there))).astype(np.int64)] for i in (0, 1)
    ]
    singles = np.append(-1, there)
    alone = np.full(len(singles), -1, np.int64)
    return np.concatenate([np.stack([singles, alone], 1), np.stack(pairs, 1)])

  def _tables(self, of_a: Ints, of_b: Ints) -> tuple[Ints, Floats, Floats]:
    """Returns the rows that candidates have records of, and the records: [candidates, rows]."""
    which = np.unique(np.concatenate([of_a, of_b]))
    which = which[which >= 0]
    some = self._histograms.take(which)
    used, column = np.unique(some.rows, return_inverse=True)
    dense = np.zeros((len(which) + 1, len(used)))
    dense[some.of_entry, column.reshape(-1)] = some.records
    place = np.where(of_a < 0, len(which), np.searchsorted(which, of_a))
    other = np.where(of_b < 0, len(which), np.searchsorted(which, of_b))
    return used, dense[place].sum(axis=1), dense[other].sum(axis=1)

  def _shake(self, pairs: Sequence[tuple[int, int]]) -> None:
    """Moves some groups at random, and exchanges again, if that leads to a better plan."""
    for turn in range(_KICKS):
      if np.abs(self.off).max() < 1:
        return
      before = self.placed.copy(), self.off.copy()
      self._kick(turn)
      self._improve(pairs, _ROUNDS)
      if (self.off**2).sum() >= (before[1] ** 2).sum():
        self.placed, self.off = before

  def _fill_empty(self) -> None:
    """Moves a group to each split that has none, if the sum of squares does not grow by that.

    It comes from a split that has others.
    """
    histograms = self._histograms
    for b in np.flatnonzero(self.placed.sum(axis=0) == 0).tolist():
      gap = self.off - self.off[:, [b]]
      changes = np.full(self.placed.shape, np.inf)
      for a in np.flatnonzero(self.placed.sum(axis=0) > 1).tolist():
        products = self._records * (self._records - gap[histograms.rows, a])
        there = self.placed[:, a] > 0
        changes[there, a] = sums_of_runs(products, histograms.starts)[there]
      i, a = divmod(int(changes.argmin()), changes.shape[1])
      if changes[i, a] <= 0:
        more = np.zeros_like(self.placed)
        more[i, a], more[i, b] = -1, 1
        self._add(more)

  def _kick(self, turn: int) -> None:
    key = tie_break(self._seed, 'kick', turn)
    n_splits = len(self._shares)
    draws = mix(np.arange(12, dtype=np.uint64), key).reshape(4, 3)
    for draw in draws.tolist():
      here, split = np.nonzero(self.placed)
      at = draw[0] % len(here)
      i, a, b = int(here[at]), int(split[at]), draw[1] % n_splits
      more = np.zeros_like(self.placed)
      more[i, a] -= 1
      more[i, b] += 1
      self._add(more)
