"""Rules on class distributions, the limits that a person sets, and the checks of counts by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from tfx_balance.arguments import check_number, check_text, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.plan.checks import (
  DEFAULT_SHARE_RATIO,
  Check,
  SplitPair,
  check_domain,
  check_expected_share,
  check_imbalance,
  check_jensen_shannon,
  check_l_infinity,
  check_min_count,
  check_min_share,
  check_missing_classes,
  check_missing_labels,
  check_share_ratio,
  default_l_infinity,
  default_pairs,
  violated_and_worst,
)
from tfx_balance.plan.class_counts import BASELINE, ClassDomain, CountsBySplit
from tfx_balance.plan.class_value import ClassValue, check_key, match_classes

Auto = Literal['auto']
AUTO: Auto = 'auto'


T = TypeVar('T')


@dataclass(frozen=True)
class PerSplit(Generic[T]):
  """A value for all splits, for some, or for none: a limit, or the shares that are expected.

  Attributes:
    common: Value of all other splits; None for none.
    by_split: Values of single splits.
  """

  common: T | None = None
  by_split: Mapping[str, T] = field(default_factory=dict)

  def of(self, split: str) -> T | None:
    """Returns the value of a split; None where there is none."""
    return self.by_split.get(split, self.common)

  @classmethod
  def parse(
    cls, name: str, value: Any, by_split: bool, read: Callable[[str, Any], T]
  ) -> PerSplit[T]:
    """Returns the values that an argument sets; none for None.

    Args:
      name: Name of the argument.
      value: What was given.
      by_split: Whether it is a mapping of split to value.
      read: Function of a name for messages and a value to the checked value.

    Raises:
      ConfigError: if a name or a value breaks a rule.
    """
    if value is None:
      return cls()
    if not by_split:
      return cls(read(name, value))
    return cls(
      by_split={
        check_text(f'{name}: split', split): read(f'{name}[{split!r}]', each)
        for split, each in value.items()
      }
    )


def parse_expected_shares(value: Any) -> PerSplit[Mapping[Any, float]]:
  """Returns the shares in the argument `expected_shares`, by class as a key of a dict names it.

  Args:
    value: None, a mapping of class to share, or of split to such a mapping.

  Raises:
    ConfigError: if it is none of these, or a share is not from 0 to 1.
  """
  nested = [isinstance(content, Mapping) for content in (value or {}).values()]
  if any(nested) and not all(nested):
    raise ConfigError(
      f'expected_shares={format_value(value)} has shares and mappings; give either class to '
      f'share, or split to a mapping of class to share'
    )
  return PerSplit.parse('expected_shares', value, any(nested), _shares)


MissingClasses = Literal['allow_too_small', 'forbid', 'allow']
Distance = PerSplit[float] | Auto

Measure = Callable[..., Iterator[Check]]


@dataclass(frozen=True)
class Rule:
  """Declaration of a rule: everything about it but its place in the constructor.

  Attributes:
    headline: Fault in a few words, for anomalies.
    sign: Sign between what is measured and the limit where the rule holds.
    bounds: Least and largest value of its limit, an argument of its name; None where it has none.
    whole: Whether the limit is a whole number.
    default: Limit where none is given; None for none, 'auto' for the schema's, or else `automatic`.
    of_split: Function of the rule's name, the counts, a split, the classes and the limit to the
      checks of the split.
    of_pair: Function of the rule's name, the counts, a pair of splits, the limit and the number of
      classes in all pairs to the checks of the pair; a baseline's where the name says so.
    automatic: Function of the records of two splits and the number of classes in all pairs, by
      which chance is judged, to the limit; None for none.
  """

  headline: str
  sign: Literal['<=', '>=']
  bounds: tuple[float, float] | None = None
  whole: bool = False
  default: float | Auto | None = None
  of_split: Measure | None = None
  of_pair: Measure | None = None
  automatic: Callable[[int, int, int], float | None] = lambda *_: None


_SHARE_RATIO = Rule(
  'Drift of a class',
  '<=',
  (1, math.inf),
  default=AUTO,
  of_pair=check_share_ratio,
  automatic=lambda *_: DEFAULT_SHARE_RATIO,
)
_L_INFINITY = Rule(
  'High L-infinity distance',
  '<=',
  (0, 1),
  default=AUTO,
  of_pair=check_l_infinity,
  automatic=default_l_infinity,
)
# None by itself: of 1,000 classes of one record each, no two splits share any.
_JENSEN_SHANNON = Rule(
  'High Jensen-Shannon divergence', '<=', (0, 1), default=AUTO, of_pair=check_jensen_shannon
)
RULES = {
  'max_share_ratio': _SHARE_RATIO,
  'max_baseline_share_ratio': _SHARE_RATIO,
  'max_l_infinity': _L_INFINITY,
  'max_jensen_shannon': _JENSEN_SHANNON,
  'max_baseline_l_infinity': _L_INFINITY,
  'max_baseline_jensen_shannon': _JENSEN_SHANNON,
  'min_count': Rule(
    'Too few records of a class', '>=', (0, math.inf), whole=True, of_split=check_min_count
  ),
  'min_share': Rule('Too small a share of a class', '>=', (0, 1), of_split=check_min_share),
  'max_imbalance_ratio': Rule('Classes too unequal', '<=', (1, math.inf), of_split=check_imbalance),
  'max_missing': Rule(
    'Records without a class', '<=', (0, 1), default=0.0, of_split=check_missing_labels
  ),
  'max_leakage': Rule('Records in several splits', '<=', (0, 1), default=0.0),
  'expected_shares': Rule('Unexpected share of a class', '<='),
  'missing_classes': Rule('Class missing', '>='),
  'domain': Rule('Class not in the domain', '<='),
  'schema': Rule('Not as the schema says', '<='),
}
"""All rules by name; those without a function are checked where their data is."""
LIMITS = {name: rule.bounds for name, rule in RULES.items() if rule.bounds}
"""Least and largest value of the rules' limits, by the name of the argument that sets each."""
_DEFAULTS: dict[str, Distance] = {
  name: AUTO if isinstance(default := RULES[name].default, str) else PerSplit(default)
  for name in LIMITS
}


def parse_limit(rule: str, value: Any) -> PerSplit[float]:
  """Returns the limit of a rule, in the argument of its name.

  Args:
    rule: Name of the rule.
    value: None, a number, or a mapping of split to number.

  Raises:
    ConfigError: if a number is not in the bounds of the rule.
  """
  (low, high), fix = LIMITS[rule], 'give such a number, or None for off'

  def read(name: str, limit: Any) -> float:
    if RULES[rule].whole:
      return check_whole(name, limit, int(low), fix=fix)
    return check_number(name, limit, low, high, fix=fix)

  return PerSplit.parse(rule, value, isinstance(value, Mapping), read)


BASELINE_RULES = 'max_baseline_'
"""First part of the names of rules on a split and one of the baseline."""


@dataclass(frozen=True)
class SchemaRules:
  """Rules of a schema for the label.

  Attributes:
    domain: Classes that may occur; None for any.
    distances: Limits of the comparators, by the name of the argument that would set them.
  """

  domain: ClassDomain | None = None
  distances: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DistributionRules:
  """The limits that a person sets.

  Attributes:
    limits: Limit of each rule of `LIMITS`; 'auto' for what the schema says, and else the default.
    pairs: Splits to compare; None for all of them, and those of a baseline by name.
    expected_shares: Shares that classes should have.
    share_tolerance: Largest difference of a share from what is expected.
    missing_classes: Whether a class may have no record in a split.
  """

  limits: Mapping[str, Distance] = field(default_factory=lambda: dict(_DEFAULTS))
  pairs: tuple[SplitPair, ...] | None = None
  expected_shares: PerSplit[Mapping[Any, float]] = field(default_factory=PerSplit)
  share_tolerance: float = 0.01
  missing_classes: MissingClasses = 'allow_too_small'

  def limit(self, rule: str, split: str, automatic: float | None = None) -> float | None:
    """Returns the limit of a rule in a split, None for none; under 'auto' the automatic one."""
    limit = self.limits[rule]
    return limit.of(split) if isinstance(limit, PerSplit) else automatic

  def with_schema(self, schema: SchemaRules) -> DistributionRules:
    """Returns these rules with the schema's limits where they say 'auto' and the schema has one."""
    limits = {
      name: PerSplit(schema.distances[name])
      if limit == AUTO and name in schema.distances
      else limit
      for name, limit in self.limits.items()
    }
    return replace(self, limits=limits)

  def without_baseline(self) -> DistributionRules:
    """Returns these rules for a run that has no baseline yet."""
    if self.pairs is None:
      return self
    kept = tuple(pair for pair in self.pairs if not pair.other.startswith(BASELINE))
    return replace(self, pairs=kept)

  def check_splits(self, splits: Sequence[str], baseline: Sequence[str]) -> None:
    """Checks that every split that a rule names is there.

    Args:
      splits: Names of the splits that are checked.
      baseline: Names of the splits of the baseline.

    Raises:
      ConfigError: if one is not.
    """
    for name, given in {**self.limits, 'expected_shares': self.expected_shares}.items():
      if isinstance(given, PerSplit):
        check_names(f'{name}=', given.by_split, splits)
    others = [*splits, *(BASELINE + name for name in baseline)]
    for pair in self.pairs or ():
      check_names('compare=', [pair.split], splits)
      check_names('compare=', [pair.other], others)


def check_distribution(
  counts: CountsBySplit, rules: DistributionRules, schema: SchemaRules
) -> list[Check]:
  """Returns the checks of every rule.

  Args:
    counts: Counts of the splits to check, and of a baseline's, whose names begin with `BASELINE`.
    rules: Limits that a person sets.
    schema: Limits that the schema sets.

  Raises:
    ConfigError: if a rule names a split or a class that there is not.
  """
  splits = [name for name in counts.splits if not name.startswith(BASELINE)]
  baseline = [name.removeprefix(BASELINE) for name in counts.splits if name.startswith(BASELINE)]
  rules = rules.with_schema(schema)
  rules.check_splits(splits, baseline)
  pairs = default_pairs(splits, baseline) if rules.pairs is None else list(rules.pairs)
  cells = sum(len({*counts.records[p.split], *counts.records[p.other]}) for p in pairs)
  checks = [check for pair in pairs for check in _compare(counts, rules, pair, cells)]
  classes = _known_classes(counts, schema)
  for split in splits:
    checks += _check_split(counts, rules, schema, split, classes)
    if rules.missing_classes != 'allow':
      partners = _partners(split, splits, pairs)
      allow = rules.missing_classes == 'allow_too_small'
      checks += check_missing_classes(counts, split, classes, partners, allow)
  return checks


def _compare(
  counts: CountsBySplit, rules: DistributionRules, pair: SplitPair, cells: int
) -> Iterator[Check]:
  """Yields the checks of one pair; of `cells` classes in all pairs, by which chance is judged."""
  baseline = pair.other.startswith(BASELINE)
  sizes = counts.total(pair.split), counts.total(pair.other)
  for name, rule in RULES.items():
    if rule.of_pair and name.startswith(BASELINE_RULES) == baseline:
      limit = rules.limit(name, pair.split, rule.automatic(*sizes, cells))
      if limit is not None:
        yield from rule.of_pair(name, counts, pair, limit, cells)


def _check_split(
  counts: CountsBySplit,
  rules: DistributionRules,
  schema: SchemaRules,
  split: str,
  classes: Sequence[ClassValue],
) -> Iterator[Check]:
  """Yields the checks of one split for itself."""
  for name, rule in RULES.items():
    if rule.of_split and (limit := rules.limit(name, split)) is not None:
      yield from rule.of_split(name, counts, split, classes, limit)
  expected = match_classes('expected_shares', rules.expected_shares.of(split) or {}, classes)
  yield from violated_and_worst(
    [
      check_expected_share(counts, split, value, wanted, rules.share_tolerance)
      for value, wanted in expected.items()
    ]
  )
  if schema.domain is not None:
    yield from check_domain(counts, split, schema.domain)


def _known_classes(counts: CountsBySplit, schema: SchemaRules) -> list[ClassValue]:
  """Returns the classes that a split or the baseline holds, or the schema lists.

  One that the schema does not allow is none that a split could lack.
  """
  found = set(counts.classes(counts.splits))
  if schema.domain is None:
    return sorted(found, key=ClassValue.sort_key)
  kinds = {value.kind for value in found}
  listed = schema.domain.classes(kinds.pop() if kinds else 'int') if len(kinds) < 2 else []
  possible = {value for value in found if value in schema.domain} | set(listed)
  return sorted(possible, key=ClassValue.sort_key)


def _partners(split: str, splits: Iterable[str], pairs: Iterable[SplitPair]) -> list[str]:
  """Returns the splits compared with a split, in either direction; all the others where none is."""
  compared = {pair.other for pair in pairs if pair.split == split}
  compared |= {pair.split for pair in pairs if pair.other == split}
  return sorted(compared) or [name for name in splits if name != split]


def check_names(argument: str, names: Iterable[str], splits: Iterable[str]) -> None:
  """Checks that splits that an argument names are there.

  Raises:
    ConfigError: if not.
  """
  there = sorted(splits)
  for name in names:
    if name not in there:
      raise ConfigError(f'split {name!r} is not in {there}; pass one of these in {argument}')


def _shares(name: str, shares: Mapping[Any, Any]) -> dict[Any, float]:
  return {
    check_key(name, key): check_number(f'{name}[{key!r}]', share, 0, 1)
    for key, share in shares.items()
  }
