"""Augment functions: the contract, ready ones for images and tables, and Keras layers as one.

    augment_fn = ImageAugment(flip_left_right=True, rotation=10, brightness=0.1)

An object like this in a module of yours is what `BalancedAugmenter(augment_fn='module.augment_fn')`
names.
"""

from tfx_balance.lazy_names import explained

try:
  from tfx_balance.augment.applier import Applier, ByClass, apply, augment_batch, checked_batch
  from tfx_balance.augment.codec import decode_image
  from tfx_balance.augment.contract import (
    AugmentFn,
    PoolFn,
    VectorAugment,
    check_augment_fn,
    function_name,
    load_augment_fn,
    source_hash,
  )
  from tfx_balance.augment.contract_checks import AugmentError
  from tfx_balance.augment.image import ImageAugment
  from tfx_balance.augment.keras import from_keras
  from tfx_balance.augment.mixing import CutMix, MixFn, MixUp
  from tfx_balance.augment.tabular import SmoothedBootstrap, Smote
except ModuleNotFoundError as error:
  raise explained(__name__, error) from error

__all__ = [
  'Applier',
  'AugmentError',
  'AugmentFn',
  'ByClass',
  'CutMix',
  'ImageAugment',
  'MixFn',
  'MixUp',
  'PoolFn',
  'SmoothedBootstrap',
  'Smote',
  'VectorAugment',
  'apply',
  'augment_batch',
  'check_augment_fn',
  'checked_batch',
  'decode_image',
  'from_keras',
  'function_name',
  'load_augment_fn',
  'source_hash',
]
