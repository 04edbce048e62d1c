"""Numbers as unsigned 64-bit keys of the same order, and the even sample that buckets are made of.

What is searched by rank has ranks that are spread evenly. Numbers are not: timestamps share their
high bits, and one of 0 among them would put all the others into one bucket. So buckets of numbers
end at the keys of a random sample, each of which has about as many records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.ranks import RANK_BITS, Ints, RankHistogram, UInts, mix
from tfx_balance.plan.runs import concatenated

SAMPLE_BITS = 12
"""Binary logarithm of the number of buckets that a sample gives."""
_SIGN = np.uint64(1 << 63)
_MOST = (1 << SAMPLE_BITS) - 1
_DRAW = tie_break(0, 'sample')


def keys_of(values: npt.NDArray[Any]) -> UInts:
  """Returns a key of each number, in the same order: uint64 [n].

  >>> keys_of(np.array([-1.5, -0.0, 0.0, 2.0])).argsort(kind='stable').tolist()
  [0, 1, 2, 3]

  Args:
    values: Integers, or finite floats as float64: [n].
  """
  if values.dtype.kind != 'f':
    return values.astype(np.int64).view(np.uint64) ^ _SIGN
  bits = (values.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 is 0.0
  found: UInts = np.where(bits & _SIGN, ~bits, bits | _SIGN)
  return found


def numbers_of(keys: UInts, kind: str) -> npt.NDArray[Any]:
  """Returns the numbers that have some keys: int64 or float64 [n].

  >>> numbers_of(keys_of(np.array([-1.5, 2.0])), 'float').tolist()
  [-1.5, 2.0]

  Args:
    keys: Keys: uint64 [n].
    kind: Type of the numbers, 'int' or 'float'; 'uint' where keys are the numbers.
  """
  if kind == 'uint':
    return keys
  if kind == 'int':
    return (keys ^ _SIGN).view(np.int64)
  return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)


@dataclass(frozen=True, eq=False)
class NumberSample:
  """Keys of records drawn at random, as many as make 2**SAMPLE_BITS buckets, or all of few.

  Which records are drawn changes how quickly a number is found, and not which.

  Attributes:
    draws: Random number of each, by which they were drawn: uint64 [m], ascending.
    keys: Key of each: uint64 [m].
  """

  draws: UInts
  keys: UInts

  @classmethod
  def of(cls, numbers: UInts, keys: UInts) -> NumberSample:
    """Returns a sample of records, given a unique number and the key of each: uint64 [n]."""
    return cls._lowest(mix(numbers, _DRAW), keys)

  @classmethod
  def merge(cls, several: Iterable[NumberSample]) -> NumberSample:
    """Returns a sample of the records that some samples, one at least, are of."""
    return cls._lowest(*concatenated(several, 'draws', 'keys'))

  @classmethod
  def _lowest(cls, draws: UInts, keys: UInts) -> NumberSample:
    order = np.argsort(draws, kind='stable')[:_MOST]
    return cls(draws[order], keys[order])

  @property
  def repeats(self) -> bool:
    """Whether a key is there twice, as that of a thousandth of the records is nearly surely."""
    return len(np.unique(self.keys)) < len(self.keys)

  def pivots(self) -> UInts:
    """Returns the keys at which buckets begin: uint64 [up to _MOST], ascending."""
    return np.sort(self.keys)


def pair_buckets(
  layout: RankHistogram, rows: Ints, rank: UInts, order: UInts | None, pivots: UInts | None
) -> Ints:
  """Returns the bucket of each record: int64 [n].

  Args:
    layout: Buckets of the rows.
    rows: Row of each record: int64 [n].
    rank: Its rank: uint64 [n].
    order: What comes before the rank: uint64 [n]; None for nothing.
    pivots: Keys at which buckets of that begin; None where it is spread evenly, as ranks are.
  """
  if order is not None:
    rank = order if pivots is None else spread_ranks(order, rank, pivots)
  return layout.buckets(rows, rank)


def spread_ranks(keys: UInts, rank: UInts, pivots: UInts) -> UInts:
  """Returns ranks in the order of pairs that are spread evenly, equal for a bucket's pairs.

  Where several pivots are of one key, records of it are parted by their own ranks.

  Args:
    keys: uint64 [n].
    rank: Rank of each record, below 2**RANK_BITS: uint64 [n].
    pivots: Keys at which buckets begin, as from `NumberSample.pivots`.

  Returns:
    Ranks below 2**RANK_BITS, as buckets of a `RankHistogram` are made of: uint64 [n].
  """
  places = np.searchsorted(pivots, keys, side='left').astype(np.uint64)
  equal = np.searchsorted(pivots, keys, side='right').astype(np.uint64) - places
  inner = (rank >> np.uint64(RANK_BITS - SAMPLE_BITS)) * equal >> np.uint64(SAMPLE_BITS)
  places += inner + (equal > 0)
  places = places * np.uint64(_MOST + 1) // np.uint64(len(pivots) + 1)
  return places << np.uint64(RANK_BITS - SAMPLE_BITS)
