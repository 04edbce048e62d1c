"""Counts of classes in batches: counted where they are drawn, written by a Keras callback."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_path, check_whole, format_value
from tfx_balance.documents.training_log import LoggedEpoch, LoggedShares, TrainingLog
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.keras_name import KerasName, keras_module
from tfx_balance.plan.adjustable_shares import AdjustableShares
from tfx_balance.plan.batch_draws import Draws
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import ScheduledWeights
from tfx_balance.tfrecord.storage import exists, read_whole, write_whole

KINDS = ('records', 'repeats', 'augmented')
MOST_SCALARS = 200
"""Classes with scalars of their own in TensorBoard; of more, the distribution is written."""


class BatchLog:
  """Counts of the classes in batches, for `train(log=)`; `log_batches` writes them.

  Batches are drawn before they are trained on, and an iterator that begins again draws the same
  ones again, so counts are kept by step until they are taken.
  """

  def __init__(self) -> None:
    self._rows: dict[int, npt.NDArray[np.int32]] = {}  # by step, [3, n_classes]
    self._least, self._lock = 0, threading.Lock()  # batches are drawn in threads of tf.data
    self._weights: ScheduledWeights | None = None
    self._is_augmented: Callable[[Draws], npt.NDArray[np.bool_]] | None = None
    self.label: str | None = None

  def begin(
    self,
    weights: ScheduledWeights,
    is_augmented: Callable[[Draws], npt.NDArray[np.bool_]],
    label: str | None,
  ) -> None:
    """Takes on the batches of one call of `train`.

    Raises:
      ConfigError: if it has those of another.
    """
    if self._weights is not None:
      raise ConfigError('log= is of another call of train; give each its own BatchLog()')
    self._weights, self._is_augmented, self.label = weights, is_augmented, label

  @property
  def weights(self) -> ScheduledWeights:
    """The weights of the batches.

    Raises:
      ConfigError: if no `train` has the log.
    """
    if self._weights is None:
      raise ConfigError('the log is of no batches; pass it to inputs.train(log=)')
    return self._weights

  def add(self, step: int, draws: Draws) -> None:
    """Counts the draws of the batches from a step on."""
    assert self._is_augmented is not None
    n = len(self.weights.counts.classes)
    augmented = self._is_augmented(draws)
    for i, classes in enumerate(draws.classes):
      masks = (None, draws.repeats[i], augmented[i])
      row = [np.bincount(classes if m is None else classes[m], minlength=n) for m in masks]
      with self._lock:
        if step + i >= self._least:
          self._rows[step + i] = np.array(row, np.int32)

  def take(self, first: int, end: int) -> Ints:
    """Returns the counts of the batches of some steps, which are kept no longer.

    Args:
      first: First step.
      end: Step after the last.

    Returns:
      int64 [3, n_classes]: records, repeats and augmented records.

    Raises:
      ConfigError: if a batch was not drawn here, or was taken before.
    """
    with self._lock:
      missing = [step for step in range(first, end) if step not in self._rows]
      if missing:
        raise ConfigError(
          f'the batch of step {missing[0]} is not in the log, and steps {first} to {end - 1} are '
          f'asked for; train on the dataset that has the log, and give start_step= of its train'
        )
      total = np.zeros((3, len(self.weights.counts.classes)), np.int64)
      for step in range(first, end):
        total += self._rows[step]
      self._least = end
      self._rows = {step: row for step, row in self._rows.items() if step >= end}
    return total

  def restart(self, step: int) -> None:
    """Lets batches be counted from a step on again, as when `fit` is called once more."""
    with self._lock:
      self._rows, self._least = {}, step


def log_batches(
  log: BatchLog,
  path: str | None = None,
  log_dir: str | None = None,
  *,
  start_step: int = 0,
  keras: KerasName | None = None,
) -> Any:
  """Returns a callback that writes what batches held, at the end of each epoch.

      log = BatchLog()
      callback = log_batches(log, 'training_batches.json', log_dir='logs')
      model.fit(inputs.train(64, log=log), steps_per_epoch=steps, callbacks=[callback])

  Of each class: its records, those that are repeats, and those that were augmented. Counts are of
  all hosts together, so one host may write them. The report reads the file, which also has the
  history of `AdjustableShares`.

  Args:
    log: Log of the batches that the model is trained on.
    path: Path of the JSON file, local or remote, such as `training_batches.json` in the model's
      folder; None for none.
    log_dir: Folder of TensorBoard's events: scalars `records/<class>` and so on by step, or where
      there are more than 200 classes, histograms `records`; None for none.
    start_step: Step at which the run goes on, as in `train`; the epochs that the file has up to it
      are kept.
    keras: Keras of the model: 'keras' (3) or 'tf_keras'; by default tf_keras where
      TF_USE_LEGACY_KERAS is set.

  Raises:
    ConfigError: if an argument breaks a rule; at the end of an epoch, if it was trained on batches
      that are not in the log.
  """
  check_log(log)
  path = None if path is None else check_path('path', path)
  log_dir = None if log_dir is None else check_path('log_dir', log_dir)
  check_whole('start_step', start_step, 0)
  if log_dir is not None and importlib.util.find_spec('tensorboard') is None:
    raise ConfigError(
      f'log_dir={log_dir!r} is for TensorBoard, which is not installed; install tensorboard, or '
      f'leave log_dir out'
    )
  if path is None and log_dir is None:
    raise ConfigError('path=None and log_dir=None: nothing is written; give one of them')

  class LogBatches(keras_module(keras).callbacks.Callback):  # type: ignore[misc]
    """Writes the class counts of batches at the end of each epoch."""

    def __init__(self) -> None:
      super().__init__()
      self.writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
      self.first = self.end = start_step
      self.epochs = earlier_epochs(path, start_step)
      if log_dir is not None:
        self.writer = tf.summary.create_file_writer(log_dir)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
      self.end = self.first + batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
      counts = log.take(self.first, self.end)
      rows = [tuple(row) for row in counts.tolist()]
      self.epochs.append(LoggedEpoch(self.end, *rows))
      self.first = self.end
      if path is not None:
        write_whole(path, training_log(log, self.epochs).dumps().encode())
      if self.writer is not None:
        _write_summaries(self.writer, log, counts, self.end)

    def on_train_end(self, logs: Any = None) -> None:
      log.restart(start_step)
      if self.writer is not None:
        self.writer.close()

  return LogBatches()


def check_log(log: Any) -> BatchLog:
  """Returns a log; raises ConfigError if it is none."""
  if not isinstance(log, BatchLog):
    raise ConfigError(f'log={format_value(log)} must be a BatchLog; make one by BatchLog()')
  return log


def earlier_epochs(path: str | None, start_step: int) -> list[LoggedEpoch]:
  """Returns the epochs of the file of a run that goes on, up to the step where it does."""
  if path is None or not start_step or not exists(path):
    return []
  written = TrainingLog.from_json(read_whole(path), path)
  return [epoch for epoch in written.epochs if epoch.step <= start_step]


def training_log(log: BatchLog, epochs: list[LoggedEpoch]) -> TrainingLog:
  """Returns the document of a log's epochs, with the history of its shares."""
  weights, changes = log.weights, []
  if isinstance(weights.schedule, AdjustableShares):
    for change in weights.schedule.changes:
      found = weights.of(change.shares)
      changes.append(LoggedShares(change.step, tuple(w / sum(found) for w in found)))
  return TrainingLog(log.label, weights.counts.classes, tuple(epochs), tuple(changes))


def _write_summaries(writer: Any, log: BatchLog, counts: Ints, step: int) -> None:
  """Writes counts by class to TensorBoard."""
  names = [str(value) for value in log.weights.counts.classes]
  with writer.as_default(step=step):
    for kind, row in zip(KINDS, counts.tolist(), strict=True):
      if len(names) > MOST_SCALARS:
        tf.summary.histogram(kind, row)
        continue
      for name, n in zip(names, row, strict=True):
        tf.summary.scalar(f'{kind}/{name}', n)
  writer.flush()
