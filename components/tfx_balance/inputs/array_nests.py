"""Features in memory as nests of arrays: lists, rows of pandas, and what a generator yields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_callable, check_whole, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.arrays import (
  dense,
  is_sparse,
  read_column,
  table_columns,
  types_differ,
)
from tfx_balance.plan.labels import as_array

_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})
"""Types of values that are no arrays and hold none."""


def as_nest(features: Any, columns: bool = True) -> Any:
  """Returns features as an array, or as dicts and tuples of arrays, whose rows go by position.

  A list of numbers, of texts or of such lists is one array. A list with an array or a dict in it is
  a nest, as tuples and dicts are. Arrays, tensors and memory maps stay as they are.

  Args:
    features: Features.
    columns: Whether a table of pandas is a dict of its columns; else it is an array [n, columns].

  Raises:
    DataError: if the rows of a list differ in length, or it has both texts and numbers; if a column
      has values that are neither, or columns have no names or two the same.
  """
  table = table_columns(features) if columns else None
  if table is not None:
    return {name: _column_of(values, f'column {name!r}') for name, values in table.items()}
  if is_sparse(features):
    return dense(features, 'features')
  if hasattr(features, 'element_spec'):
    raise DataError(
      'features are a dataset, whose rows are read one by one; give '
      'from_generator(lambda: dataset.unbatch().as_numpy_iterator())'
    )
  if isinstance(features, Mapping):
    return {name: as_nest(value) for name, value in features.items()}
  if isinstance(features, tuple) or (isinstance(features, list) and _holds_arrays(features)):
    made = tuple(map(as_nest, features))
    return type(features)(*made) if hasattr(features, '_fields') else made
  if hasattr(features, 'shape') and not _has_missing_values(features):
    return features
  return _column_of(features, 'feature')


def _column_of(array: Any, name: str) -> npt.NDArray[Any]:
  """Returns a feature of numbers or texts that are all there; raises a DataError for others."""
  fix = 'fill it in, or leave the column out'
  values = read_column(array, name, 'give rows of one length, or pad them').check_whole(fix).values
  if values.dtype.kind in 'mM' or (values.dtype == object and not _are_texts(values)):
    wrong = [value for value in values.flat if not isinstance(value, (str, bytes))]
    if len(wrong) < values.size:
      raise types_differ(values, name)
    raise DataError(
      f'{name} has {format_value(wrong[0])}, which is neither a number nor a text; give an array, '
      f'times as numbers, or leave the column out'
    )
  return values


def _has_missing_values(array: Any) -> bool:
  """Returns whether an array is masked, of objects, or of a library that says what is missing."""
  return (
    isinstance(array, np.ma.MaskedArray)
    or getattr(getattr(array, 'dtype', None), 'kind', '') == 'O'
    or any(hasattr(array, name) for name in ('iloc', 'is_null'))
    or hasattr(getattr(array, 'dtype', None), 'na_value')
  )


def _are_texts(values: npt.NDArray[Any]) -> bool:
  return all(issubclass(kind, (str, bytes)) for kind in set(map(type, values.flat)))


def _holds_arrays(values: Any) -> bool:
  """Returns whether lists and tuples have an array of one dimension or more, or a dict, in them."""
  if _PLAIN.issuperset(map(type, values)):  # many times as fast as one by one
    return False
  return any(
    isinstance(value, Mapping)
    or len(getattr(value, 'shape', ())) > 0
    or (isinstance(value, (list, tuple)) and _holds_arrays(value))
    for value in values
  )


def check_rows(arrays: Any, n: int, what: str) -> None:
  """Checks the rows of all arrays of a nest.

  Args:
    arrays: Array or nest of arrays, as of `as_nest`.
    n: Number of rows that each must have.
    what: Things that there are n of, for the message.

  Raises:
    DataError: if there is no array, or one has another number of rows.
  """
  flat = tf.nest.flatten(arrays)
  for array in flat:
    rows = len(array) if hasattr(array, '__len__') and np.ndim(array) else None
    if rows != n:
      raise DataError(
        f'a feature has {rows or "no"} rows and there are {n} {what}; give one row for each, and '
        f'rows that are arrays as np.stack(rows)'
      )
  if not flat:
    raise DataError(
      f'features={format_value(arrays)} hold no array; give one row for each of {n} {what}'
    )


def collect(
  generator: Callable[[], Iterable[tuple[Any, Any]]],
  memory_budget: int,
  multilabel: bool = False,
  split: Callable[[int, Any, Any], tuple[Any, Any]] = lambda _, *pair: pair,
) -> tuple[Any, Any]:
  """Reads a generator to its end: returns arrays of features, and the labels.

  Args:
    generator: Function, called once, that returns an iterable of (features, label), features of
      one structure throughout, as `as_nest` takes them.
    memory_budget: Bytes of arrays to hold.
    multilabel: Whether a label is a list of labels.
    split: Function of the number of a record and of what is yielded to features and label.

  Raises:
    ConfigError: if it is no function that returns an iterable.
    DataError: if it yields nothing, no pairs, batches, records that differ in structure, type or
      shape, or more than the budget.
  """
  rows: list[Any] = []
  labels: list[Any] = []
  used, first = 0, None
  check_whole('memory_budget', memory_budget, 0)
  example = 'lambda: zip(features, labels)'
  made = check_callable('generator', generator, example)
  try:
    pairs = iter(made())
  except TypeError as error:
    raise ConfigError(
      f'generator={format_value(generator)} must return an iterator ({error}); give one such as '
      f'{example}'
    ) from error
  for i, pair in enumerate(pairs):
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
      raise DataError(
        f'the generator yields {format_value(pair)}; it must yield (features, label) pairs'
      )
    features, label = split(i, *pair)
    _check_label(label, i, multilabel)
    row = tf.nest.map_structure(np.asarray, as_nest(features))
    form = tf.nest.map_structure(_form, row)
    first = first or form
    if form != first:
      raise DataError(
        f'record {i} of the generator has the features {form}, and record 0 has {first}; give all '
        f'of one structure, type and shape'
      )
    used += sum(map(n_bytes, tf.nest.flatten(row)))
    if used > memory_budget:
      raise DataError(
        f'the generator yields more than {memory_budget} bytes in {i + 1} records; raise '
        f'memory_budget=, or write TFRecord files and let BalancedInputGen lay them out'
      )
    rows.append(row)
    labels.append(label.numpy() if hasattr(label, 'numpy') else label)
  if not rows:
    raise DataError('the generator yields nothing; it must yield (features, label) pairs')
  found = tf.nest.map_structure(lambda *arrays: np.stack(arrays), *rows)
  return found, labels if multilabel else as_array(labels)


def n_bytes(array: npt.NDArray[Any]) -> int:
  """Returns the bytes of an array, and of what is in it if these are bytes or texts."""
  if array.dtype != object:
    return array.nbytes
  return sum(len(value) for value in array.flat if isinstance(value, (str, bytes)))


def _check_label(label: Any, i: int, multilabel: bool) -> None:
  """Raises DataError where a record has labels of a batch in place of one label."""
  shape = as_array(label, f'label of record {i}').shape
  if len(shape) > 1 or (shape and shape != (1,) and not multilabel):
    several = '' if multilabel else ', or pass multilabel=True where a record has several'
    raise DataError(
      f'record {i} of the generator has a label of shape {shape}, and must have one; yield one '
      f'record at a time, no batches{several}'
    )


def _form(array: npt.NDArray[Any]) -> str:
  """Returns the kind of type and the shape of a record's feature, as messages have them."""
  is_text = array.dtype.kind in 'SU' or (array.dtype == object and _are_texts(array))
  return f'{"text" if is_text else array.dtype.name.rstrip("0123456789")} {list(array.shape)}'
