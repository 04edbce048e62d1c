"""The classes of one feature out of serialized examples: parsed in C++, a batch at a time.

TensorFlow's parser skips the features that are not asked for: 0.35 microseconds a record of 20
floats here, where tfx_bsl's decoder with a schema of one feature takes 1.1 (ran).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from tfx_balance.errors import DataError
from tfx_balance.scan.fixed_layout import FixedLayout, ValueKind

Payload = Literal['FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE']
"""What a record is, by the names that TFX gives."""
_DTYPES: dict[ValueKind, tf.DType] = {'int': tf.int64, 'float': tf.float32, 'bytes': tf.string}
# TensorFlow's message quotes the record, which Python cannot always decode.
_PARSER_FAULTS = (tf.errors.InvalidArgumentError, UnicodeDecodeError)
_KINDS: dict[str, ValueKind] = {'int64_list': 'int', 'float_list': 'float', 'bytes_list': 'bytes'}


class ClassColumn:
  """The classes of one feature; null is a missing one."""

  def __init__(self, name: str, payload: Payload, path: str) -> None:
    self.name = name
    self._payload = payload
    self._path = path
    self.kind: ValueKind | None = None  # not known before a record has a value

  def classes(self, serialized: tf.Tensor, position: int) -> pa.Array:
    """Returns the class of each record: int64, float32 or binary [n].

    Args:
      serialized: string [n].
      position: of the first of them in the file.
    """
    values, row_splits = self.parse(serialized)
    lengths = np.diff(row_splits)
    if len(lengths) and lengths.max() > 1:
      self._refuse_several(lengths, position)
    if not len(values):
      return pa.nulls(len(lengths), pa.int64())
    classes = self._as_classes(values, position)
    if len(values) == len(lengths):
      return classes
    return classes.take(pa.array(row_splits[:-1], mask=lengths == 0))

  def classes_of_table(
    self, record: bytes, table: npt.NDArray[np.uint8], position: int
  ) -> pa.Array | None:
    """Returns the same for records of one length, or None if the parser must tell.

    Args:
      record: the first one.
      table: uint8 [n, bytes].
      position: of the first one in the file.
    """
    layout = FixedLayout.of(record, self.name)
    if layout is None or self.kind not in (None, layout.kind):
      return None
    values = layout.values(table)
    if values is None:
      return None
    self.kind = layout.kind
    return self._as_classes(values, position)

  def parse(self, serialized: tf.Tensor) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Returns the values of all the records, and where each record's begin and end."""
    kinds = [self.kind] if self.kind else list(_DTYPES)  # a type that is not known is tried
    fault: Exception | None = None
    for kind in kinds:
      try:
        values, row_splits = _parse_column(serialized, self.name, kind, self._payload)
      except _PARSER_FAULTS as error:
        fault = fault or error
        continue
      if len(values):
        self.kind = kind
      return values, row_splits
    raise DataError(
      f'{self._path} holds records that cannot be parsed as {self._payload} ({_short(fault)}); '
      f'give feature {self.name!r} one type in all records, and the artifact the payload format of '
      f'its records'
    ) from fault

  def _as_classes(self, values: npt.NDArray[Any], position: int) -> pa.Array:
    """Returns the values as classes, after checking that they can be such."""
    if self.kind == 'float':
      self._check_integral(values, position)
      values = values + np.float32(0)  # -0.0 is 0.0
    return pa.array(values, pa.binary() if self.kind == 'bytes' else None)

  def _refuse_several(self, lengths: npt.NDArray[np.int64], position: int) -> None:
    at = int(np.argmax(lengths > 1))
    raise DataError(
      f'feature {self.name!r} has {lengths[at]} values in record {position + at} of {self._path}; '
      f'a class is one value a record: name a feature with one, or turn a one-hot vector into its '
      f'index (argmax) before this component'
    )

  def _check_integral(self, values: npt.NDArray[np.float32], position: int) -> None:
    wrong = np.flatnonzero(~np.isfinite(values) | (values != np.rint(values)))
    if len(wrong):
      raise DataError(
        f'feature {self.name!r} has the value {values[wrong[0]]} in {self._path}, past record '
        f'{position}; a float is a class when it is integral: bin it, or name another feature'
      )


def _parse_column(
  serialized: tf.Tensor, name: str, kind: ValueKind, payload: Payload
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
  """Returns one feature of serialized records: values [m] and row splits [n + 1].

  Raises:
    InvalidArgumentError: if the records are of another payload, or the feature of another type.
  """
  if payload == 'FORMAT_TF_SEQUENCE_EXAMPLE':
    ragged = {name: tf.io.RaggedFeature(_DTYPES[kind])}
    column = tf.io.parse_sequence_example(serialized, context_features=ragged)[0][name]
    return column.values.numpy(), column.row_splits.numpy()
  parsed = tf.raw_ops.ParseExampleV2(  # as tf.io.parse_example does, without its Python
    serialized=serialized,
    names=[],
    sparse_keys=[],
    dense_keys=[],
    ragged_keys=[name],
    dense_defaults=[],
    num_sparse=0,
    sparse_types=[],
    ragged_value_types=[_DTYPES[kind]],
    ragged_split_types=[tf.int64],
    dense_shapes=[],
  )
  return parsed.ragged_values[0].numpy(), parsed.ragged_row_splits[0].numpy()


def feature_kinds(
  records: Sequence[bytes], payload: Payload, path: str
) -> dict[str, ValueKind | None]:
  """Returns the features of some records, and their types where a record has a value."""
  kinds: dict[str, ValueKind | None] = {}
  for record in records:
    try:
      if payload == 'FORMAT_TF_SEQUENCE_EXAMPLE':
        features = tf.train.SequenceExample.FromString(record).context.feature
      else:
        features = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # protobuf's DecodeError, whose home differs between its versions
      raise DataError(
        f'{path} holds records that are no {payload}; give the artifact the payload format of its '
        f'records'
      ) from error
    for name, feature in features.items():
      kinds[name] = kinds.get(name) or _KINDS.get(feature.WhichOneof('kind') or '')
  return kinds


def _short(error: Exception | None) -> str:
  """Returns TensorFlow's message without the name of the node."""
  text = str(error.message if isinstance(error, tf.errors.OpError) else error)
  return text.splitlines()[0].split(' [Op:')[0].rpartition('}} ')[2]
