"""Values of examples whose bytes all lie alike, such as those of a table of numbers.

Two examples of one length, with the same tags, lengths and names at the same places, are the same
but for values, and a feature's value lies at the same place in both. So one record is parsed here,
and of the others only those places are compared, all records at once: ten times faster than a
parser. Whatever does not lie alike is left to the parser.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
ValueKind = Literal['int', 'float', 'bytes']
"""The kind of list in a `tf.train.Feature`."""

WORD = 8  # bytes that are compared at once
_VARINT, DELIMITED, _FIXED32 = 0, 2, 5  # wire types
_FEATURES, _ENTRY, _KEY, _VALUE, VALUES = 1, 1, 1, 2, 1  # numbers of fields
KINDS: dict[int, ValueKind] = {1: 'bytes', 2: 'float', 3: 'int'}
_WIRES: dict[ValueKind, tuple[int, ...]] = {  # of values alone, or packed
  'bytes': (DELIMITED,),
  'float': (_FIXED32, DELIMITED),
  'int': (_VARINT, DELIMITED),
}
_MOST_DIGITS = 9  # bytes of a varint that 63 bits hold: a negative one takes ten


@dataclass(frozen=True)
class FixedBits:
  """What is the same in all records that lie alike.

  Attributes:
    record: Bytes of one of them: uint8 [bytes].
    fixed: Bits of each byte that are no value: uint8 [bytes].
  """

  record: Bytes
  fixed: Bytes

  def fit(self, records: Bytes) -> bool:
    """Returns whether all records, uint8 [n, bytes], lie alike."""
    return not any(differ.any() for differ in self._differences(records))

  def which_fit(self, records: Bytes) -> npt.NDArray[np.bool_]:
    """Returns which records lie alike: bool [n] from uint8 [n, bytes]."""
    found = np.ones(len(records), bool)
    for differ in self._differences(records):
      found &= ~differ.any(axis=1)
    return found

  def _differences(self, records: Bytes) -> Iterator[npt.NDArray[np.uint64]]:
    """Yields which fixed bits differ, words of them, many or one: uint64 [n, words]."""
    for start, end in self._places():
      mine, fixed = self.record[start:end].view('<u8'), self.fixed[start:end].view('<u8')
      yield (records[:, start:end].view('<u8') ^ mine) & fixed

  def _places(self) -> Iterator[tuple[int, int]]:
    """Yields where words are, many or one, that hold all the fixed bits."""
    start = end = 0
    for at in np.flatnonzero(self.fixed).tolist():
      if at < end:
        continue
      if at > end or end + WORD > len(self.fixed):
        if end:
          yield start, end
        start = end = min(at, len(self.fixed) - WORD)
      end += WORD
    if end:
      yield start, end


@dataclass(frozen=True)
class FixedLayout:
  """Where all but the values is in an example, and where the values of a feature are.

  Attributes:
    bits: What is no value.
    kind: Type of the feature's values.
    start: Offset of the first byte of the values.
    end: Offset behind their last byte.
  """

  bits: FixedBits
  kind: ValueKind
  start: int
  end: int

  @classmethod
  def of(cls, record: bytes, feature: str, n_values: int = 1) -> FixedLayout | None:
    """Returns the layout of a `tf.train.Example`, or None where there is none.

    Args:
      record: A serialized example.
      feature: Name of the feature.
      n_values: Values that it has; several must be floats.
    """
    if len(record) < WORD:
      return None
    try:
      return _layout(record, feature.encode(), n_values)
    except (ValueError, IndexError):  # the parser is to tell what it is
      return None

  def values(self, records: Bytes) -> npt.NDArray[Any] | None:
    """Returns the feature's value in each record, or None if a record has another layout.

    Args:
      records: Records as rows, which may be apart: uint8 [n, bytes].

    Returns:
      int64 [n], float32 [n] (of several values [n, n_values]), or bytes as object [n].
    """
    if records.shape[1] != len(self.bits.record) or not self.bits.fit(records):
      return None
    return self.values_at(records)

  def values_at(self, records: Bytes) -> npt.NDArray[Any]:
    """Returns what `values` does, of records that are known to have this layout."""
    found = records[:, self.start : self.end]
    if self.kind == 'float':
      floats = found.view('<f4')
      return floats if floats.shape[1] > 1 else floats[:, 0]
    if self.kind == 'bytes':
      return np.array(found.view(f'V{self.end - self.start}')[:, 0].tolist(), object)
    values = np.zeros(len(found), np.int64)
    for i in range(self.end - self.start):
      values |= (found[:, i] & 0x7F).astype(np.int64) << (7 * i)
    return values


@dataclass(frozen=True)
class FixedColumns:
  """Where the values of several features are in examples that lie alike.

  Attributes:
    bits: What is no value of these features, of all other features' what is not their content.
    layouts: Layouts of the features.
  """

  bits: FixedBits
  layouts: tuple[FixedLayout, ...]

  @classmethod
  def of(cls, record: bytes, features: Mapping[str, int]) -> FixedColumns | None:
    """Returns the layout of a `tf.train.Example`, or None where a feature has none.

    Args:
      record: A serialized example.
      features: Number of values of each feature by its name; see `FixedLayout.of`.
    """
    found = [FixedLayout.of(record, name, n) for name, n in features.items()]
    layouts = tuple(layout for layout in found if layout is not None)
    if not features or len(layouts) < len(features):
      return None
    fixed = np.bitwise_or.reduce([layout.bits.fixed for layout in layouts])
    return cls(FixedBits(layouts[0].bits.record, fixed), layouts)

  def values(self, records: Bytes) -> list[npt.NDArray[Any]] | None:
    """Returns the values of each feature, or None if a record has another layout.

    Args:
      records: Records as rows, which may be apart: uint8 [n, bytes].

    Returns:
      Arrays as of `FixedLayout.values`.
    """
    if records.shape[1] != len(self.bits.record) or not self.bits.fit(records):
      return None
    return [layout.values_at(records) for layout in self.layouts]


class Field(NamedTuple):
  """A field of a message: where it is in the record, its number, its wire type, and its value."""

  at: int
  number: int
  wire: int
  start: int
  end: int


class MessageWalk:
  """A way through the messages in a record, which notes the bits that are no value.

  Attributes:
    record: Bytes of the record.
    fixed: Bits of each byte that are no value: uint8 [bytes].
    shortest: Whether no number that was met has a digit of 0 too many.
  """

  def __init__(self, record: bytes) -> None:
    self.record = record
    self.shortest = True
    self.fixed = np.zeros(len(record), np.uint8)

  def fields(self, start: int, end: int) -> list[Field]:
    """Returns the fields of the message there; raises ValueError or IndexError if it is none."""
    found = []
    while start < end:
      tag, value = self.record[start], start + 1
      if tag >= 0x80:  # TensorFlow knows its tags by their one byte
        raise ValueError(tag)
      number, wire = tag >> 3, tag & 7
      if wire == DELIMITED:
        length, value = self.varint(value)
        after = value + length
      elif wire == _VARINT:
        after = self.varint(value)[1]
      elif wire == _FIXED32:
        after = value + 4
      else:
        raise ValueError(wire)
      if after > end:
        raise ValueError(after)
      self.fixed[start:value] = 0xFF
      found.append(Field(start, number, wire, value, after))
      start = after
    return found

  def messages(self, start: int, end: int, *numbers: int) -> list[Field]:
    """Returns the same; raises ValueError if they are not messages of these numbers."""
    found = self.fields(start, end)
    if [(field.number, field.wire) for field in found] != [(n, DELIMITED) for n in numbers]:
      raise ValueError(found)
    return found

  def entries(self) -> Iterator[tuple[Field, bytes, Field]]:
    """Yields each feature of a `tf.train.Example`: its entry, its name and its `Feature`.

    Raises:
      ValueError or IndexError: if the record is no such, or is written in another way than theirs.
    """
    (features,) = self.messages(0, len(self.record), _FEATURES)
    for entry in self.fields(features.start, features.end):
      if (entry.number, entry.wire) != (_ENTRY, DELIMITED):
        raise ValueError(entry)
      key, content = self.messages(entry.start, entry.end, _KEY, _VALUE)
      self.fixed[key.start : key.end] = 0xFF
      yield entry, self.record[key.start : key.end], content

  def varint(self, start: int) -> tuple[int, int]:
    """Returns the number there, and where it ends."""
    number = 0
    for i in range(_MOST_DIGITS):
      digit = self.record[start + i]
      number |= (digit & 0x7F) << (7 * i)
      if digit < 0x80:
        self.shortest = self.shortest and bool(digit or not i)
        return number, start + i + 1
    raise ValueError(start)


def _layout(record: bytes, feature: bytes, n_values: int) -> FixedLayout:
  """Returns the layout; raises ValueError or IndexError if there is none."""
  walk = MessageWalk(record)
  (content,) = (content for _, name, content in walk.entries() if name == feature)
  (values,) = walk.fields(content.start, content.end)
  if values.number not in KINDS or values.wire != DELIMITED:
    raise ValueError(values)
  kind = KINDS[values.number]
  (value,) = walk.fields(values.start, values.end)
  if value.number != VALUES or value.wire not in _WIRES[kind]:
    raise ValueError(value)
  size = value.end - value.start
  if n_values != 1 and kind != 'float':
    raise ValueError(n_values)
  if kind == 'int' and walk.varint(value.start)[1] == value.end:
    walk.fixed[value.start : value.end] = 0x80  # whether another byte follows
  elif not ((kind == 'float' and size == 4 * n_values) or (kind == 'bytes' and size)):
    raise ValueError(value)
  bits = FixedBits(np.frombuffer(record, np.uint8), walk.fixed)
  return FixedLayout(bits, kind, value.start, value.end)
