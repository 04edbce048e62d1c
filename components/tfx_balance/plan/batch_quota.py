"""Numbers of records of each class in a batch: exact integers, and no drift.

Class c has the share w[c] = weights[c] / sum(weights). In a batch of B it gets the floor or the
ceiling of B w[c], and after any number t of batches the floor or the ceiling of t B w[c] in total.
The floor of B w[c] goes to the class in every batch. What is left, u[c] = B w[c] mod 1, is a
periodic task that needs a share u[c] of a processor, on as many processors as the u[c] add up to;
a batch is a time slot. PD2 schedules such tasks so that every running total stays less than one
from its ideal (Anderson and Srinivasan 2001, "Mixed Pfair/ERfair scheduling of asynchronous
periodic tasks"; Baruah et al. 1996).

Where the weights change from batch to batch, future deadlines mean nothing. The largest lag is then
served first, which stays within O(log n_classes) of ideal whatever the weights do (the
multi-processor cup game; Bender, Farach-Colton and Kuszmaul 2019). In all schedules that the tests
try, no class is ever one off.

All this is so of integer weights. Other shares are rounded to multiples of 1 / MAX_RESOLUTION by
`bounded_weights`: after t batches of B a total may be t B / MAX_RESOLUTION further off.

Deadlines are counted from the present batch and computed from each class's lag alone, so the state
is one bounded integer a class: it never overflows, and it is all that a checkpoint must hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_whole
from tfx_balance.errors import ConfigError
from tfx_balance.plan.apportion import largest_remainder
from tfx_balance.plan.ranks import Ints

MAX_RESOLUTION = 1 << 26
"""Largest sum of weights: up to it, priorities are exact in 64 bits."""
MOST_RECORDS = 1 << 24
"""Most records of a batch: their numbers, seeds and classes take 500 MB, before any feature."""

_LATE = np.int64(1 << 62)
_GROUP_BITS = 29
_GROUP_MAX = np.int64((1 << _GROUP_BITS) - 1)

Weights = tuple[int, ...]
"""Integer weights of the classes, 0 or more, one above 0, summing to MAX_RESOLUTION or less."""


def bounded_weights(weights: Sequence[int], limit: int = MAX_RESOLUTION) -> Weights:
  """Returns weights in the same proportions whose sum is at most the limit.

  A common divisor is taken out. Where that is not enough, the weights are rounded to units of
  1 / limit by largest remainder: no share is off by a unit. A weight above 0 that comes to none
  gets one, at the cost of all others.

  >>> bounded_weights([20, 30])
  (2, 3)

  Args:
    weights: Integers, 0 or more, one of them above 0.
    limit: Largest sum, at least the number of weights.
  """
  divisor = int(np.gcd.reduce(np.array([int(w) for w in weights], object)))
  reduced = [int(w) // divisor for w in weights]
  if sum(reduced) <= limit:
    return tuple(reduced)
  raised = [0] * len(reduced)
  while True:
    rest = [0 if unit else w for w, unit in zip(reduced, raised, strict=True)]
    units = largest_remainder(limit - sum(raised), rest)
    new = [int(w > 0 and not unit) for w, unit in zip(rest, units, strict=True)]
    if not any(new):
      return tuple(a + b for a, b in zip(raised, units, strict=True))
    raised = [a + b for a, b in zip(raised, new, strict=True)]


class BatchQuota:
  """The quotas of all batches of one size under constant weights.

  Attributes:
    whole: int64 [n_classes], records that each class gets in every batch.
    resolution: Sum of the weights: a lag is counted in units of one record over it.
  """

  def __init__(self, weights: Weights, batch_size: int, by_lag: bool = False) -> None:
    """Checks the weights.

    Args:
      weights: Integer weights, 0 or more, one above 0, summing to MAX_RESOLUTION or less.
      batch_size: Records of a batch, 1 or more.
      by_lag: Whether to serve the largest lag first, for weights that change.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    self.resolution = total = sum(weights)
    if min(weights) < 0 or not 0 < total <= MAX_RESOLUTION:
      raise ConfigError(
        f'weights {list(weights)[:20]} must be 0 or more, with a sum from 1 to '
        f'{MAX_RESOLUTION}; pass them through bounded_weights'
      )
    share = np.array(weights, np.int64) * check_batch_size(batch_size)
    self.whole, self._rest = np.divmod(share, total)
    self._open, self._by_lag = batch_size - int(self.whole.sum()), by_lag
    self._safe, self._complement = np.maximum(self._rest, 1), np.maximum(total - self._rest, 1)
    heavy, idle, shared = 2 * self._rest >= total, self._rest == 0, np.flatnonzero(self._rest)
    self._heavy, self._idle = heavy if heavy.any() else None, idle if idle.any() else None
    even = len(shared) and not by_lag and self._rest[shared].min() == self._rest[shared].max()
    self._even = shared if even else None

  def next_extra(self, lag: Ints, n_batches: int) -> tuple[Ints, Ints]:
    """Returns the classes that get one record more than `whole` in the next batches.

    >>> quota = BatchQuota((1, 1, 1), 4)
    >>> quota.whole.tolist(), quota.next_extra(np.zeros(3, np.int64), 3)[0].tolist()
    ([1, 1, 1], [[0], [1], [2]])

    Args:
      lag: int64 [n_classes], (ideal - actual running total) * resolution.
      n_batches: Number of batches, 1 or more.

    Returns:
      chosen: int64 [n_batches, batch_size - sum(whole)].
      lag: int64 [n_classes], each above -resolution and below resolution as long as the weights
        stay the same.
    """
    chosen = np.empty((n_batches, self._open), np.int64)
    if not self._open:
      return chosen, lag.copy()
    if self._even is not None:
      return self._in_turn(self._even, lag, n_batches)
    due = lag
    for row in chosen:
      row[:] = self._most_urgent(due)
      due = due + self._rest
      due[row] -= self.resolution
    return chosen, due

  def _in_turn(self, even: Ints, lag: Ints, n_batches: int) -> tuple[Ints, Ints]:
    """Returns `next_extra` where all classes with a rest have the same one: they take turns.

    PD2 comes to that: of equal rests, the class with the fewest records is due first.
    """
    own = lag[even]
    served = own == own.min()
    turn = 0 if served.all() else int(np.count_nonzero(served))
    place = turn + np.arange(n_batches * self._open)
    chosen = even[place % len(even)].reshape(n_batches, self._open)
    got = np.bincount(chosen.reshape(-1), minlength=len(lag))
    return chosen, lag + n_batches * self._rest - got * self.resolution

  def _most_urgent(self, lag: Ints) -> npt.NDArray[np.intp]:
    """Returns the classes that get one record more, in order of class."""
    owed = lag + self._rest
    priority = np.where(self._rest == 0, _LATE, -owed) if self._by_lag else self._priorities(lag)
    n = self._open
    if n >= len(priority):
      return np.arange(len(priority))
    bound = np.partition(priority, n - 1)[n - 1]
    first = np.flatnonzero(priority < bound)
    ties = np.flatnonzero(priority == bound)[: n - len(first)]
    return np.concatenate([first, ties])

  def _priorities(self, lag: Ints) -> Ints:
    """Returns PD2's order, int64 [n_classes]: the smallest is the most urgent.

    With total D and rest p, a class that has got k records by batch t has lag = t p - k D. Its next
    one is released at floor(k D / p) and due at ceil((k + 1) D / p). Of equal deadlines that goes
    first whose window overlaps the next one of its class, and of these the one with the later group
    deadline, which ends a row of windows that would all be forced (for p / D of one half or more).
    """
    total, rest = self.resolution, self._rest
    missing = total - lag
    deadline = -(-missing // self._safe)
    key = deadline * 2 + (missing == deadline * self._safe)
    key <<= _GROUP_BITS
    if self._heavy is not None:
      key += _GROUP_MAX - self._group_deadlines(lag, deadline, missing)
    key[lag <= -rest] = _LATE  # not released yet
    if self._idle is not None:
      key[self._idle] = _LATE + 1
    found: Ints = key
    return found

  def _group_deadlines(self, lag: Ints, deadline: Ints, missing: Ints) -> Ints:
    """Returns group deadlines, int64 [n_classes]: 0 for light classes and lone windows."""
    total, complement = self.resolution, self._complement
    slack = -((lag - deadline * (total - self._rest)) // total)  # the complement's windows so far
    group = -(-(lag + slack * total) // complement)
    counts = self._heavy & (missing != deadline * self._safe)
    return np.clip(np.where(counts, group, 0), 0, _GROUP_MAX)


def check_batch_size(batch_size: object) -> int:
  """Returns a batch size that is one.

  Raises:
    ConfigError: if it is not a whole number from 1 to `MOST_RECORDS`.
  """
  return check_whole('batch_size', batch_size, 1, MOST_RECORDS, 'give the records of a batch')
