"""A Keras callback that raises the shares of classes whose recall lags on the eval split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_number, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.balanced_inputs import BalancedInputs
from tfx_balance.inputs.keras_name import KerasName, keras_module
from tfx_balance.plan.adjustable_shares import AdjustableShares


def raise_lagging_classes(
  inputs: BalancedInputs,
  shares: AdjustableShares,
  evaluation: tf.data.Dataset,
  *,
  gain: float = 4.0,
  every: int = 1,
  steps_ahead: int | None = None,
  start_step: int = 0,
  keras: KerasName | None = None,
) -> Any:
  """Returns a callback that sets shares by each class's recall at the end of epochs.

  The ratio of a class is 1 + gain times what its recall lacks to the mean recall of the classes;
  see `raised_ratios`. It is also in the logs, as `recall/<class>`, for callbacks after this one.

      shares = AdjustableShares()
      evaluation = inputs.eval(256, data=(x_valid, y_valid), label_as='index')
      callback = raise_lagging_classes(inputs, shares, evaluation)
      model.fit(inputs.train(64, schedule=shares), steps_per_epoch=steps, callbacks=[callback])

  Args:
    inputs: Inputs whose classes are meant.
    shares: Schedule of the batches of `train`.
    evaluation: One pass over (features, class index), of records that are not trained on,
      as `inputs.eval(..., label_as='index')`.
      The model gives one output a class, float [B, n_classes], in the order of `inputs.classes`.
    gain: Gain, above 0; with 4, a class whose recall is 0.5 below the mean is drawn 3 times as
      often.
    every: Epochs from one change to the next, 1 or more.
    steps_ahead: Steps from the end of the epoch to the first batch with the new shares: on several
      hosts, which draw ahead by different numbers of batches, give one that no host has drawn yet,
      and the same on all. None for the first batch that is not drawn yet here.
    start_step: Step at which the run goes on, as in `train`.
    keras: Keras of the model: 'keras' (3) or 'tf_keras'; by default tf_keras where
      TF_USE_LEGACY_KERAS is set.

  Raises:
    ConfigError: if an argument breaks a rule; at the end of an epoch, if the model has another
      number of outputs, or a host has drawn the batch from which the shares are to change.
  """
  if not isinstance(shares, AdjustableShares):
    raise ConfigError(
      f'shares={format_value(shares)} must be an AdjustableShares; give that of train(schedule=)'
    )
  if not isinstance(evaluation, tf.data.Dataset):
    raise ConfigError(
      f'evaluation={format_value(evaluation)} must be a dataset; give for example inputs.eval(256, '
      f"data=(x_valid, y_valid), label_as='index')"
    )
  check_number('gain', gain, 0, fix='4 triples a class that is 0.5 below the mean')
  every = check_whole('every', every)
  if steps_ahead is not None:
    check_whole('steps_ahead', steps_ahead, 0)
  check_whole('start_step', start_step, 0)
  names = [str(value) for value in inputs.classes]

  class RaiseLaggingClasses(keras_module(keras).callbacks.Callback):  # type: ignore[misc]
    """Sets shares by each class's recall at the end of epochs."""

    def __init__(self) -> None:
      super().__init__()
      self.steps = start_step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
      self.steps_before = self.steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
      self.steps = self.steps_before + batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
      if (epoch + 1) % every:
        return
      recall = class_recall(self.model, evaluation, len(names))
      if logs is not None:
        logs.update({f'recall/{n}': r for n, r in zip(names, recall, strict=True) if r is not None})
      ratios = dict(zip(inputs.classes, raised_ratios(recall, gain), strict=True))
      step = shares.next_step if steps_ahead is None else self.steps + steps_ahead
      shares.set(step, ratios=ratios)

  return RaiseLaggingClasses()


def class_recall(model: Any, evaluation: tf.data.Dataset, n_classes: int) -> list[float | None]:
  """Returns the share of each class's records that a model gets right; None without any.

  Args:
    model: Keras model with one output a class.
    evaluation: One pass over (features, class index), or (..., sample weight).
    n_classes: Number of classes.

  Raises:
    ConfigError: if the model has another number of outputs.
  """
  right, tested = np.zeros(n_classes, np.int64), np.zeros(n_classes, np.int64)
  for features, classes, *_ in evaluation:  # and sample weights
    outputs: npt.NDArray[Any] = np.asarray(model.predict_on_batch(features))
    if outputs.ndim != 2 or outputs.shape[1] != n_classes:
      raise ConfigError(
        f'the model gives outputs of shape {outputs.shape}, and must give one for each of '
        f'{n_classes} classes: [B, {n_classes}]'
      )
    wanted = np.asarray(classes).reshape(-1)
    tested += np.bincount(wanted, minlength=n_classes)
    right += np.bincount(wanted[outputs.argmax(axis=1) == wanted], minlength=n_classes)
  return [int(r) / int(n) if n else None for r, n in zip(right, tested, strict=True)]


def raised_ratios(recall: Sequence[float | None], gain: float) -> list[float]:
  """Returns a ratio for each class: 1 + gain times what its recall lacks to the mean recall.

  A class at the mean or above has the ratio 1, and so has one whose recall is not known. Ratios
  depend on the present recall alone, so a class that has caught up goes back to 1. The idea, with
  F1 scores, is that of Pouyanfar et al. 2018, "Dynamic sampling in convolutional neural networks
  for imbalanced data classification". They are rounded to thousandths, so that hosts agree.

  >>> raised_ratios([1.0, 0.5, None, 0.0], gain=4)
  [1.0, 1.0, 1.0, 3.0]

  Args:
    recall: Recall of each class, 0 to 1; None where it is not known.
    gain: Gain, above 0.
  """
  measured = [value for value in recall if value is not None]
  mean = sum(measured) / len(measured) if measured else 0.0
  lacking = [0.0 if value is None else max(mean - value, 0.0) for value in recall]
  return [round(1 + gain * lack, 3) for lack in lacking]
