"""One column, or a few, out of serialized examples: decoded in C++, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder, sequence_example_coder

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING, ClassValue, Stratum

Payload = Literal['FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE']
"""What a record is, by the names that TFX gives."""
MissingLabel = Literal['error', 'own_stratum', 'drop']
"""What becomes of records without a label; 'error' is raised by who plans, with their number."""

BATCH_RECORDS = 4096
DROPPED = 0xFFFFFFFF
"""The code of a record that is left out."""

_SNIFFED_RECORDS = 64
_SEQUENCE_COLUMN = '##SEQUENCE##'  # the decoder wants a name for what is not decoded
_SCHEMA_TYPE = {
  'int': schema_pb2.INT,
  'float': schema_pb2.FLOAT,
  'bytes': schema_pb2.BYTES,
}


class StratumDecoder:
  """Turns the records of one file into codes of strata, which it numbers as it meets them.

  Attributes:
    strata: the strata met so far; a record's code is the position of its stratum here.
    feature_names: the features that the first records have, for messages.
    first_missing: position of the first record without a class in each feature that has such.
  """

  def __init__(
    self, features: Sequence[str], payload: Payload, missing: MissingLabel, path: str
  ) -> None:
    self.strata: list[Stratum] = []
    self.feature_names: list[str] = []
    self.first_missing: dict[str, int] = {}
    self._columns = [_ClassColumn(name, path) for name in features]
    self._drops = missing == 'drop'
    self._payload = payload
    self._path = path
    self._position = 0
    self._codes: dict[tuple[int, ...], int] = {}
    self._decoder: Any = None
    self._unknown = set(features)

  def decode(self, records: list[bytes]) -> npt.NDArray[np.uint32]:
    """Returns the code of each record's stratum, or DROPPED: uint32 [n].

    Raises:
      DataError: if a record has several labels, or one that is no class, or if the records are
        no examples; names the file, the feature and the record.
    """
    batches = range(0, len(records), BATCH_RECORDS)
    codes = [self._decode_batch(records[i : i + BATCH_RECORDS]) for i in batches]
    return np.concatenate(codes) if codes else np.empty(0, np.uint32)

  def _decode_batch(self, records: list[bytes]) -> npt.NDArray[np.uint32]:
    if self._unknown:
      self._find_types(records)
    table = self._table(records)
    columns = [
      column.codes(table.get(column.name), len(records), self._position) for column in self._columns
    ]
    for column, codes in zip(self._columns, columns, strict=True):
      if column.name not in self.first_missing and codes.min(initial=0) < 0:
        self.first_missing[column.name] = self._position + int(np.argmin(codes))
    self._position += len(records)
    return self._joint(columns)

  def _joint(self, columns: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.uint32]:
    """Returns one code for the classes that a record has in the columns; -1 means dropped."""
    joint = columns[0]
    for column in columns[1:]:
      joint = (joint + 1) * (int(column.max(initial=0)) + 2) + column + 1
    _, first, which = np.unique(joint, return_index=True, return_inverse=True)
    rows = zip(*(column[first].tolist() for column in columns), strict=True)
    return np.array([self._code(row) for row in rows], np.uint32)[which]

  def _code(self, row: tuple[int, ...]) -> int:
    if row not in self._codes:
      if self._drops and -1 in row:
        self._codes[row] = DROPPED
      else:
        self._codes[row] = len(self.strata)
        self.strata.append(
          tuple(column.value(i) for column, i in zip(self._columns, row, strict=True))
        )
    return self._codes[row]

  def _table(self, records: list[bytes]) -> dict[str, pa.Array]:
    """Returns the columns whose types are known."""
    if self._decoder is None:
      return {}
    return self._decoded(self._decoder, records)

  def _decoded(self, decoder: Any, records: list[bytes]) -> dict[str, pa.Array]:
    """Returns the decoded columns by name; a decoder that raised must not be used again."""
    try:
      batch = decoder(records)
    except RuntimeError as error:
      raise DataError(
        f'{self._path} holds records that cannot be decoded as {self._payload} ({error}); give each '
        f'feature one type in all records, and the artifact the payload format of its records'
      ) from error
    names = batch.schema.names
    return {name: batch.column(i) for i, name in enumerate(names) if name != _SEQUENCE_COLUMN}

  def _find_types(self, records: list[bytes]) -> None:
    """Learns the types of features that no record had so far."""
    sample = records if self.feature_names else records[:_SNIFFED_RECORDS]
    columns = self._decoded(_decoder(self._payload, None), sample)
    first = not self.feature_names
    self.feature_names = self.feature_names or sorted(columns)
    for column in self._columns:
      if column.name in self._unknown and column.name in columns:
        column.learn(columns[column.name].type)
        if column.kind is not None:
          self._unknown.discard(column.name)
    known = {c.name: c.kind for c in self._columns if c.kind is not None}
    if known:
      self._decoder = _decoder(self._payload, known)
    if self._unknown and first and len(records) > _SNIFFED_RECORDS:
      self._find_types(records)


class _ClassColumn:
  """The classes of one feature, numbered as they are met; -1 is a missing one."""

  def __init__(self, name: str, path: str) -> None:
    self.name = name
    self.kind: Any = None
    self._path = path
    self._known: pa.Array | None = None

  def learn(self, column_type: pa.DataType) -> None:
    """Takes the type of the values from a decoded column's; a column of nulls tells nothing."""
    if pa.types.is_null(column_type):
      return
    values = column_type.value_type
    if pa.types.is_null(values):
      return
    if pa.types.is_integer(values):
      self.kind = 'int'
    elif pa.types.is_floating(values):
      self.kind = 'float'
    else:
      self.kind = 'bytes'

  def value(self, code: int) -> ClassValue:
    """Returns the class that a code stands for."""
    if code < 0 or self._known is None:
      return MISSING
    return ClassValue(self.kind, self._known[code].as_py())

  def codes(self, column: pa.Array | None, n: int, position: int) -> npt.NDArray[np.int64]:
    """Returns the code of each record: int64 [n]."""
    if column is None or pa.types.is_null(column.type):
      return np.full(n, -1, np.int64)
    values = column.flatten()
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    self._check_single(lengths, position)
    codes = np.full(n, -1, np.int64)
    codes[lengths == 1] = self._known_codes(values, position)
    return codes

  def _known_codes(self, values: pa.Array, position: int) -> npt.NDArray[np.int64]:
    if self.kind == 'float':
      self._check_integral(values.to_numpy(), position)
    if self._known is None:
      self._known = values.slice(0, 0)
    found = pc.index_in(values, value_set=self._known)
    if found.null_count:
      new = pc.unique(values.filter(pc.is_null(found)))
      self._known = pa.concat_arrays([self._known, new])
      found = pc.index_in(values, value_set=self._known)
    return found.to_numpy().astype(np.int64)

  def _check_single(self, lengths: npt.NDArray[np.int64], position: int) -> None:
    several = np.flatnonzero(lengths > 1)
    if len(several):
      n = int(lengths[several[0]])
      raise DataError(
        f'feature {self.name!r} has {n} values in record {position + int(several[0])} of '
        f'{self._path}; a class is one value a record: name a feature with one, or turn a one-hot '
        f'vector into its index (argmax) before this component'
      )

  def _check_integral(self, values: npt.NDArray[np.float32], position: int) -> None:
    wrong = np.flatnonzero(values != np.rint(values))
    if len(wrong) or not np.isfinite(values).all():
      at = int(wrong[0]) if len(wrong) else int(np.argmin(np.isfinite(values)))
      raise DataError(
        f'feature {self.name!r} has the value {values[at]} near record {position + at} of '
        f'{self._path}; a float is a class when it is integral: bin it, or name another feature'
      )


def _decoder(payload: Payload, kinds: dict[str, str] | None) -> Any:
  """Returns the C++ decoder of these features, or of all where none are given."""
  schema = schema_pb2.Schema()
  for name, kind in (kinds or {}).items():
    schema.feature.add(name=name, type=_SCHEMA_TYPE[kind])
  serialized = schema.SerializeToString()
  if payload == 'FORMAT_TF_SEQUENCE_EXAMPLE':
    coder = sequence_example_coder.SequenceExamplesToRecordBatchDecoder(
      _SEQUENCE_COLUMN, serialized
    )
  else:
    coder = example_coder.ExamplesToRecordBatchDecoder(serialized or None)
  return coder.DecodeBatch
