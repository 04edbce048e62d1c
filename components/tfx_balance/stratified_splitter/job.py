"""The request and the plan of a run of StratifiedSplitter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.documents.descriptions import describe_split
from tfx_balance.plan.narrow_columns import narrow, wide
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.split_plan import SplitPlan, plan_splits
from tfx_balance.scan.scan import ScanFile, ScannedFile
from tfx_balance.scan.stratum_columns import StratumColumns
from tfx_balance.scan.totals import Totals, check_features, check_groups
from tfx_balance.shuffle.output_layout import OutputLayout
from tfx_balance.shuffle.ranges import FileGroup
from tfx_balance.shuffle.select import FileAssigner, Selection
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.tfrecord.work_files import WorkFile
from tfx_balance.writer import Job, Request, file_sizes

PURPOSE = 'split'
"""Name of the draw of records."""
SplitRequest = Request[SplitterParameters]


@dataclass(frozen=True)
class SplitJob(Job):
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
    """Returns what workers get: quotas once, where they are those of the plan."""
    planned = self.quotas is self.plan.quotas
    return {**self.__dict__, 'quotas': None if planned else narrow(self.quotas)}

  def __setstate__(self, state: dict[str, Any]) -> None:
    given = state['quotas']
    self.__dict__.update(state, quotas=state['plan'].quotas if given is None else wide(given))

  @property
  def selection(self) -> Selection:
    """Which records go to which split: a part is a split."""
    return Selection(self.strata, self.quotas, self.request.parameters.seed, PURPOSE)

  def with_counts(self, counts: Ints) -> SplitJob:
    """Returns the job whose quotas are what was assigned: int64 [strata, splits]."""
    plan = replace(self.plan, quotas=counts)
    return replace(self, plan=plan, quotas=counts, written=tuple(plan.totals()))

  def assigner(self, scanned: ScannedFile, *found: Any) -> Any:
    """Returns what tells the row and the split of each record of a file, given what was found."""
    (thresholds,) = found
    return FileAssigner(self.selection, thresholds, scanned)

  @property
  def groups(self) -> list[FileGroup]:
    """The n-th files of all splits that have equally many are written together."""
    numbers = sorted({len(layout.paths) for layout in self.layouts})
    return [self._group(n) for n in numbers]

  def _group(self, n_files: int) -> FileGroup:
    alike = [(i, one) for i, one in enumerate(self.layouts) if len(one.paths) == n_files]
    layout = alike[0][1]
    paths = tuple((i, i + 1, one.paths) for i, one in alike)
    return FileGroup(paths, layout.n_chunks, layout.n_together)

  def documents(self, files: Sequence[WorkFile], passed_through: Sequence[str]) -> dict[str, str]:
    """Returns the sidecar by its path."""
    source = replace(self.totals.describe(), extended=self.extended)
    sizes = file_sizes(files)
    described = self.request.parameters.describe()
    if self.totals.edges is not None:
      described['bin_edges'] = list(self.totals.edges)
    found = describe_split(self.plan, described, source, sizes, passed_through)
    return {f'{self.request.output_uri}/{SIDECAR_NAME}': found.dumps()}


def new_scan(request: SplitRequest) -> ScanFile:
  """Returns the step that reads the input files."""
  told, order = request.parameters.predefined, request.parameters.order
  bins = request.parameters.bins
  optional = [told.feature] if told else []
  return request.new_scan(
    optional=optional,
    key=request.parameters.key,
    by_values=request.parameters.by_values,
    # Ranks are counted as they are read where they alone decide.
    purpose='' if order or bins else PURPOSE,
    time=order.feature if order else '',
    binned=bins.feature if bins else '',
    labels=request.parameters.labels,
    groups=request.parameters.groups,
  )


def plan_job(totals: Totals, request: SplitRequest) -> SplitJob:
  """Returns the job that the totals and the request make.

  Raises:
    DataError: if a feature does not exist, is missing in records and must not be, or has several
      types; if there are no records, or fewer than asked for.
  """
  check_totals(totals, request)
  parameters, counts = request.parameters, totals.strata()
  plan = plan_splits(
    counts.strata,
    counts.records,
    parameters.shares,
    parameters.seed,
    parameters.predefined,
    stable=parameters.mode == 'stable' or bool(parameters.groups and not parameters.order),
  )
  return make_job(totals, request, plan, {'': counts.strata}, plan.quotas)


def check_totals(totals: Totals, request: SplitRequest) -> None:
  """Checks that the input can be split; raises a DataError as `plan_job` says."""
  parameters = request.parameters
  totals.check_bad(parameters.reading.max_bad_records)
  if parameters.groups:
    check_groups(totals, parameters.groups)
  told = parameters.predefined
  optional = {told.feature: 'split_by'} if told else {}
  features, labels = parameters.features, parameters.labels
  if labels:  # whose set is one class, and may be empty
    optional[labels[0]] = 'stratify_by'
    features = (labels[0], *(name for name in features if name not in labels))
  check_features(totals, features, parameters.missing, 'stratify_by', optional)


def make_job(
  totals: Totals,
  request: SplitRequest,
  plan: SplitPlan,
  strata: Mapping[str, StratumColumns],
  quotas: Ints,
  extended: int | None = None,
) -> SplitJob:
  """Returns the job of a plan; the arguments are as in `SplitJob`."""
  # The n-th files of all splits are written together, so that it is all the data that is cut.
  layouts = tuple(
    OutputLayout.of(
      totals.n_bytes,
      f'{request.output_uri}/Split-{name}',
      request.suffix,
      request.parameters.output_files.get(name),
    )
    for name in plan.splits
  )
  written = tuple(plan.totals())
  return SplitJob(request, layouts, written, quotas, totals, plan, strata, extended)
