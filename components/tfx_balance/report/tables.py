"""The tables of the page as values: texts of cells, their full texts, alignment, and meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

from tfx_balance.documents.class_checks import Leakage
from tfx_balance.documents.recall import ModelRecall
from tfx_balance.plan.checks import Check, failed
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import jensen_shannon, l_infinity
from tfx_balance.plan.evidence import HALF_WIDTH, RECALLS, half_widths, records_for
from tfx_balance.report import measures as text
from tfx_balance.report.measures import ratio_of, worst_fit
from tfx_balance.report.run_view import WHOLE, CheckSet, RunView, SplitCounts, Stage

Tone = Literal['', 'good', 'bad', 'soft', 'heading']
MOST_FAILED = 200
"""Broken rules that are listed one by one; a schema gone wrong breaks one for every class."""
MOST_RULES = 500
LONG = 40
"""Characters of a text that may be broken anywhere, so that no table is wider than the page."""


@dataclass(frozen=True)
class Cell:
  """One cell.

  Attributes:
    text: Text, shortened to what fits.
    full: The whole text; '' where nothing was left out.
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
  """One table; its name is unique in the page, its rows are as long as its head.

  Its summary is shown beside its caption while it is folded: how many, and the worst.
  """

  name: str
  caption: str
  head: tuple[Cell, ...]
  rows: tuple[tuple[Cell, ...], ...]
  note: str = ''
  summary: str = ''


def _shortened(full: str, length: int, number: bool = False, tone: Tone = '') -> Cell:
  """Returns the cell of a text that fits, with the whole where something is left out."""
  short = text.short(full, length)
  return Cell(short, full if short != full else '', number, tone)


def named(name: str, length: int = text.NAME_LENGTH) -> Cell:
  """Returns the cell that names a row by a class."""
  return _shortened(text.class_name(name), length, tone='heading')


def number(shown: str, tone: Tone = '') -> Cell:
  """Returns the cell of a number."""
  return Cell(shown, number=True, tone='soft' if shown == '-' and not tone else tone)


def words(shown: object, tone: Tone = '', length: int = 10_000) -> Cell:
  """Returns a cell of text."""
  return _shortened(text.clean(shown), length, tone=tone)


def head(*columns: str, numbers: int = 0) -> tuple[Cell, ...]:
  """Returns the heads of columns; the last `numbers` of them are of numbers."""
  first = len(columns) - numbers
  return tuple(
    Cell(text.short(text.clean(name), 24), number=i >= first) for i, name in enumerate(columns)
  )


def stage_table(view: RunView) -> Table:
  """Returns the splits of each stage: records, classes, the largest and the smallest class."""
  rows: list[tuple[Cell, ...]] = []
  for stage in view.stages:
    title, classes = words(stage.title, 'heading'), sorted(stage.total)
    for split in stage.splits:
      present = [(value, n) for value in classes if (n := split.counts.get(value, 0))]
      absent = len(classes) - len(present)
      notes = [f'{split.unlabelled:,} without a class'] if split.unlabelled else []
      notes += [f'{absent:,} classes absent'] if absent else []
      row = title, words('whole' if split.name == WHOLE else split.name)
      counts = number(f'{split.records:,}'), number(f'{len(present):,}')
      extremes = [_extreme(pick(present, key=itemgetter(1), default=None)) for pick in (max, min)]
      ratio = number(text.ratio(ratio_of(split.counts, classes)), 'bad' if absent else '')
      rows.append((*row, *counts, *extremes, ratio, words('; '.join(notes), 'soft')))
    if stage.passed_through:
      unchanged = words('passed through unchanged', 'soft')
      rows.append((title, words(', '.join(stage.passed_through)), *[Cell('')] * 5, unchanged))
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


def _extreme(extreme: tuple[object, object] | None) -> Cell:
  """Returns a class and its number in one cell."""
  if extreme is None:
    return number('-')
  name = text.class_name(extreme[0])
  short = text.short(name, 18)
  value = f'{extreme[1]:,}' if isinstance(extreme[1], int) else extreme[1]
  return Cell(f'{short}: {value}', name if short != name else '', number=True)


def fit_table(view: RunView, stage: Stage) -> Table:
  """Returns the ideal and actual records of each split, and the class furthest from its ideal."""
  rows = []
  for split, fits in stage.fits_by_split.items():
    worst, off = worst_fit(fits)
    ideal, actual = sum(fit.ideal for fit in fits), sum(fit.actual for fit in fits)
    rows.append(
      (
        words(split, 'heading'),
        number(f'{round(ideal, 3):,}'),
        number(f'{actual:,}'),
        number(text.signed(round(actual - ideal, 6))),
        _extreme((worst.name, text.signed(worst.deviation))),
        number(f'{off:,}', 'bad' if off else 'good'),
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
  """Returns the distances of each split from the first stage, and from equal classes."""
  first = view.comparable[0] if view.comparable else None
  reference = [first.total.get(value, 0) for value in view.classes] if first else []
  rows = []
  for stage in view.comparable:
    for split in stage.splits:
      column = split.column(view.classes)
      if not sum(column) or column == reference:
        continue
      changed = view.classes[_most_changed(column, reference)]
      rows.append(
        (
          words(stage.title, 'heading'),
          words(split.name),
          words(text.class_name(changed), length=24),
          number(text.decimal(l_infinity(column, reference))),
          number(text.decimal(jensen_shannon(column, reference))),
          number(text.decimal(l_infinity(column, [1] * len(column)))),
        )
      )
  title = first.title if first else ''
  names = 'stage', 'split', 'class that changed most', 'L∞', 'Jensen-Shannon', 'L∞ from equal'
  return Table(
    'divergences',
    f'Distance of the class shares from “{title}”, and from equal classes',
    head(*names, numbers=3),
    tuple(rows),
    note='L∞ is the largest change of the share of one class; the Jensen-Shannon divergence is in '
    'bits. Both go from 0 (the same) to 1 (nothing in common).',
  )


def _most_changed(column: Sequence[int], reference: Sequence[int]) -> int:
  """Returns the index of the class whose share changed most; the first of several."""
  total, whole = sum(column), sum(reference)
  changes = [abs(n * whole - m * total) for n, m in zip(column, reference, strict=True)]
  return changes.index(max(changes))


def failed_table(check_set: CheckSet, index: int) -> Table:
  """Returns the rules that are broken, one by one."""
  broken = check_set.failed
  rows = tuple(
    (
      words(check.rule, 'heading'),
      words(_compared(check.split, check.other)),
      named(str(check.value), 24) if check.value is not None else Cell('', tone='soft'),
      number(text.decimal(check.measured), 'bad'),
      number(text.decimal(check.limit)),
      words(check.message),
    )
    for check in broken[:MOST_FAILED]
  )
  more = len(broken) - len(rows)
  return Table(
    f'failed-{index}',
    'Broken rules',
    (*head('rule', 'split', 'class', 'measured', 'limit', numbers=2), Cell('what is wrong')),
    rows,
    note=f'and {more:,} more: class_checks.json has them all' if more else '',
    summary=f'{len(broken):,}, worst: {worst_check(broken)}',
  )


def worst_check(checks: Sequence[Check]) -> str:
  """Returns the check that is furthest beyond its limit; nearest to it where all are kept."""

  def excess(check: Check) -> tuple[float, float]:
    """Returns the distance beyond the limit, relative to it and as it is; negative within."""
    sign, distance = -1 if check.passed else 1, abs(check.measured - check.limit)
    return sign * (distance / abs(check.limit) if check.limit else math.inf), sign * distance

  worst = max(checks, key=excess)
  name = '' if worst.value is None else f' for {text.short(text.class_name(worst.value), 24)}'
  return (
    f'{worst.rule} of {text.clean(_compared(worst.split, worst.other))}{name} is '
    f'{text.decimal(worst.measured)}, limit {text.decimal(worst.limit)}'
  )


def rule_table(check_set: CheckSet, index: int) -> Table:
  """Returns each rule for each split: whether it is kept, and what is worst or came nearest."""
  groups = check_set.rules
  rows = []
  for (rule, split, other), checks in list(groups.items())[:MOST_RULES]:
    broken = failed(checks)
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
  summary = f'{sum(bool(failed(checks)) for checks in groups.values()):,} of {len(groups):,} broken'
  if groups:
    extreme = 'worst' if check_set.failed else 'nearest to its limit'
    summary += f', {extreme}: {worst_check(check_set.document.checks)}'
  more = len(groups) - len(rows)
  return Table(
    f'rules-{index}',
    'Every rule',
    (*head('rule', 'split', 'measured', 'limit', numbers=2), Cell('result')),
    tuple(rows),
    note=f'and {more:,} more: class_checks.json has them all' if more > 0 else '',
    summary=summary,
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
  columns = [(stage.title, split) for stage in view.comparable for split in stage.splits]
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


def counts_table(
  name: str,
  caption: str,
  view: RunView,
  classes: Sequence[ClassValue],
  columns: Sequence[tuple[str, SplitCounts]],
) -> Table:
  """Returns the records of classes, with their share of the first stage.

  Args:
    name: Name of the table.
    caption: Caption of the table.
    view: The run.
    classes: Classes, a row each.
    columns: Title of a stage, and one of its splits; a column each.
  """
  first = view.comparable[0].total
  whole = sum(first.values())
  rows = []
  for value in classes[:MOST_ROWS]:
    share = first.get(value, 0) / whole if whole else 0.0
    counts = [split.counts.get(value, 0) for _, split in columns]
    cells = (number(f'{n:,}', '' if n else 'bad') for n in counts)
    rows.append((named(str(value)), number(text.percent(share)), *cells))
  if classes == view.classes and len(classes) <= FEW_ROWS:
    sums = [sum(split.column(view.classes)) for _, split in columns]
    ratios = [ratio_of(split.counts, view.classes) for _, split in columns]
    total, ratio = (Cell(title, tone='heading') for title in ('all classes', 'largest / smallest'))
    rows.append((total, number('100.0%'), *(number(f'{n:,}') for n in sums)))
    rows.append((ratio, Cell(''), *(number(text.ratio(x)) for x in ratios)))
  more = len(classes) - MOST_ROWS
  titles = [title if s.name == WHOLE else f'{title}: {s.name}' for title, s in columns]
  return Table(
    name,
    caption,
    (*head('class', 'share', numbers=1), *map(_number_head, titles)),
    tuple(rows),
    note=f'and {more:,} more' if more > 0 else '',
  )


def evidence_table(view: RunView) -> Table | None:
  """Returns the half-widths of each class's recall by split; None without a stage of splits."""
  stage = next((stage for stage in view.comparable if stage.kind == 'split'), None)
  if stage is None:
    return None
  by_size = sorted(view.classes, key=lambda value: stage.total.get(value, 0))
  rows = []
  for value in by_size[:FEW_ROWS]:
    widths = [half_widths(split.counts.get(value, 0)) for split in stage.splits]
    cells = (number(' / '.join(f'±{width:.2f}' for width in each)) for each in widths)
    rows.append((named(str(value)), *cells))
  needed = ' and '.join(f'{records_for(HALF_WIDTH, each)} at {each}' for each in RECALLS)
  more = len(by_size) - len(rows)
  return Table(
    'evidence',
    f'Half-width of the 95 % interval of a recall, at {" / ".join(map(str, RECALLS))}',
    (*head('class'), *(_number_head(split.name) for split in stage.splits)),
    tuple(rows),
    note=f'A part tells the recall of a class to ±{HALF_WIDTH} by so many of its records: {needed}.'
    + (f' The smallest classes are shown, and {more:,} larger ones are not.' if more else ''),
  )


def _number_head(title: str) -> Cell:
  """Returns the head of a column of numbers, whose title may be long."""
  return _shortened(text.clean(title), 28, number=True)


def model_table(view: RunView) -> Table:
  """Returns each model in numbers."""
  rows = []
  whole = [
    (title, name)
    for title, name in (('accuracy', 'accuracy'), ('log loss', 'log_loss'))
    if any(getattr(model, name) is not None for model in view.models)
  ]
  for model in view.models:
    values, worst = list(model.by_class.values()), model.worst
    rows.append(
      (
        words(model.name, 'heading', length=40),
        number(text.decimal(model.macro)),
        *(number(text.decimal(getattr(model, name))) for _, name in whole),
        words('-' if worst is None else text.class_name(worst), length=24),
        number(text.decimal(min(values)) if values else '-'),
        number(f'{sum(recall == 0 for recall in values):,}'),
        number(f'{len(values):,}'),
        number(f'{sum(model.tested.values()):,}'),
      )
    )
  return Table(
    'models',
    'Models',
    (
      *head('model', 'mean recall', *(title for title, _ in whole), numbers=1 + len(whole)),
      *head('class found least', 'its recall', numbers=1),
      *head('classes never found', 'classes tested', 'records tested', numbers=3),
    ),
    tuple(rows),
    note='The mean counts each class the same, however many records it has.',
  )


def recall_tables(view: RunView) -> ClassTables:
  """Returns the tables of the models' recall by class."""
  tested = [value for value in view.classes if any(value in m.by_class for m in view.models)]
  if len(tested) <= FEW_ROWS:
    return ClassTables((_recall_table('recall', 'Recall', view.models, tested),), None)

  def lowest(value: ClassValue) -> tuple[float, int]:
    """Returns the lowest recall, and of equal ones the most tested records first."""
    models = [model for model in view.models if value in model.by_class]
    return min(m.by_class[value] for m in models), -max(m.tested[value] for m in models)

  title = f'The {EXTREMES} of {len(tested):,} classes with the lowest recall'
  worst = _recall_table('worst', title, view.models, sorted(tested, key=lowest)[:EXTREMES])
  title = f'Recall of all {len(tested):,} classes'
  return ClassTables((worst,), _recall_table('recall', title, view.models, tested))


def _recall_table(
  name: str, caption: str, models: Sequence[ModelRecall], classes: Sequence[ClassValue]
) -> Table:
  columns: list[Any] = []  # the head, numbers by class, their form and tone
  for m in models:
    columns.append((_number_head(m.name), m.by_class, '.2f', ''))
    columns += [(Cell('precision', number=True), m.precision, '.2f', '')] if m.precision else []
    columns.append((Cell('tested', number=True), m.tested, ',', 'soft'))
  rows = []
  for value in classes[:MOST_ROWS]:
    cells = ((format(of[value], form) if value in of else '-', t) for _, of, form, t in columns)
    rows.append((named(str(value)), *(number(*cell) for cell in cells)))
  return Table(name, caption, (Cell('class'), *(head for head, *_ in columns)), tuple(rows))


def leakage_table(leakage: Leakage, index: int) -> Table:
  """Returns the records that each pair of splits has in common."""
  what = 'records' if leakage.key == 'records' else f'values of {leakage.key}'
  rows = tuple(
    (
      words(pair.split, 'heading'),
      words(pair.other),
      words(what),
      number(f'{pair.records:,}', 'bad' if pair.records else ''),
      number(text.percent(pair.share)),
      words(', '.join(text.short(text.clean(e.text)) for e in pair.examples) or '-', 'soft'),
    )
    for pair in leakage.pairs
  )
  columns = head('split', 'other split', 'what', 'in both', 'share of the split', numbers=2)
  common = [pair for pair in leakage.pairs if pair.records]
  summary = f'{len(common):,} of {len(rows):,} pairs of splits'
  if common:
    worst = max(common, key=lambda pair: pair.share)
    summary += f', worst: {worst.records:,} {what} of {worst.split} are in {worst.other} too'
  return Table(
    f'leakage-{index}',
    'In more than one split',
    (*columns, Cell('for example')),
    rows,
    summary=text.clean(summary),
  )


def parameter_table(stage: Stage, index: int) -> Table:
  """Returns the arguments of a component."""
  rows = tuple(
    (words(name, 'heading'), words(text.parameter(value)))
    for name, value in stage.parameters.items()
    if value is not None
  )
  return Table(f'parameters-{index}', stage.title, head('parameter', 'value'), rows)


def source_table(view: RunView) -> Table:
  """Returns the title and the URI of everything that was read."""
  read = [(stage.title, stage.uri) for stage in view.stages]
  read += [(checks.title, checks.uri) for checks in view.check_sets]
  unique = dict.fromkeys((title, uri) for title, uri in (*read, *view.model_uris) if uri)
  rows = tuple((words(title, 'heading'), words(uri)) for title, uri in unique)
  return Table('sources', 'Read from', head('what', 'where'), rows)
