"""Arguments and plan of a run of BalancedAugmenter."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.documents.descriptions import describe_balance
from tfx_balance.plan.balance_plan import BalancePlan, plan_balance
from tfx_balance.plan.class_value import MISSING
from tfx_balance.plan.pool_plan import PoolPlan
from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.totals import Totals, check_features
from tfx_balance.shuffle.ranges import FileGroup, OutputLayout
from tfx_balance.shuffle.select import Selection
from tfx_balance.tfrecord.work_files import WorkFile
from tfx_balance.writer import OutputPlan, RunContext, file_sizes

MOST_TOGETHER = 32
"""Plain copies of a record that go to one of several files; those that a division leaves too."""
PURPOSE = 'balance'
"""Name of the draw of records."""
AugmentContext = RunContext[AugmenterParameters]


@dataclass(frozen=True)
class AugmentOutputPlan(OutputPlan):
  """The plan of a run, made from the totals; quotas are [rows of the selection, 2 parts].

  Attributes:
    totals: Totals of each split.
    plans: Plan of each split.
    selection: Selection of records: those of part 0 of a row are there more often than the others.
    copies: Number of times that a record of a row and part is written: int64 [rows, 2].
    names: Name of the split of each layout.
    pools: Pools by row of the selection, where an augment function needs them.
  """

  totals: Mapping[str, Totals]
  plans: Mapping[str, BalancePlan]
  selection: Selection
  copies: Ints
  names: tuple[str, ...]
  pools: PoolPlan | None = None

  @property
  def file_groups(self) -> list[FileGroup]:
    """The files of each output."""
    return [FileGroup(((0, 1, one.paths),), one.n_chunks, one.n_together) for one in self.layouts]

  def output_of(self, split: str) -> int:
    """Returns the number of the output of a split of the input, or that of its copies alone."""
    return 0 if self.context.parameters.augmented_split else self.names.index(split)

  def file_group_of(self, split: str, whole: bool) -> FileGroup:
    """Returns the files that the records of a split of the input go to.

    Args:
      split: Name of the split.
      whole: Whether a file is gathered at once, if what it is made of has at most so many bytes as
        `Sizes.shard_bytes`.
    """
    file_group = self.file_groups[self.output_of(split)]
    if not whole:
      return file_group
    n_bytes = self.totals[split].n_bytes // file_group.n_files
    return replace(file_group, n_chunks=max(1, -(-n_bytes // self.context.sizes.shard_bytes)))

  def copies_together(self, split: str) -> int:
    """Returns the least number of plain copies of a record in one file, where there are so many.

    All, if there is one file. Of several, each is to have many different records of every class:
    so at most MOST_TOGETHER, and fewer where a file has not `Sizes.file_shares` times as
    many records.
    What is read for the output is at most the input, and one record for so many copies.

    Args:
      split: Name of the split of the input.
    """
    output = self.output_of(split)
    n_files = self.file_groups[output].n_files
    if n_files == 1:
      return max(1, self.written[output])
    shares = self.context.sizes.file_shares
    return min(max(1, self.written[output] // n_files // shares), MOST_TOGETHER)

  def documents(self, files: Sequence[WorkFile], passed_through: Sequence[str]) -> dict[str, str]:
    """Returns the sidecar by its path."""
    parameters = self.context.parameters
    found = describe_balance(
      self.plans,
      parameters.augmented_split,
      parameters.shown,
      {name: totals.describe() for name, totals in self.totals.items()},
      file_sizes(files),
      passed_through,
      self.pools,
    )
    return {
      f'{self.context.output_uri}/{SIDECAR_NAME}': replace(found, step=self.context.step).dumps()
    }


def plan_augment(totals: Mapping[str, Totals], context: AugmentContext) -> AugmentOutputPlan:
  """Plans a run from the counts of the splits and the arguments.

  Raises:
    ConfigError: if the strategy does not fit the classes.
    DataError: if the label cannot be the class.
  """
  merged = functools.reduce(Totals.merge, totals.values(), Totals())
  parameters, sizes = context.parameters, context.sizes
  merged.check_bad(parameters.reading.max_bad_records)
  for of_split in totals.values():
    check_features(of_split, [parameters.label], parameters.missing, 'label')
  passed = () if parameters.missing_is_class else (MISSING,)
  counts_of = {name: of_split.strata() for name, of_split in sorted(totals.items())}
  plans = {
    name: plan_balance(of_split.strata.classes, of_split.records, parameters.balance, passed)
    for name, of_split in counts_of.items()
  }
  apart = parameters.augmented_split
  names = (apart,) if apart else tuple(plans)
  counts = np.concatenate([plan.records for plan in plans.values()])
  targets = np.concatenate([plan.targets for plan in plans.values()])
  quotas, copies = _parts(counts, targets)
  made = [targets - counts] if apart else [plan.targets for plan in plans.values()]
  written = tuple(int(each.sum()) for each in made)
  # Records are taken to be as large as those that were read.
  n_read = merged.n_records + merged.dropped + merged.bad
  n_bytes = [n * merged.n_bytes // n_read for n in written]
  folders = [f'{context.output_uri}/Split-{name}' for name in names]
  strata = {name: of_split.strata for name, of_split in counts_of.items()}
  return AugmentOutputPlan(
    context,
    tuple(
      OutputLayout.of(*of, context.suffix, None, sizes) for of in zip(n_bytes, folders, strict=True)
    ),
    written,
    quotas,
    totals,
    plans,
    Selection(strata, quotas, context.draw_seed, PURPOSE, range_rows=sizes.range_rows),
    copies,
    names,
  )


def _parts(counts: Ints, targets: Ints) -> tuple[Ints, Ints]:
  """Returns the records of each part of a class, and the times that each is written.

  target = copies * n + extra: the first `extra` records by rank are there once more. Below n,
  copies is 0, and the first `target` records are those that stay.
  """
  copies, extra = np.divmod(targets, counts)
  return np.stack([extra, counts - extra], axis=1), np.stack([copies + 1, copies], axis=1)
