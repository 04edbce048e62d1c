"""Hashes of the features that identify a record, in place of the hash of its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import xxhash

from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.group_by import GroupBy
from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.scan.strata import BATCH_RECORDS, ClassColumn, Payload
from tfx_balance.tfrecord.frames import Frames

Bools = npt.NDArray[np.bool_]

_VALUE, _LENGTH, _NEXT = (tie_break(0, 'key', part) for part in ('value', 'length', 'next'))


class RecordKeys:
  """Turns the records of one file into hashes of some of their features.

  Equal values of all these features give equal hashes, whatever else a record holds and in whatever
  order its features are. A feature may have any number of values, but one at least; NaN, which
  equals nothing, among them is as no value.
  """

  def __init__(
    self, features: Sequence[str], payload: Payload, path: str, groups: GroupBy | None = None
  ) -> None:
    self.names, self._groups = tuple(features), groups
    self.columns = [ClassColumn(name, payload, path) for name in features]
    self._path = path

  def hashes(self, frames: Frames, positions: Ints) -> UInts:
    """Returns the hash of each record: uint64 [n].

    Args:
      frames: Frames of the records, all of which can be parsed.
      positions: Position of each in the file, for messages: int64 [n].

    Raises:
      DataError: if a record has no value of a feature.
    """
    found, absent = self.find(frames)
    wrong = np.flatnonzero(absent >= 0)
    if len(wrong):
      raise DataError(
        f'feature {self.names[absent[wrong[0]]]!r} has no value in record {positions[wrong[0]]} of '
        f'{self._path}, or NaN; key= takes features that all records have'
      )
    return found

  def find(self, frames: Frames) -> tuple[UInts, Ints]:
    """Returns the same, and which feature each record has no value of, -1 for none: int64 [n]."""
    found = np.zeros(len(frames), np.uint64)
    absent = np.full(len(frames), -1, np.int64)
    for i, column in enumerate(self.columns):
      hashes, present = self._of_column(column, frames)
      found = mix(found ^ hashes, _NEXT)
      absent[~present] = i
    return found, absent

  def _of_column(self, column: ClassColumn, frames: Frames) -> tuple[UInts, Bools]:
    """Returns the hash of each record's values, and which have some: uint64 and bool [n]."""
    values = column.values_by_place(frames)
    if values is not None:
      return self._hashed(values), have_values(values, np.arange(len(values) + 1))
    records = frames.payloads()
    batches = range(0, len(records), BATCH_RECORDS)
    parsed = [self._parsed(column, records[i : i + BATCH_RECORDS]) for i in batches]
    hashes, present = zip(*parsed, strict=True) if parsed else ((), ())
    return (
      np.concatenate([np.empty(0, np.uint64), *hashes]),
      np.concatenate([np.empty(0, np.bool_), *present]),
    )

  def _hashed(self, values: npt.NDArray[Any]) -> UInts:
    """Returns a hash of each value, or of what groups are made of: uint64 [n]."""
    return mix(_hashes(self._groups.parts_of(values) if self._groups else values), _VALUE)

  def _parsed(self, column: ClassColumn, records: Sequence[bytes]) -> tuple[UInts, Bools]:
    with tf.device('CPU'):
      values, row_splits = column.parse(tf.constant(records))
    lengths, present = np.diff(row_splits), have_values(values, row_splits)
    hashes = self._hashed(values)
    if (lengths == 1).all():
      return hashes, present
    place = np.arange(len(hashes)) - np.repeat(row_splits[:-1], lengths)
    placed = np.where(place > 0, mix(hashes ^ place.astype(np.uint64), _LENGTH), hashes)
    found = np.zeros(len(lengths), np.uint64)
    some = np.flatnonzero(lengths)
    if len(some):
      found[some] = np.add.reduceat(placed, row_splits[:-1][some])
    return found, present


def have_values(values: npt.NDArray[Any], row_splits: Ints) -> Bools:
  """Returns which records have values, none of them NaN: bool [n].

  >>> have_values(np.array([1.0, 2.0, np.nan]), np.array([0, 1, 1, 3])).tolist()
  [True, False, False]

  Args:
    values: Values of the first record, of the next, and so on: [m].
    row_splits: Where those of each begin, and those of the last end: int64 [n + 1].
  """
  found: Bools = np.diff(row_splits) > 0
  if values.dtype.kind == 'f':
    found[np.searchsorted(row_splits, np.flatnonzero(np.isnan(values)), side='right') - 1] = False
  return found


def _hashes(values: npt.NDArray[Any]) -> UInts:
  """Returns a number for each value, equal for equal ones: uint64 [n]."""
  if values.dtype == object:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, values), np.uint64, len(values))
  if values.dtype.kind == 'f':
    values = (values + np.float32(0)).view(np.int32)  # -0.0 is 0.0
  return values.astype(np.int64).view(np.uint64)
