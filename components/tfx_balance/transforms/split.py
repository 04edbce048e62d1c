"""Stratified splitting as a Beam transform: count and spill, find the thresholds, deal out, write.

files ── ScanFile ──┬── Totals ── SplitJob
                    ├── Thresholds
                    └── DealOut ── ranges ── GatherSplits ── publish, with the sidecar
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.selection import Thresholds
from tfx_balance.plan.sidecar import split_sidecar
from tfx_balance.transforms.count import InputFile, scan_files
from tfx_balance.transforms.gather_splits import (
  DEALT_ROW,
  FileNumber,
  GatherSplits,
  SpillRange,
  SpillRanges,
  all_files,
)
from tfx_balance.transforms.publish import file_sizes, publish_outputs
from tfx_balance.transforms.select import FileAssigner, find_file_thresholds, sum_arrays
from tfx_balance.transforms.spill import SpilledFile, SpillWriter
from tfx_balance.transforms.split_job import SplitJob, SplitRequest, n_buckets, plan_job
from tfx_balance.transforms.steps import same, summed
from tfx_balance.transforms.totals import SumTotals
from tfx_balance.transforms.work_files import WorkFile, create_as_is, new_work_file

Ints = npt.NDArray[np.int64]


class DealOut(beam.DoFn):
  """Turns a `SpilledFile` into ranges by output file, and the counts of what it dealt out."""

  COUNTS = 'counts'

  def process(
    self, spilled: SpilledFile, job: SplitJob, thresholds: Thresholds
  ) -> Iterator[tuple[FileNumber, SpillRange] | beam.pvalue.TaggedOutput]:
    assigner = FileAssigner(job.selection, thresholds, spilled)
    path = new_work_file(job.request.work_dir, f'dealt-{spilled.file.rank:05d}')
    ranges = SpillRanges(spilled, path, job)
    with create_as_is(path) as file:
      for index, table in spilled.blocks():
        rows = np.empty(len(index), DEALT_ROW)
        rows['size'], (_, rows['part']) = index['size'], assigner.assign(index)
        file.write(rows.view(np.uint8).data)
        ranges.add(table)
    yield from ranges.by_file()
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
    keep = self.keeper()
    spilled = scan_files(files, r.features, r.payload, r.missing, r.work_dir, r.reading, keep)
    job = summed(spilled, 'Total', same, SumTotals(), partial(plan_job, request=r))
    planned = beam.pvalue.AsSingleton(job)
    thresholds = find_file_thresholds(
      spilled, job | 'Selection' >> beam.Map(attrgetter('selection'))
    )
    dealt = spilled | 'DealOut' >> beam.ParDo(
      DealOut(), planned, beam.pvalue.AsSingleton(thresholds)
    ).with_outputs(DealOut.COUNTS, main='ranges')
    counts = summed(dealt[DealOut.COUNTS], 'Counts', same, sum_arrays, same)
    written = (
      (dealt.ranges, job | 'AllFiles' >> beam.FlatMap(all_files))
      | 'RangesAndFiles' >> beam.Flatten()
      | 'ByFile' >> beam.GroupByKey()
      | 'GatherSplits' >> beam.ParDo(GatherSplits(), planned)
    )
    return job, counts, written

  def keeper(self) -> Callable[[InputFile, str], SpillWriter]:
    """Returns what makes the keeper of a file's records."""
    r = self.request
    return partial(SpillWriter, n_buckets=n_buckets(r.n_files), seed_key=tie_break(r.seed, 'order'))


def publish_split(
  passed_through: Sequence[str], job: SplitJob, counts: Ints, files: Sequence[WorkFile]
) -> None:
  """Moves all the files to where they belong, and writes the sidecar; see `publish_outputs`."""
  source, sizes = job.totals.describe(), file_sizes(files)
  data = split_sidecar(job.plan, job.request.parameters, source, sizes, passed_through)
  publish_outputs(job, counts, files, data)
