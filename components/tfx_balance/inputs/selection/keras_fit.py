"""Batches of a selector for Keras: a dataset, and a model whose training sets the priorities."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_callable, check_flag, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.array_nests import as_nest, check_rows
from tfx_balance.inputs.keras_name import KerasName, keras_module
from tfx_balance.inputs.selection.selectors import PrioritySelector, Selected, Selector
from tfx_balance.plan.batch_quota import check_batch_size

ItemLoss = Callable[[Any, Any], tf.Tensor]
"""Labels and predictions to losses, float [batch_size]."""


def selection_dataset(
  features: Any,
  labels: Any,
  selector: Selector,
  batch_size: int,
  steps: int | None = None,
  with_items: bool = False,
  keras: KerasName | None = None,
  **arguments: Any,
) -> Any:
  """Returns the batches of a selector over random-access data, for `fit` and for custom loops.

  An item is (features, labels), or (features, labels, weights) where the selector gives weights.
  Epochs go on where the last one ended; Keras 3 draws one before `fit` and does not show it.
  `dataset[i]` of a running epoch may be called in any order; a selector whose priorities change
  chooses by those at the time of the call.

  Args:
    features: Arrays or nest of arrays, [n, ...], indexed by an integer array; memory maps work,
      and lists and pandas as in `BalancedInputs.from_arrays`.
    labels: Arrays or nest of arrays, [n, ...], as features; a table is one array, [n, columns].
    selector: Selector of items.
    batch_size: Items in a batch, 1 or more.
    steps: Batches of an epoch; by default as many as show n items.
    with_items: Whether features come as (features, items int64 [batch_size]), as
      `prioritized_model` takes them.
    keras: Keras whose `fit` takes the dataset: 'keras' (3) or 'tf_keras'. By default tf_keras where
      TF_USE_LEGACY_KERAS is set, as in the child processes of TFX.
    **arguments: Arguments of PyDataset or Sequence, such as workers.

  Raises:
    ConfigError: if an argument breaks a rule.
    DataError: if lengths differ.
  """
  batch_size, with_items = check_batch_size(batch_size), check_flag('with_items', with_items)
  steps = None if steps is None else check_whole('steps', steps)
  if not hasattr(selector, 'select'):
    raise ConfigError(
      f'selector={format_value(selector)} must be a selector; give one such as '
      f'UniformSelector(n_items)'
    )
  features, labels = as_nest(features), as_nest(labels, columns=False)
  n_items: int = getattr(selector, 'n_items', None) or len(tf.nest.flatten(labels)[0])
  for arrays in (features, labels):
    check_rows(arrays, n_items, 'items of the selector')
  utils = keras_module(keras).utils
  base = utils.PyDataset if hasattr(utils, 'PyDataset') else utils.Sequence

  class SelectionDataset(base):  # type: ignore[misc, valid-type]
    """Batches that a selector chooses."""

    def __init__(self) -> None:
      super().__init__(**arguments)
      self.selector = selector
      self.epoch = 0

    def __len__(self) -> int:
      return steps or -(-n_items // batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
      chosen = _checked(selector.select(self.epoch * len(self) + index, batch_size), n_items)
      take = lambda array: np.asarray(array[chosen.items])  # noqa: E731
      x, y = tf.nest.map_structure(take, features), tf.nest.map_structure(take, labels)
      x = (x, chosen.items) if with_items else x
      return (x, y) if chosen.weights is None else (x, y, chosen.weights)

    def on_epoch_end(self) -> None:
      self.epoch += 1

  return SelectionDataset()


def _checked(chosen: Any, n_items: int) -> Selected:
  """Checks the items that a selector chose: an array, or `Selected`; raises ConfigError."""
  items, weights = chosen if isinstance(chosen, tuple) else (chosen, None)
  items = np.asarray(items)
  if items.ndim != 1 or items.dtype.kind not in 'iu' or ((items < 0) | (items >= n_items)).any():
    raise ConfigError(
      f'select() returns {format_value(chosen)}, which must be an array of integers from 0 to '
      f'{n_items - 1}; return the indices of the items'
    )
  return Selected(items, weights)


def prioritized_model(model: Any, selector: PrioritySelector, item_loss: ItemLoss) -> Any:
  """Wraps a model so that its `fit` updates priorities after each batch.

  Keras' callbacks see a batch's mean loss only, so the training step is where losses per item are.
  The inner model is trained in place: save it, and serve it. `fit` takes the selector's dataset;
  `validation_data`, `evaluate` and `predict` take what the inner model does, without items. The
  loss that is reported is the mean of `item_loss`, weighted as it is trained on, and what layers
  add to it; `compile` takes an optimizer and metrics.

  Args:
    model: Keras 3 (TensorFlow backend) or tf_keras model.
    selector: Selector of a dataset that was made with `with_items=True`.
    item_loss: Loss that is not reduced, such as `keras.losses.sparse_categorical_crossentropy`.

  Raises:
    ConfigError: if the model is of neither Keras.
  """
  base = _model_class(model)
  if not isinstance(selector, PrioritySelector):
    raise ConfigError(f'selector={format_value(selector)} must be a PrioritySelector; give one')
  check_callable('item_loss', item_loss, 'keras.losses.sparse_categorical_crossentropy')
  keras = importlib.import_module(base.__module__.partition('.')[0])

  class PrioritizedModel(base):  # type: ignore[misc, valid-type]
    """Trains the inner model on weighted losses and reports each item's loss."""

    def __init__(self) -> None:
      super().__init__()
      self.inner = model
      self.supports_jit = False  # XLA cannot call Python, which updates the selector
      self.mean_loss = keras.metrics.Mean(name='loss')
      self.in_fit = False

    @property
    def metrics(self) -> list[Any]:
      # Keras 3 has a loss of its own, which only its own training step updates.
      return [self.mean_loss, *(metric for metric in super().metrics if metric.name != 'loss')]

    def fit(self, *args: Any, **kwargs: Any) -> Any:
      self.in_fit = True
      try:
        return super().fit(*args, **kwargs)
      finally:
        self.in_fit = False

    def call(self, inputs: Any, training: bool = False) -> Any:
      # Keras 3 calls it on a batch of what `fit` is given, to build what is not built yet.
      return self.inner(inputs[0] if self.in_fit and _has_items(inputs) else inputs, training)

    def train_step(self, data: Any) -> dict[str, Any]:
      (features, items), labels, weights = keras.utils.unpack_x_y_sample_weight(data)
      with tf.GradientTape() as tape:
        predictions = self.inner(features, training=True)
        losses = tf.reshape(item_loss(labels, predictions), [-1])
        loss = self._total(losses, weights)
      variables = self.inner.trainable_variables
      self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
      updated = tf.numpy_function(_update, [items, losses], tf.int32)
      with tf.control_dependencies([updated]):
        self.mean_loss.update_state(tf.identity(loss), sample_weight=tf.shape(losses)[0])
      return self.compute_metrics(features, labels, predictions, weights)

    def test_step(self, data: Any) -> dict[str, Any]:
      features, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
      predictions = self.inner(features, training=False)
      losses = tf.reshape(item_loss(labels, predictions), [-1])
      self.mean_loss.update_state(self._total(losses, weights), sample_weight=tf.shape(losses)[0])
      return self.compute_metrics(features, labels, predictions, weights)

    def predict_step(self, data: Any) -> Any:
      return self.inner(data[0] if isinstance(data, tuple) else data, training=False)

    def _total(self, losses: Any, weights: Any) -> Any:
      """Returns the mean of weighted losses, and what the inner model's layers add."""
      weighted = losses if weights is None else losses * tf.cast(weights, losses.dtype)
      return tf.reduce_mean(weighted) + tf.add_n([*map(tf.reduce_sum, self.inner.losses), 0.0])

  def _update(items: Any, losses: Any) -> Any:
    selector.update(items, losses)
    return np.int32(len(items))

  return PrioritizedModel()


def _has_items(inputs: Any) -> bool:
  """Returns whether inputs are features with the numbers of items, int [batch_size]."""
  if not isinstance(inputs, tuple) or len(inputs) != 2:
    return False
  return len(getattr(inputs[1], 'shape', ())) == 1 and 'int' in str(inputs[1].dtype)


def _model_class(model: Any) -> type:
  """Returns the Model class of the Keras that a model is of."""
  for kind in type(model).__mro__:
    if kind.__name__ == 'Model' and kind.__module__.split('.')[0] in ('keras', 'tf_keras'):
      return kind
  raise ConfigError(
    f'model={format_value(model)} is neither a keras.Model nor a tf_keras.Model; give one of these'
  )
