"""`class_checks.json`: what was counted and checked, for the report and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tfx_balance.documents.json_document import Document, Maybe
from tfx_balance.plan.checks import Check, cut, failed, number, short_name
from tfx_balance.plan.class_counts import BASELINE, ClassCounts

CHECKS_NAME = 'class_checks.json'
CHECKS_FORMAT = 'tfx_balance.class_checks'
CHECKS_VERSION = 1
CountsFrom = Literal['sidecar', 'records', 'statistics']

_CHECK = {
  'rule': str,
  'split': str,
  'other': Maybe(str),
  'class': Maybe('class'),
  'name': Maybe(str),
  'measured': Maybe('number'),
  'limit': Maybe('number'),
  'passed': 'flag',
  'message': str,
}
_COMMON = {
  'split': str,
  'other': str,
  'records': 'count',
  'share': 'number',
  'examples': [{'text': 'any'}],
}
CHECKS = Document(
  CHECKS_FORMAT,
  CHECKS_VERSION,
  {
    'label': str,
    'counts_from': str,
    'counts': [{'class': 'class', 'splits': {str: 'count'}}],
    'missing': Maybe({str: 'count'}),
    'checks': [_CHECK],
    'leakage': Maybe({'key': str, 'pairs': [_COMMON]}),
    'blessed': 'flag',
  },
)

_HEADINGS = ('rule', 'split', 'class', 'measured', 'limit')


def checks_sidecar(
  label: str,
  counts_from: CountsFrom,
  counts: ClassCounts,
  checks: Sequence[Check],
  leakage: Mapping[str, Any] | None,
) -> dict[str, Any]:
  """Returns the JSON data of `class_checks.json`.

  Args:
    label: the feature that holds the class.
    counts_from: where the counts of the splits come from; a baseline's are from its statistics.
    counts: of the splits and of the baseline.
    checks: what came of the rules.
    leakage: what occurs in several splits; None where that was not looked for.
  """
  splits = [name for name in counts.splits if not name.startswith(BASELINE)]
  baseline = [name for name in counts.splits if name.startswith(BASELINE)]
  rows = []
  for value in counts.classes(counts.splits):
    row: dict[str, Any] = {
      'class': value.to_json(),
      'name': str(value),
      'splits': {name: counts.count(name, value) for name in splits},
    }
    if baseline:
      row['baseline'] = {
        name.removeprefix(BASELINE): counts.count(name, value) for name in baseline
      }
    rows.append(row)
  return {
    'format': CHECKS_FORMAT,
    'version': CHECKS_VERSION,
    'label': label,
    'counts_from': counts_from,
    'counts': rows,
    'missing': {name: counts.missing[name] for name in splits},
    'checks': [check.to_json() for check in checks],
    'leakage': leakage,
    'blessed': int(not failed(checks)),
  }


def violation_table(checks: Sequence[Check], most: int | None = None) -> list[str]:
  """Returns the lines of a table of the checks that did not pass.

  Args:
    checks: of all rules.
    most: the lines to show of a longer table; None for all.
  """
  rows = [_row(check) for check in failed(checks)]
  shown = rows if most is None or len(rows) <= most else rows[:most]
  widths = [max(map(len, column)) for column in zip(_HEADINGS, *shown, strict=True)]
  lines = [
    '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for row in (_HEADINGS, *shown)
  ]
  return lines + ([f'... and {len(rows) - len(shown)} more'] if len(shown) < len(rows) else [])


def violation_report(checks: Sequence[Check]) -> str:
  """Returns all that broke as a text: the table, and a sentence for each."""
  broken = failed(checks)
  if not broken:
    return f'No rule of {len(checks)} is broken.\n'
  sentences = [f'- {check.rule}: {check.message}' for check in broken]
  return '\n'.join([*violation_table(checks), '', *sentences, ''])


def _row(check: Check) -> tuple[str, ...]:
  where = check.split if check.other is None else f'{check.split} vs {check.other}'
  sign = '>=' if check.rule in ('min_count', 'min_share', 'missing_classes') else '<='
  name = '' if check.value is None else short_name(check.value)
  return check.rule, cut(where, 40), name, number(check.measured), f'{sign} {number(check.limit)}'
