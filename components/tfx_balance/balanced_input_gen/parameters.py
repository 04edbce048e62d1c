"""The arguments of BalancedInputGen: checked at construction, and again by the executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tfx_balance.argument_readers import Argument, as_given, names, read_all, set_features
from tfx_balance.arguments import check_flag
from tfx_balance.declare import COMMON, label_features, missing_label, read_options
from tfx_balance.scan.strata import Fill, MissingLabel
from tfx_balance.tfrecord.reading import READ_DEFAULTS, ReadOptions

ALGORITHM_VERSION = 9
"""Raised whenever the same data and arguments give other files: it is part of TFX's cache key."""


ARGUMENTS = {
  **COMMON,
  'missing_label': Argument(str, missing_label(), 'error'),
  'label': Argument(str, as_given, 'label'),
  'train_splits': Argument(str, names, 'train'),
  'multilabel': Argument(int, check_flag, False, True),  # under which any label is allowed
}
"""The arguments of BalancedInputGen."""


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

  COMPONENT: ClassVar[str] = 'BalancedInputGen'

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
    given = read_all(ARGUMENTS, properties)
    features, missing = label_features(given['label'], given['multilabel']), given['missing_label']
    set_features(features, given['multilabel'], missing)
    return cls(
      features=features,
      train_splits=given['train_splits'],
      seed=given['seed'],
      missing=missing,
      reading=read_options(given),
      multilabel=given['multilabel'],
    )

  def describe(self) -> dict[str, Any]:
    """Returns the parameters as the sidecar shows them."""
    return {
      'label': self.label,
      'train_splits': list(self.train_splits),
      'seed': self.seed,
      'missing_label': asdict(self.missing) if isinstance(self.missing, Fill) else self.missing,
      'algorithm_version': ALGORITHM_VERSION,
      **({'multilabel': True} if self.multilabel else {}),
      **self.reading.describe(),
    }
