"""From counts per class and a sampling strategy to the number of copies of each record.

The words are those of imbalanced-learn (Lemaître, Nogueira and Aridas 2017): of its over-samplers,
and with `undersample=True` of its under-samplers.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_mapping, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import ClassValue, check_key, match_classes
from tfx_balance.plan.ranks import Ints

_RESAMPLED = ('majority', 'minority', 'not majority', 'not minority', 'all', 'auto')
_COMMON_GOALS: dict[str, Callable[[list[int]], int]] = {
  'median': lambda counts: (counts[(len(counts) - 1) // 2] + counts[len(counts) // 2]) // 2,
  'mean': lambda counts: sum(counts) // len(counts),
}
"""Word to the function from the counts of classes, ascending, to the one that all come to."""
STRATEGIES = (*_RESAMPLED, *_COMMON_GOALS)
DEFAULT_STRATEGY = 'auto'
"""'not majority', or with `undersample=True` 'not minority': all are brought to the extreme."""
POWER = 'power:'
"""'power:0.5' makes targets proportional to n ** 0.5: 0 is equal, 1 is natural."""
BETWEEN = 'between:'
"""'between:0.5' brings all classes into a range whose ends have this ratio: both ways."""
MOST_COPIES = 1_000_000
"""The largest factor: more copies of one record than any model is trained on are a slip."""
MOST_RECORDS = 10**12
"""The most copies and the largest final count of a class that may be asked for by number: in
TFRecord files the frames alone of so many take 16 TB."""
_NO_LIMIT = 2**62
_MAX_ROOT = 1000  # q has three decimals at the most, so that n ** q is rounded exactly


@dataclass(frozen=True)
class BalanceRequest:
  """The requested balance, checked as far as is possible before the classes are known.

  Attributes:
    sampling_strategy: One of STRATEGIES, 'power:q', 'between:r', a ratio, which is a Fraction once
      it is checked, or final count by class.
    factors: Number of copies of each record, itself included, by class; replaces the strategy.
    max_copies: Largest number of copies of a record, itself included; None for no limit.
    undersample: Whether classes above their target lose records.

  Raises:
    ConfigError: if an argument breaks a rule.
  """

  sampling_strategy: Any = DEFAULT_STRATEGY
  factors: Mapping[Any, int] | None = None
  max_copies: int | None = None
  undersample: bool = False

  def __post_init__(self) -> None:
    strategy = self.sampling_strategy
    if self.factors is not None:
      check_mapping('factors', self.factors, '{1: 3}')
      if strategy != DEFAULT_STRATEGY:
        raise ConfigError(
          f'factors= and sampling_strategy={format_value(strategy)} both say how many; pass one of '
          f'them'
        )
    if isinstance(strategy, numbers.Real) and not isinstance(strategy, bool):
      object.__setattr__(self, 'sampling_strategy', _ratio(strategy))
    elif not isinstance(strategy, (str, Mapping)):
      raise ConfigError(
        f'sampling_strategy={format_value(strategy)} must be one of {list(STRATEGIES)}, "power:q", '
        f'"between:r", a ratio or a dict of class to final count; pass one of these'
      )
    if self.max_copies is not None:
      most = check_whole('max_copies', self.max_copies, fix='leave it out for no limit')
      object.__setattr__(self, 'max_copies', most)
    if self.factors is not None:
      fix = 'give the copies of every record, itself included'
      self._check_numbers('factors', MOST_COPIES, fix)
    elif isinstance(strategy, Mapping):
      self._check_numbers('sampling_strategy', MOST_RECORDS, 'give the final count of records')
    elif isinstance(strategy, str):
      _check_word(strategy, self.undersample)

  def _check_numbers(self, name: str, most: int, fix: str) -> None:
    """Checks class to number, and keeps the numbers as Python's."""
    checked = {
      check_key(name, key): check_whole(f'{name}[{key!r}]', n, 1, most, fix)
      for key, n in getattr(self, name).items()
    }
    object.__setattr__(self, name, checked)


@dataclass(frozen=True, eq=False)
class BalancePlan:
  """The records of each class, before and after.

  Attributes:
    classes: Classes in canonical order.
    records: Records of each class before: int64 [classes].
    targets: Records of each class after: int64 [classes].
    held_back: Classes that `max_copies` keeps below the requested count.
    passed: Classes that are not balanced, and keep their records.
  """

  classes: Sequence[ClassValue]
  records: Ints
  targets: Ints
  held_back: tuple[ClassValue, ...]
  passed: tuple[ClassValue, ...] = ()

  def extremes(self) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the largest and the smallest count of the balanced classes: before, and after.

    >>> classes = [ClassValue('int', 1), ClassValue('int', 2)]
    >>> BalancePlan(classes, np.array([3, 9]), np.array([9, 9]), ()).extremes()
    ((9, 3), (9, 9))
    """
    chosen = _not_in(self.passed, self.classes)
    if not chosen.any():
      return (0, 0), (0, 0)
    before, after = self.records[chosen], self.targets[chosen]
    return (int(before.max()), int(before.min())), (int(after.max()), int(after.min()))

  def helps(self) -> bool:
    """Returns whether the imbalance ratio falls, or there was no imbalance and will be none."""
    (large, small), (most, least) = self.extremes()
    return most * small < large * least or (large == small and most == least)


def plan_balance(
  classes: Sequence[ClassValue],
  records: Sequence[int] | Ints,
  request: BalanceRequest,
  passed: Collection[ClassValue] = (),
) -> BalancePlan:
  """Returns the target of every class, exactly as asked for.

  Args:
    classes: Classes in canonical order.
    records: Records of each class, 1 or more: integers [classes].
    request: Requested balance.
    passed: Classes that are not balanced, and keep their records.

  Raises:
    ConfigError: if a class is named that there is not, or a target is below the class's count
      without `undersample`.
  """
  counts = np.asarray(records, np.int64)
  rows = np.flatnonzero(_not_in(passed, classes))
  balanced = classes if len(rows) == len(classes) else [classes[i] for i in rows.tolist()]
  wanted = _targets(balanced, counts[rows], request)
  most = min(request.max_copies or _NO_LIMIT, _NO_LIMIT)
  limited = counts[rows] <= (wanted - 1) // most  # as counts * most < wanted, within 64 bits
  targets = counts.copy()
  targets[rows] = np.where(limited, counts[rows] * most, wanted)
  kept = np.delete(np.arange(len(classes)), rows)
  return BalancePlan(
    classes,
    counts,
    targets,
    tuple(balanced[i] for i in np.flatnonzero(limited).tolist()),
    tuple(classes[i] for i in kept.tolist()),
  )


def _not_in(few: Collection[ClassValue], classes: Sequence[ClassValue]) -> npt.NDArray[np.bool_]:
  """Returns a mask of the classes that are not among some: bool [classes]."""
  if not few:
    return np.ones(len(classes), bool)
  return np.array([value not in few for value in classes], bool)


def _targets(classes: Sequence[ClassValue], counts: Ints, request: BalanceRequest) -> Ints:
  """Returns the target of each class, before any cap: int64 [classes]."""
  if request.factors is not None:
    by_class = match_classes('factors', request.factors, classes)
    factors = np.array([by_class.get(c, 1) for c in classes], np.int64)
    for i in np.flatnonzero(counts * (factors - 1) > MOST_RECORDS):
      raise ConfigError(
        f'factors[{str(classes[i])!r}]={factors[i]} makes over {MOST_RECORDS} copies of '
        f'{counts[i]} records; give fewer'
      )
    return counts * factors
  if isinstance(request.sampling_strategy, Mapping):
    by_class = match_classes('sampling_strategy', request.sampling_strategy, classes)
    pairs = zip(classes, counts.tolist(), strict=True)
    finals = np.array([by_class.get(c, n) for c, n in pairs], np.int64)
    for i in np.flatnonzero(finals < counts) if not request.undersample else ():
      raise ConfigError(
        f'class {classes[i]} has {counts[i]} records and a target of {finals[i]}; '
        f'pass undersample=True, or a target of {counts[i]} or more'
      )
    return finals
  if not len(counts):
    return counts
  if isinstance(request.sampling_strategy, str) and request.sampling_strategy in _RESAMPLED:
    return _resampled(counts, request.sampling_strategy, request.undersample)
  goals = _goals(counts, request.sampling_strategy, request.undersample)
  return goals if request.undersample else np.maximum(counts, goals)


def _resampled(counts: Ints, word: str, undersample: bool) -> Ints:
  """Returns targets as imbalanced-learn's over-samplers, or under-samplers, have them.

  The classes that the word names go to the largest count, or to the smallest.
  """
  if word == 'auto':
    word = 'not minority' if undersample else 'not majority'
  goal = counts.min() if undersample else counts.max()
  chosen = np.full(len(counts), word.startswith('not') or word == 'all')
  if word != 'all':
    chosen[counts.argmin() if 'minority' in word else counts.argmax()] ^= True
  return np.where(chosen, goal, counts)


def _goals(counts: Ints, strategy: str | Fraction | Mapping[Any, int], undersample: bool) -> Ints:
  """Returns the count that each class is brought to, up or down: int64 [classes]."""
  most = int(counts.max())
  if isinstance(strategy, Fraction):
    if undersample:
      return np.minimum(counts, min(most, int(int(counts.min()) / strategy)))
    return np.full_like(counts, int(most * strategy))
  word = str(strategy)
  if word in _COMMON_GOALS:
    return np.full_like(counts, _COMMON_GOALS[word](np.sort(counts).tolist()))
  if word.startswith(BETWEEN):
    low, high = _range(counts, _ratio(word[len(BETWEEN) :]))
    return np.minimum(np.maximum(counts, low), high)
  power = _power(word)
  distinct, which = np.unique(counts, return_inverse=True)
  goals = np.array([_scaled_power(n, most, power) for n in distinct.tolist()], np.int64)
  return np.take(goals, which.reshape(-1))


def _range(counts: Ints, ratio: Fraction) -> tuple[int, int]:
  """Returns the lowest range of counts, low / high >= ratio, that does not lower the total.

  >>> _range(np.array([800, 150, 50]), Fraction(1, 2))
  (250, 500)
  """
  distinct, times = (column.tolist() for column in np.unique(counts, return_counts=True))
  whole = sum(n * t for n, t in zip(distinct, times, strict=True))
  below, high = 0, distinct[-1]
  while high - below > 1:
    middle = (below + high) // 2
    low = math.ceil(middle * ratio)
    total = sum(min(max(n, low), middle) * t for n, t in zip(distinct, times, strict=True))
    below, high = (below, middle) if total >= whole else (middle, high)
  return math.ceil(high * ratio), high


def _scaled_power(n: int, most: int, power: Fraction) -> int:
  """Returns most * (n / most) ** power, rounded down, exactly.

  >>> _scaled_power(25, 100, Fraction(1, 2)), _scaled_power(7, 100, Fraction(0))
  (50, 100)
  """
  p, r = power.numerator, power.denominator
  return _integer_root(n**p * most ** (r - p), r)


def _integer_root(value: int, degree: int) -> int:
  """Returns the largest integer whose power of that degree is not above the value."""
  low, high = 0, 1 << (value.bit_length() // degree + 1)
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (middle, high) if middle**degree <= value else (low, middle)
  return low


def _check_word(word: str, undersample: bool) -> None:
  if word.startswith(POWER):
    _power(word)
  elif word.startswith(BETWEEN):
    _ratio(word[len(BETWEEN) :])
    if not undersample:
      raise ConfigError(
        f'sampling_strategy={word!r} raises some classes and lowers others; pass undersample=True, '
        f'or the ratio alone, which only raises'
      )
  elif word not in STRATEGIES:
    raise ConfigError(
      f'sampling_strategy={word!r} is not one of {list(STRATEGIES)}, "power:0.5" or "between:0.5"; '
      f'pass one of these'
    )
  elif word == 'majority' and not undersample:
    raise ConfigError(
      "sampling_strategy='majority' brings the largest class down to the smallest; "
      "pass undersample=True, or 'not majority' to bring the others up"
    )
  elif word == 'minority' and undersample:
    raise ConfigError(
      "sampling_strategy='minority' brings the smallest class up to the largest; "
      "drop undersample=True, or pass 'not minority' to bring the others down"
    )


def _fraction(number: Any) -> Fraction:
  """Returns a number, or the one that a text is; -1 if it is none, or takes 1,000 digits."""
  try:
    text = str(number)
    return Fraction(-1) if re.search(r'[eE][+-]?\d{4}', text) else Fraction(text)
  except (ValueError, ZeroDivisionError):  # NaN, infinity, a text that is none, 4,300 digits
    return Fraction(-1)


def _power(word: str) -> Fraction:
  """Returns the q of 'power:q'."""
  power = _fraction(word[len(POWER) :])
  if not 0 <= power <= 1 or power.denominator > _MAX_ROOT:
    raise ConfigError(
      f'sampling_strategy={word!r} must have a q from 0 (equal) to 1 (natural), with three '
      f'decimals at the most; pass one such as "power:0.5"'
    )
  return power


def _ratio(ratio: Any) -> Fraction:
  value = _fraction(ratio)
  if not 0 < value <= 1:
    raise ConfigError(
      f'sampling_strategy={format_value(ratio)} must be a ratio above 0 and at most 1: the '
      f'smallest count over the largest, afterwards; pass one such as 0.5'
    )
  return value
