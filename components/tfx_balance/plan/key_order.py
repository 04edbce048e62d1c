"""The order of records in output files: by keys, which are keyed hashes of the records' bytes.

A key says where a record goes: its upper half in which file and in which part of it, its lower half
where in that part. So the same records and the same seed give the same files, however the records
come in. Records of equal bytes have one key, and are interchangeable: they are numbered within the
part of a file where they meet, and mixed with the others by key and number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.ranks import Ints, UInts, mix, stable_order
from tfx_balance.plan.runs import places_in_runs, starts_of_runs

_HALF = np.uint64(32)


def parts_of_keys(keys: UInts, n: int | npt.NDArray[np.uint64]) -> Ints:
  """Returns the number of each key's range, of n equal ones of all keys: int64 [m], 0 to n - 1.

  >>> parts_of_keys(np.array([0, 2**63 - 1, 2**63], np.uint64), 2).tolist()
  [0, 0, 1]

  Args:
    keys: uint64 [m].
    n: Number of ranges, below 2**32: one, or uint64 [m].
  """
  parts = keys >> _HALF
  parts *= n if isinstance(n, np.ndarray) else np.uint64(n)
  parts >>= _HALF
  return parts.view(np.int64)


def order_of_block(keys: UInts, leading: Ints | None = None) -> Ints:
  """Returns the order of a block: by leading numbers, then by the upper 16 bits of the keys.

  Args:
    keys: uint64 [n].
    leading: Number of each record, 0 or above, that is compared first: int64 [n]; None for none.

  Returns:
    int64 [n]. Neighbours in it are nearly all of one range of `parts_of_keys`.
  """
  order = stable_order((keys >> np.uint64(48)).view(np.int64))
  return order if leading is None else order[stable_order(leading[order])]


def mixed_order(keys: UInts, outputs: Ints, times: Ints | None = None) -> Ints:
  """Returns a random order of records, those of one output after another.

  It is a function of the set of (key, output, times): records that have all of these in common
  are taken to be equal.

  >>> keys, times = np.arange(3, dtype=np.uint64), np.array([2, 0, 1])
  >>> sorted(mixed_order(keys, np.zeros(3, np.int64), times).tolist())
  [0, 0, 2]

  Args:
    keys: uint64 [n].
    outputs: Output of each record, 0 or above: int64 [n].
    times: How often each record is there: int64 [n]; None for once each.

  Returns:
    int64 [n], or [sum of the times].
  """
  order = _by_lower_half(keys)
  low = keys[order].astype(np.uint32)
  equal = low[1:] == low[:-1]
  repeated = False
  if equal.any():
    among = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    tied = order[among]
    tied = tied[np.lexsort((outputs[tied], keys[tied], low[among]))]
    order[among] = tied
    repeated = bool((keys[tied[1:]] == keys[tied[:-1]]).any())
  if times is not None:
    order = np.repeat(order, times[order])
  if times is not None or repeated:
    order = order[_by_lower_half(_numbered(keys[order], outputs[order]))]
  return order[stable_order(outputs[order])]


def _numbered(keys: UInts, outputs: Ints) -> UInts:
  """Returns keys of which neighbours with the same key and output differ: uint64 [n]."""
  numbers = places_in_runs(starts_of_runs(keys, outputs), len(keys))
  return np.where(numbers > 0, mix(keys, numbers.view(np.uint64)), keys)


def _by_lower_half(keys: UInts) -> Ints:
  """Returns the stable order of the lower 32 bits of keys, 16 at a time: int64 [n]."""
  order = np.argsort(keys.astype(np.uint16), kind='stable')
  return order[np.argsort((keys >> np.uint64(16)).astype(np.uint16)[order], kind='stable')]
