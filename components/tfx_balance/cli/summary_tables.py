"""Console output at the end of a run: tables of counts and recall, notes, and output paths."""

import math
from collections.abc import Sequence
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from tfx_balance.cli.evaluation import (
  BALANCED_MODEL,
  EVALUATION,
  FEW_RECORDS,
  NATURAL_MODEL,
  Recall,
)
from tfx_balance.cli.fold_table import fold_table, gain_lines
from tfx_balance.cli.published import PublishedArtifacts
from tfx_balance.cli.summary import (
  BALANCED,
  BALANCED_EXAMPLES,
  BALANCED_SPLIT,
  EXAMPLES,
  INPUT,
  MODEL,
  TOTAL,
  ClassResult,
  Summary,
)

BAR_WIDTH = 8
NAME_WIDTH = 24  # of a class; longer names are wrapped
MOST_ROWS = 40  # with more classes, only the largest and the smallest are shown

_T = TypeVar('_T')


def shown_rows(rows: Sequence[_T]) -> tuple[Sequence[_T], int, int]:
  """Returns the rows to show, the position of omitted rows, and their number."""
  if len(rows) <= MOST_ROWS:
    return rows, len(rows), 0
  half = MOST_ROWS // 2
  return [*rows[:half], *rows[-half:]], half, len(rows) - MOST_ROWS


def bar(count: int, most: int) -> str:
  """Returns a bar proportional to a count; at least one block for one or more records."""
  return '█' * max(round(BAR_WIDTH * count / most), min(count, 1)) if most else ''


def ratio_text(ratio: float) -> str:
  """Returns the text of an imbalance ratio."""
  return '-' if math.isnan(ratio) else '∞' if math.isinf(ratio) else f'{ratio:.1f}'


def make_table() -> Table:
  """Returns a table with a column for the class; narrow gaps let ten digits fit 80 columns."""
  table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
  table.add_column('class', overflow='fold', min_width=9, max_width=NAME_WIDTH)
  return table


def class_row(result: ClassResult, summary: Summary, bars: bool) -> list[str]:
  """Returns the cells of a class's row."""
  most = max(summary.columns[TOTAL])
  return [
    escape(result.name),
    *(f'{records:,}' for records in result.columns.values()),
    f'{result.total / summary.total(TOTAL):.1%}',
    *([f'[cyan]{bar(result.total, most)}[/]'] if bars else []),
  ]


def class_table(summary: Summary, bars: bool) -> Table:
  """Returns the table of class counts by split, with shares and optional bars."""
  table = make_table()
  for name in (*summary.columns, 'share'):
    table.add_column(name, justify='right', no_wrap=True)
  if bars:
    table.add_column('', no_wrap=True)
  shown, half, left_out = shown_rows(summary.classes)
  for i, result in enumerate(shown):
    if i == half and left_out:
      table.add_row(f'… {left_out:,} more …')
    table.add_row(*class_row(result, summary, bars))
  table.add_section()
  names = summary.columns
  table.add_row('records', *(f'{summary.total(name):,}' for name in names), style='bold')
  table.add_row('max / min', *(ratio_text(summary.ratio(name)) for name in names))
  return table


def balance_lines(summary: Summary) -> list[str]:
  """Returns the note on augmented copies; none if the run does not augment."""
  if BALANCED not in summary.columns:
    return []
  before, after = summary.total(BALANCED_SPLIT), summary.total(BALANCED)
  return [
    f'[bold]{after - before:,}[/] augmented copies balance train: {before:,} records, now {after:,}'
  ]


def check_lines(summary: Summary) -> list[str]:
  """Returns the note on passed checks; none without checks, or if there are warnings."""
  if not summary.checks or summary.warnings:
    return []
  return [f'[green]✓[/] {summary.checks:,} checks of class distributions passed']


def recall_text(recall: Recall | None) -> str:
  """Returns the text of a class's recall; green from 0.9 on, red below 0.6."""
  if recall is None:
    return '[dim]not tested[/]'
  share = recall.share
  colour = 'green' if share >= 0.9 else 'yellow' if share >= 0.6 else 'red'
  return f'[{colour}]{share:.3f}[/]'


def tested(result: ClassResult, summary: Summary) -> int:
  """Returns the number of test records of a class; the same for each seed, others in each fold."""
  comparison = summary.models[0]
  recall = comparison.recall(result.value)
  times = 1 if summary.folds else len(comparison.trainings)
  return recall.tested // times if recall else 0


def recall_table(summary: Summary) -> Table:
  """Returns the table of recall by class and model; records to train on differ between folds."""
  titles = {NATURAL_MODEL: 'natural batches', BALANCED_MODEL: 'balanced batches'}
  models = summary.models
  table = make_table()
  if not summary.folds:
    table.add_column('in train', justify='right', no_wrap=True)
  table.add_column('tested', justify='right', no_wrap=True)
  for comparison in models:
    title = titles[comparison.model] if len(models) > 1 else 'recall'
    table.add_column(title, justify='right', no_wrap=True)
  shown, half, left_out = shown_rows(summary.classes)
  for i, result in enumerate(shown):
    if i == half and left_out:
      table.add_row(f'… {left_out:,} more …')
    cells = [recall_text(comparison.recall(result.value)) for comparison in models]
    in_train = [] if summary.folds else [f'{result.counts.get(BALANCED_SPLIT, 0):,}']
    table.add_row(escape(result.name), *in_train, f'{tested(result, summary):,}', *cells)
  table.add_section()
  total = sum(tested(result, summary) for result in summary.classes)
  rows = {
    'macro recall': [str(c.macro_recall) for c in models],
    'worst class': [str(c.worst) for c in models],
    'accuracy': [str(c.accuracy) for c in models],
  }
  for i, (name, cells) in enumerate(rows.items()):
    in_train = [] if summary.folds else ['']
    in_all = f'{total:,}' if i == 0 else ''
    cells = [cell.replace(' from ', '\nfrom ') for cell in cells]  # narrow enough for two models
    table.add_row(name, *in_train, in_all, *cells, style='' if i > 1 else 'bold')
  return table


def recall_lines(summary: Summary) -> list[str]:
  """Returns the notes below the recall table."""
  lines = []
  n = len(summary.models[0].trainings)
  if summary.folds:
    lines.append('[dim]Each record is tested once, by the model that did not train on its fold.[/]')
  elif n > 1:
    lines.append(f'[dim]Mean and standard deviation of {n} trainings with different seeds.[/]')
  elif len(summary.models) > 1:
    lines.append(
      '[dim]One training each: small differences are not significant. See --compare 5.[/]'
    )
  counts = [n for n in (tested(c, summary) for c in summary.classes) if n]
  few = sum(n < FEW_RECORDS for n in counts)
  if few:
    lines.append(
      f'[dim]Classes with fewer than {FEW_RECORDS} test records: {few}. '
      'One record changes their recall by more than 10 points.[/]'
    )
  return lines


def warning_lines(summary: Summary) -> list[str]:
  """Returns a line per warning, limited to the number of rows in a table."""
  shown, half, left_out = shown_rows(summary.warnings)
  lines = [f'[yellow]![/] {escape(warning)}' for warning in shown]
  if left_out:
    lines.insert(half, f'[yellow]![/] … {left_out:,} more warnings …')
  return lines


def natural_width(console: Console, table: Table) -> int:
  """Returns the width of a table without truncation."""
  return Measurement.get(console, console.options.update(max_width=10_000), table).maximum


def print_summary(console: Console, summary: Summary, label: str) -> None:
  """Prints the tables, the notes and the warnings."""
  table = class_table(summary, bars=True)
  if natural_width(console, table) > console.width:
    table = class_table(summary, bars=False)
  tables = [table, recall_table(summary)] if summary.models else [table]
  if summary.models and summary.folds:
    tables.append(fold_table(summary.models))
  # Lines wrapped by the terminal remain readable; truncated numbers do not.
  console.width = max(console.width, *(natural_width(console, t) for t in tables))
  console.print(f'\n[bold]Classes of {escape(label)}[/]', soft_wrap=True)
  console.print(table)
  for line in (*balance_lines(summary), *check_lines(summary)):
    console.print(line, soft_wrap=True)
  if summary.models:
    console.print('\n[bold]Recall on records not used in training[/]', soft_wrap=True)
    console.print(tables[1])
    for line in recall_lines(summary):
      console.print(line, soft_wrap=True)
  if summary.models and summary.folds:
    console.print(f'\n[bold]Cross-validation over {summary.folds} folds[/]', soft_wrap=True)
    console.print(tables[2])
    for line in gain_lines(summary.models):
      console.print(line, soft_wrap=True)
  for line in warning_lines(summary):
    console.print(line, soft_wrap=True)


def print_outputs(console: Console, published: PublishedArtifacts, files: dict[str, str]) -> None:
  """Prints the locations of the outputs.

  Args:
    console: Console to print to.
    published: Artifacts that the run published.
    files: Other files by name.
  """
  outputs = {
    'splits': EXAMPLES,
    'balanced': BALANCED_EXAMPLES,
    'input': INPUT,
    'model': MODEL,
    'evaluation': EVALUATION,
  }
  uris = {name: published.uri(*key) for name, key in outputs.items() if published.has(*key)}
  console.print()
  for name, uri in {**uris, **files}.items():
    console.print(f'[dim]{name:<12}[/] {escape(uri)}', soft_wrap=True)
