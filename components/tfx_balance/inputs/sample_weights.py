"""Weights of records in the loss: those of their classes, and a person's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_flag, check_names, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.parsing import asserted
from tfx_balance.plan.arrays import read_column
from tfx_balance.plan.sampling import SCHEMES

SampleWeight = bool | str | Sequence[str]
"""True, a scheme of class weights, the name of a feature with a weight a record, or both."""


def weight_names(sample_weight: SampleWeight) -> tuple[str | None, str | None]:
  """Returns the scheme of class weights and the name of the feature of weights, each or None.

  >>> weight_names(['balanced', 'w'])
  ('balanced', 'w')

  Raises:
    ConfigError: if there are two of one kind.
  """
  if isinstance(sample_weight, (str, list, tuple)):
    given = [sample_weight] if isinstance(sample_weight, str) else sample_weight
    words = list(check_names('sample_weight', given))
  else:
    words = ['balanced'] * check_flag('sample_weight', sample_weight)
  schemes = [word for word in words if word in SCHEMES]
  names = [word for word in words if word not in SCHEMES]
  if len(schemes) > 1 or len(names) > 1:
    raise ConfigError(
      f'sample_weight={format_value(sample_weight)} must be one of {list(SCHEMES)}, the name of a '
      f"feature, or one of each; give for example ['balanced', 'w']"
    )
  return next(iter(schemes), None), next(iter(names), None)


def check_weights(sample_weight: Any, n: int) -> npt.NDArray[np.float32]:
  """Returns the weights of n records: float32 [n].

  Raises:
    DataError: if they are not n finite numbers of 0 or more; names the first row that is none.
  """
  column = read_column(sample_weight, 'sample_weight').check_items(n, 'numbers')
  weights = column.check_whole('give 0 for a record that does not count').values
  wrong = np.arange(n)
  if weights.dtype.kind in 'biuf':
    weights = weights.astype(np.float32)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
  if len(wrong):
    raise DataError(
      f'sample_weight[{wrong[0]}] is {format_value(weights[wrong[0]])}, and must be a finite '
      f'number of 0 or more; give 0 for a record that does not count'
    )
  return weights


def take_weights(features: Any, name: str) -> tuple[dict[str, Any], tf.Tensor]:
  """Returns features without that of the weights, and these, float32 [B]: graph code.

  The code fails where a weight is negative or not finite.

  Raises:
    ConfigError: if there is no such feature, or it is not one number a record.
  """
  names = sorted(features) if isinstance(features, dict) else None
  if names is None or name not in names:
    raise ConfigError(
      f'sample_weight={name!r} is neither one of {list(SCHEMES)} nor in the features, '
      f'{names or "which have no names"}; give one of these, or weights to from_arrays'
    )
  value = features[name]
  fits = isinstance(value, tf.Tensor) and value.dtype != tf.string
  if not fits or value.shape[1:].as_list() not in ([], [1]):
    form = f'{value.dtype.name} of shape {value.shape[1:]} a record'
    raise ConfigError(
      f'feature {name!r} of sample_weight= is {form}, and must be one number; give for example '
      f'tf.io.FixedLenFeature([], tf.float32) in feature_spec='
    )
  weights = tf.cast(tf.reshape(value, [-1]), tf.float32)
  right = tf.reduce_all(tf.math.is_finite(weights) & (weights >= 0))
  text = f'a weight in feature {name!r} is negative or not finite; give 0 or more. Weights:'
  others = {key: own for key, own in features.items() if key != name}
  return others, asserted(weights, right, text, weights)
