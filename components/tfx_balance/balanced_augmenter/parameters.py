"""The arguments of BalancedAugmenter: checked at construction, and again by the executor."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from tfx_balance.arguments import check_flag, check_label, check_number, check_seed
from tfx_balance.errors import ConfigError
from tfx_balance.exec_properties import (
  COMMON_TYPES,
  encoded,
  from_json,
  is_runtime,
  known,
  missing_label,
  names,
  optional_text,
  read_options,
)
from tfx_balance.plan.balance_plan import DEFAULT_STRATEGY, BalanceRequest
from tfx_balance.plan.split_shares import check_split_name
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import ReadOptions

ALGORITHM_VERSION = 9
"""Raised whenever the same data and arguments give other copies: it is part of TFX's cache key."""

OWN_CLASS = 'own_class'
"""`missing_label` that has records without a class balanced as one."""

EVALUATION_SPLITS = ('eval', 'test', 'validation')
"""Splits that are balanced only with allow_evaluation_splits."""


@dataclass(frozen=True)
class AugmenterParameters:
  """The arguments, decoded.

  Attributes:
    label: Feature that holds the class.
    balance: Targets of the classes.
    splits: Splits that are balanced.
    augmented_split: Split that gets the copies; None for the split of their originals.
    seed: Seed of the selection and of the copies.
    missing: Treatment of records without a class.
    reading: Options of reading.
    missing_is_class: Whether these are balanced as a class, or left as they are.
    provenance: Whether copies carry features that name their original.
    augment_timeout: Seconds that an augment function may take for a batch; None for no limit.
    shown: Arguments as the sidecar shows them.
  """

  TYPES: ClassVar[dict[str, type]] = {
    **COMMON_TYPES,
    'label': str,
    'sampling_strategy': str,
    'factors': str,
    'augment_fn': str,
    'augment_source': str,
    'splits': str,
    'augmented_split': str,
    'max_copies': int,
    'undersample': int,
    'allow_evaluation_splits': int,
    'provenance': int,
    'augment_timeout': str,
  }

  label: str
  balance: BalanceRequest
  splits: tuple[str, ...]
  augmented_split: str | None
  seed: int
  missing: MissingLabel
  reading: ReadOptions
  missing_is_class: bool
  provenance: bool
  augment_timeout: float | None
  shown: Mapping[str, Any]

  @property
  def features(self) -> tuple[str, ...]:
    """Features that strata are made of."""
    return (self.label,)

  @classmethod
  def decode(cls, properties: Mapping[str, Any]) -> AugmenterParameters:
    """Returns the parameters of execution properties; raises a ConfigError for a broken rule."""
    feature, seed = check_label(properties['label']), check_seed(properties.get('seed', 0))
    strategy = _strategy(properties['sampling_strategy'])
    factors = from_json('factors', properties.get('factors'), Mapping)
    balance = BalanceRequest.parse(
      strategy,
      factors,
      properties.get('max_copies') or None,
      check_flag('undersample', properties.get('undersample', 0)),
    )
    splits = names('splits', properties['splits'])
    augmented = optional_text('augmented_split', properties.get('augmented_split'))
    evaluation = check_flag('allow_evaluation_splits', properties.get('allow_evaluation_splits', 0))
    _check_splits(splits, augmented, evaluation)
    check_augmented_split(augmented, splits, balance)
    missing = properties.get('missing_label', 'error')
    is_class = isinstance(missing, str) and missing == OWN_CLASS
    shown = {
      name: properties[name]
      for name in ('label', 'augment_fn', 'augmented_split', 'max_copies', 'undersample', 'seed')
      if properties.get(name) not in (None, '')
    }
    return cls(
      label=feature,
      balance=balance,
      splits=splits,
      augmented_split=augmented,
      seed=seed,
      reading=read_options(properties),
      missing='own_stratum' if is_class else missing_label(missing, OWN_CLASS),
      missing_is_class=is_class,
      provenance=check_flag('provenance', properties.get('provenance', 0)),
      augment_timeout=timeout_of(properties.get('augment_timeout')),
      shown={
        **shown,
        'sampling_strategy': None if factors else _shown(strategy),
        'factors': factors,
        'splits': list(splits),
        'algorithm_version': ALGORITHM_VERSION,
        **read_options(properties).describe(),
      },
    )


def encode(**arguments: Any) -> dict[str, Any]:
  """Returns checked arguments as execution properties; the executor checks runtime parameters."""
  most = arguments['max_copies']
  if most is None:
    arguments['max_copies'] = 0  # TFX has no None
  elif not is_runtime(most):
    BalanceRequest.parse(max_copies=most)
  stand_in = {'label': 'label', 'sampling_strategy': DEFAULT_STRATEGY, 'splits': 'train'}
  AugmenterParameters.decode({**stand_in, **known(arguments)})
  timeout = arguments['augment_timeout']
  if not is_runtime(timeout):
    seconds = timeout_of(timeout)
    arguments['augment_timeout'] = '' if seconds is None else str(seconds)
  for name in ('undersample', 'allow_evaluation_splits', 'provenance'):
    if not is_runtime(arguments[name]):
      arguments[name] = int(arguments[name])
  if isinstance(arguments['sampling_strategy'], numbers.Real):
    arguments['sampling_strategy'] = str(arguments['sampling_strategy'])
  properties = encoded(arguments)
  AugmenterParameters.decode({**stand_in, **known(properties)})  # a class may be there as 1 and '1'
  return {**properties, 'algorithm_version': ALGORITHM_VERSION}


def timeout_of(value: Any) -> float | None:
  """Returns seconds from a number, or from the text that carries one; None where none is given.

  Raises:
    ConfigError: if they are no number above 0.
  """
  if value is None or (isinstance(value, str) and not value):
    return None
  if isinstance(value, str):  # as TFX carries it
    with contextlib.suppress(ValueError):
      value = float(value)
  fix = 'give seconds, or leave it out for no limit'
  return float(check_number('augment_timeout', value, 0, above=True, fix=fix))


def _strategy(value: Any) -> Any:
  """Returns a word, a ratio or a dict from its text."""
  if not isinstance(value, str):
    return value
  if value.lstrip().startswith('{'):
    return from_json('sampling_strategy', value, Mapping)
  try:
    return Fraction(value)
  except (ValueError, ZeroDivisionError):
    return value


def _shown(strategy: Any) -> Any:
  return str(strategy) if isinstance(strategy, Fraction) else strategy


def _check_splits(splits: tuple[str, ...], augmented: str | None, evaluation: bool) -> None:
  for name in splits:
    if name in EVALUATION_SPLITS and not evaluation:
      raise ConfigError(
        f'splits={list(splits)} has {name!r}, whose copies would make evaluation wrong; leave it '
        f'out, or pass allow_evaluation_splits=True as well'
      )
  if augmented is not None:
    check_split_name(augmented)
    if augmented in splits:
      raise ConfigError(
        f'augmented_split={augmented!r} is in splits={list(splits)}; give the copies a split of '
        f'their own, or drop augmented_split='
      )


def check_augmented_split(
  augmented_split: str | None, splits: Sequence[str], balance: BalanceRequest
) -> None:
  """Checks that a split of copies fits the other arguments.

  Raises:
    ConfigError: if it does not.
  """
  if augmented_split is None:
    return
  if balance.undersample:
    raise ConfigError(
      f'augmented_split={augmented_split!r} leaves the originals as they are, undersample=True '
      f'takes some away; drop one of them'
    )
  if len(splits) > 1:
    raise ConfigError(
      f'augmented_split={augmented_split!r} takes the copies of one split, splits='
      f'{list(splits)} are several; use a component for each'
    )
