"""Records laid out by class as a Beam transform: count and spill by class, plan, assign, write.

files ── ScanFile ──┬── Totals of each split ── ShardOutputPlan
                    └── AssignClasses ── ranges ── GatherRanges ── publish, with plan and sidecar
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np

from tfx_balance.balanced_input_gen.output_plan import ShardContext, ShardOutputPlan, plan_shards
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.scan.scan import InputFile, ScannedFile, scan_files
from tfx_balance.scan.spill import ASSIGNED_ROW, Rows, new_rows
from tfx_balance.scan.totals import sum_by_split
from tfx_balance.shuffle.assigned import Assigned, assign_blocks
from tfx_balance.shuffle.frequent import FrequentKeys, find_frequent
from tfx_balance.shuffle.ranges import COUNTS, BatchKey, SpillRanges, gather_ranges
from tfx_balance.shuffle.select import FileCounts
from tfx_balance.tfrecord.frames import ScratchBuffer


class AssignClasses(beam.DoFn):
  """Turns a `ScannedFile` into ranges by output file, and the records of each class in it.

  A class with files of its own is one run of neighbours in a block. Rare classes are short runs:
  where those of one file do not lie together, they are brought together, spilled once more.
  """

  def __init__(self) -> None:
    self._buffer = ScratchBuffer()

  def process(
    self, scanned: ScannedFile, output_plan: ShardOutputPlan, frequent: FrequentKeys
  ) -> Iterator[tuple[BatchKey, SpillRanges] | beam.pvalue.TaggedOutput]:
    classes, file_groups, sections, shared = output_plan.of_codes(scanned)
    counts = FileCounts(classes, output_plan.quotas.shape)

    def assign(index: Rows, keys: UInts, apart: Ints) -> Assigned:
      code, mine = index['code'], file_groups[index['code']]
      counts.add(code)
      rare = np.flatnonzero(shared[code])
      if not lie_together(mine[rare]):
        apart = np.union1d(apart, rare)
      return (
        new_rows(ASSIGNED_ROW, size=index['size'], output=sections[code], key=keys),
        apart,
        mine,
      )

    return assign_blocks(scanned, output_plan, frequent, self._buffer, counts, (), assign)


def lie_together(file_groups: Ints) -> bool:
  """Returns whether the records of each file group are neighbours: int64 [n].

  >>> lie_together(np.array([3, 3, 1, 1])), lie_together(np.array([3, 1, 3]))
  (True, False)
  """
  return np.count_nonzero(np.diff(file_groups)) < len(np.unique(file_groups)) or not len(
    file_groups
  )


@dataclass
class ClassShards(beam.PTransform):
  """Turns input files into files by class, which wait to be published.

  Input: `InputFile` of the splits. Output: (output plan, counts, files):
  `ShardOutputPlan` and int64 [classes], one of each, and `WorkFile`, one a file.
  """

  context: ShardContext

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    context = self.context
    scanned = scan_files(files, context.new_scan(by_class=True, labels=context.parameters.labels))
    output_plan = sum_by_split(scanned, partial(plan_shards, context=context), context)
    frequent = find_frequent(scanned, context)
    assigned = scanned | 'AssignClasses' >> beam.ParDo(
      AssignClasses(), beam.pvalue.AsSingleton(output_plan), beam.pvalue.AsSingleton(frequent)
    ).with_outputs(COUNTS, main='ranges')
    return gather_ranges(assigned, output_plan, context)
