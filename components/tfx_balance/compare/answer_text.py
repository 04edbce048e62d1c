"""Results of a comparison as text of at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from tfx_balance.documents.comparison import ComparedArm, ComparisonDocument, Gap
from tfx_balance.documents.decisions import (
  DECISION_COLUMNS,
  decided_arms,
  decided_classes,
  decision_cells,
  more_classes,
)
from tfx_balance.documents.sentences import short, signed_difference

_WIDTH = 96
_LONGEST_NAME, _LONGEST_HEAD = 20, 9


def answer_text(comparison: ComparisonDocument) -> str:
  """Returns the tables, the recommendation and the notes."""
  lines = [*_wrapped([summary(comparison)]), '', *_table(gain_rows(comparison)), '']
  lines += [*_table(metric_rows(comparison)), '']
  for arm in decided_arms(comparison):
    rows = [(arm.name, *DECISION_COLUMNS)]
    for i in decided_classes(comparison):
      rows.append((short(str(comparison.classes[i]), _LONGEST_NAME), *decision_cells(arm, i)))
    lines += [*_table(rows), *filter(None, [more_classes(comparison)]), '']
  return '\n'.join([*lines, *_wrapped([comparison.sentence, *comparison.notes])])


def summary(comparison: ComparisonDocument) -> str:
  """Returns the line of the metric, the data and the trainings."""
  batches = f', {comparison.steps:,} batches of {comparison.batch_size}' if comparison.steps else ''
  return (
    f'{comparison.metric_words} of {len(comparison.classes)} classes, '
    f'{sum(comparison.records):,} records, {min(comparison.records):,} of the rarest; '
    f'{comparison.folds} folds{batches}, {comparison.seconds:,.0f} s'
  )


def gain_rows(comparison: ComparisonDocument) -> list[tuple[str, ...]]:
  """Returns the table of the deciding metric, its heads first.

  Each remedy has its value, the gain over natural batches, and the interval of that gain and of the
  difference to the recommended remedy.
  """
  to_best = any(arm.to_recommended for arm in comparison.arms)
  rows = [('', 'value', 'gain', 'interval', *['to recommended'] * to_best, 'verdict')]
  for arm in comparison.arms:
    gain = '' if arm.difference is None else signed_difference(arm.difference)
    value = f'{arm.values[comparison.metric]:.3f}'
    gaps = [_interval(arm if gain else None), *[_interval(arm.to_recommended)] * to_best]
    rows.append((arm.name, value, gain, *gaps, arm.verdict or ''))
  return rows


def metric_rows(comparison: ComparisonDocument) -> list[tuple[str, ...]]:
  """Returns the table of all other metrics, its heads first."""
  names = [name for name in comparison.arms[0].values if name != comparison.metric]
  rows = [('', *(name.replace('_', ' ') for name in names))]
  rows += [(arm.name, *(f'{arm.values[name]:.3f}' for name in names)) for arm in comparison.arms]
  return rows


def _interval(gap: ComparedArm | Gap | None) -> str:
  if gap is None:
    return ''
  if gap.low is None or gap.high is None:
    return '-'
  return f'[{signed_difference(gap.low)}, {signed_difference(gap.high)}]'


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
  """Yields the lines of a table: names and verdicts at the left, numbers at the right.

  Heads that are wider than their column stand in several lines.
  """
  heads, *body = rows
  needed = [max(len(row[i]) for row in body) for i in range(len(heads))]
  words = [
    textwrap.wrap(head, max(n, _LONGEST_HEAD), break_long_words=False) if head else []
    for head, n in zip(heads, needed, strict=True)
  ]
  tall = max(map(len, words))
  above = [[''] * (tall - len(lines)) + lines for lines in words]
  for row in [*zip(*above, strict=True), *body]:
    cells = [
      f'{cell:{"<" if i == 0 or heads[i] == "verdict" else ">"}{max(n, *map(len, lines))}}'
      for i, (cell, n, lines) in enumerate(zip(row, needed, above, strict=True))
    ]
    yield '  '.join(cells).rstrip()


def _wrapped(sentences: Sequence[str]) -> list[str]:
  return [line for sentence in sentences for line in textwrap.wrap(sentence, _WIDTH)]
