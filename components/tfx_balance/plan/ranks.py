"""Partitions of each stratum by keyed hash: which records a quota takes.

Every record has a 64-bit hash of its bytes. A key, made from the seed and a purpose, turns hashes
into ranks. In the order of their ranks, the first records of a stratum are partition 0, as many as
its quota, the next are partition 1, and so on. So the answer depends on the set of records and the
seed, not on their order, files or runner. To find the rank at which each partition ends without
sorting all the records in one place:

  1. `RankHistogram` cuts each stratum's ranks into about sqrt(n) buckets, which are counted;
  2. `boundary_buckets` says in which bucket each partition ends, and after how many of its ranks;
  3. `find_thresholds` gives, from the ranks of just these buckets, the rank where a partition ends;
  4. `Assigner` compares ranks with thresholds, a batch at a time.

Records with equal bytes have equal ranks. They stay together, but where a partition ends among
them: then the first of them, shard by shard in the order in which they are kept, go to the lower
partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.narrow_columns import from_steps, narrow, steps, wide


def record_numbers(rank: int, first: int, n: int) -> UInts:
  """Returns a unique number for each of n records of an input file: uint64 [n].

  Args:
    rank: Rank of the file.
    first: Position of the first of these records.
    n: Number of records.
  """
  return np.arange(first, first + n, dtype=np.uint64) + np.uint64(rank << 40)


def order_of_groups(groups: Ints) -> Ints:
  """Returns the stable ascending order of groups: int64 [n].

  Args:
    groups: int64 [n], 0 or above; fast where they are below 65,536.
  """
  small = groups.max(initial=0) < 1 << 16
  return np.argsort(groups.astype(np.uint16) if small else groups, kind='stable')


RANK_BITS = 63
"""Ranks are below 2**63, so that the end of the last one still fits into 64 bits."""

_IDENTITY_BITS = 40  # of a rank, where records of one identity differ

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
    content: uint64 [n], hashes of the records' bytes, where these do not identify them. They are
      the lower 23 bits of a rank: among records of one identity they decide, not the files.
  """
  key = tie_break(seed, 'rank', purpose)
  found = mix(hashes, key) >> np.uint64(64 - RANK_BITS)
  if content is not None:
    lower = np.uint64(RANK_BITS - _IDENTITY_BITS)
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
    return cls._of_bits((_bit_lengths(others) + 1) // 2)

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


def _bit_lengths(values: Ints) -> Ints:
  """Returns the number of bits of each value: int64 [n], 0 for 0."""
  left, lengths = values.copy(), np.zeros(len(values), np.int64)
  for bits in (32, 16, 8, 4, 2, 1):
    more = bits * (left >= 1 << bits)
    lengths += more
    left >>= more
  return lengths + left


def boundary_buckets(histogram: RankHistogram, counts: Ints, quotas: Ints) -> tuple[Ints, Ints]:
  """Returns the bucket in which each partition ends, and the number of its ranks in that bucket.

  Args:
    histogram: Buckets of the strata.
    counts: int64 [buckets], records in each.
    quotas: int64 [strata, partitions], records; rows sum to the stratum's records.

  Returns:
    buckets and positions, both int64 [strata, partitions - 1]; -1 and 0 for an end without search,
    before the first record or after the last.
  """
  ends = np.cumsum(quotas, axis=1)
  before = np.concatenate([[0], np.cumsum(counts)])
  first = before[histogram.offsets[:-1]][:, None]
  wanted = first + ends[:, :-1]
  bucket = np.searchsorted(before, wanted, side='left') - 1
  inner = (ends[:, :-1] > 0) & (ends[:, :-1] < ends[:, -1:])
  bucket = np.where(inner, bucket, -1)
  return bucket, np.where(inner, wanted - before[bucket], 0)


@dataclass(frozen=True)
class Candidates:
  """The ranks that one shard, or several, hold in boundary buckets.

  Attributes:
    buckets: int64 [m], ascending.
    ranks: uint64 [m], ascending within a bucket; a (bucket, rank, shard) is there once.
    shards: int64 [m], shard that holds them.
    counts: int64 [m], records with that rank.
  """

  buckets: Ints
  ranks: UInts
  shards: Ints
  counts: Ints

  def __reduce__(self) -> tuple[Any, ...]:
    narrow_columns = (steps(self.buckets), self.ranks, narrow(self.shards), narrow(self.counts))
    return _from_narrow, narrow_columns

  def __len__(self) -> int:
    return len(self.counts)

  @classmethod
  def collect(cls, buckets: Ints, rank: UInts, shard: int) -> Candidates:
    """Returns the candidates among one shard's records: buckets and ranks [n], in any order."""
    order = np.lexsort((rank, buckets))
    buckets, rank = buckets[order], rank[order]
    new = np.ones(len(rank), bool)
    new[1:] = (rank[1:] != rank[:-1]) | (buckets[1:] != buckets[:-1])
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(rank))).astype(np.int64)
    return cls(buckets[starts], rank[starts], np.full(len(starts), shard, np.int64), counts)

  @classmethod
  def merge(cls, by_shard: Iterable[Candidates]) -> Candidates:
    """Returns the candidates of several shards in canonical order."""
    several = list(by_shard)
    if not several:
      return cls.collect(np.empty(0, np.int64), np.empty(0, np.uint64), 0)
    columns = [
      np.concatenate([getattr(candidates, name) for candidates in several])
      for name in ('buckets', 'ranks', 'shards', 'counts')
    ]
    buckets, rank, shards, counts = columns
    order = np.lexsort((shards, rank, buckets))
    return cls(buckets[order], rank[order], shards[order], counts[order])

  def between(self, low: int, high: int) -> Candidates:
    """Returns the candidates in the buckets from low to high - 1."""
    of = slice(*np.searchsorted(self.buckets, [low, high]).tolist())
    return Candidates(self.buckets[of], self.ranks[of], self.shards[of], self.counts[of])


def _from_narrow(
  buckets: npt.NDArray[Any], rank: UInts, shards: npt.NDArray[Any], counts: npt.NDArray[Any]
) -> Candidates:
  return Candidates(from_steps(buckets), rank, wide(shards), wide(counts))


@dataclass(frozen=True, eq=False)
class Cuts:
  """Ends of partitions among records of equal rank, of which some shards' are below the end.

  Attributes:
    ends: Ends that are among equal records: int64 [cuts], stratum * (partitions - 1) + partition.
    of: Cut of each entry, a number below that of cuts: int64 [m].
    shards: Shard of each entry: int64 [m].
    taken: Number of the shard's equal records, the first ones, that are below the end: int64 [m].
  """

  ends: Ints
  of: Ints
  shards: Ints
  taken: Ints


@dataclass(frozen=True, eq=False)
class Thresholds:
  """The ends of the partitions of each stratum.

  Attributes:
    ends: uint64 [strata, partitions - 1]; a rank below ends[s, p] is in partition p or a lower one.
    cuts: Ends among records of equal rank, of which there are few.
  """

  ends: UInts
  cuts: Cuts

  @classmethod
  def join(cls, several: Sequence[Thresholds]) -> Thresholds:
    """Returns the thresholds of strata that follow each other."""
    n_ends = np.cumsum([0, *(part.ends.size for part in several)])
    n_cuts = np.cumsum([0, *(len(part.cuts.ends) for part in several)])
    pairs = list(zip(several, n_ends.tolist(), n_cuts.tolist(), strict=False))
    cuts = Cuts(
      np.concatenate([part.cuts.ends + first for part, first, _ in pairs]),
      np.concatenate([part.cuts.of + first for part, _, first in pairs]),
      np.concatenate([part.cuts.shards for part in several]),
      np.concatenate([part.cuts.taken for part in several]),
    )
    return cls(np.concatenate([part.ends for part in several]), cuts)

  def taken(self, strata: Ints, shard: int) -> Ints:
    """Returns how many of a shard's records just below an end are below it.

    All of them, but where a cut is: int64 [n, partitions - 1] from strata [n].
    """
    n_ends = self.ends.shape[1]
    taken = np.full((len(strata), n_ends), np.iinfo(np.int64).max)
    if len(self.cuts.ends):
      own = np.flatnonzero(self.cuts.shards == shard)
      of_cut = np.zeros(len(self.cuts.ends), np.int64)
      of_cut[self.cuts.of[own]] = self.cuts.taken[own]
      of_end = strata[:, None] * n_ends + np.arange(n_ends)
      at = np.minimum(np.searchsorted(self.cuts.ends, of_end), len(of_cut) - 1)
      is_cut = self.cuts.ends[at] == of_end
      taken[is_cut] = of_cut[at[is_cut]]
    return taken


def find_thresholds(
  quotas: Ints, buckets: Ints, positions: Ints, candidates: Candidates
) -> Thresholds:
  """Returns the ranks at which the partitions end.

  Args:
    quotas: int64 [strata, partitions].
    buckets: int64 [strata, partitions - 1], as from `boundary_buckets`.
    positions: int64 [strata, partitions - 1], as from `boundary_buckets`.
    candidates: All the ranks of these buckets.
  """
  ends = np.zeros(buckets.shape, np.uint64)
  ends[np.cumsum(quotas, axis=1)[:, :-1] == quotas.sum(axis=1)[:, None]] = 1 << RANK_BITS
  strata, partitions = np.nonzero(buckets >= 0)
  near = candidates
  before = np.append(0, np.cumsum(near.counts))  # records with lower ranks, bucket after bucket
  first = np.searchsorted(near.buckets, buckets[strata, partitions])
  wanted = before[first] + positions[strata, partitions]
  at = np.searchsorted(before, wanted) - 1
  ends[strata, partitions] = near.ranks[at] + np.uint64(1)
  # Records of equal rank are neighbours, shard by shard: a run of them goes from edge to edge.
  new = (near.ranks[1:] != near.ranks[:-1]) | (near.buckets[1:] != near.buckets[:-1])
  edges = np.concatenate([[0], np.flatnonzero(new) + 1, [len(near.ranks)]])
  run = np.searchsorted(edges, at, side='right') - 1
  cut = np.flatnonzero(wanted < before[edges[run + 1]])  # by stratum, then by partition
  low, sizes = edges[run[cut]], edges[run[cut] + 1] - edges[run[cut]]
  of = np.repeat(np.arange(len(cut)), sizes)
  entry = np.arange(len(of)) + np.repeat(low - np.cumsum(sizes) + sizes, sizes)
  taken = np.clip(wanted[cut][of] - before[entry], 0, near.counts[entry])
  some = np.flatnonzero(taken)
  places = strata[cut] * buckets.shape[1] + partitions[cut]
  return Thresholds(ends, Cuts(places, of[some], near.shards[entry[some]], taken[some]))


class Assigner:
  """Assigns the records of one shard to partitions, a batch at a time, always in one order."""

  def __init__(self, thresholds: Thresholds, strata: Ints, shard: int) -> None:
    """Takes the thresholds of the shard's strata alone, which are numbered from 0 from here on."""
    self._ends = thresholds.ends[strata]
    self._taken = thresholds.taken(strata, shard)
    self._seen = np.zeros(self._ends.shape, np.int64)

  def assign(self, strata: Ints, rank: UInts) -> Ints:
    """Returns the partition of each record: int64 [n] from strata, as numbered here, and ranks."""
    partition = np.zeros(len(rank), np.int64)
    for end in range(self._ends.shape[1]):  # a column at a time: no [n, partitions] array
      ends = self._ends[strata, end]
      partition += rank >= ends
      last = np.flatnonzero(rank + np.uint64(1) == ends)
      partition[last] += self._number(strata[last], end) >= self._taken[strata[last], end]
    return partition

  def _number(self, strata: Ints, end: int) -> Ints:
    """Returns how many records just below an end of their stratum came before each: int64 [n]."""
    order = np.argsort(strata, kind='stable')
    grouped, starts, counts = np.unique(strata[order], return_index=True, return_counts=True)
    number = np.empty(len(strata), np.int64)
    number[order] = np.arange(len(strata)) - np.repeat(starts, counts)
    number += self._seen[strata, end]
    self._seen[grouped, end] += counts
    return number
