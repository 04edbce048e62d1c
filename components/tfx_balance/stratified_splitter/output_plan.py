"""The plan of a run of StratifiedSplitter, made from what was counted."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.documents.descriptions import describe_split
from tfx_balance.modes.mode import NEW, SplitModes
from tfx_balance.plan.narrow_integers import narrow, wide
from tfx_balance.plan.ranks import Ints, Thresholds, ranks
from tfx_balance.plan.split_plan import Placed, SplitPlan
from tfx_balance.scan.scan import ScanFile, ScannedFile
from tfx_balance.scan.spill import Rows
from tfx_balance.scan.stratum_counts import StratumColumns
from tfx_balance.scan.totals import Totals, check_features
from tfx_balance.shuffle.group_parts import GroupAssigner
from tfx_balance.shuffle.ranges import FileGroup, OutputLayout
from tfx_balance.shuffle.select import FileAssigner, Selection
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.tfrecord.work_files import WorkFile
from tfx_balance.writer import OutputPlan, RunContext, file_sizes

PURPOSE = 'split'
"""Name of the draw of records."""
SplitContext = RunContext[SplitterParameters]


@dataclass(frozen=True)
class SplitOutputPlan(OutputPlan):
  """The plan of a run, made from the totals; quotas are [strata by input split, splits].

  Attributes:
    totals: Totals of all the input.
    plan: Plan of what all the output holds.
    strata: Strata by input split, for which `quotas` are.
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
    """The parts that records go to, such as splits."""
    seed, placement = self.context.draw_seed, self.modes.placement
    column, pivots = placement.column, None
    sample = self.totals.numbers.get(column or 'hash')
    if column:
      pivots = self.totals.numbers[column].pivots()
    elif sample is not None and not self.modes.waits:
      column = 'hash'
      pivots = np.sort(ranks(sample.keys, seed, PURPOSE)) if sample.repeats else None
    return Selection(
      self.strata,
      placement.parts(self.quotas),
      seed,
      PURPOSE,
      column,
      pivots,
      placement.is_joint,
      range_rows=self.context.sizes.range_rows,
    )

  @property
  def modes(self) -> SplitModes:
    """The modes of the split."""
    return self.context.parameters.modes

  @property
  def kind(self) -> str:
    """The type of the times, 'int' or 'float'; '' where there is no order."""
    order = self.modes.order
    return next(iter(self.totals.kinds[order.order_by])) if order else ''

  def with_plan(self, plan: SplitPlan) -> SplitOutputPlan:
    """Returns this with all that is planned; raises DataError if modes refuse that."""
    self.modes.check_plan(plan)
    return replace(self, plan=plan, quotas=plan.quotas, written=tuple(plan.totals()))

  def with_counts(self, counts: Ints) -> SplitOutputPlan:
    """Returns this with what was assigned, of the shape `counted`, where a mode recounts it.

    Raises:
      DataError: if a mode cannot do with the counts.
      RuntimeError: if counts differ from the plan: a fault of this package, or changed data.
    """
    recounter = self.modes.recounter
    assert recounter is not None
    return replace(self.with_plan(recounter.recount(self.plan, self.quotas, counts)), quotas=counts)

  @property
  def counted(self) -> tuple[int, ...]:
    """Shape of the counts of assigned records."""
    recounter = self.modes.recounter
    return recounter.cells(self.quotas.shape) if recounter else self.quotas.shape

  def placer(
    self, scanned: ScannedFile, stack: contextlib.ExitStack, found: Any
  ) -> Callable[[Rows], Placed]:
    """Returns a function from the next block of a file to the places of its records.

    Args:
      scanned: File.
      stack: Closes the work files that are read.
      found: Thresholds of the selection, or the places of the groups in the file.
    """
    if not isinstance(found, Thresholds):
      return GroupAssigner(found, stack, self.context.draw_seed).place
    selection, placement = self.selection, self.modes.placement
    assigner = FileAssigner(selection, found, scanned)
    parts, orders = selection.quotas[assigner.rows], found.orders[assigner.rows]
    bounds, of_code = placement.bounds(parts, orders, self.kind), assigner.of_code
    column = placement.column

    def place(index: Rows) -> Placed:
      numbers = index[column] if column else None
      return placement.place(of_code[index['code']], assigner.assign(index), numbers, bounds)

    return place

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
    modes, plan = self.modes, self.plan
    warnings = [each for mode in modes for each in mode.warnings(plan, source)]
    notes = [each for mode in modes for each in mode.notes(plan)]
    found = describe_split(plan, described, source, sizes, passed_through, warnings, notes)
    return {
      f'{self.context.output_uri}/{SIDECAR_NAME}': replace(found, step=self.context.step).dumps()
    }


def new_scan(context: SplitContext) -> ScanFile:
  """Returns the step that reads the input files."""
  # Ranks are counted as they are read, for a purpose.
  return context.new_scan(**{'purpose': PURPOSE, **context.parameters.modes.scan_options()})


def make_output_plan(by_split: Mapping[str, Totals], context: SplitContext) -> SplitOutputPlan:
  """Plans the output from the totals of the files to split, and of those that stay in a split.

  Raises:
    DataError: if a feature does not exist, is missing in records and must not be, or has several
      types; if there are no records, or fewer than asked for.
  """
  totals, given = check_totals(by_split, context), context.parameters
  counts, names = totals.strata(), given.shares.names
  make = partial(given.modes.plan, counts.strata, counts.records, given.shares, context.draw_seed)
  strata = {name: by_split[name].strata().strata for name in sorted(by_split)}
  extended = None
  if set(by_split) == {NEW}:
    plan = make()
    quotas = plan.quotas
  else:
    in_base, stay = np.zeros((len(counts), len(names)), np.int64), {}
    rows = {name: counts.strata.rows_of(own) for name, own in strata.items()}
    for name in set(by_split) - {NEW}:
      stay[name] = np.zeros((len(rows[name]), len(names)), np.int64)
      stay[name][:, names.index(name)] = by_split[name].strata().records
      in_base[rows[name]] += stay[name]
    plan, extended = make(in_base), int(in_base.sum())
    new = plan.quotas - in_base
    quotas = np.concatenate([stay.get(name, new[of]) for name, of in rows.items()])
    some = np.flatnonzero(plan.records)
    plan = replace(
      plan,
      strata=counts.strata.take(some),
      records=plan.records[some],
      quotas=plan.quotas[some],
      predefined=plan.predefined[some],
    )
  if not given.modes.waits:
    given.modes.check_plan(plan)
  # The n-th files of all splits are written together, so that it is all the data that is cut.
  layouts = tuple(
    OutputLayout.of(
      totals.n_bytes,
      f'{context.output_uri}/Split-{name}',
      context.suffix,
      given.output_files.get(name),
      context.sizes,
    )
    for name in plan.splits
  )
  written = tuple(plan.totals())
  return SplitOutputPlan(context, layouts, written, quotas, totals, plan, strata, extended)


def check_totals(by_split: Mapping[str, Totals], context: SplitContext) -> Totals:
  """Returns the totals of all files; raises a DataError as `make_output_plan` says."""
  several, given = [by_split[name] for name in sorted(by_split)], context.parameters
  totals = several[0] if len(several) == 1 else functools.reduce(Totals.merge, several, Totals())
  totals.check_bad(given.reading.max_bad_records)
  for mode in given.modes:
    mode.check_totals(totals, by_split, given.features)
  features = given.modes.counted_features(given.features)
  optional = given.modes.optional_features()
  check_features(totals, features, given.missing, 'stratify_by', optional)
  return totals
