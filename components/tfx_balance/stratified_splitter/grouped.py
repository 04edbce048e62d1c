"""A split of whole groups: count them part by part, plan, and tell each file where its own go.

files ── ScanFile ──┬── Totals ── frame ────────────┐
                    ├── count_groups ── parts ──┬── GroupTable ── dealt ── SplitJob, GroupPlan
                    │                           └── splits of groups ──┐
                    └── AssignGroups ──────────────────────────────────┴── ranges
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.plan.group_plan import GroupPlan, dealt_splits, plan_groups, told_splits
from tfx_balance.plan.group_table import GroupTable
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sparse_counts import SparseCounts
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.totals import Totals
from tfx_balance.shuffle.group_columns import (
  Column,
  GroupAssigner,
  build_part,
  count_groups,
  n_parts,
  return_splits,
)
from tfx_balance.stratified_splitter.job import SplitJob, SplitRequest, plan_job

Part = tuple[int, Iterable[Column]]
"""The number of a part of the groups, and what files have of it."""
_Job = TypeVar('_Job', bound='GroupedJob')


@dataclass(frozen=True)
class GroupedJob(SplitJob):
  """The plan of a run that splits groups; until these are counted, that of predefined strata."""

  @classmethod
  def of(cls: type[_Job], job: SplitJob) -> _Job:
    """Returns the job of a split whose groups are not counted yet."""
    return cls(**{each.name: getattr(job, each.name) for each in fields(job)})

  def rows_of(self, scanned: ScannedFile) -> Ints:
    """Returns the row of the stratum of each code of a file: int64 [strata]."""
    held = np.flatnonzero(scanned.records)  # others are of records that were dropped
    rows = np.zeros(len(scanned.records), np.int64)
    rows[held] = self.totals.strata().strata.rows_of(scanned.strata.take(held))
    return rows

  def assigner(self, scanned: ScannedFile, *found: Any) -> GroupAssigner:
    """Returns what tells the row and the split of each record of a file."""
    columns, stack = found
    seed = self.request.parameters.seed
    return GroupAssigner(columns, stack, self.rows_of(scanned), seed, self.quotas.shape)


def plan_grouped_job(totals: Totals, request: SplitRequest) -> GroupedJob:
  """Returns the job before groups are counted; raises DataError as `plan_job` does."""
  return GroupedJob.of(plan_job(totals, request))


def count_file(scanned: ScannedFile, job: GroupedJob) -> Iterator[tuple[int, Column]]:
  """Yields what a file has of each part of the groups, by part."""
  request, parts = job.request, n_parts(job.totals.n_records)
  seed, timed = request.parameters.seed, request.parameters.order is not None
  for column in count_groups(scanned, job.rows_of(scanned), seed, parts, request.work_dir, timed):
    yield column.part, column


def tabulate_part(part: Part, job: GroupedJob) -> GroupTable:
  """Returns the table of a part; raises DataError if a group has two predefined splits."""
  return build_part(in_order(part), told_splits(job.plan)).table(part[0])


def place_part(part: Part, job: GroupedJob, table: GroupTable) -> SparseCounts:
  """Returns the records by stratum and split of the groups of a part that no plan places."""
  frame = job.plan
  if table.is_whole and not frame.predefined.any():
    return SparseCounts.count(frame.quotas.shape, np.empty(0, np.int64))
  groups = build_part(in_order(part), told_splits(frame))
  split = dealt_splits(groups, frame, table, job.request.parameters.seed)
  return groups.sums(split, frame.quotas.shape)


def plan_parts(
  placed: SparseCounts, job: GroupedJob, table: GroupTable
) -> tuple[GroupedJob, GroupPlan]:
  """Returns the job with all quotas, and the plan of the groups."""
  seed = job.request.parameters.seed
  plan, groups = plan_groups(job.plan, table, placed, seed, job.totals.without_group)
  quotas = plan.quotas
  return replace(job, plan=plan, written=tuple(plan.totals()), quotas=quotas), groups


def split_part(part: Part, job: GroupedJob, plan: GroupPlan) -> Iterator[tuple[int, Column]]:
  """Yields the splits of the groups of a part, by the rank of the file that has them."""
  columns = in_order(part)
  groups = build_part(columns, told_splits(plan.frame))
  split = plan.assign(groups, part[0])
  for column in return_splits(groups, split, columns, job.request.work_dir):
    yield column.rank, column


def in_order(part: Part) -> Sequence[Column]:
  """Returns what files have of a part, in the order of the files."""
  return sorted(part[1], key=attrgetter('rank'))


def count_parts(
  scanned: beam.PCollection[ScannedFile], framed: beam.pvalue.AsSingleton
) -> beam.PCollection:
  """Returns the parts of the groups, each a `Part`."""
  counted = scanned | 'CountGroups' >> beam.FlatMap(count_file, framed)
  return counted | 'Parts' >> beam.GroupByKey()


def join_files(scanned: beam.PCollection[ScannedFile], split: beam.PCollection) -> beam.PCollection:
  """Returns (file, columns of the splits of its groups) for each file; `split` has these."""
  files = scanned | 'ByRank' >> beam.Map(lambda file: (file.file.rank, file))
  joined = (files, split) | 'FilesAndSplits' >> beam.Flatten() | 'Joined' >> beam.GroupByKey()
  return joined | 'FileSplits' >> beam.Map(_of_file)


def plan_in_beam(
  scanned: beam.PCollection[ScannedFile], frame: beam.PCollection[GroupedJob]
) -> tuple[beam.PCollection, beam.PCollection]:
  """Returns the job with all quotas, and (file, splits of its groups) for each file."""
  framed = beam.pvalue.AsSingleton(frame)
  parts = count_parts(scanned, framed)
  table = summed(
    parts,
    'GroupTable',
    tabulate_part,
    MergeRows(GroupTable.merge),
    lambda table, job: table,
    framed,
  )
  tabled = beam.pvalue.AsSingleton(table)
  planned = summed(
    parts, 'GroupPlan', place_part, MergeRows(SparseCounts.merge), plan_parts, framed, tabled
  )
  job = planned | 'GroupedJob' >> beam.Map(itemgetter(0))
  plan = planned | 'GroupsOnly' >> beam.Map(itemgetter(1))
  split = parts | 'SplitGroups' >> beam.FlatMap(split_part, framed, beam.pvalue.AsSingleton(plan))
  return job, join_files(scanned, split)


def _of_file(joined: tuple[int, Iterable[Any]]) -> tuple[ScannedFile, list[Column]]:
  """Returns a file and the splits of its groups, part by part."""
  found = list(joined[1])
  (scanned,) = (each for each in found if isinstance(each, ScannedFile))
  columns = [each for each in found if isinstance(each, Column)]
  return scanned, sorted(columns, key=attrgetter('part'))
