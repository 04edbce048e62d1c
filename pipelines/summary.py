"""The end of a run: how the classes were split and balanced, and how well each is recognised.

Reads published artifacts only: the splitter's and the augmenter's sidecars, the Evaluator's results
and the ExampleValidator's anomalies.
"""

import json
import math
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.io import fileio
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import imbalance_ratio
from tfx_balance.plan.sidecar import SIDECAR_NAME

from pipelines.artifacts import PublishedArtifacts

EXAMPLES = ('StratifiedSplitter', 'examples')
BALANCED_EXAMPLES = ('BalancedAugmenter', 'examples')
MODEL = ('Trainer', 'model')
EVALUATION = ('Evaluator', 'evaluation')
ANOMALIES = ('ExampleValidator', 'anomalies')

BALANCED_SPLIT = 'train'
BALANCED, TOTAL = 'balanced', 'total'  # columns beside those of the splits

BAR_WIDTH = 8
NAME_WIDTH = 24  # of a class; longer names go on in the next line
MOST_ROWS = 40  # of more classes, the largest and the smallest are shown
FEW_RECORDS = 10  # below, one test record moves a class's recall by more than 10 points


@dataclass(frozen=True)
class ClassResult:
  """One class of the data.

  Attributes:
    name: As it is shown.
    counts: Records by split.
    recall: Share of its test records that the model got right; None if it has none.
    tested: Test records that were evaluated.
    balanced: Records in train after it was balanced; None if the run does not balance.
  """

  name: str
  counts: Mapping[str, int]
  recall: float | None
  tested: int
  balanced: int | None = None

  @property
  def total(self) -> int:
    """Records in all splits, copies not counted."""
    return sum(self.counts.values())

  @property
  def columns(self) -> dict[str, int]:
    """Records by column of the table: the splits, the balanced one after its natural self, all."""
    columns = {}
    for split, records in self.counts.items():
      columns[split] = records
      if split == BALANCED_SPLIT and self.balanced is not None:
        columns[BALANCED] = self.balanced
    return {**columns, TOTAL: self.total}

  @property
  def hits(self) -> int:
    """Test records that the model got right."""
    return round((self.recall or 0.0) * self.tested)


@dataclass(frozen=True)
class Summary:
  """The numbers of a run.

  Attributes:
    classes: By number of records, the largest first.
    accuracy: Over all test records.
    warnings: Of the splitter, the augmenter and the ExampleValidator, for people.
  """

  classes: tuple[ClassResult, ...]
  accuracy: float
  warnings: tuple[str, ...] = ()

  @property
  def tested(self) -> int:
    """Test records that were evaluated."""
    return sum(c.tested for c in self.classes)

  @property
  def macro_recall(self) -> float:
    """Mean recall of the classes with test records, each counting the same; nan without any."""
    recalls = [c.recall for c in self.classes if c.recall is not None]
    return sum(recalls) / len(recalls) if recalls else math.nan

  @property
  def columns(self) -> dict[str, list[int]]:
    """Records of each class, in order, by column of the table."""
    rows = [c.columns for c in self.classes]
    return {name: [row[name] for row in rows] for name in rows[0]}

  def total(self, column: str) -> int:
    """Records in the column, which is a split, or 'balanced', or 'total'."""
    return sum(self.columns[column])

  def ratio(self, column: str) -> float:
    """The column's largest class over its smallest; inf where a class has no record in it."""
    return imbalance_ratio(self.columns[column])


def slice_scores(
  result: tfma.EvalResult, label: str
) -> tuple[dict[str, float], dict[ClassValue, dict[str, float]]]:
  """Returns the metrics of all test records, and those of each class, by metric name."""
  overall: dict[str, float] = {}
  by_class: dict[ClassValue, dict[str, float]] = {}
  for key, outputs in result.slicing_metrics:
    scores = {name: value['doubleValue'] for name, value in outputs[''][''].items()}
    if not key:
      overall = scores
    elif len(key) == 1 and key[0][0] == label:
      by_class[class_of(key[0][1])] = scores
  return overall, by_class


def class_of(value: int | float | str | bytes) -> ClassValue:
  """Returns the class that a slice of TFMA's is of."""
  if isinstance(value, (str, bytes)):
    return ClassValue('bytes', value.encode() if isinstance(value, str) else value)
  return ClassValue('float' if isinstance(value, float) else 'int', value)


def summarize(
  sidecar: Mapping[str, Any],
  overall: Mapping[str, float],
  by_class: Mapping[ClassValue, Mapping[str, float]],
  anomalies: Sequence[str] = (),
  balanced: Mapping[str, Any] | None = None,
) -> Summary:
  """Returns the run's numbers.

  Args:
    sidecar: The splitter's.
    overall: Metrics of all test records.
    by_class: Metrics of each class's.
    anomalies: Of the ExampleValidator.
    balanced: The augmenter's sidecar; None if the run does not balance.
  """
  after = balanced_records(balanced) if balanced else {}
  classes = []
  for stratum in sidecar['strata']:
    value = ClassValue.from_json(stratum['stratum'][0])
    scores = by_class.get(value, {})
    classes.append(
      ClassResult(
        name=stratum['name'],
        counts={split: cell['records'] for split, cell in stratum['splits'].items()},
        recall=scores.get('accuracy'),
        tested=int(scores.get('example_count', 0)),
        balanced=after.get(value, 0) if balanced else None,
      )
    )
  return Summary(
    classes=tuple(sorted(classes, key=lambda c: -c.total)),
    accuracy=overall.get('accuracy', math.nan),
    warnings=(*sidecar['warnings'], *(balanced or {}).get('warnings', ()), *anomalies),
  )


def balanced_records(sidecar: Mapping[str, Any]) -> dict[ClassValue, int]:
  """Returns the records of each class that train has after balancing."""
  return {
    ClassValue.from_json(stratum['stratum'][0]): stratum['splits'][BALANCED_SPLIT]['records']
    for stratum in sidecar['strata']
  }


def read_anomalies(published: PublishedArtifacts) -> list[str]:
  """Returns what the ExampleValidator found: a sentence for each feature of each split."""
  sentences = []
  for folder in sorted(fileio.glob(posixpath.join(published.uri(*ANOMALIES), 'Split-*'))):
    found = anomalies_pb2.Anomalies()
    with fileio.open(posixpath.join(folder, DEFAULT_FILE_NAME), 'rb') as file:
      found.ParseFromString(file.read())
    split = posixpath.basename(folder).removeprefix('Split-')
    sentences += [
      f'split {split!r}, feature {feature!r}: {info.short_description}. {info.description}'
      for feature, info in sorted(found.anomaly_info.items())
    ]
  return sentences


def read_summary(published: PublishedArtifacts, label: str) -> Summary:
  """Returns the numbers of a run from what it published."""
  result = tfma.load_eval_result(published.uri(*EVALUATION))
  return summarize(
    read_sidecar(published.uri(*EXAMPLES)),
    *slice_scores(result, label),
    read_anomalies(published),
    read_sidecar(published.uri(*BALANCED_EXAMPLES)) if published.has(*BALANCED_EXAMPLES) else None,
  )


def read_sidecar(uri: str) -> dict[str, Any]:
  """Returns what a component of ours says of its artifact."""
  with fileio.open(posixpath.join(uri, SIDECAR_NAME), 'r') as file:
    return json.load(file)


def shown_classes(classes: tuple[ClassResult, ...]) -> tuple[tuple[ClassResult, ...], int, int]:
  """Returns the classes to show, and after how many of them how many are left out."""
  if len(classes) <= MOST_ROWS:
    return classes, len(classes), 0
  half = MOST_ROWS // 2
  return classes[:half] + classes[-half:], half, len(classes) - MOST_ROWS


def bar(count: int, most: int) -> str:
  """Returns a bar for a count, full for the largest; never empty for one record or more."""
  return '█' * max(round(BAR_WIDTH * count / most), min(count, 1)) if most else ''


def ratio_text(ratio: float) -> str:
  """Returns an imbalance ratio for people."""
  return '-' if math.isnan(ratio) else '∞' if math.isinf(ratio) else f'{ratio:.1f}'


def recall_text(result: ClassResult) -> str:
  """Returns a class's recall and what it is a share of; green from 0.9 on, red below 0.6."""
  if result.recall is None:
    return '[dim]not tested[/]'
  colour = 'green' if result.recall >= 0.9 else 'yellow' if result.recall >= 0.6 else 'red'
  return f'[{colour}]{result.recall:.2f}[/]  [dim]{result.hits} of {result.tested}[/]'


def class_row(result: ClassResult, summary: Summary, bars: bool) -> list[str]:
  """Returns the cells of a class's row."""
  most = max(summary.columns[TOTAL])
  return [
    escape(result.name),
    *(f'{records:,}' for records in result.columns.values()),
    f'{result.total / summary.total(TOTAL):.1%}',
    *([f'[cyan]{bar(result.total, most)}[/]'] if bars else []),
    recall_text(result),
  ]


def class_table(summary: Summary, bars: bool) -> Table:
  """Returns the table of classes by split, with shares (and bars of these) and recall."""
  # Narrow gaps: with a column more for balanced counts the digits still fit 80 columns.
  table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
  table.add_column('class', overflow='fold', min_width=9, max_width=NAME_WIDTH)
  for name in (*summary.columns, 'share'):
    table.add_column(name, justify='right', no_wrap=True)
  if bars:
    table.add_column('', no_wrap=True)
  table.add_column('recall on test', no_wrap=True)
  shown, half, left_out = shown_classes(summary.classes)
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
  """Returns the sentence about what balancing did; none if the run does not balance."""
  if BALANCED not in summary.columns:
    return []
  before, after = summary.total(BALANCED_SPLIT), summary.total(BALANCED)
  return [
    f'balanced     [bold]{after - before:,}[/] augmented copies '
    f'(train was {before:,} records and is {after:,})'
  ]


def score_lines(summary: Summary) -> list[str]:
  """Returns the sentences about the model below the table."""
  tested = [c for c in summary.classes if c.tested]
  lines = [
    f'macro recall [bold]{summary.macro_recall:.3f}[/]  '
    f'(mean over {len(tested):,} classes, each counting the same)',
    f'accuracy     [bold]{summary.accuracy:.3f}[/]  (over {summary.tested:,} test records)',
  ]
  few = sum(c.tested < FEW_RECORDS for c in tested)
  if few:
    lines.append(
      f'[dim]Classes with fewer than {FEW_RECORDS} test records: {few}. '
      'One record moves the recall of these by more than 10 points.[/]'
    )
  return lines


def natural_width(console: Console, table: Table) -> int:
  """Returns the columns that the table takes when nothing in it is cut."""
  return Measurement.get(console, console.options.update(max_width=10_000), table).maximum


def print_summary(console: Console, summary: Summary, label: str) -> None:
  """Prints the table, what balancing did, the model's scores and the warnings."""
  table = class_table(summary, bars=True)
  if natural_width(console, table) > console.width:
    table = class_table(summary, bars=False)
    # A line that the terminal wraps can still be read, a number that is cut cannot.
    console.width = max(console.width, natural_width(console, table))
  console.print(f'\n[bold]Classes of {escape(label)}[/]', soft_wrap=True)
  console.print(table)
  for line in (*balance_lines(summary), *score_lines(summary)):
    console.print(line, soft_wrap=True)
  for warning in summary.warnings:
    console.print(f'[yellow]![/] {escape(warning)}', soft_wrap=True)


def print_outputs(console: Console, published: PublishedArtifacts, log_file: str) -> None:
  """Prints where the things are that a person may want to open."""
  outputs = {
    'splits': EXAMPLES,
    'balanced': BALANCED_EXAMPLES,
    'model': MODEL,
    'evaluation': EVALUATION,
  }
  uris = {name: published.uri(*key) for name, key in outputs.items() if published.has(*key)}
  console.print()
  for name, uri in {**uris, 'log': log_file}.items():
    console.print(f'[dim]{name:<12}[/] {escape(uri)}', soft_wrap=True)
