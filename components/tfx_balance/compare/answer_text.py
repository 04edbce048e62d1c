"""Results of a comparison as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from tfx_balance.documents.comparison import ComparedArm, ComparisonDocument
from tfx_balance.documents.sentences import signed_difference
from tfx_balance.plan.evidence import recall_interval

_WIDTH = 96


def answer_text(found: ComparisonDocument) -> str:
  """Returns the tables, the recommendation and the notes."""
  batches = f', {found.steps:,} batches of {found.batch_size}' if found.steps else ''
  lines = [
    f'{found.metric_words} of {len(found.classes)} classes, {sum(found.records):,} records, '
    f'{min(found.records):,} of the rarest; {found.folds} folds{batches}, {found.seconds:,.0f} s',
    '',
    *_gains(found),
    '',
    *_metrics(found),
    '',
    *(line for arm in found.arms if arm.confusion for line in _decisions(found, arm)),
    *_wrapped([f'Use {found.recommended}. {found.reason}', *found.notes]),
  ]
  return '\n'.join(lines)


def _gains(found: ComparisonDocument) -> Iterator[str]:
  """Yields the table of the deciding metric, less natural batches and less the recommended arm."""
  width = max(len(arm.name) for arm in found.arms)
  to_best = any(arm.to_recommended for arm in found.arms)
  columns = f'{"":{width}}  {"mean":>7}  {"gain":>7}  {"interval":^18}'
  yield columns + (f'  {f"to {found.recommended}":^18}' if to_best else '') + '  verdict'
  for arm in found.arms:
    line = f'{arm.name:{width}}  {arm.values[found.metric]:7.3f}'
    if arm.difference is not None or arm.to_recommended:
      gain = '' if arm.difference is None else signed_difference(arm.difference)
      line += f'  {gain:>7}  {_interval(arm.low, arm.high) if gain else "":^18}'
      if to_best:
        gap = arm.to_recommended
        line += f'  {_interval(gap.low, gap.high) if gap else "":^18}'
      line += f'  {arm.verdict or ""}'
    yield line.rstrip()


def _metrics(found: ComparisonDocument) -> Iterator[str]:
  """Yields the table of all other metrics."""
  width = max(len(arm.name) for arm in found.arms)
  shown = [name for name in found.arms[0].values if name != found.metric]
  yield f'{"":{width}}  ' + '  '.join(f'{name:>{_wide(name)}}' for name in shown)
  for arm in found.arms:
    cells = '  '.join(f'{arm.values[name]:{_wide(name)}.3f}' for name in shown)
    yield f'{arm.name:{width}}  {cells}'


def _decisions(found: ComparisonDocument, arm: ComparedArm) -> Iterator[str]:
  """Yields recall, precision and false alarms of each class under an arm."""
  names = [str(value) for value in found.classes]
  width = max(*map(len, names), 5)
  yield (
    f'{arm.name:{width}}  {"records":>8}  {"found":>8}  {"recall":^20}  {"precision":^20}  '
    f'{"wrongly, per 1,000":>18}'
  )
  total = sum(map(sum, arm.confusion))
  for i, name in enumerate(names):
    own, taken = sum(arm.confusion[i]), sum(row[i] for row in arm.confusion)
    hits = arm.confusion[i][i]
    wrong = 1000 * (taken - hits) / max(total - own, 1)
    yield (
      f'{name:{width}}  {own:8,.0f}  {hits:8,.1f}  {_share(hits, own):^20}  '
      f'{_share(hits, taken):^20}  {wrong:18,.1f}'
    )
  yield ''


def _share(part: float, whole: float) -> str:
  """Returns a share with its 95 % interval."""
  if not whole:
    return '-'
  low, high = recall_interval(whole, part / whole)
  return f'{part / whole:.3f} [{low:.2f}, {high:.2f}]'


def _interval(low: float | None, high: float | None) -> str:
  if low is None or high is None:
    return '-'
  return f'[{signed_difference(low)}, {signed_difference(high)}]'


def _wide(name: str) -> int:
  return max(len(name), 7)


def _wrapped(sentences: Sequence[str]) -> list[str]:
  return [line for sentence in sentences for line in textwrap.wrap(sentence, _WIDTH)]
