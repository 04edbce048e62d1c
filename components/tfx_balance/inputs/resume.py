"""Where a run's batches begin: at a step, or at the state of a run that stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfx_balance.arguments import check_whole, format_value
from tfx_balance.documents.batch_state import BatchState
from tfx_balance.errors import ConfigError
from tfx_balance.plan.adjustable_shares import AdjustableShares
from tfx_balance.plan.batch_draws import BatchDraws, DrawState, state_at

StartStep = int | Callable[[], Any] | None
_REMEDIES = {
  **{name: f'pass the same {name}=' for name in ('batch_size', 'strategy', 'seed')},
  'records': 'give the data of that run',
  'windows': 'give the same files, and the memory_budget= of that run',
  'weights': 'pass the same q=, ratios= or schedule=',
  'epoch_steps': 'pass the same epoch=',
  'class_records': 'pass the same records=',
}

MOST_STEPS = 1 << 40  # so that records of all steps are counted in 64 bits


def first_state(
  draws: BatchDraws, start_step: StartStep, state: Mapping[str, Any] | str | None
) -> Callable[[], DrawState]:
  """Returns a function that returns the state before the first batch of an iterator.

  Args:
    draws: Draws of the run.
    start_step: Step of the first batch, or a function, called when an iterator begins, that returns
      it; None for that of the state, or 0.
    state: JSON of `batch_state`, or its text; None for none.

  Raises:
    ConfigError: if an argument breaks a rule, or the state is of other batches.
    DataError: if the state is none.
  """
  since = None if state is None else _restored(draws, state)
  least = 0 if since is None else int(since.step)

  def at(step: Any) -> DrawState:
    fix = f'give {least}, the step of state=, or a later one' if least else None
    return state_at(draws, check_whole('start_step', step, least, MOST_STEPS, fix=fix), since)

  if callable(start_step):
    return lambda: at(_number(start_step()))
  first = at(least if start_step is None else start_step)
  return lambda: first


def batch_state(draws: BatchDraws, step: int, state: Mapping[str, Any] | str | None) -> BatchState:
  """Returns the state before the batch at a step.

  Args:
    draws: Draws of the run.
    step: Step, not before that of the state.
    state: An earlier state of the run, which spares replaying what is before it.

  Raises:
    ConfigError: if an argument breaks a rule, or the state is of other batches.
    DataError: if the state is none.
  """
  found = first_state(draws, check_whole('step', step, 0, MOST_STEPS), state)()
  return _document(draws, found)


def _number(value: Any) -> Any:
  """Returns the value of a variable; any other value as it is."""
  return np.asarray(value.numpy()).item() if hasattr(value, 'numpy') else value


def _document(draws: BatchDraws, state: DrawState) -> BatchState:
  schedule = draws.weights.schedule
  shares = schedule.changes if isinstance(schedule, AdjustableShares) else ()
  sizes = repr(draws.order.windows).encode()
  return BatchState(
    step=int(state.step),
    batch_size=draws.batch_size,
    strategy=draws.strategy,
    seed=draws.order.seed,
    epoch_steps=draws.epoch_steps,
    class_records=draws.class_records,
    records=tuple(draws.order.records.tolist()),
    windows=hashlib.sha256(sizes).hexdigest()[:16],
    weights=draws.weights.at(int(state.step)),
    lag=tuple(state.lag.tolist()),
    drawn=tuple(state.drawn.tolist()),
    epoch_start=tuple(state.epoch_start.tolist()),
    shares=shares,
  )


def _restored(draws: BatchDraws, state: Mapping[str, Any] | str) -> DrawState:
  """Returns the draws' state; raises ConfigError if it is one of other draws."""
  saved = BatchState.from_json(state)
  check_whole('the step of state=', saved.step, 0, MOST_STEPS)
  if isinstance(draws.weights.schedule, AdjustableShares):
    draws.weights.schedule.restore(saved.shares, saved.step)
  arrays = (np.array(x, np.int64) for x in (saved.lag, saved.drawn, saved.epoch_start))
  found = DrawState(np.int64(saved.step), *arrays)
  now = _document(draws, found)
  for name, fix in _REMEDIES.items():
    then, here = getattr(saved, name), getattr(now, name)
    if then != here:
      raise ConfigError(
        f'state= is of a run with {name} {format_value(then)}, and this one has '
        f'{format_value(here)}; {fix}, or leave state= out'
      )
  n = len(saved.records)
  if [len(x) for x in (saved.lag, saved.drawn, saved.epoch_start)] != [n + 1, n, n]:
    raise ConfigError(
      f'state= has {len(saved.drawn)} running totals for {n} classes; give the text that '
      f'batch_state returned'
    )
  return found
