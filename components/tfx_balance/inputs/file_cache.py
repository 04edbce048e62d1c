"""Files of streamed classes, each held while batches are made from it."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.inputs.records import RecordFile, read_in_python

Ints = npt.NDArray[np.int64]


@dataclass
class FileCache:
  """The last used files within a number of bytes; for one caller at a time.

  What it holds never changes what a batch is, only how soon it comes.

  Attributes:
    paths: of the files.
    counts: records in each.
    n_bytes: of each.
    limit: bytes to hold; the file in use is held in any case.
  """

  paths: list[str]
  counts: list[int]
  n_bytes: list[int]
  limit: int
  _held: OrderedDict[int, RecordFile] = field(default_factory=OrderedDict)
  _used: int = 0

  def get(self, file: int) -> RecordFile:
    """Returns a file's records.

    Raises:
      DataError: if the file cannot be read.
    """
    if file in self._held:
      self._held.move_to_end(file)
      return self._held[file]
    self._used += self.n_bytes[file]
    while self._used > self.limit and self._held:  # before the file is read, not after
      oldest, _ = self._held.popitem(last=False)
      self._used -= self.n_bytes[oldest]
    try:
      found = self._held[file] = read_in_python(self.paths[file], self.counts[file])
    except BaseException:
      self._used -= self.n_bytes[file]
      raise
    return found


def gather_from_files(cache: FileCache, file: Ints, position: Ints) -> npt.NDArray[Any]:
  """Returns the records at positions in files: bytes objects [n]."""
  order = np.argsort(file, kind='stable')
  ordered, positions = file[order], position[order]
  edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
  found: list[bytes] = []
  for start, end in itertools.pairwise([0, *edges.tolist(), len(order)]):
    if start < end:
      found += cache.get(int(ordered[start])).take(positions[start:end])
  out = np.empty(len(file), object)
  out[order] = found
  return out
