"""The last used files within a number of bytes, and files that are read before they are due."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.inputs.parsing import RecordForm
from tfx_balance.inputs.record_files import RecordsAt, read_file
from tfx_balance.plan.ranks import Ints
from tfx_balance.tfrecord.reading import FileVersions


@dataclass
class FileCache:
  """The last used files within a number of bytes; for one caller at a time.

  What it holds never changes what a batch is, only how soon it comes.

  Attributes:
    paths: Paths of the files.
    counts: Number of records of each file.
    n_bytes: Bytes that each file takes in memory.
    limit: Bytes to hold; the file in use is held in any case.
    form: How records are kept.
    versions: Versions that the files must be of, whenever they are read.
    used: Bytes that are held, those of files that are being read included.
  """

  paths: list[str]
  counts: list[int]
  n_bytes: list[int]
  limit: int
  form: RecordForm
  versions: FileVersions = field(default_factory=FileVersions)
  used: int = 0
  _cached: OrderedDict[int, Future[RecordsAt]] = field(default_factory=OrderedDict)
  _taken: list[int] = field(default_factory=list)  # files of the last `take`
  _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

  def take(self, file: Ints, position: Ints) -> list[npt.NDArray[Any]]:
    """Returns the records at positions [n] in files [n]: arrays [n, ...], as the form has them.

    Raises:
      DataError: if a file cannot be read.
    """
    order = np.argsort(file, kind='stable')
    ordered, positions = file[order], position[order]
    files, starts = np.unique(ordered, return_index=True)
    self._taken = files.tolist()
    self._touch(self._taken)
    out = empty_columns(self.form, len(file))
    edges = [*starts.tolist(), len(order)]
    for one, (start, end) in zip(self._taken, itertools.pairwise(edges), strict=True):
      own = self._get(one)(positions[start:end])
      for column, values in zip(out, own, strict=True):
        column[order[start:end]] = values
    return out

  def read_ahead(self, files: Ints) -> None:
    """Begins to read files, if there is room without those that the last `take` used.

    A fault of a file is raised when it is used.
    """
    due = np.unique(files).tolist()
    self._touch(due)
    for file in due:
      if file not in self._cached and self._make_room(self.n_bytes[file], {*self._taken, *due}):
        self._begin(file)

  def _get(self, file: int) -> RecordsAt:
    if file not in self._cached:
      self._make_room(self.n_bytes[file])
      self._begin(file)
    try:
      return self._cached[file].result()
    except BaseException:
      self._drop(file)
      raise

  def _touch(self, files: Sequence[int]) -> None:
    """Makes files the last ones to be dropped, as far as they are held."""
    for file in files:
      if file in self._cached:
        self._cached.move_to_end(file)

  def _begin(self, file: int) -> None:
    self._cached[file] = self._thread.submit(self._read, file)
    self.used += self.n_bytes[file]

  def _read(self, file: int) -> RecordsAt:
    path = self.paths[file]
    with self.versions.reading(path):
      return read_file(path, self.counts[file], self.n_bytes[file], self.form)

  def _make_room(self, n_bytes: int, kept: Collection[int] = ()) -> bool:
    """Drops files, the one used longest ago first, and returns whether bytes fit then.

    Nothing is dropped where files are to be kept and the bytes do not fit beside them.
    """
    others = [file for file in self._cached if file not in kept]
    fits = self.used - sum(self.n_bytes[file] for file in others) + n_bytes <= self.limit
    for file in others if fits or not kept else ():
      if self.used + n_bytes <= self.limit:
        break
      self._drop(file)
    return fits

  def _drop(self, file: int) -> None:
    del self._cached[file]
    self.used -= self.n_bytes[file]


def empty_columns(form: RecordForm, n: int) -> list[npt.NDArray[Any]]:
  """Returns arrays [n, ...] for records as a form has them; strings are bytes objects, b''."""
  return [
    np.full(n, b'', object)
    if spec.dtype == tf.string
    else np.zeros((n, *spec.shape), spec.dtype.as_numpy_dtype)
    for spec in form.columns
  ]
