"""The tables that have a row a class: all of them, and of many the ones to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfx_balance.documents.recall import ModelRecall
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import text
from tfx_balance.report.measures import ratio_of
from tfx_balance.report.run_view import WHOLE, RunView, SplitCounts
from tfx_balance.report.tables import Cell, Table, named, number, words

FEW_ROWS = 40
"""So many classes are shown as one table."""
EXTREMES = 10
"""Of more classes, how many of the largest, the smallest and the worst are shown."""
MOST_ROWS = 10_000
"""Of one table: what a browser opens without a wait."""


@dataclass(frozen=True)
class ClassTables:
  """Tables with a row a class.

  Attributes:
    shown: in the page.
    whole: every class; None where that is shown already.
  """

  shown: tuple[Table, ...]
  whole: Table | None


def class_tables(view: RunView) -> ClassTables:
  """Returns the tables of the classes' counts."""
  columns = count_columns(view)
  if not columns:
    return ClassTables((), None)
  total = len(view.classes)
  if total <= FEW_ROWS:
    return ClassTables((counts_table('classes', 'Records', view, view.classes, columns),), None)
  largest, smallest = view.classes[:EXTREMES], view.classes[-EXTREMES:]
  title = f'The {EXTREMES} {{}} of {total:,} classes'
  shown = (
    counts_table('largest', title.format('largest'), view, largest, columns),
    counts_table('smallest', title.format('smallest'), view, smallest, columns),
  )
  whole = counts_table('classes', f'All {total:,} classes', view, view.classes, columns)
  return ClassTables(shown, whole)


def count_columns(view: RunView) -> list[tuple[str, SplitCounts]]:
  """Returns the columns: a split of a stage each, with the stage's title."""
  return [(stage.title, split) for stage in view.comparable for split in stage.splits]


def counts_table(
  name: str,
  caption: str,
  view: RunView,
  classes: Sequence[ClassValue],
  columns: Sequence[tuple[str, SplitCounts]],
) -> Table:
  """Returns the records of classes, with their share of the first stage."""
  first = view.comparable[0].total
  whole = sum(first.values())
  rows = []
  for value in classes[:MOST_ROWS]:
    share = first.get(value, 0) / whole if whole else 0.0
    rows.append(
      (
        named(str(value)),
        number(text.percent(share)),
        *(_count(split, value) for _, split in columns),
      )
    )
  if classes == view.classes and len(classes) <= FEW_ROWS:
    rows += _footer(view, columns)
  more = len(classes) - MOST_ROWS
  return Table(
    name,
    caption,
    (
      Cell('class'),
      Cell('share', number=True),
      *(_column_head(title, split) for title, split in columns),
    ),
    tuple(rows),
    note=f'and {more:,} smaller ones' if more > 0 else '',
  )


def _column_head(title: str, split: SplitCounts) -> Cell:
  shown = text.clean(title if split.name == WHOLE else f'{title}: {split.name}')
  return Cell(text.short(shown, 28), shown if len(shown) > 28 else '', number=True)


def _count(split: SplitCounts, value: ClassValue) -> Cell:
  n = split.counts.get(value, 0)
  return number(text.integer(n), '' if n else 'bad')


def _footer(view: RunView, columns: Sequence[tuple[str, SplitCounts]]) -> list[tuple[Cell, ...]]:
  """Returns the rows of totals and imbalance ratios."""
  sums = [sum(split.column(view.classes)) for _, split in columns]
  ratios = [ratio_of(split.counts, view.classes) for _, split in columns]
  return [
    (
      Cell('all classes', tone='heading'),
      number('100.0%'),
      *(number(text.integer(n)) for n in sums),
    ),
    (
      Cell('largest / smallest', tone='heading'),
      Cell(''),
      *(number(text.ratio(x)) for x in ratios),
    ),
  ]


def model_table(view: RunView) -> Table:
  """Returns each model in numbers."""
  rows = []
  for model in view.models:
    values = list(model.by_class.values())
    worst = min(model.by_class, key=model.by_class.__getitem__, default=None)
    rows.append(
      (
        words(model.name, 'heading', length=40),
        number(text.decimal(model.macro)),
        words('-' if worst is None else text.class_name(worst), length=24),
        number(text.decimal(min(values)) if values else '-'),
        number(text.integer(sum(recall == 0 for recall in values))),
        number(text.integer(len(values))),
        number(text.integer(sum(model.tested.values()))),
      )
    )
  return Table(
    'models',
    'Models',
    (
      Cell('model'),
      Cell('mean recall', number=True),
      Cell('class found least'),
      Cell('its recall', number=True),
      Cell('classes never found', number=True),
      Cell('classes tested', number=True),
      Cell('records tested', number=True),
    ),
    tuple(rows),
    note='The mean counts each class the same, however many records it has.',
  )


def recall_tables(view: RunView) -> ClassTables:
  """Returns the tables of the models' recall by class."""
  tested = [value for value in view.classes if any(value in m.by_class for m in view.models)]
  if len(tested) <= FEW_ROWS:
    return ClassTables((_recall_table('recall', 'Recall', view.models, tested),), None)
  title = f'The {EXTREMES} of {len(tested):,} classes with the lowest recall'
  worst = sorted(tested, key=lambda value: _lowest(view.models, value))[:EXTREMES]
  shown = (_recall_table('worst', title, view.models, worst),)
  return ClassTables(
    shown, _recall_table('recall', f'Recall of all {len(tested):,} classes', view.models, tested)
  )


def _lowest(models: Sequence[ModelRecall], value: ClassValue) -> tuple[float, int]:
  """Returns what to sort by: the lowest recall, and of equal ones the most tested records."""
  found = [model for model in models if value in model.by_class]
  return min(m.by_class[value] for m in found), -max(m.tested[value] for m in found)


def _model_head(model: ModelRecall) -> Cell:
  title = text.clean(model.name)
  cut = text.short(title, 28)
  return Cell(cut, title if cut != title else '', number=True)


def _recall_table(
  name: str, caption: str, models: Sequence[ModelRecall], classes: Sequence[ClassValue]
) -> Table:
  rows = []
  for value in classes[:MOST_ROWS]:
    cells = [named(str(value))]
    for model in models:
      known = value in model.by_class
      cells.append(number(f'{model.by_class[value]:.2f}' if known else '-'))
      cells.append(number(text.integer(model.tested[value]) if known else '-', 'soft'))
    rows.append(tuple(cells))
  heads = [
    cell
    for model in models
    for cell in (
      _model_head(model),
      Cell('tested', number=True),
    )
  ]
  return Table(name, caption, (Cell('class'), *heads), tuple(rows))
