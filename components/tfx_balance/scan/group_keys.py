"""Hashes of the features that make groups, in place of the hash that identifies a record."""

from __future__ import annotations

import numpy as np

from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.group_by import GroupBy
from tfx_balance.plan.ranks import UInts, mix
from tfx_balance.scan.record_keys import RecordKeys
from tfx_balance.scan.spill import Rows
from tfx_balance.scan.strata import BAD, DROPPED, Payload
from tfx_balance.tfrecord.frames import Frames

_OWN = tie_break(0, 'own group')


class GroupKeys:
  """Turns the records of one file into hashes of their groups.

  Attributes:
    keys: Hashes of the features that make groups.
    without: Number of records without a group so far.
  """

  def __init__(self, groups: GroupBy, payload: Payload, path: str) -> None:
    self.keys = RecordKeys(groups.features, payload, path, groups)
    self._missing, self._path = groups.missing, path
    self.without = 0

  def hashes(self, rows: Rows, frames: Frames) -> UInts:
    """Returns the hash of each record's group: uint64 [n]; marks those that are dropped.

    Args:
      rows: Index of the records, by their own hashes: [n].
      frames: Their frames.

    Raises:
      DataError: if a record has no group and must have one.
    """
    kept = np.flatnonzero(rows['code'] < BAD)
    found = np.zeros(len(rows), np.uint64)
    if not len(kept):
      return found
    hashes, absent = self.keys.find(frames if len(kept) == len(rows) else frames.take(kept))
    found[kept] = hashes
    alone = np.flatnonzero(absent >= 0)
    if not len(alone):
      return found
    if self._missing == 'error':
      name = self.keys.names[absent[alone[0]]]
      raise DataError(
        f'feature {name!r} has no value in record {rows["position"][kept[alone[0]]]} of '
        f"{self._path}, or NaN; pass missing_group='own' or 'drop', or fill it in"
      )
    self.without += len(alone)
    if self._missing == 'own':
      found[kept[alone]] = mix(rows['hash'][kept[alone]], _OWN)
    else:
      rows['code'][kept[alone]] = DROPPED
    return found
