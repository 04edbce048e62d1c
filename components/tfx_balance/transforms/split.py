"""Stratified splitting as a Beam transform: count, find the thresholds, deal out, write.

files ── ScanFile ──┬── Totals ── SplitJob
                    ├── Thresholds
                    └── DealOut ── spills ── GatherFile ── publish, with the sidecar
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.selection import Thresholds
from tfx_balance.plan.sidecar import split_sidecar
from tfx_balance.transforms.count import InputFile, ScannedFile, SumTotals, scan_files
from tfx_balance.transforms.publish import publish_outputs
from tfx_balance.transforms.select import FileAssigner, find_file_thresholds, sum_arrays
from tfx_balance.transforms.shuffle import Scatterer, Spill, gather_files
from tfx_balance.transforms.split_job import SplitJob, SplitRequest, plan_job
from tfx_balance.transforms.steps import same, summed
from tfx_balance.transforms.work_files import WorkFile

Ints = npt.NDArray[np.int64]


class DealOut(beam.DoFn):
  """Turns a `ScannedFile` into spills by output file, and the counts of what it dealt out."""

  COUNTS = 'counts'

  def process(
    self, scanned: ScannedFile, job: SplitJob, thresholds: Thresholds
  ) -> Iterator[tuple[str, Spill] | beam.pvalue.TaggedOutput]:
    request, rank = job.request, scanned.file.rank
    key = tie_break(request.seed, 'order')
    assigner = FileAssigner(job.selection, thresholds, scanned)
    with Scatterer(job.layouts, rank, job.totals.n_files, key, request.work_dir) as scatterer:
      for index, frames in scanned.frames():
        _, parts = assigner.assign(index)
        scatterer.add(frames, parts)
      yield from scatterer.spills()
    yield beam.pvalue.TaggedOutput(self.COUNTS, assigner.counts)


@dataclass
class StratifiedSplit(beam.PTransform):
  """Turns input files into split files, which wait to be published.

  Input: `InputFile`. Output: (job, counts, files): `SplitJob` and int64 [strata, splits], one of
  each, and `WorkFile`, one a file.
  """

  request: SplitRequest

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    r = self.request
    scanned = scan_files(files, r.features, r.payload, r.missing, r.work_dir)
    job = summed(scanned, 'Total', same, SumTotals(), partial(plan_job, request=r))
    planned = beam.pvalue.AsSingleton(job)
    thresholds = find_file_thresholds(
      scanned, job | 'Selection' >> beam.Map(attrgetter('selection'))
    )
    dealt = scanned | 'DealOut' >> beam.ParDo(
      DealOut(), planned, beam.pvalue.AsSingleton(thresholds)
    ).with_outputs(DealOut.COUNTS, main='spills')
    counts = summed(dealt[DealOut.COUNTS], 'Counts', same, sum_arrays, same)
    return job, counts, gather_files(dealt.spills, job, r.work_dir)


def publish_split(
  passed_through: Sequence[str], job: SplitJob, counts: Ints, files: Sequence[WorkFile]
) -> None:
  """Moves all the files to where they belong, and writes the sidecar; see `publish_outputs`."""
  n_files = {name: len(x.paths) for name, x in zip(job.plan.splits, job.layouts, strict=True)}
  source = job.totals.describe()
  data = split_sidecar(job.plan, job.request.parameters, source, n_files, passed_through)
  publish_outputs(job, counts, files, data)
