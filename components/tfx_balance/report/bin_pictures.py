"""The picture of a number that was put into bins: its distribution in each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tfx_balance.report import pictures as palette
from tfx_balance.report.class_pictures import MOST_POINTS, split_style
from tfx_balance.report.measures import clean, percent, short
from tfx_balance.report.pictures import Picture, new_figure
from tfx_balance.report.run_view import BinCounts, RunView

if TYPE_CHECKING:
  from matplotlib.figure import Figure

MOST_EDGES = 12
"""Edges that are written below the picture."""


def bins_picture(view: RunView) -> Picture | None:
  """Returns the picture of a number's distribution over its bins, in each split; None for none."""
  bins = next((stage.bins for stage in view.stages if stage.bins), None)
  if bins is None:
    return None
  counts = {split: column for split, column in bins.counts.items() if any(column)}
  title = f'Distribution of {short(clean(bins.feature))} in each split'
  return Picture(
    name='bins',
    title=title,
    description=' '.join(_bins_sentence(split, column) for split, column in counts.items()),
    draw=lambda namer: _draw_bins(view, bins, counts, title),
  )


def _bins_sentence(split: str, column: Sequence[int]) -> str:
  low, high = (percent(n / sum(column)) for n in (min(column), max(column)))
  return f'{split}: {len(column):,} bins, each with {low} to {high} of the records.'


def _draw_bins(
  view: RunView, bins: BinCounts, counts: Mapping[str, Sequence[int]], title: str
) -> Figure:
  """Returns a line a split: the share of its records in each bin, or in runs of many bins."""
  figure = new_figure(3.2)
  ax = figure.subplots()
  run = -(-len(bins.names) // MOST_POINTS)
  starts = range(0, len(bins.names), run)
  for split, column in counts.items():
    shares = [sum(column[low : low + run]) / sum(column) for low in starts]
    colour, _, line = split_style(view, split)
    ax.stairs(shares, [*starts, len(column)], color=colour, lw=1.8, linestyle=line, label=split)
  step = -(-len(bins.names) // MOST_EDGES)
  inner = range(step, len(bins.names), step)
  ax.set_xticks(inner, [bins.names[i][1:].split(',')[0] for i in inner])
  ax.set_title(title)
  ax.set_xlim(0, len(bins.names))
  ax.set_ylim(bottom=0)
  ax.grid(True, axis='y')
  ax.grid(False, axis='x')
  ax.yaxis.set_major_formatter(lambda share, _: percent(share))
  ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
  ax.set_xlabel(f'edges between the bins of {short(clean(bins.feature))}')
  ax.set_ylabel('share of the records')
  figure.legend(loc='outside upper left', ncols=6)
  return figure
