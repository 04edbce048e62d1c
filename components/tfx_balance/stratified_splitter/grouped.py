"""A split of whole groups in Beam: count them part by part, plan, tell each file where its own go.

files ── ScanFile ──┬── Totals ── frame ────────────┐
                    ├── count_groups ── parts ──┬── GroupTable ── dealt ── SplitJob, GroupPlan
                    │                           └── splits of groups ──┐
                    └── AssignGroups ──────────────────────────────────┴── ranges

In the order of time, the parts are marked and cut:

parts ──┬── GroupMarks ── SplitJob ──┐
        ├── NearGroups ──────────────┴── GroupCuts
        └── splits of groups

What groups are and how they are planned is in `tfx_balance.modes.groups`, which is also for arrays
and has no Beam.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.modes.groups import (
  GroupPlan,
  cut_groups,
  dealt_splits,
  plan_groups,
  summarize,
  told_splits,
)
from tfx_balance.plan.group_table import GroupPart, GroupTable
from tfx_balance.plan.group_times import GroupCuts, GroupMarks, NearGroups, TimedGroups
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.plan.sparse_counts import SparseCounts
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.shuffle.group_columns import (
  Column,
  build_part,
  count_groups,
  n_parts,
  return_splits,
)
from tfx_balance.sizes import Sizes
from tfx_balance.stratified_splitter.job import SplitJob

Part = tuple[int, Iterable[Column]]
"""The number of a part of the groups, and what files have of it."""
Around = tuple[UInts, UInts]
"""Groups before and behind the ends of splits, as from `GroupMarks.around`."""


def plan_in_beam(
  scanned: beam.PCollection[ScannedFile],
  frame: beam.PCollection[SplitJob],
  in_time: bool,
  sizes: Sizes,
) -> tuple[beam.PCollection, beam.PCollection]:
  """Returns the job that knows of its groups, and (file, splits of its groups) for each file.

  Args:
    scanned: Files.
    frame: Job of a split whose groups are not counted yet, one element.
    in_time: Whether groups follow each other in time; files have parts of splits then.
    sizes: Sizes of what is planned.
  """
  framed = beam.pvalue.AsSingleton(frame)
  counted = scanned | 'CountGroups' >> beam.FlatMap(count_file, framed)
  parts = counted | 'Parts' >> beam.GroupByKey()
  job, plan = _cut(parts, framed) if in_time else _plan(parts, framed, sizes)
  split = parts | 'SplitGroups' >> beam.FlatMap(split_part, framed, beam.pvalue.AsSingleton(plan))
  files = scanned | 'ByRank' >> beam.Map(lambda file: (file.file.rank, file))
  joined = (files, split) | 'FilesAndSplits' >> beam.Flatten() | 'Joined' >> beam.GroupByKey()
  return job, joined | 'FileSplits' >> beam.Map(_of_file)


def _plan(
  parts: beam.PCollection, framed: beam.pvalue.AsSingleton, sizes: Sizes
) -> tuple[beam.PCollection, beam.PCollection]:
  """Returns the job with all quotas, and the `GroupPlan`."""
  merge = MergeRows(partial(GroupTable.merge, most=sizes.histograms))
  table = beam.pvalue.AsSingleton(
    summed(parts, 'GroupTable', tabulate_part, merge, lambda table, job: table, framed)
  )
  merge = MergeRows(SparseCounts.merge)
  planned = summed(parts, 'GroupPlan', place_part, merge, plan_parts, framed, table)
  return _pair(planned, 'GroupsOnly')


def _cut(
  parts: beam.PCollection, framed: beam.pvalue.AsSingleton
) -> tuple[beam.PCollection, beam.PCollection]:
  """Returns the job that knows of its groups, and the `GroupCuts`."""
  merge = MergeRows(GroupMarks.merge)
  job, around = _pair(summed(parts, 'GroupMarks', mark_part, merge, find_ends, framed), 'Around')
  near, merge = beam.pvalue.AsSingleton(around), MergeRows(NearGroups.merge)
  return job, summed(parts, 'NearGroups', take_near, merge, cut_parts, framed, near)


def _pair(pairs: beam.PCollection, label: str) -> tuple[beam.PCollection, beam.PCollection]:
  """Returns the job of one pair, and what comes with it."""
  return pairs | 'GroupedJob' >> beam.Map(itemgetter(0)), pairs | label >> beam.Map(itemgetter(1))


def count_file(scanned: ScannedFile, job: SplitJob) -> Iterator[tuple[int, Column]]:
  """Yields the columns of a file by part of the groups."""
  request = job.request
  parts = n_parts(job.totals.n_records, request.sizes.group_records)
  seed, timed = request.draw_seed, job.order is not None
  for column in count_groups(scanned, job.rows_of(scanned), seed, parts, request, timed):
    yield column.part, column


def _in_order(part: Part) -> Sequence[Column]:
  """Returns the columns of a part, in the order of the files."""
  return sorted(part[1], key=attrgetter('rank'))


def _built(part: Part, job: SplitJob) -> GroupPart:
  """Returns the groups of a part; raises DataError as `GroupPart` does."""
  return build_part(_in_order(part), told_splits(job.plan))


def tabulate_part(part: Part, job: SplitJob) -> GroupTable:
  """Returns the table of a part."""
  return _built(part, job).table(part[0])


def place_part(part: Part, job: SplitJob, table: GroupTable) -> SparseCounts:
  """Returns the records by stratum and split of the groups of a part that no plan places."""
  frame = job.plan
  if table.is_whole and not frame.predefined.any():
    return SparseCounts.count(frame.quotas.shape, np.empty(0, np.int64))
  groups = _built(part, job)
  split = dealt_splits(groups, frame, table, job.request.draw_seed)
  return groups.sums(split, frame.quotas.shape)


def plan_parts(
  placed: SparseCounts, job: SplitJob, table: GroupTable
) -> tuple[SplitJob, GroupPlan]:
  """Returns the job with all quotas, and the plan of the groups."""
  seed = job.request.draw_seed
  plan, groups = plan_groups(job.plan, table, placed, seed, job.totals.without_group)
  job.request.parameters.modes.check_plan(plan)
  written = tuple(plan.totals())
  return replace(job, plan=plan, written=written, quotas=plan.quotas), groups


def _ends(job: SplitJob) -> Ints:
  """Returns the number of records before each end of a split, but the last: int64 [ends]."""
  return np.cumsum(job.plan.quotas.sum(axis=0))[:-1]


def mark_part(part: Part, job: SplitJob) -> GroupMarks:
  """Returns the marks of a part."""
  return TimedGroups(_built(part, job)).marks(job.request.sizes.group_marks)


def find_ends(marks: GroupMarks, job: SplitJob) -> tuple[SplitJob, Around]:
  """Returns the job that knows of its groups, and the groups around the ends of splits."""
  n_groups, without = int(marks.n_groups.sum()), job.totals.without_group
  groups = summarize(job.plan, n_groups, without, marks.largest)
  return replace(job, plan=replace(job.plan, groups=groups)), marks.around(_ends(job))


def take_near(part: Part, job: SplitJob, around: Around) -> NearGroups:
  """Returns the groups of a part near the ends of splits."""
  return TimedGroups(_built(part, job)).near(around)


def cut_parts(near: NearGroups, job: SplitJob, around: Around) -> GroupCuts:
  """Returns the cuts; raises DataError as `GroupCuts.of` does."""
  assert job.order is not None
  return cut_groups(near, _ends(job), job.order, job.kind_of_times)


def split_part(
  part: Part, job: SplitJob, plan: GroupPlan | GroupCuts
) -> Iterator[tuple[int, Column]]:
  """Yields the splits of the groups of a part, or their parts by time, by the rank of the file."""
  groups = _built(part, job)
  split = plan.assign(groups, part[0])
  for column in return_splits(groups, split, _in_order(part), job.request):
    yield column.rank, column


def _of_file(joined: tuple[int, Iterable[Any]]) -> tuple[ScannedFile, list[Column]]:
  """Returns a file and the splits of its groups, part by part."""
  found = list(joined[1])
  (scanned,) = (each for each in found if isinstance(each, ScannedFile))
  columns = [each for each in found if isinstance(each, Column)]
  return scanned, sorted(columns, key=attrgetter('part'))
