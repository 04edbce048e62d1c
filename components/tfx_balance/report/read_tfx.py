"""What stock TFX artifacts say of the classes: ExampleStatistics and ModelEvaluation."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Any

from tfx.dsl.io import fileio

from tfx_balance.documents.recall import ClassRecall, ModelRecall
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.report.findings import Findings, training_splits
from tfx_balance.report.run_view import SplitCounts, Stage

STATISTICS_FILE = 'FeatureStats.pb'
EVALUATION_FILE = 'eval_config.json'
_HIT_METRICS = (
  'accuracy',
  'sparse_categorical_accuracy',
  'categorical_accuracy',
  'binary_accuracy',
  'recall',
)
"""Metrics that, over the records of one class, are its recall."""

_SIDECAR_INSTEAD = (
  'show what StratifiedSplitter or ClassDistributionValidator published, which count records'
)


def read_statistics(uri: str, label: str, title: str) -> Findings:
  """Returns the classes that TFDV counted, of the splits where it counted them exactly.

  Args:
    uri: of an ExampleStatistics artifact.
    label: the feature that holds the class.
    title: how to show it.
  """
  from tensorflow_metadata.proto.v0 import statistics_pb2

  splits, notes = [], []
  for path in statistics_files(uri):
    name = posixpath.basename(posixpath.dirname(path)).removeprefix('Split-')
    found = statistics_pb2.DatasetFeatureStatisticsList()
    with fileio.open(path, 'rb') as file:
      found.ParseFromString(file.read())
    try:
      splits.append(_exact_counts(name, found, label))
    except DataError as error:
      notes.append(f'{title}: split {name!r} is not shown: {error}.')
  if not splits:
    return Findings(notes=tuple(notes))
  stage = Stage(title, 'raw', tuple(splits), training_splits([s.name for s in splits]), uri=uri)
  return Findings(counted=(stage,), notes=tuple(notes))


def statistics_files(uri: str) -> list[str]:
  """Returns the files of an ExampleStatistics artifact, one a split; none where it is no such."""
  if not fileio.isdir(uri):
    return []
  # Listed, not matched: to a pattern, a bracket in the artifact's path is not itself.
  splits = sorted(n.rstrip('/') for n in fileio.listdir(uri) if n.startswith('Split-'))
  paths = [posixpath.join(uri, name, STATISTICS_FILE) for name in splits]
  return [path for path in paths if fileio.exists(path)]


def _exact_counts(split: str, statistics: Any, label: str) -> SplitCounts:
  """Returns the records of each class.

  Raises:
    DataError: if the statistics do not tell exactly.
  """
  from tfx_balance.label_statistics import tallies_of

  tally = tallies_of({split: statistics}, label, 'its statistics', _SIDECAR_INSTEAD)[split]
  unlabelled = tally.pop(MISSING, 0)
  return SplitCounts(split, tally, unlabelled=unlabelled)


def read_evaluation(
  uri: str, label: str | None, title: str | None, node: str | None = None
) -> Findings:
  """Returns the recall of each class that an Evaluator measured on slices by the label.

  Args:
    uri: of a ModelEvaluation artifact.
    label: the feature that the slices are by; where None, the only one there is.
    title: how to show the model; where None, by its name in the evaluation's configuration.
    node: how to show a model that has neither.
  """
  import tensorflow_model_analysis as tfma

  with fileio.open(posixpath.join(uri, EVALUATION_FILE), 'r') as file:
    config = json.load(file).get('evalConfig', {})
  names = [spec.get('name', '') for spec in config.get('modelSpecs', [])] or ['']
  models = []
  for name in names:
    result = tfma.load_eval_result(uri, model_name=name if len(names) > 1 else None)
    recall = slice_recall(result.slicing_metrics, label, uri)
    models.append(ModelRecall(' '.join(filter(None, (title, name))) or node or 'model', recall))
  return Findings(label, models=tuple(models), uri=uri)


def slice_recall(slices: Any, label: str | None, source: str) -> tuple[ClassRecall, ...]:
  """Returns the recall by class.

  Args:
    slices: pairs of a slice's key and its metrics, as TFMA loads them.
    label: the feature that the slices are by; where None, the only one there is.
    source: where they are from, for messages.

  Raises:
    ConfigError: if there are no slices by that feature, or it is not clear by which.
  """
  by = sorted({key[0][0] for key, _ in slices if len(key) == 1})
  if label is None and len(by) == 1:
    (label,) = by
  if label not in by:
    raise ConfigError(
      f'{source} has slices by {by}, not by the label {label!r}; name one of these as label= '
      f'(--label), or give the Evaluator SlicingSpec(feature_keys=[{label!r}])'
    )
  found = []
  for key, outputs in slices:
    if len(key) == 1 and key[0][0] == label:
      metrics = _metrics(outputs)
      name = next((name for name in _HIT_METRICS if name in metrics), None)
      if name is None:
        raise ConfigError(
          f'{source} has none of {list(_HIT_METRICS)} by class, only {sorted(metrics)}; give the '
          f'Evaluator one of these'
        )
      tested = metrics.get('example_count', metrics.get('weighted_example_count', 0))
      found.append(ClassRecall(class_of_slice(key[0][1]), metrics[name], int(tested)))
  return tuple(found)


def _metrics(outputs: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, float]:
  """Returns the numbers of the first output that are of no class or threshold."""
  (first, *_) = outputs.values()
  return {
    name: value['doubleValue']
    for name, value in first.get('', {}).items()
    if 'doubleValue' in value
  }


def class_of_slice(value: Any) -> ClassValue:
  """Returns the class that a slice is of."""
  if isinstance(value, (str, bytes)):
    return ClassValue('bytes', value.encode() if isinstance(value, str) else value)
  if value is None:
    return MISSING
  return ClassValue('float' if isinstance(value, float) else 'int', value)
