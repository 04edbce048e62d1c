"""Stratified splitting as a Beam transform: count and spill, find the thresholds, assign, write.

files ── ScanFile ──┬── Totals ── SplitOutputPlan
                    ├── Thresholds
                    └── AssignSplits ── ranges ── GatherRanges ── publish, with the sidecar

Groups are counted and planned, or cut by time, instead: see grouped.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import apache_beam as beam
import numpy as np

from tfx_balance.modes.stable import stable_thresholds
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.spill import Rows, assigned_rows
from tfx_balance.scan.totals import sum_by_split
from tfx_balance.shuffle.assigned import Assigned, assign_blocks
from tfx_balance.shuffle.frequent import FrequentKeys, find_frequent
from tfx_balance.shuffle.group_parts import PartColumn
from tfx_balance.shuffle.ranges import COUNTS, NOWHERE, BatchKey, SpillRanges, gather_ranges
from tfx_balance.shuffle.select import FileCounts, find_file_thresholds
from tfx_balance.shuffle.stored_values import WithStored, store
from tfx_balance.stratified_splitter.bin_search import BinNumbers
from tfx_balance.stratified_splitter.extension import (
  check_base_counts,
  leave_out_held,
  plan_extension,
)
from tfx_balance.stratified_splitter.grouped import plan_in_beam
from tfx_balance.stratified_splitter.output_plan import (
  SplitContext,
  SplitOutputPlan,
  new_scan,
  plan_job,
)
from tfx_balance.tfrecord.frames import ScratchBuffer


class AssignSplits(beam.DoFn):
  """Turns a `ScannedFile` into ranges by output file, and the counts of the assigned records."""

  def __init__(self) -> None:
    self._buffer = ScratchBuffer()

  def process(
    self, scanned: ScannedFile, job: SplitOutputPlan, frequent: FrequentKeys, found: Any
  ) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
    counts = FileCounts(job.selection.strata_of(scanned), job.counted)

    def assign(index: Rows, keys: UInts, apart: Ints) -> Assigned:
      placed = place(index)
      counts.add(index['code'], *placed[: len(job.counted) - 1])
      outputs = np.where(placed.embargoed, NOWHERE, placed.split)
      return assigned_rows(index['size'], outputs, keys), apart, None

    with contextlib.ExitStack() as stack:
      place = job.placer(scanned, stack, found)
      columns = ('time', 'group')
      yield from assign_blocks(scanned, job, frequent, self._buffer, counts, columns, assign)


def assign_groups(
  joined: tuple[ScannedFile, list[PartColumn]], job: SplitOutputPlan, frequent: FrequentKeys
) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
  """Yields the output of `AssignSplits` for a file and the places of its groups."""
  return AssignSplits().process(joined[0], job, frequent, joined[1])


@dataclass
class StratifiedSplit(beam.PTransform):
  """Turns input files into split files, which wait to be published.

  Input: `InputFile`. Output: (output plan, counts, files): `SplitOutputPlan` and int64
  [strata, splits], one of each, and `WorkFile`, one a file.

  Attributes:
    context: The arguments of the run.
    sidecar: Path of that of the artifact to extend; '' where there is none.
  """

  context: SplitContext
  sidecar: str = ''

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    context = self.context
    scanned = scan_files(files, new_scan(context))
    given, modes = context.parameters, context.parameters.modes
    if modes.bins:
      scanned |= 'Bins' >> BinNumbers(modes.bins, context)
    if given.extends:
      scanned = leave_out_held(scanned, context)
      job = sum_by_split(
        scanned,
        lambda groups: plan_extension(check_base_counts(groups, context, self.sidecar), context),
        context,
      )
    else:
      job = sum_by_split(scanned, lambda totals: plan_job(totals[''], context), context)
    frequent = find_frequent(scanned, context)
    assign: Any = AssignSplits().process
    found = []
    if modes.groups:
      job, scanned = plan_in_beam(scanned, job, modes.order is not None, context.sizes)
      assign = assign_groups
    elif modes.waits:
      found = [job | 'Thresholds' >> beam.Map(lambda job: stable_thresholds(job.plan))]
    else:
      selection = job | 'Selection' >> beam.Map(attrgetter('selection'))
      found = [find_file_thresholds(scanned, selection, context)]
    known = [
      beam.pvalue.AsSingleton(store(each, f'Store{i}', context.work_dir))
      for i, each in enumerate([job, frequent, *found])
    ]
    assigned = scanned | 'AssignSplits' >> beam.ParDo(WithStored(assign), *known).with_outputs(
      COUNTS, main='ranges'
    )
    job, counts, files = gather_ranges(assigned, job, context)
    if modes.order or (modes.waits and not modes.groups):
      job |= 'WithCounts' >> beam.Map(
        lambda job, counts: job.with_counts(counts), beam.pvalue.AsSingleton(counts)
      )
    return job, counts, files
