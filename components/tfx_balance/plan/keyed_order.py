"""Orders and draws that are functions of (seed, what is drawn for), a whole batch at a time.

A permutation is never stored: the place of one item follows from a key, so a class of a million
records costs as little to shuffle as one of ten, and any batch can be found again without replay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ROUNDS = 8  # of the Feistel network; Luby and Rackoff (1988) ask for 4, tiny ranges for more
_TURN = [np.uint64((turn + 1) * 0xD1B54A32D192ED03 % 2**64) for turn in range(_ROUNDS)]

Words = npt.NDArray[np.uint64]


def mix(*keys: Any) -> Words:
  """Returns a 64-bit hash of the keys, by element: splitmix64 (Steele et al. 2014), chained.

  >>> bool(mix(0, 1) == mix(0, 1)), bool(mix(0, 1) == mix(1, 0))
  (True, False)

  Args:
    keys: integers or integer arrays that broadcast together; negative ones wrap around.

  Returns:
    uint64, of the keys' common shape.
  """
  with np.errstate(over='ignore'):
    state = np.asarray(0, np.uint64)
    for key in keys:
      state = (state ^ _as_words(key)) + _GOLDEN
      state = (state ^ (state >> np.uint64(30))) * _MIX_1
      state = (state ^ (state >> np.uint64(27))) * _MIX_2
      state = state ^ (state >> np.uint64(31))
  return state


def uniform(*keys: Any) -> npt.NDArray[np.float64]:
  """Returns a number in [0, 1) for the keys, element by element; see `mix`."""
  return (mix(*keys) >> np.uint64(11)) * 2.0**-53


def permuted(
  position: npt.NDArray[np.int64], size: npt.NDArray[np.int64], key: Words
) -> npt.NDArray[np.int64]:
  """Returns the item at a position of the permutation that the key names.

  A Feistel network over a rectangle of a by b >= size, walked again from where it leaves the range
  (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"); a b < size + 2 sqrt(size) + 1,
  so walks are short.

  >>> order = permuted(np.arange(5), np.full(5, 5), np.full(5, mix(7), np.uint64))
  >>> sorted(order.tolist())
  [0, 1, 2, 3, 4]

  Args:
    position: int64 [n], from 0 to size - 1.
    size: int64 [n], of the permutation, 1 or more.
    key: uint64 [n], what the permutation depends on.
  """
  width = np.ceil(np.sqrt(size)).astype(np.int64)
  height = -(-size // width)
  item = _feistel(position, width, height, key)
  while len(outside := np.flatnonzero(item >= size)):
    item[outside] = _feistel(item[outside], width[outside], height[outside], key[outside])
  return item


def _feistel(
  value: npt.NDArray[np.int64],
  width: npt.NDArray[np.int64],
  height: npt.NDArray[np.int64],
  key: Words,
) -> npt.NDArray[np.int64]:
  """Returns a bijection of 0 .. width * height - 1, element by element."""
  left, right = np.divmod(value, height)
  wide, high = width.astype(np.uint64), height.astype(np.uint64)
  for turn in range(0, _ROUNDS, 2):
    left = left + _below(_scrambled(key + _TURN[turn], right), wide)
    left -= width * (left >= width)
    right = right + _below(_scrambled(key + _TURN[turn + 1], left), high)
    right -= height * (right >= height)
  place: npt.NDArray[np.int64] = left * height + right
  return place


def _scrambled(key: Words, value: npt.NDArray[np.int64]) -> Words:
  """Returns one pass of splitmix64's finalizer over key xor value."""
  state = key ^ value.view(np.uint64)
  state = (state ^ (state >> np.uint64(30))) * _MIX_1
  state = (state ^ (state >> np.uint64(27))) * _MIX_2
  return state ^ (state >> np.uint64(31))


def _below(words: Words, bound: Words) -> npt.NDArray[np.int64]:
  """Returns the words, scaled to 0 .. bound - 1; bound is below 2^32."""
  scaled = ((words >> np.uint64(32)) * bound) >> np.uint64(32)
  return scaled.view(np.int64)


def _as_words(key: Any) -> Words:
  if isinstance(key, int):
    return np.asarray(key & 0xFFFFFFFFFFFFFFFF, np.uint64)
  array = np.asarray(key)
  return array if array.dtype == np.uint64 else array.astype(np.int64).view(np.uint64)
