"""`class_distribution.json`: what a component did to each class, for people and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_balance.plan.class_value import stratum_name
from tfx_balance.plan.distribution import imbalance_ratio
from tfx_balance.plan.split_plan import SplitPlan

SIDECAR_NAME = 'class_distribution.json'
SIDECAR_VERSION = 1


def split_sidecar(
  plan: SplitPlan,
  parameters: Mapping[str, Any],
  source: Mapping[str, Any],
  files: Mapping[str, int],
  passed_through: Sequence[str],
) -> dict[str, Any]:
  """Returns the sidecar of a split artifact.

  Args:
    plan: what was done.
    parameters: of the component.
    source: what was read: records, dropped, files, fingerprint.
    files: split to number of files.
    passed_through: splits that were copied unread.

  Returns:
    JSON data. `strata[i].splits[name]` holds the `records` written and their `ideal` number, a
    fraction; `splits[name]` the same of the whole split, its files and its imbalance ratio.
  """
  totals = plan.totals()
  ideals = [sum(row[j] for row in plan.ideals) for j in range(len(plan.splits))]
  columns = [[row[j] for row in plan.quotas] for j in range(len(plan.splits))]
  return {
    'format': 'tfx_balance.class_distribution',
    'version': SIDECAR_VERSION,
    'component': 'StratifiedSplitter',
    'parameters': dict(parameters),
    'input': dict(source),
    'splits': {
      name: {
        'records': totals[j],
        'ideal': _number(ideals[j]),
        'files': files[name],
        'imbalance_ratio': _finite(imbalance_ratio(columns[j])),
      }
      for j, name in enumerate(plan.splits)
    },
    'strata': [
      {
        'stratum': [value.to_json() for value in stratum],
        'name': stratum_name(stratum),
        'records': plan.records[i],
        'splits': {
          name: {'records': plan.quotas[i][j], 'ideal': _number(plan.ideals[i][j])}
          for j, name in enumerate(plan.splits)
        },
      }
      for i, stratum in enumerate(plan.strata)
    ],
    'passed_through': list(passed_through),
    'warnings': split_warnings(plan, source.get('dropped', 0)),
  }


def split_warnings(plan: SplitPlan, dropped: int) -> list[str]:
  """Returns what a person should know about the split, a sentence each."""
  warnings = [
    f'split {name!r} is empty: its share of {sum(plan.records)} records is below one'
    for name, total in zip(plan.splits, plan.totals(), strict=True)
    if not total
  ]
  warnings += [_reach(plan, row) for row in plan.out_of_reach()]
  if dropped:
    warnings.append(f'{dropped} records without a class were dropped')
  return warnings


def _reach(plan: SplitPlan, i: int) -> str:
  """Returns the sentence about a stratum that is too small to reach every split."""
  absent = [name for name, n in zip(plan.splits, plan.quotas[i], strict=True) if not n]
  n = plan.records[i]
  count = f'{n} record{"s" if n != 1 else ""}'
  return (
    f'class {stratum_name(plan.strata[i])} has {count}, too few for every split: '
    f'none in {", ".join(absent)}'
  )


def _number(value: Any) -> float | int:
  """Returns a fraction as JSON has it: whole numbers as such."""
  return int(value) if value == int(value) else float(value)


def _finite(ratio: float) -> float | None:
  """Returns a ratio as JSON has it: none where a class is absent."""
  return ratio if ratio not in (float('inf'),) and ratio == ratio else None
