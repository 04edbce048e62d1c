"""How well each class is recognised, by each model: read from the Evaluators' results."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.report.read_tfx import class_of_slice

from pipelines.artifacts import PublishedArtifacts
from pipelines.model_nodes import BALANCED_MODEL, NATURAL_MODEL

EVALUATION = ('Evaluator', 'evaluation')


@dataclass(frozen=True)
class Recall:
  """How many records of a class a model got right.

  Attributes:
    hits: of those tested.
    tested: 1 or more.
  """

  hits: int
  tested: int

  @property
  def share(self) -> float:
    """Of the class's records, 0 to 1."""
    return self.hits / self.tested


@dataclass(frozen=True)
class ModelScores:
  """One trained model's scores.

  Attributes:
    model: 'balanced' or 'natural', after the batches that it was trained on.
    accuracy: over all test records.
    recalls: of each class that has test records.
  """

  model: str
  accuracy: float
  recalls: Mapping[ClassValue, Recall]

  @property
  def macro_recall(self) -> float:
    """Mean recall of the classes, each counting the same; nan without any."""
    shares = [recall.share for recall in self.recalls.values()]
    return statistics.fmean(shares) if shares else math.nan

  @property
  def worst(self) -> float:
    """Recall of the class with the lowest; nan without any."""
    return min((recall.share for recall in self.recalls.values()), default=math.nan)


def read_scores(published: PublishedArtifacts, label: str) -> list[ModelScores]:
  """Returns the scores of every model that a run evaluated, seed by seed, natural ones first."""
  nodes = [node for node, key in published.uris if key == 'evaluation']
  found = []
  for node in sorted(nodes, key=lambda name: (len(name), name)):
    uri = published.uri(node, 'evaluation')
    if published.has(node.replace('Evaluator', 'NaturalTrainer'), 'model'):
      for model in (NATURAL_MODEL, BALANCED_MODEL):
        found.append(score(model, tfma.load_eval_result(uri, model_name=model), label))
    else:
      found.append(score(BALANCED_MODEL, tfma.load_eval_result(uri), label))
  return found


def score(model: str, result: tfma.EvalResult, label: str) -> ModelScores:
  """Returns the scores in an Evaluator's result: over all records, and slice by slice.

  Records without a label are in no slice: they are those that are left of all.
  """
  accuracy, recalls, everything = math.nan, {}, Recall(0, 0)
  for key, scores in _slices(result):
    tested = round(scores.get('example_count', 0))
    recall = Recall(round(scores['accuracy'] * tested), tested)
    if not key:
      accuracy, everything = scores['accuracy'], recall
    elif len(key) == 1 and key[0][0] == label:
      recalls[class_of_slice(key[0][1])] = recall
  unlabelled = everything.tested - sum(recall.tested for recall in recalls.values())
  if recalls and unlabelled > 0:
    hits = everything.hits - sum(recall.hits for recall in recalls.values())
    recalls[MISSING] = Recall(hits, unlabelled)
  return ModelScores(model, accuracy, recalls)


def _slices(result: tfma.EvalResult) -> Iterator[tuple[tuple[Any, ...], dict[str, float]]]:
  for key, outputs in result.slicing_metrics:
    yield key, {name: value['doubleValue'] for name, value in outputs[''][''].items()}


@dataclass(frozen=True)
class Spread:
  """A score over several seeds.

  Attributes:
    mean: of the seeds.
    deviation: the sample's standard deviation; nan of one seed.
    n: seeds.
  """

  mean: float
  deviation: float
  n: int

  @classmethod
  def of(cls, values: Sequence[float]) -> 'Spread':
    """Returns the mean and the spread of one score or more."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return cls(statistics.fmean(values), deviation, len(values))

  def __str__(self) -> str:
    return f'{self.mean:.3f}' if self.n == 1 else f'{self.mean:.3f} ± {self.deviation:.3f}'


@dataclass(frozen=True)
class Comparison:
  """The scores of one kind of model over its seeds."""

  model: str
  seeds: tuple[ModelScores, ...]

  @property
  def macro_recall(self) -> Spread:
    """Mean over the classes."""
    return Spread.of([scores.macro_recall for scores in self.seeds])

  @property
  def worst(self) -> Spread:
    """Of the class with the lowest recall, which need not be the same for each seed."""
    return Spread.of([scores.worst for scores in self.seeds])

  @property
  def accuracy(self) -> Spread:
    """Over all test records."""
    return Spread.of([scores.accuracy for scores in self.seeds])

  def recall(self, value: ClassValue) -> Recall | None:
    """Returns a class's hits and tests over all seeds; None if it was not tested."""
    found = [scores.recalls[value] for scores in self.seeds if value in scores.recalls]
    if not found:
      return None
    return Recall(sum(r.hits for r in found), sum(r.tested for r in found))


def compare(scores: Iterable[ModelScores]) -> list[Comparison]:
  """Returns the scores by model, in the order in which the models first come."""
  by_model: dict[str, list[ModelScores]] = {}
  for one in scores:
    by_model.setdefault(one.model, []).append(one)
  return [Comparison(model, tuple(seeds)) for model, seeds in by_model.items()]
