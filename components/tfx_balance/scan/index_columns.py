"""Columns of an index for a number of each record, such as its time, as a key of the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.errors import DataError
from tfx_balance.plan.number_keys import NumberSample, keys_of
from tfx_balance.plan.ranks import Ints, UInts, record_numbers
from tfx_balance.scan.spill import Rows, index_row
from tfx_balance.scan.strata import BAD, BATCH_RECORDS, ClassColumn, Payload
from tfx_balance.tfrecord.frames import Frames
from tfx_balance.tfrecord.reading import BadRecords


class RecordNumbers:
  """Turns the records of one file into the keys of their numbers of a feature."""

  def __init__(self, feature: str, payload: Payload, path: str, bad: BadRecords) -> None:
    self.column = ClassColumn(feature, payload, path)
    self._path, self._bad = path, bad

  def times(self, frames: Frames, positions: Ints) -> tuple[UInts, Ints]:
    """Returns the key of each record's time, uint64 [n], and which records have none, int64 [m].

    Args:
      frames: Frames of the records, all of which can be parsed.
      positions: Position of each in the file, for messages: int64 [n].

    Raises:
      DataError: if a record has no time, or one that is no finite number, and such are not skipped.
    """
    values, counts = self._values(frames)
    if values.dtype == object:
      raise DataError(
        f'feature {self.column.name!r} holds text in {self._path}, and order_by= takes a number; '
        f'write times as int64 before this component, such as seconds since 1970'
      )
    wrong = np.flatnonzero((counts != 1) | ~np.isfinite(values))
    for at in wrong.tolist():
      self._bad.add(int(positions[at]), self._fault(int(positions[at]), values[at], counts[at]))
    return keys_of(values), wrong

  def known_keys(self, frames: Frames) -> UInts:
    """Returns the key of each record's number, any where there is none: uint64 [n]."""
    values, counts = self._values(frames)
    return keys_of(np.where((counts == 1) & ~np.isnan(values), values, values.dtype.type(0)))

  def _fault(self, position: int, value: Any, count: int) -> DataError:
    has = f'the value {value}' if count == 1 else f'{count} values' if count else 'no value'
    return DataError(
      f'feature {self.column.name!r} has {has} in record {position} of {self._path}; order_by= '
      f'takes a feature of one finite number in each record: fill it in, or skip such records '
      f"with bad_records='skip'"
    )

  def _values(self, frames: Frames) -> tuple[npt.NDArray[Any], Ints]:
    """Returns a value of each record, any where there is none, and how many it has: [n]."""
    found = self.column.values_by_place(frames)
    if found is not None:
      return found, np.ones(len(frames), np.int64)
    records = frames.payloads()
    batches = range(0, len(records), BATCH_RECORDS)
    values, counts = zip(
      *(self._parsed(records[i : i + BATCH_RECORDS]) for i in batches), strict=True
    )
    return np.concatenate(values), np.concatenate(counts)

  def _parsed(self, records: Sequence[bytes]) -> tuple[npt.NDArray[Any], Ints]:
    with tf.device('CPU'):
      values, row_splits = self.column.parse(tf.constant(records))
    counts = np.diff(row_splits)
    if not len(values):
      return np.zeros(len(counts), np.int64), counts
    return values[np.minimum(row_splits[:-1], len(values) - 1)], counts


class IndexColumns:
  """Adds the numbers of one file's records to its index.

  Attributes:
    samples: Sample of the keys in each column.
  """

  def __init__(self, columns: Mapping[str, RecordNumbers]) -> None:
    """Takes what reads each column: 'time', without which records are bad, and 'number'."""
    self._columns = columns
    self._row = index_row(*columns)
    none = np.empty(0, np.uint64)
    self.samples = dict.fromkeys(columns, NumberSample.of(none, none))

  def extended(self, rows: Rows, frames: Frames, rank: int) -> Rows:
    """Returns the index of some frames of the file with a rank, with the columns: [n]."""
    if not self._columns:
      return rows
    found = np.zeros(len(rows), self._row)
    for name in rows.dtype.names or ():
      found[name] = rows[name]
    for name, column in self._columns.items():
      kept = np.flatnonzero(found['code'] < BAD)
      if not len(kept):
        continue
      chosen = frames if len(kept) == len(rows) else frames.take(kept)
      positions = found['position'][kept].astype(np.int64)
      if name == 'time':
        found[name][kept], wrong = column.times(chosen, positions)
        found['code'][kept[wrong]] = BAD
      else:
        found[name][kept] = column.known_keys(chosen)
      numbers = record_numbers(rank, 0, 1) + positions.astype(np.uint64)
      drawn = NumberSample.of(numbers, found[name][kept])
      self.samples[name] = NumberSample.merge([self.samples[name], drawn])
    return found
