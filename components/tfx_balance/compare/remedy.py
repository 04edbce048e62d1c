"""A remedy, ready to use: what to train with, and what to do with the scores."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np

from tfx_balance.arguments import format_value
from tfx_balance.compare.arms import ARMS
from tfx_balance.documents.json_document import Count, Document
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.keras_name import KerasName, keras_module
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.sampling import log_shares

if TYPE_CHECKING:
  from tfx_balance.inputs.losses import Loss

HYPERPARAMETER = 'tfx_balance.remedy'

AVERAGED = 5
"""Models whose mean is taken where a mean is the remedy."""
_AUTOMATIC = re.compile(r'(keras_tensor|input_layer|input)(_\d+)?')  # names that Keras gives inputs
_PROBABILITIES = ('softmax', 'sigmoid')
_OPERATION = re.compile(r'tf\.(nn|math|keras\.activations)\.(softmax|sigmoid)(_\d+)?')


@dataclass(frozen=True)
class Remedy(Document):
  """A remedy for classes of given numbers of records.

  `inputs.train(64, **remedy.train)`, `compile(loss=remedy.loss)` and
  `fit(class_weight=remedy.class_weight)` train with it, and `attach` adds what it does with the
  scores.

  Attributes:
    name: One of `tfx_balance.compare.arms.ARMS`.
    classes: Classes in canonical order.
    records: Records of each class in the data that it was chosen for, [n_classes].
    shift: What is added to the logits of each class, [n_classes].
    cost: Cost of putting a record of class i into class j, [n_classes, n_classes]; empty for none.
    features: Numeric features that SMOTE moves.
    categorical: Other features that it takes over whole.
  """

  FORMAT: ClassVar[str] = 'tfx_balance.remedy'
  VERSION: ClassVar[int] = 1
  NAME: ClassVar[str] = 'the remedy'

  name: str
  classes: tuple[ClassValue, ...]
  records: tuple[Count, ...]
  shift: tuple[float, ...]
  cost: tuple[tuple[float, ...], ...] = field(default=(), metadata={'null': ()})
  features: tuple[str, ...] = field(default=(), metadata={'null': ()})
  categorical: tuple[str, ...] = field(default=(), metadata={'null': ()})

  @classmethod
  def from_fn_args(cls, fn_args: Any) -> Remedy:
    """Returns the remedy that a TFX Tuner chose by `compare_tuner`, in a Trainer's `run_fn`.

    Args:
      fn_args: Argument of `run_fn`, whose hyperparameters are those of the Tuner.

    Raises:
      DataError: if there is none, or it cannot be read.
    """
    given = getattr(fn_args, 'hyperparameters', None)
    values = given.get('values', given) if isinstance(given, dict) else {}
    if HYPERPARAMETER not in values:
      raise DataError(
        'fn_args.hyperparameters has no remedy; give the Trainer '
        "hyperparameters=tuner.outputs['best_hyperparameters'] of a Tuner with compare_tuner"
      )
    return cls.from_json(values[HYPERPARAMETER], 'fn_args.hyperparameters')

  @property
  def average(self) -> int:
    """Number of models whose mean probability it takes, each trained on other 4/5 of the data."""
    return AVERAGED if ARMS[self.name].averaged else 1

  @property
  def train(self) -> dict[str, Any]:
    """Arguments of `BalancedInputs.train`, labels as indices into `classes`."""
    arguments = {**ARMS[self.name].sampling, 'label_as': 'index'}
    if ARMS[self.name].way == 'smote':
      from tfx_balance.augment.tabular import Smote

      arguments['augment_fn'] = Smote(self.features, self.categorical)
    return arguments

  @property
  def loss(self) -> Loss:
    """Loss of class indices, [B], and logits, float [B, n_classes]; float [B]."""
    from tfx_balance.inputs.losses import logit_adjusted_cross_entropy

    return logit_adjusted_cross_entropy(log_shares(self.records), ARMS[self.name].tau)

  @property
  def class_weight(self) -> dict[int, float] | None:
    """Weight of each class for `fit(class_weight=)`; None where there are none."""
    arm = ARMS[self.name]
    return dict(enumerate(arm.weights(self.records).tolist())) if arm.way == 'weights' else None

  def attach(self, model: Any) -> Any:
    """Returns a Keras model of the same inputs that decides as the remedy does.

    Args:
      model: Keras model, built, whose one output are logits, [n, n_classes]; or a list of such, of
        the same inputs, whose mean probabilities count.

    Returns:
      A model with the outputs 'scores' (probabilities of the model, [n, n_classes]), 'adjusted'
      (after the shift, [n, n_classes]) and 'label' (index into `classes`, [n]).

    Raises:
      ConfigError: if a model has no inputs of its own, another number of outputs, or other inputs
        than the first; if there is one model, and the remedy is the mean of several.
    """
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    if not models or (ARMS[self.name].averaged and len(models) < 2):
      several = 'the mean of several models' if models else 'for one model or more'
      raise ConfigError(
        f'model={format_value(model)} has {len(models)} models, and the remedy {self.name} is '
        f'{several}; give a list of them, such as [one.model for one in answer.fit(x, y).models]'
      )
    logits = [self._logits_of(one) for one in models]
    keras = keras_of(models[0])
    inputs = _inputs_of(models[0])
    for i, one in enumerate(models[1:], 1):
      own, wanted = _form_of(_inputs_of(one)), _form_of(inputs)
      if own != wanted:
        raise ConfigError(
          f'model {i} has the inputs {own}, and model 0 has {wanted}; give models of the same '
          f'inputs'
        )
      # Two models may have one name, which layers of a model may not.
      part = keras.Model(_inputs_of(one), logits[i], name=f'averaged_{i}')
      logits[i] = part(inputs)
    softmax = functools.partial(keras.layers.Softmax, dtype='float32')
    if len(models) == 1:
      scores = softmax(name='scores')(logits[0])
      log_scores = logits[0]
    else:
      each = [softmax()(one) for one in logits]
      scores = keras.layers.Average(name='scores', dtype='float32')(each)
      log_scores = _operations(keras).log(scores)
    moved = keras.layers.Rescaling(1.0, list(self.shift), dtype='float32')(log_scores)
    adjusted = softmax(name='adjusted')(moved)
    gains = -np.array(self.cost, np.float32) if self.cost else np.eye(len(self.shift))
    decide = keras.layers.Dense(
      len(self.shift), use_bias=False, trainable=False, name='gains', dtype='float32'
    )
    label = _operations(keras).argmax(decide(adjusted), axis=-1)
    decide.set_weights([gains])
    if keras.__name__ != 'keras':
      # A SavedModel of tf_keras names its outputs by their layers.
      label = keras.layers.Identity(name='label')(label)
    return keras.Model(inputs, {'scores': scores, 'adjusted': adjusted, 'label': label})

  def _logits_of(self, model: Any) -> Any:
    """Returns the symbolic logits of a model; raises ConfigError if it has none."""
    outputs = getattr(model, 'outputs', None)
    if not outputs or not model.inputs:
      raise ConfigError(
        f'{type(model).__name__} has no inputs of its own; give a functional or sequential model '
        f'that was built, such as keras.Sequential([keras.Input([8]), ...])'
      )
    keras_of(model)
    return check_logits(model, outputs[0] if len(outputs) == 1 else outputs, len(self.classes))


def _inputs_of(model: Any) -> Any:
  """Returns the symbolic inputs of a model."""
  # A sequential model has one input; `input` of Keras 3's is that of its first call.
  return model.inputs[0] if type(model).__name__ == 'Sequential' else model.input


def _form_of(inputs: Any) -> Any:
  """Returns type and shape of inputs, by name where there are several."""
  if isinstance(inputs, dict):
    return {name: _form_of(one) for name, one in sorted(inputs.items())}
  if isinstance(inputs, (list, tuple)):
    names = ['' if _AUTOMATIC.fullmatch(one.name) else f'{one.name}: ' for one in inputs]
    return [name + _form_of(one) for name, one in zip(names, inputs, strict=True)]
  return f'{getattr(inputs.dtype, "name", inputs.dtype)} {list(inputs.shape[1:])}'


def _operations(keras: Any) -> Any:
  """Returns the module that has `log` and `argmax` of a Keras's symbols."""
  if keras.__name__ == 'keras':
    return keras.ops
  import tensorflow as tf

  return tf.math


def keras_of(model: Any) -> Any:
  """Returns the module of the Keras that a model is of; raises ConfigError if it is none."""
  packages = {kind.__module__.partition('.')[0] for kind in type(model).__mro__}
  for name in get_args(KerasName):
    if name in packages:
      return keras_module(name)
  raise ConfigError(f'{type(model).__name__} is not a Keras model; make_model must return one')


def check_logits(model: Any, output: Any, n_classes: int) -> Any:
  """Returns the output of a model, one logit for each class.

  Args:
    model: Keras model.
    output: What it returns, for records or for symbols.
    n_classes: Number of classes.

  Raises:
    ConfigError: if it is several tensors, for another number of classes, or ends in probabilities.
  """
  fix = f'end it in Dense({n_classes}) without activation'
  shape = getattr(output, 'shape', None)
  if shape is None or len(shape) != 2 or shape[-1] not in (1, n_classes):
    what = f'shape {tuple(shape)}' if shape is not None else f'type {type(output).__name__}'
    raise ConfigError(
      f'the output of the model is of {what}, and there are {n_classes} classes; {fix}'
    )
  last = _last_operation(model)
  activation = getattr(getattr(last, 'activation', None), '__name__', 'linear')
  named = f'{type(last).__name__} {last.name!r}'
  if shape[-1] == 1:
    raise ConfigError(
      f'the model ends in {named} of width 1 with activation {activation}, which '
      f'makes one number of a record, and remedies are of logits, one for each of {n_classes} '
      f'classes; {fix}, and train it with SparseCategoricalCrossentropy(from_logits=True)'
    )
  kinds = {activation, type(last).__name__.lower()}  # tf_keras has the kind in an operation's name
  if not kinds.isdisjoint(_PROBABILITIES) or _OPERATION.fullmatch(last.name):
    raise ConfigError(
      f'the model ends in {named}, which makes probabilities, and remedies are of logits; {fix}'
    )
  rows = np.asarray(output.numpy(), np.float64) if hasattr(output, 'numpy') else np.empty((0, 1))
  if len(rows) and ((rows >= 0) & (rows <= 1)).all() and (abs(rows.sum(axis=1) - 1) < 1e-3).all():
    raise ConfigError(
      f'the model ends in {named} and gives {rows[0].round(3).tolist()}, which add up to 1 as '
      f'probabilities do, and remedies are of logits; {fix}, and without a softmax of your own'
    )
  return output


def _last_operation(model: Any) -> Any:
  """Returns the layer or operation that makes the output of a model, of nested ones the inner."""
  last = model
  while True:
    outputs = getattr(last, 'outputs', None)
    history = getattr(outputs[0], '_keras_history', None) if outputs else None
    if history is not None:
      last = history[0]
    elif getattr(last, 'layers', None):
      last = last.layers[-1]
    else:
      return last
