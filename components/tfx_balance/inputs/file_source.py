"""Class-sharded TFRecord files as a source of batches.

Small classes are in memory, so that a thousand of them keep no file open and a batch is one
native gather. Classes past the budget are streamed, a window of files at a time.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_whole
from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.errors import DataError
from tfx_balance.inputs.file_cache import FileCache, empty_columns
from tfx_balance.inputs.parsing import (
  SEQUENCES,
  FeatureSpec,
  RecordForm,
  TensorColumns,
  batch_reader,
  check_sequences,
  example_parser,
)
from tfx_balance.inputs.record_files import (
  RECORD_OVERHEAD,
  batches_of,
  checked_batches,
  read_all,
  record_place,
)
from tfx_balance.inputs.record_source import DEFAULT_MEMORY_BUDGET, Reader, RecordSource
from tfx_balance.inputs.staging import given_path
from tfx_balance.plan.label_sets import LabelSetCounts
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import TrainingCounts
from tfx_balance.tfrecord.reading import FileVersions

_FILES_AHEAD = 2  # files that may be in memory beside the windows: the next ones


class FileSource(RecordSource):
  """The records of a plan's files.

  Attributes:
    plan: The plan.
    label: Name of the label feature, or names of those of 0 and 1 that are labels.
  """

  _lock = threading.Lock()  # of all sources, as one of its own could not be pickled

  def __init__(
    self, plan: InputPlan, root: str, memory_budget: int = DEFAULT_MEMORY_BUDGET
  ) -> None:
    """Checks that the files are there.

    Args:
      plan: Plan of the files.
      root: Root of the artifact, which the plan's paths are relative to.
      memory_budget: Bytes of records to hold.

    Raises:
      ConfigError: if the budget is no whole number.
      DataError: if a file is not there.
    """
    self.plan = plan
    self.label: str | Sequence[str] = plan.features or plan.label
    sets = any(value.kind == 'set' for value in plan.classes)
    self.counts = (LabelSetCounts.of if sets else TrainingCounts)(plan.classes, plan.records)
    self.natural, self.seed = plan.natural, plan.seed
    self._memory_budget = check_whole('memory_budget', memory_budget, 0)
    self._table = SegmentTable.of(plan, self._memory_budget)
    self._paths = [f'{root}/{file.path}' for file in plan.files]
    self._records: tuple[RecordForm, TensorColumns] | None = None  # those held, once they are read
    self._versions = FileVersions()
    _check_present(plan, root)

  def check_spec(self, feature_spec: FeatureSpec) -> None:
    """Compares a feature spec with the first record, of sequences alone; see `RecordSource`."""
    if self.plan.payload_format != 'FORMAT_TF_EXAMPLE' or SEQUENCES in feature_spec:
      check_sequences(feature_spec, [next(batches_of(self._paths[0]))[0].numpy()])

  def windows(self) -> tuple[tuple[int, ...], ...]:
    """Returns the sizes of the runs that are shuffled together; see `RecordSource`."""
    return self._table.windows

  def reader(self, feature_spec: FeatureSpec | None, spare: bool = False) -> Reader:
    """Returns the reader of batches; the first call reads the files to hold. See `RecordSource`."""
    table, form = self._table, self._form(feature_spec)

    def gather(at: tf.Tensor, fetched: TensorColumns) -> TensorColumns:
      if not fetched:
        return [tf.gather(column, at) for column in records]
      if not table.in_memory.any():
        return fetched
      in_memory = tf.where(at >= 0)  # only these are copied: `fetched` is changed where it is
      own = tf.gather_nd(at, in_memory)
      return [
        tf.tensor_scatter_nd_update(column, in_memory, tf.gather(kept, own))
        for column, kept in zip(fetched, records, strict=True)
      ]

    read = batch_reader(gather, self.label, self.counts, form)
    records = self._records_in_memory(form)
    counts = table.in_memory * np.array([file.records for file in self.plan.files])
    before = np.cumsum(counts) - counts

    def rows(numbers: Ints) -> Ints:
      file, position = table.place(numbers)
      return np.where(table.in_memory[file], before[file] + position, -1 - numbers)

    used_bytes = sum(self.plan.files[f].n_bytes for f in np.flatnonzero(table.in_memory))
    if table.in_memory.all():
      return Reader(rows, read, spare_bytes=self._memory_budget - used_bytes, place=self._place)
    cache = self._file_cache(form, spare)
    mean_bytes = sum(file.n_bytes for file in self.plan.files) // sum(self.plan.records)
    spare_bytes = max(self._memory_budget - used_bytes - cache.limit, 0)

    def fetch(numbers: Ints) -> list[npt.NDArray[Any]]:
      file, position = table.place(numbers)
      mine = ~table.in_memory[file]
      found = empty_columns(form, len(mine))
      for column, taken in zip(found, cache.take(file[mine], position[mine]), strict=True):
        column[mine] = taken
      return found

    def read_ahead(numbers: Ints) -> None:
      file, _ = table.place(numbers)
      cache.read_ahead(file[~table.in_memory[file]])

    return Reader(rows, read, fetch, form.columns, mean_bytes, read_ahead, spare_bytes, self._place)

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the files in order; see `RecordSource`."""
    parse = example_parser(self.label, feature_spec)
    n_records = sum(self.plan.records)
    records = checked_batches(self._paths, batch_size, n_records, self._versions)
    return records.map(parse, tf.data.AUTOTUNE)

  def _form(self, feature_spec: FeatureSpec | None) -> RecordForm:
    """Returns the form of records in memory: parsed, where no file takes more memory then."""
    return RecordForm.of(
      feature_spec, min(file.n_bytes // file.records for file in self.plan.files)
    )

  def _records_in_memory(self, form: RecordForm) -> TensorColumns:
    """Returns the records held in memory, which stay there, in the form of the last call."""
    with self._lock:
      if self._records is None or not self._records[0].keeps_as(form):
        files = np.flatnonzero(self._table.in_memory)
        self._records = None  # its memory is needed
        paths = [self._paths[f] for f in files]
        counts = [self.plan.files[f].records for f in files]
        with contextlib.ExitStack() as stack:
          for path in paths:
            stack.enter_context(self._versions.reading(path))
          self._records = form, read_all(paths, counts, form)
      return self._records[1]

  def _file_cache(self, form: RecordForm, spare: bool) -> FileCache:
    """Returns the files to stream, in half the budget, or if memory is to be left what they need.

    The file used longest ago goes first, so the file that takes its place needs room too.
    """
    table, files = self._table, self.plan.files
    counts = [file.records for file in files]
    sizes = [
      form.record_bytes * file.records
      if form.parsed
      else file.n_bytes + RECORD_OVERHEAD * file.records
      for file in files
    ]
    half = self._memory_budget // 2
    largest = max(sizes[f] for f in np.flatnonzero(~table.in_memory))
    limit = max(half, table.window_bytes + largest)
    if limit > half:
      warnings.warn(
        f'streaming the classes that memory_budget={self._memory_budget} does not hold needs '
        f'{limit} bytes, a window of each and a file; raise memory_budget=, or write smaller files',
        stacklevel=4,
      )
    if spare:
      limit = min(limit, table.window_bytes + _FILES_AHEAD * largest)
    return FileCache(self._paths, counts, sizes, limit, form, self._versions)

  def _place(self, row: int) -> str:
    """Returns the file and the position of the record at a row of the reader."""
    table, files = self._table, self.plan.files
    if row < 0:
      file, position = (int(values[0]) for values in table.place(np.array([-1 - row])))
      return record_place([self._paths[file]], [position + 1], position)
    cached = np.flatnonzero(table.in_memory).tolist()
    return record_place([self._paths[f] for f in cached], [files[f].records for f in cached], row)


def _check_present(plan: InputPlan, root: str) -> None:
  """Checks that every file is there, with one listing a folder; raises DataError if one is not."""
  found: set[str] = set()
  for folder in sorted({os.path.dirname(file.path) for file in plan.files}):
    try:
      found |= {f'{folder}/{name}' for name in tf.io.gfile.listdir(f'{root}/{folder}')}
    except tf.errors.NotFoundError:
      continue
  missing = [file.path for file in plan.files if file.path not in found]
  if missing:
    more = f' and {len(missing) - 1} more' if len(missing) > 1 else ''
    raise DataError(
      f'{given_path(root)}/{missing[0]}{more} does not exist, and the plan names it; put it back, '
      f'or load the place where the artifact is now'
    )


class Segment(NamedTuple):
  """Records of one class that follow each other in a file, after `offset` others."""

  file: int
  offset: int
  records: int


@dataclass(frozen=True)
class SegmentTable:
  """The segments of a plan's files in the order of the records' numbers, and the files in memory.

  Attributes:
    starts: int64 [n_segments], number of each segment's first record.
    file: int64 [n_segments], index of its file in the plan.
    offset: int64 [n_segments], records before it in its file.
    in_memory: bool [n_files], whether a file is held in memory.
    windows: Sizes of the runs of records that are shuffled together, for each class.
    window_bytes: Bytes of one window of each streamed class, added up.
  """

  starts: Ints
  file: Ints
  offset: Ints
  in_memory: npt.NDArray[np.bool_]
  windows: tuple[tuple[int, ...], ...]
  window_bytes: int

  @classmethod
  def of(cls, plan: InputPlan, memory_budget: int) -> SegmentTable:
    """Returns the table under a budget of bytes.

    All is held where the budget allows. Otherwise half the budget holds the smallest classes, and
    the other half is for windows of the rest, each a file or several.
    """
    by_class = _segments(plan)
    total = sum(file.n_bytes for file in plan.files)
    budget = memory_budget if total <= memory_budget else memory_budget // 2
    in_memory = _files_in_memory(plan, by_class, budget)
    streamed = sum(any(not in_memory[segment.file] for segment in own) for own in by_class)
    window = budget // (2 * streamed) if streamed else 0
    grouped = [_windows(plan, own, in_memory, window) for own in by_class]
    file, offset, records = np.array([x for own in by_class for x in own], np.int64).T.copy()
    return cls(
      starts=np.cumsum(records) - records,
      file=file,
      offset=offset,
      in_memory=in_memory,
      windows=tuple(sizes for sizes, _ in grouped),
      window_bytes=sum(n_bytes for _, n_bytes in grouped),
    )

  def place(self, numbers: Ints) -> tuple[Ints, Ints]:
    """Returns the files that records of these numbers are in, and their positions: int64 [n]."""
    segment = np.searchsorted(self.starts, numbers, side='right') - 1
    return self.file[segment], numbers - self.starts[segment] + self.offset[segment]


def _segments(plan: InputPlan) -> list[list[Segment]]:
  """Returns each class's segments, in the order of files."""
  found: list[list[Segment]] = [[] for _ in plan.classes]
  for i, file in enumerate(plan.files):
    before = 0
    for segment in file.segments:
      found[segment.class_index].append(Segment(i, before, segment.records))
      before += segment.records
  return found


def _files_in_memory(
  plan: InputPlan, by_class: list[list[Segment]], budget: int
) -> npt.NDArray[np.bool_]:
  """Chooses the files to keep in memory: those of the smallest classes, within the budget."""
  size = [file.n_bytes for file in plan.files]
  records = [file.records for file in plan.files]
  per_class = [sum(size[f] * n // records[f] for f, _, n in own) for own in by_class]
  in_memory = np.zeros(len(plan.files), np.bool_)
  for c in np.argsort(per_class, kind='stable').tolist():
    new = {f for f, _, _ in by_class[c] if not in_memory[f]}
    budget -= sum(size[f] for f in new)
    if budget < 0:
      break
    in_memory[list(new)] = True
  return in_memory


def _windows(
  plan: InputPlan, own: list[Segment], in_memory: npt.NDArray[np.bool_], window_bytes: int
) -> tuple[tuple[int, ...], int]:
  """Returns the sizes of a class's windows, and the bytes of the largest one (0 if in memory)."""
  if all(in_memory[f] for f, _, _ in own):
    return (sum(n for _, _, n in own),), 0
  sizes: list[int] = []
  used, largest = 0, 0
  for f, _, n in own:
    file = plan.files[f]
    size = (file.n_bytes + RECORD_OVERHEAD * file.records) * n // file.records
    if sizes and used + size <= window_bytes:
      sizes[-1] += n
      used += size
    else:
      sizes.append(n)
      used = size
    largest = max(largest, used)
  return tuple(sizes), largest
