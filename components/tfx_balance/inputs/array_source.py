"""Arrays in memory as a source of batches, and what a generator yields turned into arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_callable, check_seed, check_whole, shown
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.labels import count_labels
from tfx_balance.inputs.source import DEFAULT_MEMORY_BUDGET, FeatureSpec, Reader
from tfx_balance.plan.sampling import ClassCounts


@dataclass
class ArraySource:
  """Rows of arrays.

  Attributes:
    features: an array, or a dict, tuple or nest of arrays, each [n, ...].
    labels: [n] or [n, 1].
    seed: the default seed of what is drawn.
  """

  features: Any
  labels: Any
  seed: int = 0
  counts: ClassCounts = field(init=False)
  natural: Mapping[str, tuple[int, ...]] = field(init=False)
  _rows: npt.NDArray[np.int64] = field(init=False, repr=False)

  def __post_init__(self) -> None:
    self.seed = check_seed(self.seed)
    self.counts, self._rows = count_labels(self.labels)
    self.natural = {'train': self.counts.records}
    check_rows(self.features, len(self._rows), 'labels')
    self.features = tf.nest.map_structure(_as_tensor, self.features)
    self.labels = tf.convert_to_tensor(self.labels)

  def windows(self) -> tuple[tuple[int, ...], ...]:
    """Returns one window a class: all is in memory."""
    return tuple((n,) for n in self.counts.records)

  def reader(self, feature_spec: FeatureSpec | None) -> Reader:
    """Returns what gathers a batch; see Source."""
    _refuse(feature_spec)

    def read(rows: tf.Tensor, classes: tf.Tensor, fetched: None) -> tuple[Any, tf.Tensor]:
      features = tf.nest.map_structure(lambda array: tf.gather(array, rows), self.features)
      return features, tf.gather(self.labels, rows)

    return Reader(self._rows.__getitem__, read)

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the rows in their order; see Source."""
    _refuse(feature_spec)
    return tf.data.Dataset.from_tensor_slices((self.features, self.labels)).batch(batch_size)


def check_rows(arrays: Any, n: int, what: str) -> None:
  """Checks that all arrays of a nest have so many rows.

  Args:
    arrays: array or nest of arrays.
    n: rows.
    what: there are n of, for the message.

  Raises:
    DataError: if there is no array, or one has another number of rows.
  """
  flat = tf.nest.flatten(arrays)
  for array in flat:
    rows = len(array) if hasattr(array, '__len__') and np.ndim(array) else None
    if rows != n or isinstance(array, (str, bytes)):
      raise DataError(
        f'a feature has {rows or "no"} rows and there are {n} {what}; give one row for each'
      )
  if not flat:
    raise DataError(f'features={shown(arrays)} hold no array; give one row for each of {n} {what}')


def _as_tensor(array: Any) -> tf.Tensor:
  try:
    return tf.convert_to_tensor(array)
  except (TypeError, ValueError) as error:
    raise DataError(
      f'feature {shown(array)} is no array ({error}); give numbers or text of one shape a row'
    ) from error


def _refuse(feature_spec: FeatureSpec | None) -> None:
  if feature_spec is not None:
    raise ConfigError('feature_spec= is given, and arrays are not parsed; leave it out')


def collect(
  generator: Callable[[], Iterable[tuple[Any, Any]]],
  memory_budget: int = DEFAULT_MEMORY_BUDGET,
) -> tuple[Any, Any]:
  """Returns what a generator yields as arrays of features and labels.

  Args:
    generator: called once; yields (features, label), features of one structure throughout.
    memory_budget: bytes.

  Raises:
    DataError: if it yields nothing, or more than the budget.
  """
  rows: list[Any] = []
  labels: list[Any] = []
  used = 0
  check_whole('memory_budget', memory_budget, 0)
  for features, label in _pairs(generator):
    row = tf.nest.map_structure(np.asarray, features)
    used += sum(array.nbytes for array in tf.nest.flatten(row))
    if used > memory_budget:
      raise DataError(
        f'the generator yields more than {memory_budget} bytes in {len(rows) + 1} records; raise '
        f'memory_budget=, or write TFRecord files and let BalancedInputGen lay them out'
      )
    rows.append(row)
    labels.append(label)
  if not rows:
    raise DataError('the generator yields nothing; it must yield (features, label) pairs')
  return tf.nest.map_structure(lambda *arrays: np.stack(arrays), *rows), np.asarray(labels)


def _pairs(generator: Callable[[], Iterable[tuple[Any, Any]]]) -> Iterator[tuple[Any, Any]]:
  """Yields what a generator yields.

  Raises:
    ConfigError: if it is no function that returns an iterable.
    DataError: if it yields no pairs.
  """
  example = 'lambda: zip(features, labels)'
  made = check_callable('generator', generator, example)
  try:
    pairs = iter(made())
  except TypeError as error:
    raise ConfigError(
      f'generator={shown(generator)} must return an iterator ({error}); give one such as {example}'
    ) from error
  for pair in pairs:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
      raise DataError(f'the generator yields {shown(pair)}; it must yield (features, label) pairs')
    yield pair[0], pair[1]
