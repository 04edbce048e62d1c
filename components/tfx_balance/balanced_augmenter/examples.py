"""Whole examples as columns and back: decoded and encoded in C++, a batch at a time.

A column is encoded alone and the pieces of a record are joined in the order of the features' names:
a message may be written in pieces, and so its bytes are the same at every run, which those of
tfx_bsl's encoder are not when it is given several columns (ran).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder

from tfx_balance.errors import DataError
from tfx_balance.scan.fixed_layout import ValueKind

_SCHEMA_TYPES = {'int': schema_pb2.INT, 'float': schema_pb2.FLOAT, 'bytes': schema_pb2.BYTES}
_ARROW_TYPES = {'int': pa.int64(), 'float': pa.float32(), 'bytes': pa.large_binary()}
_NUMBERS: dict[pa.DataType, ValueKind] = {pa.int64(): 'int', pa.float32(): 'float'}


@dataclass(frozen=True)
class FeatureShape:
  """Type and number of a feature's values, over all records.

  Attributes:
    kind: Type of the values.
    fewest: Least number of values in a record.
    most: Largest number of values in a record.
  """

  kind: ValueKind
  fewest: int
  most: int

  @property
  def is_fixed(self) -> bool:
    """Whether every record has the same number of values, one or more."""
    return self.fewest == self.most > 0


FeatureShapes = Mapping[str, FeatureShape]
"""The features of the records, by name."""


def feature_shapes(records: Sequence[bytes], path: str) -> dict[str, FeatureShape]:
  """Returns the features of some tf.Examples; those without any value are left out."""
  shapes = {}
  for name, column in decode(records, {}, path).items():
    value_type = getattr(column.type, 'value_type', pa.null())
    if value_type != pa.null():
      lengths, kind = np.diff(column.offsets), _NUMBERS.get(value_type, 'bytes')
      shapes[name] = FeatureShape(kind, int(lengths.min()), int(lengths.max()))
  return shapes


def merge_shapes(several: Iterable[tuple[FeatureShapes, int]]) -> tuple[FeatureShapes, int]:
  """Returns the common shapes of the features of several files, and the records of all.

  A feature that one lacks may have no value.

  Args:
    several: Shapes of the features of each file, and its records.

  Raises:
    DataError: if a feature has values of different types.
  """
  merged: dict[str, FeatureShape] = {}
  seen = [(shapes, n) for shapes, n in several if n]
  for shapes, _ in seen:
    for name, shape in shapes.items():
      earlier = merged.get(name, shape)
      if earlier.kind != shape.kind:
        raise DataError(
          f'feature {name!r} has values of different types ({earlier.kind} and {shape.kind}); give '
          f'it one'
        )
      fewest, most = min(earlier.fewest, shape.fewest), max(earlier.most, shape.most)
      merged[name] = FeatureShape(shape.kind, fewest, most)
  for name, shape in merged.items():
    if any(name not in shapes for shapes, _ in seen):
      merged[name] = dataclasses.replace(shape, fewest=0)
  return merged, sum(n for _, n in seen)


def as_lists(
  values: npt.NDArray[Any], offsets: npt.NDArray[np.int64], kind: ValueKind
) -> pa.LargeListArray:
  """Returns a feature of some records as lists, one a record.

  Args:
    values: Values of all the records in order: [m], of int64, float32, or bytes as objects.
    offsets: Bounds of each record's values: int64 [n + 1].
    kind: Type of the values.
  """
  return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values, _ARROW_TYPES[kind]))


def encode(columns: Mapping[str, pa.Array]) -> list[bytes]:
  """Returns tf.Examples with these features, lists; the same ones give the same bytes."""
  encoder = example_coder.RecordBatchToExamplesEncoder()
  pieces = []
  for name, lists in sorted(columns.items()):
    piece = encoder.encode(pa.RecordBatch.from_arrays([lists], [name]))
    for i in np.flatnonzero(np.diff(lists.offsets) == 0).tolist():
      piece[i] = b''  # a feature without a value is left out, and not there and empty
    pieces.append(piece)
  return [b''.join(record) for record in zip(*pieces, strict=True)]


def decode(records: Sequence[bytes], shapes: FeatureShapes, path: str) -> dict[str, pa.Array]:
  """Returns the features of some tf.Examples as lists, one a record; all features for no shapes."""
  schema = schema_pb2.Schema()
  for name, shape in shapes.items():
    schema.feature.add(name=name, type=_SCHEMA_TYPES[shape.kind])
  serialized = schema.SerializeToString() if shapes else None
  try:
    batch = example_coder.ExamplesToRecordBatchDecoder(serialized).DecodeBatch(list(records))
  except RuntimeError as error:
    raise DataError(
      f'{path} holds records that cannot be decoded as tf.Example ({error}); give each feature one '
      f'type in all records'
    ) from error
  return {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
