"""Stable orders of numbers, several times faster than a stable sort.

For 65,536 numbers of 64 bits NumPy's stable sort takes 84 ns each, its unstable one 15 where the
processor has AVX-512, and its stable one 4 when they have 16 bits (measured).
"""

from __future__ import annotations

import numpy as np

from tfx_balance.plan.ranks import Ints, UInts


def record_numbers(rank: int, first: int, n: int) -> UInts:
  """Returns a unique number for each of n records of an input file: uint64 [n].

  Args:
    rank: Rank of the file.
    first: Position of the first of these records.
    n: Number of records.
  """
  return np.arange(first, first + n, dtype=np.uint64) + np.uint64(rank << 40)


def order_of_keys(keys: UInts) -> Ints:
  """Returns the stable ascending order of keys: int64 [n].

  Args:
    keys: uint64 [n], random, so that equal ones are rare.
  """
  order = np.argsort(keys)
  ordered = keys[order]
  if (ordered[1:] == ordered[:-1]).any():
    return np.argsort(keys, kind='stable')
  return order


def order_of_groups(groups: Ints) -> Ints:
  """Returns the stable ascending order of groups: int64 [n].

  Args:
    groups: int64 [n], 0 or above; fast where they are below 65,536.
  """
  small = groups.max(initial=0) < 1 << 16
  return np.argsort(groups.astype(np.uint16) if small else groups, kind='stable')
