"""Stratified splitting as a Beam transform: count and spill, find the thresholds, assign, write.

files ── ScanFile ──┬── Totals ── SplitJob
                    ├── Thresholds
                    └── AssignSplits ── ranges ── GatherRanges ── publish, with the sidecar
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import apache_beam as beam
import numpy as np

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.ranks import Thresholds
from tfx_balance.scan.scan import InputFile, SpilledFile, SpillWriter, scan_files
from tfx_balance.scan.totals import sum_groups
from tfx_balance.shuffle.ranges import (
  ASSIGNED_ROW,
  FileNumber,
  GatherRanges,
  SpillRange,
  SpillRanges,
  all_files,
)
from tfx_balance.shuffle.select import FileAssigner, find_file_thresholds, sum_file_counts
from tfx_balance.stratified_splitter.job import SplitJob, SplitRequest, n_buckets, plan_job
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file


class AssignSplits(beam.DoFn):
  """Turns a `SpilledFile` into ranges by output file, and the counts of the assigned records."""

  COUNTS = 'counts'

  def process(
    self, spilled: SpilledFile, job: SplitJob, thresholds: Thresholds
  ) -> Iterator[tuple[FileNumber, SpillRange] | beam.pvalue.TaggedOutput]:
    assigner = FileAssigner(job.selection, thresholds, spilled)
    path = new_work_file(job.request.work_dir, f'assigned-{spilled.file.rank:05d}')
    ranges = SpillRanges(spilled, path, job.layouts, job.totals.n_files)
    with create_as_is(path) as file:
      for index, table in spilled.blocks():
        rows = np.empty(len(index), ASSIGNED_ROW)
        rows['size'], (_, rows['output']) = index['size'], assigner.assign(index)
        file.write(rows.view(np.uint8).data)
        ranges.add(table)
    yield from ranges.by_file()
    yield beam.pvalue.TaggedOutput(self.COUNTS, (spilled.file.rank, assigner.counts))


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
    request, parameters = self.request, self.request.parameters
    spilled = scan_files(
      files,
      parameters.features,
      request.payload,
      parameters.missing,
      request.work_dir,
      parameters.reading,
      self.new_writer(),
    )
    job = sum_groups(spilled, lambda totals: plan_job(totals[''], request), request.n_files)
    thresholds = find_file_thresholds(
      spilled, job | 'Selection' >> beam.Map(attrgetter('selection')), request.n_files
    )
    assigned = spilled | 'AssignSplits' >> beam.ParDo(
      AssignSplits(), beam.pvalue.AsSingleton(job), beam.pvalue.AsSingleton(thresholds)
    ).with_outputs(AssignSplits.COUNTS, main='ranges')
    counts = sum_file_counts(assigned[AssignSplits.COUNTS], request.n_files)
    layouts = job | 'Layouts' >> beam.Map(attrgetter('layouts'))
    gather = GatherRanges(request.work_dir, parameters.seed)
    written = (
      (assigned.ranges, layouts | 'AllFiles' >> beam.FlatMap(all_files))
      | 'RangesAndFiles' >> beam.Flatten()
      | 'ByFile' >> beam.GroupByKey()
      | 'GatherRanges' >> beam.ParDo(gather, beam.pvalue.AsSingleton(layouts))
    )
    return job, counts, written

  def new_writer(self) -> Callable[[InputFile, str], SpillWriter]:
    """Returns the function that makes the writer of a file's records."""
    parameters = self.request.parameters
    key = tie_break(parameters.seed, 'order')
    return partial(SpillWriter, n_buckets=n_buckets(parameters.output_files), seed_key=key)
