"""The tables of the page, as values: what a cell says, and how it is to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tfx_balance.documents.recall import ModelRecall
from tfx_balance.plan.checks import Check
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import measures
from tfx_balance.report import measures as text
from tfx_balance.report.measures import ratio_of
from tfx_balance.report.run_view import WHOLE, CheckSet, Fit, RunView, SplitCounts, Stage

Tone = Literal['', 'good', 'bad', 'soft', 'heading']
MOST_FAILED = 200
"""Broken rules that are told one by one; a schema gone wrong breaks one for every class."""
MOST_RULES = 500
LONG = 40
"""Characters of a text that may be broken anywhere, so that no table is wider than the page."""


@dataclass(frozen=True)
class Cell:
  """One cell.

  Attributes:
    text: Text, cut to what fits.
    full: Uncut text; '' where nothing was cut.
    number: Whether it is a number, which stands at the right.
    tone: Colour by its meaning; 'heading' for the name of the row.
  """

  text: str
  full: str = ''
  number: bool = False
  tone: Tone = ''

  @property
  def css(self) -> str:
    """The classes of its element."""
    layout = 'n' if self.number else 'free' if len(self.text) > LONG else ''
    return ' '.join(filter(None, (layout, '' if self.tone == 'heading' else self.tone)))


@dataclass(frozen=True)
class Table:
  """One table; its name is unique in the page, its rows are as long as its head."""

  name: str
  caption: str
  head: tuple[Cell, ...]
  rows: tuple[tuple[Cell, ...], ...]
  note: str = ''


def named(name: str, length: int = text.NAME_LENGTH) -> Cell:
  """Returns the cell that names a row by a class."""
  name = text.class_name(name)
  cut = text.short(name, length)
  return Cell(cut, name if cut != name else '', tone='heading')


def number(shown: str, tone: Tone = '') -> Cell:
  """Returns the cell of a number."""
  return Cell(shown, number=True, tone='soft' if shown == '-' and not tone else tone)


def words(shown: object, tone: Tone = '', length: int = 10_000) -> Cell:
  """Returns a cell of text."""
  full = text.clean(shown)
  cut = text.short(full, length)
  return Cell(cut, full if cut != full else '', tone=tone)


def head(*columns: str, numbers: int = 0) -> tuple[Cell, ...]:
  """Returns the names of columns, so many of which are of numbers, at the end."""
  first = len(columns) - numbers
  return tuple(
    Cell(text.short(text.clean(name), 24), number=i >= first) for i, name in enumerate(columns)
  )


def stage_table(view: RunView) -> Table:
  """Returns what each split is at each stage."""
  rows: list[tuple[Cell, ...]] = []
  for stage in view.stages:
    for found in measures.summaries(stage):
      notes = [found.note, *([f'{found.absent:,} classes absent'] if found.absent else [])]
      rows.append(
        (
          words(stage.title, 'heading'),
          words('whole' if found.split == 'all' else found.split),
          number(text.integer(found.records)),
          number(text.integer(found.classes)),
          _extreme(found.largest),
          _extreme(found.smallest),
          number(text.ratio(found.ratio), 'bad' if found.absent else ''),
          words('; '.join(filter(None, notes)), 'soft'),
        )
      )
    if stage.passed_through:
      rows.append(_unchanged(stage))
  return Table(
    'stages',
    'Splits at every stage',
    (
      *head('stage', 'split', 'records', 'classes', numbers=2),
      *head('largest class', 'smallest class', 'largest / smallest', numbers=3),
      Cell(''),
    ),
    tuple(rows),
  )


def _unchanged(stage: Stage) -> tuple[Cell, ...]:
  name, unchanged = words(stage.title, 'heading'), words('passed through unchanged', 'soft')
  return name, words(', '.join(stage.passed_through)), *[Cell('')] * 5, unchanged


def _extreme(found: tuple[object, object] | None) -> Cell:
  """Returns a class and its number in one cell."""
  if found is None:
    return number('-')
  name = text.class_name(found[0])
  cut = text.short(name, 18)
  shown = text.integer(found[1]) if isinstance(found[1], int) else found[1]
  return Cell(f'{cut}: {shown}', name if cut != name else '', number=True)


def fit_table(view: RunView, stage: Stage) -> Table:
  """Returns, for each split, its ideal, what it has, and the class that is furthest from its."""
  totals: dict[str, list[Fit]] = {}
  for fit in stage.fits:
    totals.setdefault(fit.split, []).append(fit)
  rows = []
  for split, (worst, off) in measures.worst_fits(stage.fits).items():
    ideal = sum(fit.ideal for fit in totals[split])
    actual = sum(fit.actual for fit in totals[split])
    rows.append(
      (
        words(split, 'heading'),
        number(f'{round(ideal, 3):,}'),
        number(text.integer(actual)),
        number(text.signed(round(actual - ideal, 6))),
        _extreme((worst.name, text.signed(worst.deviation))),
        number(text.integer(off), 'bad' if off else 'good'),
      )
    )
  return Table(
    f'fit-{view.key(stage)}',
    f'{stage.title}: ideal and actual records',
    head('split', 'ideal', 'actual', 'difference', 'furthest class', 'off by 1 or more', numbers=5),
    tuple(rows),
    note='An ideal is a fraction: a class is on it when it is less than one record away.',
  )


def divergence_table(view: RunView) -> Table:
  """Returns how far each split is from the first stage, and from equal classes."""
  rows = tuple(
    (
      words(found.stage, 'heading'),
      words(found.split),
      words(text.class_name(found.class_name), length=24),
      number(text.decimal(found.l_infinity)),
      number(text.decimal(found.jensen_shannon)),
      number(text.decimal(found.from_equal)),
    )
    for found in measures.divergences(view)
  )
  first = view.comparable[0].title if view.comparable else ''
  names = 'stage', 'split', 'class that changed most', 'L∞', 'Jensen-Shannon', 'L∞ from equal'
  return Table(
    'divergences',
    f'Distance of the class shares from “{first}”, and from equal classes',
    head(*names, numbers=3),
    rows,
    note='L∞ is the largest change of the share of one class; the Jensen-Shannon divergence is in '
    'bits. Both go from 0 (the same) to 1 (nothing in common).',
  )


def failed_table(found: CheckSet, index: int) -> Table:
  """Returns the rules that are broken, one by one."""
  failed = found.failed
  rows = tuple(
    (
      words(check.rule, 'heading'),
      words(_compared(check.split, check.other)),
      named(str(check.value), 24) if check.value is not None else Cell('', tone='soft'),
      number(text.decimal(check.measured), 'bad'),
      number(text.decimal(check.limit)),
      words(check.message),
    )
    for check in failed[:MOST_FAILED]
  )
  more = len(failed) - len(rows)
  return Table(
    f'failed-{index}',
    f'{found.title}: broken rules',
    (*head('rule', 'split', 'class', 'measured', 'limit', numbers=2), Cell('what is wrong')),
    rows,
    note=f'and {more:,} more: class_checks.json has them all' if more else '',
  )


def rule_table(found: CheckSet, index: int) -> Table:
  """Returns each rule for each split: whether it is kept, and what is worst or came nearest."""
  groups: dict[tuple[str, str, str | None], list[Check]] = {}
  for check in found.found.checks:
    groups.setdefault((check.rule, check.split, check.other), []).append(check)
  rows = []
  for (rule, split, other), checks in list(groups.items())[:MOST_RULES]:
    broken = [check for check in checks if not check.passed]
    shown = (broken or checks)[0]
    rows.append(
      (
        words(rule, 'heading'),
        words(_compared(split, other)),
        number(text.decimal(shown.measured)),
        number(text.decimal(shown.limit)),
        Cell(f'{len(broken):,} broken', tone='bad') if broken else Cell('kept', tone='good'),
      )
    )
  return Table(
    f'rules-{index}',
    f'{found.title}: every rule',
    (*head('rule', 'split', 'measured', 'limit', numbers=2), Cell('result')),
    tuple(rows),
  )


def _compared(split: str, other: str | None) -> str:
  return f'{split} and {other}' if other else split


FEW_ROWS = 40
"""So many classes are shown as one table."""
EXTREMES = 10
"""Of more classes, how many of the largest, the smallest and the worst are shown."""
MOST_ROWS = 10_000
"""Of one table: what a browser opens without a wait."""


@dataclass(frozen=True)
class ClassTables:
  """Tables with a row a class: those shown, and all classes where these are not shown yet."""

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
  first = view.comparable[0].total
  by_size = sorted(view.classes, key=lambda value: -first.get(value, 0))  # bins are not
  largest, smallest = by_size[:EXTREMES], by_size[-EXTREMES:]
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
      (named(str(value)), number(text.percent(share)), *(_count(s, value) for _, s in columns))
    )
  if classes == view.classes and len(classes) <= FEW_ROWS:
    rows += _footer(view, columns)
  more = len(classes) - MOST_ROWS
  return Table(
    name,
    caption,
    (*head('class', 'share', numbers=1), *(_column_head(*column) for column in columns)),
    tuple(rows),
    note=f'and {more:,} more' if more > 0 else '',
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
  heads = [cell for m in models for cell in (_model_head(m), Cell('tested', number=True))]
  return Table(name, caption, (Cell('class'), *heads), tuple(rows))
