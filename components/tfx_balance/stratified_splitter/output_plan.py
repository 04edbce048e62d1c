"""The request and the plan of a run of StratifiedSplitter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.documents.descriptions import describe_split
from tfx_balance.modes.time import TimeOrder
from tfx_balance.plan.narrow_integers import narrow, wide
from tfx_balance.plan.ranks import Ints, ranks
from tfx_balance.plan.split_plan import Placed, SplitPlan
from tfx_balance.scan.scan import ScanFile, ScannedFile
from tfx_balance.scan.spill import Rows
from tfx_balance.scan.stratum_counts import StratumColumns
from tfx_balance.scan.totals import Totals, check_features
from tfx_balance.shuffle.group_parts import GroupAssigner
from tfx_balance.shuffle.output_layout import OutputLayout
from tfx_balance.shuffle.ranges import FileGroup
from tfx_balance.shuffle.select import FileAssigner, Selection
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.tfrecord.work_files import WorkFile
from tfx_balance.writer import OutputPlan, RunContext, file_sizes

PURPOSE = 'split'
"""Name of the draw of records."""
SplitContext = RunContext[SplitterParameters]


@dataclass(frozen=True)
class SplitOutputPlan(OutputPlan):
  """The plan of a run, made from the totals; quotas are [strata of all groups, splits].

  Attributes:
    totals: Totals of all the input.
    plan: Plan of what all the output holds.
    strata: Strata by group of files, for which `quotas` are.
    extended: Number of records that are from the artifact to extend; None where there is none.
  """

  totals: Totals
  plan: SplitPlan
  strata: Mapping[str, StratumColumns]
  extended: int | None

  def __getstate__(self) -> dict[str, Any]:
    """Returns the state to send to workers: quotas once, where they are those of the plan."""
    planned = self.quotas is self.plan.quotas
    return {**self.__dict__, 'quotas': None if planned else narrow(self.quotas)}

  def __setstate__(self, state: dict[str, Any]) -> None:
    given = state['quotas']
    self.__dict__.update(state, quotas=state['plan'].quotas if given is None else wide(given))

  @property
  def selection(self) -> Selection:
    """The parts that records go to: splits, or by time those kept and those embargoed of each."""
    seed, order = self.context.draw_seed, self.order
    range_rows = self.context.sizes.range_rows
    if order is None:
      plain = Selection(self.strata, self.quotas, seed, PURPOSE, range_rows=range_rows)
      sample = self.totals.numbers.get('hash')
      if sample is None or self.context.parameters.modes.waits:
        return plain
      pivots = np.sort(ranks(sample.keys, seed, PURPOSE)) if sample.repeats else None
      return replace(plain, column='hash', pivots=pivots)
    return Selection(
      self.strata,
      order.parts(order.rows(self.quotas)),
      seed,
      PURPOSE,
      'time',
      self.totals.numbers['time'].pivots(),
      order.within == 'all',
      range_rows=range_rows,
    )

  @property
  def order(self) -> TimeOrder | None:
    """The order of the splits in time; None for no order."""
    return self.context.parameters.modes.order

  @property
  def kind_of_times(self) -> str:
    """The type of the times, 'int' or 'float', where there is an order."""
    assert self.order is not None
    return next(iter(self.totals.kinds[self.order.feature]))

  def with_plan(self, plan: SplitPlan) -> SplitOutputPlan:
    """Returns the job with all that is planned; raises DataError if modes refuse that."""
    self.context.parameters.modes.check_plan(plan)
    return replace(self, plan=plan, quotas=plan.quotas, written=tuple(plan.totals()))

  def with_counts(self, counts: Ints) -> SplitOutputPlan:
    """Returns the job whose quotas are what was assigned, of the shape `counted`.

    Raises:
      DataError: if an embargo left no record in a split, or a fold has none.
      RuntimeError: if counts differ from the plan: a fault of this package, or changed data.
    """
    order, plan = self.order, replace(self.plan, quotas=counts)
    if order is not None:
      kept, lost = counts[..., 0], counts[..., 1]
      if not plan.groups:
        found, planned = order.rows(kept + lost), order.rows(self.quotas)
        if not np.array_equal(found, planned):
          raise RuntimeError(f'selected {found.tolist()}, planned {planned.tolist()}')
      order.check_kept(kept.sum(axis=0), lost.sum(axis=0), plan.splits)
      plan = replace(plan, quotas=kept, embargoed=lost)
    self.context.parameters.modes.check_plan(plan)
    return replace(self, plan=plan, quotas=counts, written=tuple(plan.totals()))

  @property
  def counted(self) -> tuple[int, ...]:
    """Shape of the counts of assigned records: strata, splits, and kept or embargoed ones."""
    return (*self.quotas.shape, 2) if self.order else self.quotas.shape

  def placer(
    self, scanned: ScannedFile, stack: contextlib.ExitStack, found: Any
  ) -> Callable[[Rows], Placed]:
    """Returns a function from the next block of a file to the places of its records.

    Args:
      scanned: File.
      stack: Closes the work files that are read.
      found: Thresholds of the selection; with groups, the places of those in the file.
    """
    if self.context.parameters.modes.groups:
      return GroupAssigner(found, stack, self.context.draw_seed).place
    selection, order = self.selection, self.order
    assigner = FileAssigner(selection, found, scanned)
    if order is None:
      return lambda index: Placed.in_splits(assigner.assign(index))
    parts, orders = selection.quotas[assigner.rows], found.orders[assigner.rows]
    last_kept, of_code = order.last_kept_of(parts, orders, self.kind_of_times), assigner.of_code
    return lambda index: order.place(
      of_code[index['code']], assigner.assign(index), index['time'], last_kept
    )

  @property
  def file_groups(self) -> list[FileGroup]:
    """The n-th files of all splits that have equally many are written together."""
    numbers = sorted({len(layout.paths) for layout in self.layouts})
    return [self._group(n) for n in numbers]

  def _group(self, n_files: int) -> FileGroup:
    together = [(i, one) for i, one in enumerate(self.layouts) if len(one.paths) == n_files]
    layout = together[0][1]
    paths = tuple((i, i + 1, one.paths) for i, one in together)
    return FileGroup(paths, layout.n_chunks, layout.n_together)

  def documents(self, files: Sequence[WorkFile], passed_through: Sequence[str]) -> dict[str, str]:
    """Returns the sidecar by its path."""
    source = replace(self.totals.describe(), extended=self.extended)
    sizes = file_sizes(files)
    described = self.context.parameters.describe()
    if self.totals.edges is not None:
      described['bin_edges'] = list(self.totals.edges)
    modes, plan = self.context.parameters.modes, self.plan
    warnings = [each for mode in modes for each in mode.warnings(plan, source)]
    notes = [each for mode in modes for each in mode.notes(plan)]
    found = describe_split(plan, described, source, sizes, passed_through, warnings, notes)
    return {
      f'{self.context.output_uri}/{SIDECAR_NAME}': replace(found, step=self.context.step).dumps()
    }


def new_scan(request: SplitContext) -> ScanFile:
  """Returns the step that reads the input files."""
  # Ranks are counted as they are read, for a purpose.
  return request.new_scan(**{'purpose': PURPOSE, **request.parameters.modes.scan_options()})


def plan_job(totals: Totals, request: SplitContext) -> SplitOutputPlan:
  """Returns the job that the totals and the request make.

  Raises:
    DataError: if a feature does not exist, is missing in records and must not be, or has several
      types; if there are no records, or fewer than asked for.
  """
  check_totals(totals, request)
  given, counts = request.parameters, totals.strata()
  plan = given.modes.plan(counts.strata, counts.records, given.shares, request.draw_seed)
  return make_job(totals, request, plan, {'': counts.strata}, plan.quotas)


def check_totals(totals: Totals, request: SplitContext) -> None:
  """Checks that the input can be split; raises a DataError as `plan_job` says."""
  given = request.parameters
  totals.check_bad(given.reading.max_bad_records)
  for mode in given.modes:
    mode.check_totals(totals)
  features = given.modes.counted_features(given.features)
  optional = given.modes.optional_features()
  check_features(totals, features, given.missing, 'stratify_by', optional)


def make_job(
  totals: Totals,
  request: SplitContext,
  plan: SplitPlan,
  strata: Mapping[str, StratumColumns],
  quotas: Ints,
  extended: int | None = None,
) -> SplitOutputPlan:
  """Returns the job of a plan; the arguments are as in `SplitOutputPlan`."""
  modes = request.parameters.modes
  if not modes.waits:
    modes.check_plan(plan)
  # The n-th files of all splits are written together, so that it is all the data that is cut.
  layouts = tuple(
    OutputLayout.of(
      totals.n_bytes,
      f'{request.output_uri}/Split-{name}',
      request.suffix,
      request.parameters.output_files.get(name),
      request.sizes,
    )
    for name in plan.splits
  )
  written = tuple(plan.totals())
  return SplitOutputPlan(request, layouts, written, quotas, totals, plan, strata, extended)
