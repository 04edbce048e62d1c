"""Positions of values and entries in examples of one layout, such as those of a table of numbers.

Two examples of one length, with the same tags, lengths and names at the same places, are the same
but for values, and a feature's value lies at the same place in both. So one record is parsed here,
and of the others only those places are compared, all records at once: ten times faster than
TensorFlow's parser, to which everything of another layout is left.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
ValueKind = Literal['int', 'float', 'bytes']
"""The kind of list in a `tf.train.Feature`."""

_WORD = 8  # bytes that are compared at once
_VARINT, _DELIMITED, _FIXED32 = 0, 2, 5  # wire types
_FEATURES, _ENTRY, _KEY, _VALUE, _VALUES = 1, 1, 1, 2, 1  # numbers of fields
_KINDS: dict[int, ValueKind] = {1: 'bytes', 2: 'float', 3: 'int'}
_WIRES: dict[ValueKind, tuple[int, ...]] = {  # of values alone, or packed
  'bytes': (_DELIMITED,),
  'float': (_FIXED32, _DELIMITED),
  'int': (_VARINT, _DELIMITED),
}
_MOST_DIGITS = 9  # bytes of a varint that 63 bits hold: a negative one takes ten


@dataclass(frozen=True)
class FixedBits:
  """Bits that are the same in all records of one layout.

  Attributes:
    record: Bytes of one of them: uint8 [bytes].
    fixed: Bits of each byte that are no value: uint8 [bytes].
  """

  record: Bytes
  fixed: Bytes

  def fit(self, records: Bytes) -> bool:
    """Returns whether all records, uint8 [n, bytes], have these bits."""
    return not any(differ.any() for differ in self._differences(records))

  def which_fit(self, records: Bytes) -> npt.NDArray[np.bool_]:
    """Returns a mask of records that have these bits: bool [n] from uint8 [n, bytes]."""
    found = np.ones(len(records), bool)
    for differ in self._differences(records):
      found &= differ == 0
    return found

  def _differences(self, records: Bytes) -> Iterator[npt.NDArray[np.uint64]]:
    """Yields masks of the fixed bits that differ, a word of them after another: uint64 [n]."""
    end = 0
    for at in np.flatnonzero(self.fixed).tolist():
      if at >= end:
        end = min(at, len(self.fixed) - _WORD) + _WORD
        word = slice(end - _WORD, end)
        differ = records[:, word].view('<u8')[:, 0] ^ self.record[word].view('<u8')
        yield differ & self.fixed[word].view('<u8')


class ValuePlace(NamedTuple):
  """Place of a feature's values in a record: from one byte to before another."""

  kind: ValueKind
  start: int
  end: int

  def read(self, records: Bytes) -> npt.NDArray[Any]:
    """Returns the values there: int64 [n], float32 [n] or [n, several], or bytes as object [n]."""
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
  """Places of the values of some features in examples of one layout.

  Attributes:
    bits: What is no value of these features, of all other features' what is not their content.
    layouts: Place of each feature's values.
  """

  bits: FixedBits
  layouts: tuple[ValuePlace, ...]

  @classmethod
  def of(cls, record: bytes, features: Mapping[str, int]) -> FixedColumns | None:
    """Returns the layout of a `tf.train.Example`, or None to fall back to the parser.

    Args:
      record: A serialized example.
      features: Number of values of each feature by its name; several must be floats.
    """
    if len(record) < _WORD or not features:
      return None
    walk = MessageWalk(record)
    try:
      entries = [(name, content) for _, name, content in walk.entries()]
      places = []
      for feature, n_values in features.items():
        (content,) = (content for name, content in entries if name == feature.encode())
        places.append(_value_place(walk, content, n_values))
    except (ValueError, IndexError):
      return None
    return cls(walk.bits(), tuple(places))

  def values(self, records: Bytes) -> list[npt.NDArray[Any]] | None:
    """Returns the values of each feature, or None if a record has another layout.

    Args:
      records: Records as rows, which may be apart: uint8 [n, bytes].

    Returns:
      Arrays as of `ValuePlace.read`.
    """
    if records.shape[1] != len(self.bits.record) or not self.bits.fit(records):
      return None
    return [place.read(records) for place in self.layouts]


def _value_place(walk: MessageWalk, content: Field, n_values: int) -> ValuePlace:
  """Returns the place of a feature's values; raises ValueError or IndexError if it has none."""
  kind, (value,) = walk.values(content)
  size = value.end - value.start
  if n_values != 1 and kind != 'float':
    raise ValueError(n_values)
  if kind == 'int' and walk.varint(value.start)[1] == value.end:
    walk.fixed[value.start : value.end] = 0x80  # whether another byte follows
  elif not ((kind == 'float' and size == 4 * n_values) or (kind == 'bytes' and size)):
    raise ValueError(value)
  return ValuePlace(kind, value.start, value.end)


@dataclass(frozen=True)
class EntryLayout:
  """Places of the entries of an example in which everything is written as protobuf does.

  Attributes:
    bits: What is no value.
    entries: Start and end of each entry, in the order of their names.
    ints: Start and end of each list of integers.
  """

  bits: FixedBits
  entries: tuple[tuple[int, int], ...]
  ints: tuple[tuple[int, int], ...]

  @classmethod
  def of(cls, record: bytes) -> EntryLayout | None:
    """Returns the layout of a `tf.train.Example`, or None to fall back to protobuf."""
    if len(record) < _WORD:
      return None
    walk = MessageWalk(record)
    spans: dict[bytes, tuple[int, int]] = {}
    ints = []
    try:
      for entry, name, content in walk.entries():
        name.decode()  # raises UnicodeDecodeError, a ValueError
        if name in spans:
          return None
        spans[name] = (entry.at, entry.end)
        ints += _lists_of_ints(walk, content)
    except (ValueError, IndexError):
      return None
    if not walk.shortest or not spans:
      return None
    return cls(walk.bits(), tuple(spans[name] for name in sorted(spans)), tuple(ints))

  def which_fit(self, records: Bytes) -> npt.NDArray[np.bool_]:
    """Returns a mask of records that have this layout: bool [n] from uint8 [n, bytes]."""
    found = self.bits.which_fit(records)
    for start, end in self.ints:
      found &= _are_varints(records[:, start:end])
    return found

  def ordered(self, records: Bytes) -> list[bytes]:
    """Returns the entries of records of this layout, uint8 [n, bytes], by name."""
    ordered = np.concatenate([records[:, start:end] for start, end in self.entries], axis=1)
    return cast('list[bytes]', ordered.view(f'V{ordered.shape[1]}')[:, 0].tolist())


def _lists_of_ints(walk: MessageWalk, content: Field) -> list[tuple[int, int]]:
  """Returns where a `tf.train.Feature` has integers; raises ValueError as `MessageWalk.values`.

  Also if protobuf would write the feature in another way.
  """
  if content.start == content.end:
    return []
  kind, found = walk.values(content)
  if any(value.wire != _DELIMITED for value in found):
    raise ValueError(found)
  if kind == 'bytes' or not found:
    return []
  (packed,) = found
  size = packed.end - packed.start
  if not size or (kind == 'float' and size % 4):
    raise ValueError(packed)
  return [(packed.start, packed.end)] if kind == 'int' else []


def _are_varints(lists: Bytes) -> npt.NDArray[np.bool_]:
  """Returns a mask of packed lists whose integers are as protobuf writes them: bool [n].

  The last byte ends one, none has a digit of 0 at its end, and the tenth digit can only be 1.
  """
  more = lists >= 0x80
  wrong = more[:, -1].copy()
  if not more.any():
    return ~wrong
  wrong |= (more[:, :-1] & (lists[:, 1:] == 0)).any(axis=1)
  nine = more[:, :-_MOST_DIGITS]
  for i in range(1, _MOST_DIGITS):
    nine = nine & more[:, i : i + nine.shape[1]]
  wrong |= (nine & (lists[:, _MOST_DIGITS:] != 1)).any(axis=1)
  return ~wrong


class Field(NamedTuple):
  """A field of a message: where it is in the record, its number, its wire type, and its value."""

  at: int
  number: int
  wire: int
  start: int
  end: int


class MessageWalk:
  """Walks through the messages of a record, and notes the bits that belong to no value.

  Its methods raise ValueError or IndexError where the record is no `tf.train.Example`, or is
  written in a way that is left to the parser.

  Attributes:
    record: Bytes of the record.
    fixed: Bits of each byte that are no value: uint8 [bytes].
    shortest: Whether no number that was met has a digit of 0 too many.
  """

  def __init__(self, record: bytes) -> None:
    self.record = record
    self.shortest = True
    self.fixed = np.zeros(len(record), np.uint8)

  def bits(self) -> FixedBits:
    """Returns the bits that belong to no value."""
    return FixedBits(np.frombuffer(self.record, np.uint8), self.fixed)

  def fields(self, start: int, end: int) -> list[Field]:
    """Returns the fields of the message there."""
    found = []
    while start < end:
      tag, value = self.record[start], start + 1
      if tag >= 0x80:  # TensorFlow knows its tags by their one byte
        raise ValueError(tag)
      number, wire = tag >> 3, tag & 7
      if wire == _DELIMITED:
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
    """Returns the fields of the message there, which must be messages with these field numbers."""
    found = self.fields(start, end)
    if [(field.number, field.wire) for field in found] != [(n, _DELIMITED) for n in numbers]:
      raise ValueError(found)
    return found

  def entries(self) -> Iterator[tuple[Field, bytes, Field]]:
    """Yields each feature of the example: its entry, its name and its `Feature`."""
    (features,) = self.messages(0, len(self.record), _FEATURES)
    for entry in self.fields(features.start, features.end):
      if (entry.number, entry.wire) != (_ENTRY, _DELIMITED):
        raise ValueError(entry)
      key, content = self.messages(entry.start, entry.end, _KEY, _VALUE)
      self.fixed[key.start : key.end] = 0xFF
      yield entry, self.record[key.start : key.end], content

  def values(self, content: Field) -> tuple[ValueKind, list[Field]]:
    """Returns the type of a `Feature` and its values, each of which may be a packed list."""
    (values,) = self.fields(content.start, content.end)
    if values.number not in _KINDS or values.wire != _DELIMITED:
      raise ValueError(values)
    kind = _KINDS[values.number]
    found = self.fields(values.start, values.end)
    if any(value.number != _VALUES or value.wire not in _WIRES[kind] for value in found):
      raise ValueError(found)
    return kind, found

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
