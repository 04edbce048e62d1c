"""Trains the arms of a fold with estimators that have scikit-learn's `fit` and `predict_proba`."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import has_fit_parameter

from tfx_balance.arguments import format_value
from tfx_balance.compare.arms import ARMS, TRAINED, Floats
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.trainers import OutOfTimeError, Task, Trainer, values_of
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.balanced_batches import BalancedBatches
from tfx_balance.plan.arrays import is_sparse, n_rows
from tfx_balance.plan.ranks import Ints

NEIGHBOURS = 5
"""Of a record, between which and it SMOTE makes others."""
_BALANCING = {'class_weight': None, 'scale_pos_weight': 1, 'is_unbalance': False}
"""Parameters of estimators that weigh classes, and what they are where they do not."""


@dataclass(frozen=True)
class FittedEstimator:
  """An estimator that was trained.

  Attributes:
    estimator: Estimator.
    classes: What it has for each class, [n_classes]: the values, or numbers from 0.
  """

  estimator: Any
  classes: Any

  def log_p(self, x: Any) -> Floats:
    """Returns log probabilities of records, -inf where they are 0: float64 [n, n_classes].

    Raises:
      DataError: if there are none, or other numbers.
    """
    given = np.asarray(self.estimator.predict_proba(x), np.float64)
    own = getattr(self.estimator, 'classes_', self.classes)
    at = {value: i for i, value in enumerate(np.asarray(self.classes).tolist())}
    columns = [at[value] for value in np.asarray(own).tolist()]
    if given.ndim != 2 or given.shape[1] != len(columns):
      raise DataError(
        f'{type(self.estimator).__name__}.predict_proba returned shape {given.shape} for '
        f'{len(columns)} classes; it must be [n, n_classes]'
      )
    if not (np.isfinite(given).all() and (given >= 0).all() and (given.sum(axis=1) > 0).all()):
      raise DataError(
        f'{type(self.estimator).__name__}.predict_proba returned numbers that are no '
        f'probabilities, such as '
        f'{format_value(given[~np.isfinite(given).all(axis=1)][:1].tolist())}; fill in missing '
        f'values, or give an estimator that takes them'
      )
    found = np.zeros((len(given), len(at)))
    found[:, columns] = given / given.sum(axis=1, keepdims=True)
    with np.errstate(divide='ignore'):
      return np.asarray(np.log(found), np.float64)


@dataclass(frozen=True)
class EstimatorTraining(Trainer):
  """Trains estimators on records.

  Attributes:
    make: Function that returns an estimator that was not trained.
    classes: Values of the classes, [n_classes].
  """

  make: Callable[[], Any]
  classes: Any

  @classmethod
  def of(
    cls, make: Callable[[], Any], x: Any, labels: Ints, plain: Remedy, deadline: float
  ) -> EstimatorTraining:
    """Returns the training of estimators.

    Args:
      make: Function that returns an estimator.
      x: Features, [n, ...]: an array, a DataFrame, a sparse matrix, or a list.
      labels: Index of each record's class, [n].
      plain: Remedy of the classes that does nothing.
      deadline: Time when it is to stop.

    Raises:
      ConfigError: if the estimator weighs classes itself, or has no probabilities.
      DataError: if x has another number of rows.
    """
    features = checked_rows(x, len(labels))
    estimator = make()
    check_estimator(estimator)
    name, left_out = type(estimator).__name__, []
    remedies = {}
    for arm in TRAINED:
      way, q = ARMS[arm].way, ARMS[arm].q
      if way == 'loss' or (way in ('batches', 'smote') and q):
        continue  # of networks: estimators have losses of their own, and no batches
      if way == 'weights' and weight_name(estimator) is None:
        left_out.append(f'{arm} is left out: fit of {name} takes no sample_weight.')
      elif way == 'smote' and not all_numbers(features):
        left_out.append(f'{arm} is left out: it moves numbers, and x has other or missing values.')
      else:
        remedies[arm] = replace(plain, name=arm)
    return cls(features, labels, remedies, left_out, deadline, make, values_of(plain.classes))

  def scores(self, task: Task, remedy: Remedy) -> Floats:
    """Returns the log probabilities of a fold's tested records; see `Trainer.scores`."""
    if time.time() > self.deadline:
      raise OutOfTimeError
    fitted = self.fit(self.features, self.labels, task.trained, remedy, task.seed)
    return fitted.log_p(take(self.features, task.tested))

  def fit(self, x: Any, labels: Ints, rows: Ints, remedy: Remedy, seed: int) -> FittedEstimator:
    """Returns an estimator that was trained on records with a remedy.

    Args:
      x: Features, [n, ...].
      labels: Index of each record's class, [n].
      rows: Rows to train on, ascending.
      remedy: Remedy of a trained arm.
      seed: Seed of what is drawn, and of `random_state` where it is None.

    Raises:
      ConfigError: if the estimator does not take the records.
    """
    arm, weights = ARMS[remedy.name], {}
    x, labels = take(checked_rows(x, len(labels)), rows), labels[rows]
    if arm.way in ('batches', 'smote'):
      again = balanced_rows(labels, seed)
      x = smote(x, labels, again, seed) if arm.way == 'smote' else take(x, again)
      labels = labels[again]
    elif arm.way == 'weights':
      _, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
      weights = {str(weight_name(self.make())): arm.weights(counts)[own]}
    first: Exception | None = None
    for classes in (self.classes, np.arange(len(self.classes))):  # the latter for XGBoost
      estimator = self.make()
      set_seeds(estimator, seed)
      try:
        estimator.fit(x, classes[labels], **weights)
      except (TypeError, ValueError) as error:
        first = first or error
      else:
        return FittedEstimator(estimator, classes)
    raise ConfigError(
      f'{type(estimator).__name__} with {remedy.name} does not take x or y: {first}; x goes to it '
      f'as it is, and y as values such as {format_value(self.classes[0])}; give what its fit takes'
    ) from first


def maker_of(model: Any) -> Callable[[], Any]:
  """Returns a function that makes estimators like one that was not trained."""
  return partial(clone if hasattr(model, 'get_params') else copy.deepcopy, model)


def check_estimator(estimator: Any) -> None:
  """Checks that an estimator has probabilities, and leaves classes as they are.

  Raises:
    ConfigError: if it does not.
  """
  name = type(estimator).__name__
  if not (hasattr(estimator, 'fit') and hasattr(estimator, 'predict_proba')):
    raise ConfigError(
      f'{name} has no predict_proba, and remedies are of probabilities; give a classifier that has '
      f'it, such as CalibratedClassifierCV({name}())'
    )
  parameters = estimator.get_params() if hasattr(estimator, 'get_params') else {}
  for key, value in parameters.items():
    neutral = _BALANCING.get(key.rpartition('__')[2], value)
    if value is not None and value is not neutral and value != neutral:
      raise ConfigError(
        f'{key}={format_value(value)} of {name} weighs the classes, and compare tries that itself; '
        f'leave it at {neutral}'
      )


def weight_name(estimator: Any) -> str | None:
  """Returns the argument of `fit` that has the weight of each record; None where there is none."""
  steps = getattr(estimator, 'steps', None)
  if steps and hasattr(estimator, 'named_steps'):
    name, last = steps[-1]
    own = weight_name(last)
    return None if own is None else f'{name}__{own}'
  return 'sample_weight' if has_fit_parameter(estimator, 'sample_weight') else None


def set_seeds(estimator: Any, seed: int) -> None:
  """Gives each `random_state` of an estimator that is None a seed."""
  if hasattr(estimator, 'get_params'):
    names = [
      name
      for name, value in estimator.get_params().items()
      if name.rpartition('__')[2] == 'random_state' and value is None
    ]
    estimator.set_params(**dict.fromkeys(names, seed % 2**31))


def balanced_rows(labels: Ints, seed: int) -> Ints:
  """Returns rows in which each class is as often as the largest, its own rows equally often."""
  n = np.bincount(labels)
  (rows,) = BalancedBatches(labels, int(n.max()) * np.count_nonzero(n), seed=seed)
  return np.asarray(rows, np.int64)


def smote(x: Any, labels: Ints, rows: Ints, seed: int) -> Any:
  """Returns numbers of rows, of which those that came before are moved: float64 [len(rows), d].

  Chawla, Bowyer, Hall and Kegelmeyer 2002, "SMOTE: synthetic minority over-sampling technique":
  x + u (x' - x), with u uniform in [0, 1) and x' of the `NEIGHBOURS` nearest of the class, by
  distances in its standard deviations.

  Args:
    x: Numbers, [n, d].
    labels: Index of each record's class, [n].
    rows: Rows of the result, [m].
    seed: Seed of u and of x'.
  """
  values = np.asarray(x, np.float64)
  rng = np.random.default_rng(seed)
  near = np.arange(len(values))[:, np.newaxis].repeat(NEIGHBOURS, axis=1)
  for c in np.flatnonzero(np.bincount(labels) > 1):
    own = np.flatnonzero(labels == c)
    deviation = values[own].std(axis=0)
    scaled = values[own] / np.where(deviation > 0, deviation, 1)
    k = min(NEIGHBOURS, len(own) - 1)
    found = NearestNeighbors(n_neighbors=k).fit(scaled).kneighbors(return_distance=False)
    near[own] = own[found[:, np.arange(NEIGHBOURS) % k]]
  order = np.argsort(rows, kind='stable')
  again = np.ones(len(rows), bool)
  again[order[np.flatnonzero(np.diff(rows[order], prepend=-1))]] = False
  other = near[rows, rng.integers(NEIGHBOURS, size=len(rows))]
  step = rng.random(len(rows))[:, np.newaxis] * (values[other] - values[rows])
  moved = values[rows] + np.where(again[:, np.newaxis], step, 0)
  if hasattr(x, 'iloc'):
    return type(x)(moved, columns=x.columns)
  return moved


def all_numbers(x: Any) -> bool:
  """Returns whether features are a table of finite numbers."""
  if is_sparse(x):
    return False
  try:
    values = np.asarray(x)
  except ValueError:
    return False
  return values.ndim == 2 and values.dtype.kind in 'fiu' and bool(np.isfinite(values).all())


def checked_rows(x: Any, n: int) -> Any:
  """Returns features whose rows can be taken: a list as an array, the rest as it is.

  Raises:
    DataError: if it is no table of n rows.
  """
  if isinstance(x, dict):
    raise DataError(f'x is a dict, and an estimator takes a table; give a DataFrame of {list(x)}')
  if isinstance(x, (list, tuple)):
    texts = all(isinstance(value, (str, bytes)) for value in x)
    try:
      x = np.array(x, object if texts else None)
    except ValueError as error:
      raise DataError(
        f'x={format_value(x)} is not a table ({error}); give rows of one length'
      ) from error
  if n_rows(x, 'x') != n:
    raise DataError(f'x has {n_rows(x, "x")} rows, and y has {n}; give one label a row')
  return x


def take(x: Any, rows: Ints) -> Any:
  """Returns rows of an array, a DataFrame or a sparse matrix."""
  if hasattr(x, 'iloc'):
    return x.iloc[rows]
  if is_sparse(x):
    return x.tocsr()[rows]
  return x.take(rows) if hasattr(x, 'schema') and hasattr(x, 'column_names') else x[rows]
