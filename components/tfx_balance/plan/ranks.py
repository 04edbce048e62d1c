"""Partitions of each stratum by pairs of an order and a keyed hash: which records a quota takes.

Every record has a 64-bit hash of its bytes. A key, made from the seed and a purpose, turns hashes
into ranks. Some selections also have an order, such as the times of records, or the ranks of their
keys where the bytes do not identify a record; it comes before the rank, and is 0 for all records of
the others. In the order of these pairs, the first records of a
stratum are partition 0, as many as its quota, the next are partition 1, and so on. So the answer
depends on the set of records and the seed, not on their order, files or runner. To find the pair at
which each partition ends without sorting all the records in one place:

  1. `RankHistogram` divides each stratum's pairs into about sqrt(n) buckets, which are counted;
  2. `boundary_buckets` says in which bucket is the first record behind each partition, and how many
     of the bucket are before it;
  3. `find_thresholds` gives, from the pairs of just these buckets, that of this record;
  4. `Assigner` compares pairs with thresholds, a batch at a time.

Records with equal bytes have equal ranks. They stay together, but where a partition ends among
them: then the first of them, shard by shard in the order in which they are kept, go to the lower
partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.narrow_integers import from_steps, narrow, steps, wide
from tfx_balance.plan.runs import (
  concatenated,
  numbers_of_equal,
  places_of_runs,
  starts_of_runs,
  sums_of_runs,
)


def stable_order(numbers: Ints) -> Ints:
  """Returns the stable ascending order of whole numbers: int64 [n].

  Args:
    numbers: int64 [n], 0 or above; fast where they are below 65,536.
  """
  small = numbers.max(initial=0) < 1 << 16
  return np.argsort(numbers.astype(np.uint16) if small else numbers, kind='stable')


RANK_BITS = 63
"""Ranks are below 2**63, so that the end of the last one still fits into 64 bits."""

_CONTENT_BITS = 32  # of a rank, where records of one identity differ

UInts = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


def mix(values: UInts, key: int | UInts) -> UInts:
  """Returns a 64-bit value for each value: a bijection that looks random, another for each key.

  SplitMix64 (Steele, Lea and Flood 2014).
  """
  with np.errstate(over='ignore'):
    return finalized((values ^ np.uint64(key)) + np.uint64(0x9E3779B97F4A7C15))


def finalized(z: UInts) -> UInts:
  """Returns SplitMix64's finalizer of the values; on scalars NumPy warns of the overflow."""
  z = z ^ (z >> np.uint64(30))  # from here on in place: new memory costs as much as the arithmetic
  z *= np.uint64(0xBF58476D1CE4E5B9)
  z ^= z >> np.uint64(27)
  z *= np.uint64(0x94D049BB133111EB)
  z ^= z >> np.uint64(31)
  return z


def ranks(hashes: UInts, seed: int, purpose: str, content: UInts | None = None) -> UInts:
  """Returns the rank of each record, 0 to 2**63 - 1, independent between purposes.

  Args:
    hashes: uint64 [n], hashes of what identifies the records.
    seed: Seed of the user.
    purpose: Purpose of the draw, such as 'split'.
    content: uint64 [n], hashes of the records' bytes, where these do not identify them and
      something else comes before the rank. They are the lower half of it: among records of one
      identity they decide, not the files.
  """
  key = tie_break(seed, 'rank', purpose)
  found = mix(hashes, key) >> np.uint64(64 - RANK_BITS)
  if content is not None:
    lower = np.uint64(_CONTENT_BITS)
    found = found >> lower << lower | mix(content, key) >> np.uint64(64) - lower
  return found


@dataclass(frozen=True)
class RankHistogram:
  """The buckets of all strata in one flat histogram of ranks.

  A stratum of n records has 2**bits buckets, sqrt(n) to 2 sqrt(n), so that both the histogram and
  what one bucket holds stay small: for 10,000 strata of 5,000 records, 1,280,000 counters.

  Attributes:
    bits: uint64 [strata], binary logarithm of each stratum's number of buckets.
    offsets: int64 [strata + 1], index of each stratum's first bucket.
  """

  bits: UInts
  offsets: Ints

  def __reduce__(self) -> tuple[Any, ...]:
    return RankHistogram._of_bits, (self.bits.astype(np.uint8),)

  @classmethod
  def of(cls, records: Sequence[int] | Ints) -> RankHistogram:
    """Returns the buckets for strata of these many records."""
    others = np.maximum(np.asarray(records, np.int64) - 1, 0)
    return cls._of_bits((np.frexp(others)[1] + 1) // 2)

  @classmethod
  def _of_bits(cls, bits: npt.NDArray[Any]) -> RankHistogram:
    bits = bits.astype(np.uint64)
    sizes = np.left_shift(np.uint64(1), bits).astype(np.int64)
    return cls(bits, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))

  @property
  def n_buckets(self) -> int:
    """The buckets of all the strata."""
    return int(self.offsets[-1])

  def between(self, low: int, high: int) -> RankHistogram:
    """Returns the buckets of the strata from low to high - 1, which are numbered from 0 then."""
    return RankHistogram(self.bits[low:high], self.offsets[low : high + 1] - self.offsets[low])

  def buckets(self, strata: Ints, rank: UInts) -> Ints:
    """Returns the bucket of each record: int64 [n] from strata and ranks [n]."""
    within = rank >> (np.uint64(RANK_BITS) - self.bits[strata])
    return self.offsets[strata] + within.astype(np.int64)


def fine_buckets(records: Ints, n_files: int) -> RankHistogram:
  """Returns buckets for one of several files, of which those for all of them are unions.

  They are where a stratum has no more than 4 times as many records in the other files on average.

  Args:
    records: Number of records of each stratum in the file: int64 [strata].
    n_files: Number of files.
  """
  return RankHistogram.of(records * (4 * n_files))


def boundary_buckets(
  histogram: RankHistogram, counts: Ints, quotas: Ints, at_first: bool = False
) -> tuple[Ints, Ints]:
  """Returns the bucket of the first record behind each partition, and how many there are before it.

  Args:
    histogram: Buckets of the strata.
    counts: int64 [buckets], records in each.
    quotas: int64 [strata, partitions], records; rows sum to the stratum's records.
    at_first: Whether an end before the first record is searched for, too.

  Returns:
    buckets and positions in them, both int64 [strata, partitions - 1]; -1 and 0 for an end without
    search, before the first record or after the last.
  """
  ends = np.cumsum(quotas, axis=1)
  before = np.concatenate([[0], np.cumsum(counts)])
  wanted = before[histogram.offsets[:-1]][:, None] + ends[:, :-1]
  bucket = np.searchsorted(before, wanted, side='right') - 1
  inner = (ends[:, :-1] + at_first > 0) & (ends[:, :-1] < ends[:, -1:])
  bucket = np.where(inner, bucket, -1)
  return bucket, np.where(inner, wanted - before[bucket], 0)


@dataclass(frozen=True)
class Candidates:
  """The pairs that one shard, or several, hold in boundary buckets.

  Attributes:
    buckets: int64 [m], ascending.
    orders: uint64 [m], ascending within a bucket.
    ranks: uint64 [m], ascending within an order; a (bucket, order, rank, shard) is there once.
    shards: int64 [m], shard that holds them.
    counts: int64 [m], records with that pair.
  """

  buckets: Ints
  orders: UInts
  ranks: UInts
  shards: Ints
  counts: Ints

  def __reduce__(self) -> tuple[Any, ...]:
    orders = self.orders if self.orders.any() else self.orders.astype(np.uint8)
    integers = steps(self.buckets), narrow(self.shards), narrow(self.counts)
    return _from_narrow, (orders, self.ranks, *integers)

  def __len__(self) -> int:
    return len(self.counts)

  @property
  def columns(self) -> tuple[npt.NDArray[Any], ...]:
    """The columns, in the order of the attributes."""
    return self.buckets, self.orders, self.ranks, self.shards, self.counts

  @classmethod
  def collect(
    cls, buckets: Ints, rank: UInts, shard: int, order: UInts | None = None
  ) -> Candidates:
    """Returns the candidates among one shard's records: buckets and pairs [n], in any order."""
    n = len(rank)
    orders = np.zeros(n, np.uint64) if order is None else order
    shards, ones = np.full(n, shard, np.int64), np.ones(n, np.int64)
    return cls.merge([cls(buckets, orders, rank, shards, ones)])

  @classmethod
  def merge(cls, by_shard: Iterable[Candidates]) -> Candidates:
    """Returns the candidates of several shards, or of parts of one, in canonical order."""
    none = np.empty(0, np.int64)
    nothing = none, none.view(np.uint64), none.view(np.uint64), none, none
    several = [nothing, *(candidates.columns for candidates in by_shard)]
    columns = [np.concatenate(column) for column in zip(*several, strict=True)]
    order = np.lexsort(columns[3::-1])
    columns = [column[order] for column in columns]
    starts = starts_of_runs(*columns[:4])
    sums = sums_of_runs(columns[4], np.append(starts, len(order)))
    buckets, orders, rank, shards = (column[starts] for column in columns[:4])
    return cls(buckets, orders, rank, shards, sums)

  def between(self, low: int, high: int) -> Candidates:
    """Returns the candidates in the buckets from low to high - 1."""
    of = slice(*np.searchsorted(self.buckets, [low, high]).tolist())
    return Candidates(*(column[of] for column in self.columns))


def _from_narrow(orders: npt.NDArray[Any], rank: UInts, *integers: npt.NDArray[Any]) -> Candidates:
  buckets, shards, counts = integers
  orders = orders.astype(np.uint64)
  return Candidates(from_steps(buckets), orders, rank, wide(shards), wide(counts))


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Thresholds:
  """The ends of the partitions of each stratum: pairs of the first records behind them.

  A tie is an end among records of equal pairs, of which some shards' are below the end. There are
  few of these.

  Attributes:
    orders: uint64 [strata, partitions - 1]; `LAST_ORDER` where an end is behind all records.
    ends: uint64 [strata, partitions - 1]; of records of the order orders[s, p], those of a rank
      below ends[s, p] are in partition p or a lower one.
    ties: Ends that are ties, stratum * (partitions - 1) + partition: int64 [ties].
    of_tie: Tie of each shard with records below one, a number below that of ties: int64 [m].
    shards: The shard: int64 [m].
    taken: Number of the shard's equal records, the first ones, that are below the end: int64 [m].
  """

  orders: UInts
  ends: UInts
  ties: Ints = field(default_factory=_NONE.copy)
  of_tie: Ints = field(default_factory=_NONE.copy)
  shards: Ints = field(default_factory=_NONE.copy)
  taken: Ints = field(default_factory=_NONE.copy)

  @classmethod
  def join(cls, several: Sequence[Thresholds]) -> Thresholds:
    """Returns the thresholds of strata that follow each other."""
    n_ends = np.cumsum([0, *(part.ends.size for part in several)])
    n_ties = np.cumsum([0, *(len(part.ties) for part in several)])
    pairs = list(zip(several, n_ends.tolist(), n_ties.tolist(), strict=False))
    orders, ends, shards, taken = concatenated(several, 'orders', 'ends', 'shards', 'taken')
    ties = np.concatenate([part.ties + first for part, first, _ in pairs])
    of_tie = np.concatenate([part.of_tie + first for part, _, first in pairs])
    return cls(orders, ends, ties, of_tie, shards, taken)

  def taken_by(self, strata: Ints, shard: int) -> Ints:
    """Returns the number of a shard's records below an end, of those with the end's pair.

    None, but where a tie is: int64 [n, partitions - 1] from strata [n].
    """
    n_ends = self.ends.shape[1]
    taken = np.zeros((len(strata), n_ends), np.int64)
    if len(self.ties):
      own = np.flatnonzero(self.shards == shard)
      of_tie = np.zeros(len(self.ties), np.int64)
      of_tie[self.of_tie[own]] = self.taken[own]
      of_end = strata[:, None] * n_ends + np.arange(n_ends)
      at = np.minimum(np.searchsorted(self.ties, of_end), len(of_tie) - 1)
      is_tie = self.ties[at] == of_end
      taken[is_tie] = of_tie[at[is_tie]]
    return taken


LAST_ORDER = np.uint64(0xFFFFFFFFFFFFFFFF)


def find_thresholds(
  quotas: Ints, buckets: Ints, positions: Ints, candidates: Candidates
) -> Thresholds:
  """Returns the pairs at which the partitions end.

  Args:
    quotas: int64 [strata, partitions].
    buckets: int64 [strata, partitions - 1], as from `boundary_buckets`.
    positions: int64 [strata, partitions - 1], as from `boundary_buckets`.
    candidates: All the pairs of these buckets.
  """
  orders, ends = np.zeros((2, *buckets.shape), np.uint64)
  behind = np.cumsum(quotas, axis=1)[:, :-1] == quotas.sum(axis=1)[:, None]
  orders[behind], ends[behind] = LAST_ORDER, 1 << RANK_BITS
  strata, partitions = np.nonzero(buckets >= 0)
  near = candidates
  before = np.append(0, np.cumsum(near.counts))  # records with lower pairs, bucket after bucket
  first = np.searchsorted(near.buckets, buckets[strata, partitions])
  wanted = before[first] + positions[strata, partitions]
  at = np.searchsorted(before, wanted, side='right') - 1
  orders[strata, partitions], ends[strata, partitions] = near.orders[at], near.ranks[at]
  # Records of equal pairs are neighbours, shard by shard: a run of them goes from edge to edge.
  edges = np.append(starts_of_runs(near.buckets, near.orders, near.ranks), len(near))
  run = np.searchsorted(edges, at, side='right') - 1
  tied = np.flatnonzero(before[edges[run]] < wanted)  # by stratum, then by partition
  low, sizes = edges[run[tied]], edges[run[tied] + 1] - edges[run[tied]]
  of, entry = np.repeat(np.arange(len(tied)), sizes), places_of_runs(low, sizes)
  taken = np.clip(wanted[tied][of] - before[entry], 0, near.counts[entry])
  some = np.flatnonzero(taken)
  places = strata[tied] * buckets.shape[1] + partitions[tied]
  return Thresholds(orders, ends, places, of[some], near.shards[entry[some]], taken[some])


class Assigner:
  """Assigns the records of one shard to partitions, a batch at a time, always in one order."""

  def __init__(self, thresholds: Thresholds, strata: Ints, shard: int) -> None:
    """Takes the thresholds of the shard's strata alone, which are numbered from 0 from here on."""
    self._orders, self._ends = thresholds.orders[strata], thresholds.ends[strata]
    self._taken = thresholds.taken_by(strata, shard)
    self._seen = np.zeros(self._ends.shape, np.int64)

  def assign(self, strata: Ints, rank: UInts, order: UInts | None = None) -> Ints:
    """Returns the partition of each record, int64 [n], from strata, as numbered here, and pairs."""
    partition = np.zeros(len(rank), np.int64)
    for end in range(self._ends.shape[1]):  # a column at a time: no [n, partitions] array
      ends = self._ends[strata, end]
      behind, equal = rank >= ends, rank == ends
      if order is not None:
        orders = self._orders[strata, end]
        behind = (order > orders) | ((order == orders) & behind)
        equal &= order == orders
      partition += behind
      last = np.flatnonzero(equal)
      partition[last] -= self._number(strata[last], end) < self._taken[strata[last], end]
    return partition

  def _number(self, strata: Ints, end: int) -> Ints:
    """Returns the number of earlier records with the pair of an end, for each: int64 [n]."""
    number: Ints = numbers_of_equal(strata) + self._seen[strata, end]
    np.add.at(self._seen[:, end], strata, 1)
    return number
