"""Sampling that changes with the step: what weights each batch is drawn with.

A schedule is any function of the step (int, from 0) that returns a `q`, a dict of ratios, or a
`Mixture`. It must depend on nothing but the step: a restored run calls it again.

Every batch under 'exact' holds the floor or the ceiling of each class's share at its own step.
Running totals follow the sum of all those shares, within O(log n_classes) whatever the schedule
does; in all that the tests try no class is as much as one record off (see `batch_quota`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tfx_balance.arguments import check_number, check_whole
from tfx_balance.plan.batch_quota import MAX_RESOLUTION, bounded_weights
from tfx_balance.plan.sampling import ClassCounts, Weights


@dataclass(frozen=True)
class Mixture:
  """Shares part balanced, the rest natural.

  Attributes:
    balanced: the balanced part, 0 (all natural) to 1 (all balanced).
  """

  balanced: Fraction

  def __post_init__(self) -> None:
    part = check_number('balanced', self.balanced, 0, 1)
    exact = self.balanced if isinstance(self.balanced, Fraction) else Fraction(str(part))
    object.__setattr__(self, 'balanced', exact)

  def weights(self, counts: ClassCounts) -> Weights:
    """Returns the weights: natural share * (1 - balanced) + balanced / n_classes, exactly."""
    total, n = sum(counts.records), len(counts.records)
    shares = [
      (1 - self.balanced) * Fraction(records, total) + self.balanced / n
      for records in counts.records
    ]
    common = self.balanced.denominator * total * n
    return bounded_weights([int(share * common) for share in shares])


Schedule = Callable[[int], Any]


def progressive(steps: int, stages: int = 100) -> Schedule:
  """Returns progressively balanced sampling: natural shares that turn linearly into balanced ones.

  Kang et al. 2020, "Decoupling representation and classifier for long-tailed recognition", where a
  stage is an epoch.

  Examples:
    >>> [float(progressive(100, stages=4)(step).balanced) for step in (0, 30, 99, 500)]
    [0.0, 0.25, 0.75, 1.0]

  Args:
    steps: after which sampling is balanced.
    stages: of equal length, over which the mixture changes.
  """
  steps, stages = check_whole('steps', steps), check_whole('stages', stages)
  return lambda step: Mixture(Fraction(min(step * stages // steps, stages), stages))


def deferred(steps: int, q: float = 0.0) -> Schedule:
  """Returns natural sampling for a number of steps, and n_c^q from then on.

  Cao et al. 2019, "Learning imbalanced datasets with label-distribution-aware margin loss".

  Examples:
    >>> [deferred(10)(step) for step in (9, 10)]
    [1.0, 0.0]
  """
  steps, q = check_whole('steps', steps), check_number('q', q)
  return lambda step: 1.0 if step < steps else q


def annealed(start: float, end: float, steps: int, stages: int = 100) -> Schedule:
  """Returns n_c^q with a q that goes from start to end linearly, in stages: a curriculum.

  Examples:
    >>> [annealed(1, 0, 100, stages=4)(step) for step in (0, 30, 99, 500)]
    [1.0, 0.75, 0.25, 0.0]
  """
  start, end = check_number('start', start), check_number('end', end)
  steps, stages = check_whole('steps', steps), check_whole('stages', stages)
  return lambda step: start + (end - start) * min(step * stages // steps, stages) / stages


@dataclass
class ScheduledWeights:
  """The weights at each step: constant, or as a schedule says."""

  counts: ClassCounts
  constant: Weights | None = None
  schedule: Schedule | None = None
  _known: dict[Any, Weights] = field(default_factory=dict, repr=False)

  def at(self, step: int) -> Weights:
    """Returns the weights of the batch at a step.

    Raises:
      ConfigError: if the schedule returns what is no q, no ratios and no mixture.
    """
    if self.schedule is None:
      assert self.constant is not None
      return self.constant
    value = self.schedule(step)
    key = tuple(value.items()) if isinstance(value, Mapping) else value
    if key not in self._known:
      if len(self._known) >= 256:
        self._known.clear()
      weights = self._weights(value)
      fine = MAX_RESOLUTION // sum(
        weights
      )  # what is carried over a change is rounded to these units
      self._known[key] = tuple(weight * fine for weight in weights)
    return self._known[key]

  def _weights(self, value: Any) -> Weights:
    if isinstance(value, Mixture):
      return value.weights(self.counts)
    if isinstance(value, Mapping):
      return self.counts.weights(ratios=value)
    return self.counts.weights(q=check_number('q', value, fix='mend what the schedule returns'))
