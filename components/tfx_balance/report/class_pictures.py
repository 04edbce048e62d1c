"""Pictures of the classes: records at every stage, deviation from the ideal, recall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfx_balance.documents.recall import ModelRecall
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.evidence import recall_interval
from tfx_balance.report import pictures as palette
from tfx_balance.report.measures import (
  class_name,
  clean,
  decimal,
  ratio,
  ratio_of,
  short,
  signed,
  worst_fit,
)
from tfx_balance.report.pictures import (
  FEW,
  ROW,
  Namer,
  Picture,
  class_rows,
  count_scale,
  label_x,
  new_figure,
  new_panels,
)
from tfx_balance.report.run_view import WHOLE, Fit, RunView, SplitCounts, Stage

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
  return Picture(
    name='counts',
    title='Records of each class by split, at every stage',
    description=' '.join(_count_sentence(view, stage) for stage in stages),
    draw=lambda namer: _draw_count_rows(view, stages, namer) if few else _draw_curves(view, stages),
  )


def _count_sentence(view: RunView, stage: Stage) -> str:
  """Returns the content of a stage's panel in words."""
  parts = [
    f'{split.name} has {split.records:,} records, largest over smallest class '
    f'{ratio(ratio_of(split.counts, view.classes))}'
    for split in stage.splits
  ]
  return f'{stage.title}: {"; ".join(parts)}.'


def _draw_count_rows(view: RunView, stages: Sequence[Stage], namer: Namer) -> Figure:
  """Returns a row a class and a panel a stage; a marker is the count of one split."""
  figure, axes = new_panels(1.15 + ROW * len(view.classes), len(stages))
  extent = _extent(view, stages)
  for ax, stage in zip(axes, stages, strict=True):
    count_scale(ax, 'x', *extent, ticks=max(24 // len(stages), 4))
    ax.set_title(short(clean(stage.title), 84 // len(stages)))
    for split in stage.splits:
      _draw_split(ax, view, split, _dodge(stage, split.name))
  class_rows(axes, [str(value) for value in view.classes], namer)
  label_x(figure, 'records')
  _split_legend(figure, view, stages)
  return figure


def _dodge(stage: Stage, split: str) -> float:
  """Returns the offset of a split's marker below its row: equal counts show side by side."""
  names = [other.name for other in stage.splits]
  return 0.0 if len(names) < 2 else 0.44 * (names.index(split) / (len(names) - 1) - 0.5)


def _draw_split(ax: Axes, view: RunView, split: SplitCounts, shift: float) -> None:
  """Draws the markers of a split, and a line from where each class came from."""
  column = split.column(view.classes)
  colour, marker, _ = split_style(view, split.name)
  rows = [row for row, value in enumerate(view.classes) if value in split.counts]
  if split.before is not None:
    old = {row: split.before.get(view.classes[row], 0) for row in rows}
    moved = [row for row in rows if old[row] != column[row]]
    heights, starts = [row + shift for row in moved], [old[row] for row in moved]
    ends = [column[row] for row in moved]
    ax.hlines(heights, starts, ends, colors=colour, linewidth=1.6, alpha=0.45)
    ax.plot(starts, heights, marker, ms=5, mfc=palette.GROUND.light, mec=colour)
  counts, heights = [column[row] for row in rows], [row + shift for row in rows]
  filled: dict[str, Any] = {'mfc': colour, 'mec': palette.GROUND.light, 'mew': 0.5}
  ax.plot(counts, heights, marker, ms=5.5, clip_on=False, **filled)


def _draw_curves(view: RunView, stages: Sequence[Stage]) -> Figure:
  """Returns a panel a stage; a curve is a split's counts, the largest class first."""
  figure, axes = new_panels(3.6, len(stages))
  extent = _extent(view, stages)
  for i, (ax, stage) in enumerate(zip(axes, stages, strict=True)):
    ax.grid(True, axis='y')
    ax.grid(False, axis='x')
    count_scale(ax, 'y', *extent)
    ax.set_title(short(clean(stage.title), 84 // len(stages)))
    ax.set_xlim(0.5, len(view.classes) + 0.5)
    ax.locator_params(axis='x', nbins=4, integer=True)
    for split in stage.splits:
      curve = rank_frequency(split.column(view.classes))
      colour, _, line = split_style(view, split.name)
      ax.plot(*curve, color=colour, lw=1.8, linestyle=line, solid_joinstyle='round')
    if i == 0:
      ax.set_ylabel('records of the class')
    ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
  label_x(figure, 'rank of the class, the largest first')
  _split_legend(figure, view, stages)
  return figure


def rank_frequency(column: Sequence[int]) -> tuple[list[int], list[int]]:
  """Returns ranks from 1 and counts, the largest first; of equal counts the first and the last.

  >>> rank_frequency([3, 9, 3, 3])
  ([1, 2, 4], [9, 3, 3])
  """
  counts = sorted(column, reverse=True)
  around = zip([None, *counts], [*counts[1:], None], strict=False)
  drawn = [i for i, (left, right) in enumerate(around) if not left == counts[i] == right]
  return [i + 1 for i in drawn], [counts[i] for i in drawn]


def _split_legend(figure: Figure, view: RunView, stages: Sequence[Stage]) -> None:
  """Draws the legend of the splits' markers and lines above the panels."""
  from matplotlib.lines import Line2D

  names = tuple(dict.fromkeys(split.name for stage in stages for split in stage.splits))
  few = len(view.classes) <= FEW
  handles = []
  for name in names:
    colour, marker, line = split_style(view, name)
    shape: Any = {'marker': marker, 'linestyle': 'none'} if few else {'linestyle': line}
    label = 'whole' if name == WHOLE else name
    handles.append(Line2D([], [], color=colour, label=label, **shape))
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


def split_style(view: RunView, split: str) -> tuple[str, str, Any]:
  """Returns a split's colour, marker and style of line; those of the first for two together."""
  if split == WHOLE:
    return palette.SOFT.light, 'd', LINES[0]
  index = view.split_names.index(split) if split in view.split_names else 0
  return palette.series(index).light, palette.marker(index), LINES[index % len(LINES)]


MOST_POINTS = 1200
"""Of one panel; of more cells that follow each other the furthest from its ideal is drawn."""


def fit_picture(view: RunView, stage: Stage) -> Picture | None:
  """Returns the picture of a stage's deviations; None where every cell is on its ideal."""
  if all(fit.deviation == 0 for fit in stage.fits):
    return None
  places = stage.bins.places if stage.bins else {}
  by_split = {
    split: sorted(fits, key=lambda fit: (places.get(fit.name, len(places)), -fit.ideal))
    for split, fits in stage.fits_by_split.items()
  }
  first = next(iter(by_split.values()))
  few = len(first) <= FEW and all(
    [fit.name for fit in fits] == [fit.name for fit in first] for fits in by_split.values()
  )
  worst = {split: worst_fit(fits) for split, fits in stage.fits_by_split.items()}
  return Picture(
    name=f'ideal-{view.key(stage)}',
    title=f'{stage.title}: actual records less ideal records of each class',
    description=' '.join(
      f'{split}: the furthest from its ideal is class {short(class_name(fit.name))} with '
      f'{signed(fit.deviation)} records; {off:,} classes are one record or more away.'
      for split, (fit, off) in worst.items()
    ),
    draw=lambda namer: (
      _draw_fit_rows(view, by_split, namer) if few else _draw_ranks(view, by_split)
    ),
  )


def _draw_fit_rows(view: RunView, by_split: dict[str, list[Fit]], namer: Namer) -> Figure:
  """Returns a row a class and a panel a split."""
  first = next(iter(by_split.values()))
  figure, axes = new_panels(0.95 + ROW * len(first), len(by_split), sharex=True)
  for ax, (split, fits) in zip(axes, by_split.items(), strict=True):
    colour, marker, _ = split_style(view, split)
    ax.axvspan(-1, 1, color=palette.BAND.light, linewidth=0)
    ax.axvline(0, color=palette.SOFT.light, linewidth=0.8)
    deviations = [fit.deviation for fit in fits]
    ax.hlines(range(len(fits)), 0, deviations, colors=colour, linewidth=1.6)
    ax.plot(deviations, range(len(fits)), marker, ms=5, color=colour)
    ax.set_title(split)
    ax.set_xlim(_limits(by_split))
  class_rows(axes, [fit.name for fit in first], namer)
  label_x(figure, 'records above or below the ideal; shaded: less than one record')
  return figure


def _draw_ranks(view: RunView, by_split: dict[str, list[Fit]]) -> Figure:
  """Returns a panel a split, one above the other; from left to right the classes by size."""
  figure, axes = new_panels(0.8 + 1.15 * len(by_split), len(by_split), 'down', sharex=True)
  for ax, (split, fits) in zip(axes, by_split.items(), strict=True):
    ax.axhspan(-1, 1, color=palette.BAND.light, linewidth=0)
    ax.axhline(0, color=palette.SOFT.light, linewidth=0.8)
    xs, ys = [], []
    for rank, deviation in furthest([fit.deviation for fit in fits], MOST_POINTS):
      xs += [rank, rank, None]  # one path for all, with gaps
      ys += [0.0, deviation, None]
    ax.plot(xs, ys, color=split_style(view, split)[0], linewidth=1)
    ax.grid(False)
    ax.set_title(split)
    ax.set_xlim(0, len(fits) + 1)
    ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
    ax.set_ylim(_limits(by_split))
  axes[-1].locator_params(axis='x', nbins=8, integer=True)
  label_x(figure, 'rank of the class, the largest first')
  figure.supylabel('records above or below the ideal', fontsize='medium', color=palette.SOFT.light)
  return figure


def furthest(deviations: Sequence[float], most: int) -> list[tuple[int, float]]:
  """Returns ranks from 1 with deviations, at most so many: of each run of ranks the furthest.

  >>> furthest([0.1, -0.7, 0.2, 0.3], 2)
  [(2, -0.7), (4, 0.3)]
  """
  size = -(-len(deviations) // most)
  runs = (range(low, min(low + size, len(deviations))) for low in range(0, len(deviations), size))
  chosen = (max(run, key=lambda i: abs(deviations[i])) for run in runs)
  return [(i + 1, deviations[i]) for i in chosen]


def _limits(by_split: dict[str, list[Fit]]) -> tuple[float, float]:
  """Returns the ends of an axis that is as long on both sides of the ideal."""
  most = max(abs(fit.deviation) for fits in by_split.values() for fit in fits)
  limit = max(1.15, most * 1.1)
  return -limit, limit


def recall_picture(view: RunView) -> Picture | None:
  """Returns the picture of the models' recall by class; None without any."""
  models = view.measured
  if not models:
    return None
  tested = [value for value in view.classes if any(value in model.by_class for model in models)]
  few = len(tested) <= FEW
  return Picture(
    name='recall',
    title='Recall of each class',
    description=' '.join(_recall_sentence(model) for model in models),
    draw=lambda namer: (
      _draw_recall_rows(models, tested, namer) if few else _draw_sizes(view, models)
    ),
  )


def _recall_sentence(model: ModelRecall) -> str:
  assert model.worst is not None  # models without any recall are not drawn
  return (
    f'{short(clean(model.name), 40)}: mean recall {decimal(model.macro)} over '
    f'{len(model.by_class):,} classes; '
    f'lowest {decimal(model.by_class[model.worst])} for class {short(class_name(model.worst))}.'
  )


def _draw_recall_rows(
  models: Sequence[ModelRecall], classes: Sequence[ClassValue], namer: Namer
) -> Figure:
  """Returns a row a class; a marker is a model's recall, a line the interval it may be in."""
  height = ROW * max(1.0, 0.55 * len(models))
  figure = new_figure(1.15 + height * len(classes))
  ax = figure.subplots()
  for i, model in enumerate(models):
    colour, marker = palette.series(i).light, palette.marker(i)
    shift = 0.56 * ((i + 0.5) / len(models) - 0.5)
    rows = [row for row, value in enumerate(classes) if value in model.by_class]
    found = [model.by_class[classes[row]] for row in rows]
    tested = (model.tested[classes[row]] for row in rows)
    spans = map(recall_interval, tested, found)
    heights = [row + shift for row in rows]
    lows, highs = zip(*spans, strict=True)
    ax.hlines(heights, lows, highs, colors=colour, linewidth=2, alpha=0.4)
    ax.plot(found, heights, marker, ms=6, color=colour, label=model.name, clip_on=False)
  ax.set_xlim(-0.01, 1.01)
  ax.set_xlabel('recall; the line is its 95% interval')
  class_rows([ax], [str(value) for value in classes], namer)
  _model_legend(figure, models)
  return figure


def _draw_sizes(view: RunView, models: Sequence[ModelRecall]) -> Figure:
  """Returns recall over the size of the class: a dot a class, and the mean over classes."""
  figure = new_figure(3.8)
  ax = figure.subplots()
  stages = [stage for stage in view.comparable if stage.kind in ('raw', 'split')]
  sizes = (stages or list(view.comparable))[-1].trained if view.comparable else {}
  for i, model in enumerate(models):
    colour, marker = palette.series(i).light, palette.marker(i)
    records = [sizes.get(value, 0) for value in model.by_class]
    ax.plot(records, list(model.by_class.values()), marker, ms=3, mew=0, alpha=0.3, color=colour)
    ax.plot(*mean_by_size(model, sizes), color=colour, linewidth=2.2, marker=marker, ms=6)
  tested = [sizes.get(value, 0) for model in models for value in model.by_class]
  count_scale(ax, 'x', max(tested), min(tested))
  ax.set_ylim(-0.02, 1.02)
  ax.grid(True, axis='y')
  ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
  ax.set_xlabel('records of the class in training, before balancing')
  ax.set_ylabel('recall; the line is the mean')
  _model_legend(figure, models)
  return figure


def mean_by_size(model: ModelRecall, sizes: Mapping[ClassValue, int]) -> npt.NDArray[np.float64]:
  """Returns, for classes of about the same size, their mean size and their mean recall: [2, n].

  Three groups for each power of ten.
  """
  groups: dict[int, list[tuple[int, float]]] = {}
  for value, recall in model.by_class.items():
    n = sizes.get(value, 0)
    group = math.floor(3 * math.log10(n)) if n else -1
    groups.setdefault(group, []).append((n, recall))
  return np.array([np.mean(groups[group], axis=0) for group in sorted(groups)]).T


def _model_legend(figure: Figure, models: Sequence[ModelRecall]) -> None:
  from matplotlib.lines import Line2D

  handles = []
  for i, model in enumerate(models):
    colour, marker = palette.series(i).light, palette.marker(i)
    handles.append(
      Line2D([], [], color=colour, marker=marker, linestyle='none', label=short(model.name))
    )
  columns = min(len(handles), int(figure.get_figwidth() / 2.2))
  figure.legend(handles=handles, loc='outside upper left', ncols=columns)
