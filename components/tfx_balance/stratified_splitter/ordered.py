"""The plan of a run of StratifiedSplitter whose splits are in the order of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfx_balance.plan.ranks import Ints, Thresholds
from tfx_balance.plan.time_order import TimeOrder, check_kept
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.spill import Rows
from tfx_balance.scan.totals import Totals
from tfx_balance.shuffle.ranges import NOWHERE
from tfx_balance.shuffle.select import FileAssigner, Selection
from tfx_balance.stratified_splitter.job import PURPOSE, SplitJob, SplitRequest, plan_job


@dataclass(frozen=True)
class OrderedJob(SplitJob):
  """The plan of a run in the order of time.

  What was selected of each stratum, and what an embargo left out, is known when records are
  assigned: `with_counts` takes it into `plan`.

  Attributes are as in `SplitJob`, and:
    order: Order of the splits.
    rows: Number of records of each split before the embargo, of each stratum or of all of them:
      int64 [strata or 1, splits].
  """

  order: TimeOrder
  rows: Ints

  @property
  def selection(self) -> Selection:
    """Which records go to which part, by time: of a split what is kept, and what is embargoed."""
    return Selection(
      {'': self.totals.strata().strata},
      self.order.parts(self.rows),
      self.request.parameters.seed,
      PURPOSE,
      'time',
      self.totals.numbers['time'].pivots(),
      self.order.within == 'all',
    )

  def assigner(self, scanned: ScannedFile, *found: Any) -> TimeAssigner:
    """Returns what tells the stratum and the split of each record of a file."""
    (thresholds,) = found
    return TimeAssigner(self, thresholds, scanned)

  def with_counts(self, counts: Ints) -> OrderedJob:
    """Returns the job with what was kept and embargoed: from int64 [strata, 2 * splits].

    Raises:
      DataError: if the embargo left no record in a split.
      RuntimeError: if counts differ from the plan: a fault of this package, or changed data.
    """
    kept, lost = counts[:, ::2], counts[:, 1::2]
    found = kept + lost if self.order.within == 'strata' else (kept + lost).sum(axis=0)[None]
    if not np.array_equal(found, self.rows):
      raise RuntimeError(f'selected {found.tolist()}, planned {self.rows.tolist()}')
    check_kept(kept.sum(axis=0), lost.sum(axis=0), self.plan.splits, self.order)
    plan = replace(self.plan, quotas=kept, embargoed=lost)
    return replace(self, plan=plan, written=tuple(plan.totals()), quotas=counts)


class TimeAssigner(FileAssigner):
  """Tells the stratum and the split of each record of one file by its time, a block at a time."""

  def __init__(self, job: OrderedJob, found: Thresholds, scanned: ScannedFile) -> None:
    super().__init__(job.selection, found, scanned)
    kind = next(iter(job.totals.kinds[job.order.feature]))
    rows = np.unique(job.selection.rows_of(scanned))
    parts = job.selection.quotas[rows]
    self._last_kept = job.order.last_kept_of(parts, found.orders[rows], kind)

  def _settled(self, rows: Ints, parts: Ints, index: Rows) -> Ints:
    """Returns the parts with that of what is embargoed for records too close before a cut."""
    return np.where(index['time'] > self._last_kept[rows, parts >> 1], parts | 1, parts)

  def assign(self, index: Rows) -> tuple[Ints, Ints]:
    """Returns strata and splits, NOWHERE for what is embargoed: int64 [n]."""
    strata, parts = super().assign(index)
    return strata, np.where(parts & 1, NOWHERE, parts >> 1)


def plan_ordered_job(totals: Totals, request: SplitRequest) -> OrderedJob:
  """Returns the job that the totals and the request make.

  Raises:
    DataError: as `plan_job` does.
  """
  job, order = plan_job(totals, request), request.parameters.order
  assert order is not None
  rows = order.rows(job.quotas)
  return OrderedJob(
    job.request,
    job.layouts,
    job.written,
    job.quotas,
    totals,
    job.plan,
    job.strata,
    None,
    order,
    rows,
  )
