"""The label sets of records: of one feature with several values, or of several features of 0 and 1.

While a file is read, a set is the numbers of its labels, in bytes, so that Arrow compares the sets
of a batch at once. Once it is read, its sets become texts that are the same in all files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import FILL_HINT, Kind
from tfx_balance.plan.distinct_sets import distinct_members
from tfx_balance.plan.labels import are_no_labels, as_flags
from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.record_reader import ValuesByFeature
from tfx_balance.scan.strata import FeatureReader, MissingLabel, Numbering, Value
from tfx_balance.scan.stratum_counts import join_labels, label_text


def label_readers(
  features: Sequence[str], labels: Sequence[str], path: str, missing: MissingLabel
) -> list[FeatureReader]:
  """Returns the reader of label sets, followed by those of the other features.

  Args:
    features: Features that strata are made of.
    labels: Those among them that have the labels: one of any number of values, or several.
    path: Path of the file, for messages.
    missing: Treatment of records without labels.
  """
  kind = LabelSetReader if len(labels) == 1 else FlagSetReader
  first: FeatureReader = kind(labels, path, missing == 'drop')
  return [first, *(FeatureReader(name, path) for name in features if name not in labels)]


class LabelSetReader(FeatureReader):
  """Reads label sets from a feature that has any number of values.

  The values of a record are its labels, in any order, and equal ones count once. A record without a
  value, or without the feature, has the empty set; where such are dropped, it is missing.
  """

  def __init__(self, names: Sequence[str], path: str, drops: bool) -> None:
    super().__init__(names[0], path)
    self._drops = drops
    self._labels = Numbering()

  def classes(self, columns: ValuesByFeature, position: int) -> pa.Array:
    """Returns the set of each record, as numbers of labels: binary [n]."""
    column = columns[self.name]
    flags = as_flags(column.values, column.lengths)
    if flags is not None and are_no_labels(flags):
      raise DataError(
        f'feature {self.name!r} has {flags.shape[1]} values in each record of {self.path} from '
        f'record {position} on, all 0 or 1, some twice; with multilabel=True the values are '
        f'labels: give the positions of the ones, or a feature of 0 or 1 for each label'
      )
    numbers = self._labels.numbers(self._as_classes(column, position))
    return _sets(numbers, column.row_splits, column.lengths == 0 if self._drops else None)

  @property
  def stratum_kind(self) -> Kind:
    """The type of the classes that `stratum_values` returns."""
    return 'set' if len(self._labels) else 'missing'

  def stratum_values(self, values: Sequence[Value]) -> pa.Array:
    """Returns sets as texts, null for the empty one."""
    return _texts(values, self._labels.values)


class FlagSetReader(FeatureReader):
  """Reads label sets from several features of 0 and 1: the names of those that are 1."""

  def __init__(self, names: Sequence[str], path: str, drops: bool) -> None:
    super().__init__(names[0], path)
    self.features = names
    self._drops = drops

  def classes(self, columns: ValuesByFeature, position: int) -> pa.Array:
    """Returns the set of each record, as numbers of features: binary [n]."""
    missing = np.zeros(len(columns[self.name].lengths), bool)
    flags = np.zeros((len(missing), len(self.features)), bool)
    for i, name in enumerate(self.features):
      column = FeatureReader(name, self.path).classes(columns, position)
      absent = column.is_null().to_numpy(False)
      if absent.any() and not self._drops:
        raise DataError(
          f'feature {name!r} has no value in record {position + int(absent.argmax())} of '
          f'{self.path}; of several features with multilabel=True each is 0 or 1 in each record: '
          f"fill it in, or drop such records (missing_label='drop' of StratifiedSplitter); "
          f'{FILL_HINT}'
        )
      missing |= absent
      values = column.to_numpy(False)
      flags[:, i] = values == 1
      wrong = np.flatnonzero((values != 1) & (values != 0) & ~absent)
      if len(wrong):
        at = int(wrong[0])
        raise DataError(
          f'feature {name!r} is {column[at].as_py()!r} in record {position + at} of {self.path}; '
          f'of several features with multilabel=True each is 0 or 1: name such, or one of several '
          f'values'
        )
    records, numbers = np.nonzero(flags)
    row_splits = np.searchsorted(records, np.arange(len(missing) + 1))
    return _sets(numbers, row_splits, missing if missing.any() else None)

  @property
  def stratum_kind(self) -> Kind:
    """The type of the classes that `stratum_values` returns."""
    return 'set'

  def stratum_values(self, values: Sequence[Value]) -> pa.Array:
    """Returns sets as texts, null for the empty one."""
    return _texts(values, [name.encode() for name in self.features])


def _sets(numbers: Ints, row_splits: Ints, missing: npt.NDArray[np.bool_] | None) -> pa.Array:
  """Returns the distinct numbers of each record, in bytes: binary [n], null where missing."""
  members, row_splits = distinct_members(numbers, row_splits)
  words = members.astype(np.int32)
  buffers = [(row_splits * words.itemsize).astype(np.int32), words]
  n = len(row_splits) - 1
  sets = pa.Array.from_buffers(pa.binary(), n, [None, *map(pa.py_buffer, buffers)])
  return sets if missing is None else sets.take(pa.array(np.arange(n), mask=missing))


def _texts(sets: Sequence[Value], labels: Sequence[Any]) -> pa.Array:
  """Returns the texts of sets of numbers of labels, null for the empty one, at which None is."""
  order = sorted(range(len(labels)), key=labels.__getitem__)
  rank = np.argsort(np.array(order, np.int64))
  numbers_of_sets = [numbers if isinstance(numbers, bytes) else b'' for numbers in sets]
  row_splits = np.cumsum([0, *map(len, numbers_of_sets)]) // np.dtype(np.int32).itemsize
  members, row_splits = distinct_members(
    rank[np.frombuffer(b''.join(numbers_of_sets), np.int32)], row_splits
  )
  return join_labels([label_text(labels[i]) for i in order], members, np.diff(row_splits))
