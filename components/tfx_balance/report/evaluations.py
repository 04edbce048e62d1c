"""Recall and precision of each class, from what an Evaluator of TFX measured."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tfx_balance.documents.recall import ClassRecall, ModelRecall
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.report.run_view import Findings
from tfx_balance.tfrecord.storage import read_whole

EVALUATION_FILE = 'eval_config.json'

_HIT_METRICS = (
  'accuracy',
  'sparse_categorical_accuracy',
  'categorical_accuracy',
  'binary_accuracy',
  'recall',
)
"""Metrics that, over the records of one class, are its recall."""


def read_evaluation(
  uri: str, label: str | None, title: str | None, node: str | None = None
) -> Findings:
  """Returns the recall of each class that an Evaluator measured on slices by the label.

  And the precision, where it has the confusion matrix (MultiClassConfusionMatrixPlot) of each.

  Args:
    uri: URI of a ModelEvaluation artifact.
    label: Feature that the slices are by; where None, the only one there is.
    title: Title of the model; where None, its name in the evaluation's configuration. Of a model
      with several outputs, their names are added.
    node: Title of a model that has neither.
  """
  import tensorflow_model_analysis as tfma

  config = json.loads(read_whole(posixpath.join(uri, EVALUATION_FILE))).get('evalConfig', {})
  names = [spec.get('name', '') for spec in config.get('modelSpecs', [])] or ['']
  models = []
  for name in names:
    result = tfma.load_eval_result(uri, model_name=name if len(names) > 1 else None)
    outputs = _outputs(result.slicing_metrics)
    for output in outputs:
      recall = slice_recall(result.slicing_metrics, label, uri, output, result.plots)
      words = (title, name, output if len(outputs) > 1 else None)
      models.append(ModelRecall(' '.join(filter(None, words)) or node or 'model', recall))
  return Findings(label, models=tuple(models), uri=uri)


def _outputs(slices: Any) -> list[str | None]:
  """Returns the names of a model's outputs whose recall was measured; [None] without any."""
  found = [
    name
    for _, outputs in slices
    for name, metrics in outputs.items()
    if not metrics.get('', {}).keys().isdisjoint(_HIT_METRICS)
  ]
  return sorted(set(found)) or [None]


def slice_recall(
  slices: Any, label: str | None, source: str, output: str | None = None, plots: Any = ()
) -> tuple[ClassRecall, ...]:
  """Returns the recall by class, and the precision where plots have it.

  Args:
    slices: Pairs of a slice's key and its metrics, as TFMA loads them.
    label: Feature that the slices are by; where None, the only one there is.
    source: Path of the evaluation, for messages.
    output: Name of the model's output; where None, the first one.
    plots: Pairs of a slice's key and its plots, as TFMA loads them.

  Raises:
    ConfigError: if there are no slices by that feature, or it is not clear by which.
  """
  by = sorted({key[0][0] for key, _ in slices if len(key) == 1})
  if label is None and len(by) == 1:
    (label,) = by
  if label not in by:
    raise ConfigError(
      f'{source} has slices by {by}, not by the label {label!r}; name one of these as label= '
      '(--label), or give the Evaluator a SlicingSpec whose feature_keys are the label alone'
    )
  found, predicted = [], predicted_records(plots, label, output)
  for key, outputs in slices:
    if len(key) == 1 and key[0][0] == label:
      measured = _of_output(outputs, output).items()
      metrics = {name: value['doubleValue'] for name, value in measured if 'doubleValue' in value}
      name = next((name for name in _HIT_METRICS if name in metrics), None)
      if name is None:
        raise ConfigError(
          f'{source} has none of {list(_HIT_METRICS)} by class, only {sorted(metrics)}; give the '
          f'Evaluator one of these'
        )
      tested = metrics.get('example_count', metrics.get('weighted_example_count', 0))
      value = class_of_slice(key[0][1])
      hits, of = predicted.get(value, (0, 0))
      found.append(ClassRecall(value, metrics[name], int(tested), hits / of if of else None))
  return tuple(found)


def predicted_records(
  plots: Any, label: str | None, output: str | None = None
) -> dict[ClassValue, tuple[float, float]]:
  """Returns, by class, the records predicted as it: those that are of the class, and all.

  They are counted in the confusion matrices of the slices and of all records. The class id of a
  class is that of the records in its slice; a class that shares its id is left out.

  Args:
    plots: Pairs of a slice's key and its plots, as TFMA loads them.
    label: Feature that the slices are by.
    output: Name of the model's output; where None, the first one.
  """
  by_class: dict[ClassValue, Counter[tuple[int, int]]] = {}
  everything = Counter[int]()
  for key, outputs in plots:
    found = _of_output(outputs, output).get('multiClassConfusionMatrixAtThresholds', {})
    matrices = found.get('matrices')
    if not matrices or matrices[0].get('threshold', 0) > 0:  # under which nothing is predicted
      continue
    counts = Counter[tuple[int, int]]()
    for entry in matrices[0].get('entries', ()):
      pair = entry.get('actualClassId', 0), entry.get('predictedClassId', 0)
      counts[pair] += entry['numWeightedExamples']
    if not key:
      for (_, predicted), n in counts.items():
        everything[predicted] += n
    elif len(key) == 1 and key[0][0] == label:
      by_class[class_of_slice(key[0][1])] = counts
  ids = {value: next(iter(counts))[0] for value, counts in by_class.items() if counts}
  shared = Counter(actual for counts in by_class.values() for actual in {a for a, _ in counts})
  return {
    value: (by_class[value][i, i], everything[i])
    for value, i in ids.items()
    if i >= 0 and shared[i] == 1
  }


def _of_output(outputs: Mapping[str, Any] | None, output: str | None) -> Mapping[str, Any]:
  """Returns metrics or plots of a model's output, or of the first, that are of no class."""
  outputs = outputs or {}  # TFMA has None where there are no plots
  first = next(iter(outputs.values()), None) if output is None else outputs.get(output)
  return (first or {}).get('') or {}


def class_of_slice(value: Any) -> ClassValue:
  """Returns the class that a slice is of."""
  if isinstance(value, (str, bytes)):
    return ClassValue('bytes', value.encode() if isinstance(value, str) else value)
  if value is None:
    return MISSING
  return ClassValue('float' if isinstance(value, float) else 'int', value)
