"""Sentences, pictures and tables of a comparison of remedies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfx_balance.documents.comparison import Calibration, ComparedArm, ComparisonDocument, Gap
from tfx_balance.documents.decisions import (
  DECISION_COLUMNS,
  decided_arms,
  decided_classes,
  decision_cells,
  more_classes,
)
from tfx_balance.documents.sentences import signed_difference
from tfx_balance.report import measures as text
from tfx_balance.report import pictures as palette
from tfx_balance.report.pictures import (
  ROW,
  Colour,
  Namer,
  Picture,
  class_rows,
  new_figure,
  new_panels,
)
from tfx_balance.report.run_view import numbered_name
from tfx_balance.report.tables import Cell, Table, Tone, head, named, number, words

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

TONES: dict[str | None, Tone] = {'helps': 'good', 'harms': 'bad', 'no practical difference': 'soft'}
_STYLES: dict[Tone, tuple[Colour, str]] = {
  'good': (palette.GOOD, '^'),
  'bad': (palette.BAD, 'v'),
  'soft': (palette.SOFT, 's'),
  '': (palette.WARN, 'o'),
}
"""Colour and marker of a verdict by its tone."""
SMALLEST_SPAN = 0.5
"""Distance from the ideal that the calibration picture shows at least: small faults look small."""


def comparison_pictures(comparison: ComparisonDocument, index: int) -> list[Picture]:
  """Returns the picture of the gains, and that of the calibration, where they were measured."""
  compared = [arm for arm in comparison.arms if arm.difference is not None]
  calibrated = [(arm.name, arm.calibration) for arm in comparison.arms if arm.calibration]
  result = []
  if compared:
    result.append(
      Picture(
        name=numbered_name('remedies', index),
        title=f'Gain in {text.clean(comparison.metric_words)} with each remedy',
        description=' '.join(f'{arm.name}: {_gain(arm)}, {arm.verdict}.' for arm in compared),
        draw=lambda namer: _draw_gains(comparison, compared, namer),
      )
    )
  if calibrated:
    result.append(
      Picture(
        name=numbered_name('calibration', index),
        title=f'Calibration of the probabilities of class {rarest(comparison)}',
        description=' '.join(
          f'{name}: intercept {fault.intercept:.2f}, slope {fault.slope:.2f}.'
          for name, fault in calibrated
        ),
        draw=lambda namer: _draw_calibration(calibrated, namer),
      )
    )
  return result


def rarest(comparison: ComparisonDocument) -> str:
  """Returns the name of the class with the fewest records."""
  return text.short(
    text.class_name(comparison.classes[comparison.records.index(min(comparison.records))]), 24
  )


def _draw_gains(
  comparison: ComparisonDocument, compared: Sequence[ComparedArm], namer: Namer
) -> Figure:
  """Returns a row a remedy: its gain with its interval, and its verdict at the right."""
  figure = new_figure(0.75 + ROW * len(compared))
  ax = figure.subplots()
  ax.axvspan(
    -comparison.equivalence, comparison.equivalence, color=palette.LINE.light, alpha=0.6, lw=0
  )
  ax.axvline(0, color=palette.INK.light, linewidth=1)
  for row, arm in enumerate(compared):
    assert arm.difference is not None  # the others are not drawn
    colour, marker = _STYLES[TONES.get(arm.verdict, '')]
    if arm.low is not None and arm.high is not None:
      ax.hlines(row, arm.low, arm.high, colors=colour.light, linewidth=2)
    ax.plot([arm.difference], [row], marker, ms=6, color=colour.light)
  _scale(ax)
  ax.set_xlabel(f'gain in {text.short(text.clean(comparison.metric_words), 26)}')
  class_rows([ax], [arm.name for arm in compared], namer)
  for label, arm in zip(ax.get_yticklabels(), compared, strict=True):
    label.set_fontweight('bold' if arm.name == comparison.recommended else 'normal')
  verdicts = ax.secondary_yaxis('right')
  verdicts.set_yticks(range(len(compared)), [text.clean(arm.verdict or '') for arm in compared])
  verdicts.tick_params(length=0)
  return figure


def _draw_calibration(calibrated: Sequence[tuple[str, Calibration]], namer: Namer) -> Figure:
  """Returns a row a remedy in two panels, its intercept and its slope."""
  figure, axes = new_panels(0.75 + ROW * len(calibrated), 2)
  for i, (ax, part, ideal) in enumerate(zip(axes, ('intercept', 'slope'), (0, 1), strict=True)):
    ax.axvline(ideal, color=palette.INK.light, linewidth=1)
    values = [getattr(calibration, part) for _, calibration in calibrated]
    colour, marker = palette.series(i).light, palette.marker(i)
    ax.plot(values, range(len(values)), marker, ms=6, color=colour)
    half = 1.15 * max(SMALLEST_SPAN, *(abs(value - ideal) for value in values))
    ax.set_xlim(ideal - half, ideal + half)
    ax.set_xlabel(part)
    _scale(ax)
  class_rows(axes, [name for name, _ in calibrated], namer)
  return figure


def _scale(ax: Axes) -> None:
  """Gives a horizontal axis few ticks, which fit on a phone too."""
  ax.locator_params(axis='x', nbins=4)
  ax.xaxis.set_major_formatter(lambda value, _: f'{value:.3g}')


def comparison_section(comparison: ComparisonDocument, index: int, title: str) -> dict[str, Any]:
  """Returns the text and tables of a comparison, beside its pictures."""
  verdict = comparison.best.verdict
  return {
    'title': title,
    'remedy': comparison.recommended,
    'words': comparison.best.words,
    'verdict': verdict or 'no remedy',
    'colour': _STYLES[TONES.get(verdict, 'soft' if verdict is None else '')][0].name,
    'metric': comparison.metric_words,
    'reason': comparison.reason,
    'sentences': (comparison.sentence, *comparison.notes),
    'rarest': rarest(comparison) if any(arm.calibration for arm in comparison.arms) else None,
    'gains': _gain_table(comparison, index),
    'metrics': _metric_table(comparison, index),
    'decisions': [_decision_table(comparison, arm, index) for arm in decided_arms(comparison)],
    'gains_picture': numbered_name('remedies', index),
    'calibration_picture': numbered_name('calibration', index),
  }


def _gain_table(comparison: ComparisonDocument, index: int) -> Table:
  """Returns the table of each remedy's gain in the deciding metric."""
  columns = ['remedy', 'what it is', comparison.metric_words, 'gain', 'interval']
  to_best = any(arm.to_recommended for arm in comparison.arms)
  if to_best:
    columns.append(f'to {comparison.recommended}')
  rows = []
  for arm in comparison.arms:
    cells = [words(arm.name, 'heading'), words(arm.words), number(_value(arm, comparison.metric))]
    cells.append(number('-' if arm.difference is None else signed_difference(arm.difference)))
    cells.append(number(_interval(arm) or '-'))
    if to_best:
      cells.append(number(_interval(arm.to_recommended) or '-'))
    rows.append((*cells, words(arm.verdict or '', TONES.get(arm.verdict, ''))))
  batches = ''
  if comparison.steps and comparison.batch_size:  # of Keras
    batches = f', {comparison.steps:,} batches of {comparison.batch_size:,} each'
  return Table(
    numbered_name('gains', index),
    f'Gain in {text.clean(comparison.metric_words)} over natural batches',
    (*head(*columns, numbers=len(columns) - 2), Cell('verdict')),
    tuple(rows),
    f'{sum(comparison.records):,} records of {len(comparison.classes):,} classes, '
    f'{min(comparison.records):,} of the rarest; {comparison.folds:,} folds{batches}. A gain '
    f'is positive where the remedy is better; all intervals hold together at '
    f'{comparison.confidence:.0%} confidence.',
  )


def _decision_table(comparison: ComparisonDocument, arm: ComparedArm, index: int) -> Table:
  """Returns the decisions of a remedy on each class."""
  rows = [
    (named(str(comparison.classes[i])), *map(number, decision_cells(arm, i)))
    for i in decided_classes(comparison)
  ]
  more = more_classes(comparison)
  return Table(
    numbered_name(f'decisions-{"natural" if arm.difference is None else "recommended"}', index),
    f'Decisions of {text.clean(arm.name)} on each class',
    head('class', *DECISION_COLUMNS, numbers=len(DECISION_COLUMNS)),
    tuple(rows),
    (f'… {text.clean(more)}. ' if more else '')
    + 'Found are records that are put into their class; wrongly, of 1,000 records of other '
    'classes, those that are put into this one. Intervals are of 95 % for each number.',
  )


def _metric_table(comparison: ComparisonDocument, index: int) -> Table:
  """Returns all metrics of each remedy, and its calibration where that was measured."""
  names = list(dict.fromkeys(name for arm in comparison.arms for name in arm.values))
  parts = ('intercept', 'slope') if any(arm.calibration for arm in comparison.arms) else ()
  rows = []
  for arm in comparison.arms:
    cells = [words(arm.name, 'heading'), *(number(_value(arm, name)) for name in names)]
    for part in parts:
      cells.append(number(f'{getattr(arm.calibration, part):.2f}' if arm.calibration else '-'))
    rows.append(tuple(cells))
  columns = ('remedy', *(name.replace('_', ' ') for name in names), *parts)
  return Table(
    numbered_name('metrics', index),
    'All metrics',
    head(*columns, numbers=len(columns) - 1),
    tuple(rows),
    'Log loss, Brier score and cost are better where they are lower, the others where higher.',
  )


def _value(arm: ComparedArm, metric: str) -> str:
  return f'{arm.values[metric]:.3f}' if metric in arm.values else '-'


def _interval(gap: ComparedArm | Gap | None) -> str:
  """Returns an interval; '' where there is none."""
  if gap is None or gap.low is None or gap.high is None:
    return ''
  return f'{signed_difference(gap.low)} to {signed_difference(gap.high)}'


def _gain(arm: ComparedArm) -> str:
  """Returns a gain, and its interval where there is one."""
  assert arm.difference is not None  # natural batches have none, and are not drawn
  gain, interval = signed_difference(arm.difference), _interval(arm)
  return f'{gain} ({interval})' if interval else gain
