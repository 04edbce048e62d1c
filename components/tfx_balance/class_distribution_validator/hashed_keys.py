"""Hashes of what may not be in two splits: whole records, or the values of a feature."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from tfx_balance.scan.fixed_layout import ValueKind
from tfx_balance.scan.record_reader import (
  BATCH_RECORDS,
  SNIFFED_RECORDS,
  Payload,
  RecordReader,
)
from tfx_balance.scan.record_values import canonical_records

_SEEDS: dict[ValueKind, int] = {'int': 1, 'float': 2, 'bytes': 3}
_LIST_OF_BYTES = 4


@dataclass(frozen=True)
class KeyKind:
  """The key of a record: its whole, or the values of a feature.

  Attributes:
    feature: Feature whose values are compared; None for whole records.
    payload: Type of the records.
    by_values: Whether whole records are compared by value, in whatever order their features are.
    batch_records: Number of records that are parsed at a time.
  """

  feature: str | None
  payload: Payload
  by_values: bool = False
  batch_records: int = BATCH_RECORDS

  def of_file(self, path: str) -> WholeRecords:
    """Returns the object that hashes the keys of a file's records."""
    return (WholeRecords if self.feature is None else FeatureKeys)(self, path)


class WholeRecords:
  """Hashes whole records: their bytes, or a form that is the same for equal values.

  Attributes:
    kind: Type of the values that are hashed; None for whole records, or before the first value.
    feature_names: Names of the features of the first records.
  """

  kind: ValueKind | None = None

  def __init__(self, of: KeyKind, path: str) -> None:
    self.feature_names: list[str] = []
    self._of, self._path = of, path

  def digests(self, records: list[bytes]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Returns the hash of each key, and which records have one: uint64 [m, 2], bool [n]."""
    if self._of.by_values:
      records = canonical_records(records, self._of.payload, self._path)
    return _as_numbers(map(xxhash.xxh3_128_digest, records)), np.ones(len(records), np.bool_)


class FeatureKeys(WholeRecords):
  """Hashes the values that records have of one feature; one or several, in their order.

  A record with NaN among them has no key, for NaN equals nothing.
  """

  def __init__(self, of: KeyKind, path: str) -> None:
    super().__init__(of, path)
    self._feature = of.feature or ''
    self._reader = RecordReader([self._feature], of.payload, path)

  def digests(self, records: list[bytes]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Returns the hash of each key, and which records have one; see `WholeRecords.digests`."""
    if not self.feature_names:
      self._reader.sniff(records[:SNIFFED_RECORDS])
      self.feature_names = self._reader.feature_names
    found, present = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.bool_)]
    batch = self._of.batch_records
    for i in range(0, len(records), batch):
      column = self._reader.parse(records[i : i + batch])[self._feature]
      self.kind = self._reader.kinds[self._feature]
      filled, have_key = column.lengths > 0, column.are_present()
      present.append(have_key)
      if self.kind is not None:
        digests = _digests_of_values(column.values, column.row_splits, self.kind)
        found.append(digests[have_key[filled]])
    return np.concatenate(found), np.concatenate(present)


def _digests_of_values(
  values: npt.NDArray[Any], row_splits: npt.NDArray[np.int64], kind: ValueKind
) -> npt.NDArray[np.uint64]:
  """Returns the hash of each row that has values: uint64 [m, 2]. Types never give equal ones."""
  edges = row_splits[np.append(True, np.diff(row_splits) > 0)].tolist()
  if kind == 'bytes':
    rows = [values[low:high] for low, high in pairwise(edges)]
    return _as_numbers(_digest_of_bytes(row) for row in rows)
  if kind == 'float':
    values = values + np.float32(0)  # -0.0 is 0.0
  data, width = values.tobytes(), values.itemsize
  cells = (data[low * width : high * width] for low, high in pairwise(edges))
  return _as_numbers(map(xxhash.xxh3_128_digest, cells, repeat(_SEEDS[kind])))


def _digest_of_bytes(row: npt.NDArray[Any]) -> bytes:
  """Returns the hash of a value, or of several, whose lengths then keep them apart."""
  if len(row) == 1:
    return xxhash.xxh3_128_digest(row[0], _SEEDS['bytes'])
  cells = b''.join(len(value).to_bytes(8, 'little') + value for value in row)
  return xxhash.xxh3_128_digest(cells, _LIST_OF_BYTES)


def _as_numbers(digests: Any) -> npt.NDArray[np.uint64]:
  """Returns 16-byte hashes as two numbers each."""
  return np.frombuffer(b''.join(digests), '>u8').reshape(-1, 2).astype(np.uint64)
