"""Columns of an index that are read of records: numbers of the same order, hashes that identify.

A number of each record, such as its time, is a key of the same order. Hashes identify a record or
its group, in place of the hash of its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.class_value import FILL_HINT
from tfx_balance.plan.group_table import GroupBy
from tfx_balance.plan.number_keys import NumberSample, keys_of
from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.scan.record_reader import FeatureValues, Payload, ValuesByFeature
from tfx_balance.scan.record_values import canonical_records
from tfx_balance.scan.spill import Rows, hashes_of_bytes
from tfx_balance.scan.strata import BAD, DROPPED
from tfx_balance.tfrecord.frames import Frames
from tfx_balance.tfrecord.reading import BadRecords


class IndexNumbers:
  """Adds the numbers of one file's records to its index.

  Attributes:
    samples: Sample of the keys in each column, and in further ones.
  """

  def __init__(
    self, features: Mapping[str, str], path: str, bad: BadRecords, sampled: Sequence[str] = ()
  ) -> None:
    """Takes the feature of each column: 'time', without which records are bad, and 'number'.

    Args:
      features: Features by column.
      path: Path of the file.
      bad: Takes records that cannot be used.
      sampled: Further columns of the index, which are sampled.
    """
    self._features, self._path, self._bad = features, path, bad
    none = np.empty(0, np.uint64)
    self.samples = dict.fromkeys((*features, *sampled), NumberSample.of(none, none))

  def fill(self, rows: Rows, columns: ValuesByFeature, file_number: int) -> None:
    """Fills the columns of the index of some records, rows [n], of one file.

    Raises:
      DataError: if a record has no time, or one that is no finite number, and such are not skipped.
    """
    for name, feature in self._features.items():
      kept = np.flatnonzero(rows['code'] < BAD)
      if not len(kept):
        continue
      if name == 'time':
        keys, wrong = self._times(columns[feature], kept, rows['position'])
        rows['code'][wrong] = BAD
      else:
        keys = _present_keys(columns[feature])
      rows[name][kept] = keys[kept]
    kept = np.flatnonzero(rows['code'] < BAD)
    numbers = np.uint64(file_number << 40) + rows['position'][kept].astype(np.uint64)
    for name in self.samples:
      drawn = NumberSample.of(numbers, rows[name][kept])
      self.samples[name] = NumberSample.merge([self.samples[name], drawn])

  def _times(self, column: FeatureValues, kept: Ints, positions: Ints) -> tuple[UInts, Ints]:
    """Returns the key of each record's time, uint64 [n], and which of those kept have none."""
    feature, values = self._features['time'], column.first()
    if values.dtype == object:
      raise DataError(
        f'feature {feature!r} holds text in {self._path}, and order_by= takes a number; '
        f'write times as int64 before this component, such as seconds since 1970'
      )
    wrong = kept[((column.lengths != 1) | ~np.isfinite(values))[kept]]
    for at in wrong.tolist():
      n = column.lengths[at]
      has = f'the value {values[at]}' if n == 1 else f'{n} values' if n else 'no value'
      fault = DataError(
        f'feature {feature!r} has {has} in record {positions[at]} of {self._path}; order_by= '
        f'takes a feature of one finite number in each record: fill it in, or skip such records '
        f"with bad_records='skip'" + (f'; {FILL_HINT}' if not n else '')
      )
      self._bad.add(int(positions[at]), fault)
    return keys_of(values), wrong


def _present_keys(column: FeatureValues) -> UInts:
  """Returns the key of each record's number, an arbitrary one if it has none: uint64 [n]."""
  values = column.first()
  present = (column.lengths == 1) & ~np.isnan(values)
  return keys_of(np.where(present, values, values.dtype.type(0)))


Identity = Callable[[Rows, Frames, ValuesByFeature], UInts]
"""Function from the index of records, their frames and values to the hashes that identify them."""
_VALUE, _LENGTH, _NEXT = (tie_break(0, 'key', part) for part in ('value', 'length', 'next'))
_OWN = tie_break(0, 'own group')


def key_hashes(
  columns: ValuesByFeature, features: Sequence[str], groups: GroupBy | None = None
) -> tuple[UInts, Ints]:
  """Returns hashes of some features of records, or of what groups are made of.

  Equal values of all these features give equal hashes, whatever else a record holds and in whatever
  order its features are. A feature may have any number of values, but one at least; NaN, which
  equals nothing, among them is as no value.

  Returns:
    hashes: Hash of each record: uint64 [n].
    absent: Place among the features of one that the record has no value of, -1 for none: int64 [n].
  """
  n_records = len(columns[features[0]].lengths)
  hashes, absent = np.zeros(n_records, np.uint64), np.full(n_records, -1, np.int64)
  for i, name in enumerate(features):
    hashes = mix(hashes ^ _hashes_of_lists(columns[name], groups), _NEXT)
    absent[~columns[name].are_present()] = i
  return hashes, absent


def _hashes_of_lists(column: FeatureValues, groups: GroupBy | None) -> UInts:
  """Returns a number for the values of each record, equal for equal ones: uint64 [n]."""
  values = groups.parts_of(column.values) if groups else column.values
  hashes = mix(_hashes(values), _VALUE)
  if column.are_single:
    return hashes
  starts, lengths = column.row_splits[:-1], column.lengths
  place = np.arange(len(hashes)) - np.repeat(starts, lengths)
  placed = np.where(place > 0, mix(hashes ^ place.astype(np.uint64), _LENGTH), hashes)
  found = np.zeros(len(lengths), np.uint64)
  some = np.flatnonzero(lengths)
  if len(some):
    found[some] = np.add.reduceat(placed, starts[some])
  return found


def _hashes(values: npt.NDArray[Any]) -> UInts:
  """Returns a number for each value, equal for equal ones: uint64 [n]."""
  if values.dtype == object:
    return hashes_of_bytes(values)
  if values.dtype.kind == 'f':
    values = (values + np.float32(0)).view(np.int32)  # -0.0 is 0.0
  return values.astype(np.int64).view(np.uint64)


def identity_of(key: Sequence[str], by_values: bool, payload: Payload, path: str) -> Identity:
  """Returns the function that identifies the records of a file.

  Args:
    key: Features whose values identify a record; none for all of it.
    by_values: Whether its values identify a record, in whatever order its features are.
    payload: Type of the records.
    path: Path of the file, for messages.
  """

  def of_key(rows: Rows, _: Frames, columns: ValuesByFeature) -> UInts:
    found, absent = key_hashes(columns, key)
    kept = rows['code'] < BAD
    wrong = np.flatnonzero((absent >= 0) & kept)
    if len(wrong):
      at = wrong[0]
      raise DataError(
        f'feature {key[absent[at]]!r} has no value in record {rows["position"][at]} of {path}, or '
        f'NaN; key= takes features that all records have'
      )
    return np.where(kept, found, 0).astype(np.uint64)

  def of_values(rows: Rows, frames: Frames, _: ValuesByFeature) -> UInts:
    kept = rows['code'] < BAD
    some = frames if kept.all() else frames.take(np.flatnonzero(kept))
    found = np.zeros(len(rows), np.uint64)
    found[kept] = hashes_of_bytes(canonical_records(some.payloads(), payload, path))
    return found

  def of_bytes(_: Rows, frames: Frames, __: ValuesByFeature) -> UInts:
    return hashes_of_bytes(frames.views())

  return of_key if key else of_values if by_values else of_bytes


class GroupKeys:
  """Hashes of the groups of the records of a file.

  Attributes:
    without: Number of records without a group so far.
  """

  def __init__(self, groups: GroupBy, path: str) -> None:
    self._groups, self._path = groups, path
    self.without = 0

  def hashes(self, rows: Rows, columns: ValuesByFeature) -> UInts:
    """Returns the hash of each record's group, uint64 [n], and marks rows that are dropped.

    Args:
      rows: Index of the records, by their own hashes: [n].
      columns: Values of the records.

    Raises:
      DataError: if a record has no group and must have one.
    """
    features, missing = self._groups.features, self._groups.missing
    found, absent = key_hashes(columns, features, self._groups)
    kept = rows['code'] < BAD
    found[~kept] = 0
    alone = np.flatnonzero((absent >= 0) & kept)
    if missing == 'error' and len(alone):
      raise DataError(
        f'feature {features[absent[alone[0]]]!r} has no value in record '
        f'{rows["position"][alone[0]]} of {self._path}, or NaN; pass '
        f"missing_group='own' or 'drop', or fill it in; {FILL_HINT}"
      )
    self.without += len(alone)
    if missing == 'own':
      found[alone] = mix(rows['hash'][alone], _OWN)
    else:
      rows['code'][alone] = DROPPED
    return found
