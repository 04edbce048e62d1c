"""In which order the records of each class are shown: pass after pass, each a fresh shuffle.

The k-th record of a class is a function of (seed, class, k). A class that is held in memory is
shuffled as a whole. One that is streamed is shuffled window by window (its windows in a fresh order
each pass, and the records of each), so that it needs one window at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.keyed_order import mix, permuted

Ints = npt.NDArray[np.int64]
_INNER, _OUTER = 1, 2  # what a key is for


@dataclass(frozen=True)
class ClassOrder:
  """Records are numbered class by class; class c has the numbers starts[c] to starts[c + 1] - 1.

  Attributes:
    windows: for each class, the sizes of the runs of records that are shuffled together.
    seed: any integer.
  """

  windows: tuple[tuple[int, ...], ...]
  seed: int
  records: Ints = field(init=False, repr=False, compare=False)
  starts: Ints = field(init=False, repr=False, compare=False)
  _single: npt.NDArray[np.bool_] = field(init=False, repr=False, compare=False)

  def __post_init__(self) -> None:
    records = np.array([sum(sizes) for sizes in self.windows], np.int64)
    object.__setattr__(self, 'records', records)
    object.__setattr__(self, 'starts', np.concatenate([[0], np.cumsum(records)]))
    object.__setattr__(self, '_single', np.array([len(sizes) == 1 for sizes in self.windows]))

  @classmethod
  def whole(cls, records: Sequence[int], seed: int) -> ClassOrder:
    """Returns the order of classes that are all shuffled as a whole."""
    return cls(tuple((int(n),) for n in records), seed)

  def record(self, classes: Ints, draws: Ints) -> Ints:
    """Returns which record each draw is.

    >>> order = ClassOrder.whole([1, 3], seed=0)
    >>> sorted(order.record(np.array([1, 1, 1, 0]), np.array([3, 4, 5, 9])).tolist())
    [0, 1, 2, 3]

    Args:
      classes: int64 [n], class indices.
      draws: int64 [n], how many records of that class were drawn before.

    Returns:
      int64 [n], record numbers.
    """
    turn, position = np.divmod(draws, self.records[classes])
    record = np.empty_like(draws)
    whole = self._single[classes]
    if whole.all():
      return self.starts[classes] + self._inner(classes, turn, 0, self.records[classes], position)
    at = np.flatnonzero(whole)
    c, t = classes[at], turn[at]
    record[at] = self.starts[c] + self._inner(c, t, 0, self.records[c], position[at])
    streamed = np.flatnonzero(~whole)
    pairs = np.stack([classes[streamed], turn[streamed]])
    for c, t in np.unique(pairs, axis=1).T.tolist():
      mine = streamed[(pairs[0] == c) & (pairs[1] == t)]
      record[mine] = self._windowed(c, t, position[mine])
    return record

  def _inner(self, classes: Ints, turn: Ints, window: Ints | int, size: Ints, at: Ints) -> Ints:
    return permuted(at, size, mix(self.seed, _INNER, classes, turn, window))

  def _windowed(self, c: int, turn: int, position: Ints) -> Ints:
    """Returns the records at positions of one pass over a class of several windows."""
    order, shown, first, sizes = _pass_over(self, c, turn)
    place = np.searchsorted(shown, position, side='right') - 1
    window = order[place]
    inner = position - shown[place]
    c_, t_ = np.full_like(position, c), np.full_like(position, turn)
    found: Ints = self.starts[c] + first[window] + self._inner(c_, t_, window, sizes[window], inner)
    return found


@lru_cache(maxsize=4096)
def _pass_over(order: ClassOrder, c: int, turn: int) -> tuple[Ints, Ints, Ints, Ints]:
  """Returns a pass's windows in order, what is shown before each, and their starts and sizes."""
  sizes = np.array(order.windows[c], np.int64)
  n = len(sizes)
  key = np.full(n, mix(order.seed, _OUTER, c, turn), np.uint64)
  shuffled = permuted(np.arange(n), np.full(n, n), key)
  shown = np.concatenate([[0], np.cumsum(sizes[shuffled])[:-1]])
  return shuffled, shown, np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes
