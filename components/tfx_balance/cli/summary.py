"""Class counts and scores of a run, from its published artifacts, and the report on them.

The counts are read as the report reads them, with the Evaluators' results and the anomalies.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME

from tfx_balance.cli.evaluation import Comparison, compare, read_scores
from tfx_balance.cli.published import PublishedArtifacts
from tfx_balance.documents.class_checks import broken_rules
from tfx_balance.documents.recall import RECALL_NAME, ClassRecall, ModelRecall, RecallDocument
from tfx_balance.plan.checks import Check
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import render_report
from tfx_balance.report.measures import ratio_of
from tfx_balance.report.run_view import TRAIN, RunView, Stage
from tfx_balance.report.sources import read_run
from tfx_balance.tfrecord.storage import read_whole, storage_of, write_whole

EXAMPLES = ('StratifiedSplitter', 'examples')
BALANCED_EXAMPLES = ('BalancedAugmenter', 'examples')
ANOMALIES = ('ExampleValidator', 'anomalies')
INPUT = ('BalancedInputGen', 'examples')
GRAPH = ('Transform', 'transform_graph')
STEPS = (
  EXAMPLES,
  ('ClassDistributionValidator', 'anomalies'),
  BALANCED_EXAMPLES,
  ('BalanceValidator', 'anomalies'),
)
"""Outputs that tell the number of records of each class, in pipeline order."""

BALANCED, TOTAL = 'balanced', 'total'  # columns in addition to the splits


@dataclass(frozen=True)
class Summary:
  """Class counts and scores of a run.

  Attributes:
    view: Stages of the data and checks of their classes, the first stage that of the splits.
    models: Trained models with their scores.
    anomalies: Findings of the ExampleValidator.
    folds: Number of folds of a cross-validation; 0 for none.
  """

  view: RunView
  models: tuple[Comparison, ...] = ()
  anomalies: tuple[str, ...] = ()
  folds: int = 0

  @property
  def classes(self) -> tuple[ClassValue, ...]:
    """Classes by number of records, in decreasing order."""
    return self.view.classes

  @cached_property
  def columns(self) -> dict[str, Mapping[ClassValue, int]]:
    """Records by class in each table column: splits, balanced train after train, without copies."""
    split, balanced = self.stage('split'), self.stage('balanced')
    columns: dict[str, Mapping[ClassValue, int]] = {}
    for of_split in split.splits if split else ():
      columns[of_split.name] = of_split.counts
      if of_split.name == TRAIN and balanced:
        columns[BALANCED] = balanced.trained
    return {**columns, TOTAL: split.total if split else {}}

  def stage(self, kind: str) -> Stage | None:
    """Returns the stage of a kind; None if the run has none."""
    return next((stage for stage in self.view.stages if stage.kind == kind), None)

  @property
  def checks(self) -> list[Check]:
    """Checks of all ClassDistributionValidators."""
    return [check for of_one in self.view.check_sets for check in of_one.document.checks]

  @property
  def warnings(self) -> tuple[str, ...]:
    """Warnings of this package's components and of the validators."""
    of_stages = [warning for stage in self.view.stages for warning in stage.warnings]
    return (*of_stages, *self.anomalies, *broken_rules(self.checks))

  def total(self, column: str) -> int:
    """Returns the number of records in a column: a split, 'balanced' or 'total'."""
    return sum(self.columns[column].values())

  def ratio(self, column: str) -> float:
    """Returns the imbalance ratio of a column; inf if it has no record of a class."""
    return ratio_of(self.columns[column], self.classes)


def read_summary(published: PublishedArtifacts, label: str, folds: int = 0) -> Summary:
  """Returns the summary of a run from its published artifacts."""
  return Summary(
    read_run([published[step] for step in STEPS if step in published], label),
    tuple(compare(read_scores(published, label))),
    tuple(read_anomalies(published[ANOMALIES])),
    folds,
  )


def read_anomalies(uri: str) -> list[str]:
  """Returns the findings of the ExampleValidator, one sentence per feature and split."""
  sentences = []
  for name in sorted(n for n in storage_of(uri).names(uri) if n.startswith('Split-')):
    found = anomalies_pb2.Anomalies.FromString(read_whole(f'{uri}/{name}/{DEFAULT_FILE_NAME}'))
    split = name.removeprefix('Split-')
    sentences += [
      f'split {split!r}, feature {feature!r}: {info.short_description}. {info.description}'
      for feature, info in sorted(found.anomaly_info.items())
    ]
  return sentences


def write_report(published: PublishedArtifacts, numbers: Summary, label: str, root: Path) -> Path:
  """Writes `report.html` and `recall.json` to the root's folder `report`; returns the former."""
  folder = root / 'report'
  recall = folder / RECALL_NAME
  write_whole(str(recall), describe_recall(numbers, label).dumps().encode('utf-8'))
  uris = [published[step] for step in (*STEPS, INPUT, GRAPH) if step in published]
  path = folder / 'report.html'
  title = f'Classes of {label}: {root.name}'
  render_report([*uris, str(recall)], str(path), title=title, label=label)
  return path


def describe_recall(numbers: Summary, label: str) -> RecallDocument:
  """Returns the recall of each class by model over all trainings, in the format of the report."""
  models = []
  for comparison in numbers.models:
    found = [(value, comparison.recall(value)) for value in numbers.classes]
    rows = tuple(ClassRecall(v, of.share, of.tested, of.precision) for v, of in found if of)
    runs = comparison.trainings
    means = {n: statistics.fmean(getattr(r, n) for r in runs) for n in ('accuracy', 'log_loss')}
    measured = {name: mean for name, mean in means.items() if not math.isnan(mean)}
    models.append(ModelRecall(comparison.model, rows, **measured))
  return RecallDocument(label, tuple(models))
