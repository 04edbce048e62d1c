"""What batches are made from: classes, how many records each has, and records by their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import tensorflow as tf

from tfx_balance.plan.sampling import ClassCounts

FeatureSpec = Mapping[str, Any]
"""What `tf.io.parse_example` takes, the label included."""

Read = Callable[[tf.Tensor, tf.Tensor], tuple[Any, tf.Tensor]]
"""Graph code: record numbers int64 [B] and classes int64 [B] to (features, label) of the batch."""

DEFAULT_MEMORY_BUDGET = 1 << 30
"""Bytes of records to hold in memory."""


class Source(Protocol):
  """Records numbered class by class, in the canonical order of the classes.

  Attributes:
    counts: the classes and their records.
    natural: records per class of each input split before splits were merged.
    seed: the default seed of what is drawn.
  """

  counts: ClassCounts
  natural: Mapping[str, tuple[int, ...]]
  seed: int

  def windows(self) -> tuple[tuple[int, ...], ...]:
    """Returns, for each class, the sizes of the runs of records that are shuffled together."""

  def reader(self, feature_spec: FeatureSpec | None) -> Read:
    """Returns what reads a batch.

    Raises:
      ConfigError: if the feature spec does not fit.
      DataError: if the data does not fit.
    """

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the records as they lie: batches of (features, label)."""
