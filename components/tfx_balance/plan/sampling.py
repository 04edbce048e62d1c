"""From what a person asks of a sampling strategy to integer weights, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

from tfx_balance.arguments import check_choice, check_mapping, check_number, check_whole, shown
from tfx_balance.errors import ConfigError
from tfx_balance.plan.batch_quota import MAX_RESOLUTION, bounded_weights
from tfx_balance.plan.class_value import ClassValue, match_class

StrategyName = Literal['exact', 'weighted', 'natural']
STRATEGIES: tuple[str, ...] = get_args(StrategyName)
Epoch = str | int
"""'largest' or 'smallest' class, or a number of batches."""


@dataclass(frozen=True)
class ClassCounts:
  """The classes that are sampled from, and how many records each has.

  Attributes:
    classes: in canonical order.
    records: 1 or more each.
  """

  classes: tuple[ClassValue, ...]
  records: tuple[int, ...]

  def weights(self, q: float | None = None, ratios: Mapping[Any, Any] | None = None) -> Weights:
    """Returns the sampling weights of the classes.

    >>> two = ClassCounts((ClassValue('int', 0), ClassValue('int', 1)), (90, 10))
    >>> two.weights(), two.weights(q=1), two.weights(ratios={0: 0.25, 1: 0.75})
    ((1, 1), (9, 1), (1, 3))

    Args:
      q: weights are records^q: 1 is natural, 0 balanced (the default), 0.5 square-root sampling.
      ratios: class to weight, every class named; 0 leaves a class out.

    Raises:
      ConfigError: if both are given, or one breaks a rule.
    """
    if q is not None and ratios is not None:
      raise ConfigError(f'q={shown(q)} and ratios= are both given; give one of them')
    if ratios is not None:
      return self._from_ratios(ratios)
    return _powers(self.records, 0.0 if q is None else q)

  def _from_ratios(self, ratios: Mapping[Any, Any]) -> Weights:
    check_mapping('ratios', ratios, '{0: 1, 1: 3}')
    found: dict[ClassValue, Fraction] = {}
    for key, ratio in ratios.items():
      value = match_class(key, self.classes)
      if value in found:
        raise ConfigError(f'ratios= names class {value} twice; name each class once')
      found[value] = _ratio(key, ratio)
    missing = [str(value) for value in self.classes if value not in found]
    if missing:
      raise ConfigError(
        f'ratios= leaves out class {", ".join(missing[:10])}; give every class a ratio, 0 for none'
      )
    fractions = [found[value] for value in self.classes]
    if not any(fractions):
      raise ConfigError('ratios= are all 0; give one class or more a ratio above 0')
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    return bounded_weights([int(fraction * common) for fraction in fractions])


Weights = tuple[int, ...]


def _ratio(key: Any, ratio: Any) -> Fraction:
  """Returns a ratio exactly; a float is read as the decimal that it shows."""
  found = check_number(f'ratios[{key!r}]', ratio, 0)
  return ratio if isinstance(ratio, Fraction) else Fraction(str(found))


def _powers(records: Sequence[int], q: float) -> Weights:
  """Returns records^q: exact for q of 0 and 1, else in units of 1 / MAX_RESOLUTION."""
  q = check_number('q', q, fix='give one such as 1, natural, or 0, balanced')
  if q == 0:
    return (1,) * len(records)
  if q == 1:
    return bounded_weights(records)
  logs = [float(q) * math.log(n) for n in records]
  top = max(logs)
  return bounded_weights([max(1, round(math.exp(x - top) * MAX_RESOLUTION)) for x in logs])


def check_strategy(strategy: Any) -> StrategyName:
  """Returns a strategy's name.

  Raises:
    ConfigError: if there is none of this name.
  """
  checked: StrategyName = check_choice('strategy', strategy, STRATEGIES)
  return checked


def check_epoch(epoch: Any) -> Epoch:
  """Returns an epoch's definition.

  Raises:
    ConfigError: if it is not 'largest', 'smallest' or an integer of 1 or more.
  """
  if isinstance(epoch, str) and epoch in ('largest', 'smallest'):
    return str(epoch)
  return check_whole('epoch', epoch, fix="or 'largest' or 'smallest' class, gone through once")


def epoch_steps(
  records: Sequence[int], weights: Sequence[int], batch_size: int, epoch: Epoch
) -> int:
  """Returns the batches of an epoch: the fewest that surely show all of the named class.

  t batches of exact quotas hold floor(t B w) of a class or more.

  >>> epoch_steps([90, 10], [1, 1], batch_size=20, epoch='largest')
  9

  Args:
    records: of the classes.
    weights: of the classes; classes of weight 0 are never shown and do not count.
    batch_size: 1 or more.
    epoch: 'largest' or 'smallest' class by its records, or a number of batches.
  """
  if isinstance(epoch, int):
    return epoch
  shown = [(n, w) for n, w in zip(records, weights, strict=True) if w]
  size = (max if epoch == 'largest' else min)(n for n, _ in shown)
  weight = min(w for n, w in shown if n == size)
  return -(-size * sum(weights) // (batch_size * weight))
