"""Trains the arms of a fold with Keras, each model traced once in a process."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import format_value
from tfx_balance.compare.arms import ARMS, TRAINED, Floats
from tfx_balance.compare.remedy import Remedy, check_logits, keras_of
from tfx_balance.compare.threshold import shifted
from tfx_balance.compare.trainers import Fold, OutOfTimeError, Task, Trainer
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.array_nests import as_nest, check_rows
from tfx_balance.inputs.balanced_inputs import BalancedInputs
from tfx_balance.inputs.keras_name import KerasName, keras_module
from tfx_balance.inputs.online_augment import ARRAY
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import log_shares

_PREDICTED = 1024  # records at a time
_VALIDATIONS = 10  # of a training with callbacks
_compiled: dict[str, _Compiled] = {}


@dataclass(frozen=True)
class FittedKeras:
  """A Keras model that ends in logits and was trained."""

  model: Any

  def log_p(self, x: Any) -> Floats:
    """Returns log probabilities of records: float64 [n, n_classes]."""
    # Keras 3 takes texts of a dataset, and none of arrays.
    data = tf.data.Dataset.from_tensor_slices((arrays_of(x),)).batch(_PREDICTED)
    return shifted(self.model.predict(data, verbose=0), 0)


@dataclass(frozen=True)
class KerasTraining(Trainer):
  """Trains Keras models on records, whose features are a nest of arrays, [n, ...] each.

  Attributes:
    run: Text that no other comparison has, under which models are kept.
    make_model: Function that returns a Keras model that ends in logits.
    takes_rows: Whether the function takes features and class indices of what is trained on.
    steps: Batches to train on.
    batch_size: Records in each.
    callbacks: Function that returns new callbacks of a training, or None.
    keras: Keras of the models.
    policy: Name of its dtype policy, such as 'mixed_float16'.
  """

  run: str
  make_model: Callable[..., Any]
  takes_rows: bool
  steps: int = 400
  batch_size: int = 64
  callbacks: Callable[[], Sequence[Any]] | None = None
  keras: KerasName = 'keras'
  policy: str = 'float32'

  @classmethod
  def of(
    cls,
    make_model: Callable[..., Any],
    takes_rows: bool,
    x: Any,
    labels: Ints,
    plain: Remedy,
    deadline: float,
    model: Any = None,
    **options: Any,
  ) -> KerasTraining:
    """Returns the training of models that a function makes.

    Args:
      make_model: Function that returns a model.
      takes_rows: Whether it takes features and class indices.
      x: Features as `BalancedInputs.from_arrays` takes them.
      labels: Index of each record's class, [n].
      plain: Remedy of the classes that does nothing.
      deadline: Time when it is to stop.
      model: Model that the function made, to be checked; None for one that it makes now.
      **options: `steps`, `batch_size` and `callbacks`, those that are given.

    Raises:
      ConfigError: if the model does not end in logits.
      DataError: if x has another number of rows, or is a list of files.
    """
    check_no_paths(x)
    features = arrays_of(x)
    check_rows(features, len(labels), 'labels')
    run = uuid.uuid4().hex
    made = cls(features, labels, {}, (), deadline, run, make_model, takes_rows, **options)
    if model is None:
      model = made._new_model(np.arange(len(labels)))
    check_logits(model, made._output(model), len(plain.classes))
    moved, whole, left_out = smote_columns(features, model)
    remedies = {name: replace(plain, name=name) for name in TRAINED if ARMS[name].way != 'smote'}
    if moved:
      smote = (name for name in TRAINED if ARMS[name].way == 'smote')
      remedies |= {n: replace(plain, name=n, features=moved, categorical=whole) for n in smote}
    keras = keras_of(model)
    return replace(
      made,
      remedies=remedies,
      left_out=left_out,
      keras=keras.__name__,
      policy=keras.mixed_precision.global_policy().name,
    )

  def folds(self, tasks: Sequence[Task], processes: int) -> Iterator[Fold]:
    """Yields the scores of folds; see `Trainer.folds`. A GPU is used by this process alone."""
    return super().folds(tasks, 1 if tf.config.list_physical_devices('GPU') else processes)

  def begin(self) -> None:
    """Prepares another process: for one thread, and for the dtype policy of this one."""
    if not _compiled:
      try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
      except RuntimeError:  # TensorFlow has run in this process: of an earlier comparison
        pass
    keras_module(self.keras).mixed_precision.set_global_policy(self.policy)

  def scores(self, task: Task, remedy: Remedy) -> Floats:
    """Returns the log probabilities of a fold's tested records; see `Trainer.scores`.

    Raises:
      DataError: if weights or probabilities are not finite.
    """
    fitted = self._trained(task.trained, remedy, task.seed)
    log_p = fitted.log_p(self._rows(task.tested))
    if not all(np.isfinite(values).all() for values in (log_p, *fitted.model.get_weights())):
      raise DataError(
        f'after {self.steps} steps with {remedy.name}, the model has weights or logits that are '
        f'NaN or infinite; fill in such values in the features, or lower the learning rate'
      )
    return log_p

  def fit(self, x: Any, labels: Ints, rows: Ints, remedy: Remedy, seed: int) -> FittedKeras:
    """Returns a model of its own that was trained on rows of records with a remedy."""
    own = replace(self, features=arrays_of(x), labels=labels, deadline=np.inf)
    if self.takes_rows:  # so that no model of other data with as many rows is taken
      own = replace(own, run=uuid.uuid4().hex)
    trained = own._trained(rows, remedy, seed).model
    model = own._new_model(rows)
    model.set_weights(trained.get_weights())
    return FittedKeras(model)

  def settings(self, arms: Collection[str]) -> dict[str, KerasTraining]:
    """Returns trainers of these arms for half as many batches and for twice as many."""
    remedies = {name: self.remedies[name] for name in arms}
    return {
      f'{steps:,} batches': replace(self, steps=steps, remedies=remedies)
      for steps in (max(self.steps // 2, 1), 2 * self.steps)
    }

  def _trained(self, rows: Ints, remedy: Remedy, seed: int) -> FittedKeras:
    """Returns the model of this process after training it on records with a remedy.

    Raises:
      ConfigError: if two models share weights.
      OutOfTimeError: if time is up.
    """
    remedy = replace(remedy, records=tuple(self.counts(rows).tolist()))
    compiled = self._compiled(rows)
    seed_all = compiled.keras.utils.set_random_seed
    seed_all(seed)
    if compiled.seed != seed:  # the arms of a fold begin with equal weights
      new = self._new_model(rows)
      check_unshared(compiled.model, new)
      compiled.seed, compiled.start = seed, [np.array(variable) for variable in new.variables]
    seed_all(seed)
    adjusted = np.array(log_shares(remedy.records)) * ARMS[remedy.name].tau
    compiled.begin(adjusted)
    options: dict[str, Any] = {'steps_per_epoch': self.steps}
    callbacks = [compiled.stop_at(self.deadline)]
    if self.callbacks is not None:
      parts = stratified_indices(self.labels[rows], {'train': 9, 'validation': 1}, seed=seed)
      validation, rows = rows[parts['validation']], rows[np.sort(parts['train'])]
      data = tf.data.Dataset.from_tensor_slices((self._rows(validation), self.labels[validation]))
      options = {
        'validation_data': data.batch(_PREDICTED),
        'epochs': min(_VALIDATIONS, self.steps),
        'steps_per_epoch': max(self.steps // _VALIDATIONS, 1),
      }
      callbacks += self.callbacks()
    inputs = BalancedInputs.from_arrays(self._rows(rows), self.labels[rows], seed=seed)
    compiled.model.fit(
      inputs.train(self.batch_size, **remedy.train),
      **options,
      shuffle=False,
      class_weight=remedy.class_weight,
      callbacks=callbacks,
      verbose=0,
    )
    return FittedKeras(compiled.model)

  def _new_model(self, rows: Ints) -> Any:
    """Returns a new model that has weights."""
    model = self.make_model(*((self._rows(rows), self.labels[rows]) if self.takes_rows else ()))
    self._output(model)
    return model

  def _output(self, model: Any) -> Any:
    """Returns the output of a model for two records, which makes its weights."""
    keras_of(model)
    two = tf.nest.map_structure(lambda array: tf.convert_to_tensor(array[:2]), self.features)
    return model(two)

  def _rows(self, rows: Ints) -> Any:
    return tf.nest.map_structure(lambda array: array[rows], self.features)

  def _compiled(self, rows: Ints) -> _Compiled:
    """Returns the model of a run, made once in a process, or once for each rows it is made of."""
    key = f'{self.run} {hash(rows.tobytes())}' if self.takes_rows else self.run
    if key not in _compiled:
      _compiled.clear()
      _compiled[key] = _Compiled(self._new_model(rows), len(self.counts(rows)))
    return _compiled[key]


class _Compiled:
  """A model with its loss, which begins anew for every fold and arm.

  Attributes:
    seed: Seed of the values that it begins with; None before the first fold.
    start: These values, of a new model's variables.
  """

  def __init__(self, model: Any, n_classes: int) -> None:
    """Compiles it, with its own optimizer, or Adam where it has none."""
    self.seed: int | None = None
    self.start: list[Any] = []
    self.model = model
    self.keras = keras_of(model)
    self._adjusted = adjusted = tf.Variable(tf.zeros(n_classes))

    def loss(labels: Any, logits: Any) -> Any:
      own = tf.cast(logits, tf.float32) + adjusted
      return tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.reshape(tf.cast(labels, tf.int64), [-1]), own
      )

    optimizer = getattr(model, 'optimizer', None) or self.keras.optimizers.Adam()
    model.compile(optimizer, loss)
    for name in ('train_step', 'test_step'):  # AutoGraph would rewrite all of tf_keras
      setattr(model, name, tf.autograph.experimental.do_not_convert(getattr(model, name)))
    self._variables = _made_variables(model.optimizer, model.trainable_variables)
    self._start = [np.array(variable) for variable in self._variables]

  def begin(self, adjusted: Any) -> None:
    """Gives the model the state of a new one, and the optimizer that which it began with.

    The state of random layers is one of the model's variables in Keras 3; in tf_keras the graph
    has it, so that it is made again.

    Args:
      adjusted: What the loss adds to the logits, [n_classes].
    """
    self._adjusted.assign(adjusted)
    variables = [*self.model.variables, *self._variables]
    for variable, value in zip(variables, [*self.start, *self._start], strict=True):
      variable.assign(value)
    if any(hasattr(layer, '_random_generator') for layer in getattr(self.model, 'submodules', ())):
      self.model.make_train_function(force=True)

  def stop_at(self, deadline: float) -> Any:
    """Returns a callback that raises OutOfTimeError when it is later than the deadline."""

    def check(step: int, logs: Any = None) -> None:
      if time.time() > deadline:
        raise OutOfTimeError

    return self.keras.callbacks.LambdaCallback(on_train_batch_begin=check)


def arrays_of(x: Any) -> Any:
  """Returns features as a nest of NumPy arrays."""
  return tf.nest.map_structure(np.asarray, as_nest(x))


_IMAGES = ('.png', '.jpg', '.jpeg', '.bmp', '.gif', '.tif', '.tiff')


def check_no_paths(x: Any) -> None:
  """Checks that features are no names of image files.

  Raises:
    DataError: if they are.
  """
  first = x[0] if isinstance(x, (list, tuple, np.ndarray)) and len(x) else None
  if isinstance(first, (str, os.PathLike)) and str(first).lower().endswith(_IMAGES):
    raise DataError(
      f'x is a list of files, such as {format_value(str(first))}, and compare takes what is in '
      f'them; give an array, such as '
      f'np.stack([keras.utils.img_to_array(keras.utils.load_img(file)) ...])'
    )


def smote_columns(features: Any, model: Any) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
  """Returns the features that SMOTE moves, those it takes over whole, and what to say of it.

  Integers of a model that has an Embedding are codes, which SMOTE takes over whole.

  Args:
    features: Nest of arrays.
    model: Keras model.
  """
  columns = features if isinstance(features, dict) else {ARRAY: features}
  words = next((name for name, arm in ARMS.items() if arm.way == 'smote'), '')
  if not all(hasattr(column, 'ndim') and column.ndim <= 2 for column in columns.values()):
    return (), (), [f'{words} is left out: it moves the numbers of a table, and x is none.']
  layers = getattr(model, '_flatten_layers', lambda: ())()
  kinds = 'f' if any(type(layer).__name__ == 'Embedding' for layer in layers) else 'fiu'
  moved = tuple(name for name, column in columns.items() if column.dtype.kind in kinds)
  whole = tuple(name for name in columns if name not in moved)
  if not moved or any(columns[name].size != len(columns[name]) for name in whole):
    why = 'no numbers to move' if not moved else 'categories of several values a record'
    return (), (), [f'{words} is left out: x has {why}.']
  if whole:
    return moved, whole, [f'{words} moves {", ".join(moved)} and takes over {", ".join(whole)}.']
  return moved, whole, []


def check_unshared(model: Any, other: Any) -> None:
  """Checks that two models have no trained weights in common.

  Raises:
    ConfigError: if they have: what one fold trains would be known to the next.
  """
  weights = {id(weight) for weight in model.trainable_weights}
  shared = [weight.name for weight in other.trainable_weights if id(weight) in weights]
  if shared:
    raise ConfigError(
      f'two models of make_model share the weights {format_value(shared)}; make every layer that '
      f'is trained inside of make_model, and load weights there'
    )


def _made_variables(optimizer: Any, weights: Sequence[Any]) -> list[Any]:
  """Returns the variables of an optimizer of Keras 3 or tf_keras after it made them for weights."""
  make = getattr(optimizer, 'build', None) or optimizer._create_all_weights  # legacy optimizers
  make(weights)
  found = optimizer.variables
  return list(found() if callable(found) else found)
