"""Strata of records: the classes of their features, numbered as they first appear in a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import Kind
from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.fixed_layout import ValueKind
from tfx_balance.scan.record_reader import (
  BATCH_RECORDS,
  SNIFFED_RECORDS,
  FeatureValues,
  Payload,
  RecordReader,
  ValuesByFeature,
)
from tfx_balance.scan.stratum_counts import StratumColumns, as_list, values_array
from tfx_balance.tfrecord.frames import Frames
from tfx_balance.tfrecord.reading import BadRecords

Value = int | float | bytes | None
Codes = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Fill:
  """Value that stands for none in a record: a number, or a text, for features of such values.

  TFX's `dict_to_example`, by which Parquet is read, writes 0, 0.0, False and '' as features without
  a value (https://github.com/tensorflow/tfx/issues/6389).

  Attributes:
    fill: 0, which is an int64 where no value before shows the type, 0.0, a float32, or ''.
  """

  fill: int | float | str


OWN_STRATUM: Final = 'own_stratum'
"""Treatment of records without a class that makes a stratum of them, as sidecars have it; arguments
also take the word 'own' for it, as `missing_group` does."""
MissingLabel = Literal['error', 'own_stratum', 'drop'] | Fill
"""Treatment of records without a class; for 'error' the planner raises, with their number."""
DROPPED = 0xFFFFFFFF
"""The code of a record that is left out."""
BAD = 0xFFFFFFFE
"""The code of a record that cannot be used; such codes, and DROPPED, are no strata."""
_CLASS_BITS = 32  # of a pair; what the features before make is above
_CLASS = (1 << _CLASS_BITS) - 1


class FeatureReader:
  """Reads the classes of one feature; null is a missing one.

  Attributes:
    features: Names of the features that are read.
    kind: Type of the values; None before a record has one.
  """

  def __init__(self, name: str, path: str) -> None:
    self.name, self.path = name, path
    self.features: Sequence[str] = (name,)
    self.kind: ValueKind | None = None

  @property
  def stratum_kind(self) -> Kind:
    """The type of the classes that `stratum_values` returns."""
    return self.kind or 'missing'

  def stratum_values(self, values: Sequence[Value]) -> Sequence[Value] | pa.Array:
    """Converts distinct classes from the form of `classes` to that of `StratumColumns`."""
    return values

  def classes(self, columns: ValuesByFeature, position: int) -> pa.Array:
    """Returns the class of each record: int64, float32 or binary [n].

    Args:
      columns: Values of the records.
      position: Position of the first record in the file.

    Raises:
      DataError: if a record has several values, or one that is no class.
    """
    column = columns[self.name]
    if column.lengths.max(initial=0) > 1:
      at = int(np.argmax(column.lengths > 1))
      raise DataError(
        f'feature {self.name!r} has {column.lengths[at]} values in record {position + at} of '
        f'{self.path}; a class is one value a record: name a feature with one, turn a one-hot '
        f'vector into its index (argmax) before this component, or pass multilabel=True to '
        f'StratifiedSplitter or BalancedInputGen where the values are labels'
      )
    if not len(column.values):
      return pa.nulls(len(column.lengths), pa.int64())
    classes = self._as_classes(column, position)
    if column.are_single:
      return classes
    return classes.take(pa.array(column.row_splits[:-1], mask=column.lengths == 0))

  def _as_classes(self, column: FeatureValues, position: int) -> pa.Array:
    """Returns the values as classes, after checking that they can be such: [m]."""
    self.kind, values = column.kind or self.kind, column.values
    if self.kind == 'float':
      for value in values[~np.isfinite(values) | (values != np.rint(values))]:
        fix = 'bin it' if np.isfinite(value) else 'write no value where it is missing'
        raise DataError(
          f'feature {self.name!r} has the value {value} in {self.path}, past record {position}; '
          f'a float is a class when it is integral: {fix}, or name another feature'
        )
      values = values + np.float32(0)  # -0.0 is 0.0
    return pa.array(values, pa.binary() if self.kind == 'bytes' else None)


class Numbering:
  """Numbers values from 0 as they are met: the same numbers wherever batches end.

  >>> met = Numbering()
  >>> met.numbers(pa.array([7, None, 7])).tolist(), met.numbers(pa.array([3, None])).tolist()
  ([0, 1, 0], [2, 1])
  >>> met.values
  [7, None, 3]
  """

  def __init__(self) -> None:
    # A dict, for pyarrow's index_in would hash all values before again with every batch.
    self._numbers: dict[Value, int] = {}

  def __len__(self) -> int:
    return len(self._numbers)

  @property
  def values(self) -> list[Value]:
    """The values by their numbers."""
    return list(self._numbers)

  def numbers(self, column: pa.Array) -> Ints:
    """Returns the number of each value, int64 [n]; null is a value like another."""
    encoded = column.dictionary_encode(null_encoding='encode')
    seen = self._numbers
    numbers = [seen.setdefault(value, len(seen)) for value in as_list(encoded.dictionary)]
    return np.array(numbers, np.int64)[encoded.indices.to_numpy()]


class StratumDecoder:
  """Turns the records of one file into codes of strata, numbered as they first appear.

  Attributes:
    reader: Reader of the records.
    first_missing: Position of the first record without a class, by feature.
  """

  def __init__(
    self,
    features: Sequence[str],
    payload: Payload,
    missing: MissingLabel,
    path: str,
    bad: BadRecords | None = None,
    optional: Collection[str] = (),
    columns: Sequence[FeatureReader] | None = None,
    others: Collection[str] = (),
  ) -> None:
    """Makes a decoder.

    Args:
      features: Features that strata are made of.
      payload: Type of the records.
      missing: Treatment of records without a class.
      path: Path of the file, for messages.
      bad: Records that cannot be used; None where they are an error.
      optional: Features without which a record is not dropped, whatever `missing` is.
      columns: Columns that classes are made of; None for one of each feature.
      others: Other features to read.
    """
    self.first_missing: dict[str, int] = {}
    self._columns = columns or [FeatureReader(name, path) for name in features]
    read = [name for column in self._columns for name in column.features]
    fill = missing.fill if isinstance(missing, Fill) else None
    self.reader = RecordReader([*read, *others], payload, path, fill)
    self._others = set(others).difference(read)
    # The features without which a record is dropped.
    self._needed = [missing == 'drop' and column.name not in optional for column in self._columns]
    self._bad = bad or BadRecords(path)
    self._position = 0
    self._sniffed = False
    self._met = [Numbering() for _ in self._columns]  # the classes of each feature
    # (stratum by the features so far, class of the next one), as one number each.
    self._pairs = [Numbering() for _ in self._columns[1:]]

  def decode(self, frames: Frames, bad: Sequence[int] = ()) -> tuple[Codes, ValuesByFeature]:
    """Returns the code of each record's stratum, or DROPPED, or BAD: uint32 [n]; and its values.

    Args:
      frames: Frames of the next records of the file.
      bad: Positions among them of records that are known to be bad, which are not looked at.

    Returns:
      codes: uint32 [n].
      columns: Values of the features, none in bad records.

    Raises:
      DataError: if a record has several labels, or one that is no class, or if the records are
        no examples, and such are not skipped; names the file, the feature and the record.
    """
    parts: list[tuple[Codes, ValuesByFeature]] = []
    start = 0
    for end in [*bad, len(frames)]:
      if start < end:
        parts += self._decode_run(frames.take(np.arange(start, end)) if bad else frames)
      if end < len(frames):
        parts.append(self._without())
      start = end + 1
    return self._joined(parts)

  @property
  def strata(self) -> StratumColumns:
    """The strata met so far; a record's code is the position of its stratum here."""
    joint = np.arange(self.n_strata)
    found = []
    values = [
      values_array(column.stratum_kind, column.stratum_values(met.values))
      for column, met in zip(self._columns, self._met, strict=True)
    ]
    for of_column, pairs in zip(values[:0:-1], self._pairs[::-1], strict=True):
      pair = np.array(pairs.values, np.int64)[joint]
      found.append(of_column.take(pa.array(pair & _CLASS)))
      joint = pair >> _CLASS_BITS
    found.append(values[0].take(pa.array(joint)))
    kinds = tuple(column.stratum_kind for column in self._columns)
    return StratumColumns.of(kinds, found[::-1])

  @property
  def n_strata(self) -> int:
    """The number of strata met so far."""
    return len([*self._met[:1], *self._pairs][-1])

  def _decode_run(self, frames: Frames) -> list[tuple[Codes, ValuesByFeature]]:
    """Returns the codes and values of records, part by part."""
    if not self._sniffed:
      self._sniffed = True
      first = frames.take(np.arange(min(len(frames), SNIFFED_RECORDS)))
      self.reader.sniff(first.payloads(), self._bad.skips)
    columns = self.reader.in_place(frames)
    if columns is not None:
      try:
        return [(self._codes(columns), columns)]
      except DataError:
        if not self._bad.skips:
          raise
    records = frames.payloads()
    parts: list[tuple[Codes, ValuesByFeature]] = []
    for i in range(0, len(records), BATCH_RECORDS):
      parts += self._parse_batch(records[i : i + BATCH_RECORDS])
    return parts

  def _parse_batch(self, records: list[bytes]) -> list[tuple[Codes, ValuesByFeature]]:
    """Returns codes and values of a batch, halving it until a bad record is alone."""
    try:
      columns = self.reader.parse(records)
      return [(self._codes(columns), columns)]
    except DataError as fault:
      if not self._bad.skips or self.reader.unreadable in self._others:
        raise
      if len(records) == 1:
        self._bad.add(self._position, fault)
        return [self._without()]
    half = len(records) // 2
    return self._parse_batch(records[:half]) + self._parse_batch(records[half:])

  def _without(self) -> tuple[Codes, ValuesByFeature]:
    """Returns the code of a bad record, which has no values."""
    self._position += 1
    return np.array([BAD], np.uint32), dict.fromkeys(self.reader.kinds, FeatureValues.none(1))

  def _joined(
    self, parts: Sequence[tuple[Codes, ValuesByFeature]]
  ) -> tuple[Codes, ValuesByFeature]:
    if not parts:
      return np.empty(0, np.uint32), dict.fromkeys(self.reader.kinds, FeatureValues.none(0))
    codes, columns = zip(*parts, strict=True)
    return np.concatenate(codes), {
      name: FeatureValues.concatenate([part[name] for part in columns])
      for name in self.reader.kinds
    }

  def _codes(self, columns: ValuesByFeature) -> Codes:
    """Returns the code of each record's stratum, given its values."""
    classes = [column.classes(columns, self._position) for column in self._columns]
    n_records = len(classes[0])
    kept = np.ones(n_records, bool)
    for column, of_column, needed in zip(self._columns, classes, self._needed, strict=True):
      if not of_column.null_count:
        continue
      missing = of_column.is_null().to_numpy(False)
      self.first_missing.setdefault(column.name, self._position + int(missing.argmax()))
      if needed:
        kept &= ~missing
    self._position += n_records
    if kept.all():
      return self._numbered(classes).astype(np.uint32)
    codes = np.full(n_records, DROPPED, np.uint32)
    codes[kept] = self._numbered([of_column.filter(pa.array(kept)) for of_column in classes])
    return codes

  def _numbered(self, classes: list[pa.Array]) -> Ints:
    """Returns the number of each stratum, in the order in which strata first appear.

    One feature after another: so the numbers stay below that of the records, where a product of
    the numbers of classes would outgrow 64 bits.
    """
    numbers, *others = (met.numbers(x) for met, x in zip(self._met, classes, strict=True))
    for pairs, other in zip(self._pairs, others, strict=True):
      numbers = pairs.numbers(pa.array(numbers << _CLASS_BITS | other))
    return numbers
