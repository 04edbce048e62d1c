"""Order in which the records of each class are drawn, a function of (seed, class, draw).

No permutation is stored: the place of one item follows from a key, so a class of a million records
costs as little to shuffle as one of a thousand, and any batch can be found again without replay.
Each pass over a class is a fresh shuffle; one of fewer than 256 records is sorted once, and kept
until the next pass, where that takes 16 MB at the most for all classes. A class that is in
memory is shuffled as a whole; one that is streamed window by window (its windows in a fresh order
each pass, and the records of each), so that one window at a time is enough.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.ranks import Ints, UInts, finalized, mix

_ROUNDS = 8  # of the Feistel network; Luby and Rackoff (1988) ask for 4, tiny ranges for more
_TURN = [np.uint64((turn + 1) * 0xD1B54A32D192ED03 % 2**64) for turn in range(_ROUNDS)]
_INNER, _OUTER = 1, 2  # purposes of keys
_FEW = 256  # items: of fewer, a network does not reach all orders (of 9, none that is odd)
_INDEX = np.uint64(_FEW - 1)
_AT_A_TIME = 1 << 10  # permutations of few items, which take 2 MB
_KEPT_BYTES = 16 << 20  # of the orders of passes over few items that are kept


def keyed_hash(*keys: Any) -> UInts:
  """Returns a 64-bit hash of the keys, by element: SplitMix64, chained.

  >>> bool(keyed_hash(0, 1) == keyed_hash(0, 1)), bool(keyed_hash(0, 1) == keyed_hash(1, 0))
  (True, False)

  Args:
    keys: Integers or integer arrays that broadcast together; negative ones wrap around.

  Returns:
    uint64, of the keys' common shape.
  """
  state = np.asarray(0, np.uint64)
  for key in keys:
    state = mix(state, _as_words(key))
  return state


def keyed_uniform(*keys: Any) -> npt.NDArray[np.float64]:
  """Returns a number in [0, 1) for the keys, by element; see `keyed_hash`."""
  return (keyed_hash(*keys) >> np.uint64(11)) * 2.0**-53


def permuted(position: Ints, size: Ints, key: UInts) -> Ints:
  """Returns the item at a position of the permutation that the key names.

  Fewer than 256 items are sorted by a hash of key and item, which makes every order as likely. More
  are permuted by a Feistel network over a rectangle of a by b >= size, walked again from where it
  leaves the range (Black and Rogaway 2002, "Ciphers with arbitrary finite domains");
  a b < size + 2 sqrt(size) + 1, so walks are short.

  >>> order = permuted(np.arange(5), np.full(5, 5), np.full(5, keyed_hash(7), np.uint64))
  >>> sorted(order.tolist())
  [0, 1, 2, 3, 4]

  Args:
    position: int64 [n], from 0 to size - 1.
    size: int64 [n], items of the permutation, 1 or more.
    key: uint64 [n].
  """
  few = size < _FEW
  if not few.any():
    return _by_network(position, size, key)
  item = np.empty_like(position)
  for chosen, method in ((np.flatnonzero(~few), _by_network), (np.flatnonzero(few), _by_sorting)):
    for at in np.split(chosen, range(_AT_A_TIME, len(chosen), _AT_A_TIME)):
      item[at] = method(position[at], size[at], key[at])
  return item


def _by_sorting(position: Ints, size: Ints, key: UInts) -> Ints:
  """Returns the same of permutations of few items: the order of the hashes of these.

  Each permutation is sorted once for all its positions, with others of about its size.
  """
  item = np.empty_like(position)
  octave = np.frexp(size - 1)[1]
  for power in np.unique(octave):
    mine = np.flatnonzero(octave == power)
    keys, first, row = np.unique(key[mine], return_index=True, return_inverse=True)
    item[mine] = _orders(size[mine[first]], keys, int(power))[row.reshape(-1), position[mine]]
  return item


def _orders(size: Ints, keys: UInts, power: int) -> UInts:
  """Returns whole permutations of few items: uint64 [n, 2**power], what is behind size[i] not set.

  Args:
    size: int64 [n], items of each, 2**power at most.
    keys: uint64 [n].
    power: Exponent of the number of columns.
  """
  index = np.arange(1 << power, dtype=np.uint64)
  hashes = mix(index, keys[:, None])
  hashes &= ~_INDEX
  hashes |= index
  hashes[index >= size[:, None]] = ~np.uint64(0)  # behind all others
  hashes.sort(axis=1)
  hashes &= _INDEX
  return hashes


def _by_network(position: Ints, size: Ints, key: UInts) -> Ints:
  width = np.ceil(np.sqrt(size)).astype(np.int64)
  height = -(-size // width)
  item = _feistel(position, width, height, key)
  while len(outside := np.flatnonzero(item >= size)):
    item[outside] = _feistel(item[outside], width[outside], height[outside], key[outside])
  return item


def _feistel(value: Ints, width: Ints, height: Ints, key: UInts) -> Ints:
  """Returns a bijection of 0 .. width * height - 1, by element."""
  left, right = np.divmod(value, height)
  wide, high = width.astype(np.uint64), height.astype(np.uint64)
  for turn in range(0, _ROUNDS, 2):
    left += _below(finalized((key + _TURN[turn]) ^ right.view(np.uint64)), wide)
    left -= width * (left >= width)
    right += _below(finalized((key + _TURN[turn + 1]) ^ left.view(np.uint64)), high)
    right -= height * (right >= height)
  place: Ints = left * height + right
  return place


def _below(words: UInts, bound: UInts) -> Ints:
  """Returns the words, scaled to 0 .. bound - 1; bound is below 2^32."""
  scaled = words >> np.uint64(32)
  scaled *= bound
  scaled >>= np.uint64(32)
  return scaled.view(np.int64)


def _as_words(key: Any) -> UInts:
  if isinstance(key, int):
    return np.asarray(key & 0xFFFFFFFFFFFFFFFF, np.uint64)
  array = np.asarray(key)
  return array if array.dtype == np.uint64 else array.astype(np.int64).view(np.uint64)


class RecordOrder:
  """The order of each class's records, which are numbered class by class.

  Attributes:
    windows: Sizes of the runs of records that are shuffled together, for each class.
    seed: Any integer.
    records: int64 [n_classes], records of each class.
    starts: int64 [n_classes + 1]; class c has the numbers starts[c] to starts[c + 1] - 1.
  """

  def __init__(
    self, windows: tuple[tuple[int, ...], ...], seed: int, kept_bytes: int = _KEPT_BYTES
  ) -> None:
    self.windows, self.seed = windows, seed
    self.records = np.array([sum(sizes) for sizes in windows], np.int64)
    self.starts = np.concatenate([[0], np.cumsum(self.records)])
    self._single = np.array([len(sizes) == 1 for sizes in windows])
    # Classes whose present pass is kept, sorted; and of each class that pass, and its order.
    few = self._single & (self.records < _FEW)
    width = int(self.records[few].max(initial=0))
    self._kept = few if len(few) * width <= kept_bytes else np.zeros_like(few)
    orders = np.zeros((len(few), width if self._kept.any() else 0), np.uint8)
    self._passes = np.full(len(few), -1, np.int64), orders

  def record(self, classes: Ints, draws: Ints) -> Ints:
    """Returns the number of the record that each draw gives: int64 [n].

    >>> order = RecordOrder(((1,), (3,)), seed=0)
    >>> sorted(order.record(np.array([1, 1, 1, 0]), np.array([3, 4, 5, 9])).tolist())
    [0, 1, 2, 3]

    Args:
      classes: int64 [n], class indices.
      draws: int64 [n], records of that class that were drawn before.
    """
    turn, position = np.divmod(draws, self.records[classes])
    record = np.empty_like(draws)
    whole = self._single[classes]
    if whole.all():
      return self.starts[classes] + self._whole(classes, turn, position)
    at = np.flatnonzero(whole)
    record[at] = self.starts[classes[at]] + self._whole(classes[at], turn[at], position[at])
    streamed = np.flatnonzero(~whole)
    record[streamed] = self._windowed(classes[streamed], turn[streamed], position[streamed])
    return record

  def _whole(self, classes: Ints, turn: Ints, position: Ints) -> Ints:
    """Returns the records at positions of passes over classes of one window: int64 [n]."""
    kept = self._kept[classes]
    if not kept.any():
      return self._inner(classes, turn, 0, self.records[classes], position)
    passes, orders = self._sorted(classes[kept], turn[kept])
    kept &= passes[classes] == turn
    other = np.flatnonzero(~kept)
    found = orders[classes, position * kept].astype(np.int64)
    c = classes[other]
    found[other] = self._inner(c, turn[other], 0, self.records[c], position[other])
    return found

  def _sorted(self, classes: Ints, turn: Ints) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Returns the passes that are kept, and their orders, once those of the classes are among them.

    Of a class that is in two passes here, the later one is kept. What is kept is replaced as a
    whole: other threads read what they have.
    """
    passes, orders = self._passes
    stale = np.unique(classes[passes[classes] != turn])
    if not len(stale):
      return passes, orders
    passes, orders = passes.copy(), orders.copy()
    passes[stale] = -1
    np.maximum.at(passes, classes, turn)
    octave = np.frexp(self.records - 1)[1]
    for power in np.unique(octave[stale]).tolist():
      mine = stale[octave[stale] == power]
      for c in np.split(mine, range(_AT_A_TIME, len(mine), _AT_A_TIME)):
        keys = keyed_hash(self.seed, _INNER, c, passes[c], 0)
        found = _orders(self.records[c], keys, power)[:, : orders.shape[1]]
        orders[c, : found.shape[1]] = found
    self._passes = passes, orders
    return passes, orders

  def _inner(self, classes: Ints, turn: Ints, window: Ints | int, size: Ints, at: Ints) -> Ints:
    return permuted(at, size, keyed_hash(self.seed, _INNER, classes, turn, window))

  def _windowed(self, classes: Ints, turn: Ints, position: Ints) -> Ints:
    """Returns the records at positions of passes over classes of several windows: int64 [n]."""
    window, start, size, inner = (np.empty_like(position) for _ in range(4))
    by_pass = np.lexsort([turn, classes])
    c, t = classes[by_pass], turn[by_pass]
    edges = np.flatnonzero((c[1:] != c[:-1]) | (t[1:] != t[:-1])) + 1
    for mine in np.split(by_pass, edges) if len(by_pass) else ():
      c, t = int(classes[mine[0]]), int(turn[mine[0]])
      order, before, first, sizes = _pass_over(self, c, t)
      place = np.searchsorted(before, position[mine], side='right') - 1
      own = window[mine] = order[place]
      start[mine], size[mine] = self.starts[c] + first[own], sizes[own]
      inner[mine] = position[mine] - before[place]
    found: Ints = start + self._inner(classes, turn, window, size, inner)
    return found


@lru_cache(maxsize=4096)
def _pass_over(order: RecordOrder, c: int, turn: int) -> tuple[Ints, Ints, Ints, Ints]:
  """Returns a pass's windows in order, the records before each, and their starts and sizes."""
  sizes = np.array(order.windows[c], np.int64)
  n = len(sizes)
  key = np.full(n, keyed_hash(order.seed, _OUTER, c, turn), np.uint64)
  shuffled = permuted(np.arange(n), np.full(n, n), key)
  before = np.concatenate([[0], np.cumsum(sizes[shuffled])[:-1]])
  return shuffled, before, np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes
