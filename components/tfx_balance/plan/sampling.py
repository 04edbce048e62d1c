"""Sampling of classes: integer weights at each step, and the batches of an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tfx_balance.arguments import (
  check_callable,
  check_choice,
  check_mapping,
  check_number,
  check_whole,
  format_value,
)
from tfx_balance.errors import ConfigError
from tfx_balance.plan.adjustable_shares import AdjustableShares
from tfx_balance.plan.batch_quota import MAX_RESOLUTION, Weights, bounded_weights, check_batch_size
from tfx_balance.plan.class_value import ClassValue, match_classes

_MOST_OFF = 1000  # a share in ratios= is rounded by a part in so many at most
SCHEMES = ('balanced', 'effective')


def class_weights(
  records: Sequence[int], sampling: Sequence[int], scheme: str = 'balanced', beta: float = 0.999
) -> list[float]:
  """Returns the weight of each class in the loss, given how the classes are sampled.

  'balanced' gives all classes equal emphasis. On natural samples it is scikit-learn's
  n_samples / (n_classes * n_c):

  >>> class_weights([3, 1], sampling=[3, 1])
  [0.6666666666666666, 2.0]
  >>> class_weights([3, 1], sampling=[1, 1])
  [1.0, 1.0]

  'effective' is (1 - beta) / (1 - beta^n_c) on natural samples (Cui et al. 2019, "Class-balanced
  loss based on effective number of samples"). Both are scaled to a mean of 1 over the samples, so
  that the loss keeps its scale; Cui et al. scale to a mean of 1 over the classes.

  Args:
    records: Natural count of each class, 1 or more.
    sampling: Weight with which each class is sampled; a class of weight 0 gets weight 0.
    scheme: 'balanced' or 'effective'.
    beta: Parameter of 'effective', 0 or more and below 1.

  Raises:
    ConfigError: if the scheme is unknown or beta out of range.
  """
  total = sum(records)
  check_choice('scheme', scheme, SCHEMES)
  if scheme == 'balanced':
    natural = [total / (len(records) * n) for n in records]
  else:
    natural = _effective(records, beta)
  sampled = sum(sampling)
  return [
    (n / total / (drawn / sampled)) * weight if drawn else 0.0
    for n, drawn, weight in zip(records, sampling, natural, strict=True)
  ]


def _effective(records: Sequence[int], beta: float) -> list[float]:
  beta = check_number('beta', beta, 0, 1, below=True, fix='0.9 to 0.9999 are usual')
  if beta == 0:
    return [1.0] * len(records)
  raw = [(1 - beta) / -math.expm1(n * math.log(beta)) for n in records]
  scale = sum(records) / sum(n * weight for n, weight in zip(records, raw, strict=True))
  return [weight * scale for weight in raw]


def log_shares(counts: Sequence[int]) -> list[float]:
  """Returns the natural logarithm of each class's share; -inf for a class without any.

  >>> log_shares([1, 1, 0])
  [-0.6931471805599453, -0.6931471805599453, -inf]
  """
  total = math.log(sum(counts))
  return [math.log(count) - total if count else -math.inf for count in counts]


def all_equal(values: Sequence[float]) -> bool:
  """Returns whether weights are all equal: then they change only the scale of a loss."""
  return max(values) - min(values) <= 1e-9 * max(abs(value) for value in values)


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


BATCH_STRATEGIES = ('exact', 'weighted', 'natural', 'classes_per_batch')


@dataclass(frozen=True)
class TrainingCounts:
  """The classes that batches are sampled from, with their records.

  Attributes:
    classes: Classes in canonical order.
    records: Records of each class, 1 or more.
  """

  classes: tuple[ClassValue, ...]
  records: tuple[int, ...]

  def weights(
    self, q: float | Mixture | None = None, ratios: Mapping[Any, Any] | None = None
  ) -> Weights:
    """Returns the sampling weights of the classes.

    >>> two = TrainingCounts((ClassValue('int', 0), ClassValue('int', 1)), (90, 10))
    >>> two.weights(), two.weights(q=1), two.weights(ratios={0: 0.25, 1: 0.75})
    ((1, 1), (9, 1), (1, 3))

    Args:
      q: Exponent of weights records^q: 1 is natural, 0 balanced (the default), 0.5 square-root
        sampling. Or a mixture of natural and balanced.
      ratios: Weight by class, every class named; 0 leaves a class out.

    Raises:
      ConfigError: if both are given, or one breaks a rule; if a share of `ratios` is rounded to
        units of 1 / MAX_RESOLUTION by more than a part in 1,000.
    """
    if q is not None and ratios is not None:
      raise ConfigError(f'q={format_value(q)} and ratios= are both given; give one of them')
    if ratios is not None:
      return self._from_ratios(ratios)
    if isinstance(q, Mixture):
      return q.weights(self.records)
    return _powers(self.records, 0.0 if q is None else q)

  def units(self, weights: Weights) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the records and the weight of each thing that an epoch goes through: of a class."""
    return self.records, weights

  def _from_ratios(self, ratios: Mapping[Any, Any]) -> Weights:
    check_mapping('ratios', ratios, '{0: 1, 1: 3}')
    checked = {key: _ratio(key, ratio) for key, ratio in ratios.items()}
    found = match_classes('ratios', checked, self.classes)
    missing = [str(value) for value in self.classes if value not in found]
    if missing:
      raise ConfigError(
        f'ratios= leaves out class {", ".join(missing[:10])}; give every class a ratio, 0 for none'
      )
    fractions = [found[value] for value in self.classes]
    if not any(fractions):
      raise ConfigError('ratios= are all 0; give one class or more a ratio above 0')
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    exact = [int(fraction * common) for fraction in fractions]
    weights = bounded_weights(exact)
    asked, given = sum(exact), sum(weights)
    for value, a, b in zip(self.classes, exact, weights, strict=True):
      if abs(b * asked - a * given) * _MOST_OFF > a * given:
        raise ConfigError(
          f'share {a / asked:.3g} of class {value} would be {b / given:.3g}, as shares are '
          f'multiples of 2**-26, and must be met to a part in {_MOST_OFF:,}; give it 0, or '
          f'{_MOST_OFF / MAX_RESOLUTION:.3g} of the sum of ratios= or more'
        )
    return weights


def _ratio(key: Any, ratio: Any) -> Fraction:
  """Returns a ratio exactly; a float is read as the decimal that it shows."""
  found = check_number(f'ratios[{key!r}]', ratio, 0)
  return ratio if isinstance(ratio, Fraction) else Fraction(str(found))


def _powers(records: Sequence[int], q: float) -> Weights:
  """Returns records^q, in units of 1 / MAX_RESOLUTION where its sum is not below it."""
  q = check_number('q', q, fix='give one such as 1, natural, or 0, balanced')
  if q == 0:
    return (1,) * len(records)
  if q == 1:
    return bounded_weights(records)
  logs = [float(q) * math.log(n) for n in records]
  top = max(logs)
  return bounded_weights([max(1, round(math.exp(x - top) * 2**52)) for x in logs])


@dataclass
class ScheduledWeights:
  """The weights at each step: constant, or as a schedule says."""

  counts: TrainingCounts
  constant: Weights | None = None
  schedule: Schedule | None = None
  _known: dict[Any, Weights] = field(default_factory=dict, repr=False)

  def at(self, step: int) -> Weights:
    """Returns the weights of the batch at a step.

    Raises:
      ConfigError: if the schedule returns neither a q nor ratios nor a `Mixture`.
    """
    if self.schedule is None:
      assert self.constant is not None
      return self.constant
    value = self.schedule(step)
    key = tuple(value.items()) if isinstance(value, Mapping) else value
    try:
      is_known = key in self._known
    except TypeError:  # unhashable, as no number and no ratios of numbers are
      self.of(value)
      raise
    if not is_known:
      if len(self._known) >= 256:
        self._known.clear()
      weights = self.of(value)
      fine = MAX_RESOLUTION // sum(weights)  # what a change carries over is rounded to these units
      self._known[key] = tuple(weight * fine for weight in weights)
    return self._known[key]

  def of(self, value: Any) -> Weights:
    """Returns the weights for a value of the schedule, unscaled.

    Raises:
      ConfigError: if it is neither a q nor ratios nor a `Mixture`.
    """
    if isinstance(value, Mapping):
      return self.counts.weights(ratios=value)
    if not isinstance(value, Mixture):
      value = check_number('q', value, fix='fix the value that the schedule returns')
    return self.counts.weights(q=value)


@dataclass(frozen=True)
class Sampling:
  """Sampling of classes by a strategy and its arguments.

  Attributes:
    strategy: 'exact', 'weighted', 'natural' or 'classes_per_batch'.
    q: Exponent of weights records^q.
    ratios: Weight by class.
    schedule: Function of the step that returns a q, ratios or a `Mixture`.
    classes: Number of classes in a batch of 'classes_per_batch'.
    records: Number of records of each of them.
  """

  strategy: str = 'exact'
  q: float | None = None
  ratios: Mapping[Any, Any] | None = None
  schedule: Schedule | None = None
  classes: int | None = None
  records: int | None = None

  def __post_init__(self) -> None:
    check_choice('strategy', self.strategy, BATCH_STRATEGIES)
    given = [n for n in ('q', 'ratios', 'schedule') if getattr(self, n) is not None]
    if self.strategy == 'classes_per_batch':
      example = "classes=8, records=4 with strategy='classes_per_batch'"
      for name in ('classes', 'records'):  # as Python's integers, whatever they were
        n = check_whole(name, getattr(self, name), 1, fix=f'give both, as in {example}')
        object.__setattr__(self, name, n)
      if given:
        raise ConfigError(
          f"strategy='classes_per_batch' draws classes equally often, and {given[0]}= is given; "
          f"leave it out, or pass strategy='exact'"
        )
    elif self.classes is not None or self.records is not None:
      name = 'records' if self.classes is None else 'classes'
      raise ConfigError(
        f'{name}={format_value(getattr(self, name))} is given with strategy={self.strategy!r}; '
        f'leave it '
        f"out, or pass strategy='classes_per_batch' with classes= and records="
      )
    if self.schedule is not None:
      check_callable('schedule', self.schedule, 'progressive(steps=10_000)')
    if self.strategy == 'natural' and given:
      raise ConfigError(
        f"strategy='natural' takes the data as it is, and {given[0]}= is given; "
        f"leave it out, or pass strategy='exact' or 'weighted'"
      )
    if len(given) > 1:
      raise ConfigError(f'{given[0]}= and {given[1]}= are both given; give one of them')

  def batch_size(self, requested: int | None, counts: TrainingCounts) -> int:
    """Returns the records of a batch: those given, or classes times records.

    Raises:
      ConfigError: if none is given and the strategy does not say it, or it says another; if there
        are not as many classes.
    """
    if self.strategy != 'classes_per_batch':
      return check_batch_size(requested)
    assert self.classes is not None
    assert self.records is not None
    if type(counts) is not TrainingCounts:
      raise ConfigError(
        "strategy='classes_per_batch' takes one label a record, and these have several; pass "
        "strategy='exact'"
      )
    if self.classes > len(counts.classes):
      raise ConfigError(
        f'classes={self.classes} of a batch, and there are {len(counts.classes)}; give this number '
        f'or a smaller one'
      )
    size = check_batch_size(self.classes * self.records)
    if requested is not None and check_batch_size(requested) != size:
      raise ConfigError(
        f'batch_size={format_value(requested)}, and classes={self.classes} times '
        f'records={self.records} are {size}; leave batch_size= out, or give {size}'
      )
    return size

  def weights(self, counts: TrainingCounts) -> ScheduledWeights:
    """Returns the weights at each step; the schedule's first is tried at once.

    Raises:
      ConfigError: if they break a rule.
    """
    if self.schedule is None:
      return ScheduledWeights(counts, self.constant(counts))
    scheduled = ScheduledWeights(counts, schedule=self.schedule)
    scheduled.at(0)
    if isinstance(self.schedule, AdjustableShares):
      self.schedule.check_with(scheduled.of)
    return scheduled

  def constant(self, counts: TrainingCounts) -> Weights:
    """Returns the weights that each batch is sampled with.

    Raises:
      ConfigError: if they change with the step.
    """
    if self.schedule is not None:
      raise ConfigError(
        'a schedule has other weights at each step, and one weight a class is asked for; '
        'pass the q= or ratios= of one stage'
      )
    if self.strategy == 'natural':
      return counts.records
    return counts.weights(self.q, self.ratios)
