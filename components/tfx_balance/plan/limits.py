"""Limits that a person sets: one number, or one for each split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tfx_balance.arguments import check_number, check_text, check_whole, shown
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import ClassValue, check_key, match_class

Auto = Literal['auto']
AUTO: Auto = 'auto'


@dataclass(frozen=True)
class SplitLimit:
  """A limit for all splits, for some, or for none.

  Attributes:
    common: for all splits; None for none.
    by_split: for these splits.
  """

  common: float | None = None
  by_split: Mapping[str, float] = field(default_factory=dict)

  def of(self, split: str) -> float | None:
    """Returns the limit of a split; None where there is none."""
    return self.by_split.get(split, self.common)

  @classmethod
  def parse(cls, name: str, value: Any, low: float, high: float, whole: bool = False) -> SplitLimit:
    """Returns the limit that an argument sets.

    Args:
      name: of the argument.
      value: None, a number, or a mapping of split to number.
      low: the least that makes sense.
      high: the most.
      whole: whether it must be a whole number.

    Raises:
      ConfigError: if a number is not such.
    """
    if value is None:
      return cls()
    if isinstance(value, Mapping):
      return cls(
        by_split={
          check_text(f'{name}: split', split): _limit(f'{name}[{split!r}]', limit, low, high, whole)
          for split, limit in value.items()
        }
      )
    return cls(_limit(name, value, low, high, whole))

  def check_splits(self, name: str, known: Iterable[str]) -> None:
    """Checks that every split that has a limit of its own is there.

    Raises:
      ConfigError: if not.
    """
    check_names(f'{name}=', self.by_split, known)


@dataclass(frozen=True)
class ExpectedShares:
  """The shares that a person expects classes to have.

  Attributes:
    common: class, as a key of a dict names it, to its share of every split.
    by_split: the same for single splits.
  """

  common: Mapping[Any, float] = field(default_factory=dict)
  by_split: Mapping[str, Mapping[Any, float]] = field(default_factory=dict)

  @classmethod
  def parse(cls, value: Any) -> ExpectedShares:
    """Returns what `expected_shares` says.

    Args:
      value: None, a mapping of class to share, or of split to such a mapping.

    Raises:
      ConfigError: if it is none of these, or a share is not from 0 to 1.
    """
    if value is None:
      return cls()
    nested = [isinstance(content, Mapping) for content in value.values()]
    if any(nested) and not all(nested):
      raise ConfigError(
        f'expected_shares={shown(value)} has shares and mappings; give either class to share, or '
        f'split to a mapping of class to share'
      )
    if any(nested):
      return cls(
        by_split={
          check_text('expected_shares: split', split): _shares(f'expected_shares[{split!r}]', inner)
          for split, inner in value.items()
        }
      )
    return cls(_shares('expected_shares', value))

  def of(self, split: str, classes: Iterable[ClassValue]) -> dict[ClassValue, float]:
    """Returns the shares expected of a split.

    Raises:
      ConfigError: if a key names no class, or two.
    """
    known = list(classes)
    named = self.by_split.get(split, self.common)
    found: dict[ClassValue, float] = {}
    for key, share in named.items():
      value = match_class(key, known)
      if value in found:
        raise ConfigError(f'expected_shares= names class {value} twice; name it once')
      found[value] = share
    return found


def check_names(argument: str, names: Iterable[str], known: Iterable[str]) -> None:
  """Checks that splits that an argument names are there.

  Raises:
    ConfigError: if not.
  """
  there = sorted(known)
  for name in names:
    if name not in there:
      raise ConfigError(f'split {name!r} is not in {there}; pass one of these in {argument}')


def _shares(name: str, shares: Mapping[Any, Any]) -> dict[Any, float]:
  return {
    check_key(name, key): check_number(f'{name}[{key!r}]', share, 0, 1)
    for key, share in shares.items()
  }


def _limit(name: str, value: Any, low: float, high: float, whole: bool) -> float:
  if whole:
    return check_whole(name, value, int(low), fix='give such a one, or None for off')
  return check_number(name, value, low, high, fix='give such a one, or None for off')
