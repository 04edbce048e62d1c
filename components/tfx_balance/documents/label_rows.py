"""What a split did to each label, where classes are sets of labels."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from tfx_balance.documents.class_distribution import CellRecords, StratumRecords
from tfx_balance.plan.split_plan import SplitPlan, label_sets


def label_rows(plan: SplitPlan) -> tuple[StratumRecords, ...]:
  """Returns the records of each label in each split, and their ideal number.

  None where classes are no sets.
  """
  sets = label_sets(plan.strata)
  if sets is None:
    return ()
  held = sets.sums(plan.quotas)
  told = sets.sums(np.where(plan.predefined[:, None], plan.quotas, 0))
  read = sets.sums(plan.records[:, None])[:, 0]
  rows = zip(sets.labels, read.tolist(), held.tolist(), told.tolist(), strict=True)
  return tuple(
    StratumRecords(
      (label,),
      n,
      {
        split: CellRecords(records, _number((n - sum(fixed)) * share + n_fixed))
        for split, records, share, n_fixed in zip(plan.splits, row, plan.shares, fixed, strict=True)
      },
    )
    for label, n, row, fixed in rows
  )


def label_warnings(rows: Sequence[StratumRecords], plan: SplitPlan) -> list[str]:
  """Returns which labels are in some splits alone, a sentence each; see `label_rows`."""
  filled = [name for name, n in zip(plan.splits, plan.totals(), strict=True) if n]
  warnings = []
  for row in rows:
    absent = [name for name in filled if row.splits[name].ideal and not row.splits[name].records]
    if absent:
      count = f'{row.records} record{"s" if row.records != 1 else ""}'
      warnings.append(f'label {row.name} has {count}, none in {", ".join(absent)}')
  return warnings


def _number(value: Fraction) -> float | int:
  """Returns a fraction as JSON has it: whole numbers as such."""
  return int(value) if value.denominator == 1 else float(value)
