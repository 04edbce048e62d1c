"""The shares of splits, by weight or by count."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from tfx_balance.arguments import check_mapping, check_whole, format_value
from tfx_balance.errors import ConfigError

DEFAULT_SPLITS: Mapping[str, int] = MappingProxyType({'train': 8, 'eval': 1, 'test': 1})
_SPLIT_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]*')
_LONGEST_NAME = 255 - len('Split-')  # file systems take 255 bytes for a name


@dataclass(frozen=True)
class SplitShares:
  """The share of each split: a weight, or a number of records.

  Attributes:
    weights: Weights of the splits that share what `counts` leaves, in order; integers without a
      common divisor.
    counts: Number of records of the other splits.
    parts: Names of the splits of equal weight that splits with a weight are divided into.
    at_least: Least number of records of a class in each split, of classes that have enough.
  """

  weights: Mapping[str, int]
  counts: Mapping[str, int]
  parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
  at_least: Mapping[str, int] = field(default_factory=dict)

  @property
  def divided(self) -> Mapping[str, int]:
    """The weights with those of parts in place of the splits that are divided, these first."""
    if not self.parts:
      return self.weights
    whole = math.lcm(*map(len, self.parts.values()))
    parts = {
      name: self.weights[split] * whole // len(names)
      for split, names in self.parts.items()
      for name in names
    }
    others = {name: w * whole for name, w in self.weights.items() if name not in self.parts}
    return {**parts, **others}

  @property
  def names(self) -> tuple[str, ...]:
    """All the splits, those with a weight first."""
    return (*self.divided, *self.counts)

  @classmethod
  def parse(
    cls,
    splits: Mapping[str, Any] | None = DEFAULT_SPLITS,
    counts: Mapping[str, Any] | None = None,
    rest: str | None = None,
    default: Mapping[str, int] = DEFAULT_SPLITS,
  ) -> SplitShares:
    """Returns the checked shares.

    >>> SplitShares.parse({'train': 0.8, 'test': 0.2})
    SplitShares(weights={'train': 4, 'test': 1}, counts={}, parts={}, at_least={})

    Args:
      splits: Weight by split: int, float (read as the decimal it shows) or Fraction. The default
        gives way to `counts` and `rest`; other weights do not.
      counts: Number of records by split.
      rest: Name of the split that gets all that `counts` leaves.
      default: Weights where nobody gives any; {} where all records have a split without them.

    Raises:
      ConfigError: if a name, weight or count breaks a rule.
    """
    counts = {} if counts is None else dict(check_mapping('counts', counts, '{"test": 1000}'))
    if splits is not None:
      check_mapping('splits', splits, '{"train": 8, "test": 2}')
    if rest is not None:
      weights = _only_rest(splits, counts, rest)
    elif splits is None or is_default(splits):
      weights = {name: w for name, w in default.items() if name not in counts}
      if not default:
        return cls({}, counts)
    else:
      weights = dict(splits)
    both = sorted(set(weights) & set(counts))
    if both:
      raise ConfigError(f'split {both[0]!r} is in splits= and in counts=; name it in one of them')
    for name in (*weights, *counts):
      check_split_name(name)
    if not weights and not counts:
      raise ConfigError('splits={} names no split; give each split a weight, as in {"train": 8}')
    fractions = {name: _weight(name, weight) for name, weight in weights.items()}
    fix = 'give records such as 1000'
    checked = {name: check_whole(f'counts[{name!r}]', n, fix=fix) for name, n in counts.items()}
    return cls(_whole(fractions), checked)


def is_default(splits: Mapping[str, Any] | None) -> bool:
  """Returns whether no weights of splits were given."""
  return splits is None or splits is DEFAULT_SPLITS


def check_split_name(name: Any) -> None:
  """Checks that TFX takes the name.

  Raises:
    ConfigError: if it does not.
  """
  if not isinstance(name, str) or not _SPLIT_NAME.fullmatch(name):
    raise ConfigError(
      f'split name {format_value(name)} must be letters, digits, "_" and "-", the first a letter '
      f'or a digit; rename it'
    )
  if len(name) > _LONGEST_NAME:
    raise ConfigError(
      f'split name {format_value(name)} has {len(name)} characters, and must have {_LONGEST_NAME} '
      f'at '
      f"most, for its folder is named 'Split-' and this; shorten it"
    )


def _only_rest(
  splits: Mapping[str, Any] | None, counts: Mapping[str, Any], rest: str
) -> dict[str, Any]:
  """Returns the weights when one split takes all that counts leave."""
  check_split_name(rest)
  if not counts:
    raise ConfigError(
      f'rest={rest!r} takes what counts= leaves, and counts= is empty; give counts='
    )
  if rest in counts:
    raise ConfigError(f'split {rest!r} is in counts= and is rest=; name it in one of them')
  if splits is not None and not is_default(splits) and set(splits) != {rest}:
    raise ConfigError(
      f'rest={rest!r} takes all that counts= leaves, so splits={dict(splits)} would get nothing; '
      f'drop splits= or rest='
    )
  return {rest: 1}


def _weight(name: str, weight: Any) -> Fraction:
  """Returns a weight as the fraction that a person wrote: 0.1 is one tenth."""
  is_number = isinstance(weight, (numbers.Real, Decimal)) and not isinstance(weight, bool)
  value = Fraction(0)
  if is_number and isinstance(weight, numbers.Integral):
    value = Fraction(int(weight))
  elif is_number and math.isfinite(weight):
    value = Fraction(str(weight))
  if value <= 0:
    raise ConfigError(
      f'weight {format_value(weight)} of split {name!r} must be a finite number above 0; '
      f'give one such as 8, or leave the split out'
    )
  return value


def _whole(weights: Mapping[str, Fraction]) -> dict[str, int]:
  """Returns the weights as integers in the same proportion, as small as can be."""
  scale = math.lcm(*(weight.denominator for weight in weights.values()))
  scaled = {name: int(weight * scale) for name, weight in weights.items()}
  divisor = math.gcd(*scaled.values()) or 1
  return {name: weight // divisor for name, weight in scaled.items()}
