"""A threshold for a classifier: one shift of its log probabilities along the log prior.

Menon et al. 2021, "Long-tail learning via logit adjustment", section 4.1: log p - t log prior. With
two classes it is a threshold on the odds: class 1 where p1 / p0 > (prior1 / prior0)^t. With t = 0
it is that of the model, with t = 1 that of least balanced error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import log_softmax

from tfx_balance.compare.arms import Floats
from tfx_balance.plan.ranks import Ints

STEPS = np.arange(41) / 20
"""The t that are tried, 0 to 2."""


def shifted(log_p: Any, shift: Any) -> Floats:
  """Returns log probabilities after a shift of the logits: float64 [n, n_classes].

  Args:
    log_p: Logits or log probabilities, [n, n_classes].
    shift: What is added to those of each class, [n_classes].
  """
  return log_softmax(np.asarray(log_p, np.float64) + np.asarray(shift, np.float64), axis=1)


def find_threshold(log_p: Any, log_prior: Any, score: Callable[[Floats], float]) -> float:
  """Returns the t of `STEPS` with the highest score, of several the middle one.

  Args:
    log_p: Logits or log probabilities of records that the model was not trained on,
      [n, n_classes].
    log_prior: Log share of each class in what the model was trained on, [n_classes], or for each
      record [n, n_classes].
    score: Function of shifted log probabilities, float64 [n, n_classes], higher is better.
  """
  log_prior = np.asarray(log_prior, np.float64)
  scores = np.array([score(shifted(log_p, -t * log_prior)) for t in STEPS])
  best = np.flatnonzero(scores >= scores.max())
  return float(STEPS[best[len(best) // 2]])


def decide(log_p: Floats, cost: Floats | None) -> Ints:
  """Returns the class that each record is put into: int64 [n].

  Args:
    log_p: Log probabilities, [n, n_classes].
    cost: Cost of putting a record of class i into class j, [n_classes, n_classes], for the class of
      the lowest expected cost (Elkan 2001); None for that of the highest probability.
  """
  if cost is None:
    return np.argmax(log_p, axis=1)
  return np.argmin(np.exp(log_p) @ cost, axis=1)
