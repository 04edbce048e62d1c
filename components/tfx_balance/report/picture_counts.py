"""How many records each class has, by split, at every stage."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfx_balance.report import palette
from tfx_balance.report.measures import ratio_of
from tfx_balance.report.pictures import (
  FEW,
  ROW,
  Namer,
  Picture,
  class_rows,
  count_scale,
  new_figure,
)
from tfx_balance.report.run_view import WHOLE, RunView, SplitCounts, Stage
from tfx_balance.report.text import clean, ratio, short

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

LINES: tuple[Any, ...] = ('-', (0, (5, 1.5)), (0, (1.5, 1.2)), '-.')


def counts_picture(view: RunView) -> Picture | None:
  """Returns the picture of all stages side by side; None where no stage has records."""
  stages = tuple(stage for stage in view.comparable if any(stage.total.values()))
  if not stages:
    return None
  few = len(view.classes) <= FEW

  def draw(namer: Namer) -> Figure:
    return draw_rows(view, stages, namer) if few else draw_curves(view, stages)

  return Picture(
    name='counts',
    title='Records of each class by split, at every stage',
    description=' '.join(_sentence(view, stage) for stage in stages),
    draw=draw,
  )


def _sentence(view: RunView, stage: Stage) -> str:
  """Returns what a stage's panel shows, in words."""
  parts = [
    f'{split.name} has {split.records:,} records, largest over smallest class '
    f'{ratio(ratio_of(split.counts, view.classes))}'
    for split in stage.splits
  ]
  return f'{stage.title}: {"; ".join(parts)}.'


def draw_rows(view: RunView, stages: Sequence[Stage], namer: Namer) -> Figure:
  """Returns a row a class and a panel a stage; a marker is the count of one split."""
  figure = new_figure(1.15 + ROW * len(view.classes))
  axes = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
  extent = _extent(view, stages)
  for ax, stage in zip(axes, stages, strict=True):
    count_scale(ax, 'x', *extent, ticks=max(24 // len(stages), 4))
    ax.set_title(short(clean(stage.title), 84 // len(stages)))
    for split in stage.splits:
      _draw_split(ax, view, split, dodge(stage, split.name))
  class_rows(axes, [str(value) for value in view.classes], namer)
  figure.supxlabel('records', fontsize='medium', color=palette.SOFT.light)
  _legend(figure, view, stages)
  return figure


def dodge(stage: Stage, split: str) -> float:
  """Returns how far below its row a split's marker is: those of equal counts show side by side."""
  names = [other.name for other in stage.splits]
  return 0.0 if len(names) < 2 else 0.44 * (names.index(split) / (len(names) - 1) - 0.5)


def _draw_split(ax: Axes, view: RunView, split: SplitCounts, shift: float) -> None:
  """Draws the markers of a split, and a line from where each class came from."""
  column = split.column(view.classes)
  colour, marker = _style(view, split.name)
  rows = [row for row, value in enumerate(view.classes) if value in split.counts]
  if split.before is not None:
    moved = [(row, split.before.get(view.classes[row], 0)) for row in rows]
    moved = [(row, n) for row, n in moved if n != column[row]]
    ax.hlines(
      [row + shift for row, _ in moved],
      [n for _, n in moved],
      [column[row] for row, _ in moved],
      colors=colour,
      linewidth=1.6,
      alpha=0.45,
    )
    ax.plot(
      [n for _, n in moved],
      [row + shift for row, _ in moved],
      linestyle='none',
      marker=marker,
      markersize=5,
      markerfacecolor=palette.GROUND.light,
      markeredgecolor=colour,
    )
  ax.plot(
    [column[row] for row in rows],
    [row + shift for row in rows],
    linestyle='none',
    marker=marker,
    markersize=5.5,
    markerfacecolor=colour,
    markeredgecolor=palette.GROUND.light,
    markeredgewidth=0.5,
    clip_on=False,
  )


def draw_curves(view: RunView, stages: Sequence[Stage]) -> Figure:
  """Returns a panel a stage; a curve is a split's counts, the largest class first."""
  figure = new_figure(3.6)
  axes = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
  extent = _extent(view, stages)
  for i, (ax, stage) in enumerate(zip(axes, stages, strict=True)):
    ax.grid(True, axis='y')
    ax.grid(False, axis='x')
    count_scale(ax, 'y', *extent)
    ax.set_title(short(clean(stage.title), 84 // len(stages)))
    ax.set_xlim(0.5, len(view.classes) + 0.5)
    ax.locator_params(axis='x', nbins=4, integer=True)
    for split in stage.splits:
      _draw_curve(ax, view, split.name, split.column(view.classes))
    if i == 0:
      ax.set_ylabel('records of the class')
    ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
  figure.supxlabel(
    'rank of the class, the largest first', fontsize='medium', color=palette.SOFT.light
  )
  _legend(figure, view, stages)
  return figure


def _draw_curve(ax: Axes, view: RunView, name: str, column: Sequence[int]) -> None:
  ranks, counts = rank_frequency(column)
  index = _index(view, name)
  ax.plot(
    ranks,
    counts,
    color=_style(view, name)[0],
    linewidth=1.8,
    linestyle=LINES[max(index, 0) % len(LINES)],
    solid_joinstyle='round',
  )


def rank_frequency(column: Sequence[int]) -> tuple[list[int], list[int]]:
  """Returns ranks from 1 and counts, the largest first; of equal counts the first and the last.

  >>> rank_frequency([3, 9, 3, 3])
  ([1, 2, 4], [9, 3, 3])
  """
  ranks: list[int] = []
  counts: list[int] = []
  rank = 1
  for n, run in itertools.groupby(sorted(column, reverse=True)):
    length = len(list(run))
    ranks += [rank, rank + length - 1][: min(length, 2)]
    counts += [n] * min(length, 2)
    rank += length
  return ranks, counts


def _legend(figure: Figure, view: RunView, stages: Sequence[Stage]) -> None:
  """Says which marker or line is which split, above the panels."""
  from matplotlib.lines import Line2D

  names = tuple(dict.fromkeys(split.name for stage in stages for split in stage.splits))
  few = len(view.classes) <= FEW
  handles = []
  for name in names:
    colour, marker = _style(view, name)
    line: Any = 'none' if few else LINES[max(_index(view, name), 0) % len(LINES)]
    shown = 'whole' if name == WHOLE else name
    handles.append(
      Line2D([], [], color=colour, marker=marker if few else '', linestyle=line, label=shown)
    )
  if few and any(split.before is not None for stage in stages for split in stage.splits):
    hollow: dict[str, Any] = {'markerfacecolor': palette.GROUND.light, 'linestyle': 'none'}
    colour = palette.SOFT.light
    handles.append(Line2D([], [], color=colour, marker='o', label='before the stage', **hollow))
  figure.legend(handles=handles, loc='outside upper left', ncols=min(len(handles), 6))


def _extent(view: RunView, stages: Sequence[Stage]) -> tuple[int, int]:
  """Returns the largest and the smallest count of all panels."""
  counts = [n for stage in stages for s in stage.splits for n in s.column(view.classes)]
  counts += [n for stage in stages for s in stage.splits for n in (s.before or {}).values()]
  return max(counts), min(counts)


def _index(view: RunView, split: str) -> int:
  """Returns the number of a split among those of the run; -1 for the whole."""
  return view.split_names.index(split) if split != WHOLE else -1


def _style(view: RunView, split: str) -> tuple[str, str]:
  """Returns a split's colour and marker."""
  index = _index(view, split)
  if index < 0:
    return palette.SOFT.light, 'd'
  return palette.series(index).light, palette.marker(index)
