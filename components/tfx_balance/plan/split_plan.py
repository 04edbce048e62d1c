"""From counts per stratum and weights per split to the number of records in each cell."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from tfx_balance.arguments import check_mapping, check_whole, shown
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.apportion import controlled_rounding
from tfx_balance.plan.class_value import ClassValue, Stratum, stratum_key
from tfx_balance.plan.ranks import Ints

DEFAULT_SPLITS: Mapping[str, int] = MappingProxyType({'train': 8, 'eval': 1, 'test': 1})
_SPLIT_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]*')


@dataclass(frozen=True)
class SplitShares:
  """The share of each split: a weight, or a number of records.

  Attributes:
    weights: Weights of the splits that share what `counts` leaves, in order; integers without a
      common divisor.
    counts: Number of records of the other splits.
  """

  weights: Mapping[str, int]
  counts: Mapping[str, int]

  @property
  def names(self) -> tuple[str, ...]:
    """All the splits, those with a weight first."""
    return (*self.weights, *self.counts)

  @classmethod
  def parse(
    cls,
    splits: Mapping[str, Any] | None = DEFAULT_SPLITS,
    counts: Mapping[str, Any] | None = None,
    rest: str | None = None,
  ) -> SplitShares:
    """Returns the checked shares.

    >>> SplitShares.parse({'train': 0.8, 'test': 0.2})
    SplitShares(weights={'train': 4, 'test': 1}, counts={})

    Args:
      splits: Weight by split: int, float (read as the decimal it shows) or Fraction. The default
        gives way to `counts` and `rest`; other weights do not.
      counts: Number of records by split.
      rest: Name of the split that gets all that `counts` leaves.

    Raises:
      ConfigError: if a name, weight or count breaks a rule.
    """
    counts = {} if counts is None else dict(check_mapping('counts', counts, '{"test": 1000}'))
    if splits is not None:
      check_mapping('splits', splits, '{"train": 8, "test": 2}')
    if rest is not None:
      weights = _only_rest(splits, counts, rest)
    elif splits is None or splits is DEFAULT_SPLITS:
      weights = {name: w for name, w in DEFAULT_SPLITS.items() if name not in counts}
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


class Margin(NamedTuple):
  """The records of one class of one feature in a split, whatever the other features are.

  Attributes:
    place: Place of the feature among those that strata are made of.
    value: Class of this feature.
    split: Name of the split.
    records: Number of records.
    ideal: Number of records that the split's share comes to.
  """

  place: int
  value: ClassValue
  split: str
  records: int
  ideal: Fraction


@dataclass(frozen=True, eq=False)
class SplitPlan:
  """The number of records of each stratum in each split.

  Attributes:
    strata: Strata in canonical order; the rows of `quotas`.
    records: Records of each stratum: int64 [strata].
    splits: Names of the splits; the columns of `quotas`.
    quotas: Records per stratum and split: int64 [strata, splits]; every row sums to the stratum's
      records.
    shares: Exact share of each split in every stratum.
  """

  strata: Sequence[Stratum]
  records: Ints
  splits: tuple[str, ...]
  quotas: Ints
  shares: tuple[Fraction, ...]

  def out_of_reach(self) -> list[int]:
    """Returns the rows of the strata too small to have a record in every split that has any."""
    filled = self.quotas[:, self.quotas.any(axis=0)]
    return [int(row) for row in np.flatnonzero((filled == 0).any(axis=1))]

  def totals(self) -> list[int]:
    """Returns the records of each split."""
    return [int(total) for total in self.quotas.sum(axis=0)]

  def margins(self) -> list[Margin]:
    """Returns the cell of each feature but the first that is furthest from its ideal.

    The features together are within one record of it, each alone need not be.
    """
    if len(self.strata[0]) == 1:
      return []
    columns = list(zip(*self.strata, strict=True))
    return [self._furthest(place, column) for place, column in enumerate(columns) if place]

  def _furthest(self, place: int, column: Sequence[ClassValue]) -> Margin:
    classes = sorted(set(column))
    number = {value: i for i, value in enumerate(classes)}
    of_stratum = np.array([number[value] for value in column], np.int64)
    quotas = np.zeros((len(classes), len(self.splits)), np.int64)
    np.add.at(quotas, of_stratum, self.quotas)
    records = quotas.sum(axis=1).tolist()
    cells = [
      Margin(place, classes[row], split, n, share * records[row])
      for row, counts in enumerate(quotas.tolist())
      for split, n, share in zip(self.splits, counts, self.shares, strict=True)
    ]
    return max(cells, key=lambda cell: abs(cell.records - cell.ideal))


def plan_splits(
  strata: Sequence[Stratum], records: Sequence[int] | Ints, shares: SplitShares, seed: int = 0
) -> SplitPlan:
  """Returns quotas within one record of ideal in every cell, class and split.

  A cell is a stratum in a split. With several features, the bound also holds for the classes of
  the first one, for those of the first two together, and so on. Which strata are rounded up depends
  on the seed and not on their order or name.

  Args:
    strata: Strata in canonical order.
    records: Records of each stratum: integers [strata].
    shares: Shares of the splits.
    seed: Seed of the rounding.

  Raises:
    DataError: if there are no records, or the counts ask for more than there are.
  """
  sizes = np.asarray(records, np.int64)
  numerators, denominator = _exact_shares(int(sizes.sum()), shares)
  distinct, which = np.unique(sizes, return_inverse=True)
  rows = [[n * numerator for numerator in numerators] for n in distinct.tolist()]
  quotas = controlled_rounding(
    [rows[i] for i in which.reshape(-1).tolist()],
    denominator,
    levels=list(_prefixes(strata)),
    keys=[stratum_key(stratum) for stratum in strata],
    seed=seed,
  )
  exact = tuple(Fraction(numerator, denominator) for numerator in numerators)
  return SplitPlan(strata, sizes, shares.names, quotas, exact)


def _prefixes(strata: Sequence[Stratum]) -> Iterator[list[int]]:
  """Yields a number of each stratum's class of the first feature, of the first two, and so on."""
  numbers = [0] * len(strata)
  for classes in list(zip(*strata, strict=True))[:-1]:
    known: dict[tuple[int, ClassValue], int] = {}
    pairs = zip(numbers, classes, strict=True)
    numbers = [known.setdefault(pair, len(known)) for pair in pairs]
    yield numbers


def _exact_shares(total: int, shares: SplitShares) -> tuple[list[int], int]:
  """Returns each split's share of all records, as numerators and denominator.

  Of N records, C of them taken by counts, and weights w that sum to W: c / N of a counted split,
  (N - C) / N * w / W of the others.
  """
  taken, whole = sum(shares.counts.values()), sum(shares.weights.values())
  if not total:
    raise DataError('the input holds no records; give at least one')
  if taken > total:
    raise DataError(
      f'counts={dict(shares.counts)} ask for {taken} records, there are {total}; ask for fewer'
    )
  if not whole and taken < total:
    raise DataError(
      f'counts={dict(shares.counts)} take {taken} of {total} records; name the split that gets the '
      f'other {total - taken} with rest='
    )
  whole = whole or 1
  numerators = [w * (total - taken) for w in shares.weights.values()]
  numerators += [count * whole for count in shares.counts.values()]
  divisor = math.gcd(total * whole, *numerators)
  return [numerator // divisor for numerator in numerators], total * whole // divisor


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
