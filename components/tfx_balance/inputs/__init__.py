"""Balanced batches for Trainers and training loops: TensorFlow, and neither TFX nor Beam.

Names are loaded when first used: `BalancedBatches` needs NumPy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfx_balance.lazy_names import lazy_names

if TYPE_CHECKING:
  from tfx_balance.inputs.balanced_batches import BalancedBatches as BalancedBatches
  from tfx_balance.inputs.balanced_inputs import BalancedInputs as BalancedInputs
  from tfx_balance.inputs.batch_log import BatchLog as BatchLog
  from tfx_balance.inputs.batch_log import log_batches as log_batches
  from tfx_balance.inputs.lagging_classes import raise_lagging_classes as raise_lagging_classes
  from tfx_balance.inputs.losses import (
    logit_adjusted_cross_entropy as logit_adjusted_cross_entropy,
  )
  from tfx_balance.inputs.losses import weighted_cross_entropy as weighted_cross_entropy
  from tfx_balance.plan.adjustable_shares import AdjustableShares as AdjustableShares
  from tfx_balance.plan.adjustable_shares import SetShares as SetShares
  from tfx_balance.plan.sampling import Mixture as Mixture
  from tfx_balance.plan.sampling import annealed as annealed
  from tfx_balance.plan.sampling import deferred as deferred
  from tfx_balance.plan.sampling import progressive as progressive

_HOME = {
  'AdjustableShares': 'tfx_balance.plan.adjustable_shares',
  'BalancedBatches': 'tfx_balance.inputs.balanced_batches',
  'BalancedInputs': 'tfx_balance.inputs.balanced_inputs',
  'BatchLog': 'tfx_balance.inputs.batch_log',
  'Mixture': 'tfx_balance.plan.sampling',
  'SetShares': 'tfx_balance.plan.adjustable_shares',
  'annealed': 'tfx_balance.plan.sampling',
  'deferred': 'tfx_balance.plan.sampling',
  'log_batches': 'tfx_balance.inputs.batch_log',
  'logit_adjusted_cross_entropy': 'tfx_balance.inputs.losses',
  'progressive': 'tfx_balance.plan.sampling',
  'raise_lagging_classes': 'tfx_balance.inputs.lagging_classes',
  'weighted_cross_entropy': 'tfx_balance.inputs.losses',
}

__all__ = sorted({*_HOME} - {'SetShares'})  # the earlier name of AdjustableShares

__getattr__, __dir__ = lazy_names(globals(), _HOME)
