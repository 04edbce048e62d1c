"""From the scores of all folds to estimates, intervals and verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from tfx_balance.compare.arms import ARMS, MEAN, NATURAL, Floats
from tfx_balance.compare.intervals import CANNOT_TELL, FEWEST_RECORDS, Interval, corrected_interval
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import find_threshold, shifted
from tfx_balance.compare.trainers import Fold
from tfx_balance.plan.ranks import Ints

EQUIVALENT_RATE = 0.02
"""Difference of a rate up to which two arms are as good in practice."""
EQUIVALENT_PART = 0.05
"""The same for other metrics, as a part of what natural batches have."""


def out_of_fold(folds: Sequence[Fold], n: int) -> Floats:
  """Returns the log mean probabilities of natural models that did not train on a record.

  Each repetition has one such model for each record that it tests.

  Args:
    folds: Folds that test a record in each of their repetitions, or in none.
    n: Number of records.

  Returns:
    float64 [n, n_classes]; NaN for records that no fold tests.
  """
  repeats = sorted({fold.repeat for fold in folds})
  scores = np.full((len(repeats), n, len(folds[0].counts)), np.nan)
  for fold in folds:
    scores[repeats.index(fold.repeat), fold.rows] = fold.log_p[NATURAL]
  return mean_log_p(scores)


def with_means(folds: Sequence[Fold], n: int) -> list[Fold]:
  """Returns the folds with the scores of `out_of_fold`; as they are where there is one repetition.

  Args:
    folds: Folds of whole repetitions.
    n: Number of records.
  """
  if len({fold.repeat for fold in folds}) < 2:
    return list(folds)
  mean = out_of_fold(folds, n)
  return [replace(fold, log_p={**fold.log_p, MEAN: mean[fold.rows]}) for fold in folds]


def mean_log_p(log_p: Floats | Sequence[Floats]) -> Floats:
  """Returns the logarithm of the mean probability of several models, [n_models, n, n_classes]."""
  return np.asarray(logsumexp(log_p, axis=0) - np.log(len(log_p)), np.float64)


@dataclass(frozen=True)
class Scores:
  """The scores of all arms on all folds.

  Attributes:
    folds: Folds, with the scores of trained arms and of means.
    labels: Index of each record's class, [n].
    measures: What measures.
    metric: Deciding metric, for which thresholds are chosen.
    in_time: Whether a fold may learn from earlier ones only; the first has t = 1 then.
  """

  folds: Sequence[Fold]
  labels: Ints
  measures: Measures
  metric: str
  in_time: bool = False

  @property
  def arms(self) -> list[str]:
    """Names of the arms that have scores, natural batches first."""
    return [name for name in ARMS if _source(name) in self.folds[0].log_p]

  def of(self, name: str, fold: Fold, t: float = 0.0) -> Floats:
    """Returns the log probabilities of an arm on a fold, after its shift with strength t."""
    served = self.measures.log_served(fold.log_prior)
    return shifted(fold.log_p[_source(name)], ARMS[name].shift(fold.log_prior, served, t))

  def joined(self, log_p: Sequence[Floats], some: Sequence[int]) -> tuple[Floats, Ints]:
    """Returns the scores of the records of some folds, of those of all, and their classes."""
    rows = np.concatenate([self.folds[i].rows for i in some])
    return np.concatenate([log_p[i] for i in some]), self.labels[rows]

  def threshold(self, name: str, folds: Sequence[Fold] | None = None) -> float:
    """Returns the t that is best for an arm on the records of folds; without any of all folds.

    It is 0 where a metric of probabilities decides, which a threshold leaves as they are.
    """
    if not (ARMS[name].tuned and self.measures.metrics[self.metric].decides):
      return 0.0
    used = self.folds if folds is None else folds
    scores = np.concatenate([self.of(name, fold) for fold in used])
    served = [self.measures.log_served(fold.log_prior) for fold in used]
    served_each = np.repeat(served, [len(fold.rows) for fold in used], axis=0)
    own = self.labels[np.concatenate([fold.rows for fold in used])]
    return find_threshold(scores, served_each, lambda p: self.measures.better(self.metric, p, own))

  def decisions(self, name: str) -> list[Floats]:
    """Returns the scores by which an arm decides, of each fold.

    The threshold of a fold is the best of the other folds of its repetition.
    """
    found = []
    for i, fold in enumerate(self.folds):
      t = 0.0
      if ARMS[name].tuned:
        others = [
          other
          for j, other in enumerate(self.folds)
          if other.repeat == fold.repeat and (j < i if self.in_time else j != i)
        ]
        t = self.threshold(name, others) if others else 1.0
      found.append(self.of(name, fold, t))
    return found


def _source(name: str) -> str:
  """Returns the name of the arm whose scores an arm takes."""
  return MEAN if ARMS[name].averaged else ARMS[name].trained_as or name


@dataclass(frozen=True)
class Judged:
  """Scores and confusion of one arm.

  Attributes:
    values: Mean over the repetitions by metric, each measured on all records of a repetition.
    by_fold: Jackknife values of the deciding metric, whose mean over a repetition's J folds is near
      that of all its records: J times it, less J - 1 times that without the fold (Tukey 1958),
      [n_folds]. Values of the folds alone would not do: of records of which a fold has too few, or
      that it puts into one class, arms differ together and in no fold.
    by_record: Deciding metric of each tested record, the mean over the repetitions, where it is a
      mean over records; or else empty.
    calibration: Mean intercept and slope over the repetitions; None where there is none.
    confusion: Records of class i that were put into class j, the mean over the repetitions,
      [n_classes, n_classes].
  """

  values: dict[str, float]
  by_fold: Floats
  by_record: Floats
  calibration: tuple[float, float] | None
  confusion: Floats

  @property
  def collapsed(self) -> bool:
    """Whether it puts all records into one class."""
    return np.count_nonzero(self.confusion.sum(axis=0)) == 1


def judge(scores: Scores) -> dict[str, Judged]:
  """Returns scores and confusion by arm, in the order of `ARMS`."""
  measures, folds = scores.measures, scores.folds
  repeats = [
    [i for i, fold in enumerate(folds) if fold.repeat == repeat]
    for repeat in sorted({fold.repeat for fold in folds})
  ]
  found = {}
  for name in scores.arms:
    of_folds = {True: scores.decisions(name), False: [scores.of(name, fold) for fold in folds]}
    joined = {
      decides: [scores.joined(log_p, own) for own in repeats] for decides, log_p in of_folds.items()
    }
    values = {
      metric: [measures.measure(metric, *pair) for pair in joined[kind.decides]]
      for metric, kind in measures.metrics.items()
    }
    calibrations = [pair for each in joined[False] if (pair := measures.calibration(*each))]
    deciding = of_folds[measures.metrics[scores.metric].decides]
    by_fold = [
      _by_fold(scores, deciding, own, whole)
      for own, whole in zip(repeats, values[scores.metric], strict=True)
    ]
    found[name] = Judged(
      {metric: float(np.mean(each)) for metric, each in values.items()},
      np.concatenate(by_fold),
      _by_record(scores, deciding),
      tuple(np.mean(calibrations, axis=0).tolist()) if calibrations else None,
      np.mean([measures.confusion(*pair) for pair in joined[True]], axis=0),
    )
  return found


def _by_fold(scores: Scores, log_p: Sequence[Floats], own: Sequence[int], whole: float) -> Floats:
  """Returns the jackknife values of the folds of one repetition, given its own; see `Judged`."""
  n, measure = len(own), scores.measures.measure
  parts = [[i for i in own if i != fold] for fold in own] if n > 1 else []
  without = [measure(scores.metric, *scores.joined(log_p, part)) for part in parts] or [whole]
  return n * whole - (n - 1) * np.array(without)


def _by_record(scores: Scores, log_p: Sequence[Floats]) -> Floats:
  """Returns the deciding metric of each tested record, weighted by class; see `Judged`."""
  sums, n = np.zeros(len(scores.labels)), np.zeros(len(scores.labels), np.int64)
  weights = scores.measures.weights
  for fold, own in zip(scores.folds, log_p, strict=True):
    labels = scores.labels[fold.rows]
    each = scores.measures.by_record(scores.metric, own, labels)
    if each is None:
      return np.empty(0)
    sums[fold.rows] += each if weights is None else each * weights[labels]
    n[fold.rows] += 1
  return sums[n > 0] / n[n > 0]


def equivalence(measures: Measures, metric: str, natural: float) -> float:
  """Returns the difference of a metric that does not matter in practice."""
  return EQUIVALENT_RATE if measures.metrics[metric].rate else EQUIVALENT_PART * abs(natural)


def gaps(
  scores: Scores, judged: Mapping[str, Judged], base: str, comparisons: int
) -> Iterator[tuple[str, Interval]]:
  """Yields the difference of each arm to another in the deciding metric, positive where better.

  Args:
    scores: Scores of all folds.
    judged: What was found for each arm.
    base: Name of the arm that the others are compared with.
    comparisons: Number of intervals that shall hold together.
  """
  metric = scores.measures.metrics[scores.metric]
  sign = 1 if metric.higher else -1
  share = float(np.mean([len(fold.rows) / fold.counts.sum() for fold in scores.folds]))
  level = judged[base].values[scores.metric]
  for name, one in judged.items():
    mean = sign * (one.values[scores.metric] - level)
    records = one.by_record - judged[base].by_record
    least = float(np.var(records, ddof=1)) / len(records) if len(records) > 1 else 0.0
    interval = corrected_interval(
      sign * (one.by_fold - judged[base].by_fold), share, comparisons, mean, least
    )
    if metric.rate:  # which ends at 0 and 1
      interval = replace(
        interval, low=max(interval.low, -level), high=min(interval.high, 1 - level)
      )
    yield name, interval


def verdict(scores: Scores, interval: Interval, natural: float) -> str:
  """Returns the verdict of an interval to natural batches.

  With few records of the rarest class, what depends on that class is not told.
  """
  deciding = scores.measures.metrics[scores.metric]
  if not deciding.of_all and np.bincount(scores.labels).min() < FEWEST_RECORDS:
    return CANNOT_TELL
  return interval.verdict(equivalence(scores.measures, scores.metric, natural))
