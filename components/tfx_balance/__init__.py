"""TFX components for people whose classes are unequal.

Names are loaded when first used: TFX takes seconds to import, and who only wants
`stratified_indices` does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfx_balance.lazy_names import lazy_names

if TYPE_CHECKING:
  from tfx_balance.balanced_augmenter.component import BalancedAugmenter as BalancedAugmenter
  from tfx_balance.balanced_input_gen.component import BalancedInputGen as BalancedInputGen
  from tfx_balance.class_distribution_validator.component import (
    ClassDistributionValidator as ClassDistributionValidator,
  )
  from tfx_balance.inputs.balanced_batches import BalancedBatches as BalancedBatches
  from tfx_balance.modes.array_splits import stratified_indices as stratified_indices
  from tfx_balance.modes.cross_validation import StratifiedSplits as StratifiedSplits
  from tfx_balance.modes.folds import fold_splits as fold_splits
  from tfx_balance.stratified_splitter.component import StratifiedSplitter as StratifiedSplitter
  from tfx_balance.tfrecord.work_files import seal_document as seal_document

__version__ = '0.1.0'

_HOME = {
  'BalancedAugmenter': 'tfx_balance.balanced_augmenter.component',
  'BalancedBatches': 'tfx_balance.inputs.balanced_batches',
  'BalancedInputGen': 'tfx_balance.balanced_input_gen.component',
  'ClassDistributionValidator': 'tfx_balance.class_distribution_validator.component',
  'StratifiedSplits': 'tfx_balance.modes.cross_validation',
  'StratifiedSplitter': 'tfx_balance.stratified_splitter.component',
  'fold_splits': 'tfx_balance.modes.folds',
  'seal_document': 'tfx_balance.tfrecord.work_files',
  'stratified_indices': 'tfx_balance.modes.array_splits',
}

__all__ = list(_HOME)

__getattr__, __dir__ = lazy_names(globals(), _HOME)
