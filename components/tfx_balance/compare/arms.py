"""The remedies that are compared: how each trains, and what it does after training.

An arm is declared here alone, but for how each trainer trains a `way`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Way = Literal['plain', 'weights', 'loss', 'batches', 'smote']


@dataclass(frozen=True)
class Arm:
  """One remedy.

  Attributes:
    words: Plural name in sentences.
    effort: Rank of what it costs to build and to serve; the least of equals is recommended.
    way: Way of training: as it is, by class weights, by the logit-adjusted loss, by batches of
      other shares, or by such with SMOTE.
    q: Exponent of the class shares that training stands for: 1 for natural shares, 0 for equal.
    corrected: Whether its probabilities are of natural shares, after a correction where q is not 1.
    tuned: Whether a threshold moves its decisions; its probabilities stay as they are.
    trained_as: Name of the arm whose models it takes; None where it trains its own.
    averaged: Whether it takes the mean probability of several of these models.
  """

  words: str
  effort: int
  way: Way = 'plain'
  q: float = 1.0
  corrected: bool = False
  tuned: bool = False
  trained_as: str | None = None
  averaged: bool = False

  @property
  def sampling(self) -> dict[str, Any]:
    """Arguments of `BalancedInputs.train` for its batches."""
    if self.way in ('batches', 'smote'):
      return {'strategy': 'exact', 'q': self.q}
    return {'strategy': 'natural'}

  @property
  def tau(self) -> float:
    """Strength of the logit adjustment of its loss; 0 for a loss that knows no class shares."""
    return 1 - self.q if self.way == 'loss' else 0.0

  def weights(self, records: Any) -> Floats:
    """Returns the weight of each class in the loss, of mean 1 over records: float64 [n_classes]."""
    counts = np.asarray(records, np.float64)
    own = counts ** (self.q - 1)
    return np.asarray(own * counts.sum() / (own @ counts), np.float64)

  def shift(self, log_prior: Any, log_served: Any, t: float = 0.0) -> Floats:
    """Returns the term to add to the logits of each class: float64 [n_classes].

    Args:
      log_prior: Log share of each class in what the model was trained on, [n_classes].
      log_served: Log share of each class where the model is used, [n_classes].
      t: Strength of the threshold; 0 leaves decisions to the probabilities.
    """
    prior, served = np.asarray(log_prior, np.float64), np.asarray(log_served, np.float64)
    correction = served - self.q * prior if self.corrected else np.zeros_like(prior)
    return correction - t * served if self.tuned else correction


NATURAL, MEAN = 'natural', 'mean'

ARMS = {
  NATURAL: Arm('natural batches', 0, corrected=True),
  'threshold': Arm(
    'natural batches with a threshold', 1, corrected=True, tuned=True, trained_as=NATURAL
  ),
  MEAN: Arm('means of several models', 2, corrected=True, trained_as=NATURAL, averaged=True),
  'mean_threshold': Arm(
    'means of several models with a threshold',
    3,
    corrected=True,
    tuned=True,
    trained_as=NATURAL,
    averaged=True,
  ),
  'class_weights': Arm('class weights', 4, 'weights', 0.0),
  'weights_correction': Arm(
    'class weights with prior correction', 5, 'weights', 0.0, True, trained_as='class_weights'
  ),
  'logit_adjusted': Arm('logit-adjusted losses', 4, 'loss', 0.0),
  'square_root': Arm('square-root batches', 6, 'batches', 0.5),
  'balanced': Arm('balanced batches', 6, 'batches', 0.0),
  'correction': Arm(
    'balanced batches with prior correction', 7, 'batches', 0.0, True, trained_as='balanced'
  ),
  'smote': Arm('balanced batches with SMOTE', 8, 'smote', 0.0),
  'smote_correction': Arm(
    'balanced batches with SMOTE and prior correction', 9, 'smote', 0.0, True, trained_as='smote'
  ),
}
"""All arms by name, the one that the others are compared with first."""

TRAINED = tuple(name for name, arm in ARMS.items() if arm.trained_as is None)
"""The arms that train a model."""
