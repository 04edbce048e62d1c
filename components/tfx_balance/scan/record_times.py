"""The time of each record: one number, which splits are ordered by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.errors import DataError
from tfx_balance.plan.number_keys import NumberSample, keys_of
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.scan.strata import BATCH_RECORDS, ClassColumn, Payload
from tfx_balance.tfrecord.frames import Frames
from tfx_balance.tfrecord.reading import BadRecords


@dataclass(frozen=True, eq=False)
class Times:
  """What is known of the times of some records.

  Attributes:
    kinds: Types that they are of, 'int' and 'float', with a file that has times of the type.
    sample: Sample of their keys.
  """

  kinds: dict[str, str]
  sample: NumberSample

  def merge(self, other: Times) -> Times:
    """Returns the same of these records and others."""
    return Times({**other.kinds, **self.kinds}, NumberSample.merge([self.sample, other.sample]))

  def kind(self, feature: str) -> str:
    """Returns the type of all the times.

    Raises:
      DataError: if there are several.
    """
    if len(self.kinds) > 1:
      found = ', '.join(f'{kind} in {path}' for kind, path in sorted(self.kinds.items()))
      raise DataError(
        f'feature {feature!r} has values of several types ({found}), and order_by= takes one '
        f'type; write it as int64 in all files'
      )
    return next(iter(self.kinds), 'int')


class RecordTimes:
  """Turns the records of one file into the keys of their times."""

  def __init__(self, feature: str, payload: Payload, path: str, bad: BadRecords) -> None:
    self._column = ClassColumn(feature, payload, path)
    self._path, self._bad = path, bad

  @property
  def kinds(self) -> dict[str, str]:
    """The type of the times, with the file."""
    return {self._column.kind: self._path} if self._column.kind else {}

  def keys(self, frames: Frames, positions: Ints) -> tuple[UInts, Ints]:
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
        f'feature {self._column.name!r} holds text in {self._path}, and order_by= takes a number; '
        f'write times as int64 before this component, such as seconds since 1970'
      )
    wrong = np.flatnonzero((counts != 1) | ~np.isfinite(values))
    for at in wrong.tolist():
      self._bad.add(int(positions[at]), self._fault(int(positions[at]), values[at], counts[at]))
    return keys_of(values), wrong

  def _fault(self, position: int, value: Any, count: int) -> DataError:
    has = f'the value {value}' if count == 1 else f'{count} values' if count else 'no value'
    return DataError(
      f'feature {self._column.name!r} has {has} in record {position} of {self._path}; order_by= '
      f'takes a feature of one finite number in each record: fill it in, or skip such records '
      f"with bad_records='skip'"
    )

  def _values(self, frames: Frames) -> tuple[npt.NDArray[Any], Ints]:
    """Returns a value of each record, any where there is none, and how many it has: [n]."""
    found = self._column.values_by_place(frames)
    if found is not None and self._column.kind in (None, found[0]):
      self._column.kind = found[0]
      return found[1], np.ones(len(frames), np.int64)
    records = frames.payloads()
    batches = range(0, len(records), BATCH_RECORDS)
    values, counts = zip(
      *(self._parsed(records[i : i + BATCH_RECORDS]) for i in batches), strict=True
    )
    return np.concatenate(values), np.concatenate(counts)

  def _parsed(self, records: Sequence[bytes]) -> tuple[npt.NDArray[Any], Ints]:
    with tf.device('CPU'):
      values, row_splits = self._column.parse(tf.constant(records))
    counts = np.diff(row_splits)
    if not len(values):
      return np.zeros(len(counts), np.int64), counts
    return values[np.minimum(row_splits[:-1], len(values) - 1)], counts
