"""A split of whole groups in Beam: summarize them part by part, plan, tell each file where they go.

files ── ScanFile ──┬── Totals ── frame ─────────────────┐
                    ├── count_groups ── parts ──┬── rounds ── SplitOutputPlan, bounds
                    │                           └── places of groups ──┐
                    └── AssignGroups ──────────────────────────────────┴── ranges

What groups are, and what the rounds are, is in `tfx_balance.modes.groups`, which is also for arrays
and has no Beam.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any

import apache_beam as beam

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.modes.groups import GroupPlan, Round, WholeGroups, group_rounds, predefined_splits
from tfx_balance.plan.group_table import GroupPart
from tfx_balance.plan.group_times import GroupCuts
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.shuffle.group_parts import (
  PartColumn,
  build_part,
  count_groups,
  n_parts,
  return_splits,
)
from tfx_balance.sizes import Sizes
from tfx_balance.stratified_splitter.output_plan import SplitOutputPlan

Part = tuple[int, Iterable[PartColumn]]
"""The number of a part of the groups, and what files have of it."""


def plan_in_beam(
  scanned: beam.PCollection[ScannedFile],
  frame: beam.PCollection[SplitOutputPlan],
  in_time: bool,
  sizes: Sizes,
) -> tuple[beam.PCollection, beam.PCollection]:
  """Returns the plan that knows of its groups, and (file, places of its groups) for each file.

  Args:
    scanned: Files.
    frame: OutputPlan of a split whose groups are not counted yet, one element.
    in_time: Whether groups follow each other in time.
    sizes: Sizes of what is planned.
  """
  framed = beam.pvalue.AsSingleton(frame)
  counted = scanned | 'CountGroups' >> beam.FlatMap(count_file, framed)
  parts = counted | 'Parts' >> beam.GroupByKey()
  bounds: list[beam.pvalue.AsSingleton] = []
  for each in group_rounds(in_time, sizes):
    steps = partial(_summarize, each), MergeRows(each.merge), partial(_bounds, each)
    found = summed(parts, each.name, *steps, framed, *bounds)
    bounds.append(beam.pvalue.AsSingleton(found))
  output_plan = frame | 'GroupedPlan' >> beam.Map(
    lambda output_plan, first, last: output_plan.with_plan((first if in_time else last).plan),
    *bounds,
  )
  split = parts | 'SplitGroups' >> beam.FlatMap(split_part, framed, bounds[-1])
  files = scanned | 'ByNumber' >> beam.Map(lambda file: (file.file.file_number, file))
  joined = (files, split) | 'FilesAndSplits' >> beam.Flatten() | 'Joined' >> beam.GroupByKey()
  return output_plan, joined | 'FileSplits' >> beam.Map(_of_file)


def _summarize(each: Round, part: Part, output_plan: SplitOutputPlan, *bounds: Any) -> Any:
  return each.summarize(_groups(output_plan), partial(_built, part, output_plan), part[0], *bounds)


def _bounds(each: Round, summary: Any, output_plan: SplitOutputPlan, *bounds: Any) -> Any:
  return each.bounds(_groups(output_plan), summary, *bounds)


def _groups(output_plan: SplitOutputPlan) -> WholeGroups:
  """Returns the split of groups that a plan is of."""
  context, order = output_plan.context, output_plan.order
  kind = output_plan.kind_of_times if order else ''
  without = output_plan.totals.without_group
  return WholeGroups(output_plan.plan, context.draw_seed, without, context.sizes, order, kind)


def count_file(
  scanned: ScannedFile, output_plan: SplitOutputPlan
) -> Iterator[tuple[int, PartColumn]]:
  """Yields the columns of a file by part of the groups."""
  context, timed = output_plan.context, output_plan.order is not None
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
  part: Part, output_plan: SplitOutputPlan, plan: GroupPlan | GroupCuts
) -> Iterator[tuple[int, PartColumn]]:
  """Yields the places of the groups of a part, by the number of the file."""
  groups = _built(part, output_plan)
  placed = plan.assign(groups, part[0])
  for column in return_splits(groups, placed, _in_order(part), output_plan.context):
    yield column.file_number, column


def _of_file(joined: tuple[int, Iterable[Any]]) -> tuple[ScannedFile, list[PartColumn]]:
  """Returns a file and the splits of its groups, part by part."""
  found = list(joined[1])
  (scanned,) = (each for each in found if isinstance(each, ScannedFile))
  columns = [each for each in found if isinstance(each, PartColumn)]
  return scanned, sorted(columns, key=attrgetter('part'))
