"""Labels in memory: their classes, and their label sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import shown
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distinct_sets import count_sets, distinct_members
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import TrainingCounts


def count_labels(labels: Any) -> tuple[TrainingCounts, Ints]:
  """Returns the classes of labels and, class by class, the rows that have them.

  Args:
    labels: [n] or [n, 1]: integers, booleans, text, bytes, or floats that are integral.

  Returns:
    counts: Counts of the classes, in canonical order.
    rows: int64 [n], the rows of the first class in order, then of the second, and so on.

  Raises:
    DataError: if there are no labels, or their values are no classes.
  """
  values = as_array(labels)
  if values.ndim == 2 and values.shape[1] == 1:
    values = values[:, 0]
  if values.ndim != 1 or not len(values):
    raise DataError(
      f'labels of shape {values.shape} must be of shape [n], one class an item and one item or '
      f'more; turn one-hot rows into classes with labels.argmax(axis=1)'
    )
  try:
    distinct, codes = np.unique(values, return_inverse=True)
  except TypeError as error:
    for value in values:
      _class_of(value)  # tells which one is no class
    raise DataError(f'labels are of types that do not compare ({error}); give them one') from error
  classes = [_class_of(value) for value in distinct]
  order = sorted(range(len(classes)), key=lambda i: classes[i].sort_key())
  codes = np.argsort(order)[codes]  # a text may come before another whose bytes come after
  counts = TrainingCounts(tuple(classes[i] for i in order), tuple(np.bincount(codes).tolist()))
  return counts, np.argsort(codes, kind='stable').astype(np.int64)


def count_label_rows(labels: Any) -> tuple[TrainingCounts, Ints]:
  """Returns the label sets of items and, set by set, the rows that have them, as `count_labels`.

  Args:
    labels: NumPy array [n, labels] of 0 and 1, whose columns are the labels 0, 1 and so on; or a
      sequence of n sequences of labels, in any order, of which equal ones count once.

  Raises:
    DataError: if there are no labels, or their values are no classes.
  """
  classes, numbers, row_splits = _label_numbers(labels)
  members, row_splits = distinct_members(numbers, row_splits)
  sets, codes = count_sets(members, row_splits)
  found = tuple(ClassValue('set', tuple(classes[i] for i in members)) for members in sets)
  counts = TrainingCounts(found, tuple(np.bincount(codes).tolist()))
  return counts, np.argsort(codes, kind='stable').astype(np.int64)


def _label_numbers(labels: Any) -> tuple[Sequence[ClassValue], Ints, Ints]:
  """Returns all labels in canonical order, and those of each item: numbers [m], row splits [n + 1].

  Raises:
    DataError: as `count_label_rows` does.
  """
  if isinstance(labels, np.ndarray) and labels.ndim == 2:
    if not len(labels) or not np.isin(labels, (0, 1)).all():
      raise DataError(
        f'labels of shape {labels.shape} must be 0 and 1, one item or more; give lists of labels '
        f'where they are no such matrix'
      )
    items, numbers = np.nonzero(labels)
    classes = [ClassValue('int', i) for i in range(labels.shape[1])]
    return classes, numbers, np.searchsorted(items, np.arange(len(labels) + 1))
  if not isinstance(labels, Sequence | np.ndarray) or isinstance(labels, (str, bytes)):
    raise DataError(
      f'labels of type {type(labels).__name__} are no matrix of 0 and 1, nor lists of labels; give '
      f'one of these with multilabel=True'
    )
  for at, row in enumerate(labels):
    if not isinstance(row, Collection | np.ndarray) or isinstance(row, (str, bytes)):
      raise DataError(f'item {at} has the labels {shown(row)}; multilabel=True takes lists of them')
  flat = [value for row in labels for value in row]
  lengths = np.array([len(row) for row in labels], np.int64)
  if not flat:
    raise DataError(f'{len(lengths)} items have no label at all; give at least one')
  counts, rows = count_labels(flat)
  if lengths.min() == lengths.max() > 1 and {value.value for value in counts.classes} <= {0, 1}:
    raise DataError(
      f'each item has {lengths[0]} labels, all of them 0 or 1; give a matrix of 0 and 1 as a NumPy '
      f'array, or name labels by text'
    )
  numbers = np.empty(len(rows), np.int64)
  numbers[rows] = np.repeat(np.arange(len(counts.classes)), counts.records)
  return counts.classes, numbers, np.append(0, np.cumsum(lengths))


def as_array(labels: Any) -> npt.NDArray[Any]:
  """Returns labels as an array, text among objects as bytes.

  Raises:
    DataError: if rows differ in length, or text and numbers are mixed, which NumPy makes all text.
  """
  try:
    values = np.asarray(labels)
  except (TypeError, ValueError) as error:
    raise DataError(f'labels are no array ({error}); give one label an item') from error
  if values.dtype.kind in 'US' and values.ndim == 1 and not isinstance(labels, np.ndarray):
    for label in labels:
      if not isinstance(label, (str, bytes)):
        raise DataError(f'label {shown(label)} is no text, and others are; give labels of one type')
  if values.dtype.kind == 'O' and values.ndim == 1 and len(values):
    plain = [_encoded(value) if isinstance(value, str) else value for value in values]
    if all(isinstance(value, bytes) for value in plain):
      return np.array(plain)  # which sorts several times faster than objects do
  return values


def _class_of(value: Any) -> ClassValue:
  """Returns the class of a NumPy scalar."""
  plain = value.item() if isinstance(value, np.generic) else value
  if isinstance(plain, str):
    return ClassValue('bytes', _encoded(plain))
  if isinstance(plain, bytes):
    return ClassValue('bytes', plain)
  if isinstance(plain, (bool, int)):
    return ClassValue('int', int(plain))
  if isinstance(plain, float) and plain.is_integer():
    return ClassValue('float', plain)
  raise DataError(
    f'label {shown(plain)} must be an integer, an integral float, text or bytes; bin it'
  )


def _encoded(text: str) -> bytes:
  return text.encode('utf-8', 'surrogateescape')
