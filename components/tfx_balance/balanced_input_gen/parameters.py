"""The arguments of BalancedInputGen: checked at construction, and again by the executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx_balance.arguments import check_flag, check_seed
from tfx_balance.exec_properties import (
  COMMON_TYPES,
  encoded,
  is_runtime,
  known,
  label_features,
  missing_label,
  names,
  read_options,
  set_features,
)
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import READ_DEFAULTS, ReadOptions

ALGORITHM_VERSION = 6
"""Raised whenever the same data and arguments give other files: it is part of TFX's cache key."""


@dataclass(frozen=True)
class InputGenParameters:
  """The arguments, decoded.

  Attributes:
    features: Feature that holds the class, or features of 0 and 1, each of which is a label.
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

  features: tuple[str, ...]
  train_splits: tuple[str, ...]
  seed: int
  missing: MissingLabel
  reading: ReadOptions = READ_DEFAULTS
  multilabel: bool = False

  @property
  def label(self) -> str:
    """The name of the feature, or of all of them, as documents have it."""
    return ', '.join(self.features)

  @property
  def labels(self) -> tuple[str, ...]:
    """Features whose labels make a set, which is the class; none where each value is a class."""
    return self.features if self.multilabel else ()

  @classmethod
  def decode(cls, properties: Mapping[str, Any]) -> InputGenParameters:
    """Returns the parameters of execution properties; raises a ConfigError for a broken rule."""
    multilabel = check_flag('multilabel', properties.get('multilabel', 0))
    found = cls(
      features=label_features(properties['label'], multilabel),
      train_splits=names('train_splits', properties['train_splits']),
      seed=check_seed(properties.get('seed', 0)),
      missing=missing_label(properties.get('missing_label', 'error')),
      reading=read_options(properties),
      multilabel=multilabel,
    )
    set_features(found.features, multilabel, found.missing)
    return found

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
  checked = {'label': 'label', 'train_splits': 'train', **known(arguments)}
  if is_runtime(arguments['multilabel']):
    checked['multilabel'] = 1  # under which any label is allowed
  InputGenParameters.decode(checked)
  if not is_runtime(arguments['multilabel']):
    arguments['multilabel'] = int(arguments['multilabel'])
  return {**encoded(arguments), 'algorithm_version': ALGORITHM_VERSION}
