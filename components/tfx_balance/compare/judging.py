"""From the scores of all folds to estimates, intervals and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfx_balance.compare.arms import ARMS, BALANCED, CORRECTION, NATURAL, THRESHOLD
from tfx_balance.compare.intervals import CANNOT_TELL, FEWEST_RECORDS, Interval, corrected_interval
from tfx_balance.compare.metrics import METRICS, Floats, Measures
from tfx_balance.compare.threshold import find_threshold, shifted
from tfx_balance.plan.ranks import Ints

EQUIVALENT_RATE = 0.02
"""Difference of a rate up to which two arms are as good in practice."""
EQUIVALENT_PART = 0.05
"""The same for other metrics, as a part of what natural batches have."""


@dataclass(frozen=True)
class Fold:
  """Scores of one fold's records.

  Attributes:
    repeat: Number of the repetition that it is a fold of.
    rows: Records that were tested, int64 [n].
    n_trained: Number of records that were trained on.
    log_p: Log probabilities by arm, float64 [n, n_classes]; of trained arms alone.
  """

  repeat: int
  rows: Ints
  n_trained: int
  log_p: Mapping[str, Floats]


@dataclass(frozen=True)
class Judged:
  """What was found for one arm.

  Attributes:
    values: Mean over the folds by metric.
    interval: Of the deciding metric less that of natural batches, positive where it is better.
    verdict: One of the verdicts; '' for natural batches.
    calibration: Mean intercept and slope over the repetitions; None where there is none.
    threshold: The t that all records choose; None for arms without.
  """

  values: dict[str, float]
  interval: Interval
  verdict: str
  calibration: tuple[float, float] | None
  threshold: float | None = None


def with_shifts(
  folds: Sequence[Fold],
  labels: Ints,
  log_prior: Floats,
  measures: Measures,
  metric: str,
  in_time: bool = False,
) -> list[Fold]:
  """Returns the folds with the arms that shift what others score.

  The threshold of a fold is the best of the other folds of its repetition.

  Args:
    folds: Folds, with the scores of trained arms.
    labels: Index of each record's class, [n].
    log_prior: Log share of each class, [n_classes].
    measures: What measures.
    metric: Deciding metric, for which thresholds are chosen.
    in_time: Whether a fold may learn from earlier ones only; the first has t = 1 then.
  """
  found = []
  for i, fold in enumerate(folds):
    log_p = dict(fold.log_p)
    if BALANCED in log_p:
      log_p[CORRECTION] = shifted(log_p[BALANCED], log_prior)
    if NATURAL in log_p:
      others = [
        other
        for j, other in enumerate(folds)
        if other.repeat == fold.repeat and (j < i if in_time else j != i)
      ]
      t = threshold_of(others, labels, log_prior, measures, metric) if others else 1.0
      log_p[THRESHOLD] = shifted(log_p[NATURAL], -t * log_prior)
    found.append(replace(fold, log_p=log_p))
  return found


def threshold_of(
  folds: Sequence[Fold], labels: Ints, log_prior: Floats, measures: Measures, metric: str
) -> float:
  """Returns the t that is best for the natural model's scores of all records of the folds.

  It is 0 where a metric of probabilities decides, which a threshold leaves as they are.
  """
  if not METRICS[metric].decides:
    return 0.0
  log_p = np.concatenate([fold.log_p[NATURAL] for fold in folds])
  own = labels[np.concatenate([fold.rows for fold in folds])]
  return find_threshold(log_p, log_prior, lambda moved: measures.better(metric, moved, own))


def scores_of(fold: Fold, arm: str, metric: str | None = None) -> Floats:
  """Returns the log probabilities that a metric, or with None the calibration, measures.

  A threshold moves the class that a record is put into; the probabilities that are reported, and
  what measures these, stay those of the natural model.
  """
  decides = metric is not None and METRICS[metric].decides
  return fold.log_p[NATURAL if arm == THRESHOLD and not decides else arm]


def equivalence(metric: str, natural: float) -> float:
  """Returns the difference of a metric that does not matter in practice."""
  return EQUIVALENT_RATE if METRICS[metric].rate else EQUIVALENT_PART * abs(natural)


def judge(
  folds: Sequence[Fold], labels: Ints, measures: Measures, metric: str
) -> dict[str, Judged]:
  """Returns what was found, by arm in the order of `ARMS`.

  Args:
    folds: Folds with the scores of all arms; see `with_shifts`.
    labels: Index of each record's class, [n].
    measures: What measures.
    metric: Deciding metric.
  """
  arms = [name for name in ARMS if name in folds[0].log_p]
  values = {
    arm: {
      name: np.array(
        [measures.measure(name, scores_of(f, arm, name), labels[f.rows]) for f in folds]
      )
      for name in measures.names
    }
    for arm in arms
  }
  sign = 1 if METRICS[metric].higher else -1
  natural = values[NATURAL][metric]
  region = equivalence(metric, float(np.mean(natural)))
  test_share = float(np.mean([len(fold.rows) / fold.n_trained for fold in folds]))
  few = np.bincount(labels).min() < FEWEST_RECORDS
  found = {}
  for arm in arms:
    differences = sign * (values[arm][metric] - natural)
    interval = corrected_interval(differences, test_share, max(len(arms) - 1, 1))
    verdict = CANNOT_TELL if few else interval.verdict(region)
    means = {name: float(np.mean(each)) for name, each in values[arm].items()}
    calibration = _calibration(folds, arm, labels, measures)
    found[arm] = Judged(means, interval, '' if arm == NATURAL else verdict, calibration)
  return found


def _calibration(
  folds: Sequence[Fold], arm: str, labels: Ints, measures: Measures
) -> tuple[float, float] | None:
  """Returns the mean calibration over the repetitions, of all the records of one together."""
  pairs = []
  for repeat in sorted({fold.repeat for fold in folds}):
    own = [fold for fold in folds if fold.repeat == repeat]
    log_p = np.concatenate([scores_of(fold, arm) for fold in own])
    pairs.append(measures.calibration(log_p, labels[np.concatenate([f.rows for f in own])]))
  known = [pair for pair in pairs if pair is not None]
  if not known:
    return None
  intercept, slope = np.mean(known, axis=0).tolist()
  return intercept, slope
