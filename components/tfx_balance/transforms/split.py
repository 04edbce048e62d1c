"""Stratified splitting as a Beam transform: count, find the thresholds, deal out, write.

    files ── ScanFile ──┬── Totals ── SplitJob ──────┬───────────┬─────────┐
                        ├── histogram of ranks ──────┤           │         │
                        ├── candidates ── Thresholds ┤           │         │
                        └── DealOut ── spills ── GatherFile ── publish ── sidecar

Only counts, and the few ranks near a threshold, come together in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.selection import (
  Assigner,
  Candidates,
  HistogramLayout,
  Thresholds,
  boundary_buckets,
  find_thresholds,
)
from tfx_balance.plan.sidecar import SIDECAR_NAME, split_sidecar
from tfx_balance.transforms.count import InputFile, ScanFile, ScannedFile, SumTotals
from tfx_balance.transforms.shuffle import GatherFile, Scatterer, Spill
from tfx_balance.transforms.split_job import SplitJob, SplitRequest, plan_job
from tfx_balance.transforms.work_files import WorkFile, publish, write_json

Ints = npt.NDArray[np.int64]


def count_ranks(scanned: ScannedFile, job: SplitJob) -> Ints:
  """Returns how many of a file's records have their rank in each bucket."""
  layout = HistogramLayout.of(job.plan.records)
  counts = np.zeros(layout.n_buckets, np.int64)
  for strata, rank in job.ranked(scanned):
    counts += np.bincount(layout.buckets(strata, rank), minlength=layout.n_buckets)
  return counts


@dataclass(frozen=True)
class Search:
  """Where the ends of the parts are to be looked for, as from `boundary_buckets`."""

  buckets: Ints
  positions: Ints


def plan_search(histogram: Ints, job: SplitJob) -> Search:
  """Returns the buckets in which parts end."""
  layout = HistogramLayout.of(job.plan.records)
  return Search(*boundary_buckets(layout, histogram, job.quotas))


def collect_candidates(scanned: ScannedFile, job: SplitJob, search: Search) -> Candidates:
  """Returns a file's ranks in the buckets in which parts end."""
  layout = HistogramLayout.of(job.plan.records)
  wanted = np.zeros(layout.n_buckets, bool)
  wanted[search.buckets[search.buckets >= 0]] = True
  parts = []
  for strata, rank in job.ranked(scanned):
    buckets = layout.buckets(strata, rank)
    near = wanted[buckets]
    parts.append((buckets[near], rank[near]))
  buckets = np.concatenate([b for b, _ in parts]) if parts else np.empty(0, np.int64)
  rank = np.concatenate([r for _, r in parts]) if parts else np.empty(0, np.uint64)
  return Candidates.collect(buckets, rank, scanned.file.rank)


def set_thresholds(candidates: Candidates, job: SplitJob, search: Search) -> Thresholds:
  """Returns the ranks at which parts end."""
  return find_thresholds(job.quotas, search.buckets, search.positions, candidates)


class DealOut(beam.DoFn):
  """Turns a `ScannedFile` into spills by output file, and the counts of what it dealt out."""

  COUNTS = 'counts'

  def process(
    self, scanned: ScannedFile, job: SplitJob, thresholds: Thresholds
  ) -> Iterator[tuple[str, Spill] | beam.pvalue.TaggedOutput]:
    request = job.request
    rows = np.append(job.rows(scanned), -1)
    assigner = Assigner(thresholds, scanned.file.rank)
    key = tie_break(request.seed, 'order')
    scatterer = Scatterer(job.layouts, scanned.file.rank, job.totals.n_files, key, request.work_dir)
    counts = np.zeros_like(job.quotas)
    for index, frames in scanned.frames():
      strata = rows[np.minimum(index['code'], len(rows) - 1)]  # a dropped record has row -1
      parts = np.full(len(strata), -1, np.int64)
      kept = strata >= 0
      parts[kept] = assigner.assign(strata[kept], job.ranks(index['hash'][kept]))
      np.add.at(counts, (strata[kept], parts[kept]), 1)
      scatterer.add(frames, parts)
    yield from scatterer.close()
    yield beam.pvalue.TaggedOutput(self.COUNTS, counts)


def output_paths(job: SplitJob) -> Iterator[tuple[str, Spill | None]]:
  """Yields every file that must come out, also when it has no records."""
  for layout in job.layouts:
    for path in layout.paths:
      yield path, None


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
    scan = ScanFile(r.features, r.payload, r.missing, r.work_dir)
    scanned = files | 'SpreadFiles' >> beam.Reshuffle() | 'ScanFile' >> beam.ParDo(scan)
    job = scanned | 'Total' >> beam.CombineGlobally(SumTotals()) | 'Plan' >> beam.Map(plan_job, r)
    planned = beam.pvalue.AsSingleton(job)
    histogram = (
      scanned
      | 'CountRanks' >> beam.Map(count_ranks, planned)
      | 'SumRanks' >> beam.CombineGlobally(_sum_arrays)
    )
    search = beam.pvalue.AsSingleton(histogram | 'Search' >> beam.Map(plan_search, planned))
    thresholds = (
      scanned
      | 'CollectCandidates' >> beam.Map(collect_candidates, planned, search)
      | 'MergeCandidates' >> beam.CombineGlobally(_merge_candidates)
      | 'FindThresholds' >> beam.Map(set_thresholds, planned, search)
    )
    dealt = scanned | 'DealOut' >> beam.ParDo(
      DealOut(), planned, beam.pvalue.AsSingleton(thresholds)
    ).with_outputs(DealOut.COUNTS, main='spills')
    counts = dealt[DealOut.COUNTS] | 'SumCounts' >> beam.CombineGlobally(_sum_arrays)
    written = (
      (dealt.spills, job | 'OutputPaths' >> beam.FlatMap(output_paths))
      | 'AllFiles' >> beam.Flatten()
      | 'ByFile' >> beam.GroupByKey()
      | 'GatherFile' >> beam.ParDo(GatherFile(r.work_dir))
    )
    return job, counts, written


def _sum_arrays(arrays: Iterable[Any]) -> Any:
  """Returns the sum of arrays of one shape; 0 for none."""
  total: Any = 0
  for array in arrays:
    total = total + array
  return total


def _merge_candidates(parts: Iterable[Candidates]) -> Candidates:
  return Candidates.merge(list(parts))


def check_written(job: SplitJob, counts: Ints, files: Sequence[WorkFile]) -> None:
  """Checks that what was written is what was planned.

  Raises:
    RuntimeError: if it is not: a fault of this package, or data that changed meanwhile.
  """
  if not np.array_equal(counts, job.quotas):
    raise RuntimeError(f'dealt out {counts.tolist()}, planned {job.quotas.tolist()}')
  in_file = {file.final_path: file.records for file in files}
  for name, layout, planned in zip(job.plan.splits, job.layouts, job.plan.totals(), strict=True):
    found = sum(in_file[path] for path in layout.paths)
    if found != planned:
      raise RuntimeError(f'split {name!r} has {found} records in its files, planned {planned}')


def publish_split(
  passed_through: Sequence[str],
  job: SplitJob,
  counts: Ints,
  files: Sequence[WorkFile],
) -> None:
  """Moves all the files to where they belong, and writes the sidecar.

  Args:
    passed_through: splits whose files are among the files, copied unread.
    job: what was done.
    counts: int64 [strata, splits], as dealt out.
    files: all that were written or copied.
  """
  check_written(job, counts, files)
  source = {
    'records': job.totals.n_records + job.totals.dropped,
    'dropped': job.totals.dropped,
    'files': job.totals.n_files,
    'fingerprint': f'{job.totals.fingerprint:016x}',
  }
  n_files = {
    name: len(layout.paths) for name, layout in zip(job.plan.splits, job.layouts, strict=True)
  }
  data = split_sidecar(job.plan, job.request.parameters, source, n_files, passed_through)
  publish(files)
  write_json(f'{job.request.output_uri}/{SIDECAR_NAME}', data)
