"""Output files made of ranges of spilled files.

A file is a range of keys, and is divided into chunks, which are ranges too: so files come together
chunk by chunk in memory that does not grow. What a chunk takes of a spilled file is a run of
neighbours in each block, as blocks are in the order of keys. The n-th files of several outputs are
the same range: then what was spilled is read once for all of them. Small
files are gathered with their neighbours, one after another: what these take of a block lies
together too, and is fetched from an object store by one request.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from operator import itemgetter
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_balance.beam import counters
from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.plan.key_order import mixed_order, parts_of_keys
from tfx_balance.plan.narrow_integers import SparseCounts
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.scan.spill import ASSIGNED_ROW, COPIED_ROW, Rows, Spill
from tfx_balance.sizes import SIZES, Sizes, Workspace
from tfx_balance.tfrecord.files import create_compressed
from tfx_balance.tfrecord.frames import FOOTER, HEADER, Frames, ScratchBuffer
from tfx_balance.tfrecord.packed import (
  PackedFile,
  PackedWriter,
  merged,
  packed_inline,
)
from tfx_balance.tfrecord.storage import storage_of
from tfx_balance.tfrecord.work_files import (
  WorkFile,
  fill,
  new_output_file,
  open_as_is,
  scratch_folder,
)

MAX_GATHER_BYTES = 256 << 20
"""Largest chunk, for outputs so large that smaller ones would be too many."""
SMALL_CHUNKS = 256
"""Number of chunks that are small, in all the files of an output."""
TOGETHER_BYTES = 32 << 20
"""Decompressed bytes of neighbouring small files that are gathered one after another."""


@dataclass(frozen=True)
class OutputLayout:
  """Files and chunks of one output, such as a split.

  Attributes:
    paths: Paths of its files. Several outputs may share one; each has a section of it then.
    n_chunks: Number of chunks in which each file is gathered.
    section: Number of its section: that of number 0 comes first.
    n_together: Number of neighbouring files that are gathered one after another.
  """

  paths: tuple[str, ...]
  n_chunks: int
  section: int = 0
  n_together: int = 1

  @classmethod
  def of(
    cls,
    n_bytes: int,
    folder: str,
    suffix: str,
    n_files: int | None = None,
    sizes: Sizes = SIZES,
  ) -> OutputLayout:
    """Returns the layout for about n_bytes, in the given or a sensible number of files.

    Args:
      n_bytes: Decompressed bytes of all the files.
      folder: Folder of the files.
      suffix: End of their names: '.gz', or '' for plain ones.
      n_files: Number of files; None for as many as are sensible.
      sizes: Sizes of files and chunks.
    """
    n = n_files or max(1, -(-n_bytes // sizes.shard_bytes))
    chunk = min(max(sizes.gather_bytes, n_bytes // SMALL_CHUNKS), MAX_GATHER_BYTES)
    paths = (f'{folder}/data_tfrecord-{i:05d}-of-{n:05d}{suffix}' for i in range(n))
    n_chunks, n_together = max(1, -(-n_bytes // n // chunk)), files_together(n_bytes // n)
    return cls(tuple(paths), n_chunks, n_together=n_together)


def files_together(file_bytes: int) -> int:
  """Returns the number of neighbouring files of this size that are gathered one after another.

  What they take of an input file is one range, which a request to an object store is worth.
  """
  return max(1, TOGETHER_BYTES // max(1, file_bytes))


COUNTS = 'counts'
"""Tag of the counts of assigned records, each with the number of its input file."""
NOWHERE = np.iinfo(np.uint32).max
"""Output of a record that is left out."""
FilesKey = tuple[tuple[int, int, str], ...]
"""Files that are written together: of each the first output whose records it holds, the end of
these outputs, and its path."""
BatchKey = tuple[FilesKey, ...]
"""Files that are gathered one after another."""

_FILES_AT_A_TIME = 8  # packed files that are fetched at the same time


@dataclass(frozen=True)
class FileGroup:
  """Files of one output or several, which are made of the same records of spilled files.

  Attributes:
    outputs: First output, end of the outputs, and paths of the files: as many for each. A file of
      several outputs has their records one output after another.
    n_chunks: Number of chunks in which a file is gathered; 1 where it has several outputs.
    n_together: Number of neighbouring files of an output that are gathered one after another.
  """

  outputs: tuple[tuple[int, int, tuple[str, ...]], ...]
  n_chunks: int
  n_together: int = 1

  @property
  def n_files(self) -> int:
    """The files of each output."""
    return len(self.outputs[0][2])

  def key(self, first: int) -> BatchKey:
    """Returns the files that are gathered with the n-th ones, which are the first of them."""
    files = range(first, min(first + self.n_together, self.n_files))
    return tuple(tuple((low, end, paths[i]) for low, end, paths in self.outputs) for i in files)


@dataclass(frozen=True)
class SpillRanges:
  """The ranges of a spilled file that some output files take.

  Attributes:
    rows_file: Rows of its records, of 16 bytes each.
    frames_file: Frames of its records.
    parts: Number of the file among those gathered one after another, number of the chunk, first
      record and end, first byte of the frames and end, file by file and chunk by chunk: int64
      [m, 6].
  """

  rows_file: str | PackedFile
  frames_file: str | PackedFile
  parts: Ints

  def fetched(self, folder: str, name: str) -> SpillRanges:
    """Returns the same ranges of files in a folder, to which those of packed files are fetched."""
    paths = f'{folder}/rows-{name}', f'{folder}/frames-{name}'
    for file, path in zip((self.rows_file, self.frames_file), paths, strict=True):
      assert isinstance(file, PackedFile)
      with open(path, 'wb') as target:
        file.fetch(target)
    return replace(self, rows_file=paths[0], frames_file=paths[1])

  def of_file(self, i: int) -> SpillRanges:
    """Returns the ranges of a file."""
    low, high = np.searchsorted(self.parts[:, 0], [i, i + 1])
    return replace(self, parts=self.parts[low:high])

  def of_chunk(self, i: int) -> Ints:
    """Returns the parts of a chunk, numbers left out: int64 [k, 4]; the ranges are of one file."""
    low, high = np.searchsorted(self.parts[:, 1], [i, i + 1])
    return self.parts[low:high, 2:]


class RangeFinder:
  """Finds the ranges of a spilled file, block by block."""

  def __init__(self, spill: Spill, rows_path: str, file_groups: Sequence[FileGroup]) -> None:
    """Begins a file, which writes to all the files of its groups.

    Args:
      spill: Spilled file.
      rows_path: Path of its rows.
      file_groups: Groups of files that it may write to.
    """
    self._spill, self._rows_path, self._file_groups = spill, rows_path, file_groups
    self._chunks = np.array([file_group.n_chunks for file_group in file_groups], np.int64)
    # A chunk of a file is a piece; the first file and the first piece of each group:
    files = np.array([file_group.n_files for file_group in file_groups], np.int64)
    self._edges = np.cumsum(np.append(0, files))
    self._pieces = np.cumsum(np.append(0, files * self._chunks))
    self._records = self._bytes = 0
    self._found = [np.empty((0, 6), np.int64)]  # number of the file, and what a part is

  def add(
    self,
    sizes: npt.NDArray[np.integer],
    keys: UInts,
    file_groups: Ints | None = None,
    without: Ints | None = None,
  ) -> None:
    """Takes the next block.

    Args:
      sizes: Bytes of the frames: [n].
      keys: Keys of the records, neighbours near each other: uint64 [n].
      file_groups: File group that takes each record, -1 for none: int64 [n], in long runs where
        that can be; None where every group takes from the whole block.
      without: Positions of records that no group takes: int64 [m]; None for none.
    """
    offsets = self._bytes + np.cumsum(np.append(0, sizes.astype(np.int64)))
    counts = np.diff(self._pieces)
    if file_groups is None:
      firsts = self._pieces[:-1]
      pieces = [at + parts_of_keys(keys, int(n)) for at, n in zip(firsts, counts, strict=True)]
    else:
      pieces = [
        self._pieces[file_groups] + parts_of_keys(keys, counts.astype(np.uint64)[file_groups])
      ]
      pieces[0][file_groups < 0] = -1
    for piece in pieces:
      if without is not None:
        piece[without] = -1
      low = np.flatnonzero(np.diff(piece, prepend=-2))
      high, piece = np.append(low[1:], len(sizes)), piece[low]
      low, high, piece = (column[piece >= 0] for column in (low, high, piece))
      file_group = np.searchsorted(self._pieces, piece, side='right') - 1
      file, chunk = np.divmod(piece - self._pieces[file_group], self._chunks[file_group])
      bounds = self._records + low, self._records + high, offsets[low], offsets[high]
      self._found.append(np.stack([self._edges[file_group] + file, chunk, *bounds], axis=1))
    self._records, self._bytes = self._records + len(sizes), int(offsets[-1])

  def by_files(self, work: Workspace) -> list[tuple[BatchKey, SpillRanges]]:
    """Returns the ranges of the files that get records, of those gathered one after another.

    What was written in a scratch folder is packed in this order.
    """
    parts = np.concatenate(self._found)
    parts = parts[np.lexsort((parts[:, 2], parts[:, 1], parts[:, 0]))]
    file_group = np.searchsorted(self._edges, parts[:, 0], side='right') - 1
    together = np.array([each.n_together for each in self._file_groups], np.int64)[file_group]
    first = (parts[:, 0] - self._edges[file_group]) // together * together
    parts[:, 0] -= self._edges[file_group] + first
    runs = np.flatnonzero(np.diff(file_group, prepend=-1) | np.diff(first, prepend=-1))
    with contextlib.ExitStack() as stack:
      rows = stack.enter_context(RangePacker(self._rows_path, work))
      frames = stack.enter_context(RangePacker(self._spill.frames_file, work))
      found = []
      for low, high in pairwise([*runs.tolist(), len(parts)]):
        key, mine = self._file_groups[file_group[low]].key(int(first[low])), parts[low:high]
        files = rows.pack(mine[:, 2:4] * ASSIGNED_ROW.itemsize), frames.pack(mine[:, 4:6])
        found.append((key, SpillRanges(*files, mine)))
    return found


class RangePacker(contextlib.ExitStack):
  """Packs the ranges of a work file that output files take; a context manager.

  Args:
    file: Work file, packed or of this machine.
    work: Where work files are, and the sizes of units.
  """

  def __init__(self, file: str | PackedFile, work: Workspace) -> None:
    super().__init__()
    self._file, self._work_dir, self._sizes = file, work.work_dir, work.sizes
    self._as_is = isinstance(file, str) and storage_of(work.work_dir).renames
    self._source: BinaryIO | None = None
    self._writer: PackedWriter | None = None

  def pack(self, ranges: Ints) -> str | PackedFile:
    """Returns the file with these ranges, first bytes and ends: int64 [m, 2]."""
    if isinstance(self._file, PackedFile):
      return self._file.having(ranges)
    if self._as_is:
      return self._file
    ranges = merged(ranges)
    path = f'{self._work_dir}/{posixpath.basename(self._file)}'
    if self._source is None:
      self._source = self.enter_context(open_as_is(self._file))
    small = None
    if (ranges[:, 1] - ranges[:, 0]).sum() <= self._sizes.largest_unit_bytes:
      small = packed_inline(self._source, ranges, path)
      if len(small.inline) <= self._sizes.inline_bytes:
        return small
    if self._writer is None:
      self._writer = self.enter_context(PackedWriter(path, self._sizes.largest_unit_bytes))
    first = self._writer.n_units
    if small is None:
      self._writer.add_parts(self._source, ranges)
    else:
      self._writer.add_unit(small.inline, ranges)
    return self._writer.packed(first)


def all_files(file_groups: Iterable[FileGroup]) -> Iterator[tuple[BatchKey, None]]:
  """Yields every output file, also those without records."""
  for file_group in file_groups:
    for first in range(0, file_group.n_files, file_group.n_together):
      yield file_group.key(first), None


def gather_ranges(
  assigned: beam.pvalue.DoOutputsTuple,
  output_plan: beam.PCollection,
  work: Workspace,
  row: np.dtype[Any] = ASSIGNED_ROW,
) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
  """Returns the plan, the counts of all assigned records, and the output files: `WorkFile`.

  Args:
    assigned: `ranges`, (`BatchKey`, `SpillRanges`), and COUNTS, of each spilled file.
    output_plan: `OutputPlan` whose file groups are written.
    work: Where work files are, and how many files are read.
    row: Type of the rows: ASSIGNED_ROW, or COPIED_ROW where each file has one output.
  """
  files = output_plan | 'AllFiles' >> beam.FlatMap(lambda plan: all_files(plan.file_groups))
  written = (
    (assigned.ranges, files)
    | 'RangesAndFiles' >> beam.Flatten()
    | 'ByFile' >> beam.GroupByKey()
    | 'GatherRanges' >> beam.ParDo(GatherRanges(work.work_dir, row))
  )
  merge, of_file = MergeRows(SparseCounts.merge), itemgetter(1)
  counts = summed(
    assigned[COUNTS],
    'Counts',
    of_file,
    merge,
    SparseCounts.dense,
    file_number=itemgetter(0),
    work=work,
  )
  return output_plan, counts, written


class GatherRanges(beam.DoFn):
  """Turns (key of some files, the ranges that they take) into a `WorkFile` for each.

  Args:
    work_dir: Folder of work files.
    row: Type of the rows: ASSIGNED_ROW, or COPIED_ROW where each file has one output.
  """

  def __init__(self, work_dir: str, row: np.dtype[Any] = ASSIGNED_ROW) -> None:
    self._work_dir, self._row = work_dir, row
    self._read = ScratchBuffer()

  def process(self, element: tuple[BatchKey, Iterable[SpillRanges | None]]) -> Iterator[WorkFile]:
    keys, found = element
    with scratch_folder(self._work_dir) as folder:
      ranges = _fetched([each for each in found if each is not None], folder)
      for i, key in enumerate(keys):
        of_file = [each.of_file(i) for each in ranges]
        chunks = Chunks(of_file, key, self._read, self._row)
        yield from self._gather(key, chunks)

  def _gather(self, key: FilesKey, chunks: Chunks) -> Iterator[WorkFile]:
    """Writes the files."""
    paths = [new_output_file(self._work_dir, path) for _, _, path in key]
    records, n_bytes = np.zeros((2, chunks.n_outputs), np.int64)
    with contextlib.ExitStack() as stack:
      files = [stack.enter_context(create_compressed(path)) for path in paths]
      # Two buffers for each: what is in one is compressed while the other is filled.
      buffers = [cycle([ScratchBuffer(), ScratchBuffer()]) for _ in files]
      for i in range(chunks.n_chunks):
        frames, order, ends = chunks.read(i)
        for (first, end, _), file, own in zip(key, files, buffers, strict=True):
          for taken in frames.taken(order[ends[first] : ends[end]], own):
            file.write(memoryview(taken.data)[: int(taken.offsets[-1])])
        records += np.diff(ends)
        counters.WRITTEN.inc(len(order))
        n_bytes += np.diff(np.append(0, np.cumsum(frames.sizes[order]))[ends])
    for (first, end, final), path, file in zip(key, paths, files, strict=True):
      n_records = int(records[first:end].sum())
      n_payload = int(n_bytes[first:end].sum()) - n_records * (HEADER + FOOTER)
      sections = tuple(records[first:end].tolist()) if end - first > 1 else ()
      yield WorkFile(path, final, n_records, n_payload, sections, file.size)


def _fetched(ranges: Sequence[SpillRanges], folder: str) -> Sequence[SpillRanges]:
  """Returns the ranges in local files; packed ones are fetched to a folder first."""
  if not any(isinstance(each.frames_file, PackedFile) for each in ranges):
    return ranges
  with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
    return list(pool.map(lambda i: ranges[i].fetched(folder, str(i)), range(len(ranges))))


class Chunks:
  """Reads the chunks of some files that are written together."""

  def __init__(
    self, ranges: Sequence[SpillRanges], key: FilesKey, buffer: ScratchBuffer, row: np.dtype[Any]
  ) -> None:
    self._ranges = ranges
    self.n_chunks = max((int(n) + 1 for each in ranges for n in each.parts[-1:, 1]), default=0)
    self.n_outputs = max(end for _, end, _ in key)
    self._wanted = np.zeros(self.n_outputs + 1, bool)
    for first, end, _ in key:
      self._wanted[first:end] = True
    self._read, self._row = buffer, row

  def read(self, i: int) -> tuple[Frames, Ints, Ints]:
    """Returns the frames of the i-th chunk, and the order in which they are written.

    Returns:
      The frames, which hold until the next call; which of them to write, those of one output after
      another, int64 [m]; and where in that order each output begins and the last one ends, int64
      [outputs + 1].
    """
    rows, data = self._fill(i)
    offsets = np.cumsum(np.append(0, rows['size'].astype(np.int64)))
    frames, keys = Frames(pa.py_buffer(data), offsets), np.ascontiguousarray(rows['key'])
    if self._row == COPIED_ROW:
      times, outputs = rows['times'].astype(np.int64), np.zeros(len(rows), np.int64)
    else:
      times, outputs = None, np.minimum(rows['output'].astype(np.int64), self.n_outputs)
    order, wanted = mixed_order(keys, outputs, times), self._wanted[outputs]
    if not wanted.all():
      order = order[wanted[order]]
    per_output = np.bincount(outputs[order], minlength=self.n_outputs)
    return frames, order, np.append(0, np.cumsum(per_output))

  def _fill(self, i: int) -> tuple[Rows, npt.NDArray[np.uint8]]:
    """Returns a chunk as it is stored: rows [n], and the frames."""
    chosen = [(ranges, ranges.of_chunk(i)) for ranges in self._ranges]
    total = sum((parts.sum(axis=0) for _, parts in chosen), np.zeros(4, np.int64))
    n_records, n_bytes = int(total[1] - total[0]), int(total[3] - total[2])
    rows, data = np.empty(n_records, self._row), self._read.take(n_bytes)
    record = byte = 0
    for ranges, parts in chosen:
      if not len(parts):
        continue
      assert isinstance(ranges.rows_file, str)
      assert isinstance(ranges.frames_file, str)
      with open_as_is(ranges.rows_file) as of_rows, open_as_is(ranges.frames_file) as of_frames:
        for first, last, low, high in parts.tolist():
          end, byte_end = record + last - first, byte + high - low
          of_rows.seek(first * self._row.itemsize)
          fill(of_rows, rows[record:end].view(np.uint8), ranges.rows_file)
          of_frames.seek(low)
          fill(of_frames, data[byte:byte_end], ranges.frames_file)
          record, byte = end, byte_end
    return rows, data
