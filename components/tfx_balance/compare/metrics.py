"""What a classifier is measured by: recall, precision, probabilities, cost, calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp
from sklearn.metrics import average_precision_score

from tfx_balance.arguments import check_choice, shown
from tfx_balance.errors import ConfigError
from tfx_balance.plan.ranks import Ints

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
  """A measure of log probabilities, float64 [n, n_classes].

  Attributes:
    words: What it is called in sentences.
    higher: Whether more is better.
    rate: Whether it is between 0 and 1, so that a difference of it is in points.
    decides: Whether it measures the classes that records are put into, not their probabilities.
  """

  words: str
  higher: bool = True
  rate: bool = True
  decides: bool = True


METRICS = {
  'macro_recall': Metric('macro recall'),
  'worst_class': Metric('recall of the worst class'),
  'average_precision': Metric('average precision', decides=False),
  'macro_f1': Metric('macro F1'),
  'log_loss': Metric('log loss', higher=False, rate=False, decides=False),
  'brier': Metric('Brier score', higher=False, rate=False, decides=False),
  'cost': Metric('expected cost', higher=False, rate=False),
}


@dataclass(frozen=True)
class Measures:
  """Measures classifiers of the same classes.

  Records are put into the class of the highest probability; where there is a cost matrix, into that
  of the lowest expected cost (Elkan 2001, "The foundations of cost-sensitive learning"). A class
  without records counts in no mean.

  Attributes:
    rarest: Index of the rarest class, whose average precision and calibration are measured.
    n_classes: Number of classes. Of more than two, average precision is the mean over the classes.
    cost: Cost of putting a record of class i into class j, [n_classes, n_classes], or None.
  """

  rarest: int
  n_classes: int
  cost: Floats | None = None

  @classmethod
  def of(cls, counts: Ints, cost: Any) -> Measures:
    """Returns the measures for classes with so many records, [n_classes].

    Raises:
      ConfigError: if the cost matrix is none of these classes.
    """
    n = len(counts)
    if cost is not None:
      given = cost
      try:
        cost = np.asarray(given, np.float64)
      except (TypeError, ValueError):  # of a dict, of texts, of rows that differ in length
        cost = np.empty(0)
      if cost.shape != (n, n) or not (np.isfinite(cost).all() and (cost >= 0).all()):
        raise ConfigError(
          f'cost={shown(given)} must have {n} rows of {n} costs, 0 or more: in row i and '
          f'column j what it costs to take a record of class i for one of class j'
        )
    return cls(int(np.argmin(counts)), n, cost)

  @property
  def names(self) -> tuple[str, ...]:
    """The metrics that can be measured."""
    return tuple(name for name in METRICS if name != 'cost' or self.cost is not None)

  def check(self, metric: Any) -> str:
    """Returns the name of a metric that can be measured; raises ConfigError if it is none."""
    if metric == 'cost' and self.cost is None:
      raise ConfigError("metric='cost' needs a cost matrix; give cost= as well")
    return str(check_choice('metric', metric, self.names))

  def decide(self, log_p: Floats) -> Ints:
    """Returns the class that each record is put into: int64 [n]."""
    if self.cost is None:
      return np.argmax(log_p, axis=1)
    return np.argmin(np.exp(log_p) @ self.cost, axis=1)

  def measure(self, name: str, log_p: Floats, labels: Ints) -> float:
    """Returns one metric.

    Args:
      name: One of `names`.
      log_p: Log probabilities, [n, n_classes].
      labels: Index of each record's class, [n].
    """
    if name == 'average_precision':
      return self._average_precision(log_p, labels)
    if name == 'log_loss':
      return float(-np.mean(log_p[np.arange(len(labels)), labels]))
    if name == 'brier':
      return float(np.mean(np.sum((np.exp(log_p) - np.eye(self.n_classes)[labels]) ** 2, axis=1)))
    decided = self.decide(log_p)
    if name == 'cost':
      assert self.cost is not None
      return float(np.mean(self.cost[labels, decided]))
    pairs = np.bincount(labels * self.n_classes + decided, minlength=self.n_classes**2)
    return _OF_CONFUSION[name](pairs.reshape(self.n_classes, self.n_classes))

  def better(self, name: str, log_p: Floats, labels: Ints) -> float:
    """Returns a metric, negative where less is better."""
    return self.measure(name, log_p, labels) * (1 if METRICS[name].higher else -1)

  def _average_precision(self, log_p: Floats, labels: Ints) -> float:
    classes = [self.rarest] if self.n_classes == 2 else np.unique(labels).tolist()
    odds = [self.log_odds(log_p, c) for c in classes]
    found = [
      average_precision_score(labels == c, own)
      for c, own in zip(classes, odds, strict=True)
      if (labels == c).any()
    ]
    return float(np.mean(found)) if found else 0.0

  def log_odds(self, log_p: Floats, c: int) -> Floats:
    """Returns the log odds of one class against the others: float64 [n]."""
    others = np.delete(log_p, c, axis=1)
    return log_p[:, c] - logsumexp(others, axis=1)

  def calibration(self, log_p: Floats, labels: Ints) -> tuple[float, float] | None:
    """Returns calibration intercept and slope of the rarest class's probabilities.

    Cox 1958; Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics". The
    intercept is that of a logistic regression on the log odds with a slope of 1: below 0 where
    probabilities are too high. The slope is that of one with both: below 1 where they are too
    extreme. A model without fault has 0 and 1. None where the probabilities separate the classes,
    or are all the same.
    """
    odds = np.clip(self.log_odds(log_p, self.rarest), -50, 50)
    target = labels == self.rarest
    if not 0 < target.sum() < len(target) or np.ptp(odds) < 1e-9:
      return None
    if odds[target].min() > odds[~target].max():
      return None
    intercept = _logistic(odds, target, fitted_slope=False)[0]
    slope = _logistic(odds, target, fitted_slope=True)[1]
    return intercept, slope


def _recalls(pairs: Ints) -> Floats:
  tested = pairs.sum(axis=1)
  return (np.diag(pairs) / np.maximum(tested, 1))[tested > 0]


def _macro_f1(pairs: Ints) -> float:
  all_of_class = pairs.sum(axis=0) + pairs.sum(axis=1)
  return float(np.mean((2 * np.diag(pairs) / np.maximum(all_of_class, 1))[all_of_class > 0]))


_OF_CONFUSION: dict[str, Callable[[Ints], float]] = {
  'macro_recall': lambda pairs: float(np.mean(_recalls(pairs))),
  'worst_class': lambda pairs: float(np.min(_recalls(pairs))),
  'macro_f1': _macro_f1,
}


def _logistic(
  odds: Floats, target: npt.NDArray[np.bool_], fitted_slope: bool
) -> tuple[float, float]:
  """Returns intercept and slope of a logistic regression of a target on log odds."""
  signs = np.where(target, 1.0, -1.0)

  def loss(given: Floats) -> tuple[float, Floats]:
    slope = given[1] if fitted_slope else 1.0
    margins = signs * (given[0] + slope * odds)
    slant = -signs * expit(-margins)
    gradient = np.array([np.mean(slant), np.mean(slant * odds)])
    return float(-np.mean(log_expit(margins))), gradient[: len(given)]

  start = np.array([0.0, 1.0])[: 2 if fitted_slope else 1]
  found = minimize(loss, start, jac=True, method='BFGS').x
  return float(found[0]), float(found[1]) if fitted_slope else 1.0
