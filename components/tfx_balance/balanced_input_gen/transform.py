"""Records laid out by class as a Beam transform: count, plan, assign, write.

files ── ScanFile ──┬── Totals of each split ── ShardJob
                    └── AssignClasses ── segments ── GatherFile ── publish, with plan and sidecar
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np

from tfx_balance.balanced_input_gen.job import ShardJob, ShardRequest, plan_shards
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.sparse_counts import SparseCounts
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.totals import sum_groups
from tfx_balance.shuffle.scatter import ScatteredSegments, Scatterer, gather_files
from tfx_balance.shuffle.select import sum_file_counts


class AssignClasses(beam.DoFn):
  """Turns a `ScannedFile` into segments by output file, and the records of each class in it."""

  COUNTS = 'counts'

  def process(
    self, scanned: ScannedFile, job: ShardJob
  ) -> Iterator[tuple[str, ScatteredSegments] | beam.pvalue.TaggedOutput]:
    request, outputs = job.request, job.outputs(scanned)
    key = tie_break(request.parameters.seed, 'order in classes')
    counts = np.zeros(len(outputs), np.int64)  # the last is of dropped records
    with Scatterer(job.layouts, scanned.file.rank, job.n_files, key, request.work_dir) as scatterer:
      for index, frames in scanned.frames():
        codes = np.minimum(index['code'], len(outputs) - 1)
        scatterer.add(frames, outputs[codes])
        counts += np.bincount(codes, minlength=len(counts))
      yield from scatterer.segments()
    found = SparseCounts.of(job.quotas.shape, outputs[:-1], counts[:-1])
    yield beam.pvalue.TaggedOutput(self.COUNTS, (scanned.file.rank, found))


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
    request, parameters = self.request, self.request.parameters
    scanned = scan_files(
      files,
      [parameters.label],
      request.payload,
      parameters.missing,
      request.work_dir,
      parameters.reading,
    )
    job = sum_groups(scanned, partial(plan_shards, request=request), request.n_files)
    assigned = scanned | 'AssignClasses' >> beam.ParDo(
      AssignClasses(), beam.pvalue.AsSingleton(job)
    ).with_outputs(AssignClasses.COUNTS, main='segments')
    counts = sum_file_counts(assigned[AssignClasses.COUNTS], request.n_files)
    return job, counts, gather_files(assigned.segments, job, request.work_dir)
