"""A classifier of the recommended remedy, with scikit-learn's methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfx_balance.compare.arms import ARMS, Floats
from tfx_balance.compare.judging import mean_log_p
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.threshold import decide, shifted
from tfx_balance.compare.trainers import Fitted
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
