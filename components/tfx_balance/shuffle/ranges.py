"""The files of several splits, made of ranges of what the input files have spilled.

The n-th files of all splits that have equally many are written together: they are the records of
the same ranges of the spilled files, each record in the file of its split. So what was spilled is
read once, or where splits were asked to have different numbers of files, once for each number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_balance.beam import counters
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.ranks import Ints, UInts, mix, order_of_keys, record_numbers
from tfx_balance.scan.scan import SpilledFile
from tfx_balance.shuffle.output_layout import OutputLayout, fan_out
from tfx_balance.tfrecord.files import create_compressed, fill
from tfx_balance.tfrecord.frames import FOOTER, HEADER, Frames, ScratchBuffer
from tfx_balance.tfrecord.work_files import WorkFile, file_size, new_output_file, open_as_is

FileNumber = tuple[int, int]
"""How many files splits have, and which of these it is."""

ASSIGNED_ROW = np.dtype([('size', '<u4'), ('output', '<u2')])
"""Bytes of a spilled record's frame, and the number of its output (its split)."""
_PLACE_BITS = 48  # of a key; the output is above


@dataclass(frozen=True)
class SpillRange:
  """Some neighbouring buckets of a spilled file, cut into chunks: a random part of it each.

  Attributes:
    spill_path: Path of the frames.
    assigned_path: Path of the ASSIGNED_ROWs, in the order of the frames.
    rank: Rank of the input file.
    records: Number of records of the file before each chunk of a block, and before its end: int64
      [blocks, chunks + 1].
    n_bytes: Bytes of their frames, likewise.
  """

  spill_path: str
  assigned_path: str
  rank: int
  records: Ints
  n_bytes: Ints


class SpillRanges:
  """Finds the ranges of a spilled file, block by block, by the files that they go to."""

  def __init__(
    self,
    spilled: SpilledFile,
    assigned_path: str,
    layouts: Sequence[OutputLayout],
    n_inputs: int,
  ) -> None:
    self._spilled, self._assigned_path = spilled, assigned_path
    self._before = np.zeros((2, 1), np.int64)  # records and bytes of the blocks so far
    self._first, self._edges = dict[int, int](), dict[int, Ints]()
    several = file_numbers(layouts)
    self._found: dict[int, list[Ints]] = {files: [] for files in several}
    fans = fan_out(np.array(several), spilled.file.rank, n_inputs)
    for files, targets, first in zip(several, *(fan.tolist() for fan in fans), strict=True):
      self._first[files] = first
      ends = -(-np.arange(targets + 1) * spilled.n_buckets // targets)  # of the files, in buckets
      chunks = np.arange(n_chunks(layouts, files) + 1)
      self._edges[files] = ends[:-1, None] + np.diff(ends)[:, None] * chunks // chunks[-1]

  def add(self, table: Ints) -> None:
    """Takes the next block, of whose buckets the table tells, as `SpilledFile.blocks` yields it."""
    before = self._before + np.pad(np.cumsum(table, axis=1), ((0, 0), (1, 0)))
    for files, edges in self._edges.items():
      self._found[files].append(before[:, edges])
    self._before = before[:, -1:]

  def by_file(self) -> Iterator[tuple[FileNumber, SpillRange]]:
    """Yields the ranges that have records."""
    for files, found in self._found.items():
      edges = np.stack(found, axis=2) if found else np.zeros((2, 0, 0, 2), np.int64)
      for i, (records, n_bytes) in enumerate(zip(*edges, strict=True)):
        if (records[:, -1] > records[:, 0]).any():
          path, rank = self._spilled.spill_path, self._spilled.file.rank
          number = files, (self._first[files] + i) % files
          yield number, SpillRange(path, self._assigned_path, rank, records, n_bytes)


def n_chunks(layouts: Sequence[OutputLayout], files: int) -> int:
  """Returns in how many chunks the files are gathered, of splits that have so many files."""
  return next(layout.n_buckets for layout in layouts if len(layout.paths) == files)


def file_numbers(layouts: Sequence[OutputLayout]) -> list[int]:
  """Returns how many files the splits have: every number once."""
  return sorted({len(layout.paths) for layout in layouts})


def all_files(layouts: Sequence[OutputLayout]) -> Iterator[tuple[FileNumber, None]]:
  """Yields every file that must come out, also when it has no records."""
  for files in file_numbers(layouts):
    for i in range(files):
      yield (files, i), None


class GatherRanges(beam.DoFn):
  """Turns (number of a file, its ranges) into a `WorkFile` for each split with so many files."""

  def __init__(self, work_dir: str, seed: int) -> None:
    self._work_dir, self._key = work_dir, tie_break(seed, 'place')

  def process(
    self,
    element: tuple[FileNumber, Iterable[SpillRange | None]],
    layouts: Sequence[OutputLayout],
  ) -> Iterator[WorkFile]:
    (files, i), found = element
    ranges = sorted((r for r in found if r is not None), key=lambda r: r.rank)
    finals = {n: layout.paths[i] for n, layout in enumerate(layouts) if len(layout.paths) == files}
    paths = {n: new_output_file(self._work_dir, path) for n, path in finals.items()}
    chunks = Chunks(ranges, list(paths), len(layouts), self._key)
    records, n_bytes = np.zeros((2, len(layouts)), np.int64)
    with contextlib.ExitStack() as stack:
      out = {n: stack.enter_context(create_compressed(path)) for n, path in paths.items()}
      for chunk in range(n_chunks(layouts, files)):
        frames, ends = chunks.read(chunk)
        data, at = memoryview(frames.data), frames.offsets[ends]
        for n, file in out.items():
          file.write(data[at[n] : at[n + 1]])
        records += np.diff(ends)
        counters.WRITTEN.inc(int(ends[-1] - ends[0]))
        n_bytes += np.diff(at)
    for n, path in paths.items():
      held = int(records[n])
      n_payload = int(n_bytes[n]) - held * (HEADER + FOOTER)
      yield WorkFile(path, finals[n], held, n_payload, size=file_size(path))


class Chunks:
  """Reads the chunks of the ranges of one output file, or of the n-th one of several splits.

  Returned are the records of the splits `wanted`, numbers in ascending order.
  """

  def __init__(
    self, ranges: Sequence[SpillRange], wanted: Sequence[int], n_outputs: int, key: int
  ) -> None:
    self._ranges, self._wanted, self._n_outputs, self._key = ranges, wanted, n_outputs, key
    self._read, self._taken = ScratchBuffer(), ScratchBuffer()

  def read(self, i: int) -> tuple[Frames, Ints]:
    """Returns the frames of the i-th chunk, those of one split after another.

    Returns:
      The frames, which hold until the next call; and int64 [splits + 1], which of them are the
      first of each split, and the end.
    """
    rows, keys, data = self._fill(i)
    outputs = rows['output']
    order = order_of_keys(outputs.astype(np.uint64) << np.uint64(_PLACE_BITS) | keys)
    held = np.bincount(outputs, minlength=self._n_outputs)
    if len(self._wanted) < self._n_outputs:
      order = order[np.isin(outputs[order], self._wanted)]
      held[np.setdiff1d(np.arange(self._n_outputs), self._wanted)] = 0
    offsets = np.cumsum(np.append(0, rows['size'].astype(np.int64)))
    frames = Frames(pa.py_buffer(data), offsets).take(order, self._taken)
    return frames, np.append(0, np.cumsum(held))

  def _fill(self, i: int) -> tuple[npt.NDArray[np.void], UInts, npt.NDArray[np.uint8]]:
    """Returns a chunk as it is stored: ASSIGNED_ROW [n], random uint64 [n], and the frames."""
    cuts = [(r, r.records[:, i : i + 2], r.n_bytes[:, i : i + 2]) for r in self._ranges]
    cuts = [cut for cut in cuts if np.diff(cut[1]).any()]
    n_records = sum(int(np.diff(records).sum()) for _, records, _ in cuts)
    rows, numbers = np.empty(n_records, ASSIGNED_ROW), np.empty(n_records, np.uint64)
    data = self._read.take(sum(int(np.diff(n_bytes).sum()) for _, _, n_bytes in cuts))
    record = byte = 0
    for found, records, n_bytes in cuts:
      with open_as_is(found.spill_path) as spill, open_as_is(found.assigned_path) as assigned:
        for (first, last), (low, high) in zip(records.tolist(), n_bytes.tolist(), strict=True):
          if first == last:
            continue
          end = record + last - first
          assigned.seek(first * ASSIGNED_ROW.itemsize)
          fill(assigned, rows[record:end].view(np.uint8), found.assigned_path)
          spill.seek(low)
          fill(spill, data[byte:][: high - low], found.spill_path)
          numbers[record:end] = record_numbers(found.rank, first, last - first)
          record, byte = end, byte + high - low
    return rows, mix(numbers, self._key) >> np.uint64(64 - _PLACE_BITS), data
