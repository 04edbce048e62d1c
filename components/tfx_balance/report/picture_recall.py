"""How well each class is recognised, several models beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tfx_balance.documents.recall import ModelRecall
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import palette
from tfx_balance.report.measures import wilson
from tfx_balance.report.pictures import (
  FEW,
  ROW,
  Namer,
  Picture,
  class_rows,
  count_scale,
  new_figure,
)
from tfx_balance.report.run_view import RunView
from tfx_balance.report.text import class_name, decimal, short

if TYPE_CHECKING:
  from matplotlib.figure import Figure


def recall_picture(view: RunView) -> Picture | None:
  """Returns the picture of the models' recall by class; None without any."""
  models = [model for model in view.models if model.by_class]
  if not models:
    return None
  tested = [value for value in view.classes if any(value in model.by_class for model in models)]
  few = len(tested) <= FEW

  def draw(namer: Namer) -> Figure:
    return _draw_rows(models, tested, namer) if few else _draw_sizes(view, models)

  return Picture(
    name='recall',
    title='Recall of each class',
    description=' '.join(_sentence(model) for model in models),
    draw=draw,
  )


def _sentence(model: ModelRecall) -> str:
  worst = min(model.by_class, key=model.by_class.__getitem__)
  return (
    f'{model.name}: mean recall {decimal(model.macro)} over {len(model.by_class):,} classes; '
    f'lowest {decimal(model.by_class[worst])} for class {short(class_name(worst))}.'
  )


def _draw_rows(
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
    spans = [wilson(model.by_class[v], model.tested[v]) for v in (classes[row] for row in rows)]
    heights = [row + shift for row in rows]
    ax.hlines(
      heights,
      [low for low, _ in spans],
      [high for _, high in spans],
      colors=colour,
      linewidth=2,
      alpha=0.4,
    )
    ax.plot(
      found,
      heights,
      linestyle='none',
      marker=marker,
      markersize=6,
      color=colour,
      label=model.name,
      clip_on=False,
    )
  ax.set_xlim(-0.01, 1.01)
  ax.set_xlabel('recall; the line is its 95% interval for so many tested records')
  class_rows([ax], [str(value) for value in classes], namer)
  _legend(figure, models)
  return figure


def _draw_sizes(view: RunView, models: Sequence[ModelRecall]) -> Figure:
  """Returns recall over the size of the class: a dot a class, and the mean of classes alike."""
  figure = new_figure(3.8)
  ax = figure.subplots()
  stages = [stage for stage in view.comparable if stage.kind in ('raw', 'split')]
  sizes = (stages or list(view.comparable))[-1].trained if view.comparable else {}
  for i, model in enumerate(models):
    colour, marker = palette.series(i).light, palette.marker(i)
    points = [(sizes.get(v, 0), recall) for v, recall in model.by_class.items()]
    ax.plot(
      [n for n, _ in points],
      [recall for _, recall in points],
      linestyle='none',
      marker=marker,
      markersize=3,
      markeredgewidth=0,
      alpha=0.3,
      color=colour,
    )
    middles, means = mean_by_size(model, sizes)
    ax.plot(middles, means, color=colour, linewidth=2.2, marker=marker, markersize=6)
  tested = [sizes.get(value, 0) for model in models for value in model.by_class]
  count_scale(ax, 'x', max(tested), min(tested))
  ax.set_ylim(-0.02, 1.02)
  ax.grid(True, axis='y')
  ax.tick_params(axis='both', length=0, labelcolor=palette.SOFT.light)
  ax.set_xlabel('records of the class in training, before balancing')
  ax.set_ylabel('recall; the line is the mean')
  _legend(figure, models)
  return figure


def mean_by_size(
  model: ModelRecall, sizes: Mapping[ClassValue, int]
) -> tuple[list[float], list[float]]:
  """Returns, for classes of about the same size, their mean size and their mean recall.

  Three groups for each power of ten.
  """
  groups: dict[int, list[tuple[int, float]]] = {}
  for value, recall in model.by_class.items():
    n = sizes.get(value, 0)
    group = math.floor(3 * math.log10(n)) if n else -1
    groups.setdefault(group, []).append((n, recall))
  ordered = [groups[group] for group in sorted(groups)]
  return (
    [sum(n for n, _ in group) / len(group) for group in ordered],
    [sum(recall for _, recall in group) / len(group) for group in ordered],
  )


def _legend(figure: Figure, models: Sequence[ModelRecall]) -> None:
  from matplotlib.lines import Line2D

  handles = [
    Line2D(
      [],
      [],
      color=palette.series(i).light,
      marker=palette.marker(i),
      linestyle='none',
      label=short(model.name),
    )
    for i, model in enumerate(models)
  ]
  figure.legend(handles=handles, loc='outside upper left', ncols=min(len(handles), 4))
