"""How many records of each class a batch gets: exact integers, and no drift.

Class c has the share w[c] = weights[c] / sum(weights). In a batch of B it gets the floor or the
ceiling of B w[c], and after any number t of batches the floor or the ceiling of t B w[c] in total.
The whole part of B w[c] goes to the class in every batch. What is left, u[c] = B w[c] mod 1, is a
periodic task that needs a share u[c] of a processor, on as many processors as the u[c] add up to;
a batch is a time slot. PD2 schedules such tasks so that every running total stays less than one
from its ideal (Anderson and Srinivasan 2001, "Mixed Pfair/ERfair scheduling of asynchronous
periodic tasks"; Baruah et al. 1996).

Where the weights change from batch to batch, future deadlines mean nothing. The largest lag is then
served first, which stays within O(log n_classes) of ideal whatever the weights do (the
multi-processor cup game; Bender, Farach-Colton and Kuszmaul 2019). In all schedules that the tests
try, no class is ever one off.

Deadlines are counted from the present batch and computed from each class's lag alone, so the state
is one bounded integer a class: it never overflows, and it is all that a checkpoint must hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_whole
from tfx_balance.errors import ConfigError
from tfx_balance.plan.apportion import largest_remainder

MAX_RESOLUTION = 1 << 26
"""Largest sum of weights: up to it, priorities are exact in 64 bits."""
MOST_RECORDS = 1 << 24
"""Most records of a batch: their numbers, seeds and classes take 500 MB, before any feature."""

_LATE = np.int64(1 << 62)
_GROUP_BITS = 29
_GROUP_MAX = np.int64((1 << _GROUP_BITS) - 1)

Counts = npt.NDArray[np.int64]


def bounded_weights(weights: Sequence[int], limit: int = MAX_RESOLUTION) -> tuple[int, ...]:
  """Returns weights in the same proportions whose sum is at most the limit.

  A common divisor is taken out. Where that is not enough, the weights are rounded to units of
  1 / limit by largest remainder, no weight above 0 to less than one unit.

  >>> bounded_weights([20, 30])
  (2, 3)

  Args:
    weights: integers, 0 or more, one of them above 0.
    limit: of the sum, at least the number of weights.
  """
  divisor = int(np.gcd.reduce(np.array([int(w) for w in weights], object)))
  reduced = [int(w) // divisor for w in weights]
  if sum(reduced) <= limit:
    return tuple(reduced)
  floor = [1 if w else 0 for w in reduced]
  spread = largest_remainder(limit - sum(floor), reduced)
  return tuple(a + b for a, b in zip(floor, spread, strict=True))


@dataclass(frozen=True)
class BatchQuota:
  """The quotas of all batches of one size under constant weights.

  Attributes:
    weights: of the classes, integers, 0 or more, one above 0, summing to MAX_RESOLUTION or less.
    batch_size: 1 or more.
    by_lag: whether to serve the largest lag first, for weights that change.
  """

  weights: tuple[int, ...]
  batch_size: int
  by_lag: bool = False
  _whole: Counts = field(init=False, repr=False, compare=False)
  _part: Counts = field(init=False, repr=False, compare=False)
  _open: int = field(init=False, repr=False, compare=False)
  _total: int = field(init=False, repr=False, compare=False)
  _safe: Counts = field(init=False, repr=False, compare=False)
  _rest: Counts = field(init=False, repr=False, compare=False)
  _heavy: npt.NDArray[np.bool_] | None = field(init=False, repr=False, compare=False)
  _idle: npt.NDArray[np.bool_] | None = field(init=False, repr=False, compare=False)
  _even: Counts | None = field(init=False, repr=False, compare=False)

  def __post_init__(self) -> None:
    total = sum(self.weights)
    if min(self.weights) < 0 or not 0 < total <= MAX_RESOLUTION:
      raise ConfigError(
        f'weights {list(self.weights)[:20]} must be 0 or more, with a sum from 1 to '
        f'{MAX_RESOLUTION}; pass them through bounded_weights'
      )
    check_batch_size(self.batch_size)
    share = np.array(self.weights, np.int64) * self.batch_size
    whole, part = np.divmod(share, total)
    object.__setattr__(self, '_whole', whole)
    object.__setattr__(self, '_part', part)
    object.__setattr__(self, '_open', self.batch_size - int(whole.sum()))
    object.__setattr__(self, '_total', total)
    object.__setattr__(self, '_safe', np.maximum(part, 1))
    object.__setattr__(self, '_rest', np.maximum(total - part, 1))
    object.__setattr__(self, '_heavy', 2 * part >= total if (2 * part >= total).any() else None)
    object.__setattr__(self, '_idle', part == 0 if (part == 0).any() else None)
    parts = np.flatnonzero(part)
    even = len(parts) and not self.by_lag and part[parts].min() == part[parts].max()
    object.__setattr__(self, '_even', parts if even else None)

  @property
  def resolution(self) -> int:
    """The sum of the weights: what a lag is counted in parts of."""
    return self._total

  def start(self) -> Counts:
    """Returns the state before the first batch: int64 [n_classes]."""
    return np.zeros(len(self.weights), np.int64)

  def next(self, lag: Counts) -> tuple[Counts, Counts]:
    """Returns the next batch's quotas and the state after it.

    >>> quota = BatchQuota((1, 1, 1), 4)
    >>> lag, batches = quota.start(), []
    >>> for _ in range(3):
    ...   counts, lag = quota.next(lag)
    ...   batches.append(counts.tolist())
    >>> batches
    [[2, 1, 1], [1, 2, 1], [1, 1, 2]]

    Args:
      lag: int64 [n_classes], (ideal - actual running total) * resolution.

    Returns:
      counts: int64 [n_classes], summing to batch_size.
      lag: int64 [n_classes], each above -resolution and below resolution as long as the weights
        stay the same.
    """
    chosen, due = self.next_extra(lag, 1)
    counts = self._whole.copy()
    counts[chosen[0]] += 1
    return counts, due

  @property
  def whole(self) -> Counts:
    """What each class gets in every batch: int64 [n_classes]."""
    return self._whole

  def next_extra(self, lag: Counts, n_batches: int) -> tuple[Counts, Counts]:
    """Returns the classes that get one record more than `whole` in the next batches.

    Args:
      lag: see `next`.
      n_batches: 1 or more.

    Returns:
      chosen: int64 [n_batches, batch_size - sum(whole)].
      lag: see `next`.
    """
    chosen = np.empty((n_batches, self._open), np.int64)
    if not self._open:
      return chosen, lag.copy()
    if self._even is not None:
      return self._in_turn(self._even, lag, n_batches)
    due = lag
    for row in chosen:
      row[:] = self._most_urgent(due)
      due = due + self._part
      due[row] -= self._total
    return chosen, due

  def _in_turn(self, even: Counts, lag: Counts, n_batches: int) -> tuple[Counts, Counts]:
    """Returns `next_extra` where all classes that take part do so alike: they take turns.

    It is what PD2 comes to: of equal parts, who has got least has the earliest deadline.
    """
    own = lag[even]
    served = own == own.min()
    turn = 0 if served.all() else int(np.count_nonzero(served))
    place = turn + np.arange(n_batches * self._open)
    chosen = even[place % len(even)].reshape(n_batches, self._open)
    got = np.bincount(chosen.reshape(-1), minlength=len(lag))
    return chosen, lag + n_batches * self._part - got * self._total

  def _most_urgent(self, lag: Counts) -> npt.NDArray[np.intp]:
    """Returns the classes that get one record more, in order of class."""
    priority = self._lags(lag) if self.by_lag else self._priorities(lag)
    n = self._open
    if n >= len(priority):
      return np.arange(len(priority))
    bound = np.partition(priority, n - 1)[n - 1]
    first = np.flatnonzero(priority < bound)
    ties = np.flatnonzero(priority == bound)[: n - len(first)]
    return np.concatenate([first, ties])

  def _lags(self, lag: Counts) -> Counts:
    """Returns an order by what is owed, int64 [n_classes]: the smallest is the most urgent."""
    return np.where(self._part == 0, _LATE, -(lag + self._part))

  def _priorities(self, lag: Counts) -> Counts:
    """Returns PD2's order, int64 [n_classes]: the smallest is the most urgent.

    With total D and part p, a class that has got k records by batch t has lag = t p - k D. Its next
    one is released at floor(k D / p) and due at ceil((k + 1) D / p). Of equal deadlines that goes
    first whose window overlaps the next one of its class, and of these the one with the later group
    deadline, which ends a row of windows that would all be forced (for p / D of one half or more).
    """
    total, part = self._total, self._part
    missing = total - lag
    deadline = -(-missing // self._safe)
    key = deadline * 2 + (missing == deadline * self._safe)
    key <<= _GROUP_BITS
    if self._heavy is not None:
      key += _GROUP_MAX - self._group_deadlines(lag, deadline, missing)
    key[lag <= -part] = _LATE  # not released yet
    if self._idle is not None:
      key[self._idle] = _LATE + 1
    found: npt.NDArray[np.int64] = key
    return found

  def _group_deadlines(self, lag: Counts, deadline: Counts, missing: Counts) -> Counts:
    """Returns group deadlines, int64 [n_classes]: 0 for light classes and lone windows."""
    total, rest = self._total, self._rest
    slack = -((lag - deadline * (total - self._part)) // total)  # the complement's windows so far
    group = -(-(lag + slack * total) // rest)
    counts = self._heavy & (missing != deadline * self._safe)
    return np.clip(np.where(counts, group, 0), 0, _GROUP_MAX)


def check_batch_size(batch_size: object) -> int:
  """Returns a batch size that is one.

  Raises:
    ConfigError: if it is not a whole number from 1 to `MOST_RECORDS`.
  """
  return check_whole('batch_size', batch_size, 1, MOST_RECORDS, 'give the records of a batch')
