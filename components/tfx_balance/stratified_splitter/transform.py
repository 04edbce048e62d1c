"""Stratified splitting as a Beam transform: count and spill, find where records go, assign, write.

files ── ScanFile ── revised by modes ──┬── Totals ── SplitOutputPlan
                                        ├── thresholds, or places of groups
                                        └── AssignSplits ── ranges ── GatherRanges ── publish

Modes say which rounds over the files are run: to revise them before they are counted, and to find
where records go. What is summarized in a round, and what follows from it, is of the modes
(`tfx_balance.modes`), which are also for arrays and have no Beam. Records stay where they are; what
is sent are counts, the few pairs near a threshold, and columns of hashes and of groups.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.modes.groups import GroupPlan, WholeGroups, group_merges, predefined_splits
from tfx_balance.plan.group_table import GroupPart
from tfx_balance.plan.group_times import GroupBounds
from tfx_balance.plan.number_bins import quantile_edges
from tfx_balance.plan.ranks import Ints, Thresholds, UInts
from tfx_balance.plan.split_plan import SplitPlan
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.spill import ASSIGNED_ROW, Rows, new_rows
from tfx_balance.scan.totals import Totals, sum_by_split
from tfx_balance.shuffle.assigned import Assigned, assign_blocks
from tfx_balance.shuffle.frequent import FrequentKeys, find_frequent
from tfx_balance.shuffle.group_parts import (
  PartColumn,
  build_part,
  count_groups,
  n_parts,
  return_splits,
)
from tfx_balance.shuffle.ranges import COUNTS, NOWHERE, BatchKey, SpillRanges, gather_ranges
from tfx_balance.shuffle.select import FileCounts, Selection, find_file_thresholds
from tfx_balance.shuffle.stored_values import WithStored, store
from tfx_balance.stratified_splitter.output_plan import (
  SplitContext,
  SplitOutputPlan,
  check_totals,
  make_output_plan,
  new_scan,
)
from tfx_balance.tfrecord.frames import ScratchBuffer

Part = tuple[int, Iterable[PartColumn]]
"""The number of a part of the groups, and what files have of it."""


class AssignSplits(beam.DoFn):
  """Turns a file into ranges by output file, and the counts of the assigned records.

  The file is a `ScannedFile`; one where groups are placed is paired with the places of its groups.
  """

  def __init__(self) -> None:
    self._buffer = ScratchBuffer()

  def process(
    self, file: Any, output_plan: SplitOutputPlan, frequent: FrequentKeys, *thresholds: Any
  ) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
    scanned, found = (file, *thresholds) if thresholds else file
    counts = FileCounts(output_plan.selection.strata_of(scanned), output_plan.counted)

    def assign(index: Rows, keys: UInts, apart: Ints) -> Assigned:
      placed = place(index)
      counts.add(index['code'], *placed[: len(output_plan.counted) - 1])
      outputs = np.where(placed.embargoed, NOWHERE, placed.split)
      return new_rows(ASSIGNED_ROW, size=index['size'], output=outputs, key=keys), apart, None

    with contextlib.ExitStack() as stack:
      place = output_plan.placer(scanned, stack, found)
      columns = ('time', 'group')
      steps = (self._buffer, counts, columns, assign)
      yield from assign_blocks(scanned, output_plan, frequent, *steps)


@dataclass
class StratifiedSplit(beam.PTransform):
  """Turns input files into split files, which wait to be published.

  Input: `InputFile`. Output: (output plan, counts, files): `SplitOutputPlan` and int64
  [strata, splits], one of each, and `WorkFile`, one a file.

  Attributes:
    context: The arguments of the run.
  """

  context: SplitContext

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    context, modes = self.context, self.context.parameters.modes
    rounds = BeamRounds(scan_files(files, new_scan(context)), context)
    for mode in modes:
      mode.revise(rounds)
    make = partial(make_output_plan, context=context)
    rounds.output_plan = sum_by_split(rounds.scanned, make, context)
    frequent = find_frequent(rounds.scanned, context)
    modes.placement.place_files(rounds)
    known = [
      beam.pvalue.AsSingleton(store(each, f'Store{i}', context.work_dir))
      for i, each in enumerate([rounds.output_plan, frequent, *rounds.bounds])
    ]
    assign = WithStored(AssignSplits().process)
    assigned = rounds.scanned | 'AssignSplits' >> beam.ParDo(assign, *known).with_outputs(
      COUNTS, main='ranges'
    )
    output_plan, counts, written = gather_ranges(assigned, rounds.output_plan, context)
    if modes.recounter:
      output_plan |= 'WithCounts' >> beam.Map(
        lambda output_plan, counts: output_plan.with_counts(counts), beam.pvalue.AsSingleton(counts)
      )
    return output_plan, counts, written


class BeamRounds:
  """The rounds of one run; see `tfx_balance.modes.mode.FileRounds`.

  Attributes:
    scanned: `ScannedFile`s; once groups are placed, pairs of these and the places of their groups.
    bounds: Thresholds between splits, one element; none where groups are placed.
    output_plan: `SplitOutputPlan`, one element; to be set once modes have revised the files.
  """

  output_plan: beam.PCollection

  def __init__(self, scanned: beam.PCollection, context: SplitContext) -> None:
    self.scanned, self._context = scanned, context
    self.bounds: list[beam.PCollection] = []
    self.features: Sequence[str] = context.parameters.features

  def search_edges(self, place: int, quotas: Callable[[int], Ints]) -> Any:
    return self.scanned | 'Numbers' >> SearchEdges(self._context, place, quotas)

  def revise(self, name: str, call: Callable[..., Any], found: Any = None) -> None:
    known = [] if found is None else [beam.pvalue.AsSingleton(found)]
    self.scanned |= name >> beam.Map(call, *known)

  def exchange(
    self,
    name: str,
    columns: Callable[..., Any],
    answer: Callable[..., Any],
    call: Callable[..., Any],
  ) -> None:
    context = self._context
    parts = self.scanned | f'{name}Columns' >> beam.FlatMap(columns) | name >> beam.GroupByKey()
    answers = parts | f'{name}Answers' >> beam.FlatMap(lambda part: answer(part[1]))
    joined = _joined(self.scanned, answers, name)
    self.scanned = joined | f'{name}Revise' >> beam.Map(lambda pair: call(*pair, context))

  def search_thresholds(self) -> None:
    selection = self.output_plan | 'Selection' >> beam.Map(attrgetter('selection'))
    self.bounds = [find_file_thresholds(self.scanned, selection, self._context)]

  def use_thresholds(self, call: Callable[[SplitPlan], Thresholds]) -> None:
    self.bounds = [
      self.output_plan | 'Thresholds' >> beam.Map(lambda output_plan: call(output_plan.plan))
    ]

  def place_groups(self) -> None:
    planned = beam.pvalue.AsSingleton(self.output_plan)
    counted = self.scanned | 'CountGroups' >> beam.FlatMap(count_file, planned)
    parts = counted | 'Parts' >> beam.GroupByKey()
    in_time = self._context.parameters.modes.order is not None
    merge_first, merge_second = map(MergeRows, group_merges(in_time, self._context.sizes))
    found = summed(parts, 'GroupSummaries', _first, merge_first, lambda all_, _: all_, planned)
    first = beam.pvalue.AsSingleton(found)
    found = summed(parts, 'GroupPlaces', _second, merge_second, _place, planned, first)
    places = beam.pvalue.AsSingleton(found)
    split = parts | 'SplitGroups' >> beam.FlatMap(split_part, planned, places)
    self.scanned = _joined(self.scanned, split, 'Groups')
    self.output_plan |= 'GroupedPlan' >> beam.Map(
      lambda output_plan, places: output_plan.with_plan(places.plan), places
    )


def _joined(
  scanned: beam.PCollection, answers: beam.PCollection, name: str
) -> beam.PCollection[tuple[ScannedFile, list[Any]]]:
  """Returns pairs of a file and its answers, in any order, of pairs of its number and one."""
  files = scanned | f'{name}ByNumber' >> beam.Map(lambda file: (file.file.file_number, file))
  both = (files, answers) | f'{name}And' >> beam.Flatten()
  return both | f'{name}Joined' >> beam.GroupByKey() | f'{name}OfFile' >> beam.Map(_of_file)


def _of_file(joined: tuple[int, Iterable[Any]]) -> tuple[ScannedFile, list[Any]]:
  found = list(joined[1])
  (scanned,) = (each for each in found if isinstance(each, ScannedFile))
  return scanned, [each for each in found if each is not scanned]


@dataclass
class SearchEdges(beam.PTransform):
  """Returns the edges of quantile bins of scanned files; see `FileRounds.search_edges`."""

  context: SplitContext
  place: int
  quotas: Callable[[int], Ints]

  def expand(self, scanned: beam.PCollection[ScannedFile]) -> beam.PCollection[tuple[float, ...]]:
    selection = sum_by_split(scanned, self.select, self.context)
    found = find_file_thresholds(scanned, selection, self.context)
    return found | 'QuantileEdges' >> beam.Map(
      lambda found, of: quantile_edges(found.orders[0], of.kind), beam.pvalue.AsSingleton(selection)
    )

  def select(self, by_split: Mapping[str, Totals]) -> NumberSelection:
    """Returns the selection whose thresholds are the first numbers of parts."""
    totals = check_totals(by_split, self.context)
    strata = totals.strata()
    known = strata.strata.columns[self.place].is_valid().to_numpy(False)
    return NumberSelection(
      strata={},
      quotas=np.append(0, self.quotas(int(strata.records[known].sum())))[np.newaxis],
      seed=0,
      purpose='',
      column='number',
      pivots=totals.numbers['number'].pivots(),
      at_first=True,
      place=self.place,
      kind=strata.strata.kinds[self.place],
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class NumberSelection(Selection):
  """Numbers of records in parts that follow each other, of all records that have a number.

  Attributes are as in `Selection`, with one row, and:
    place: Place of the feature among those that strata are output_plan of.
    kind: Type of the numbers, 'int' or 'float'.
  """

  place: int
  kind: str

  def rows_of(self, scanned: ScannedFile) -> Ints:
    """Returns the one row for the codes that have a number, -1 for others."""
    return scanned.strata.columns[self.place].is_valid().to_numpy(False) - np.int64(1)


def _first(part: Part, output_plan: SplitOutputPlan) -> Any:
  return _groups(output_plan).first(partial(_built, part, output_plan), part[0])


def _second(part: Part, output_plan: SplitOutputPlan, first: Any) -> Any:
  return _groups(output_plan).second(partial(_built, part, output_plan), first)


def _place(second: Any, output_plan: SplitOutputPlan, first: Any) -> GroupPlan | GroupBounds:
  return _groups(output_plan).place(first, second)


def _groups(output_plan: SplitOutputPlan) -> WholeGroups:
  """Returns the split of groups that a plan is of."""
  context, order = output_plan.context, output_plan.context.parameters.modes.order
  without = output_plan.totals.without_group
  return WholeGroups(
    output_plan.plan, context.draw_seed, without, context.sizes, order, output_plan.kind
  )


def count_file(
  scanned: ScannedFile, output_plan: SplitOutputPlan
) -> Iterator[tuple[int, PartColumn]]:
  """Yields the columns of a file by part of the groups."""
  context = output_plan.context
  timed = context.parameters.modes.order is not None
  parts = n_parts(output_plan.totals.n_records, context.sizes.group_records)
  rows = output_plan.selection.strata_of(scanned)
  for column in count_groups(scanned, rows, context.draw_seed, parts, context, timed):
    yield column.part, column


def _in_order(part: Part) -> list[PartColumn]:
  """Returns the columns of a part, in the order of the files."""
  return sorted(part[1], key=attrgetter('file_number'))


def _built(part: Part, output_plan: SplitOutputPlan) -> GroupPart:
  """Returns the groups of a part; raises DataError as `GroupPart` does."""
  return build_part(_in_order(part), predefined_splits(output_plan.plan))


def split_part(
  part: Part, output_plan: SplitOutputPlan, plan: GroupPlan | GroupBounds
) -> Iterator[tuple[int, PartColumn]]:
  """Yields the places of the groups of a part, by the number of the file."""
  groups = _built(part, output_plan)
  placed = plan.assign(groups, part[0])
  for column in return_splits(groups, placed, _in_order(part), output_plan.context):
    yield column.file_number, column
