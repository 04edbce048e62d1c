"""Balancing by copies as a Beam transform: count, plan, copy, write.

files ── ScanFile ──┬── Totals of each split ── AugmentJob
                    ├── Thresholds: which records are there once more, or stay
                    ├── Shapes of the features, where a function augments
                    ├── Pools of the classes, where it needs other records
                    └── CopyRecords ── segments ── GatherFile ── publish, with the sidecar
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.augment import Applier, PoolFn
from tfx_balance.augment.contract import pool_request
from tfx_balance.balanced_augmenter.copies import CopyMaker, Originals
from tfx_balance.balanced_augmenter.examples import FeatureShapes, feature_shapes, merge_shapes
from tfx_balance.balanced_augmenter.job import AugmentJob, AugmentRequest, plan_augment
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
from tfx_balance.scan.totals import sum_groups
from tfx_balance.shuffle.scatter import ScatteredSegments, Scatterer, gather_files
from tfx_balance.shuffle.select import FileAssigner, find_file_thresholds, sum_file_counts
from tfx_balance.tfrecord.files import CHUNK_BYTES
from tfx_balance.tfrecord.frames import Frames


class CopyRecords(beam.DoFn):
  """Turns a `ScannedFile` into segments by output file, and the counts of the records it used."""

  COUNTS = 'counts'

  def __init__(self, load_augment_fn: Callable[[], Any] | None, label: str) -> None:
    self._load_augment_fn = load_augment_fn
    self._label = label
    self._augment: Applier | PoolFn | None = None

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
  ) -> Iterator[tuple[str, ScatteredSegments] | beam.pvalue.TaggedOutput]:
    request, rank = job.request, scanned.file.rank
    key = tie_break(request.parameters.seed, 'order of copies')
    assigner = FileAssigner(job.selection, thresholds, scanned)
    maker = CopyMaker(scanned, job, shapes, self._augment, pools)
    batches = _batches(scanned, job, assigner, maker.makes_duplicates)
    with Scatterer(job.layouts, rank, job.n_files, key, request.work_dir) as scatterer:
      for frames, outputs, which in map_in_order(partial(_made, maker), batches, maker.threads):
        scatterer.add(frames, outputs, which)
      yield from scatterer.segments()
    yield beam.pvalue.TaggedOutput(self.COUNTS, (rank, assigner.counts))


Batch = tuple[Frames | Originals, Ints, Ints | None]
"""Frames, or originals to copy; their outputs; and positions of the frames, None for all."""


def _batches(
  scanned: ScannedFile, job: AugmentJob, assigner: FileAssigner, duplicates: bool
) -> Iterator[Batch]:
  """Yields the output of a file: originals, and after them the records to copy."""
  position = 0
  for index, frames in scanned.frames():
    rows, parts = assigner.assign(index)
    times = np.where(rows >= 0, job.copies[rows, parts], 0)
    if job.request.parameters.augmented_split is None:
      yield frames, np.where(times > 0, job.outputs[rows], -1), None
    if duplicates:
      for which, _ in copy_batches(frames, times - 1):
        counters.COPIED.inc(len(which))
        yield frames, job.outputs[rows[which]], which
    else:
      for originals in to_copy(index, frames, rows, times - 1, position):
        counters.COPIED.inc(len(originals.rows))
        yield originals, job.outputs[originals.rows], None
    position += len(frames)


def _made(maker: CopyMaker, batch: Batch) -> tuple[Frames, Ints, Ints | None]:
  """Returns a batch with the copies made."""
  what, outputs, which = batch
  return maker.make(what) if isinstance(what, Originals) else what, outputs, which


def to_copy(
  index: npt.NDArray[np.void], frames: Frames, rows: Ints, times: Ints, position: int
) -> Iterator[Originals]:
  """Yields the records to copy, an entry for each copy, a bounded batch at a time."""
  for which, numbers in copy_batches(frames, times):
    yield Originals(
      frames.take(which), index['hash'][which], which + position, numbers, rows[which]
    )


def copy_batches(frames: Frames, times: Ints) -> Iterator[tuple[Ints, Ints]]:
  """Yields which frame each copy is of, and its number among those of its original, from 1.

  A bounded batch at a time: both int64 [m].
  """
  times = np.maximum(times, 0)
  ends = np.cumsum(times)
  which = np.repeat(np.arange(len(frames)), times)
  numbers = np.arange(len(which)) - np.repeat(ends - times, times) + 1
  batch = np.cumsum(frames.sizes[which]) // CHUNK_BYTES
  edges = np.flatnonzero(np.diff(batch)) + 1
  for part in np.split(np.arange(len(which)), edges):
    if len(part):
      yield which[part], numbers[part]


def file_shapes(scanned: ScannedFile) -> tuple[FeatureShapes, int]:
  """Returns the shapes of a file's features, and its records."""
  batches = [
    (feature_shapes(frames.payloads(), scanned.file.path), len(frames))
    for frames in scanned.usable_frames()
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
    scanned = scan_files(
      files,
      [parameters.label],
      request.payload,
      parameters.missing,
      request.work_dir,
      parameters.reading,
    )
    job = sum_groups(scanned, partial(plan_augment, request=request), request.n_files)
    thresholds = find_file_thresholds(
      scanned, job | 'Selection' >> beam.Map(attrgetter('selection')), request.n_files
    )
    shapes: Any = {}
    pools: Any = NO_POOLS
    if self.load_augment_fn is not None:
      found = summed(scanned, 'FeatureShapes', file_shapes, merge_file_shapes, itemgetter(0))
      shapes = beam.pvalue.AsSingleton(found)
      augment_fn = self.load_augment_fn()
      if isinstance(augment_fn, PoolFn):
        job = job | 'PlanPools' >> beam.Map(with_pools, shapes, pool_request(augment_fn))
        find = FindPools(request.n_files)
        pools = beam.pvalue.AsSingleton((scanned, job, found) | 'Pools' >> find)
    copied = scanned | 'CopyRecords' >> beam.ParDo(
      CopyRecords(self.load_augment_fn, parameters.label),
      beam.pvalue.AsSingleton(job),
      beam.pvalue.AsSingleton(thresholds),
      shapes,
      pools,
    ).with_outputs(CopyRecords.COUNTS, main='segments')
    counts = sum_file_counts(copied[CopyRecords.COUNTS], request.n_files)
    return job, counts, gather_files(copied.segments, job, request.work_dir)
