"""Balancing by copies as a Beam transform: count and spill, plan, copy, write.

files ── ScanFile ──┬── Totals of each split ── AugmentJob
                    ├── Thresholds: which records are there once more, or stay
                    ├── Shapes of the features, where a function augments
                    ├── Pools of the classes, where it needs other records
                    └── CopyRecords ── ranges ── GatherRanges ── publish, with the sidecar
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import apache_beam as beam
import numpy as np

from tfx_balance.augment import Applier, PoolFn
from tfx_balance.augment.contract import pool_request
from tfx_balance.balanced_augmenter.copies import CopyMaker, Originals
from tfx_balance.balanced_augmenter.examples import FeatureShapes, feature_shapes, merge_shapes
from tfx_balance.balanced_augmenter.job import PURPOSE, AugmentJob, AugmentRequest, plan_augment
from tfx_balance.balanced_augmenter.pools import (
  NO_POOLS,
  ClassPools,
  FindPools,
  with_pools,
)
from tfx_balance.beam import counters
from tfx_balance.beam.parallel import map_in_order
from tfx_balance.beam.steps import summed
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.ranks import Ints, Thresholds
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.spill import (
  BLOCK_BYTES,
  FramesReader,
  Rows,
  Spill,
  SpillWriter,
  assigned_rows,
  in_blocks,
)
from tfx_balance.scan.totals import sum_groups
from tfx_balance.shuffle.ranges import (
  COUNTS,
  BatchKey,
  RangeFinder,
  SpillRanges,
  gather_ranges,
)
from tfx_balance.shuffle.select import FileAssigner, find_file_thresholds
from tfx_balance.tfrecord.files import CHUNK_BYTES
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer
from tfx_balance.tfrecord.work_files import OutputFile, create_as_is, new_work_file
from tfx_balance.tfrecord.work_folder import scratch_folder


@dataclass(frozen=True)
class AssignedBlock:
  """A block of a spilled file, once it is known how often each record is written.

  Attributes:
    start: First byte of its frames in the spill.
    index: INDEX_ROW [n].
    rows: Rows of the plan: int64 [n].
    times: Number of times that each record is written: int64 [n].
  """

  start: int
  index: Rows
  rows: Ints
  times: Ints


class CopyRecords(beam.DoFn):
  """Turns a `ScannedFile` into ranges by output file, and the counts of the records it used.

  Originals are taken from where they were spilled, and so are plain copies, which go to the file of
  their original: each to a place of its own in it. A record that is there more than twice as often
  as `AugmentJob.copies_together` says goes to several files: it is spilled once more for so many of
  its copies. Copies that a function makes are spilled too.
  """

  def __init__(self, load_augment_fn: Callable[[], Any] | None, label: str) -> None:
    self._load_augment_fn = load_augment_fn
    self._label = label
    self._augment: Applier | PoolFn | None = None
    self._block, self._made = ScratchBuffer(), ScratchBuffer()

  def setup(self) -> None:
    if self._load_augment_fn is not None:
      augment_fn = self._load_augment_fn()
      ready = isinstance(augment_fn, PoolFn)
      self._augment = augment_fn if ready else Applier(augment_fn, self._label)

  def process(
    self,
    scanned: ScannedFile,
    job: AugmentJob,
    thresholds: Thresholds,
    shapes: FeatureShapes,
    pools: ClassPools,
  ) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
    work_dir, seed, spill = job.request.work_dir, job.request.parameters.seed, scanned.spill
    assigner = FileAssigner(job.selection, thresholds, scanned)
    maker = CopyMaker(scanned, job, shapes, self._augment, pools)
    number, key = job.n_files + spill.rank, tie_break(seed, 'order of copies')
    with scratch_folder(work_dir) as folder:
      path = new_work_file(folder, f'assigned-{spill.rank:05d}')
      writer = SpillWriter(folder, 'copies', number, key)
      groups = [job.group_of(scanned.file.group, whole=maker.makes_duplicates)]
      originals = RangeFinder(spill, path, groups, key)
      copies = RangeFinder(writer.spill, str(writer.spill.rows_file), groups, key)
      with contextlib.ExitStack() as stack:
        stack.enter_context(writer)
        reader = stack.enter_context(FramesReader(spill))
        more = [] if maker.makes_duplicates else ['position']
        blocks = assigned_blocks(spill, job, assigner, ['hash', 'code', 'size', *more])
        apart = job.request.parameters.augmented_split is not None
        if maker.makes_duplicates:
          file = stack.enter_context(create_as_is(path))
          together = job.copies_together(scanned.file.group)
          blocks = _repeat(blocks, file, originals, int(apart), together)
          for rows, frames, which in to_spill_again(reader, blocks, together, self._block):
            rows = rows[writer.write(rows, frames, which)]
            copies.add(rows['size'], times=rows['output'])
        else:
          if not apart:
            blocks = _keep(blocks, stack.enter_context(create_as_is(path)), originals)
          made = map_in_order(maker.make, to_copy(reader, blocks, self._block), maker.threads)
          batches = ((assigned_rows(each.sizes, 1), each) for each in made)
          for rows, frames in in_blocks(batches, self._made):
            copies.add(rows['size'][writer.write(rows, frames)])
      yield from originals.by_files(work_dir)
      yield from copies.by_files(work_dir)
    yield beam.pvalue.TaggedOutput(COUNTS, (spill.rank, assigner.counts))


def assigned_blocks(
  spill: Spill, job: AugmentJob, assigner: FileAssigner, columns: Sequence[str]
) -> Iterator[AssignedBlock]:
  """Yields the blocks of a spilled file in order."""
  start = 0
  for index in spill.index(*columns):
    rows, parts = assigner.assign(index)
    yield AssignedBlock(start, index, rows, job.copies[rows, parts])
    start += int(index['size'].sum(dtype=np.int64))


def _keep(
  blocks: Iterable[AssignedBlock], file: OutputFile, ranges: RangeFinder
) -> Iterator[AssignedBlock]:
  """Yields the blocks, of which the originals that stay are assigned to their output."""
  for block in blocks:
    _write_times(block, np.minimum(block.times, 1), file, ranges)
    yield block


def _repeat(
  blocks: Iterable[AssignedBlock], file: OutputFile, ranges: RangeFinder, less: int, together: int
) -> Iterator[AssignedBlock]:
  """Yields the blocks with the copies that are not assigned to their output, of records with many.

  Args:
    blocks: Blocks of a spilled file.
    file: File of the rows.
    ranges: Ranges of the spilled file.
    less: Number of times by which each record is written less often.
    together: Number of copies that go to one file; twice as many are shared out.
  """
  for block in blocks:
    counters.COPIED.inc(int(np.maximum(block.times - 1, 0).sum()))
    times = np.maximum(block.times - less, 0)
    many = times >= 2 * together
    _write_times(block, np.where(many, 0, times), file, ranges)
    yield replace(block, times=np.where(many, times, 0))


def _write_times(block: AssignedBlock, times: Ints, file: OutputFile, ranges: RangeFinder) -> None:
  """Assigns the records of a block so often to their output."""
  file.write(assigned_rows(block.index['size'], times).view(np.uint8).data)
  ranges.add(block.index['size'], times=times)


def to_spill_again(
  reader: FramesReader, blocks: Iterable[AssignedBlock], together: int, buffer: ScratchBuffer
) -> Iterator[tuple[Rows, Frames, Ints]]:
  """Yields rows, and frames, which hold until the next, and which of these each row is of.

  The copies of a record are shared out among its rows, `together` or a few more to each.
  """
  for block, frames in _with_copies(reader, blocks, buffer):
    for which, numbers in copy_batches(frames, block.times // together, BLOCK_BYTES):
      times = block.times[which]
      rows = times // together
      shares = times * numbers // rows - times * (numbers - 1) // rows
      yield assigned_rows(frames.sizes[which], shares), frames, which


def to_copy(
  reader: FramesReader, blocks: Iterable[AssignedBlock], buffer: ScratchBuffer
) -> Iterator[Originals]:
  """Yields the records to copy, an entry for each copy, a bounded batch at a time."""
  for block, frames in _with_copies(reader, blocks, buffer):
    for which, numbers in copy_batches(frames, block.times - 1, CHUNK_BYTES):
      counters.COPIED.inc(len(which))
      hashes, positions = block.index['hash'][which], block.index['position'][which]
      yield Originals(
        frames.take(which), hashes, positions.astype(np.int64), numbers, block.rows[which]
      )


def _with_copies(
  reader: FramesReader, blocks: Iterable[AssignedBlock], buffer: ScratchBuffer
) -> Iterator[tuple[AssignedBlock, Frames]]:
  """Yields the blocks of which copies are made, beside their frames, which hold until the next."""
  for block in blocks:
    if block.times.max() > 1:
      yield block, reader.read(block.start, block.index['size'], buffer)


def copy_batches(frames: Frames, times: Ints, n_bytes: int) -> Iterator[tuple[Ints, Ints]]:
  """Yields which frame each copy is of, and its number among those of its original, from 1.

  About n_bytes of copies at a time: both int64 [m].
  """
  times = np.maximum(times, 0)
  ends = np.cumsum(times)
  which = np.repeat(np.arange(len(frames)), times)
  numbers = np.arange(len(which)) - np.repeat(ends - times, times) + 1
  batch = np.cumsum(frames.sizes[which]) // n_bytes
  edges = np.flatnonzero(np.diff(batch)) + 1
  for part in np.split(np.arange(len(which)), edges):
    if len(part):
      yield which[part], numbers[part]


def file_shapes(scanned: ScannedFile) -> tuple[FeatureShapes, int]:
  """Returns the shapes of a file's features, and its records."""
  batches = [
    (feature_shapes(frames.payloads(), scanned.file.path), len(frames))
    for _, frames in scanned.spill.frames('size')
  ]
  return merge_file_shapes(batches)


def merge_file_shapes(several: Iterable[tuple[FeatureShapes, int]]) -> tuple[FeatureShapes, int]:
  """Returns what the features of several files have in common, and the records of all."""
  found = list(several)
  numbers = [n for _, n in found]
  return merge_shapes([shapes for shapes, _ in found], numbers), sum(numbers)


@dataclass
class BalancedAugment(beam.PTransform):
  """Turns input files into balanced split files, which wait to be published.

  Input: `InputFile`, whose group is its split. Output: (job, counts, files): `AugmentJob` and
  int64 [rows, 2], one of each, and `WorkFile`, one a file.

  Attributes:
    request: Arguments of the run.
    load_augment_fn: Function that loads the augment function; None for plain copies.
  """

  request: AugmentRequest
  load_augment_fn: Callable[[], Any] | None

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    request, parameters = self.request, self.request.parameters
    scanned = scan_files(files, request.new_scan(purpose=PURPOSE))
    job = sum_groups(scanned, partial(plan_augment, request=request), request.n_files)
    selection = job | 'Selection' >> beam.Map(attrgetter('selection'))
    thresholds = find_file_thresholds(scanned, selection, request.n_files, request.work_dir)
    shapes: Any = {}
    pools: Any = NO_POOLS
    if self.load_augment_fn is not None:
      found = summed(scanned, 'FeatureShapes', file_shapes, merge_file_shapes, itemgetter(0))
      shapes = beam.pvalue.AsSingleton(found)
      augment_fn = self.load_augment_fn()
      if isinstance(augment_fn, PoolFn):
        job = job | 'PlanPools' >> beam.Map(with_pools, shapes, pool_request(augment_fn))
        find = FindPools(request.n_files, request.work_dir)
        pools = beam.pvalue.AsSingleton((scanned, job, found) | 'Pools' >> find)
    copied = scanned | 'CopyRecords' >> beam.ParDo(
      CopyRecords(self.load_augment_fn, parameters.label),
      beam.pvalue.AsSingleton(job),
      beam.pvalue.AsSingleton(thresholds),
      shapes,
      pools,
    ).with_outputs(COUNTS, main='ranges')
    seed = parameters.seed
    return gather_ranges(copied, job, request.n_files, request.work_dir, seed, repeats=True)
