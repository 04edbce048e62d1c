"""A classifier of the recommended remedy, with scikit-learn's methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfx_balance.arguments import check_seed, check_whole
from tfx_balance.compare.arms import ARMS, Floats
from tfx_balance.compare.judging import mean_log_p
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.threshold import decide, shifted
from tfx_balance.compare.trainers import Fitted, Trainer
from tfx_balance.errors import DataError
from tfx_balance.modes.cross_validation import StratifiedSplits
from tfx_balance.plan.labels import label_codes
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import log_shares


@dataclass(frozen=True)
class Classifier:
  """Models that were trained with a remedy, and what it does with their scores.

  It can be pickled, with joblib too, where its models can.

  Attributes:
    remedy: Remedy.
    models: One model, or several whose mean probability counts.
    classes_: Values of the classes, [n_classes], in the order of the columns of probabilities.
  """

  remedy: Remedy
  models: Sequence[Fitted]
  classes_: Any

  def predict_proba(self, x: Any) -> Floats:
    """Returns probabilities at the class shares of the training data: float64 [n, n_classes].

    Args:
      x: Features of records, as the models take them.
    """
    arm = ARMS[self.remedy.name]
    log_prior = np.array(log_shares(self.remedy.records))
    return np.exp(shifted(self._log_p(x), (1 - arm.q) * log_prior))

  def predict(self, x: Any) -> Any:
    """Returns the class of each record as the remedy decides: [n], values of `classes_`.

    It is not always the one of the highest probability: a threshold moves decisions alone.

    Args:
      x: Features of records, as the models take them.
    """
    moved = shifted(self._log_p(x), self.remedy.shift)
    return self.classes_[decide(moved, np.array(self.remedy.cost) if self.remedy.cost else None)]

  def _log_p(self, x: Any) -> Floats:
    return mean_log_p([model.log_p(x) for model in self.models])


def fit_remedy(
  trainer: Trainer, remedy: Remedy, classes: Any, x: Any, y: Any, average: int | None, seed: int
) -> Classifier:
  """Returns a classifier that was trained on data with a remedy.

  Args:
    trainer: Trainer of the compared models.
    remedy: Remedy.
    classes: Values of the classes, [n_classes].
    x: Features, [n, ...].
    y: Class of each record, [n]; the classes of the remedy.
    average: Number of models, each trained on all but one of as many folds; None for 5 where the
      remedy is a mean, or else for one model of all records.
    seed: Seed of folds, weights and batches.

  Raises:
    ConfigError: if an argument breaks a rule.
    DataError: if y has other classes than the remedy.
  """
  average = remedy.average if average is None else check_whole('average', average)
  seed = check_seed(seed)
  counts, codes = label_codes(y, 'y')
  labels = codes.astype(np.int64)
  if counts.classes != remedy.classes:
    raise DataError(
      f'y has the classes {list(map(str, counts.classes))}, and those that were compared are '
      f'{list(map(str, remedy.classes))}; give data of the same classes'
    )
  every = np.arange(len(labels))
  parts: list[Ints] = [every]
  if average > 1:
    parts = [rows for rows, _ in StratifiedSplits(average, seed).split(labels, labels)]
  trained = trainer.remedies[ARMS[remedy.name].trained_as or remedy.name]
  seeds = np.random.SeedSequence(seed % 2**63).generate_state(len(parts)).tolist()
  models = [
    trainer.fit(x, labels, rows, trained, own) for rows, own in zip(parts, seeds, strict=True)
  ]
  return Classifier(remedy, models, classes)
