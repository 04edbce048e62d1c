"""What batches are made from: classes, how many records each has, and records by their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.plan.sampling import ClassCounts

FeatureSpec = Mapping[str, Any]
"""What `tf.io.parse_example` takes, the label included."""

Ints = npt.NDArray[np.int64]


DEFAULT_MEMORY_BUDGET = 1 << 30
"""Bytes of records to hold in memory."""


@dataclass(frozen=True)
class Fetch:
  """How records that are not held in memory are got.

  Attributes:
    records: record numbers int64 [n] to serialized records, bytes objects [n], b'' for the held.
    mean_bytes: of a record.
  """

  records: Callable[[Ints], npt.NDArray[Any]]
  mean_bytes: int


@dataclass(frozen=True)
class Reader:
  """How a batch is read: what Python does before, for many batches at a time, and the graph code.

  Attributes:
    rows: record numbers int64 [n] to where they lie in memory, int64 [n].
    read: graph code from rows int64 [B], classes int64 [B] and fetched records string [B] (None
      without `fetch`) to (features, label) of the batch.
    fetch: of records that are not held; None where all are.
  """

  rows: Callable[[Ints], Ints]
  read: Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tuple[Any, tf.Tensor]]
  fetch: Fetch | None = None


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

  def reader(self, feature_spec: FeatureSpec | None) -> Reader:
    """Returns what reads a batch.

    Raises:
      ConfigError: if the feature spec does not fit.
      DataError: if the data does not fit.
    """

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the records as they lie: batches of (features, label)."""
