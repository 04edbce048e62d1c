"""The BalancedInputGen component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from tfx_balance.balanced_input_gen import executor
from tfx_balance.balanced_input_gen.parameters import (
  ALGORITHM_VERSION,
  ARGUMENTS,
  InputGenParameters,
)
from tfx_balance.declare import encode, kinds, make_spec
from tfx_balance.tfrecord.reading import LARGEST_RECORD_BYTES


class BalancedInputGenSpec(types.ComponentSpec):
  """Inputs, outputs and execution properties of `BalancedInputGen`."""

  PARAMETERS = {
    name: component_spec.ExecutionParameter(type=kind) for name, kind in kinds(ARGUMENTS).items()
  }
  INPUTS = {'input_examples': component_spec.ChannelParameter(type=standard_artifacts.Examples)}
  OUTPUTS = {
    'examples': component_spec.ChannelParameter(type=standard_artifacts.Examples),
    'hyperparameters': component_spec.ChannelParameter(type=standard_artifacts.HyperParameters),
  }


class BalancedInputGen(base_beam_component.BaseBeamComponent):
  """Lays the training records out by class, so that a Trainer reads balanced batches at full speed.

  The splits of `train_splits` are merged into one split, `train`. A large class has files of its
  own, small classes share a file, one after another; within a class the records are shuffled.
  Other splits pass through unchanged.

  `outputs['examples']` is an `Examples` artifact, with the plan of what is where,
  `balanced_input.json`, and `class_distribution.json` at its root. `outputs['hyperparameters']` is
  the same plan as the stock Trainer takes it; with a Tuner, which has that input, leave it out. In
  `run_fn`, `tfx_balance.inputs.BalancedInputs.from_fn_args(fn_args)` makes batches of it.

  Every TFX component can read the output as plain `Examples`, and then finds it **in runs of one
  class**: give StatisticsGen, Transform and Evaluator the artifact before this one, and do not
  train on this one with `tf_dataset_factory`.

  Example::

      input_gen = BalancedInputGen(examples=transform.outputs['transformed_examples'])
      trainer = tfx.components.Trainer(
        module_file='trainer.py',
        examples=input_gen.outputs['examples'],
        hyperparameters=input_gen.outputs['hyperparameters'],
        transform_graph=transform.outputs['transform_graph'],
      )
  """

  SPEC_CLASS = BalancedInputGenSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

  def __init__(
    self,
    examples: types.BaseChannel,
    label: str | Sequence[str] = 'label',
    train_splits: Sequence[str] | str = ('train',),
    seed: int = 0,
    missing_label: str | Mapping[str, Any] = 'error',
    max_record_bytes: int = LARGEST_RECORD_BYTES,
    bad_records: str = 'error',
    max_bad_records: int = 100,
    multilabel: bool = False,
  ):
    """Makes the component; any argument but `examples` may be a RuntimeParameter of str or int.

    Args:
      examples: Channel of `Examples`: tf.Example or tf.SequenceExample records in TFRecord files.
        Several artifacts are merged; span and version are those of the newest.
      label: Feature of this artifact that holds the class, one value a record: int64, bytes, or
        float that is integral. Transform may have renamed it or made it a vocabulary id.
      train_splits: Splits to merge into `train`, such as ('train', 'train_augmented').
      seed: Seed of the order of the records; also the default seed of `BalancedInputs`.
      missing_label: Treatment of records without a class: 'error', 'own' (one class more),
        or 'drop'. {'fill': 0} takes no value as 0, as which TFX's reader of Parquet writes it; 0.0
        for floats, '' for text. A `feature_spec` needs a default_value then.
      max_record_bytes: Bytes of the longest record; a file with a longer one is refused.
      bad_records: Treatment of records that cannot be used: 'error', or 'skip', which counts them.
      max_bad_records: Number of bad records in all the files that may be skipped.
      multilabel: Whether a record has a set of labels: the values of the feature, or the names of
        those of several features in `label` that are 1, where others are 0. Records are laid out by
        label set, and `BalancedInputs` gives labels their shares. A record without a value of the
        one feature has the empty set.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    given = {name: value for name, value in locals().items() if name in ARGUMENTS}
    properties = encode(ARGUMENTS, given, InputGenParameters.decode, ALGORITHM_VERSION)
    spec = make_spec(
      BalancedInputGenSpec,
      input_examples=examples,
      examples=types.Channel(type=standard_artifacts.Examples),
      hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
      **properties,
    )
    super().__init__(spec=spec)
