"""Picture and table of the records that a model was trained on, from a training log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfx_balance.documents.training_log import TrainingLog
from tfx_balance.report import measures as text
from tfx_balance.report import pictures as palette
from tfx_balance.report.pictures import Namer, Picture, new_figure
from tfx_balance.report.run_view import numbered_name
from tfx_balance.report.tables import Cell, Table, head, named, number

if TYPE_CHECKING:
  from matplotlib.figure import Figure

MOST_LINES = 6
"""Classes with a line each: the palette has as many colours."""
MOST_ROWS = 200
"""Rows of the table: the classes with the most records."""


def training_picture(log: TrainingLog, index: int, title: str) -> Picture | None:
  """Returns the picture of each class's share by epoch; None where no epoch has records.

  Dotted lines are where shares were set. Of more than `MOST_LINES` classes, the largest, the median
  and the smallest share of every epoch are drawn.
  """
  epochs = [epoch for epoch in log.epochs if sum(epoch.records)]
  if not epochs:
    return None
  steps = [epoch.step for epoch in epochs]
  shares = [[n / sum(epoch.records) for n in epoch.records] for epoch in epochs]

  def draw(namer: Namer) -> Figure:
    figure = new_figure(3.2)
    ax = figure.subplots()
    for i, (name, line) in enumerate(_lines(log, shares, namer)):
      colour, marker = palette.series(i).light, palette.marker(i)
      ax.plot(steps, line, color=colour, marker=marker, ms=4, linewidth=1.6, label=name)
    for change in log.changes:
      if change.step:
        ax.axvline(change.step, color=palette.SOFT.light, linestyle=':', linewidth=1)
    ax.set_ylim(bottom=0)
    ax.grid(True, axis='y')
    ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
    ax.set_xlabel('step at the end of the epoch; dotted: shares were set')
    ax.set_ylabel('share of the records')
    figure.legend(loc='outside upper left', ncols=3)
    return figure

  return Picture(
    name=numbered_name('training', index),
    title=f'Share of each class in the batches of {title}',
    description=_sentence(log, shares),
    draw=draw,
  )


def _lines(
  log: TrainingLog, shares: Sequence[Sequence[float]], namer: Namer
) -> list[tuple[str, list[float]]]:
  """Returns the name and the points of each line."""
  if len(log.classes) <= MOST_LINES:
    return [(namer(str(value)), [row[c] for row in shares]) for c, value in enumerate(log.classes)]
  ordered = [sorted(row) for row in shares]
  middle = len(log.classes) // 2
  return [
    (name, [row[place] for row in ordered])
    for name, place in (('largest', -1), ('median', middle), ('smallest', 0))
  ]


def _sentence(log: TrainingLog, shares: Sequence[Sequence[float]]) -> str:
  """Returns the content of the picture in words."""
  first, last = (
    f'{text.percent(min(row))} to {text.percent(max(row))}' for row in (shares[0], shares[-1])
  )
  changes = sum(change.step > 0 for change in log.changes)
  return (
    f'{len(log.classes):,} classes over {len(shares):,} epochs: shares of {first} in the first, '
    f'{last} in the last; shares were set {changes:,} times while training.'
  )


def training_table(log: TrainingLog, index: int, title: str) -> Table:
  """Returns the records of each class in all epochs, the largest first."""
  kinds = ('records', 'repeats', 'augmented')
  classes = range(len(log.classes))
  totals = [
    [sum(getattr(epoch, kind)[c] for epoch in log.epochs) for c in classes] for kind in kinds
  ]
  order = sorted(classes, key=lambda c: -totals[0][c])
  rows: list[tuple[Cell, ...]] = []
  for c in order[:MOST_ROWS]:
    cells = [number(f'{column[c]:,}') for column in totals]
    share = totals[0][c] / max(sum(totals[0]), 1)
    rows.append((named(str(log.classes[c])), cells[0], number(text.percent(share)), *cells[1:]))
  more = len(order) - len(rows)
  return Table(
    numbered_name('training', index),
    title,
    head('class', 'records', 'share', 'repeats', 'augmented', numbers=4),
    tuple(rows),
    f'{more:,} classes with fewer records are left out.' if more else '',
  )
