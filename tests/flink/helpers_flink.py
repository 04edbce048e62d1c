"""Pipelines for Flink, the data they run on, and accidents in the middle of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.data import SPLIT, DataFiles, DataSpec, find_or_write
from tests.helpers_examples import examples_artifact
from tests.helpers_pipeline import importer

PORTABLE = ('--sdk_container_image=none',)
"""Beside the cluster's own arguments: workers of this environment need no package of TFX."""


def make_files(cache: Path, records: int, shards: int) -> DataFiles:
  """Returns gzip files of records that all differ, in classes of 60, 25, 10, 4 and 1 percent."""
  return find_or_write(DataSpec('small', records, shards), cache)


def import_files(files: DataFiles):
  """Returns a node that publishes the files as an `Examples` artifact."""
  custom = {'payload_format': 'FORMAT_TF_EXAMPLE', 'tfx_version': '1.16.0'}
  return importer(examples_artifact(files.folder, [SPLIT], custom))


class Accident:
  """Something that happens as soon as a work file with a given name is there.

  A context manager; at its end the accident must have happened.

  Attributes:
    outcome: what happened; None as long as nothing has.
    times: how often it did.
  """

  def __init__(
    self, root: Path, stem: str, happen: Callable[[], object], again: bool = False
  ) -> None:
    self._root, self._pattern = root, f'**/.work-*/{stem}-*'
    self._happen, self._again = happen, again
    self._over = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self.outcome: object = None
    self.times = 0

  def __enter__(self) -> Accident:
    self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._over.set()
    self._thread.join()
    assert self.times, f'no file {self._pattern} came to be: nothing happened'

  def _watch(self) -> None:
    while not self._over.is_set() and next(self._root.glob(self._pattern), None) is None:
      time.sleep(0.005)
    while not self._over.is_set() and (self._again or not self.times):
      self.outcome = self._happen() or self.outcome
      self.times += 1
      time.sleep(0.05)
