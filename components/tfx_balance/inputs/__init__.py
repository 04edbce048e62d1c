"""Balanced batches for Trainers and training loops: TensorFlow, and neither TFX nor Beam."""

from tfx_balance.inputs.balanced_inputs import BalancedInputs
from tfx_balance.inputs.losses import logit_adjusted_cross_entropy, weighted_cross_entropy
from tfx_balance.plan.sampling import Mixture, annealed, deferred, progressive
from tfx_balance.plan.set_shares import SetShares

__all__ = [
  'BalancedInputs',
  'Mixture',
  'SetShares',
  'annealed',
  'deferred',
  'logit_adjusted_cross_entropy',
  'progressive',
  'weighted_cross_entropy',
]
