"""Console output at the end of a run: tables of counts and recall, notes, and output paths."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from tfx_balance.cli import evaluation
from tfx_balance.cli.published import PublishedArtifacts
from tfx_balance.cli.summary import BALANCED, BALANCED_EXAMPLES, EXAMPLES, INPUT, TOTAL, Summary
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import measures
from tfx_balance.report.run_view import TRAIN

BAR_WIDTH = 8
NAME_WIDTH = 24  # of a class; longer names are wrapped
MOST_ROWS = 40  # with more classes, only the largest and the smallest are shown
SCORES = {
  'macro recall': 'macro_recall',
  'worst class': 'worst',
  'accuracy': 'accuracy',
  'log loss': 'log_loss',
}
"""Attributes of `ModelScores` by the names that tables show."""

_T = TypeVar('_T')


def shown_rows(rows: Sequence[_T], omitted: _T) -> list[_T]:
  """Returns the first and the last rows, with one in place of those between if there are many."""
  if len(rows) <= MOST_ROWS:
    return list(rows)
  half = MOST_ROWS // 2
  return [*rows[:half], omitted, *rows[-half:]]


def bar(count: int, most: int) -> str:
  """Returns a bar proportional to a count; at least one block for one or more records."""
  return '█' * max(round(BAR_WIDTH * count / most), min(count, 1)) if most else ''


def make_table(*columns: str, first: str = 'class') -> Table:
  """Returns a table with columns of numbers; narrow gaps let ten digits fit 80 columns."""
  table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
  table.add_column(first, overflow='fold', min_width=9, max_width=NAME_WIDTH)
  for name in columns:
    table.add_column(name, justify='right', no_wrap=True)
  return table


def model_titles(models: Sequence[evaluation.Comparison]) -> list[str]:
  """Returns the column titles of models, of two lines where something was added to a model."""
  return [comparison.model.replace(' + ', '\n+ ') for comparison in models]


def measured_scores(models: Sequence[evaluation.Comparison]) -> dict[str, str]:
  """Returns the scores that all trainings have, as in `SCORES`; others are nan."""
  trainings = [scores for comparison in models for scores in comparison.trainings]
  return {
    name: score
    for name, score in SCORES.items()
    if not any(math.isnan(getattr(scores, score)) for scores in trainings)
  }


def add_classes(table: Table, rows: Sequence[Sequence[str]]) -> None:
  """Adds the rows of classes, and a line below them."""
  for row in shown_rows(rows, (f'… {len(rows) - MOST_ROWS:,} more …',)):
    table.add_row(*row)
  table.add_section()


def class_table(summary: Summary, bars: bool) -> Table:
  """Returns the table of class counts by split, with shares and optional bars."""
  columns, totals = summary.columns, summary.columns[TOTAL]
  table = make_table(*columns, 'share')
  if bars:
    table.add_column('', no_wrap=True)
  most, everything = max(totals.values(), default=0), summary.total(TOTAL)
  rows = []
  for value in summary.classes:
    n = totals.get(value, 0)
    counts = [f'{counts.get(value, 0):,}' for counts in columns.values()]
    drawn = [f'[cyan]{bar(n, most)}[/]'] if bars else []
    rows.append([escape(str(value)), *counts, f'{n / everything:.1%}', *drawn])
  add_classes(table, rows)
  table.add_row('records', *(f'{summary.total(name):,}' for name in columns), style='bold')
  table.add_row('max / min', *(measures.ratio(summary.ratio(name)) for name in columns))
  return table


def check_lines(summary: Summary) -> list[str]:
  """Returns notes on augmented copies, and on checks if they passed without a warning."""
  lines = []
  if BALANCED in summary.columns:
    before, after = summary.total(TRAIN), summary.total(BALANCED)
    lines.append(
      f'[bold]{after - before:,}[/] augmented copies balance train: {before:,} records, now '
      f'{after:,}'
    )
  if summary.checks and not summary.warnings:
    lines.append(f'[green]✓[/] {len(summary.checks):,} checks of class distributions passed')
  return lines


def recall_text(recall: evaluation.Recall | None) -> str:
  """Returns the text of a class's recall; green from 0.9 on, red below 0.6."""
  if recall is None:
    return '[dim]not tested[/]'
  share = recall.share
  colour = 'green' if share >= 0.9 else 'yellow' if share >= 0.6 else 'red'
  return f'[{colour}]{share:.3f}[/]'


def tested(value: ClassValue, summary: Summary) -> int:
  """Returns the number of test records of a class; the same for each seed, others in each fold."""
  comparison = summary.models[0]
  recall = comparison.recall(value)
  times = 1 if summary.folds else len(comparison.trainings)
  return recall.tested // times if recall else 0


def recall_table(summary: Summary) -> Table:
  """Returns the table of recall by class and model, and of precision where there is one model.

  Records to train on differ between folds.
  """
  models = summary.models
  train = {} if summary.folds else summary.columns[TRAIN]
  in_train = [] if summary.folds else ['in\ntrain']
  of_models = model_titles(models) if len(models) > 1 else ['recall']
  precise = models if len(models) == 1 and has_precision(summary) else []
  table = make_table(*in_train, 'tested', *of_models, *('precision' for _ in precise))
  rows = []
  for value in summary.classes:
    counts = [f'{train.get(value, 0):,}' for _ in in_train]
    recalls = [recall_text(comparison.recall(value)) for comparison in models]
    precisions = [precision_text(comparison.recall(value)) for comparison in precise]
    rows.append([escape(str(value)), *counts, f'{tested(value, summary):,}', *recalls, *precisions])
  add_classes(table, rows)
  total = sum(tested(value, summary) for value in summary.classes)
  for i, (name, score) in enumerate(measured_scores(models).items()):
    # Of several lines, so that four models fit a narrow screen.
    cells = [re.sub(r' (?=±|from|record)', '\n', str(c.spread(score))) for c in models]
    row = (name, *('' for _ in in_train), '' if i else f'{total:,}', *cells)
    table.add_row(*row, style='' if i > 1 else 'bold')
  return table


def has_precision(summary: Summary) -> bool:
  """Returns whether the precision of a class was measured."""
  found = (one.recall(value) for one in summary.models for value in summary.classes)
  return any(recall is not None and recall.predicted is not None for recall in found)


def precision_text(recall: evaluation.Recall | None) -> str:
  """Returns the text of a class's precision; '-' if nothing was predicted to be of it."""
  return '-' if recall is None or recall.precision is None else f'{recall.precision:.3f}'


def precision_table(summary: Summary) -> Table:
  """Returns the table of precision by class, of several models."""
  table = make_table(*model_titles(summary.models))
  rows = [
    [escape(str(value)), *(precision_text(one.recall(value)) for one in summary.models)]
    for value in summary.classes
  ]
  add_classes(table, rows)
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
  if len(summary.models) > 2:
    tuned = (
      'log prior' if summary.folds else 't log prior; t is best for macro recall on split eval'
    )
    lines += [
      f'[dim]+ threshold: log p - {tuned}.[/]',
      '[dim]+ correction: log p + log prior, which undoes the equal shares in batches.[/]',
      '[dim]Prior: natural shares of train. Log loss: lower is better.[/]',
    ]
  few = sum(0 < tested(value, summary) < evaluation.FEW_RECORDS for value in summary.classes)
  if few:
    lines.append(
      f'[dim]Classes with fewer than {evaluation.FEW_RECORDS} test records: {few}. '
      'One record changes their recall by more than 10 points.[/]'
    )
  return lines


def fold_table(models: Sequence[evaluation.Comparison]) -> Table:
  """Returns the table of each score by fold and model, with the mean and the standard deviation."""
  titles = model_titles(models) if len(models) > 1 else ['']
  table = make_table('tested', *titles, first='fold')
  counts = [scores.tested for scores in models[0].trainings]
  for name, score in measured_scores(models).items():
    columns = [[getattr(scores, score) for scores in c.trainings] for c in models]
    table.add_row(name, style='bold')
    for fold, records in enumerate(counts):
      table.add_row(str(fold), f'{records:,}', *(f'{column[fold]:.3f}' for column in columns))
    spreads = [evaluation.Spread.of(column, sum(counts)) for column in columns]
    table.add_row('mean', f'{sum(counts):,}', *(f'{s.mean:.3f}' for s in spreads), style='bold')
    table.add_row('std dev', '', *(f'{s.deviation:.3f}' for s in spreads))
    table.add_section()
  return table


def gain_lines(models: Sequence[evaluation.Comparison]) -> list[str]:
  """Returns a note on each model's difference from the first one over the folds."""
  lines = []
  first = models[0]
  for other in models[1:]:
    pairs = zip(first.trainings, other.trainings, strict=True)
    gains = [b.macro_recall - a.macro_recall for a, b in pairs]
    gains = [gain for gain in gains if not math.isnan(gain)]
    if not gains:
      continue
    spread = evaluation.Spread.of(gains, min(first.tested, other.tested))
    higher = sum(gain > 0 for gain in gains)
    lines.append(
      f'Macro recall, {other.model} less {first.model}: [bold]{spread.mean:+.3f}[/] ± '
      f'{spread.deviation:.3f}{spread.basis}; higher in {higher} of {len(gains)} folds'
    )
  return lines


def natural_width(console: Console, table: Table) -> int:
  """Returns the width of a table without truncation."""
  return Measurement.get(console, console.options.update(max_width=10_000), table).maximum


def print_summary(console: Console, summary: Summary, label: str) -> None:
  """Prints the tables, the notes and the warnings."""
  table = class_table(summary, bars=True)
  if natural_width(console, table) > console.width:
    table = class_table(summary, bars=False)
  parts = [(f'Classes of {escape(label)}', table, check_lines(summary))]
  if summary.models:
    title = 'Recall on records not used in training'
    parts.append((title, recall_table(summary), recall_lines(summary)))
  if len(summary.models) > 1 and has_precision(summary):
    parts.append(('Precision on the same records', precision_table(summary), []))
  if summary.models and summary.folds:
    title = f'Cross-validation over {summary.folds} folds'
    parts.append((title, fold_table(summary.models), gain_lines(summary.models)))
  # Lines wrapped by the terminal remain readable; truncated numbers do not.
  console.width = max(console.width, *(natural_width(console, table) for _, table, _ in parts))
  for title, table, lines in parts:
    console.print(f'\n[bold]{title}[/]', soft_wrap=True)
    console.print(table)
    print_lines(console, lines)
  omitted = f'… {len(summary.warnings) - MOST_ROWS:,} more warnings …'
  warnings = shown_rows(summary.warnings, omitted)
  print_lines(console, [f'[yellow]![/] {escape(warning)}' for warning in warnings])


def print_lines(console: Console, lines: Iterable[str]) -> None:
  """Prints lines, which the terminal may wrap."""
  for line in lines:
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
    'model': ('Trainer', 'model'),
    'evaluation': evaluation.EVALUATION,
  }
  uris = {name: published[key] for name, key in outputs.items() if key in published}
  console.print()
  for name, uri in {**uris, **files}.items():
    console.print(f'[dim]{name:<12}[/] {escape(uri)}', soft_wrap=True)
