"""Records of each batch, as a pure function from one state to the next.

The state is a few integers a class and the step, so a checkpoint is small and goes on with the same
batch in any process. Nothing here knows of files or of TensorFlow.

The batches of a run are a function of (seed, step), so a run can go on at any step, on any number
of hosts, from counts alone: no record is read. What is replayed is which classes the batches had,
and only as far back as needed: 'exact' under constant weights repeats itself after a period, and
'natural' after a pass over the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.batch_quota import BatchQuota
from tfx_balance.plan.class_rounds import distinct_draws, next_rounds
from tfx_balance.plan.epochs import Epoch, epoch_steps
from tfx_balance.plan.label_sets import LabelSetCounts, systematic_sets
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.record_order import RecordOrder, keyed_hash, keyed_uniform, permuted
from tfx_balance.plan.runs import numbers_of_equal
from tfx_balance.plan.sampling import Sampling, ScheduledWeights, TrainingCounts

_SLOT, _CLASS, _PASS, _RECORD = 11, 12, 13, 14  # purposes of random bits
_AT_A_TIME = 1 << 16  # records whose classes are replayed
_quota = lru_cache(maxsize=256)(BatchQuota)


class DrawState(NamedTuple):
  """Where a run is, before the batch at `step`.

  Attributes:
    step: int64 scalar.
    lag: int64 [n_classes + 1]: see BatchQuota; the last element is its resolution. Under
      'classes_per_batch' 1 for the classes that the present round was at; see `next_rounds`.
    drawn: int64 [n_classes], records of each class drawn so far.
    epoch_start: int64 [n_classes], `drawn` when the present epoch began.
  """

  step: np.int64 | npt.NDArray[np.int64]
  lag: Ints
  drawn: Ints
  epoch_start: Ints


class Draws(NamedTuple):
  """The records of several batches.

  Attributes:
    classes: int32 [n_batches, batch_size], class indices.
    records: int64 [n_batches, batch_size], record numbers; see RecordOrder.
    seeds: int32 [n_batches, batch_size, 2], a function of the seed, the record and how often its
      class was drawn before.
    repeats: bool [n_batches, batch_size], whether all records of the class had been drawn in this
      epoch before.
  """

  classes: npt.NDArray[np.int32]
  records: Ints
  seeds: npt.NDArray[np.int32]
  repeats: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BatchDraws:
  """The batches of one strategy.

  Attributes:
    order: Order of the records of each class.
    strategy: One of BATCH_STRATEGIES.
    weights: Weights at each step; 'natural' needs none.
    batch_size: Records of a batch, 1 or more.
    epoch_steps: Batches of an epoch.
    class_records: Records of a class that are together in a batch of 'classes_per_batch'.
  """

  order: RecordOrder
  strategy: str
  weights: ScheduledWeights
  batch_size: int
  epoch_steps: int
  class_records: int = 1

  @classmethod
  def of(
    cls,
    sampling: Sampling,
    counts: TrainingCounts,
    windows: tuple[tuple[int, ...], ...],
    batch_size: int,
    epoch: Epoch,
    seed: int,
  ) -> BatchDraws:
    """Makes the batches of a strategy from its arguments.

    Args:
      sampling: How classes are sampled.
      counts: Classes and their records.
      windows: Sizes of the runs of records that are shuffled together, for each class.
      batch_size: Records of a batch, 1 or more.
      epoch: Length of an epoch, as in `epoch_steps`.
      seed: Seed of all draws.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    return cls(
      RecordOrder(windows, seed),
      sampling.strategy,
      sampling.weights(counts),
      batch_size,
      epoch_steps(sampling, counts, batch_size, epoch),
      sampling.records or 1,
    )

  def start(self) -> DrawState:
    """Returns the state before the first batch."""
    n = len(self.order.records)
    zeros = np.zeros(n, np.int64)
    return DrawState(np.int64(0), np.append(zeros, 1), zeros, zeros)

  def next(self, state: DrawState, n_batches: int) -> tuple[Draws, DrawState]:
    """Returns the next batches and the state after them.

    Args:
      state: State from `start` or from the last call.
      n_batches: Number of batches, 1 or more; what they hold does not depend on it.
    """
    classes, before, lag = self._drawn(state, n_batches)
    flat = classes.reshape(-1)
    draws, passes = distinct_draws(before, self.order.records[flat], self.class_records)
    records = self.order.record(flat, draws)
    starts, epoch_start = self._epoch_starts(state, classes)
    shown = before.reshape(classes.shape) - np.take_along_axis(starts, classes, axis=1)
    bits = keyed_hash(self.order.seed, _RECORD, records, draws)
    batches = Draws(
      classes.astype(np.int32),
      records.reshape(classes.shape),
      bits.view(np.int32).reshape(*classes.shape, 2),
      shown >= passes.reshape(classes.shape),
    )
    return batches, self._after(state, classes, lag)._replace(epoch_start=epoch_start)

  def records(self, state: DrawState, n_batches: int) -> tuple[Ints, DrawState]:
    """Returns the record numbers of the next batches alone, and the state after them.

    Args:
      state: State before them; what an epoch began with is not kept up to date.
      n_batches: Number of batches, 1 or more.

    Returns:
      int64 [n_batches, batch_size], and the state.
    """
    classes, before, lag = self._drawn(state, n_batches)
    flat = classes.reshape(-1)
    draws, _ = distinct_draws(before, self.order.records[flat], self.class_records)
    records = self.order.record(flat, draws).reshape(classes.shape)
    return records, self._after(state, classes, lag)

  def _drawn(self, state: DrawState, n_batches: int) -> tuple[Ints, Ints, Ints]:
    """Returns the classes of the next batches, how often each was drawn before, and the lag."""
    step = int(state.step)
    classes, lag = self.members(step, n_batches, state.lag)
    if self.strategy == 'exact':
      slots = self._slots(step, n_batches)
      by_chance = np.argsort(keyed_hash(self.order.seed, _SLOT, slots), axis=1)
      classes = np.take_along_axis(classes, by_chance, axis=1)
    flat = classes.reshape(-1)
    return classes, state.drawn[flat] + numbers_of_equal(flat), lag

  def _after(self, state: DrawState, classes: Ints, lag: Ints) -> DrawState:
    """Returns the state after batches of these classes, but for the start of the epoch."""
    drawn = state.drawn + np.bincount(classes.reshape(-1), minlength=len(state.drawn))
    return DrawState(np.int64(int(state.step) + len(classes)), lag, drawn, state.epoch_start)

  def due(self, before: DrawState, after: DrawState) -> tuple[Ints, Ints]:
    """Returns a draw that is due soon of each class that is streamed, for `RecordOrder.record`.

    It is as far ahead as the draws between two states go, and half a window at least.

    Args:
      before: State before some batches.
      after: State after them.

    Returns:
      Class indices and numbers of draws, int64 [n].
    """
    passed = after.drawn - before.drawn
    windows = np.array([len(sizes) for sizes in self.order.windows])
    classes = np.flatnonzero((passed > 0) & (windows > 1))
    ahead = np.maximum(passed, self.order.records // (2 * windows))
    return classes, (after.drawn + ahead)[classes]

  @property
  def by_quota(self) -> bool:
    """Whether batches hold quotas of the classes, whose lag is carried from batch to batch."""
    return self.strategy == 'exact' and not isinstance(self.weights.counts, LabelSetCounts)

  def members(self, step: int, n_batches: int, lag: Ints) -> tuple[Ints, Ints]:
    """Returns the classes of the records of batches, and the lag after them.

    Args:
      step: Step of the first batch.
      n_batches: Number of batches, 1 or more.
      lag: Lag before the first batch; see `DrawState`.

    Returns:
      classes: int64 [n_batches, batch_size]; under 'exact', in no order of slots yet.
      lag: int64 [n_classes + 1].
    """
    steps = np.arange(step, step + n_batches)
    if self.strategy == 'natural':
      return self.natural(self._slots(step, n_batches)), lag
    if self.strategy == 'weighted':
      return self._weighted(steps, self._slots(step, n_batches)), lag
    if self.strategy == 'classes_per_batch':
      n_chosen = self.batch_size // self.class_records
      chosen, served = next_rounds(lag[:-1], n_chosen, steps, self.order.seed)
      return np.repeat(chosen, self.class_records, axis=1), np.append(served, lag[-1])
    if self.by_quota:
      return self._exact(steps, lag)
    return self._of_label_sets(steps), lag

  def _slots(self, step: int, n_batches: int) -> Ints:
    """Returns the numbers of the batches' slots since the run began: int64 [n_batches, B]."""
    steps = np.arange(step, step + n_batches)
    return steps[:, None] * self.batch_size + np.arange(self.batch_size)

  def natural(self, slots: Ints) -> Ints:
    """Returns the classes in slots of natural batches: passes over all records, each shuffled.

    Args:
      slots: int64, numbers of slots since the run began.
    """
    total = int(self.order.starts[-1])
    turn, position = np.divmod(slots.reshape(-1), total)
    key = keyed_hash(self.order.seed, _PASS, turn)
    item = permuted(position, np.full_like(position, total), key)
    found = np.searchsorted(self.order.starts, item, side='right') - 1
    return np.asarray(found.reshape(slots.shape), np.int64)

  def _weighted(self, steps: Ints, slots: Ints) -> Ints:
    """Returns classes drawn independently with probabilities in proportion to the weights."""
    found = np.empty_like(slots)
    for first, end in self._stages(steps):
      edges = np.cumsum(np.array(self.weights.at(int(steps[first])), np.int64))
      draw = keyed_uniform(self.order.seed, _CLASS, slots[first:end]) * edges[-1]
      found[first:end] = np.searchsorted(edges, draw.astype(np.int64), side='right')
    return found

  def _exact(self, steps: Ints, lag: Ints) -> tuple[Ints, Ints]:
    """Returns the classes of each batch; what classes are owed is carried over a change."""
    owed, resolution = lag[:-1], int(lag[-1])
    changing = self.weights.schedule is not None
    rows = np.empty((len(steps), self.batch_size), np.int64)
    for first, end in self._stages(steps):
      quota = _quota(self.weights.at(int(steps[first])), self.batch_size, changing)
      if resolution != quota.resolution:
        owed = owed * quota.resolution // resolution
        resolution = quota.resolution
      extra, owed = quota.next_extra(owed, end - first)
      whole = np.repeat(np.arange(len(owed)), quota.whole)
      rows[first:end, : len(whole)] = whole
      rows[first:end, len(whole) :] = extra
    return rows, np.append(owed, resolution)

  def _of_label_sets(self, steps: Ints) -> Ints:
    """Returns the label sets of each batch."""
    key = keyed_hash(self.order.seed, _CLASS)
    stages = [
      systematic_sets(self.weights.at(int(steps[first])), self.batch_size, steps[first:end], key)
      for first, end in self._stages(steps)
    ]
    return np.concatenate(stages)

  def _stages(self, steps: Ints) -> list[tuple[int, int]]:
    """Returns the runs of steps under one choice of weights, from and to."""
    if self.weights.schedule is None:
      return [(0, len(steps))]
    return [(i, i + 1) for i in range(len(steps))]

  def _epoch_starts(self, state: DrawState, classes: Ints) -> tuple[Ints, Ints]:
    """Returns the records of each class drawn before a batch's epoch: int64 [batches, classes]."""
    step, n = int(state.step), len(state.drawn)
    starts = np.broadcast_to(state.epoch_start, (len(classes), n))
    first = -step % self.epoch_steps
    if first >= len(classes):
      return starts, state.epoch_start
    starts = starts.copy()
    for i in range(first, len(classes), self.epoch_steps):
      starts[i:] = state.drawn + np.bincount(classes[:i].reshape(-1), minlength=n)
    return starts, starts[-1]


def state_at(draws: BatchDraws, step: int, since: DrawState | None = None) -> DrawState:
  """Returns the state before the batch at a step, as `BatchDraws.next` comes to it.

  Per batch that is replayed, 'exact' takes 3 to 30 microseconds, 'weighted' and 'natural' some 30
  nanoseconds a record.

  Args:
    draws: Draws of a strategy.
    step: Step, 0 or more, and not before that of `since`.
    since: Earlier state of the same draws; None for the first one.
  """
  state = draws.start() if since is None else since
  epoch = (step - 1) // draws.epoch_steps * draws.epoch_steps if step else 0
  if epoch >= int(state.step):
    state = _advanced(draws, state, epoch)
    state = state._replace(epoch_start=state.drawn)
  return _advanced(draws, state, step)


def _advanced(draws: BatchDraws, state: DrawState, step: int) -> DrawState:
  """Returns a later state with the same start of the epoch."""
  if draws.strategy == 'natural':
    return state._replace(step=np.int64(step), drawn=_natural_drawn(draws, step))
  if draws.by_quota and draws.weights.schedule is None:
    state = _after_periods(draws, state, step)
  lag, drawn = state.lag, state.drawn
  n = max(1, _AT_A_TIME // draws.batch_size)
  for first in range(int(state.step), step, n):
    classes, lag = draws.members(first, min(n, step - first), lag)
    drawn = drawn + np.bincount(classes.reshape(-1), minlength=len(drawn))
  return state._replace(step=np.int64(step), lag=lag, drawn=drawn)


def _after_periods(draws: BatchDraws, state: DrawState, step: int) -> DrawState:
  """Returns the state after as many whole periods of exact draws as there are up to a step.

  A period ends when the ideal running totals are integers: no lag is as much as one record, so all
  are 0 then, as at the start.
  """
  weights = np.array(draws.weights.at(0), np.int64)
  total, share = int(weights.sum()), weights * draws.batch_size
  divisor = int(np.gcd.reduce(share, initial=total))
  periods = (step - int(state.step)) // (total // divisor)
  if not periods:
    return state
  lag = np.append(state.lag[:-1] * (total // state.lag[-1]), total)
  at = np.int64(int(state.step) + periods * (total // divisor))
  return state._replace(step=at, lag=lag, drawn=state.drawn + periods * (share // divisor))


def _natural_drawn(draws: BatchDraws, step: int) -> Ints:
  """Returns the records of each class in natural batches: whole passes, and a part of one."""
  total, slots = int(draws.order.starts[-1]), step * draws.batch_size
  drawn = slots // total * draws.order.records
  for first in range(slots // total * total, slots, _AT_A_TIME):
    classes = draws.natural(np.arange(first, min(first + _AT_A_TIME, slots)))
    drawn = drawn + np.bincount(classes, minlength=len(drawn))
  return drawn
