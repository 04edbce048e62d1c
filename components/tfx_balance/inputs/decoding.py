"""Records decoded by a function of one record, those of rare classes once for all their draws.

A balanced batch repeats the records of rare classes many times a pass over the others, so few
decoded records in memory save most decoding. They change no batch, only how soon it comes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_callable, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.parsing import FeatureSpec
from tfx_balance.inputs.python_calls import call_python
from tfx_balance.inputs.record_source import (
  ArraySource,
  Reader,
  dense_features,
  first_number,
  read_now,
)
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import TrainingCounts

DecodeFn = Callable[[dict[str, Any]], dict[str, Any]]
"""Graph code from the dense features of one record to features that replace or join them: a dict of
numeric tensors, each of one shape for all records. A record always gives the same values; what is
random belongs into an augment function, which gets what this one returns."""
_EXAMPLE = "lambda features: {'image': tf.io.decode_png(features['image'], channels=3)}"
# Ref-counted, so that the memory is free when the dataset is (tensorflow/core/framework/
# resource_handle.h, ANONYMOUS_NAME); a tf.Variable would be copied by strategies.
_ANONYMOUS = 'cd2c89b7-88b7-44c8-ad83-06c2a9158347'
_UNROLLED = 8  # records in one turn of a loop; a turn costs 8 microseconds


def check_decode_fn(decode_fn: DecodeFn | None) -> DecodeFn | None:
  """Returns a decode function; raises ConfigError if it is none."""
  return None if decode_fn is None else check_callable('decode_fn', decode_fn, _EXAMPLE)


def decode_batch(decode_fn: DecodeFn, features: Any) -> dict[str, Any]:
  """Returns a batch's features with what a decode function gives of each record: graph code.

  Raises:
    ConfigError: if the features are no dict.
  """
  dense = dense_features(features, 'decode_fn')
  record = {name: tf.TensorSpec(value.shape[1:], value.dtype) for name, value in dense.items()}
  made = tf.function(decode_fn).get_concrete_function(record).structured_outputs
  specs = {name: tf.TensorSpec(value.shape, value.dtype) for name, value in made.items()}
  return {**features, **tf.map_fn(decode_fn, dense, fn_output_signature=specs)}


class PartlyDecoded(NamedTuple):
  """The records of a batch that are decoded already.

  Attributes:
    missing: int32 [n_missing], positions of the others in the batch.
    kept: int32 [n_kept], their positions in the batch.
    values: What is decoded, [n_kept, ...] by name.
  """

  missing: tf.Tensor
  kept: tf.Tensor
  values: dict[str, tf.Tensor]


@dataclass(frozen=True)
class RecordDecoder:
  """Graph code that decodes the records of a batch one by one, and names those that fail.

  Attributes:
    decode_fn: Function of one record.
    specs: What it returns for each record.
    place: Function of a record's row that says in messages where it is.
  """

  decode_fn: DecodeFn
  specs: dict[str, tf.TensorSpec]
  place: Callable[[int], str]

  def __call__(
    self, features: dict[str, Any], rows: tf.Tensor, partly: PartlyDecoded | None = None
  ) -> dict[str, tf.Tensor]:
    """Returns the decoded features of n records, [n, ...] by name.

    Args:
      features: Features of n records.
      rows: int64 [n], what `place` takes.
      partly: Records that are decoded already, and those that are not; None for all to decode.
    """
    n = tf.size(rows)
    none = {k: tf.zeros([0, *spec.shape], spec.dtype) for k, spec in self.specs.items()}
    partly = partly or PartlyDecoded(tf.range(n), tf.zeros([0], tf.int32), none)
    # A dataset in the graph, since its errors can be caught: 3 microseconds a record of 64.
    decoded = (
      tf.data.Dataset.from_tensors((features, partly))
      .map(self._decode)
      .ignore_errors()
      .concatenate(tf.data.Dataset.from_tensors(none))
      .take(1)
      .get_single_element()
    )
    fine = tf.equal(tf.shape(next(iter(decoded.values())))[0], n)
    check = tf.cond(fine, lambda: fine, lambda: self._find_failed(features, rows, partly.missing))
    with tf.control_dependencies([check]):
      return {k: tf.identity(value) for k, value in decoded.items()}

  def _decode(self, features: dict[str, tf.Tensor], partly: PartlyDecoded) -> dict[str, tf.Tensor]:
    """Returns a batch; each decoded record is copied once, to where it belongs."""
    n = tf.size(partly.missing) + tf.size(partly.kept)
    begun = {
      k: tf.TensorArray(spec.dtype, n, element_shape=spec.shape).scatter(
        partly.kept, partly.values[k]
      )
      for k, spec in self.specs.items()
    }

    def add(n: int, i: tf.Tensor, arrays: dict[str, tf.TensorArray]) -> tuple[Any, ...]:
      at = partly.missing[i : i + n]
      parts = {k: tf.unstack(tf.gather(value, at), n) for k, value in features.items()}
      for j, place in enumerate(tf.unstack(at, n)):
        found = self._decode_one({k: own[j] for k, own in parts.items()})
        arrays = {k: array.write(place, found[k]) for k, array in arrays.items()}
      return i + n, arrays

    state = (tf.constant(0), begun)
    for n in (_UNROLLED, 1):
      last = tf.size(partly.missing) - n
      state = tf.while_loop(lambda i, _, last=last: i <= last, functools.partial(add, n), state)
    ended = state[1]
    return {k: array.stack() for k, array in ended.items()}

  def _decode_one(self, record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    found = self.decode_fn(record)
    return {k: tf.ensure_shape(found[k], spec.shape) for k, spec in self.specs.items()}

  def _find_failed(
    self, features: dict[str, tf.Tensor], rows: tf.Tensor, missing: tf.Tensor
  ) -> tf.Tensor:
    """Returns nothing, and fails with the names of the records that cannot be decoded."""
    end = tf.constant([-1], tf.int64)
    tried = {k: tf.gather(value, missing) for k, value in features.items()}
    rows = tf.gather(rows, missing)
    decoded = (
      tf.data.Dataset.from_tensor_slices((tried, tf.range(tf.size(rows, tf.int64))))
      .map(lambda record, number: (self._decode_one(record), number))
      .ignore_errors(log_warning=True)
      .map(lambda _, number: number)
      .concatenate(tf.data.Dataset.from_tensor_slices(end))
      .batch(tf.size(rows, tf.int64) + 1)
      .get_single_element()
    )
    return call_python(self._fail, [rows, decoded], [tf.bool])[0]

  def _fail(self, rows: Ints, numbers: Ints) -> None:
    (failed, *more) = np.setdiff1d(np.arange(len(rows)), numbers).tolist()
    shapes = {name: spec.shape.as_list() for name, spec in self.specs.items()}
    others = f' and {len(more)} more of the batch' if more else ''
    raise DataError(
      f'{self.place(int(rows[failed]))}{others} cannot be decoded: decode_fn= fails, or does not '
      f'give the shapes {shapes} of the first record; leave such records out, or let decode_fn='
      f' resize them. The reason is in the log before this'
    )


@dataclass(frozen=True)
class DecodedRows:
  """Records that are decoded when they are first drawn, and then kept.

  Attributes:
    slots: int32 [n_places], the slot of each record in memory, or -1.
    filled: Resource of bool [n_slots], whether the slot has its record.
    values: Resources of [n_slots, ...] by name.
  """

  slots: tf.Tensor
  filled: tf.Tensor
  values: dict[str, tf.Tensor]

  @classmethod
  def of(
    cls, reader: Reader, counts: TrainingCounts, specs: dict[str, tf.TensorSpec]
  ) -> DecodedRows | None:
    """Returns slots for records of the smallest classes that are held in memory, or None for none.

    They take at most the reader's spare bytes; memory that is not written to yet is not used.
    """
    row_bytes = 1 + sum(
      (spec.shape.num_elements() or 0) * spec.dtype.size for spec in specs.values()
    )
    places = _rare_places(reader, counts, reader.spare_bytes // row_bytes)
    if not len(places):
      return None
    slots = np.full(places.max() + 1, -1, np.int32)
    slots[places] = np.arange(len(places))
    n = len(places)
    with tf.init_scope(), tf.device('/CPU:0'):
      filled = _resource(tf.zeros([n], tf.bool))
      empty = functools.partial(tf.raw_ops.Empty, init=False)  # unwritten, it takes no room
      values = {k: _resource(empty(shape=[n, *s.shape], dtype=s.dtype)) for k, s in specs.items()}
      return cls(tf.constant(slots), filled, values)

  def __call__(
    self, features: dict[str, Any], rows: tf.Tensor, decode: RecordDecoder
  ) -> dict[str, tf.Tensor]:
    """Returns decoded features as `decode` does, and decodes only records that are not kept."""
    in_memory = (rows >= 0) & (rows < tf.size(self.slots, tf.int64))
    slots = tf.where(in_memory, tf.gather(self.slots, tf.where(in_memory, rows, 0)), -1)
    ready = (slots >= 0) & _gathered(self.filled, tf.maximum(slots, 0), tf.bool)
    kept, missing = (tf.cast(tf.where(mask)[:, 0], tf.int32) for mask in (ready, ~ready))
    old_slots = tf.gather(slots, kept)
    old = {k: _gathered(self.values[k], old_slots, spec.dtype) for k, spec in decode.specs.items()}
    decoded = decode(features, rows, PartlyDecoded(missing, kept, old))
    to_keep = tf.boolean_mask(missing, tf.gather(slots, missing) >= 0)
    new_slots = tf.gather(slots, to_keep)
    writes = [
      tf.raw_ops.ResourceScatterUpdate(
        resource=self.values[k], indices=new_slots, updates=tf.gather(value, to_keep)
      )
      for k, value in decoded.items()
    ]
    with tf.control_dependencies(writes):
      tf.raw_ops.ResourceScatterUpdate(
        resource=self.filled, indices=new_slots, updates=tf.ones_like(new_slots, tf.bool)
      )
    return decoded


def decoding_reader(
  reader: Reader, decode_fn: DecodeFn, counts: TrainingCounts, keep: bool = True
) -> Reader:
  """Returns a reader whose features are decoded.

  Args:
    reader: Reader of the encoded records.
    decode_fn: Function of one record.
    counts: Classes and their records.
    keep: Whether to keep decoded records in the reader's spare bytes.

  Raises:
    ConfigError: if the function breaks a rule on the first record of the smallest class.
    DataError: if that record cannot be read or decoded.
  """
  specs = _try_out(reader, decode_fn, counts)
  # Traced apart, since AutoGraph converts no code in the maps of these datasets.
  decode = RecordDecoder(tf.function(decode_fn), specs, reader.place)
  kept = DecodedRows.of(reader, counts, decode.specs) if keep else None

  def read(rows: tf.Tensor, classes: tf.Tensor, fetched: Any) -> tuple[Any, tf.Tensor]:
    features, label = reader.read(rows, classes, fetched)
    dense = dense_features(features, 'decode_fn')
    decoded = decode(dense, rows) if kept is None else kept(dense, rows, decode)
    return {**features, **decoded}, label

  return replace(reader, read=read)


def decoded_pass(
  source: ArraySource, decode_fn: DecodeFn, batch_size: int, feature_spec: FeatureSpec | None
) -> tf.data.Dataset:
  """Returns one pass over rows in their order, decoded, with errors that name the row."""
  reader = decoding_reader(source.reader(feature_spec), decode_fn, source.counts, keep=False)
  rows = tf.data.Dataset.range(sum(source.counts.records)).batch(batch_size)
  return rows.map(lambda at: reader.read(at, at, ()), num_parallel_calls=tf.data.AUTOTUNE)


def _try_out(
  reader: Reader, decode_fn: DecodeFn, counts: TrainingCounts
) -> dict[str, tf.TensorSpec]:
  """Tries a decode function on the first record of the smallest class; returns its output's specs.

  Raises:
    ConfigError: if it breaks a rule.
    DataError: if the record cannot be read or decoded.
  """
  c = int(np.argmin(counts.records))
  numbers = np.array([first_number(counts, c)])
  features = dense_features(read_now(reader, numbers, np.array([c])), 'decode_fn')
  record = {name: value[0] for name, value in features.items()}
  with tf.init_scope():
    try:
      found, again = decode_fn(dict(record)), decode_fn(dict(record))
    except tf.errors.InvalidArgumentError as error:
      where = reader.place(int(reader.rows(numbers)[0]))
      raise DataError(
        f'{where} cannot be decoded: decode_fn= fails ({error.message}); leave the record out'
      ) from error
    except Exception as error:
      raise ConfigError(
        f'decode_fn={format_value(decode_fn)} raises {type(error).__name__} ({error}) for the '
        f'features {sorted(record)} of a record; pass a function of their dict, as {_EXAMPLE}'
      ) from error
    if not isinstance(found, dict) or not found:
      raise ConfigError(
        f'decode_fn= returns {format_value(found)}, which must be a dict; as {_EXAMPLE}'
      )
    found = {name: tf.convert_to_tensor(value) for name, value in found.items()}
  for name, value in found.items():
    if not (value.dtype.is_floating or value.dtype.is_integer or value.dtype.is_bool):
      raise ConfigError(
        f'decode_fn= returns {name!r} of {value.dtype.name}, and only numbers are kept; leave it '
        f'out, or decode it'
      )
    if value.numpy().tobytes() != np.asarray(again[name]).tobytes():
      raise ConfigError(
        f'decode_fn= returned two values of {name!r} for one record, and must always give the '
        f'same; do what is random in augment_fn='
      )
  return {name: tf.TensorSpec(value.shape, value.dtype) for name, value in found.items()}


def _rare_places(reader: Reader, counts: TrainingCounts, n_slots: int) -> Ints:
  """Returns places of at most n_slots records that are held in memory, of the smallest classes."""
  found: list[Ints] = []
  for c in np.argsort(counts.records, kind='stable').tolist():
    if n_slots <= 0:
      break
    first = first_number(counts, c)
    places = reader.rows(np.arange(first, first + min(counts.records[c], n_slots)))
    found.append(places[places >= 0])
    n_slots -= len(found[-1])
  return np.concatenate([np.empty(0, np.int64), *found])


def _resource(value: tf.Tensor) -> tf.Tensor:
  """Returns a variable's resource, which is freed with the last tensor that refers to it."""
  handle = tf.raw_ops.VarHandleOp(dtype=value.dtype, shape=value.shape, shared_name=_ANONYMOUS)
  tf.raw_ops.AssignVariableOp(resource=handle, value=value)
  return handle


def _gathered(resource: tf.Tensor, rows: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  return tf.raw_ops.ResourceGather(resource=resource, indices=rows, dtype=dtype)
