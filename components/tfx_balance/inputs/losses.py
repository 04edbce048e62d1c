"""Losses that know the classes' weights or priors, for `compile(loss=...)` and for custom loops.

Plain functions of (labels, logits), so that Keras 3 and tf_keras take them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Loss = Callable[[Any, Any], tf.Tensor]


def weighted_cross_entropy(weights: Sequence[float]) -> Loss:
  """Returns the softmax cross-entropy of each record times the weight of its class.

  Args:
    weights: [n_classes], in the plan's class order.

  Returns:
    A function of labels (class indices, [B] or [B, 1]) and logits (float [B, n_classes]) that
    returns losses, float [B].
  """

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
    log_prior: [n_classes], of the batches trained on, in the plan's class order.
    tau: strength; 1 is the consistent one.

  Returns:
    A function of labels (class indices, [B] or [B, 1]) and logits (float [B, n_classes]) that
    returns losses, float [B].
  """

  def logit_adjusted_cross_entropy(labels: Any, logits: Any) -> tf.Tensor:
    logits = tf.convert_to_tensor(logits)
    adjusted = logits + tf.cast(tau, logits.dtype) * tf.constant(log_prior, logits.dtype)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(_indices(labels), adjusted)

  return logit_adjusted_cross_entropy


def _indices(labels: Any) -> tf.Tensor:
  return tf.reshape(tf.cast(labels, tf.int64), [-1])
