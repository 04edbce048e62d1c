"""Balancing by copies as a Beam transform: count and spill, plan, copy, write.

files ── ScanFile ──┬── Totals of each split ── AugmentOutputPlan
                    ├── Thresholds: which records are there once more, or stay
                    ├── Shapes of the features, where a function augments
                    ├── Pools of the classes, where it needs other records
                    └── CopyRecords ── ranges ── GatherRanges ── publish, with the sidecar
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import apache_beam as beam
import numpy as np

from tfx_balance.augment import Applier, PoolFn
from tfx_balance.augment.contract import pool_request
from tfx_balance.balanced_augmenter.copies import CopyMaker, Originals
from tfx_balance.balanced_augmenter.examples import FeatureShapes, feature_shapes, merge_shapes
from tfx_balance.balanced_augmenter.output_plan import (
  PURPOSE,
  AugmentContext,
  AugmentOutputPlan,
  plan_augment,
)
from tfx_balance.balanced_augmenter.pools import (
  NO_POOLS,
  ClassPools,
  FindPools,
  with_pools,
)
from tfx_balance.beam import counters
from tfx_balance.beam.parallel import map_in_order
from tfx_balance.beam.steps import summed
from tfx_balance.plan.ranks import Ints, Thresholds, UInts, mix
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.spill import (
  COPIED_ROW,
  FramesReader,
  in_blocks,
  new_rows,
  record_keys,
)
from tfx_balance.scan.totals import sum_by_split
from tfx_balance.shuffle.assigned import AssignedRecords
from tfx_balance.shuffle.frequent import FrequentKeys, KeySpreader, find_frequent
from tfx_balance.shuffle.ranges import COUNTS, BatchKey, SpillRanges, gather_ranges
from tfx_balance.shuffle.select import FileAssigner, FileCounts, find_file_thresholds
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer
from tfx_balance.tfrecord.work_files import scratch_folder


class CopyRecords(beam.DoFn):
  """Turns a `ScannedFile` into ranges by output file, and the counts of the records it used.

  Originals are taken from where they were spilled, and so are plain copies, which go to the file of
  their original: each to a place of its own in it. A record that is there more than twice as often
  as `AugmentOutputPlan.copies_together` says goes to several files: it is spilled once more for so
  many of its copies. Copies that a function makes are spilled too.
  """

  def __init__(self, load_augment_fn: Callable[[], Any] | None, label: str) -> None:
    self._load_augment_fn = load_augment_fn
    self._label = label
    self._augment: Applier | PoolFn | None = None
    self._block, self._originals, self._made = ScratchBuffer(), ScratchBuffer(), ScratchBuffer()

  def setup(self) -> None:
    if self._load_augment_fn is not None:
      augment_fn = self._load_augment_fn()
      ready = isinstance(augment_fn, PoolFn)
      self._augment = augment_fn if ready else Applier(augment_fn, self._label)

  def process(
    self,
    scanned: ScannedFile,
    output_plan: AugmentOutputPlan,
    thresholds: Thresholds,
    frequent: FrequentKeys,
    shapes: FeatureShapes,
    pools: ClassPools,
  ) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
    context, spill, selection = output_plan.context, scanned.spill, output_plan.selection
    strata, input_split = selection.strata_of(scanned), scanned.file.input_split
    counts = FileCounts(strata, selection.quotas.shape)
    assigner = FileAssigner(selection, thresholds, scanned)
    spreader = KeySpreader(frequent, spill.file_number)
    maker = CopyMaker(scanned, output_plan, shapes, self._augment, pools)
    plain, apart = maker.makes_duplicates, context.parameters.augmented_split is not None
    together = output_plan.copies_together(input_split) if plain else None

    def to_copy(
      assigned: AssignedRecords, reader: FramesReader
    ) -> Iterator[tuple[UInts, Originals]]:
      """Assigns records that are read from where they were spilled; yields keys of copies to make.

      With the keys come the originals, about `Sizes.chunk_bytes` of copies at a time.
      """
      start = 0
      for index in spill.index('hash', 'content', 'code', 'size', *([] if plain else ['position'])):
        rows, parts = strata[index['code']], assigner.assign(index)
        counts.add(index['code'], parts)
        times = output_plan.copies[rows, parts]
        counters.COPIED.inc(int(np.maximum(times - 1, 0).sum()))
        keys, again = spreader.spread(record_keys(index, spill.key))
        if plain or not apart:
          own = np.maximum(times - int(apart), 0) if plain else np.minimum(times, 1)
          assigned.add(
            new_rows(COPIED_ROW, size=index['size'], times=own, key=keys), again, None, together
          )
        if not plain and times.max() > 1:
          frames = reader.read(start, index['size'], self._originals)
          for which, numbers in copy_batches(frames, times - 1, context.sizes.chunk_bytes):
            hashes, positions = index['hash'][which], index['position'][which].astype(np.int64)
            originals = Originals(frames.take(which), hashes, positions, numbers, rows[which])
            yield mix(keys[which], numbers.view(np.uint64)), originals
        start += int(index['size'].sum(dtype=np.int64))

    file_group = output_plan.file_group_of(input_split, whole=plain)
    with scratch_folder(context.work_dir) as folder:
      with (
        AssignedRecords(spill, [file_group], folder, self._block) as assigned,
        FramesReader(spill) as reader,
      ):
        batches = (
          (new_rows(COPIED_ROW, size=made.sizes, times=1, key=keys), made)
          for keys, made in map_in_order(
            lambda each: (each[0], maker.make(each[1])), to_copy(assigned, reader), maker.threads
          )
        )
        for rows, frames in in_blocks(batches, self._made, context.sizes.block_bytes):
          assigned.spill(rows, frames)
      yield from assigned.by_files(context)
    yield beam.pvalue.TaggedOutput(COUNTS, (spill.file_number, counts.sparse()))


def copy_batches(frames: Frames, times: Ints, n_bytes: int) -> Iterator[tuple[Ints, Ints]]:
  """Yields the frame of each copy, and its number among those of its original, from 1.

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
  return merge_shapes(
    (feature_shapes(frames.payloads(), scanned.file.path), len(frames))
    for _, frames in scanned.spill.frames('size')
  )


@dataclass
class BalancedAugment(beam.PTransform):
  """Turns input files into balanced split files, which wait to be published.

  Input: `InputFile` of the splits. Output: (output plan, counts, files):
  `AugmentOutputPlan` and int64 [rows, 2], one of each, and `WorkFile`, one a file.

  Attributes:
    context: Arguments of the run.
    load_augment_fn: Function that loads the augment function; None for plain copies.
  """

  context: AugmentContext
  load_augment_fn: Callable[[], Any] | None

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    context, parameters = self.context, self.context.parameters
    scanned = scan_files(files, context.new_scan(purpose=PURPOSE))
    output_plan = sum_by_split(scanned, partial(plan_augment, context=context), context)
    selection = output_plan | 'Selection' >> beam.Map(attrgetter('selection'))
    thresholds = find_file_thresholds(scanned, selection, context)
    shapes: Any = {}
    pools: Any = NO_POOLS
    if self.load_augment_fn is not None:
      found = summed(scanned, 'FeatureShapes', file_shapes, merge_shapes, itemgetter(0))
      shapes = beam.pvalue.AsSingleton(found)
      augment_fn = self.load_augment_fn()
      if isinstance(augment_fn, PoolFn):
        output_plan = output_plan | 'PlanPools' >> beam.Map(
          with_pools, shapes, pool_request(augment_fn)
        )
        find = FindPools(context)
        pools = beam.pvalue.AsSingleton((scanned, output_plan, found) | 'Pools' >> find)
    copied = scanned | 'CopyRecords' >> beam.ParDo(
      CopyRecords(self.load_augment_fn, parameters.label),
      beam.pvalue.AsSingleton(output_plan),
      beam.pvalue.AsSingleton(thresholds),
      beam.pvalue.AsSingleton(find_frequent(scanned, context)),
      shapes,
      pools,
    ).with_outputs(COUNTS, main='ranges')
    return gather_ranges(copied, output_plan, context, COPIED_ROW)
