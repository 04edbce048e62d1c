"""Recall of each class by each model, from the Evaluators' results."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import tensorflow_model_analysis as tfma

from tfx_balance.cli.model_training import ADJUSTED, PROBABILITIES
from tfx_balance.cli.published import PublishedArtifacts
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.report.evaluations import class_of_slice, predicted_records

BALANCED_MODEL, NATURAL_MODEL = 'balanced', 'natural'
"""Names of the two models in the Evaluator's results."""

VARIANTS = {
  NATURAL_MODEL: {PROBABILITIES: NATURAL_MODEL, ADJUSTED: 'natural + threshold'},
  BALANCED_MODEL: {PROBABILITIES: BALANCED_MODEL, ADJUSTED: 'balanced + correction'},
}
"""What each output of each model is called in tables, where both were trained."""

FEW_RECORDS = 10
"""With fewer, one test record changes a class's recall by more than 10 points."""
EVALUATION = ('Evaluator', 'evaluation')


@dataclass(frozen=True)
class Recall:
  """Recall of a class.

  Attributes:
    hits: Number of test records that were predicted correctly.
    tested: Number of test records, 1 or more.
    predicted: Number of test records that were predicted to be of the class; None if not measured.
  """

  hits: int
  tested: int
  predicted: int | None = None

  @property
  def share(self) -> float:
    """Recall, 0 to 1."""
    return self.hits / self.tested

  @property
  def precision(self) -> float | None:
    """Precision, 0 to 1; None if it was not measured, or nothing predicted to be of the class."""
    return self.hits / self.predicted if self.predicted else None


@dataclass(frozen=True)
class ModelScores:
  """Scores of one trained model.

  Attributes:
    model: 'balanced' or 'natural', the kind of its training batches, and what was added to it.
    accuracy: Accuracy over all test records.
    recalls: Recall of each class that has test records.
    log_loss: Mean over the test records of the classes that it knows; nan if it was not measured.
  """

  model: str
  accuracy: float
  recalls: Mapping[ClassValue, Recall]
  log_loss: float = math.nan

  @property
  def macro_recall(self) -> float:
    """Unweighted mean recall of the classes; nan if there are none."""
    shares = [recall.share for recall in self.recalls.values()]
    return statistics.fmean(shares) if shares else math.nan

  @property
  def worst(self) -> float:
    """Lowest recall of all classes; nan if there are none."""
    return min((recall.share for recall in self.recalls.values()), default=math.nan)

  @property
  def tested(self) -> int:
    """Number of test records."""
    return sum(recall.tested for recall in self.recalls.values())

  @property
  def worst_tested(self) -> int:
    """Number of test records of the class of the lowest recall; of several, of the smallest."""
    return min(((r.share, r.tested) for r in self.recalls.values()), default=(0, 0))[1]


def read_scores(published: PublishedArtifacts, label: str) -> list[ModelScores]:
  """Returns the scores of all evaluated models of a run, by seed or fold, natural models first."""
  nodes = [node for node, key in published if key == 'evaluation']
  found = []
  for node in sorted(nodes, key=lambda name: (len(name), name)):
    two = (node.replace('Evaluator', 'NaturalTrainer'), 'model') in published
    if not two:
      result = tfma.load_eval_result(published[node, 'evaluation'])
      found.append(score(BALANCED_MODEL, result, label))
      continue
    for model, outputs in VARIANTS.items():
      result = tfma.load_eval_result(published[node, 'evaluation'], model_name=model)
      found += [score(name, result, label, output) for output, name in outputs.items()]
  return found


def score(model: str, result: tfma.EvalResult, label: str, output: str = '') -> ModelScores:
  """Returns the scores in an Evaluator's result, over all records and per slice.

  Records without a label are in no slice; their scores are computed as the remainder.
  """
  accuracy, log_loss, recalls, everything = math.nan, math.nan, {}, Recall(0, 0)
  predicted = predicted_records(result.plots, label, output)
  for key, outputs in result.slicing_metrics:
    scores = {name: value['doubleValue'] for name, value in outputs[output][''].items()}
    tested = round(scores.get('example_count', 0))
    recall = Recall(round(scores['accuracy'] * tested), tested)
    if not key:
      accuracy, everything = scores['accuracy'], recall
      log_loss = scores.get('log_loss', math.nan)
    elif len(key) == 1 and key[0][0] == label:
      value = class_of_slice(key[0][1])
      taken = round(predicted[value][1]) if value in predicted else None
      recalls[value] = dataclasses.replace(recall, predicted=taken)
  unlabelled = everything.tested - sum(recall.tested for recall in recalls.values())
  if recalls and unlabelled > 0:
    hits = everything.hits - sum(recall.hits for recall in recalls.values())
    recalls[MISSING] = Recall(hits, unlabelled)
  return ModelScores(model, accuracy, recalls, log_loss)


@dataclass(frozen=True)
class Spread:
  """Score over several trainings.

  Attributes:
    mean: Mean over the trainings.
    deviation: Sample standard deviation; nan for one training.
    n: Number of trainings.
    records: Least number of test records of a score.
  """

  mean: float
  deviation: float
  n: int
  records: int

  @classmethod
  def of(cls, values: Sequence[float], records: int) -> 'Spread':
    """Returns the mean and the standard deviation of one or more scores."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return cls(statistics.fmean(values), deviation, len(values), records)

  @property
  def basis(self) -> str:
    """Of how few test records the deviation is; '' where they are not few."""
    if self.records >= FEW_RECORDS:
      return ''
    return f' from {self.records} record{"" if self.records == 1 else "s"}'

  def __str__(self) -> str:
    if self.n == 1:
      return f'{self.mean:.3f}'
    return f'{self.mean:.3f} ± {self.deviation:.3f}{self.basis}'


@dataclass(frozen=True)
class Comparison:
  """Scores of one kind of model over its trainings, by seed or by fold."""

  model: str
  trainings: tuple[ModelScores, ...]

  def spread(self, score: str) -> Spread:
    """Returns the mean and deviation of a score, one of the attributes of `ModelScores`.

    The class of the worst recall may differ between trainings.
    """
    worst_tested = min(scores.worst_tested for scores in self.trainings)
    records = worst_tested if score == 'worst' else self.tested
    return Spread.of([getattr(scores, score) for scores in self.trainings], records)

  @property
  def tested(self) -> int:
    """Least number of test records of a training."""
    return min(scores.tested for scores in self.trainings)

  def recall(self, value: ClassValue) -> Recall | None:
    """Returns the recall of a class over all trainings; None if it was not tested."""
    found = [scores.recalls[value] for scores in self.trainings if value in scores.recalls]
    if not found:
      return None
    predicted = [r.predicted for r in found if r.predicted is not None]
    return Recall(
      sum(r.hits for r in found),
      sum(r.tested for r in found),
      sum(predicted) if len(predicted) == len(found) else None,
    )


def compare(scores: Iterable[ModelScores]) -> list[Comparison]:
  """Returns the scores grouped by model, in order of first occurrence."""
  by_model: dict[str, list[ModelScores]] = {}
  for one in scores:
    by_model.setdefault(one.model, []).append(one)
  return [Comparison(model, tuple(found)) for model, found in by_model.items()]
