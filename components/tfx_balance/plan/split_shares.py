"""What a person asks of a split: shares by weight or count, and predefined splits."""

from __future__ import annotations

import math
import numbers
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from tfx_balance.arguments import check_flag, check_mapping, check_text, check_whole, shown
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue, check_key, match_classes

DEFAULT_SPLITS: Mapping[str, int] = MappingProxyType({'train': 8, 'eval': 1, 'test': 1})
FOLDED = 'train'
"""The split that folds divide."""
MOST_FOLDS = 1000
_SPLIT_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]*')
_LONGEST_NAME = 255 - len('Split-')  # file systems take 255 bytes for a name
_SHOWN_VALUES = 5  # in a message


@dataclass(frozen=True)
class SplitShares:
  """The share of each split: a weight, or a number of records.

  Attributes:
    weights: Weights of the splits that share what `counts` leaves, in order; integers without a
      common divisor.
    counts: Number of records of the other splits.
    folds: Number of folds that FOLDED is divided into, with equal weights; 0 for none.
  """

  weights: Mapping[str, int]
  counts: Mapping[str, int]
  folds: int = 0

  @property
  def divided(self) -> Mapping[str, int]:
    """The weights with those of the folds in place of FOLDED."""
    if not self.folds:
      return self.weights
    share = self.weights[FOLDED]
    others = {name: w * self.folds for name, w in self.weights.items() if name != FOLDED}
    return {**dict.fromkeys(_fold_names(self.folds), share), **others}

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
    folds: int = 0,
  ) -> SplitShares:
    """Returns the checked shares.

    >>> SplitShares.parse({'train': 0.8, 'test': 0.2})
    SplitShares(weights={'train': 4, 'test': 1}, counts={}, folds=0)

    Args:
      splits: Weight by split: int, float (read as the decimal it shows) or Fraction. The default
        gives way to `counts` and `rest`; other weights do not.
      counts: Number of records by split.
      rest: Name of the split that gets all that `counts` leaves.
      folds: Number of folds that FOLDED is divided into; 0 for none.

    Raises:
      ConfigError: if a name, weight or count breaks a rule.
    """
    counts = {} if counts is None else dict(check_mapping('counts', counts, '{"test": 1000}'))
    if splits is not None:
      check_mapping('splits', splits, '{"train": 8, "test": 2}')
    if rest is not None:
      weights = _only_rest(splits, counts, rest)
    elif splits is None or splits is DEFAULT_SPLITS:
      default = {FOLDED: 9, 'test': 1} if folds else DEFAULT_SPLITS
      weights = {name: w for name, w in default.items() if name not in counts}
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
    shares = cls(_whole(fractions), checked)
    return shares._folded(folds) if folds else shares

  def _folded(self, folds: int) -> SplitShares:
    """Returns the shares with a number of folds."""
    if FOLDED not in self.weights:
      raise ConfigError(
        f'folds={folds} divides the split {FOLDED!r}, which is not among those with a weight, '
        f'{list(self.weights)}; give it one in splits=, or name it in rest='
      )
    taken = sorted({*_fold_names(folds)} & {*self.weights, *self.counts})
    if taken:
      raise ConfigError(f'split {taken[0]!r} is one of {folds} folds too; give it another name')
    return replace(self, folds=folds)


class FoldSplits(NamedTuple):
  """The splits that one round of cross-validation takes.

  Attributes:
    train: Names of the splits to train on: all folds but one, or those before it.
    eval: Name of the split to evaluate on, as the only one in a tuple.
  """

  train: tuple[str, ...]
  eval: tuple[str]


def fold_splits(fold: int, folds: int, forward: bool = False) -> FoldSplits:
  """Returns the splits of one round of cross-validation over the folds of `StratifiedSplitter`.

  >>> fold_splits(0, folds=3)
  FoldSplits(train=('fold-1', 'fold-2'), eval=('fold-0',))
  >>> fold_splits(2, folds=4, forward=True)
  FoldSplits(train=('fold-0', 'fold-1'), eval=('fold-2',))

  Args:
    fold: Number of the fold to evaluate on, from 0; from 1 with `forward`.
    folds: Number of folds.
    forward: Whether only the folds before it are trained on, for folds in the order of time
      (`order_by`): forward chaining, one round fewer than there are folds.

  Raises:
    ConfigError: if there is no such fold, or none before it to train on.
  """
  names = _fold_names(check_whole('folds', folds, 2, MOST_FOLDS))
  if check_flag('forward', forward):
    fix = 'the first fold is the earliest, with none before it to train on'
    fold = check_whole('fold', fold, 1, folds - 1, fix=fix)
    return FoldSplits(names[:fold], (names[fold],))
  fold = check_whole('fold', fold, 0, folds - 1)
  return FoldSplits((*names[:fold], *names[fold + 1 :]), (names[fold],))


def _fold_names(folds: int) -> tuple[str, ...]:
  return tuple(f'fold-{i}' for i in range(folds))


@dataclass(frozen=True)
class PredefinedSplits:
  """The split of a record by the value of one of its features.

  Attributes:
    feature: Name of the feature.
    by_value: Split by value; None where the value is the name of its split.
    required: Whether each record must have a split; else the others are stratified.
  """

  feature: str
  by_value: Mapping[Any, str] | None
  required: bool

  @classmethod
  def parse(cls, split_by: Any, split_values: Any, required: bool) -> PredefinedSplits:
    """Returns the checked arguments.

    Raises:
      ConfigError: if one breaks a rule.
    """
    fix = "give one such as 'set'"
    feature = check_text('split_by', split_by, 'the name of the feature that holds the split', fix)
    if split_values is None:
      return cls(feature, None, required)
    example = '{"validation": "eval"}'
    if not check_mapping('split_values', split_values, example):
      raise ConfigError(f'split_values={{}} maps no value; give one such as {example}')
    for key, name in split_values.items():
      check_key('split_values', key)
      check_split_name(name)
    return cls(feature, dict(split_values), required)

  def among(self, splits: Iterable[str]) -> tuple[str, ...]:
    """Returns the splits and, behind them, others that the mapping names."""
    return tuple(dict.fromkeys([*splits, *(self.by_value or {}).values()]))

  def find(
    self, records: Iterable[tuple[ClassValue, int]], splits: Iterable[str]
  ) -> dict[ClassValue, str]:
    """Returns the split of each value that has one.

    Args:
      records: Values and numbers of records, in which a value may be several times.
      splits: Names of the splits.

    Raises:
      ConfigError: if a key of the mapping matches no value, or two.
      DataError: if a record has no split and must have one.
    """
    totals: Counter[ClassValue] = Counter()
    for value, n in records:
      totals[value] += n
    if self.by_value is None:
      named = {ClassValue('bytes', name.encode()): name for name in splits}
      found = {value: named[value] for value in totals if value in named}
    else:
      try:
        found = match_classes('split_values', self.by_value, sorted(totals))
      except ConfigError as error:
        raise ConfigError(
          f'split_values= has a key that {self.feature!r} has not: {error}; leave the key out, or '
          f'name a value that records have'
        ) from error
    others = sorted(value for value, n in totals.items() if n and value not in found)
    if others and self.required:
      shown = ', '.join(f'{value}: {totals[value]}' for value in others[:_SHOWN_VALUES])
      raise DataError(
        f'{sum(totals[value] for value in others)} records have no split by {self.feature!r}; by '
        f'value they are {shown}{", ..." if len(others) > _SHOWN_VALUES else ""}; map them with '
        f'split_values=, or stratify them by weights that you pass as splits='
      )
    return found


def parse_shares(
  splits: Mapping[str, Any] | None,
  counts: Mapping[str, Any] | None,
  rest: str | None,
  split_by: str | None,
  split_values: Mapping[Any, str] | None,
  folds: int,
) -> tuple[SplitShares, PredefinedSplits | None]:
  """Returns the checked shares of the splits, and the predefined splits, if a feature has them.

  Where a feature has them and no weights are given, each record must have a split.

  Raises:
    ConfigError: if an argument breaks a rule, or two do not combine.
  """
  default = splits is None or splits is DEFAULT_SPLITS
  folds = check_whole('folds', folds, 0, MOST_FOLDS, fix='give the number of folds, such as 5')
  if folds == 1:
    raise ConfigError('folds=1 leaves no fold to train on; give 2 or more, or 0 for no folds')
  if split_by is None:
    if split_values is not None:
      raise ConfigError('split_values= maps values of split_by=, which is not given; give it')
    return SplitShares.parse(splits, counts, rest, folds), None
  if counts or rest:
    raise ConfigError(
      f'split_by={split_by!r} does not combine with counts= and rest=; leave these out, and give '
      f'weights as splits= for records without a predefined split'
    )
  predefined = PredefinedSplits.parse(split_by, split_values, required=default)
  if folds and (default or FOLDED in predefined.among(())):
    raise ConfigError(
      f'folds={folds} divides {FOLDED!r}, which split_by={split_by!r} must leave to be stratified: '
      f'map no value to it in split_values=, and give it a weight in splits='
    )
  if default and predefined.by_value:
    return SplitShares({}, {}), predefined
  return SplitShares.parse(splits, folds=folds), predefined


def check_split_name(name: Any) -> None:
  """Checks that TFX takes the name.

  Raises:
    ConfigError: if it does not.
  """
  if not isinstance(name, str) or not _SPLIT_NAME.fullmatch(name):
    raise ConfigError(
      f'split name {shown(name)} must be letters, digits, "_" and "-", the first a letter or a '
      f'digit; rename it'
    )
  if len(name) > _LONGEST_NAME:
    raise ConfigError(
      f'split name {shown(name)} has {len(name)} characters, and must have {_LONGEST_NAME} at '
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
  if splits is not None and splits is not DEFAULT_SPLITS and set(splits) != {rest}:
    raise ConfigError(
      f'rest={rest!r} takes all that counts= leaves, so splits={dict(splits)} would get nothing; '
      f'drop splits= or rest='
    )
  return {rest: 1}


def _weight(name: str, weight: Any) -> Fraction:
  """Returns a weight as the fraction that a person wrote: 0.1 is one tenth."""
  known = isinstance(weight, (numbers.Real, Decimal)) and not isinstance(weight, bool)
  value = Fraction(0)
  if known and isinstance(weight, numbers.Integral):
    value = Fraction(int(weight))
  elif known and math.isfinite(weight):
    value = Fraction(str(weight))
  if value <= 0:
    raise ConfigError(
      f'weight {shown(weight)} of split {name!r} must be a finite number above 0; '
      f'give one such as 8, or leave the split out'
    )
  return value


def _whole(weights: Mapping[str, Fraction]) -> dict[str, int]:
  """Returns the weights as integers in the same proportion, as small as can be."""
  scale = math.lcm(*(weight.denominator for weight in weights.values()))
  scaled = {name: int(weight * scale) for name, weight in weights.items()}
  divisor = math.gcd(*scaled.values()) or 1
  return {name: weight // divisor for name, weight in scaled.items()}
