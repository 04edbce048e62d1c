"""Records in one form for equal values, whatever order their features were written in.

The form is what protobuf writes, with the features in the order of their names' bytes. (Protobuf's
own deterministic order depends on its version: in 4.25 'x' comes after 'x1'.) Records of one
layout, entry for entry, need the same exchange of columns, and all of them are brought into order
at once, 2 microseconds for a record of 22 features. They are found among records of one length.
Those of an order that few have, and records that are written in another way than protobuf's, such
as with lists that are not packed, are parsed by protobuf first, in 9 microseconds altogether.

Source: https://protobuf.dev/programming-guides/serialization-not-canonical and
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import cast

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfx_balance.errors import DataError
from tfx_balance.plan.ranks import Ints, stable_order
from tfx_balance.scan.fixed_layout import EntryLayout
from tfx_balance.scan.ragged_layout import FIRST, RaggedWalk
from tfx_balance.scan.record_reader import Payload
from tfx_balance.tfrecord.frames import byte_column

_FEW = 32  # records for which no layout is looked for: it takes 100 microseconds
_MOST_LAYOUTS = 8  # among records of one length
_FEW_SHARE = 16  # a layout that a smaller part of the records has is a miss
_MOST_MISSES = 1


def order_varies() -> bool:
  """Returns whether protobuf writes the features of equal records in another order each time.

  Since version 6, which TFX 1.21 has, their order is another one in every process (ran: 4.25 and
  5.29 gave equal bytes in all processes, 6.31 in none).
  """
  return int(version('protobuf').partition('.')[0]) >= 6


def canonical_records(
  records: Sequence[bytes], payload: Payload, path: str, few: int = _FEW
) -> list[bytes]:
  """Returns the features of records in one order: equal bytes for equal values.

  Values are equal where their bits are: 0.0 and -0.0 are not, 1 and 1.0 are not.

  Args:
    records: Serialized records, all of which can be parsed.
    payload: Type of the records; tf.SequenceExamples are left to protobuf.
    path: Path of their file, for messages.
    few: Records for which no layout is looked for.

  Raises:
    DataError: if protobuf cannot parse a record, such as one with a name that is not in UTF-8.
  """
  found: list[bytes | None] = [None] * len(records)
  if payload == 'FORMAT_TF_EXAMPLE':
    lengths = np.fromiter(map(len, records), np.int64, len(records))
    order = stable_order(lengths)
    for places in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
      if len(places) >= few:
        _order_by_layout(records, places, found, few)
  others = [i for i, record in enumerate(found) if record is None]
  written = _by_protobuf([records[i] for i in others], payload, path)
  for i, record in zip(others, written, strict=True):
    found[i] = record
  return cast('list[bytes]', found)


def _order_by_layout(
  records: Sequence[bytes], places: Ints, forms: list[bytes | None], few: int
) -> None:
  """Sets the form of records of one length, at some places, layout by layout."""
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
        forms[i] = record
    misses += bool(fit.sum() * _FEW_SHARE < len(table))
    table, places = table[~fit], places[~fit]
    if len(table) < few or misses > _MOST_MISSES:
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
  walk, at = RaggedWalk(np.frombuffer(joined, np.uint8)), ends - lengths
  spans = []  # of the entries of all maps, the first ones, then the second ones: [4, maps with one]
  left = np.flatnonzero(lengths)
  while len(left):
    start, end = walk.field(at[left], ends[left], FIRST)
    name = walk.field(start, end, FIRST)
    if not walk.ok:
      raise ValueError('it has fields that a map of features has not')
    spans.append(np.stack([left, end, *name]))
    at[left] = end
    left = left[end < ends[left]]
  which, end, key, key_end = np.concatenate(spans, axis=1)
  order = stable_order(which)
  edges = np.stack([key[order], key_end[order]], axis=1).reshape(-1)
  inner = np.arange(0, len(edges), 2)
  names = byte_column(joined, edges).take(pa.array(inner)).dictionary_encode()
  place = np.argsort(np.argsort(np.array(names.dictionary.to_pylist(), object)))
  by_name = stable_order(place[names.indices.to_numpy()])
  by_name = by_name[stable_order(which[order][by_name])]
  entries = byte_column(joined, np.append(0, end[order])).take(pa.array(by_name))
  return cast('list[bytes]', byte_column(entries.buffers()[2], np.append(0, ends)).to_pylist())
