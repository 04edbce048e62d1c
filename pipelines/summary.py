"""The numbers of a run: how the classes were split and balanced, and how well each is recognised.

Reads published artifacts only: the components' sidecars, the Evaluators' results and the anomalies.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.io import fileio
from tfx_balance.documents.class_checks import CHECKS, CHECKS_NAME
from tfx_balance.documents.class_distribution import SIDECAR_NAME, parse_sidecar
from tfx_balance.documents.json_document import parse_document
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import imbalance_ratio

from pipelines.artifacts import PublishedArtifacts
from pipelines.evaluation import Comparison, compare, read_scores

EXAMPLES = ('StratifiedSplitter', 'examples')
BALANCED_EXAMPLES = ('BalancedAugmenter', 'examples')
INPUT = ('BalancedInputGen', 'examples')
MODEL = ('Trainer', 'model')
ANOMALIES = ('ExampleValidator', 'anomalies')
VALIDATORS = (('ClassDistributionValidator', 'anomalies'), ('BalanceValidator', 'anomalies'))

BALANCED_SPLIT = 'train'
BALANCED, TOTAL = 'balanced', 'total'  # columns beside those of the splits


@dataclass(frozen=True)
class ClassResult:
  """One class of the data.

  Attributes:
    value: the class.
    name: As it is shown.
    counts: Records by split.
    balanced: Records in train after it was balanced; None if the run does not augment.
  """

  value: ClassValue
  name: str
  counts: Mapping[str, int]
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


@dataclass(frozen=True)
class Summary:
  """The numbers of a run.

  Attributes:
    classes: By number of records, the largest first.
    models: What was trained, with its scores.
    checks: Of class distributions, how many were made.
    warnings: Of our components and of the validators, for people.
  """

  classes: tuple[ClassResult, ...]
  models: tuple[Comparison, ...] = ()
  checks: int = 0
  warnings: tuple[str, ...] = ()

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


def summarize(
  sidecar: Mapping[str, Any],
  models: Sequence[Comparison] = (),
  anomalies: Sequence[str] = (),
  balanced: Mapping[str, Any] | None = None,
  checks: Sequence[Mapping[str, Any]] = (),
) -> Summary:
  """Returns the run's numbers.

  Args:
    sidecar: The splitter's.
    models: The scores.
    anomalies: Of the ExampleValidator.
    balanced: The augmenter's sidecar; None if the run does not augment.
    checks: Of the class distributions, as in `class_checks.json`.
  """
  after = balanced_records(balanced) if balanced else {}
  classes = []
  for stratum in sidecar['strata']:
    value = ClassValue.from_json(stratum['stratum'][0])
    counts = {split: cell['records'] for split, cell in stratum['splits'].items()}
    now = after.get(value, 0) if balanced else None
    classes.append(ClassResult(value, stratum['name'], counts, now))
  broken = [check['message'] for check in checks if not check['passed']]
  return Summary(
    classes=tuple(sorted(classes, key=lambda c: -c.total)),
    models=tuple(models),
    checks=len(checks),
    warnings=(*sidecar['warnings'], *(balanced or {}).get('warnings', ()), *anomalies, *broken),
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


def read_checks(published: PublishedArtifacts) -> list[dict[str, Any]]:
  """Returns what the ClassDistributionValidators checked."""
  paths = [
    posixpath.join(published.uri(*key), CHECKS_NAME) for key in VALIDATORS if published.has(*key)
  ]
  found = [parse_document(read_text(path), path, CHECKS) for path in paths]
  return [check for checks in found for check in checks['checks']]


def read_summary(published: PublishedArtifacts, label: str) -> Summary:
  """Returns the numbers of a run from what it published."""
  augmented = published.has(*BALANCED_EXAMPLES)
  return summarize(
    read_sidecar(published.uri(*EXAMPLES)),
    compare(read_scores(published, label)),
    read_anomalies(published),
    read_sidecar(published.uri(*BALANCED_EXAMPLES)) if augmented else None,
    read_checks(published),
  )


def read_sidecar(uri: str) -> dict[str, Any]:
  """Returns what a component of ours says of its artifact.

  Raises:
    DataError: if its file is damaged.
  """
  path = posixpath.join(uri, SIDECAR_NAME)
  return parse_sidecar(read_text(path), path)


def read_text(path: str) -> bytes:
  """Returns what is in a file."""
  with fileio.open(path, 'rb') as file:
    return bytes(file.read())
