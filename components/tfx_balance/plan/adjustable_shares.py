"""Shares that are set while training: a schedule with a history, each change from a named step on.

The batch at a step depends on the history alone, so hosts that set the same shares from the same
steps draw the same batches, and a run that goes on with the history goes on with the same batches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.arguments import check_mapping, check_number, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import ClassValue, check_key


@dataclass(frozen=True)
class ShareChange:
  """Shares from a step on: one of `q` and `ratios`.

  Attributes:
    step: First step with these shares.
    q: Exponent of weights records^q.
    ratios: Weight by class, every class named, as text.
  """

  step: int
  q: float | None = None
  ratios: Mapping[str, float] | None = None

  def __post_init__(self) -> None:
    check_whole('step', self.step, 0)
    if (self.q is None) == (self.ratios is None):
      raise ConfigError(
        f'q={format_value(self.q)} and ratios={format_value(self.ratios)} are given; give one of '
        f'them'
      )
    if self.ratios is None:
      check_number('q', self.q, fix='give one such as 1, natural, or 0, balanced')
      return
    given = check_mapping('ratios', self.ratios, '{0: 1, 1: 3}')
    texts = {_text(key): check_number(f'ratios[{key!r}]', r, 0) for key, r in given.items()}
    object.__setattr__(self, 'ratios', texts)

  @property
  def shares(self) -> Any:
    """The q, or the ratios."""
    return self.q if self.ratios is None else self.ratios


class AdjustableShares:
  """A schedule whose shares are set while training.

  On several hosts, make the same changes on each: the batch at a step must be the same on all.

  Examples:
    >>> shares = AdjustableShares(q=1)
    >>> shares.set(100, q=0.5)
    >>> [shares(step) for step in (0, 99, 100)]
    [1, 1, 0.5]
  """

  def __init__(self, q: float | None = None, ratios: Mapping[Any, Any] | None = None) -> None:
    """Sets the shares of step 0: equal ones where neither argument is given.

    Args:
      q: Exponent of weights records^q.
      ratios: Weight by class, every class named.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    q = 0 if q is None and ratios is None else q
    self._changes = [ShareChange(0, q, ratios)]
    self._checks: list[Callable[[Any], Any]] = []
    self._next_step = 0
    self._lock = threading.Lock()  # batches are drawn in threads of tf.data

  @property
  def changes(self) -> tuple[ShareChange, ...]:
    """The history, in the order of the steps; the first change is at step 0."""
    with self._lock:
      return tuple(self._changes)

  @property
  def next_step(self) -> int:
    """The first step whose batch was not drawn yet here: shares can be set from it on."""
    with self._lock:
      return self._next_step

  def set(self, step: int, q: float | None = None, ratios: Mapping[Any, Any] | None = None) -> None:
    """Sets the shares from a step on.

    Batches are drawn a few steps, at least 2,048 records, before they are trained on; name a step
    that no host has drawn yet.

    Args:
      step: First step with these shares: `next_step` or later, and not before the last change,
        which they replace if it is at this step.
      q: Exponent of weights records^q.
      ratios: Weight by class, every class named.

    Raises:
      ConfigError: if an argument breaks a rule, or the step's batch was drawn already.
    """
    change = ShareChange(step, q, ratios)
    for check in self._checks:
      check(change.shares)
    with self._lock:
      last = self._changes[-1].step
      least = max(self._next_step, last, 1)
      if step < least:
        raise ConfigError(
          f'step={step} is before {least}: batches of steps before {self._next_step} are drawn, '
          f'and the last change is at {last}; name {least} or later'
        )
      if step == last:
        self._changes.pop()
      self._changes.append(change)

  def restore(self, changes: Sequence[ShareChange], step: int) -> None:
    """Takes over the history of a run that goes on at a step, before which it cannot change.

    Raises:
      ConfigError: if its own history is not the first part of it.
    """
    with self._lock:
      own = self._changes
      if list(changes[: len(own)]) != own and own[: len(changes)] != list(changes):
        raise ConfigError(
          f'the shares were set as {format_value(own)}, and in the state as '
          f'{format_value(list(changes))}; make AdjustableShares with the first shares of that run'
        )
      self._changes = max(own, list(changes), key=len)
      self._next_step = max(self._next_step, step)

  def check_with(self, check: Callable[[Any], Any]) -> None:
    """Checks the shares that are set, and those to come, by a function that raises a fault."""
    for change in self.changes:
      check(change.shares)
    self._checks.append(check)

  def __call__(self, step: int) -> Any:
    """Returns the q or the ratios of a step, which then counts as drawn."""
    with self._lock:
      self._next_step = max(self._next_step, step + 1)
      return next(change.shares for change in reversed(self._changes) if change.step <= step)


SetShares = AdjustableShares
"""The class by its earlier name, for programs that import it."""


def _text(key: Any) -> str:
  """Returns the name of a class as text, by which `match_class` finds it."""
  key = check_key('ratios=', key)
  value = key.value if isinstance(key, ClassValue) else key
  if not isinstance(value, bytes):
    return str(value)
  try:
    return value.decode('utf-8')
  except UnicodeDecodeError as error:
    raise ConfigError(
      f'ratios= names class {format_value(value)}, which is not text in UTF-8; use q=, or give the '
      f'class a name in UTF-8'
    ) from error
