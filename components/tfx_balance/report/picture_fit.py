"""How far each class came from its ideal number of records, split by split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfx_balance.report import palette
from tfx_balance.report.measures import worst_fits
from tfx_balance.report.pictures import FEW, ROW, Namer, Picture, class_rows, new_figure
from tfx_balance.report.run_view import Fit, RunView, Stage
from tfx_balance.report.text import class_name, short, signed

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

MOST_POINTS = 1200
"""Of one panel; of more cells that follow each other the furthest from its ideal is drawn."""


def fit_picture(view: RunView, stage: Stage) -> Picture | None:
  """Returns the picture of a stage's deviations; None where every cell is on its ideal."""
  if all(fit.deviation == 0 for fit in stage.fits):
    return None
  by_split: dict[str, list[Fit]] = {}
  for fit in stage.fits:
    by_split.setdefault(fit.split, []).append(fit)
  for fits in by_split.values():
    fits.sort(key=lambda fit: -fit.ideal)
  first = next(iter(by_split.values()))
  few = len(first) <= FEW and all(
    [fit.name for fit in fits] == [fit.name for fit in first] for fits in by_split.values()
  )

  def draw(namer: Namer) -> Figure:
    return _draw_rows(view, by_split, namer) if few else _draw_ranks(view, by_split)

  worst = worst_fits(stage.fits)
  return Picture(
    name=f'ideal-{view.key(stage)}',
    title=f'{stage.title}: actual records less ideal records of each class',
    description=' '.join(
      f'{split}: the furthest from its ideal is class {short(class_name(fit.name))} with '
      f'{signed(fit.deviation)} records; {off:,} classes are one record or more away.'
      for split, (fit, off) in worst.items()
    ),
    draw=draw,
  )


def _draw_rows(view: RunView, by_split: dict[str, list[Fit]], namer: Namer) -> Figure:
  """Returns a row a class and a panel a split."""
  first = next(iter(by_split.values()))
  figure = new_figure(0.95 + ROW * len(first))
  axes = figure.subplots(1, len(by_split), sharey=True, sharex=True, squeeze=False)[0]
  for ax, (split, fits) in zip(axes, by_split.items(), strict=True):
    colour, marker = _style(view, split)
    ax.axvspan(-1, 1, color=palette.BAND.light, linewidth=0)
    ax.axvline(0, color=palette.SOFT.light, linewidth=0.8)
    deviations = [fit.deviation for fit in fits]
    ax.hlines(range(len(fits)), 0, deviations, colors=colour, linewidth=1.6)
    ax.plot(deviations, range(len(fits)), linestyle='none', marker=marker, ms=5, color=colour)
    ax.set_title(split)
    _limit(ax, 'x', by_split)
  class_rows(axes, [fit.name for fit in first], namer)
  figure.supxlabel(
    'records above or below the ideal; shaded: less than one record',
    fontsize='medium',
    color=palette.SOFT.light,
  )
  return figure


def _draw_ranks(view: RunView, by_split: dict[str, list[Fit]]) -> Figure:
  """Returns a panel a split, one above the other; from left to right the classes by size."""
  figure = new_figure(0.8 + 1.15 * len(by_split))
  axes = figure.subplots(len(by_split), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
  for ax, (split, fits) in zip(axes, by_split.items(), strict=True):
    ax.axhspan(-1, 1, color=palette.BAND.light, linewidth=0)
    ax.axhline(0, color=palette.SOFT.light, linewidth=0.8)
    xs, ys = [], []
    for rank, deviation in furthest([fit.deviation for fit in fits], MOST_POINTS):
      xs += [rank, rank, None]  # one path for all, with gaps
      ys += [0.0, deviation, None]
    ax.plot(xs, ys, color=_style(view, split)[0], linewidth=1)
    ax.grid(False)
    ax.set_title(split)
    ax.set_xlim(0, len(fits) + 1)
    ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
    _limit(ax, 'y', by_split)
  axes[-1].locator_params(axis='x', nbins=8, integer=True)
  figure.supxlabel(
    'rank of the class, the largest first', fontsize='medium', color=palette.SOFT.light
  )
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


def _limit(ax: Axes, side: str, by_split: dict[str, list[Fit]]) -> None:
  """Makes the axis as long on both sides of the ideal."""
  most = max(abs(fit.deviation) for fits in by_split.values() for fit in fits)
  limit = max(1.15, most * 1.1)
  (ax.set_xlim if side == 'x' else ax.set_ylim)(-limit, limit)


def _style(view: RunView, split: str) -> tuple[str, str]:
  """Returns a split's colour and marker; the first split's where it is two together."""
  names = view.split_names
  index = names.index(split) if split in names else 0
  return palette.series(index).light, palette.marker(index)
