"""Balanced batches for Trainers and training loops: TensorFlow, and neither TFX nor Beam."""

from tfx_balance.inputs.balanced_inputs import BalancedInputs
from tfx_balance.inputs.batch_log import BatchLog, log_batches
from tfx_balance.inputs.lagging_classes import raise_lagging_classes
from tfx_balance.inputs.losses import logit_adjusted_cross_entropy, weighted_cross_entropy
from tfx_balance.plan.sampling import Mixture, annealed, deferred, progressive
from tfx_balance.plan.set_shares import SetShares

__all__ = [
  'BalancedInputs',
  'BatchLog',
  'Mixture',
  'SetShares',
  'annealed',
  'deferred',
  'log_batches',
  'logit_adjusted_cross_entropy',
  'progressive',
  'raise_lagging_classes',
  'weighted_cross_entropy',
]
