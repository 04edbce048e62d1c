"""Index columns of one number a record, such as its time, as 64-bit keys in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import FILL_HINT
from tfx_balance.plan.number_keys import NumberSample, keys_of
from tfx_balance.plan.ranks import Ints, UInts, record_numbers
from tfx_balance.scan.record_reader import FeatureValues, ValuesByFeature
from tfx_balance.scan.spill import Rows
from tfx_balance.scan.strata import BAD
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
    numbers = record_numbers(file_number, 0, 1) + rows['position'][kept].astype(np.uint64)
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
