"""Class-sharded TFRecord files as a source of batches.

Small classes are held in memory, so that a thousand of them keep no file open and a batch is one
native gather. Classes past the budget are streamed, a window of files at a time.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_whole
from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.errors import DataError
from tfx_balance.inputs.file_cache import FileCache, gather_from_files
from tfx_balance.inputs.file_layout import FileLayout
from tfx_balance.inputs.ordered_files import ordered_files
from tfx_balance.inputs.parsing import parsing_reader
from tfx_balance.inputs.records import RECORD_OVERHEAD, read_all
from tfx_balance.inputs.source import (
  DEFAULT_MEMORY_BUDGET,
  FeatureSpec,
  Fetch,
  Ints,
  Reader,
)
from tfx_balance.plan.sampling import ClassCounts


@dataclass
class FileSource:
  """The records of a plan.

  Attributes:
    plan: what is where.
    root: the artifact that the plan's paths are relative to.
    memory_budget: bytes of records to hold.
  """

  plan: InputPlan
  root: str
  memory_budget: int = DEFAULT_MEMORY_BUDGET
  counts: ClassCounts = field(init=False)
  natural: Mapping[str, tuple[int, ...]] = field(init=False)
  seed: int = field(init=False)
  _layout: FileLayout = field(init=False, repr=False)
  _pool: Any = field(default=None, repr=False)
  _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

  def __post_init__(self) -> None:
    self.memory_budget = check_whole('memory_budget', self.memory_budget, 0)
    self.counts = ClassCounts(self.plan.classes, self.plan.records)
    self.natural, self.seed = self.plan.natural, self.plan.seed
    self._layout = FileLayout.of(self.plan, self.memory_budget)
    _check_present(self.plan, self.root)

  def windows(self) -> tuple[tuple[int, ...], ...]:
    """Returns the runs that are shuffled together; see Source."""
    return self._layout.windows

  def reader(self, feature_spec: FeatureSpec | None) -> Reader:
    """Returns what fetches and parses a batch; the first call reads what is held. See Source."""
    layout = self._layout
    pool, pool_starts = self._held_records()
    shift = np.where(layout.held[layout.file], pool_starts - layout.starts, 0)
    streams = ~layout.held[layout.file]

    def rows(records: Ints) -> Ints:
      segment = np.searchsorted(layout.starts, records, side='right') - 1
      return np.where(streams[segment], -1, records + shift[segment])

    def gather(at: tf.Tensor, fetched: tf.Tensor | None) -> tf.Tensor:
      if fetched is None:
        return tf.gather(pool, at)
      if not layout.held.any():
        return fetched
      return tf.where(at < 0, fetched, tf.gather(pool, tf.maximum(at, 0)))

    read = parsing_reader(gather, self.plan.label, self.plan.classes, feature_spec)
    return Reader(rows, read, self._fetch() if streams.any() else None)

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the files in order; see Source."""
    planned = sum(self.plan.records)
    return ordered_files(self._paths(), batch_size, self.plan.label, feature_spec, planned)

  def _paths(self) -> list[str]:
    return [f'{self.root}/{file.path}' for file in self.plan.files]

  def _held_records(self) -> tuple[tf.Tensor, npt.NDArray[np.int64]]:
    """Returns the records held in memory, and each segment's place among them."""
    with self._lock:
      if self._pool is None:
        files = np.flatnonzero(self._layout.held)
        paths = [self._paths()[f] for f in files]
        counts = [self.plan.files[f].records for f in files]
        self._pool = read_all(paths, counts)
    counts_held = np.array(
      [f.records if h else 0 for f, h in zip(self.plan.files, self._layout.held, strict=True)]
    )
    before = np.cumsum(counts_held) - counts_held
    return self._pool, before[self._layout.file] + self._layout.offset

  def _fetch(self) -> Fetch:
    """Returns how records of streamed classes are got."""
    layout, plan = self._layout, self.plan
    counts = [file.records for file in plan.files]
    sizes = [file.n_bytes + RECORD_OVERHEAD * file.records for file in plan.files]
    # What was used longest ago goes first, so the file that takes another's place needs room too.
    limit = max(self.memory_budget // 2, layout.window_bytes + max(sizes))
    if limit > self.memory_budget // 2:
      warnings.warn(
        f'streaming the classes that memory_budget={self.memory_budget} does not hold needs '
        f'{limit} bytes, a window of each and a file; raise memory_budget=, or write smaller files',
        stacklevel=4,
      )
    cache = FileCache(self._paths(), counts, sizes, limit)
    streams = ~layout.held[layout.file]

    def fetch(records: Ints) -> npt.NDArray[Any]:
      segment = np.searchsorted(layout.starts, records, side='right') - 1
      mine = streams[segment]
      segment, records = segment[mine], records[mine]
      position = records - layout.starts[segment] + layout.offset[segment]
      found = np.full(len(mine), b'', object)
      found[mine] = gather_from_files(cache, layout.file[segment], position)
      return found

    return Fetch(fetch, sum(file.n_bytes for file in plan.files) // sum(counts))


def _check_present(plan: InputPlan, root: str) -> None:
  """Checks that every file is there, with one listing a folder.

  Raises:
    DataError: if one is not.
  """
  folders = sorted({os.path.dirname(file.path) for file in plan.files})
  found: set[str] = set()
  for folder in folders:
    try:
      found |= {f'{folder}/{name}' for name in tf.io.gfile.listdir(f'{root}/{folder}')}
    except tf.errors.NotFoundError:
      continue
  missing = [file.path for file in plan.files if file.path not in found]
  if missing:
    more = f' and {len(missing) - 1} more' if len(missing) > 1 else ''
    raise DataError(
      f'{root}/{missing[0]}{more} does not exist, and the plan names it; put it back, or load the '
      f'place where the artifact is now'
    )
