"""The remedies that are compared: how each trains, and what it does after training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arm:
  """One remedy.

  Attributes:
    words: What it is called in sentences.
    sampling: Arguments of `BalancedInputs.train`.
    trained_as: Name of the arm whose models it takes; None where it trains its own.
  """

  words: str
  sampling: Mapping[str, Any] = field(default_factory=lambda: {'strategy': 'natural'})
  trained_as: str | None = None


NATURAL, CLASS_WEIGHTS, ADJUSTED = 'natural', 'class_weights', 'logit_adjusted'
BALANCED, SMOTE = 'balanced', 'smote'
THRESHOLD, CORRECTION = 'threshold', 'correction'

ARMS = {
  NATURAL: Arm('natural batches'),
  THRESHOLD: Arm('natural batches with a threshold', trained_as=NATURAL),
  CLASS_WEIGHTS: Arm('class weights'),
  ADJUSTED: Arm('logit-adjusted loss'),
  'square_root': Arm('square-root batches', {'strategy': 'exact', 'q': 0.5}),
  BALANCED: Arm('balanced batches', {'strategy': 'exact'}),
  CORRECTION: Arm('balanced batches with prior correction', {'strategy': 'exact'}, BALANCED),
  SMOTE: Arm('balanced batches with SMOTE', {'strategy': 'exact'}),
}
"""All arms by name, the one that the others are compared with first."""

TRAINED = tuple(name for name, arm in ARMS.items() if arm.trained_as is None)
"""The arms that train a model."""
