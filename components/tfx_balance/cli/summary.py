"""Class counts and scores of a run, from its published artifacts.

These are the components' sidecars, the Evaluators' results and the anomalies.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.io import fileio

from tfx_balance.cli.evaluation import Comparison, compare, read_scores
from tfx_balance.cli.published import PublishedArtifacts
from tfx_balance.documents.class_checks import CHECKS_NAME, ClassChecks, broken_rules
from tfx_balance.documents.class_distribution import SIDECAR_NAME, ClassDistribution
from tfx_balance.plan.checks import Check
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import imbalance_ratio

EXAMPLES = ('StratifiedSplitter', 'examples')
BALANCED_EXAMPLES = ('BalancedAugmenter', 'examples')
INPUT = ('BalancedInputGen', 'examples')
MODEL = ('Trainer', 'model')
ANOMALIES = ('ExampleValidator', 'anomalies')
VALIDATORS = (('ClassDistributionValidator', 'anomalies'), ('BalanceValidator', 'anomalies'))

BALANCED_SPLIT = 'train'
BALANCED, TOTAL = 'balanced', 'total'  # columns in addition to the splits


@dataclass(frozen=True)
class ClassResult:
  """Counts of one class.

  Attributes:
    value: Value of the class.
    name: Display name.
    counts: Number of records in each split.
    balanced: Number of records in train after balancing; None if the run does not augment.
  """

  value: ClassValue
  name: str
  counts: Mapping[str, int]
  balanced: int | None = None

  @property
  def total(self) -> int:
    """Number of records in all splits, without copies."""
    return sum(self.counts.values())

  @property
  def columns(self) -> dict[str, int]:
    """Number of records in each table column: the splits, balanced train after train, the total."""
    columns = {}
    for split, records in self.counts.items():
      columns[split] = records
      if split == BALANCED_SPLIT and self.balanced is not None:
        columns[BALANCED] = self.balanced
    return {**columns, TOTAL: self.total}


@dataclass(frozen=True)
class Summary:
  """Class counts and scores of a run.

  Attributes:
    classes: Classes by number of records, in decreasing order.
    models: Trained models with their scores.
    checks: Number of checks of class distributions.
    warnings: Warnings of this package's components and of the validators.
    folds: Number of folds of a cross-validation; 0 for none.
  """

  classes: tuple[ClassResult, ...]
  models: tuple[Comparison, ...] = ()
  checks: int = 0
  warnings: tuple[str, ...] = ()
  folds: int = 0

  @property
  def columns(self) -> dict[str, list[int]]:
    """Number of records of each class, in order, for each table column."""
    rows = [c.columns for c in self.classes]
    return {name: [row[name] for row in rows] for name in rows[0]}

  def total(self, column: str) -> int:
    """Returns the number of records in a column: a split, 'balanced' or 'total'."""
    return sum(self.columns[column])

  def ratio(self, column: str) -> float:
    """Returns the imbalance ratio of a column; inf if it has no record of a class."""
    return imbalance_ratio(self.columns[column])


def summarize(
  sidecar: ClassDistribution,
  models: Sequence[Comparison] = (),
  anomalies: Sequence[str] = (),
  balanced: ClassDistribution | None = None,
  checks: Sequence[Check] = (),
  folds: int = 0,
) -> Summary:
  """Returns the summary of a run.

  Args:
    sidecar: Sidecar of the splitter.
    models: Scores of the models.
    anomalies: Findings of the ExampleValidator.
    balanced: Sidecar of the augmenter; None if the run does not augment.
    checks: Checks of class distributions, as in `class_checks.json`.
    folds: Number of folds of a cross-validation; 0 for none.
  """
  after = balanced_records(balanced) if balanced else {}
  classes = []
  for row in sidecar.strata:
    counts = {split: cell.records for split, cell in row.splits.items()}
    now = after.get(row.stratum[0], 0) if balanced else None
    classes.append(ClassResult(row.stratum[0], row.name, counts, now))
  return Summary(
    classes=tuple(sorted(classes, key=lambda c: -c.total)),
    models=tuple(models),
    checks=len(checks),
    warnings=(
      *sidecar.warnings,
      *(balanced.warnings if balanced else ()),
      *anomalies,
      *broken_rules(checks),
    ),
    folds=folds,
  )


def balanced_records(sidecar: ClassDistribution) -> dict[ClassValue, int]:
  """Returns the number of records of each class in train after balancing."""
  return {row.stratum[0]: row.splits[BALANCED_SPLIT].records for row in sidecar.strata}


def read_anomalies(published: PublishedArtifacts) -> list[str]:
  """Returns the findings of the ExampleValidator, one sentence per feature and split."""
  sentences = []
  uri = published.uri(*ANOMALIES)
  for name in sorted(n.rstrip('/') for n in fileio.listdir(uri) if n.startswith('Split-')):
    folder = posixpath.join(uri, name)
    found = anomalies_pb2.Anomalies()
    with fileio.open(posixpath.join(folder, DEFAULT_FILE_NAME), 'rb') as file:
      found.ParseFromString(file.read())
    split = name.removeprefix('Split-')
    sentences += [
      f'split {split!r}, feature {feature!r}: {info.short_description}. {info.description}'
      for feature, info in sorted(found.anomaly_info.items())
    ]
  return sentences


def read_checks(published: PublishedArtifacts) -> list[Check]:
  """Returns the checks of all ClassDistributionValidators."""
  paths = [
    posixpath.join(published.uri(*key), CHECKS_NAME) for key in VALIDATORS if published.has(*key)
  ]
  return [check for path in paths for check in ClassChecks.from_json(read_text(path), path).checks]


def read_summary(published: PublishedArtifacts, label: str, folds: int = 0) -> Summary:
  """Returns the summary of a run from its published artifacts."""
  augmented = published.has(*BALANCED_EXAMPLES)
  return summarize(
    read_sidecar(published.uri(*EXAMPLES)),
    compare(read_scores(published, label)),
    read_anomalies(published),
    read_sidecar(published.uri(*BALANCED_EXAMPLES)) if augmented else None,
    read_checks(published),
    folds,
  )


def read_sidecar(uri: str) -> ClassDistribution:
  """Returns the sidecar of an artifact of this package.

  Raises:
    DataError: If the sidecar is corrupted.
  """
  path = posixpath.join(uri, SIDECAR_NAME)
  return ClassDistribution.from_json(read_text(path), path)


def read_text(path: str) -> bytes:
  """Returns the content of a file."""
  with fileio.open(path, 'rb') as file:
    return bytes(file.read())
