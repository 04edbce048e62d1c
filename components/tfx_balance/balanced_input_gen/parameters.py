"""The arguments of BalancedInputGen: checked at construction, and again by the executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx_balance.arguments import check_flag, check_label, check_seed
from tfx_balance.exec_properties import (
  COMMON_TYPES,
  encoded,
  is_runtime,
  known,
  missing_label,
  names,
  read_options,
)
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import READ_DEFAULTS, ReadOptions

ALGORITHM_VERSION = 3
"""Raised whenever the same data and arguments give other files: it is part of TFX's cache key."""


@dataclass(frozen=True)
class InputGenParameters:
  """The arguments, decoded.

  Attributes:
    label: Feature that holds the class.
    train_splits: Splits that are merged.
    seed: Seed of the order of the records.
    missing: Treatment of records without a class.
    reading: Options of reading.
    multilabel: Whether a class is the set of a record's labels.
  """

  TYPES: ClassVar[dict[str, type]] = {
    **COMMON_TYPES,
    'label': str,
    'train_splits': str,
    'multilabel': int,
  }

  label: str
  train_splits: tuple[str, ...]
  seed: int
  missing: MissingLabel
  reading: ReadOptions = READ_DEFAULTS
  multilabel: bool = False

  @property
  def features(self) -> tuple[str, ...]:
    """Features that strata are made of."""
    return (self.label,)

  @property
  def labels(self) -> tuple[str, ...]:
    """Features whose labels make a set, which is the class; none where each value is a class."""
    return self.features if self.multilabel else ()

  @classmethod
  def decode(cls, properties: Mapping[str, Any]) -> InputGenParameters:
    """Returns the parameters of execution properties; raises a ConfigError for a broken rule."""
    return cls(
      label=check_label(properties['label']),
      train_splits=names('train_splits', properties['train_splits']),
      seed=check_seed(properties.get('seed', 0)),
      missing=missing_label(properties.get('missing_label', 'error')),
      reading=read_options(properties),
      multilabel=check_flag('multilabel', properties.get('multilabel', 0)),
    )

  def describe(self) -> dict[str, Any]:
    """Returns the parameters as the sidecar shows them."""
    return {
      'label': self.label,
      'train_splits': list(self.train_splits),
      'seed': self.seed,
      'missing_label': self.missing,
      'algorithm_version': ALGORITHM_VERSION,
      **({'multilabel': True} if self.multilabel else {}),
      **self.reading.describe(),
    }


def encode(**arguments: Any) -> dict[str, Any]:
  """Returns checked arguments as execution properties; the executor checks runtime parameters."""
  InputGenParameters.decode({'label': 'label', 'train_splits': 'train', **known(arguments)})
  if not is_runtime(arguments['multilabel']):
    arguments['multilabel'] = int(arguments['multilabel'])
  return {**encoded(arguments), 'algorithm_version': ALGORITHM_VERSION}
