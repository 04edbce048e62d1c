"""The arguments of ClassDistributionValidator: checked at construction, and by the executor."""

from __future__ import annotations

import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfx_balance.argument_readers import (
  Argument,
  as_given,
  from_json,
  one_of,
  optional,
  optional_names,
  optional_path,
  optional_text,
  read_all,
)
from tfx_balance.arguments import check_flag, check_number, format_value
from tfx_balance.declare import label_features
from tfx_balance.errors import ConfigError
from tfx_balance.plan.checks import SplitPair
from tfx_balance.plan.distribution_rules import (
  AUTO,
  LIMITS,
  RULES,
  Distance,
  DistributionRules,
  MissingClasses,
  parse_expected_shares,
  parse_limit,
)
from tfx_balance.scan.record_values import order_varies

ALGORITHM_VERSION = 4
"""Raised whenever the same data and arguments give another verdict: part of TFX's cache key."""

OnViolation = Literal['fail', 'warn']
RECORDS = 'records'
"""The `check_leakage` that compares whole records."""

# Arguments that are fields of the same name: of the rules, and of the parameters.
_RULES = ('missing_classes', 'expected_shares', 'share_tolerance')
_AS_READ = ('recount', 'on_violation', 'report_dir', 'multilabel')


@dataclass(frozen=True)
class ValidatorParameters:
  """The arguments, decoded.

  Attributes:
    features: Feature that holds the class, or features of 0 and 1, each of which is a label.
    rules: Rules on the distribution.
    exclude_splits: Names of splits that are not checked.
    recount: Whether the records are counted even where a sidecar has the counts.
    leakage_key: `RECORDS`, or the feature whose values may not be in two splits; None for none.
    leakage_pairs: Pairs of splits that may not have records in common; None for all pairs.
    by_values: Whether whole records are compared by value; else by their bytes.
    on_violation: Whether a rule that is broken ends the run.
    report_dir: Folder for copies of the results; None for none.
    multilabel: Whether a record has a set of labels, whose counts are checked label by label.
  """

  features: tuple[str, ...]
  rules: DistributionRules
  exclude_splits: tuple[str, ...]
  recount: bool
  leakage_key: str | None
  leakage_pairs: tuple[SplitPair, ...] | None
  by_values: bool
  on_violation: OnViolation
  report_dir: str | None
  multilabel: bool

  @property
  def label(self) -> str:
    """The name of the feature, or of all of them, as documents have it."""
    return ', '.join(self.features)

  @property
  def labels(self) -> tuple[str, ...]:
    """Features whose labels make a set; none where each value is a class."""
    return self.features if self.multilabel else ()

  @classmethod
  def decode(cls, properties: Mapping[str, Any]) -> ValidatorParameters:
    """Returns the parameters that the execution properties hold.

    Raises:
      ConfigError: if one breaks a rule.
    """
    given = read_all(ARGUMENTS, properties)
    key, pairs = given['check_leakage'], given['leakage_pairs']
    if pairs is not None and key is None:
      listed = format_value(properties['leakage_pairs'])
      raise ConfigError(f"leakage_pairs={listed} has no effect; pass check_leakage='records'")
    identity = given['identity']
    if identity == 'values' and key != RECORDS:
      raise ConfigError(
        f"identity='values' is of whole records, and check_leakage={key!r}; pass "
        f"check_leakage='records', or leave identity= out"
      )
    return cls(
      features=label_features(given['label'], given['multilabel']),
      rules=DistributionRules(
        limits={name: given[name] for name in LIMITS},
        pairs=given['compare'],
        **{name: given[name] for name in _RULES},
      ),
      exclude_splits=given['exclude_splits'] or (),
      leakage_key=key,
      leakage_pairs=pairs,
      by_values=order_varies() if identity is None else identity == 'values',
      **{name: given[name] for name in _AS_READ},
    )


_ALONE = {  # describe each feature alone
  'baseline_statistics': 'pass baseline_examples= in its place',
  'schema': 'leave it out, and check the features with ExampleValidator',
}


def check_channels(channels: Collection[str], features: Sequence[str] = ()) -> None:
  """Checks that there is what to count, one baseline, and records where labels are features.

  Args:
    channels: Names of the inputs that there are.
    features: Features of the label; none where they are not known yet.

  Raises:
    ConfigError: if not.
  """
  if not {'statistics', 'examples'} & set(channels):
    raise ConfigError(
      'statistics= and examples= hold nothing, and there are no classes to count; pass examples='
    )
  if 'schema' in channels and 'statistics' not in channels:
    raise ConfigError(
      'schema= is checked by TFDV on statistics=, and there are none; pass statistics= as well, or '
      'leave schema= out'
    )
  if {'baseline_statistics', 'baseline_examples'} <= set(channels):
    raise ConfigError(
      'baseline_statistics= and baseline_examples= are both given, and one baseline is compared '
      'with; leave one out'
    )
  if len(features) < 2:
    return
  if 'examples' not in channels:
    raise ConfigError(
      f'label={list(features)} are counted together, record by record, which statistics= do not '
      f'count; pass examples= as well'
    )
  for name, fix in _ALONE.items():
    if name in channels:
      raise ConfigError(
        f'label={list(features)} and {name}= do not combine: {name}= describes each feature '
        f'alone; {fix}'
      )


def _limit(name: str, value: Any) -> Distance:
  """Returns the limit of a rule, also from its text."""
  if isinstance(value, str) and RULES[name].default == value == AUTO:
    return AUTO
  return parse_limit(name, from_json(name, value, (numbers.Real, Mapping)))


def _pairs(argument: str, value: Any) -> tuple[SplitPair, ...] | None:
  """Returns pairs of splits from a sequence of two names each; None where nothing is said.

  Raises:
    ConfigError: if an entry is no pair of two different names.
  """
  found: Sequence[Any] | None = from_json(argument, value, Sequence)
  if found is None:
    return None
  for pair in found:
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
      raise ConfigError(
        f"{argument}={format_value(found)} must hold pairs of splits; give for example [('eval', "
        f"'train')]"
      )
    if not all(isinstance(name, str) and name for name in pair) or pair[0] == pair[1]:
      raise ConfigError(f'{argument} has {format_value(pair)}; a pair is of two different splits')
  return tuple(SplitPair(*pair) for pair in found)


ARGUMENTS = {
  'label': Argument(str, as_given, 'label'),
  **{name: Argument(str, _limit, RULES[name].default) for name in LIMITS},
  'expected_shares': Argument(
    str, lambda name, value: parse_expected_shares(from_json(name, value, Mapping))
  ),
  'share_tolerance': Argument(float, lambda name, value: check_number(name, value, 0, 1), 0.01),
  'missing_classes': Argument(str, one_of(*get_args(MissingClasses)), 'allow_too_small'),
  'compare': Argument(str, _pairs),
  'exclude_splits': Argument(str, optional_names),
  'recount': Argument(int, check_flag, False),
  'check_leakage': Argument(str, optional_text, stand_in=RECORDS),
  'leakage_pairs': Argument(str, _pairs),
  'on_violation': Argument(str, one_of(*get_args(OnViolation)), 'fail'),
  'report_dir': Argument(str, optional_path),
  'multilabel': Argument(int, check_flag, False, True),  # under which any label is allowed
  'identity': Argument(str, optional(one_of('bytes', 'values'))),
}
"""The arguments of ClassDistributionValidator."""
