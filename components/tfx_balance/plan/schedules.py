"""Schedules: sampling that changes with the step.

A schedule is any function of the step (int, from 0) that returns a `q`, a dict of ratios, or a
`Mixture`. It must depend on nothing but the step: a restored run calls it again.

Every batch under 'exact' holds the floor or the ceiling of each class's share at its own step.
Running totals follow the sum of all those shares, within O(log n_classes) whatever the schedule
does; in all that the tests try no class is as much as one record off (see `batch_quota`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tfx_balance.arguments import check_number, check_whole
from tfx_balance.plan.batch_quota import Weights, bounded_weights


@dataclass(frozen=True)
class Mixture:
  """Shares between natural and balanced.

  Attributes:
    balanced: Weight of the balanced shares, 0 (natural) to 1 (balanced).
  """

  balanced: Fraction

  def __post_init__(self) -> None:
    balanced = check_number('balanced', self.balanced, 0, 1)
    exact = self.balanced if isinstance(self.balanced, Fraction) else Fraction(str(balanced))
    object.__setattr__(self, 'balanced', exact)

  def weights(self, records: Sequence[int]) -> Weights:
    """Returns the weights: natural share * (1 - balanced) + balanced / n_classes, exactly."""
    total, n = sum(records), len(records)
    shares = [(1 - self.balanced) * Fraction(own, total) + self.balanced / n for own in records]
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
    steps: Number of steps until sampling is balanced.
    stages: Number of stages of equal length, each with one mixture.
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
