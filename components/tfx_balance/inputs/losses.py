"""Losses with the classes' weights or priors, for `compile(loss=...)` and for custom loops.

They are plain functions of (labels, logits), so that both Keras 3 and tf_keras take them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_number, format_value
from tfx_balance.errors import ConfigError

Loss = Callable[[Any, Any], tf.Tensor]


def weighted_cross_entropy(weights: Sequence[float]) -> Loss:
  """Returns the softmax cross-entropy of each record times the weight of its class.

  Args:
    weights: [n_classes], weights in the plan's class order, each 0 or more.

  Returns:
    A function of labels (class indices, [B] or [B, 1]) and logits (float [B, n_classes]) that
    returns losses, float [B], and raises ConfigError for labels of another shape.
  """
  weights = _numbers('weights', weights, 0)

  def weighted_cross_entropy(labels: Any, logits: Any) -> tf.Tensor:
    indices = _indices(labels)
    logits = tf.convert_to_tensor(logits)
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(indices, logits)
    return each * tf.gather(tf.constant(weights, logits.dtype), indices)

  return weighted_cross_entropy


def logit_adjusted_cross_entropy(log_prior: Sequence[float], tau: float = 1.0) -> Loss:
  """Returns the cross-entropy of logits + tau * log prior.

  Menon et al. 2021, "Long-tail learning via logit adjustment": its minimum is the classifier of
  least balanced error, read off the unadjusted logits.

  Args:
    log_prior: [n_classes], log shares of the batches trained on, in the plan's class order.
    tau: Factor of the log prior; 1 is consistent.

  Returns:
    A function of labels (class indices, [B] or [B, 1]) and logits (float [B, n_classes]) that
    returns losses, float [B], and raises ConfigError for labels of another shape.
  """
  tau, log_prior = check_number('tau', tau), _numbers('log_prior', log_prior)

  def logit_adjusted_cross_entropy(labels: Any, logits: Any) -> tf.Tensor:
    logits = tf.convert_to_tensor(logits)
    adjusted = logits + tf.cast(tau, logits.dtype) * tf.constant(log_prior, logits.dtype)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(_indices(labels), adjusted)

  return logit_adjusted_cross_entropy


def _numbers(name: str, values: Any, least: float = -math.inf) -> list[float]:
  """Returns one number a class, -inf among them where that is the least.

  Raises:
    ConfigError: if they are not.
  """
  array = np.asarray(values, object)
  for value in array.flat:
    if value != least:
      check_number(f'{name}: entry', value, least)
  if array.ndim != 1 or not len(array):
    raise ConfigError(f'{name}={format_value(values)} must be a list of numbers; give one a class')
  return [float(value) for value in array]


def _indices(labels: Any) -> tf.Tensor:
  """Returns labels of shape [B] or [B, 1] as [B]; raises ConfigError if they are of another."""
  labels = tf.convert_to_tensor(labels)
  if labels.shape.rank == 2 and labels.shape[1] not in (1, None):
    raise ConfigError(
      f'labels of shape {tuple(labels.shape)} must be class indices of shape [B] or [B, 1]; read '
      f"batches with label_as='index'"
    )
  return tf.reshape(tf.cast(labels, tf.int64), [-1])
