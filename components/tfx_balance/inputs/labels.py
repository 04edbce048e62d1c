"""Labels: from values to classes, as arrays and as graph code that names what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import shown
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue, Kind, as_labels
from tfx_balance.plan.sampling import ClassCounts

_DTYPES: dict[str, tf.DType] = {'int': tf.int64, 'float': tf.float32, 'bytes': tf.string}
_KINDS: dict[str, Kind] = {'i': 'int', 'u': 'int', 'b': 'int', 'S': 'bytes', 'f': 'float'}


def count_labels(labels: Any) -> tuple[ClassCounts, npt.NDArray[np.int64]]:
  """Returns the classes of labels and, class by class, the rows that have them.

  Args:
    labels: [n] or [n, 1]: integers, booleans, text, bytes, or floats that are integral.

  Returns:
    counts: of the classes, in canonical order.
    rows: int64 [n], the rows of the first class in order, then of the second, and so on.

  Raises:
    DataError: if there are none, or they are no classes.
  """
  array = as_labels(labels)
  if array.ndim == 2 and array.shape[1] == 1:
    array = array[:, 0]
  if array.ndim != 1 or not len(array):
    raise DataError(
      f'labels have shape {array.shape}; they must be one value a record, of one record or '
      f'more: turn a one-hot matrix into indices with argmax(axis=1)'
    )
  if array.dtype.kind in 'OU':
    array = np.array([_as_bytes(value) for value in array.tolist()])
  values, codes = np.unique(array, return_inverse=True)
  kind = _kind(values)
  classes = tuple(ClassValue(kind, _plain(kind, value)) for value in values.tolist())
  records = tuple(np.bincount(codes).tolist())
  return ClassCounts(classes, records), np.argsort(codes, kind='stable').astype(np.int64)


def _kind(values: npt.NDArray[Any]) -> Kind:
  kind = _KINDS.get(values.dtype.kind)
  if kind is None:
    raise DataError(f'labels of dtype {values.dtype} are no classes; give integers, text or bytes')
  if kind == 'float' and not np.array_equal(values, np.rint(values)):
    wrong = values[values != np.rint(values)][0]
    raise DataError(f'label {wrong} is not integral; a float is a class when it is: bin it first')
  return kind


def _plain(kind: Kind, value: Any) -> Any:
  return value if kind == 'bytes' else (int(value) if kind == 'int' else float(value))


def _as_bytes(value: Any) -> bytes:
  if isinstance(value, str):
    return value.encode('utf-8', 'surrogateescape')
  if isinstance(value, bytes):
    return value
  raise DataError(
    f'label {shown(value)} is {type(value).__name__}; labels must all be text or bytes'
  )


def flat_label(label: Any) -> tf.Tensor:
  """Returns a parsed label as one value a record, whichever way it was parsed."""
  if isinstance(label, tf.SparseTensor):
    return label.values
  if isinstance(label, tf.RaggedTensor):
    return label.flat_values
  return tf.reshape(label, [-1])


def label_dtype(classes: Sequence[ClassValue]) -> tf.DType:
  """Returns what a label of these classes is parsed as."""
  return _DTYPES[next((value.kind for value in classes if value.kind != 'missing'), 'int')]


def class_values(classes: Sequence[ClassValue]) -> tf.Tensor:
  """Returns the label of each class: [n_classes]; anything for a class of missing labels."""
  dtype = label_dtype(classes)
  nothing: Any = b'' if dtype == tf.string else 0
  values = [nothing if value.kind == 'missing' else value.value for value in classes]
  return tf.constant(values, dtype)


def check_label_spec(name: str, feature_spec: Any, classes: Sequence[ClassValue]) -> None:
  """Checks that a feature spec parses the label as what the plan's classes are.

  Raises:
    ConfigError: if the label is not in it, or of another type.
  """
  if name not in feature_spec:
    raise ConfigError(
      f'label {name!r} is not in the feature spec, which has {sorted(feature_spec)}; '
      f'feature_spec= must hold the label too'
    )
  found, wanted = feature_spec[name].dtype, label_dtype(classes)
  if found != wanted:
    raise ConfigError(
      f'label {name!r} is {found.name} in the feature spec, and the classes of the plan are '
      f'{wanted.name}; give the spec of the files that the plan describes'
    )


def checked_label(
  label: Any, classes: tf.Tensor, values: tf.Tensor, known: Sequence[ClassValue]
) -> tf.Operation:
  """Returns an op that fails where a record's label is not the class that the plan says.

  Args:
    label: as parsed, of B records.
    classes: int64 [B], what the plan says.
    values: from `class_values`.
    known: the plan's classes.
  """
  wanted = tf.gather(values, classes)
  if any(value.kind == 'missing' for value in known):
    present = tf.not_equal(classes, len(known) - 1)
    if not isinstance(label, (tf.SparseTensor, tf.RaggedTensor)):
      label = tf.boolean_mask(flat_label(label), present)
    wanted = tf.boolean_mask(wanted, present)
  found = flat_label(label)
  if found.shape.is_fully_defined() and found.shape == wanted.shape:
    fits = tf.reduce_all(tf.equal(found, wanted))
  else:
    same = tf.equal(tf.size(found), tf.size(wanted))
    fits = tf.cond(same, lambda: tf.reduce_all(tf.equal(found, wanted)), lambda: tf.constant(False))
  text = (
    'a record has a label that is not the one that the plan says: the plan and the files do not '
    'belong together; run BalancedInputGen again. Labels (found, then planned):'
  )
  # Not tf.debugging.Assert, which makes a conditional: 30 microseconds a batch.
  return tf.raw_ops.Assert(condition=fits, data=[text, found, wanted], summarize=8)


def index_lookup(classes: Sequence[ClassValue]) -> Any:
  """Returns graph code from labels as parsed to class indices, int64 [B].

  A label that is not in the plan fails, and is named.
  """
  present = [value for value in classes if value.kind != 'missing']
  values = class_values(present)
  keys = tf.cast(values, tf.int64) if values.dtype != tf.string else values
  indices = tf.range(len(present), dtype=tf.int64)
  table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, indices), -1)
  names = ', '.join(map(str, classes[:20]))

  def lookup(label: Any) -> tf.Tensor:
    flat = flat_label(label)
    keys = flat if flat.dtype == tf.string else tf.cast(flat, tf.int64)
    index = table.lookup(keys)
    unknown = tf.boolean_mask(keys, index < 0)
    text = (
      f'a label is not in the plan, whose classes are {names}; leave such records out, or plan '
      f'again with data that has them. Labels:'
    )
    check = tf.debugging.Assert(tf.equal(tf.size(unknown), 0), [text, unknown], summarize=8)
    with tf.control_dependencies([check]):
      return tf.identity(index)

  return lookup
