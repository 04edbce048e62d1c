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
from tfx_balance.beam.steps import identity, summed
from tfx_balance.plan.apportion import tie_break
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.totals import SumGroups
from tfx_balance.shuffle.scatter import ScatteredSegments, Scatterer, gather_files
from tfx_balance.shuffle.select import sum_arrays


class AssignClasses(beam.DoFn):
  """Turns a `ScannedFile` into segments by output file, and the records of each class in it."""

  COUNTS = 'counts'

  def process(
    self, scanned: ScannedFile, job: ShardJob
  ) -> Iterator[tuple[str, ScatteredSegments] | beam.pvalue.TaggedOutput]:
    request, outputs = job.request, job.outputs(scanned)
    key = tie_break(request.parameters.seed, 'order in classes')
    counts = np.zeros(len(job.classes) + 1, np.int64)  # the first is of dropped records
    with Scatterer(job.layouts, scanned.file.rank, job.n_files, key, request.work_dir) as scatterer:
      for index, frames in scanned.frames():
        chosen = outputs[np.minimum(index['code'], len(outputs) - 1)]
        scatterer.add(frames, chosen)
        counts += np.bincount(chosen + 1, minlength=len(counts))
      yield from scatterer.segments()
    yield beam.pvalue.TaggedOutput(self.COUNTS, counts[1:])


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
    job = summed(scanned, 'Total', identity, SumGroups(), partial(plan_shards, request=request))
    assigned = scanned | 'AssignClasses' >> beam.ParDo(
      AssignClasses(), beam.pvalue.AsSingleton(job)
    ).with_outputs(AssignClasses.COUNTS, main='segments')
    counts = summed(assigned[AssignClasses.COUNTS], 'Counts', identity, sum_arrays, identity)
    return job, counts, gather_files(assigned.segments, job, request.work_dir)
