"""A model whose training step tells a selector the loss of every item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.errors import ConfigError
from tfx_balance.inputs.selection.selectors import PrioritySelector

ItemLoss = Callable[[Any, Any], tf.Tensor]
"""Labels and predictions to losses, float [batch_size]."""


def prioritized_model(model: Any, selector: PrioritySelector, item_loss: ItemLoss) -> Any:
  """Returns a model around a model, whose `fit` updates priorities after each batch.

  Keras' callbacks see a batch's mean loss only, so the training step is where losses per item are.
  The inner model is trained in place: predict, evaluate and save with that one.

  Args:
    model: a Keras 3 (TensorFlow backend) or tf_keras model.
    selector: whose dataset was made with `with_items=True`.
    item_loss: not reduced, such as `keras.losses.sparse_categorical_crossentropy`.

  Raises:
    ConfigError: if the model is of neither Keras.
  """
  base = _model_class(model)

  class PrioritizedModel(base):  # type: ignore[misc, valid-type]
    """Trains the inner model on weighted losses and reports each item's loss."""

    def __init__(self) -> None:
      super().__init__()
      self.inner = model

    def call(self, inputs: Any, training: bool = False) -> Any:
      return self.inner(inputs[0], training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
      (features, items), labels, weights = _unpacked(data)
      with tf.GradientTape() as tape:
        predictions = self.inner(features, training=True)
        losses = tf.reshape(item_loss(labels, predictions), [-1])
        mean = losses if weights is None else losses * tf.cast(weights, losses.dtype)
        loss = tf.reduce_mean(mean) + tf.add_n([*map(tf.reduce_sum, self.inner.losses), 0.0])
      variables = self.inner.trainable_variables
      self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
      told = tf.numpy_function(_tell, [items, losses], tf.int32)
      with tf.control_dependencies([told]):
        return {'loss': tf.identity(loss)}

  def _tell(items: Any, losses: Any) -> Any:
    selector.update(items, losses)
    return np.int32(len(items))

  return PrioritizedModel()


def _unpacked(data: Any) -> tuple[Any, Any, Any]:
  """Returns features, labels and weights; weights may be absent."""
  features, labels, *rest = data
  return features, labels, rest[0] if rest else None


def _model_class(model: Any) -> type:
  """Returns the Model class of the Keras that a model is of."""
  for kind in type(model).__mro__:
    if kind.__name__ == 'Model' and kind.__module__.split('.')[0] in ('keras', 'tf_keras'):
      return kind
  raise ConfigError(f'model {type(model).__name__} is no keras.Model and no tf_keras.Model')
