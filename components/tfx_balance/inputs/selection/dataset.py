"""Batches of a selector as a dataset of Keras: Keras 3's PyDataset, or tf_keras' Sequence."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_choice, check_flag, check_whole, shown
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.record_source import check_rows
from tfx_balance.inputs.selection.selectors import Selector
from tfx_balance.plan.batch_quota import check_batch_size

KerasName = Literal['keras', 'tf_keras']


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
    features: Arrays or nest of arrays, [n, ...], indexed by an integer array; memory maps work.
    labels: Arrays or nest of arrays, [n, ...], as features.
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
  if not hasattr(selector, 'n_items') or not hasattr(selector, 'select'):
    raise ConfigError(
      f'selector={shown(selector)} must be a selector; give one such as UniformSelector(n_items)'
    )
  for arrays in (features, labels):
    check_rows(arrays, selector.n_items, 'items of the selector')
  base = _base_class(keras)

  class SelectionDataset(base):  # type: ignore[misc, valid-type]
    """Batches that a selector chooses."""

    def __init__(self) -> None:
      super().__init__(**arguments)
      self.selector = selector
      self.epoch = 0

    def __len__(self) -> int:
      return steps or -(-selector.n_items // batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
      chosen = selector.select(self.epoch * len(self) + index, batch_size)
      take = lambda array: np.asarray(array[chosen.items])  # noqa: E731
      x, y = tf.nest.map_structure(take, features), tf.nest.map_structure(take, labels)
      x = (x, chosen.items) if with_items else x
      return (x, y) if chosen.weights is None else (x, y, chosen.weights)

    def on_epoch_end(self) -> None:
      self.epoch += 1

  return SelectionDataset()


def _base_class(keras: str | None) -> type:
  """Returns the base class of a Keras's datasets."""
  legacy = os.environ.get('TF_USE_LEGACY_KERAS', '').lower() in ('1', 'true')
  name = ('tf_keras' if legacy else 'keras') if keras is None else keras
  if check_choice('keras', name, get_args(KerasName)) == 'tf_keras':
    import tf_keras

    return tf_keras.utils.Sequence
  import keras as keras_3

  return keras_3.utils.PyDataset
