"""Records to the strata that they belong to: parsed in C++, a batch at a time.

TensorFlow's parser skips the features that are not asked for: 0.35 microseconds a record of 20
floats here, where tfx_bsl's decoder with a schema of one feature takes 1.1 (ran).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import Kind
from tfx_balance.scan.fixed_layout import FixedLayout, ValueKind
from tfx_balance.scan.ragged_layout import ragged_values
from tfx_balance.scan.stratum_columns import StratumColumns, as_list, values_array
from tfx_balance.tfrecord.frames import FOOTER, HEADER, Frames
from tfx_balance.tfrecord.reading import BadRecords

Payload = Literal['FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE']
"""What a record is, by the names that TFX gives."""
_DTYPES: dict[ValueKind, tf.DType] = {'int': tf.int64, 'float': tf.float32, 'bytes': tf.string}
# TensorFlow's message quotes the record, which Python cannot always decode.
_PARSER_FAULTS = (tf.errors.InvalidArgumentError, UnicodeDecodeError)
_KINDS: dict[str, ValueKind] = {'int64_list': 'int', 'float_list': 'float', 'bytes_list': 'bytes'}

Value = int | float | bytes | None
MissingLabel = Literal['error', 'own_stratum', 'drop']
"""Treatment of records without a class; for 'error' the planner raises, with their number."""
BATCH_RECORDS = 4096
DROPPED = 0xFFFFFFFF
"""The code of a record that is left out."""
BAD = 0xFFFFFFFE
"""The code of a record that cannot be used; such codes, and DROPPED, are no strata."""
_SNIFFED_RECORDS = 64
_CLASS_BITS = 32  # of a pair; what the features before make is above
_CLASS = (1 << _CLASS_BITS) - 1


class ClassColumn:
  """The classes of one feature; null is a missing one."""

  def __init__(self, name: str, payload: Payload, path: str) -> None:
    self.name = name
    self._payload = payload
    self._path = path
    self.kind: ValueKind | None = None  # not known before a record has a value
    self.parts: Sequence[ClassColumn] = [self]  # of which each is of a feature of its own
    self._walks = True

  @property
  def kinds(self) -> dict[str, str]:
    """The type of the values, with the file; empty before a record has a value."""
    return {self.kind: self._path} if self.kind else {}

  @property
  def stratum_kind(self) -> Kind:
    """The type of the classes that `stratum_values` returns."""
    return self.kind or 'missing'

  def stratum_values(self, values: Sequence[Value]) -> Sequence[Value] | pa.Array:
    """Returns distinct classes, as `classes` has them, as `StratumColumns` takes them."""
    return values

  def classes(self, serialized: tf.Tensor, position: int) -> pa.Array:
    """Returns the class of each record: int64, float32 or binary [n]."""
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

  def classes_by_place(self, frames: Frames, position: int) -> pa.Array | None:
    """Returns the same for records that lie alike or are large, or None if the parser must tell.

    Args:
      frames: Frames of the records.
      position: Position of the first one in the file.
    """
    values = self.values_by_place(frames)
    return None if values is None else self._as_classes(values, position)

  def values_by_place(self, frames: Frames) -> npt.NDArray[Any] | None:
    """Returns the values of records that lie alike or are large, one value each.

    None if the parser must tell, as it must where they are of another type than those before.
    """
    found = self._typed_by_place(frames)
    if found is None or self.kind not in (None, found[0]):
      return None
    self.kind = found[0]
    return found[1]

  def _typed_by_place(self, frames: Frames) -> tuple[ValueKind, npt.NDArray[Any]] | None:
    if not len(frames) or self._payload != 'FORMAT_TF_EXAMPLE':
      return None
    table = frames.table()
    if table is not None:
      layout = FixedLayout.of(table[0].tobytes(), self.name)
      values = None if layout is None else layout.values(table)
      return None if layout is None or values is None else (layout.kind, values)
    if not frames.are_large or not self._walks:
      return None
    starts, ends = frames.offsets[:-1] + HEADER, frames.offsets[1:] - FOOTER
    found = ragged_values(np.frombuffer(frames.data, np.uint8), starts, ends, self.name)
    self._walks = found is not None  # what is left to the parser once is not tried again
    return found

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
      f'a class is one value a record: name a feature with one, turn a one-hot vector into its '
      f'index (argmax) before this component, or pass multilabel=True to StratifiedSplitter or '
      f'BalancedInputGen where the values are labels'
    )

  def _check_integral(self, values: npt.NDArray[np.float32], position: int) -> None:
    wrong = np.flatnonzero(~np.isfinite(values) | (values != np.rint(values)))
    if len(wrong):
      value = values[wrong[0]]
      fix = 'bin it' if np.isfinite(value) else 'write no value where it is missing'
      raise DataError(
        f'feature {self.name!r} has the value {value} in {self._path}, past record {position}; '
        f'a float is a class when it is integral: {fix}, or name another feature'
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


class Numbering:
  """Numbers values from 0 as they are met: the same numbers however batches are cut.

  >>> met = Numbering()
  >>> met.numbers(pa.array([7, None, 7])).tolist(), met.numbers(pa.array([3, None])).tolist()
  ([0, 1, 0], [2, 1])
  >>> met.values
  [7, None, 3]
  """

  def __init__(self) -> None:
    # A dict, for pyarrow's index_in would hash all that is known again with every batch.
    self._known: dict[Value, int] = {}

  def __len__(self) -> int:
    return len(self._known)

  @property
  def values(self) -> list[Value]:
    """The values by their numbers."""
    return list(self._known)

  def numbers(self, column: pa.Array) -> npt.NDArray[np.int64]:
    """Returns the number of each value, int64 [n]; null is a value like another."""
    encoded = column.dictionary_encode(null_encoding='encode')
    known = self._known
    numbers = [known.setdefault(value, len(known)) for value in as_list(encoded.dictionary)]
    return np.array(numbers, np.int64)[encoded.indices.to_numpy()]


class StratumDecoder:
  """Turns the records of one file into codes of strata, numbered as they first appear.

  Attributes:
    feature_names: Features of the first records, for messages.
    first_missing: Position of the first record without a class, by feature.
    columns: Columns that classes are read from.
  """

  def __init__(
    self,
    features: Sequence[str],
    payload: Payload,
    missing: MissingLabel,
    path: str,
    bad: BadRecords | None = None,
    optional: Collection[str] = (),
    columns: Sequence[ClassColumn] | None = None,
  ) -> None:
    """Makes a decoder.

    Args:
      features: Features that strata are made of.
      payload: Type of the records.
      missing: Treatment of records without a class.
      path: Path of the file, for messages.
      bad: Records that cannot be used; None where they are an error.
      optional: Features without which a record is not dropped, whatever `missing` is.
      columns: Columns that classes are read from; None for one of each feature.
    """
    self.feature_names: list[str] = []
    self.first_missing: dict[str, int] = {}
    self.columns = columns or [ClassColumn(name, payload, path) for name in features]
    self._payload = payload
    # The features without which a record is dropped.
    self._needed = [missing == 'drop' and column.name not in optional for column in self.columns]
    self._path = path
    self._bad = bad or BadRecords(path)
    self._position = 0
    self._sniffed = False
    self._met = [Numbering() for _ in self.columns]  # the classes of each feature
    # (stratum by the features so far, class of the next one), as one number each.
    self._pairs = [Numbering() for _ in self.columns[1:]]

  def decode(self, frames: Frames) -> npt.NDArray[np.uint32]:
    """Returns the code of each record's stratum, or DROPPED, or BAD: uint32 [n].

    Args:
      frames: Frames of the next records of the file.

    Raises:
      DataError: if a record has several labels, or one that is no class, or if the records are
        no examples, and such are not skipped; names the file, the feature and the record.
    """
    if not self._sniffed:
      self._sniff(frames.take(np.arange(min(len(frames), _SNIFFED_RECORDS))).payloads())
    columns = list(self._classes_by_place(frames))
    if len(columns) == len(self.columns):
      return self._codes(columns)
    return self.parse(frames.payloads())

  def parse(self, records: list[bytes]) -> npt.NDArray[np.uint32]:
    """Returns the same of records that TensorFlow parses, whatever they are."""
    if not self._sniffed:
      self._sniff(records[:_SNIFFED_RECORDS])
    batches = range(0, len(records), BATCH_RECORDS)
    codes = [self._decode_batch(records[i : i + BATCH_RECORDS]) for i in batches]
    return np.concatenate(codes) if codes else np.empty(0, np.uint32)

  def decode_around(self, frames: Frames, bad: Sequence[int]) -> npt.NDArray[np.uint32]:
    """Returns the same where it is known that some records are bad, which are not looked at."""
    codes = np.full(len(frames), BAD, np.uint32)
    start = 0
    for end in [*bad, len(frames)]:
      if start < end:
        codes[start:end] = self.decode(frames.take(np.arange(start, end)))
      self._position += end < len(frames)
      start = end + 1
    return codes

  @property
  def strata(self) -> StratumColumns:
    """The strata met so far; a record's code is the position of its stratum here."""
    joint = np.arange(self.n_strata)
    found = []
    values = [
      values_array(column.stratum_kind, column.stratum_values(met.values))
      for column, met in zip(self.columns, self._met, strict=True)
    ]
    for of_column, pairs in zip(values[:0:-1], self._pairs[::-1], strict=True):
      pair = np.array(pairs.values, np.int64)[joint]
      found.append(of_column.take(pa.array(pair & _CLASS)))
      joint = pair >> _CLASS_BITS
    found.append(values[0].take(pa.array(joint)))
    kinds = tuple(column.stratum_kind for column in self.columns)
    return StratumColumns.of(kinds, found[::-1])

  @property
  def n_strata(self) -> int:
    """How many they are."""
    return len([*self._met[:1], *self._pairs][-1])

  def _sniff(self, records: Sequence[bytes]) -> None:
    """Learns the features' names and types from the first records; most have them all."""
    self._sniffed = True
    names: set[str] = set()
    parts = [part for column in self.columns for part in column.parts]
    kinds: dict[str, Counter[ValueKind]] = {part.name: Counter() for part in parts}
    for record in records:
      try:
        found = feature_kinds([record], self._payload, self._path)
      except DataError:
        if not self._bad.skips:
          raise
        continue
      names.update(found)
      for part in parts:
        if kind := found.get(part.name):
          kinds[part.name][kind] += 1
    self.feature_names = sorted(names)
    for part in parts:  # most, for a bad one may come first
      part.kind = next((kind for kind, _ in kinds[part.name].most_common(1)), None)

  def _classes_by_place(self, frames: Frames) -> Iterator[pa.Array]:
    """Yields the classes of each column until the parser must tell, or what to skip."""
    for column in self.columns:
      try:
        classes = column.classes_by_place(frames, self._position)
      except DataError:
        if not self._bad.skips:
          raise
        return
      if classes is None:
        return
      yield classes

  def _decode_batch(self, records: list[bytes]) -> npt.NDArray[np.uint32]:
    try:
      with tf.device('CPU'):
        serialized = tf.constant(records)
        columns = [column.classes(serialized, self._position) for column in self.columns]
    except DataError as fault:
      if not self._bad.skips:
        raise
      return self._decode_halves(records, fault)
    for column, classes in zip(self.columns, columns, strict=True):
      if classes.null_count and column.name not in self.first_missing:
        self.first_missing[column.name] = self._position + classes.is_null().index(True).as_py()
    return self._codes(columns)

  def _decode_halves(self, records: list[bytes], fault: DataError) -> npt.NDArray[np.uint32]:
    """Returns the same where a record is bad: halved until it is alone."""
    if len(records) == 1:
      self._bad.add(self._position, fault)
      self._position += 1
      return np.array([BAD], np.uint32)
    half = len(records) // 2
    return np.append(self._decode_batch(records[:half]), self._decode_batch(records[half:]))

  def _codes(self, columns: list[pa.Array]) -> npt.NDArray[np.uint32]:
    """Returns the code of each record's stratum, given its class in each feature."""
    n_records = len(columns[0])
    self._position += n_records
    needed = [x for x, is_needed in zip(columns, self._needed, strict=True) if is_needed]
    if not any(classes.null_count for classes in needed):
      return self._numbered(columns).astype(np.uint32)
    kept = np.logical_and.reduce([classes.is_valid().to_numpy(False) for classes in needed])
    codes = np.full(n_records, DROPPED, np.uint32)
    codes[kept] = self._numbered([classes.filter(pa.array(kept)) for classes in columns])
    return codes

  def _numbered(self, columns: list[pa.Array]) -> npt.NDArray[np.int64]:
    """Returns the number of each stratum, in the order in which strata first appear.

    One feature after another: so the numbers stay below that of the records, where a product of
    the numbers of classes would outgrow 64 bits.
    """
    numbers, *others = (met.numbers(x) for met, x in zip(self._met, columns, strict=True))
    for pairs, other in zip(self._pairs, others, strict=True):
      numbers = pairs.numbers(pa.array(numbers << _CLASS_BITS | other))
    return numbers
