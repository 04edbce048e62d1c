"""Records of each label in each split, where classes are sets of labels."""

from __future__ import annotations

from collections.abc import Sequence

from tfx_balance.documents.class_distribution import CellRecords, StratumRecords
from tfx_balance.documents.sentences import plain_number
from tfx_balance.plan.split_plan import SplitPlan


def label_rows(plan: SplitPlan) -> tuple[StratumRecords, ...]:
  """Returns the records of each label in each split, and their ideal number.

  None where classes are no sets.
  """
  return tuple(
    StratumRecords(
      (found.label,),
      found.records,
      {
        split: CellRecords.of_split(n, plain_number(ideal))
        for split, n, ideal in zip(plan.splits, found.quotas, found.ideals, strict=True)
      },
    )
    for found in plan.labels()
  )


def label_warnings(rows: Sequence[StratumRecords], plan: SplitPlan) -> list[str]:
  """Returns warnings of labels that are not in every split; see `label_rows`."""
  filled = [name for name, n in zip(plan.splits, plan.totals(), strict=True) if n]
  warnings = []
  for row in rows:
    absent = [name for name in filled if row.splits[name].ideal and not row.splits[name].records]
    if absent:
      count = f'{row.records} record{"s" if row.records != 1 else ""}'
      warnings.append(f'label {row.name} has {count}, none in {", ".join(absent)}')
  return warnings
