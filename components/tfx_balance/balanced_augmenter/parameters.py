"""The arguments of BalancedAugmenter: checked at construction, and again by the executor."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from tfx_balance.argument_readers import (
  Argument,
  as_given,
  from_json,
  json_of,
  names,
  optional_text,
  read_all,
)
from tfx_balance.arguments import check_flag, check_label, check_number
from tfx_balance.declare import COMMON, missing_label, read_options
from tfx_balance.errors import ConfigError
from tfx_balance.plan.balance_plan import DEFAULT_STRATEGY, BalanceRequest
from tfx_balance.plan.split_shares import check_split_name
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import ReadOptions

ALGORITHM_VERSION = 13
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

  COMPONENT: ClassVar[str] = 'BalancedAugmenter'

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
    given = read_all(ARGUMENTS, properties)
    strategy, factors, splits = given['sampling_strategy'], given['factors'], given['splits']
    balance = BalanceRequest(strategy, factors, given['max_copies'] or None, given['undersample'])
    augmented = given['augmented_split']
    _check_splits(splits, augmented, balance, given['allow_evaluation_splits'])
    is_class, reading = given['missing_label'] == OWN_CLASS, read_options(given)
    shown_strategy = str(strategy) if isinstance(strategy, Fraction) else strategy
    shown = {
      name: properties[name]
      for name in ('label', 'augment_fn', 'augmented_split', 'max_copies', 'undersample', 'seed')
      if properties.get(name) not in (None, '')
    }
    return cls(
      label=given['label'],
      balance=balance,
      splits=splits,
      augmented_split=augmented,
      seed=given['seed'],
      reading=reading,
      missing='own_stratum' if is_class else given['missing_label'],
      missing_is_class=is_class,
      provenance=given['provenance'],
      augment_timeout=given['augment_timeout'],
      shown={
        **shown,
        'sampling_strategy': None if factors else shown_strategy,
        'factors': factors,
        'splits': list(splits),
        'algorithm_version': ALGORITHM_VERSION,
        **reading.describe(),
      },
    )


def seconds_of(name: str, value: Any) -> float | None:
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
  return float(check_number(name, value, 0, above=True, fix=fix))


def _strategy(_: str, value: Any) -> Any:
  """Returns a word, a ratio or a dict from its text."""
  if not isinstance(value, str):
    return value
  if value.lstrip().startswith('{'):
    return from_json('sampling_strategy', value, Mapping)
  try:
    return Fraction(value)
  except (ValueError, ZeroDivisionError):
    return value


def _check_splits(
  splits: tuple[str, ...], augmented: str | None, balance: BalanceRequest, evaluation: bool
) -> None:
  """Checks that splits may be balanced, and that a split of copies fits the other arguments.

  Raises:
    ConfigError: if not.
  """
  for name in splits:
    if name in EVALUATION_SPLITS and not evaluation:
      raise ConfigError(
        f'splits={list(splits)} has {name!r}, whose copies would make evaluation wrong; leave it '
        f'out, or pass allow_evaluation_splits=True as well'
      )
  if augmented is None:
    return
  check_split_name(augmented)
  if augmented in splits:
    raise ConfigError(
      f'augmented_split={augmented!r} is in splits={list(splits)}; give the copies a split of '
      f'their own, or drop augmented_split='
    )
  if balance.undersample:
    raise ConfigError(
      f'augmented_split={augmented!r} leaves the originals as they are, undersample=True '
      f'takes some away; drop one of them'
    )
  if len(splits) > 1:
    raise ConfigError(
      f'augmented_split={augmented!r} takes the copies of one split, splits={list(splits)} are '
      f'several; use a component for each'
    )


ARGUMENTS = {
  **COMMON,
  'missing_label': Argument(str, missing_label(OWN_CLASS), 'error'),
  'label': Argument(str, lambda _, value: check_label(value), 'label'),
  'sampling_strategy': Argument(str, _strategy, DEFAULT_STRATEGY),
  'factors': Argument(str, json_of(Mapping)),
  'augment_fn': Argument(str, as_given),
  'augment_source': Argument(str, as_given),
  'splits': Argument(str, names, 'train'),
  'augmented_split': Argument(str, optional_text),
  'max_copies': Argument(int, as_given),
  'undersample': Argument(int, check_flag, False),
  'allow_evaluation_splits': Argument(int, check_flag, False),
  'provenance': Argument(int, check_flag, False),
  'augment_timeout': Argument(str, seconds_of),
}
"""The arguments of BalancedAugmenter, beside `module_file`."""
