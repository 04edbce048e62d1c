"""The arguments of ClassDistributionValidator: checked at construction, and by the executor."""

from __future__ import annotations

import json
import numbers
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from tfx_balance.arguments import check_choice, check_flag, check_number, shown
from tfx_balance.errors import ConfigError
from tfx_balance.exec_properties import (
  from_json,
  is_runtime,
  known,
  label_features,
  optional_names,
  optional_path,
  optional_text,
  to_json,
)
from tfx_balance.plan.checks import SplitPair
from tfx_balance.plan.distribution_rules import (
  AUTO,
  DISTANCES,
  Distance,
  DistributionRules,
  ExpectedShares,
  MissingClasses,
  SplitLimit,
)

ALGORITHM_VERSION = 3
"""Raised whenever the same data and arguments give another verdict: part of TFX's cache key."""

OnViolation = Literal['fail', 'warn']
RECORDS = 'records'
"""The `check_leakage` that compares whole records."""

_INFINITE = float('inf')
_BOUNDS: dict[str, tuple[float, float, bool]] = {
  **dict.fromkeys(DISTANCES, (0, 1, False)),
  'min_count': (0, _INFINITE, True),
  'min_share': (0, 1, False),
  'max_imbalance_ratio': (1, _INFINITE, False),
  'max_missing': (0, 1, False),
  'max_leakage': (0, 1, False),
}


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
    max_leakage: Largest share of a split's records that may be in another.
    on_violation: Whether a rule that is broken ends the run.
    report_dir: Folder for copies of the results; None for none.
    multilabel: Whether a record has a set of labels, whose counts are checked label by label.
  """

  TYPES: ClassVar[dict[str, type]] = {
    'label': str,
    **dict.fromkeys(_BOUNDS, str),
    'expected_shares': str,
    'share_tolerance': float,
    'missing_classes': str,
    'compare': str,
    'exclude_splits': str,
    'recount': int,
    'check_leakage': str,
    'leakage_pairs': str,
    'on_violation': str,
    'report_dir': str,
    'multilabel': int,
    'identity': str,
    'algorithm_version': int,
  }

  features: tuple[str, ...]
  rules: DistributionRules
  exclude_splits: tuple[str, ...]
  recount: bool
  leakage_key: str | None
  leakage_pairs: tuple[SplitPair, ...] | None
  by_values: bool
  max_leakage: SplitLimit
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

  def check_inputs(self, given: Collection[str]) -> None:
    """Checks that several features of labels are counted from records.

    Args:
      given: Names of the inputs that there are.

    Raises:
      ConfigError: if there are no records, or an input that tells of one feature.
    """
    if len(self.features) < 2:
      return
    if 'examples' not in given:
      raise ConfigError(
        f'label={list(self.features)} are counted together, record by record, which statistics= do '
        f'not tell; pass examples= as well'
      )
    for name in ('schema', 'baseline_statistics'):
      if name in given:
        raise ConfigError(
          f'label={list(self.features)} and {name}= do not combine: {name}= tells of each feature '
          f'alone; leave it out, and check the features with ExampleValidator'
        )

  @classmethod
  def decode(cls, properties: Mapping[str, Any]) -> ValidatorParameters:
    """Returns the parameters that the execution properties hold.

    Raises:
      ConfigError: if one breaks a rule.
    """
    excluded = properties.get('exclude_splits')
    if isinstance(excluded, (list, tuple)) and not excluded:
      excluded = None
    key = optional_text('check_leakage', properties.get('check_leakage'))
    pairs = _pairs('leakage_pairs', properties)
    if pairs is not None and key is None:
      given = shown(properties['leakage_pairs'])
      raise ConfigError(f"leakage_pairs={given} has no effect; pass check_leakage='records'")
    identity = check_choice('identity', properties.get('identity', 'bytes'), ('bytes', 'values'))
    if identity == 'values' and key != RECORDS:
      raise ConfigError(
        f"identity='values' is of whole records, and check_leakage={key!r}; pass "
        f"check_leakage='records', or leave identity= out"
      )
    multilabel = check_flag('multilabel', properties.get('multilabel', 0))
    return cls(
      features=label_features(properties['label'], multilabel),
      rules=_rules(properties),
      exclude_splits=optional_names('exclude_splits', excluded) or (),
      recount=check_flag('recount', properties.get('recount', 0)),
      leakage_key=key,
      leakage_pairs=pairs,
      by_values=identity == 'values',
      max_leakage=_split_limit('max_leakage', properties, 0.0),
      on_violation=check_choice(
        'on_violation', properties.get('on_violation', 'fail'), ('fail', 'warn')
      ),
      report_dir=optional_path('report_dir', properties.get('report_dir')),
      multilabel=multilabel,
    )


def encode(inputs: Collection[str], **arguments: Any) -> dict[str, Any]:
  """Returns the arguments of the component as execution properties.

  What is known only at run time is left to the executor to check.

  Args:
    inputs: Names of the optional inputs that are given.
    arguments: Arguments by name.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  checked = {'label': 'label', **known(arguments)}
  if is_runtime(arguments['check_leakage']):
    checked['check_leakage'] = RECORDS
  if is_runtime(arguments['multilabel']):
    checked['multilabel'] = 1  # under which any label is allowed
  ValidatorParameters.decode(checked)
  properties = {
    name: value if is_runtime(value) else _property(name, value)
    for name, value in arguments.items()
  }
  # Again as TFX carries them, where a class may be there as 1 and '1'.
  ValidatorParameters.decode({**checked, **known(properties)}).check_inputs(inputs)
  return {**properties, 'algorithm_version': ALGORITHM_VERSION}


def _property(name: str, value: Any) -> Any:
  """Returns a value as TFX carries it: limits and what has several values as JSON text."""
  if name in _BOUNDS and isinstance(value, numbers.Real):
    return json.dumps(int(value) if isinstance(value, numbers.Integral) else float(value))
  if name == 'expected_shares' and isinstance(value, Mapping):
    inner = {k: json.loads(to_json(v)) if isinstance(v, Mapping) else v for k, v in value.items()}
    return to_json(inner)
  if name == 'exclude_splits' and not value:
    return ''
  if name in ('recount', 'multilabel'):
    return int(value)
  if name == 'share_tolerance':
    return float(value)
  if name == 'report_dir' and value is not None:
    return os.fspath(value)
  return to_json(value)


def _rules(properties: Mapping[str, Any]) -> DistributionRules:
  """Returns the rules on the distribution.

  Raises:
    ConfigError: if one is none.
  """
  missing = check_choice(
    'missing_classes',
    properties.get('missing_classes', 'allow_too_small'),
    get_args(MissingClasses),
  )
  expected = from_json('expected_shares', properties.get('expected_shares'), Mapping)
  return DistributionRules(
    distances={name: _distance(name, properties) for name in DISTANCES},
    pairs=_pairs('compare', properties),
    min_count=_split_limit('min_count', properties),
    min_share=_split_limit('min_share', properties),
    max_imbalance_ratio=_split_limit('max_imbalance_ratio', properties),
    expected_shares=ExpectedShares.parse(expected),
    share_tolerance=check_number('share_tolerance', properties.get('share_tolerance', 0.01), 0, 1),
    missing_classes=missing,
    max_missing=_split_limit('max_missing', properties, 0.0),
  )


def _distance(name: str, properties: Mapping[str, Any]) -> Distance:
  value = properties.get(name, AUTO)
  return AUTO if isinstance(value, str) and value == AUTO else _split_limit(name, properties)


def _split_limit(
  name: str, properties: Mapping[str, Any], default: float | None = None
) -> SplitLimit:
  """Returns a limit from its text; the default where there is no such property."""
  value = from_json(name, properties.get(name, default), (numbers.Real, Mapping))
  return SplitLimit.parse(name, value, *_BOUNDS[name])


def _pairs(argument: str, properties: Mapping[str, Any]) -> tuple[SplitPair, ...] | None:
  """Returns pairs of splits from a sequence of two names each; None where nothing is said.

  Raises:
    ConfigError: if an entry is no pair of two different names.
  """
  found: Sequence[Any] | None = from_json(argument, properties.get(argument), Sequence)
  if found is None:
    return None
  for pair in found:
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
      raise ConfigError(
        f"{argument}={shown(found)} must hold pairs of splits; give such as [('eval', 'train')]"
      )
    if not all(isinstance(name, str) and name for name in pair) or pair[0] == pair[1]:
      raise ConfigError(f'{argument} has {shown(pair)}; a pair is of two different splits')
  return tuple(SplitPair(*pair) for pair in found)
