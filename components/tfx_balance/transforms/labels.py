"""Records to the strata that they belong to, one file at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.transforms.class_column import ClassColumn, Payload, feature_kinds
from tfx_balance.transforms.file_strata import FileStrata

MissingLabel = Literal['error', 'own_stratum', 'drop']
"""What becomes of records without a label; 'error' is raised by who plans, with their number."""

BATCH_RECORDS = 4096
DROPPED = 0xFFFFFFFF
"""The code of a record that is left out."""

_SNIFFED_RECORDS = 64


class StratumDecoder:
  """Turns the records of one file into codes of strata, which it numbers as it meets them.

  Attributes:
    feature_names: the features that the first records have, for messages.
    first_missing: position of the first record without a class in each feature that has such.
  """

  def __init__(
    self, features: Sequence[str], payload: Payload, missing: MissingLabel, path: str
  ) -> None:
    self.feature_names: list[str] = []
    self.first_missing: dict[str, int] = {}
    self._columns = [ClassColumn(name, payload, path) for name in features]
    self._payload = payload
    self._drops = missing == 'drop'
    self._path = path
    self._position = 0
    self._codes: dict[tuple[int, ...], int] = {}  # of the classes in a stratum, its own
    self._rows: list[tuple[int, ...]] = []  # the other way round
    self._table = np.full(1, DROPPED, np.uint32)  # the same, of one column: of -1, 0, 1, ...

  def decode(
    self, records: list[bytes], table: npt.NDArray[np.uint8] | None = None
  ) -> npt.NDArray[np.uint32]:
    """Returns the code of each record's stratum, or DROPPED: uint32 [n].

    Args:
      records: the next ones of the file.
      table: the same as rows, where they have one length: uint8 [n, bytes].

    Raises:
      DataError: if a record has several labels, or one that is no class, or if the records are
        no examples; names the file, the feature and the record.
    """
    if not self._position:
      self._sniff(records[:_SNIFFED_RECORDS])
    if table is not None and self._payload == 'FORMAT_TF_EXAMPLE':
      found = [column.codes_of_table(records[0], table, self._position) for column in self._columns]
      columns = [codes for codes in found if codes is not None]
      if len(columns) == len(found):
        self._position += len(records)
        return self._joint(columns)
    batches = range(0, len(records), BATCH_RECORDS)
    codes = [self._decode_batch(records[i : i + BATCH_RECORDS]) for i in batches]
    return np.concatenate(codes) if codes else np.empty(0, np.uint32)

  @property
  def strata(self) -> FileStrata:
    """The strata met so far; a record's code is the position of its stratum here."""
    codes = zip(*self._rows, strict=True) if self._rows else iter([()] * len(self._columns))
    return FileStrata(
      tuple(column.kind or 'missing' for column in self._columns),
      tuple(column.values(each) for column, each in zip(self._columns, codes, strict=True)),
    )

  @property
  def n_strata(self) -> int:
    """How many they are."""
    return len(self._rows)

  def _sniff(self, records: Sequence[bytes]) -> None:
    """Learns the features' names and types from the first records; most have them all."""
    kinds = feature_kinds(records, self._payload, self._path)
    self.feature_names = sorted(kinds)
    for column in self._columns:
      column.kind = kinds.get(column.name)

  def _decode_batch(self, records: list[bytes]) -> npt.NDArray[np.uint32]:
    with tf.device('CPU'):
      serialized = tf.constant(records)
      columns = [column.codes(serialized, self._position) for column in self._columns]
    for column, codes in zip(self._columns, columns, strict=True):
      if column.name not in self.first_missing and codes.min(initial=0) < 0:
        self.first_missing[column.name] = self._position + int(np.argmin(codes))
    self._position += len(records)
    return self._joint(columns)

  def _joint(self, columns: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.uint32]:
    """Returns one code for the classes that a record has in the columns."""
    if len(columns) == 1:
      return self._of_one(columns[0])
    joint = columns[0]
    for column in columns[1:]:
      joint = (joint + 1) * (int(column.max(initial=0)) + 2) + column + 1
    _, first, which = np.unique(joint, return_index=True, return_inverse=True)
    rows = zip(*(column[first].tolist() for column in columns), strict=True)
    return np.array([self._code(row) for row in rows], np.uint32)[which]

  def _of_one(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Returns the same for one column, whose codes count up from 0; -1 is a missing class."""
    lowest, n_known = int(codes.min(initial=0)), len(self._table) - 1
    if lowest < 0:
      self._table[0] = self._code((-1,))
    new = [self._code((code,)) for code in range(n_known, int(codes.max(initial=-1)) + 1)]
    if new:
      self._table = np.append(self._table, np.array(new, np.uint32))
    return self._table[codes + 1]

  def _code(self, row: tuple[int, ...]) -> int:
    """Returns the code of a stratum, given the codes of its classes; -1 is a missing one."""
    if row not in self._codes:
      if self._drops and -1 in row:
        self._codes[row] = DROPPED
      else:
        self._codes[row] = len(self._rows)
        self._rows.append(row)
    return self._codes[row]
