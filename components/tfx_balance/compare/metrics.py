"""Metrics of classifiers: recall, precision, probabilities, cost, calibration.

Log probabilities may be -inf, where a model gives a class the probability 0.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp
from sklearn.metrics import average_precision_score, precision_recall_curve

from tfx_balance.arguments import check_choice, check_mapping, check_number, format_value
from tfx_balance.compare.arms import Floats
from tfx_balance.compare.threshold import decide
from tfx_balance.compare.trainers import values_of
from tfx_balance.documents.sentences import some_of
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import ClassValue, match_class, match_classes
from tfx_balance.plan.ranks import Ints

_LOG_FLOOR = float(np.log(np.finfo(np.float64).eps))
_MOST_ODDS = 50
_NEAR_ONE = -1e-3  # log probabilities above this are ranked by those of the other classes
_ROUNDING = 1e-12
_SHOWN_COSTS = 6


@dataclass(frozen=True)
class Metric:
  """A measure of log probabilities, float64 [n, n_classes].

  Attributes:
    words: What it is called in sentences.
    higher: Whether more is better.
    rate: Whether it is between 0 and 1, so that a difference of it is in points.
    decides: Whether it measures the classes that records are put into, not their probabilities.
    of_all: Whether all records tell it, not those of the rare classes above all.
    of_scores: Function of class indices [n], log probabilities [n, n_classes] and weights [n], None
      for none, for metrics that people give.
  """

  words: str
  higher: bool = True
  rate: bool = True
  decides: bool = True
  of_all: bool = False
  of_scores: Callable[[Ints, Floats, Floats | None], float] | None = None


METRICS = {
  'macro_recall': Metric('macro recall'),
  'worst_class': Metric('recall of the worst class'),
  'average_precision': Metric('average precision', decides=False),
  'macro_f1': Metric('macro F1'),
  'log_loss': Metric('log loss', higher=False, rate=False, decides=False, of_all=True),
  'brier': Metric('Brier score', higher=False, rate=False, decides=False, of_all=True),
  'cost': Metric('expected cost', higher=False, rate=False),
}


@dataclass(frozen=True)
class AtLeast:
  """A metric: the best recall or precision of a class, over all thresholds, where the other holds.

  Attributes:
    of: 'recall' or 'precision', which is measured.
    least: Least value of the other.
    name: Class.
  """

  of: str
  least: float
  name: Any

  def value(self, wanted: Any, score: Any, weights: Floats | None) -> float:
    """Returns the metric, given membership in the class, its scores and weights, each [n]."""
    precision, recall, _ = precision_recall_curve(wanted, score, sample_weight=weights)
    measured, bound = (recall, precision) if self.of == 'recall' else (precision, recall)
    enough = bound[:-1] >= self.least - _ROUNDING  # the last is of no threshold
    return float(measured[:-1][enough].max(initial=0))


def recall_at_precision(precision: float, name: Any) -> AtLeast:
  """Returns the metric: recall of a class at the best threshold whose precision is at least that.

  Args:
    precision: Least share of the records that are put into the class that are of it, 0 to 1.
    name: Class.
  """
  return AtLeast('recall', check_number('precision', precision, 0, 1), name)


def precision_at_recall(recall: float, name: Any) -> AtLeast:
  """Returns the metric: precision of a class at the best threshold whose recall is at least that.

  Args:
    recall: Least share of the records of the class that are put into it, 0 to 1.
    name: Class.
  """
  return AtLeast('precision', check_number('recall', recall, 0, 1), name)


@dataclass(frozen=True)
class Measures:
  """Measures classifiers of the same classes.

  Records are put into the class of the highest probability; where there is a cost matrix, into that
  of the lowest expected cost (Elkan 2001, "The foundations of cost-sensitive learning"). A class
  without records counts in no mean.

  Attributes:
    rarest: Index of the rarest class where the model is used, whose average precision and
      calibration are measured.
    n_classes: Number of classes. Of more than two, average precision is the mean over the classes.
    metrics: Metrics by name.
    cost: Cost of putting a record of class i into class j, [n_classes, n_classes], or None.
    cost_words: Meaning of the costs, in a sentence; '' without.
    prevalence: Share of each class where the model is used, [n_classes]; None for the data's.
    weights: Weight of a record by its class, [n_classes], so that classes have these shares.
  """

  rarest: int
  n_classes: int
  metrics: Mapping[str, Metric]
  cost: Floats | None = None
  cost_words: str = ''
  prevalence: Floats | None = None
  weights: Floats | None = None

  @classmethod
  def of(
    cls,
    counts: Ints,
    cost: Any = None,
    *,
    classes: Sequence[ClassValue] | None = None,
    values: Any = None,
    metric: Any = None,
    prevalence: Mapping[Any, float] | None = None,
  ) -> Measures:
    """Returns the measures for classes with so many records, [n_classes].

    Args:
      counts: Records of each class, [n_classes].
      cost: Costs, [n_classes, n_classes], or by pairs of classes; None for none.
      classes: Classes; None for the numbers 0, 1 and so on.
      values: Their values, as a function that is the metric gets them; None for those of `classes`.
      metric: Deciding metric: a name, a function, or what `recall_at_precision` returns.
      prevalence: Share by class where the model is used.

    Raises:
      ConfigError: if costs, metric or prevalence are none of these classes.
    """
    classes = classes or [ClassValue('int', i) for i in range(len(counts))]
    matrix, words = _costs(cost, classes)
    metrics = {name: one for name, one in METRICS.items() if name != 'cost' or matrix is not None}
    if isinstance(metric, AtLeast) or callable(metric):
      values = values_of(classes) if values is None else values
      metrics |= dict([_own_metric(metric, classes, values, prevalence is not None)])
    shares = _prevalence(prevalence, counts, classes)
    weights = None if shares is None else shares * counts.sum() / counts
    rarest = int(np.argmin(counts if shares is None else shares))
    return cls(rarest, len(counts), metrics, matrix, words, shares, weights)

  def check(self, metric: Any) -> str:
    """Returns the name of a metric that can be measured; raises ConfigError if it is none."""
    if isinstance(metric, str) and metric == 'cost' and self.cost is None:
      raise ConfigError("metric='cost' needs a cost matrix; give cost= as well")
    if isinstance(metric, AtLeast) or callable(metric):
      return list(self.metrics)[-1]
    return str(check_choice('metric', metric, list(self.metrics)))

  def log_served(self, log_prior: Floats) -> Floats:
    """Returns the log share of each class where the model is used, given that in training."""
    return log_prior if self.prevalence is None else np.log(self.prevalence)

  def decide(self, log_p: Floats) -> Ints:
    """Returns the class that each record is put into: int64 [n]."""
    return decide(log_p, self.cost)

  def measure(self, name: str, log_p: Floats, labels: Ints) -> float:
    """Returns one metric.

    Log loss takes probabilities below 2.2e-16, the epsilon of float64, as that, as scikit-learn
    does. With a prevalence, records have weights by class, but for recall, which needs none.

    Args:
      name: One of `metrics`.
      log_p: Log probabilities, [n, n_classes].
      labels: Index of each record's class, [n].
    """
    own = self.metrics[name].of_scores
    weights = None if self.weights is None else self.weights[labels]
    if own is not None:
      return own(labels, log_p, weights)
    if name == 'average_precision':
      return self._average_precision(log_p, labels, weights)
    each = self.by_record(name, log_p, labels)
    if each is not None:
      return float(np.average(each, weights=weights))
    return _OF_CONFUSION[name](self.confusion(log_p, labels, weights))

  def confusion(self, log_p: Floats, labels: Ints, weights: Floats | None = None) -> Floats:
    """Returns the records of class i that are put into class j: float64 [n_classes, n_classes]."""
    n = self.n_classes
    pairs = np.bincount(labels * n + self.decide(log_p), weights, n**2)
    return pairs.reshape(n, n).astype(np.float64)

  def by_record(self, name: str, log_p: Floats, labels: Ints) -> Floats | None:
    """Returns the values of records whose mean a metric is, [n]; None where it is no such mean."""
    if name == 'log_loss':
      return -np.maximum(log_p[np.arange(len(labels)), labels], _LOG_FLOOR)
    if name == 'brier':
      found: Floats = np.sum((np.exp(log_p) - np.eye(self.n_classes)[labels]) ** 2, axis=1)
      return found
    if name == 'cost' and self.cost is not None:
      return self.cost[labels, self.decide(log_p)]
    return None

  def better(self, name: str, log_p: Floats, labels: Ints) -> float:
    """Returns a value of a metric, negated where less is better."""
    return self.measure(name, log_p, labels) * (1 if self.metrics[name].higher else -1)

  def _average_precision(self, log_p: Floats, labels: Ints, weights: Floats | None) -> float:
    classes = [self.rarest] if self.n_classes == 2 else np.unique(labels).tolist()
    found = [
      average_precision_score(labels == c, ranks_of(log_p, c), sample_weight=weights)
      for c in classes
      if (labels == c).any()
    ]
    return float(np.mean(found)) if found else 0.0

  def calibration(self, log_p: Floats, labels: Ints) -> tuple[float, float] | None:
    """Returns calibration intercept and slope of the rarest class's probabilities.

    Cox 1958; Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics". The
    intercept is that of a logistic regression on the log odds with a slope of 1: below 0 where
    probabilities are too high. The slope is that of one with both: below 1 where they are too
    extreme. A model without fault has 0 and 1. None where the probabilities separate the classes,
    or are all the same.
    """
    odds = log_p[:, self.rarest] - _log_others(log_p, self.rarest)
    odds = np.clip(odds, -_MOST_ODDS, _MOST_ODDS)
    weights = None if self.weights is None else self.weights[labels]
    target = labels == self.rarest
    if not 0 < target.sum() < len(target) or np.ptp(odds) < 1e-9:
      return None
    own, others = odds[target], odds[~target]
    if own.min() >= others.max() or own.max() <= others.min():
      return None
    intercept = _logistic(odds, target, weights, fitted_slope=False)[0]
    slope = _logistic(odds, target, weights, fitted_slope=True)[1]
    return intercept, slope


def ranks_of(log_p: Floats, c: int) -> Ints:
  """Returns the rank of each record by its probability of a class, from 0: int64 [n].

  Equal probabilities, up to rounding, have equal ranks, as those of forests often are; those next
  to 1 are told apart by what is left for the other classes.

  Args:
    log_p: Log probabilities, [n, n_classes].
    c: Index of the class.
  """
  own = log_p[:, c]
  keys = np.where(own < _NEAR_ONE, own, -_log_others(log_p, c))
  ranks: Ints = np.unique(np.round(keys, 12), return_inverse=True)[1].reshape(-1)
  return ranks


def _log_others(log_p: Floats, c: int) -> Floats:
  """Returns the log probability of all classes but one: float64 [n]."""
  return np.asarray(logsumexp(np.delete(log_p, c, axis=1), axis=1), np.float64)


def _recalls(pairs: Floats) -> Floats:
  tested = pairs.sum(axis=1)
  return (np.diag(pairs)[tested > 0]) / tested[tested > 0]


def _macro_f1(pairs: Floats) -> float:
  of_class = pairs.sum(axis=0) + pairs.sum(axis=1)
  return float(np.mean(2 * np.diag(pairs)[of_class > 0] / of_class[of_class > 0]))


_OF_CONFUSION: dict[str, Callable[[Floats], float]] = {
  'macro_recall': lambda pairs: float(np.mean(_recalls(pairs))),
  'worst_class': lambda pairs: float(np.min(_recalls(pairs))),
  'macro_f1': _macro_f1,
}


def _logistic(
  odds: Floats, target: npt.NDArray[np.bool_], weights: Floats | None, fitted_slope: bool
) -> tuple[float, float]:
  """Returns intercept and slope of a logistic regression of a target on log odds."""
  signs = np.where(target, 1.0, -1.0)

  def loss(coefficients: Floats) -> tuple[float, Floats]:
    slope = coefficients[1] if fitted_slope else 1.0
    margins = signs * (coefficients[0] + slope * odds)
    slant = -signs * expit(-margins)
    gradient = np.array(
      [np.average(slant, weights=weights), np.average(slant * odds, weights=weights)]
    )
    return float(-np.average(log_expit(margins), weights=weights)), gradient[: len(coefficients)]

  start = np.array([0.0, 1.0])[: 2 if fitted_slope else 1]
  found = minimize(loss, start, jac=True, method='BFGS').x
  return float(found[0]), float(found[1]) if fitted_slope else 1.0


def _own_metric(
  metric: Any, classes: Sequence[ClassValue], values: npt.NDArray[Any], weighted: bool
) -> tuple[str, Metric]:
  """Returns the name and the metric of a function or of `AtLeast`.

  Args:
    metric: Either.
    classes: The classes.
    values: Their values, as a function gets them.
    weighted: Whether records have weights.

  Raises:
    ConfigError: if it names no class, or the function takes other arguments, returns no number, or
      has the name of another metric.
  """
  if isinstance(metric, AtLeast):
    c = list(classes).index(match_class(metric.name, classes))
    other = 'precision' if metric.of == 'recall' else 'recall'
    words = f'{metric.of} of {classes[c]} at a {other} of {metric.least:g}'

    def at_least(labels: Ints, log_p: Floats, weights: Floats | None) -> float:
      own = labels == c
      return metric.value(own, ranks_of(log_p, c), weights) if own.any() else 0.0

    return words.replace(' ', '_'), Metric(words, decides=False, of_scores=at_least)

  name = getattr(metric, '__name__', 'metric').strip('<>')
  if name in METRICS:
    raise ConfigError(
      f'metric={format_value(metric)} is a function of the name {name!r}, which another metric '
      f'has; rename the function'
    )
  if weighted and not _takes(metric, 'sample_weight'):
    raise ConfigError(
      f'metric={name} takes no sample_weight, and records have weights with prevalence=; give a '
      f'function such as def {name}(y, proba, sample_weight=None)'
    )

  def of_function(labels: Ints, log_p: Floats, weights: Floats | None) -> float:
    options = {} if weights is None else {'sample_weight': weights}
    found = metric(values[labels], np.exp(log_p), **options)
    try:
      number = float(found)
    except (TypeError, ValueError):
      number = np.nan
    if not np.isfinite(number):
      raise ConfigError(
        f'metric={name} returned {format_value(found)}; it must return a finite number'
      )
    return number

  n = len(classes)
  try:  # before hours of training
    of_function(np.arange(2 * n) % n, np.full((2 * n, n), -np.log(n)), None)
  except Exception as error:
    raise ConfigError(
      f'metric={name} fails for y of shape ({2 * n},) and equal probabilities of shape '
      f'({2 * n}, {n}) ({error}); give a function of (y, proba) that returns a number'
    ) from error
  return name, Metric(name.replace('_', ' '), rate=False, of_scores=of_function)


def _takes(function: Any, argument: str) -> bool:
  try:
    return argument in inspect.signature(function).parameters
  except ValueError:  # of a function that is not of Python
    return False


def _costs(cost: Any, classes: Sequence[ClassValue]) -> tuple[Floats | None, str]:
  """Returns the matrix of costs, and a sentence of what they mean.

  Raises:
    ConfigError: if they are none of these classes.
  """
  n, names = len(classes), list(map(str, classes))
  if cost is None:
    return None, ''
  matrix: Any
  if isinstance(cost, Mapping):
    matrix, named = 1 - np.eye(n), set()
    for pair, value in cost.items():
      if not (isinstance(pair, tuple) and len(pair) == 2):
        raise ConfigError(
          f'cost: key {format_value(pair)} must be a pair of classes, the true one and the one '
          f'that is '
          f"taken for it; give one such as ('fraud', 'fine')"
        )
      i, j = (list(classes).index(match_class(one, classes)) for one in pair)
      if (i, j) in named:
        raise ConfigError(f'cost: names {names[i]} taken for {names[j]} twice; name it once')
      named.add((i, j))
      matrix[i, j] = check_number(f'cost of {format_value(pair)}', value, 0)
  else:
    try:
      matrix = np.asarray(cost, np.float64)
    except (TypeError, ValueError, OverflowError):  # of texts, of rows that differ in length
      matrix = np.empty(0)
  if matrix.shape != (n, n) or not (np.isfinite(matrix).all() and (matrix >= 0).all()):
    raise ConfigError(
      f'cost={format_value(cost)} must have {n} rows of {n} costs, 0 or more: in row i and '
      f'column j what it costs to take a record of class i for one of class j'
    )
  pairs = [
    f'{names[i]} taken for {names[j]} {matrix[i, j]:g}' for i, j in np.argwhere(1 - np.eye(n))
  ]
  if matrix.diagonal().any():
    pairs += [f'{name} as itself {matrix[i, i]:g}' for i, name in enumerate(names)]
  return matrix, f'Costs: {some_of(pairs, _SHOWN_COSTS)}.'


def _prevalence(
  prevalence: Mapping[Any, float] | None, counts: Ints, classes: Sequence[ClassValue]
) -> Floats | None:
  """Returns the share of each class where a model is used, [n_classes]; None for those of the data.

  Classes that are not named share the rest as in the data.

  Raises:
    ConfigError: if they are no shares of the classes.
  """
  if prevalence is None:
    return None
  by_key = {
    key: check_number(f'prevalence of {format_value(key)}', share, 0, 1, above=True, below=True)
    for key, share in check_mapping('prevalence', prevalence, "{'fraud': 0.002}").items()
  }
  named = {
    list(classes).index(one): Fraction(str(share))
    for one, share in match_classes('prevalence', by_key, classes).items()
  }
  others = [c for c in range(len(classes)) if c not in named]
  rest = 1 - sum(named.values(), Fraction(0))
  if rest <= 0 if others else abs(rest) > Fraction(_ROUNDING):  # shares such as 1/3 are rounded
    raise ConfigError(
      f'prevalence={format_value(prevalence)} must be shares that add up to '
      f'{"less than 1" if others else "1"}; give classes their shares where the model is used'
    )
  shares = np.zeros(len(classes))
  shares[list(named)] = list(map(float, named.values()))
  shares[others] = float(rest) * counts[others] / max(counts[others].sum(), 1)
  return shares
