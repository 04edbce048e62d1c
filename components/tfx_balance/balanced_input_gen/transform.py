"""Records laid out by class as a Beam transform: count and spill by class, plan, assign, write.

files ── ScanFile ──┬── Totals of each split ── ShardJob
                    └── AssignClasses ── ranges ── GatherRanges ── publish, with plan and sidecar
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np

from tfx_balance.balanced_input_gen.job import ShardJob, ShardRequest, plan_shards
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sparse_counts import SparseCounts
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.spill import FramesReader, SpillWriter, assigned_rows
from tfx_balance.scan.totals import sum_groups
from tfx_balance.shuffle.ranges import COUNTS, BatchKey, RangeFinder, SpillRanges, gather_ranges
from tfx_balance.tfrecord.frames import ScratchBuffer
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file
from tfx_balance.tfrecord.work_folder import scratch_folder


class AssignClasses(beam.DoFn):
  """Turns a `ScannedFile` into ranges by output file, and the records of each class in it.

  A class with files of its own is one run of neighbours in a block. Rare classes are short runs:
  where those of one file do not lie together, they are brought together, in a spill of their own.
  """

  def __init__(self) -> None:
    self._rare = ScratchBuffer()

  def process(
    self, scanned: ScannedFile, job: ShardJob
  ) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
    work_dir, spill, n_files = job.request.work_dir, scanned.spill, job.n_files
    key = tie_break(job.request.parameters.seed, 'cut')
    file_groups, (classes, groups, sections, shared) = job.groups, job.of_codes(scanned)
    counts, start, buffer = np.zeros(len(classes), np.int64), 0, self._rare
    with contextlib.ExitStack() as stack:
      folder = stack.enter_context(scratch_folder(work_dir))
      path = new_work_file(folder, f'assigned-{spill.rank:05d}')
      writer = SpillWriter(folder, 'rare', n_files + spill.rank, key)
      ranges, of_rare = (
        RangeFinder(each, rows_path, file_groups, key)
        for each, rows_path in ((spill, path), (writer.spill, str(writer.spill.rows_file)))
      )
      with FramesReader(spill) as reader, create_as_is(path) as file, writer:
        for index in spill.index('code', 'size'):
          code, sizes = index['code'], index['size']
          rows, mine = assigned_rows(sizes, sections[code]), groups[code]
          file.write(rows.view(np.uint8).data)
          rare = np.flatnonzero(shared[code])
          if not lie_together(mine[rare]):
            low, high = rare[0], rare[-1] + 1
            first = start + int(sizes[:low].sum(dtype=np.int64))
            frames = reader.read(first, sizes[low:high], buffer)
            order = rare[writer.write(rows[rare], frames, rare - low, mine[rare])]
            of_rare.add(sizes[order], mine[order])
            mine[rare] = -1
          ranges.add(sizes, mine)
          counts += np.bincount(code, minlength=len(counts))
          start += int(sizes.sum(dtype=np.int64))
      yield from ranges.by_files(work_dir)
      yield from of_rare.by_files(work_dir)
    found = SparseCounts.of(job.quotas.shape, classes, counts)
    yield beam.pvalue.TaggedOutput(COUNTS, (spill.rank, found))


def lie_together(groups: Ints) -> bool:
  """Returns whether the records of each group are neighbours: int64 [n].

  >>> lie_together(np.array([3, 3, 1, 1])), lie_together(np.array([3, 1, 3]))
  (True, False)
  """
  return np.count_nonzero(np.diff(groups)) < len(np.unique(groups)) or not len(groups)


@dataclass
class ClassShards(beam.PTransform):
  """Turns input files into files by class, which wait to be published.

  Input: `InputFile`, whose group is its split. Output: (job, counts, files): `ShardJob` and int64
  [classes], one of each, and `WorkFile`, one a file.
  """

  request: ShardRequest

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    request = self.request
    scanned = scan_files(files, request.new_scan(by_class=True, labels=request.parameters.labels))
    job = sum_groups(scanned, partial(plan_shards, request=request), request.n_files)
    assigned = scanned | 'AssignClasses' >> beam.ParDo(
      AssignClasses(), beam.pvalue.AsSingleton(job)
    ).with_outputs(COUNTS, main='ranges')
    seed = request.parameters.seed
    return gather_ranges(assigned, job, request.n_files, request.work_dir, seed)
