"""Orders of numbers, found several times faster than a stable sort finds them, and the same.

Of 65,536 numbers of 64 bits numpy's stable sort makes 84 ns each, its unstable one 15 where the
processor has AVX-512, and its stable one 4 when they have 16 bits (ran).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.ranks import UInts

Ints = npt.NDArray[np.int64]


def record_numbers(rank: int, first: int, n: int) -> UInts:
  """Returns a number for each of n records of an input file, which no other record has: uint64 [n].

  Args:
    rank: of the file.
    first: position of the first of these records.
    n: how many there are.
  """
  return np.arange(first, first + n, dtype=np.uint64) + np.uint64(rank << 40)


def order_of_keys(keys: UInts) -> Ints:
  """Returns the positions of the keys in ascending order, equal ones as they come: int64 [n].

  Keys are random, so that equal ones hardly ever are among them.

  Args:
    keys: uint64 [n].
  """
  order = np.argsort(keys)
  ordered = keys[order]
  if (ordered[1:] == ordered[:-1]).any():
    return np.argsort(keys, kind='stable')
  return order


def order_of_groups(groups: Ints) -> Ints:
  """Returns the positions of the groups in ascending order, equal ones as they come: int64 [n].

  Args:
    groups: int64 [n], 0 or above; fast where they are below 65,536.
  """
  small = groups.max(initial=0) < 1 << 16
  return np.argsort(groups.astype(np.uint16) if small else groups, kind='stable')
