"""Trains the arms of a fold with Keras, each loss traced once in a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import shown
from tfx_balance.compare.arms import ADJUSTED
from tfx_balance.compare.judging import Fold
from tfx_balance.compare.metrics import Floats
from tfx_balance.compare.processes import call_in_processes
from tfx_balance.compare.remedy import Remedy, keras_of
from tfx_balance.compare.threshold import shifted
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.balanced_inputs import BalancedInputs
from tfx_balance.plan.ranks import Ints

_PREDICTED = 1024  # records at a time
_compiled: dict[tuple[str, bool], _Compiled] = {}


class OutOfTimeError(Exception):
  """The time of a comparison is up."""


@dataclass(frozen=True)
class Task:
  """One fold.

  Attributes:
    repeat: Number of the repetition.
    seed: Seed of the weights and of the batches.
    trained: Records to train on, int64.
    tested: Records to test, int64.
  """

  repeat: int
  seed: int
  trained: Ints
  tested: Ints


@dataclass(frozen=True)
class Training:
  """What all folds share.

  Attributes:
    run: Text that no other comparison has.
    make_model: Function that returns a Keras model that ends in logits.
    features: Array or nest of arrays, [n, ...] each.
    labels: Index of each record's class, [n].
    remedies: Remedies by arm, of trained arms.
    steps: Batches to train on.
    batch_size: Records in each.
    deadline: Time when it is to stop, as `time.time` gives it.
  """

  run: str
  make_model: Callable[[], Any]
  features: Any
  labels: Ints
  remedies: Mapping[str, Remedy]
  steps: int
  batch_size: int
  deadline: float

  def folds(self, tasks: Sequence[Task], processes: int) -> Iterator[Fold]:
    """Yields the scores of folds as they are done, and ends early when time is up."""
    if processes == 1 or tf.config.list_physical_devices('GPU'):
      done: Iterator[Fold | None] = map(self.fold, tasks)
    else:
      rest = replace(self, features=None, labels=np.empty(0, np.int64))
      data = (self.features, self.labels)
      done = call_in_processes(partial(_in_process, rest), data, tasks, processes)
    for fold in done:
      if fold is not None:
        yield fold

  def fold(self, task: Task) -> Fold | None:
    """Returns the scores of all arms on the records of a fold; None when time is up."""
    inputs = BalancedInputs.from_arrays(
      self._rows(task.trained), self.labels[task.trained], seed=task.seed
    )
    # Keras 3 takes texts of a dataset, and none of arrays.
    tested = tf.data.Dataset.from_tensor_slices((self._rows(task.tested),)).batch(_PREDICTED)
    models = {arm: self._model(remedy) for arm, remedy in self.remedies.items()}
    seed_all = next(iter(models.values())).keras.utils.set_random_seed
    seed_all(task.seed)
    start = [np.array(variable) for variable in self._new_model().variables]
    log_p = {}
    try:
      for arm, model in models.items():
        model.begin(start)
        seed_all(task.seed)
        log_p[arm] = self._score(model, inputs, self.remedies[arm], tested)
    except OutOfTimeError:
      return None
    return Fold(task.repeat, task.tested, len(task.trained), log_p)

  def _score(
    self, trained: _Compiled, inputs: BalancedInputs, remedy: Remedy, tested: tf.data.Dataset
  ) -> Floats:
    """Returns log probabilities of records by a model after training it."""
    trained.model.fit(
      inputs.train(self.batch_size, **remedy.train),
      steps_per_epoch=self.steps,
      shuffle=False,
      class_weight=remedy.class_weight,
      callbacks=[trained.stop_at(self.deadline)],
      verbose=0,
    )
    logits = trained.model.predict(tested, verbose=0)
    if not all(np.isfinite(values).all() for values in (logits, *trained.model.get_weights())):
      raise DataError(
        f'after {self.steps} steps with {remedy.name}, the model has weights or logits that are '
        f'NaN or infinite; fill in such values in the features, or lower the learning rate'
      )
    return shifted(logits, np.zeros(logits.shape[1]))

  def _new_model(self) -> Any:
    return new_model(self.make_model, self.features)[0]

  def _rows(self, rows: Ints) -> Any:
    return tf.nest.map_structure(lambda array: array[rows], self.features)

  def _model(self, remedy: Remedy) -> _Compiled:
    """Returns the model of a loss, which is made once in a process."""
    key = (self.run, remedy.name == ADJUSTED)
    if key not in _compiled:
      for old in [other for other in _compiled if other[0] != self.run]:
        del _compiled[old]
      _compiled[key] = _Compiled(self._new_model(), remedy)
    return _compiled[key]


class _Compiled:
  """A model with its loss, which begins anew for every fold and arm."""

  def __init__(self, model: Any, remedy: Remedy) -> None:
    """Compiles it, with its own optimizer, or Adam where it has none."""
    self.model = model
    self.keras = keras_of(model)
    optimizer = getattr(model, 'optimizer', None) or self.keras.optimizers.Adam()
    model.compile(optimizer, remedy.loss)
    for name in ('train_step', 'test_step'):  # AutoGraph would rewrite all of tf_keras
      setattr(model, name, tf.autograph.experimental.do_not_convert(getattr(model, name)))
    self._variables = _made_variables(model.optimizer, model.trainable_variables)
    self._start = [np.array(variable) for variable in self._variables]

  def begin(self, start: Sequence[Any]) -> None:
    """Gives the model the state of a new one, and the optimizer that which it began with.

    The state of random layers is one of the model's variables in Keras 3; in tf_keras the graph
    has it, so that it is made again.
    """
    variables = [*self.model.variables, *self._variables]
    for variable, value in zip(variables, [*start, *self._start], strict=True):
      variable.assign(value)
    if any(hasattr(layer, '_random_generator') for layer in getattr(self.model, 'submodules', ())):
      self.model.make_train_function(force=True)

  def stop_at(self, deadline: float) -> Any:
    """Returns a callback that raises OutOfTimeError when it is later than the deadline."""

    def check(step: int, logs: Any = None) -> None:
      if time.time() > deadline:
        raise OutOfTimeError

    return self.keras.callbacks.LambdaCallback(on_train_batch_begin=check)


def new_model(make_model: Callable[[], Any], features: Any) -> tuple[Any, Any]:
  """Returns a Keras model and its output for two records, which makes its weights."""
  model = make_model()
  keras_of(model)
  two = tf.nest.map_structure(lambda array: tf.convert_to_tensor(array[:2]), features)
  return model, model(two)


def check_unshared(model: Any, other: Any) -> None:
  """Checks that two models have no trained weights in common.

  Raises:
    ConfigError: if they have: what one fold trains would be known to the next.
  """
  weights = {id(weight) for weight in model.trainable_weights}
  shared = [weight.name for weight in other.trainable_weights if id(weight) in weights]
  if shared:
    raise ConfigError(
      f'two models of make_model share the weights {shown(shared)}; make every layer that is '
      f'trained inside of make_model, and load weights there'
    )


def _made_variables(optimizer: Any, weights: Sequence[Any]) -> list[Any]:
  """Returns the variables of an optimizer of Keras 3 or tf_keras after it made them for weights."""
  make = getattr(optimizer, 'build', None) or optimizer._create_all_weights  # legacy optimizers
  make(weights)
  found = optimizer.variables
  return list(found() if callable(found) else found)


def _in_process(training: Training, data: tuple[Any, Ints], task: Task) -> Fold | None:
  """Returns the scores of a fold, in a process of one thread."""
  if not _compiled:
    try:
      tf.config.threading.set_intra_op_parallelism_threads(1)
      tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow has run in this process: of an earlier comparison
      pass
  features, labels = data
  return replace(training, features=features, labels=labels).fold(task)
