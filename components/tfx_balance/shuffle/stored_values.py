"""Large values that steps share: written to a work file once, so that side inputs are its path.

Beam holds a side input once for each step that takes it, as bytes, and on one machine also as an
object until the run ends: 100 MB of these. With 200,000 strata the plan of a run is such a value.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from tfx_balance.errors import StorageError
from tfx_balance.tfrecord.storage import read_whole
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file


@dataclass(frozen=True)
class StoredValue:
  """A value in a work file.

  Attributes:
    path: Path of the file.
    sha256: Digest of its bytes. Loading can run code, so only what this run wrote is loaded.
  """

  path: str
  sha256: bytes

  def load(self) -> Any:
    """Returns the value.

    Raises:
      OSError: if the file cannot be read.
      StorageError: if it is not what was written.
    """
    data = read_whole(self.path)
    if hashlib.sha256(data).digest() != self.sha256:
      raise StorageError(
        f'{self.path} is not what this run wrote there: its {len(data):,} bytes have another '
        f'SHA-256; see who can write in that folder, and whether its disk is sound, and run again'
      )
    return pickle.loads(data)


def store(values: beam.PCollection, label: str, work_dir: str) -> beam.PCollection[StoredValue]:
  """Returns the values in work files, for `WithStored` to take.

  Args:
    values: Values of any type that can be pickled.
    label: Label of the step, and beginning of the files' names.
    work_dir: Folder of work files, which every worker reaches.
  """

  def write(value: Any) -> StoredValue:
    path, data = new_work_file(work_dir, label.lower()), pickle.dumps(value, 5)
    with create_as_is(path) as file:
      file.write(data)
    return StoredValue(path, hashlib.sha256(data).digest())

  return values | label >> beam.Map(write)


class WithStored(beam.DoFn):
  """Applies a function of an element and of side inputs, given these as stored values.

  They are loaded once for a bundle, and not held after it. A side input is a `StoredValue`, or a
  list of these.
  """

  def __init__(self, call: Callable[..., Iterable[Any]]) -> None:
    """Takes the function, which returns any number of elements."""
    self._call = call
    self._loaded: list[Any] | None = None

  def process(self, element: Any, *stored: Any) -> Iterable[Any]:
    if self._loaded is None:
      self._loaded = [
        given.load() if isinstance(given, StoredValue) else [each.load() for each in given]
        for given in stored
      ]
    return self._call(element, *self._loaded)

  def finish_bundle(self) -> None:
    self._loaded = None
