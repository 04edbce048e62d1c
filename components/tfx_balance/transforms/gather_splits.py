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
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.selection import mix
from tfx_balance.transforms.frames import FOOTER, HEADER, Frames
from tfx_balance.transforms.orders import order_of_keys
from tfx_balance.transforms.records import create_compressed, fill
from tfx_balance.transforms.shuffle import fan_out
from tfx_balance.transforms.spill import SpilledFile
from tfx_balance.transforms.split_job import SplitJob
from tfx_balance.transforms.work_files import WorkFile, new_work_file

Ints = npt.NDArray[np.int64]
FileNumber = tuple[int, int]
"""How many files splits have, and which of these it is."""

DEALT_ROW = np.dtype([('size', '<u4'), ('part', '<u2')])
"""Of a spilled record: bytes of its frame, and its split."""
_PLACE_BITS = 48  # of a key; the part is above


@dataclass(frozen=True)
class SpillRange:
  """Some neighbouring buckets of a spilled file.

  Attributes:
    spill_path: of the frames.
    dealt_path: of the DEALT_ROWs, in the order of the frames.
    rank: of the input file.
    records: int64 [blocks, buckets + 1], records of the file before each bucket, and after the last.
    n_bytes: the same of the bytes of the frames.
  """

  spill_path: str
  dealt_path: str
  rank: int
  records: Ints
  n_bytes: Ints

  def cut(self, i: int, n: int) -> tuple[Ints, Ints]:
    """Returns where the i-th of n parts lies: records and bytes, int64 [blocks, 2] each."""
    buckets = self.records.shape[1] - 1
    edges = [i * buckets // n, (i + 1) * buckets // n]
    return self.records[:, edges], self.n_bytes[:, edges]


def spill_ranges(
  spilled: SpilledFile, dealt_path: str, tables: Sequence[Ints], job: SplitJob
) -> Iterator[tuple[FileNumber, SpillRange]]:
  """Yields the ranges of a file, by the files that they go to.

  Args:
    spilled: the file.
    dealt_path: of the DEALT_ROWs of all its records.
    tables: of its blocks, as `SpilledFile.blocks` yields them.
    job: whose files they are.
  """
  if not tables:
    return
  rank, n = spilled.file.rank, spilled.n_buckets
  edges = np.zeros((2, len(tables), n + 1), np.int64)
  np.cumsum(np.stack(tables, axis=1), axis=2, out=edges[:, :, 1:])
  in_block = edges[:, :, -1]
  edges += (np.cumsum(in_block, axis=1) - in_block)[:, :, None]
  for files in file_numbers(job):
    targets, first = (int(a) for a in fan_out(np.array(files), rank, job.totals.n_files))
    for i in range(targets):
      records, n_bytes = edges[:, :, -(-i * n // targets) : -(-(i + 1) * n // targets) + 1]
      if (records[:, -1] > records[:, 0]).any():
        found = SpillRange(spilled.spill_path, dealt_path, rank, records, n_bytes)
        yield (files, (first + i) % files), found


def file_numbers(job: SplitJob) -> list[int]:
  """Returns how many files the splits have: every number once."""
  return sorted({len(layout.paths) for layout in job.layouts})


def all_files(job: SplitJob) -> Iterator[tuple[FileNumber, None]]:
  """Yields every file that must come out, also when it has no records."""
  for files in file_numbers(job):
    for i in range(files):
      yield (files, i), None


class GatherSplits(beam.DoFn):
  """Turns (number of a file, its ranges) into a `WorkFile` for each split with so many files."""

  def process(
    self, element: tuple[FileNumber, Iterable[SpillRange | None]], job: SplitJob
  ) -> Iterator[WorkFile]:
    (files, i), found = element
    ranges = sorted((r for r in found if r is not None), key=lambda r: r.rank)
    layouts = {part: x for part, x in enumerate(job.layouts) if len(x.paths) == files}
    key = tie_break(job.request.seed, 'place')
    paths = {part: _work_path(job, layout.paths[i]) for part, layout in layouts.items()}
    n_chunks = next(iter(layouts.values())).n_buckets
    records, n_bytes = np.zeros((2, len(job.layouts)), np.int64)
    with contextlib.ExitStack() as stack:
      out = {part: stack.enter_context(create_compressed(path)) for part, path in paths.items()}
      for chunk in range(n_chunks):
        frames, ends = _read_chunk(ranges, chunk, n_chunks, list(out), len(job.layouts), key)
        data, at = memoryview(frames.data), frames.offsets[ends]
        for part, file in out.items():
          file.write(data[at[part] : at[part + 1]])
        records += np.diff(ends)
        n_bytes += np.diff(at)
    for part, layout in layouts.items():
      held, size = int(records[part]), int(n_bytes[part])
      yield WorkFile(paths[part], layout.paths[i], held, size - held * (HEADER + FOOTER))


def _work_path(job: SplitJob, path: str) -> str:
  """Returns where a file is written first; the suffix, which says how, stays."""
  name = FileSystems.split(path)[1]
  return f'{new_work_file(job.request.work_dir, "out")}-{name}'


def _read_chunk(
  ranges: Sequence[SpillRange], i: int, n: int, wanted: Sequence[int], n_parts: int, key: int
) -> tuple[Frames, Ints]:
  """Returns the frames of the i-th of n parts of the ranges, those of one split after another.

  Args:
    ranges: of the files.
    i: which part.
    n: how many there are.
    wanted: the splits whose records to return, ascending.
    n_parts: how many splits there are.
    key: of the random order within a split.

  Returns:
    The frames, and int64 [splits + 1], which of them are the first of each split, and the last.
  """
  cuts = [(r, *r.cut(i, n)) for r in ranges]
  n_records = sum(int(np.diff(records).sum()) for _, records, _ in cuts)
  rows = np.empty(n_records, DEALT_ROW)
  places = np.empty(n_records, np.uint64)
  data = np.empty(sum(int(np.diff(n_bytes).sum()) for _, _, n_bytes in cuts), np.uint8)
  record = byte = 0
  for found, records, n_bytes in cuts:
    with _open(found.spill_path) as spill, _open(found.dealt_path) as dealt:
      for (first, last), (low, high) in zip(records.tolist(), n_bytes.tolist(), strict=True):
        if first == last:
          continue
        end = record + last - first
        dealt.seek(first * DEALT_ROW.itemsize)
        fill(dealt, rows[record:end].view(np.uint8), found.dealt_path)
        spill.seek(low)
        fill(spill, data[byte:][: high - low], found.spill_path)
        places[record:end] = np.arange(first, last, dtype=np.uint64) + np.uint64(found.rank << 40)
        record, byte = end, byte + high - low
  parts = rows['part'].astype(np.uint64)
  keys = mix(places, key) >> np.uint64(64 - _PLACE_BITS) | parts << np.uint64(_PLACE_BITS)
  order = order_of_keys(keys)
  held = np.bincount(rows['part'], minlength=n_parts)
  if len(wanted) < n_parts:
    order = order[np.isin(rows['part'][order], wanted)]
    held[np.setdiff1d(np.arange(n_parts), wanted)] = 0
  offsets = np.cumsum(np.append(0, rows['size'].astype(np.int64)))
  return Frames(pa.py_buffer(data), offsets).take(order), np.append(0, np.cumsum(held))


def _open(path: str):
  return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
