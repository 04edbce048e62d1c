"""`class_checks.json`: what was counted and checked, for the report and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tfx_balance.documents.json_document import Count, Document
from tfx_balance.documents.sentences import EXAMPLES, some_of
from tfx_balance.plan.checks import Check, failed, number, short_name, truncate
from tfx_balance.plan.class_counts import BASELINE, CountsBySplit
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution_rules import RULES

CHECKS_NAME = 'class_checks.json'
CountsFrom = Literal['sidecar', 'records', 'statistics']

_HEADINGS = ('rule', 'split', 'class', 'measured', 'limit')


@dataclass(frozen=True)
class ClassRow:
  """Number of records of one class, in splits and in those of the baseline if there is one."""

  value: ClassValue = field(metadata={'key': 'class', 'name': str})
  splits: Mapping[str, Count]
  baseline: Mapping[str, Count] | None = None


@dataclass(frozen=True)
class KeyedRecords:
  """Number of records of a split that have a key, and of those that have none."""

  records: Count
  without_key: Count

  def share(self, records: int) -> float:
    """Returns the share that some of its records are; 0 where it has none."""
    return records / self.records if self.records else 0.0


@dataclass(frozen=True)
class RecordPlace:
  """A record, by its file and its position in it."""

  file: str
  record: Count


@dataclass(frozen=True)
class CommonExample:
  """A key that two splits have in common: as text, and the first record with it in each."""

  text: str
  split: RecordPlace
  other: RecordPlace


@dataclass(frozen=True)
class CommonRecords:
  """Keys that two splits have in common.

  Attributes:
    split: Name of the one.
    other: Name of the other.
    keys: Number of keys that both have.
    records: Number of records of the one whose key the other has too.
    share: Share of these in the one's records.
    records_of_other: Number of records of the other whose key the one has too.
    share_of_other: Share of these in the other's records.
    examples: A few keys.
  """

  split: str
  other: str
  keys: Count
  records: Count
  share: float
  records_of_other: Count
  share_of_other: float
  examples: tuple[CommonExample, ...]


@dataclass(frozen=True)
class Leakage:
  """Records that occur in more than one split.

  Attributes:
    key: 'records', or the feature whose values were compared.
    splits: Number of records, by split.
    pairs: What each pair of splits has in common.
  """

  key: str
  splits: Mapping[str, KeyedRecords]
  pairs: tuple[CommonRecords, ...]


@dataclass(frozen=True)
class ClassChecks(Document):
  """Counts and checks of a validator.

  Attributes:
    label: Feature that holds the class.
    counts_from: Where the counts of the splits are from: a `CountsFrom`.
    counts: Number of records of each class.
    missing: Number of records without a class, by split.
    labelled: Number of records that have labels, by split, where a record has several and each
      counts it; empty where each has one class.
    checks: Results of the rules.
    leakage: What occurs in several splits; None where that was not looked for.
    blessed: Whether all rules hold.
  """

  FORMAT: ClassVar[str] = 'tfx_balance.class_checks'
  VERSION: ClassVar[int] = 2

  label: str
  counts_from: str
  counts: tuple[ClassRow, ...]
  missing: Mapping[str, Count] = field(metadata={'null': {}})
  labelled: Mapping[str, Count] = field(default_factory=dict, kw_only=True)
  checks: tuple[Check, ...]
  leakage: Leakage | None
  blessed: bool = field(metadata={'write': int})

  @classmethod
  def of(
    cls,
    label: str,
    counts_from: CountsFrom,
    counts: CountsBySplit,
    checks: Sequence[Check],
    leakage: Leakage | None,
  ) -> ClassChecks:
    """Returns the document of what was found; a baseline's counts are from its statistics."""
    splits = [name for name in counts.splits if not name.startswith(BASELINE)]
    baseline = [name for name in counts.splits if name.startswith(BASELINE)]
    rows = tuple(
      ClassRow(
        value,
        {name: counts.count(name, value) for name in splits},
        {name.removeprefix(BASELINE): counts.count(name, value) for name in baseline} or None,
      )
      for value in counts.classes(counts.splits)
    )
    missing = {name: counts.missing[name] for name in splits}
    labelled = {name: counts.labelled[name] for name in splits if name in counts.labelled}
    blessed = not failed(checks)
    return cls(
      label, counts_from, rows, missing, tuple(checks), leakage, blessed, labelled=labelled
    )


def violation_table(checks: Sequence[Check], most: int | None = None) -> list[str]:
  """Returns the lines of a table of the checks that did not pass.

  Args:
    checks: Results of all rules.
    most: Number of lines to show of a longer table; None for all.
  """
  rows = [_row(check) for check in failed(checks)]
  shown = rows[:most]
  widths = [max(map(len, column)) for column in zip(_HEADINGS, *shown, strict=True)]
  lines = [
    '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for row in (_HEADINGS, *shown)
  ]
  return lines + ([f'... and {len(rows) - len(shown)} more'] if len(shown) < len(rows) else [])


def broken_rules(checks: Sequence[Check]) -> list[str]:
  """Returns a line for each rule that is broken: the first places, and in how many more.

  Args:
    checks: Results of all rules.
  """
  by_rule: dict[str, list[Check]] = {}
  for check in failed(checks):
    by_rule.setdefault(check.rule, []).append(check)
  return [
    f'{rule}: {some_of([check.message for check in broken], EXAMPLES, "; ")}'
    for rule, broken in by_rule.items()
  ]


def violation_report(checks: Sequence[Check]) -> str:
  """Returns all that broke as a text: the table, and a sentence for each."""
  broken = failed(checks)
  if not broken:
    return f'No rule of {len(checks)} is broken.\n'
  sentences = [f'- {check.rule}: {check.message}' for check in broken]
  return '\n'.join([*violation_table(checks), '', *sentences, ''])


def _row(check: Check) -> tuple[str, ...]:
  where = check.split if check.other is None else f'{check.split} vs {check.other}'
  sign = RULES[check.rule].sign
  name = '' if check.value is None else short_name(check.value)
  return (
    check.rule,
    truncate(where, 40),
    name,
    number(check.measured),
    f'{sign} {number(check.limit)}',
  )
