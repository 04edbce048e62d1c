"""A remedy, ready to use: what to train with, and what to do with the scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np

from tfx_balance.compare.arms import ADJUSTED, ARMS
from tfx_balance.documents.json_document import Count, Document
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.keras_name import KerasName, keras_module
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.sampling import class_weights, log_shares

if TYPE_CHECKING:
  from tfx_balance.inputs.losses import Loss

HYPERPARAMETER = 'tfx_balance.remedy'


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

    tau = 1.0 if self.name == ADJUSTED else 0.0
    return logit_adjusted_cross_entropy(log_shares(self.records), tau)

  @property
  def class_weight(self) -> dict[int, float] | None:
    """Weight of each class for `fit(class_weight=)`; None where there are none."""
    if ARMS[self.name].way != 'weights':
      return None
    return dict(enumerate(class_weights(self.records, self.records)))

  def attach(self, model: Any) -> Any:
    """Returns a Keras model of the same inputs that decides as the remedy does.

    Args:
      model: Keras model, built, whose one output are logits, [n, n_classes].

    Returns:
      A model with the outputs 'scores' (probabilities of the model, [n, n_classes]), 'adjusted'
      (after the shift, [n, n_classes]) and 'label' (index into `classes`, [n]).

    Raises:
      ConfigError: if the model has no inputs of its own, or another number of outputs.
    """
    outputs = getattr(model, 'outputs', None)
    if not outputs or not model.inputs:
      raise ConfigError(
        f'{type(model).__name__} has no inputs of its own; give a functional or sequential model '
        f'that was built, such as keras.Sequential([keras.Input([8]), ...])'
      )
    output = outputs[0] if len(outputs) == 1 else outputs
    logits = check_logits(model, output, len(self.classes))
    keras = keras_of(model)
    scores = keras.layers.Softmax(name='scores')(logits)
    moved = keras.layers.Rescaling(1.0, list(self.shift), dtype='float32')(logits)
    adjusted = keras.layers.Softmax(name='adjusted')(moved)
    gains = -np.array(self.cost, np.float32) if self.cost else np.eye(len(self.shift))
    decide = keras.layers.Dense(len(self.shift), use_bias=False, trainable=False, name='gains')
    gain = decide(adjusted)
    decide.set_weights([gains])
    if keras.__name__ == 'keras':
      label = keras.ops.argmax(gain, axis=-1)
    else:
      import tensorflow as tf

      # A SavedModel of tf_keras names its outputs by their layers.
      label = keras.layers.Identity(name='label')(tf.argmax(gain, axis=-1))
    made = {'scores': scores, 'adjusted': adjusted, 'label': label}
    # A sequential model has one input; `input` of Keras 3's is that of its first call.
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.Model(inputs, made)


def keras_of(model: Any) -> Any:
  """Returns the module of the Keras that a model is of; raises ConfigError if it is no model."""
  packages = {kind.__module__.partition('.')[0] for kind in type(model).__mro__}
  for name in get_args(KerasName):
    if name in packages:
      return keras_module(name)
  raise ConfigError(f'{type(model).__name__} is no Keras model; make_model must return one')


def check_logits(model: Any, output: Any, n_classes: int) -> Any:
  """Returns the output of a model, one logit for each class.

  Args:
    model: Keras model.
    output: What it returns, for records or for symbols.
    n_classes: Number of classes.

  Raises:
    ConfigError: if it is several tensors, for another number of classes, or ends in probabilities.
  """
  shape = getattr(output, 'shape', None)
  if shape is None or len(shape) != 2 or shape[-1] != n_classes:
    what = f'shape {tuple(shape)}' if shape is not None else f'type {type(output).__name__}'
    raise ConfigError(
      f'the output of the model is of {what}, and there are {n_classes} classes; end it in '
      f'Dense({n_classes})'
    )
  last = model
  while getattr(last, 'layers', None):
    last = last.layers[-1]
  activation = getattr(getattr(last, 'activation', None), '__name__', 'linear')
  if activation in ('softmax', 'sigmoid') or type(last).__name__ == 'Softmax':
    raise ConfigError(
      f'the model ends in {type(last).__name__} {last.name!r}, which makes probabilities, and '
      f'remedies are of logits; end it in Dense({n_classes}) without activation'
    )
  return output
