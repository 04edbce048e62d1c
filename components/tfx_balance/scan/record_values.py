"""Records in one form for equal values, whatever order their features were written in.

The form is what protobuf writes, with the features in the order of their names' bytes. (Protobuf's
own deterministic order depends on its version: in 4.25 'x' comes after 'x1'.) Records that lie
alike, entry for entry, need the same exchange of columns, and all of them are brought into order at
once, 2 microseconds for a record of 22 features. They are found among records of one length. Those
of an order that few have, and records that are written in another way than protobuf's, such as with
lists that are not packed, are parsed by protobuf first, in 9 microseconds altogether.

Source: https://protobuf.dev/programming-guides/serialization-not-canonical and
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
import xxhash

from tfx_balance.errors import DataError
from tfx_balance.plan.ranks import Ints, UInts, order_of_groups
from tfx_balance.scan.fixed_layout import (
  DELIMITED,
  KINDS,
  VALUES,
  WORD,
  Bytes,
  FixedBits,
  MessageWalk,
)
from tfx_balance.scan.ragged_layout import FIRST, RaggedWalk
from tfx_balance.scan.strata import Payload
from tfx_balance.tfrecord.frames import Frames, byte_column

_FEW = 32  # records for which no layout is looked for: it takes 100 microseconds
_MOST_LAYOUTS = 8  # among records of one length
_FEW_SHARE = 16  # a layout that a smaller part of the records has is a miss
_MOST_MISSES = 1
_INT_DIGITS = 10  # bytes of the longest varint


class RecordValues:
  """Turns the records of one file into hashes of their values, in whatever order they are."""

  def __init__(self, payload: Payload, path: str) -> None:
    self._payload: Payload = payload
    self._path = path

  def hashes(self, frames: Frames, _: Ints) -> UInts:
    """Returns the hash of each record: uint64 [n]; see `canonical_records`."""
    records = canonical_records(frames.payloads(), self._payload, self._path)
    return np.fromiter(map(xxhash.xxh3_64_intdigest, records), np.uint64, len(records))


def canonical_records(records: Sequence[bytes], payload: Payload, path: str) -> list[bytes]:
  """Returns the features of records in one order: equal bytes for equal values.

  Values are equal where their bits are: 0.0 and -0.0 are not, 1 and 1.0 are not.

  Args:
    records: Serialized records, all of which can be parsed.
    payload: Type of the records; tf.SequenceExamples are left to protobuf.
    path: Path of their file, for messages.

  Raises:
    DataError: if protobuf cannot parse a record, such as one with a name that is not in UTF-8.
  """
  found: list[bytes | None] = [None] * len(records)
  if payload == 'FORMAT_TF_EXAMPLE':
    lengths = np.fromiter(map(len, records), np.int64, len(records))
    order = order_of_groups(lengths)
    for places in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
      if len(places) >= _FEW:
        _order_alike(records, places, found)
  others = [i for i, record in enumerate(found) if record is None]
  written = _by_protobuf([records[i] for i in others], payload, path)
  for i, record in zip(others, written, strict=True):
    found[i] = record
  return cast('list[bytes]', found)


def _order_alike(records: Sequence[bytes], places: Ints, found: list[bytes | None]) -> None:
  """Sets what is found for records of one length, at some places, layout by layout."""
  table = np.frombuffer(b''.join([records[i] for i in places.tolist()]), np.uint8)
  table = table.reshape(len(places), -1)
  misses = 0
  for _ in range(_MOST_LAYOUTS):
    layout = EntryLayout.of(table[0].tobytes())
    if layout is None:
      fit = np.arange(len(table)) == 0  # which is left to protobuf
    else:
      fit = layout.which_fit(table)
      ordered = layout.ordered(table if fit.all() else table[fit])
      for i, record in zip(places[fit].tolist(), ordered, strict=True):
        found[i] = record
    misses += bool(fit.sum() * _FEW_SHARE < len(table))
    table, places = table[~fit], places[~fit]
    if len(table) < _FEW or misses > _MOST_MISSES:
      return


def _by_protobuf(records: Sequence[bytes], payload: Payload, path: str) -> list[bytes]:
  """Returns the form of records that are written in any way."""
  sequence = payload == 'FORMAT_TF_SEQUENCE_EXAMPLE'
  parse = (tf.train.SequenceExample if sequence else tf.train.Example).FromString
  try:
    if not sequence:
      return entries_by_name([parse(r).features.SerializeToString() for r in records])
    messages = [parse(record) for record in records]
  except Exception as error:  # protobuf's DecodeError, whose home differs between its versions
    raise DataError(
      f"{path} holds a record that protobuf cannot parse ({error}); pass identity='bytes', which "
      f'compares records as they are, or write it again'
    ) from error
  context = entries_by_name([message.context.SerializeToString() for message in messages])
  lists = entries_by_name([message.feature_lists.SerializeToString() for message in messages])
  pairs = zip(context, lists, strict=True)
  return [len(one).to_bytes(8, 'little') + one + other for one, other in pairs]


def entries_by_name(maps: Sequence[bytes]) -> list[bytes]:
  """Returns maps of names, as protobuf writes them, with their entries in the order of names.

  Args:
    maps: Messages whose only field is a map from strings, such as `tf.train.Features`.
  """
  lengths = np.fromiter(map(len, maps), np.int64, len(maps))
  ends = np.cumsum(lengths)
  if not lengths.any():
    return list(maps)
  joined = b''.join(maps)
  data = np.frombuffer(joined, np.uint8)
  walk, at = RaggedWalk(data), ends - lengths
  spans = []  # of the entries of all maps, the first ones, then the second ones: [4, maps with one]
  left = np.flatnonzero(lengths)
  while len(left):
    start, end = walk.field(at[left], ends[left], FIRST)
    key, key_end = walk.field(start, end, FIRST)
    if not walk.ok:
      raise ValueError('it has fields that a map of features has not')
    spans.append(np.stack([left, end, key, key_end]))
    at[left] = end
    left = left[end < ends[left]]
  which, end, key, key_end = np.concatenate(spans, axis=1)
  order = order_of_groups(which)
  edges = np.stack([key[order], key_end[order]], axis=1).reshape(-1)
  inner = np.arange(0, len(edges), 2)
  names = byte_column(joined, edges).take(pa.array(inner)).dictionary_encode()
  rank = np.argsort(np.array(names.dictionary.to_pylist(), object))
  place = np.empty(len(rank), np.int64)
  place[rank] = np.arange(len(rank))
  by_name = order_of_groups(place[names.indices.to_numpy()])
  by_name = by_name[order_of_groups(which[order][by_name])]
  entries = byte_column(joined, np.append(0, end[order])).take(pa.array(by_name))
  return cast('list[bytes]', byte_column(entries.buffers()[2], np.append(0, ends)).to_pylist())


@dataclass(frozen=True)
class EntryLayout:
  """Where the entries of an example are, in which everything is written as protobuf does.

  Attributes:
    bits: What is no value.
    head: Bytes before the first entry.
    entries: Start and end of each entry, in the order of their names.
    ints: Start and end of each list of integers.
  """

  bits: FixedBits
  head: int
  entries: tuple[tuple[int, int], ...]
  ints: tuple[tuple[int, int], ...]

  @classmethod
  def of(cls, record: bytes) -> EntryLayout | None:
    """Returns the layout of a `tf.train.Example`; None where protobuf is to tell."""
    if len(record) < WORD:
      return None
    try:
      return _entry_layout(record)
    except (ValueError, IndexError):
      return None

  def which_fit(self, records: Bytes) -> npt.NDArray[np.bool_]:
    """Returns which records have this layout: bool [n] from uint8 [n, bytes]."""
    found = np.ones(len(records), bool)
    if not self.bits.fit(records):  # which is told several times as fast
      found = self.bits.which_fit(records)
    for start, end in self.ints:
      found &= _are_varints(records[:, start:end])
    return found

  def ordered(self, records: Bytes) -> list[bytes]:
    """Returns the entries of records of this layout, uint8 [n, bytes], by name."""
    ordered, at = np.empty((len(records), records.shape[1] - self.head), np.uint8), 0
    for start, end in self.entries:
      ordered[:, at : at + end - start] = records[:, start:end]
      at += end - start
    return cast('list[bytes]', ordered.view(f'V{ordered.shape[1]}')[:, 0].tolist())


def _entry_layout(record: bytes) -> EntryLayout:
  """Returns the layout; raises ValueError or IndexError if protobuf would write it differently."""
  walk = MessageWalk(record)
  spans: dict[bytes, tuple[int, int]] = {}
  ints = []
  for entry, name, content in walk.entries():
    name.decode()  # raises UnicodeDecodeError, a ValueError
    if name in spans:
      raise ValueError(name)
    spans[name] = (entry.at, entry.end)
    ints += _lists_of_ints(walk, content.start, content.end)
  if not walk.shortest:
    raise ValueError(record)
  if not spans:
    raise ValueError(record)
  head = min(start for start, _ in spans.values())
  bits = FixedBits(np.frombuffer(record, np.uint8), walk.fixed)
  return EntryLayout(bits, head, tuple(spans[name] for name in sorted(spans)), tuple(ints))


def _lists_of_ints(walk: MessageWalk, start: int, end: int) -> list[tuple[int, int]]:
  """Returns where a `tf.train.Feature` has integers; raises ValueError as `_entry_layout`."""
  lists = walk.fields(start, end)
  if not lists:
    return []
  (values,) = lists
  if values.number not in KINDS or values.wire != DELIMITED:
    raise ValueError(values)
  kind = KINDS[values.number]
  found = walk.fields(values.start, values.end)
  if any((value.number, value.wire) != (VALUES, DELIMITED) for value in found):
    raise ValueError(found)
  if kind == 'bytes' or not found:
    return []
  (packed,) = found
  size = packed.end - packed.start
  if not size or (kind == 'float' and size % 4):
    raise ValueError(packed)
  return [(packed.start, packed.end)] if kind == 'int' else []


def _are_varints(lists: Bytes) -> npt.NDArray[np.bool_]:
  """Returns which packed lists have integers as protobuf writes them: bool [n] from uint8 [n, m].

  The last byte ends one, none has a digit of 0 at its end, and the tenth digit can only be 1.
  """
  more = lists >= 0x80
  wrong = more[:, -1].copy()
  if not more.any():
    return ~wrong
  wrong |= (more[:, :-1] & (lists[:, 1:] == 0)).any(axis=1)
  nine = more[:, : -(_INT_DIGITS - 1)]
  for i in range(1, _INT_DIGITS - 1):
    nine = nine & more[:, i : i + nine.shape[1]]
  wrong |= (nine & (lists[:, _INT_DIGITS - 1 :] != 1)).any(axis=1)
  return ~wrong
