"""A split of whole groups in the order of time: mark them part by part, cut, and tell each file.

parts ──┬── GroupMarks ── GroupedInTimeJob ──┐
        ├── NearGroups ──────────────────────┴── GroupCuts
        └── splits of groups
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.plan.group_plan import summarize, told_splits
from tfx_balance.plan.group_times import GroupCuts, GroupMarks, NearGroups, TimedGroups
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.plan.time_order import TimeOrder, check_kept
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.totals import Totals
from tfx_balance.shuffle.group_columns import (
  Column,
  GroupAssigner,
  build_part,
  return_splits,
)
from tfx_balance.shuffle.ranges import NOWHERE
from tfx_balance.stratified_splitter.grouped import (
  GroupedJob,
  Part,
  count_parts,
  in_order,
  join_files,
)
from tfx_balance.stratified_splitter.job import SplitRequest, plan_job

Around = tuple[UInts, UInts]
"""Groups before and behind the ends of splits, as from `GroupMarks.around`."""


@dataclass(frozen=True)
class GroupedInTimeJob(GroupedJob):
  """The plan of a run that splits groups in the order of time.

  What each split has of each stratum, and what an embargo left out, is known when records are
  assigned: `with_counts` takes it into `plan`, of which the quotas tell the shares before.
  """

  @property
  def order(self) -> TimeOrder:
    """The order of the splits."""
    assert self.request.parameters.order is not None
    return self.request.parameters.order

  @property
  def ends(self) -> Ints:
    """The number of records before each end of a split, the last one left out: int64 [ends]."""
    return np.cumsum(self.plan.quotas.sum(axis=0))[:-1]

  def assigner(self, scanned: ScannedFile, *found: Any) -> GroupPartAssigner:
    """Returns what tells the row and the split of each record of a file."""
    columns, stack = found
    shape = (self.quotas.shape[0], 2 * self.quotas.shape[1])
    seed = self.request.parameters.seed
    return GroupPartAssigner(columns, stack, self.rows_of(scanned), seed, shape)

  def with_counts(self, counts: Ints) -> GroupedInTimeJob:
    """Returns the job with what was kept and embargoed: from int64 [strata, 2 * splits].

    Raises:
      DataError: if the embargo left no record in a split.
    """
    kept, lost = counts[:, ::2], counts[:, 1::2]
    check_kept(kept.sum(axis=0), lost.sum(axis=0), self.plan.splits, self.order)
    plan = replace(self.plan, quotas=kept, embargoed=lost)
    return replace(self, plan=plan, written=tuple(plan.totals()), quotas=counts)


class GroupPartAssigner(GroupAssigner):
  """Does as `GroupAssigner`, given parts, of which each split has what is kept and embargoed."""

  def assign(self, index: npt.NDArray[np.void]) -> tuple[Ints, Ints]:
    """Returns rows and splits, NOWHERE for what is embargoed: int64 [n]."""
    rows, parts = super().assign(index)
    return rows, np.where(parts & 1, NOWHERE, parts >> 1)


def plan_grouped_in_time_job(totals: Totals, request: SplitRequest) -> GroupedInTimeJob:
  """Returns the job before groups are read.

  Raises:
    DataError: as `plan_job` does.
  """
  return GroupedInTimeJob.of(plan_job(totals, request))


def mark_part(part: Part, job: GroupedInTimeJob) -> GroupMarks:
  """Returns the marks of a part."""
  return _timed(part, job).marks()


def find_ends(marks: GroupMarks, job: GroupedInTimeJob) -> tuple[GroupedInTimeJob, Around]:
  """Returns the job that knows of its groups, and the groups around the ends of splits."""
  n_groups, without = int(marks.n_groups.sum()), job.totals.without_group
  groups = summarize(job.plan, n_groups, without, marks.largest)
  return replace(job, plan=replace(job.plan, groups=groups)), marks.around(job.ends)


def take_near(part: Part, job: GroupedInTimeJob, around: Around) -> NearGroups:
  """Returns the groups of a part near the ends of splits."""
  return _timed(part, job).near(around)


def cut_groups(near: NearGroups, job: GroupedInTimeJob, around: Around) -> GroupCuts:
  """Returns the cuts; raises DataError as `GroupCuts.of` does."""
  kind = next(iter(job.totals.kinds[job.order.feature]))
  return GroupCuts.of(near, job.ends, job.order, kind)


def split_part_in_time(
  part: Part, job: GroupedInTimeJob, cuts: GroupCuts
) -> Iterator[tuple[int, Column]]:
  """Yields the parts that groups are of by time, by the rank of the file that has them."""
  columns = in_order(part)
  groups = build_part(columns, told_splits(job.plan))
  found = cuts.parts_of(groups)
  for column in return_splits(groups, found, columns, job.request.work_dir):
    yield column.rank, column


def _timed(part: Part, job: GroupedInTimeJob) -> TimedGroups:
  return TimedGroups(build_part(in_order(part), told_splits(job.plan)))


def plan_in_time(
  scanned: beam.PCollection[ScannedFile], frame: beam.PCollection[GroupedInTimeJob]
) -> tuple[beam.PCollection, beam.PCollection]:
  """Returns the job, and (file, parts of its groups) for each file, as `plan_in_beam` does."""
  framed = beam.pvalue.AsSingleton(frame)
  parts = count_parts(scanned, framed)
  marked = summed(parts, 'GroupMarks', mark_part, MergeRows(GroupMarks.merge), find_ends, framed)
  job = marked | 'GroupedJob' >> beam.Map(itemgetter(0))
  around = beam.pvalue.AsSingleton(marked | 'Around' >> beam.Map(itemgetter(1)))
  cuts = summed(
    parts, 'NearGroups', take_near, MergeRows(NearGroups.merge), cut_groups, framed, around
  )
  split = parts | 'SplitGroups' >> beam.FlatMap(
    split_part_in_time, framed, beam.pvalue.AsSingleton(cuts)
  )
  return job, join_files(scanned, split)
