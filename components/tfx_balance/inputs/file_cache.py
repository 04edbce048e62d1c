"""Files of streamed classes, each held while batches are made from it."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.inputs.records import RecordFile, read_in_python

Ints = npt.NDArray[np.int64]


@dataclass
class FileCache:
  """The last used files within a number of bytes; a file is read once for all who wait for it.

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
  _held: OrderedDict[int, Future[RecordFile]] = field(default_factory=OrderedDict)
  _used: int = 0
  _lock: threading.Lock = field(default_factory=threading.Lock)

  def get(self, file: int) -> RecordFile:
    """Returns a file's records.

    Raises:
      DataError: if the file cannot be read.
    """
    future, mine = self._claim(file)
    if mine:
      try:
        path, n = self.paths[file], self.counts[file]
        future.set_result(read_in_python(path, n))
      except BaseException as error:
        self._drop(file)
        future.set_exception(error)
    return future.result()

  def _claim(self, file: int) -> tuple[Future[RecordFile], bool]:
    """Returns the file's future, and whether the caller is the one to fulfil it."""
    with self._lock:
      if file in self._held:
        self._held.move_to_end(file)
        return self._held[file], False
      future = self._held[file] = Future()
      self._used += self.n_bytes[file]
      while self._used > self.limit and len(self._held) > 1:
        oldest, _ = self._held.popitem(last=False)
        self._used -= self.n_bytes[oldest]
      return future, True

  def _drop(self, file: int) -> None:
    with self._lock:
      if self._held.pop(file, None) is not None:
        self._used -= self.n_bytes[file]


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
