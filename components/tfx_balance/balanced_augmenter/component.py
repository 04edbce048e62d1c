"""The BalancedAugmenter component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from tfx import types
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from tfx_balance.balanced_augmenter import augment_source, executor
from tfx_balance.balanced_augmenter.parameters import (
  ALGORITHM_VERSION,
  ARGUMENTS,
  AugmenterParameters,
  seconds_of,
)
from tfx_balance.declare import encode, is_runtime, kinds, make_spec
from tfx_balance.plan.balance_plan import DEFAULT_STRATEGY, BalanceRequest
from tfx_balance.tfrecord.reading import LARGEST_RECORD_BYTES


class BalancedAugmenterSpec(types.ComponentSpec):
  """Inputs, outputs and execution properties of `BalancedAugmenter`."""

  PARAMETERS = {
    **{
      name: component_spec.ExecutionParameter(type=kind) for name, kind in kinds(ARGUMENTS).items()
    },
    # TFX puts the wheel that it makes of module_file into module_path.
    'module_file': component_spec.ExecutionParameter(type=str, optional=True),
    'module_path': component_spec.ExecutionParameter(type=str, optional=True),
  }
  INPUTS = {'input_examples': component_spec.ChannelParameter(type=standard_artifacts.Examples)}
  OUTPUTS = {'examples': component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class BalancedAugmenter(base_beam_component.BaseBeamComponent):
  """Brings each class of a split to its target count, by reproducible copies.

  Every target is met exactly. Which records get one copy more, or stay, and what each copy looks
  like, depends on the records and the seed alone: not on their order, the runner, or retries.

  `outputs['examples']` is an `Examples` artifact, with `class_distribution.json` at its root: the
  records before and after, and the target of each class. Splits that are not named pass through
  unchanged.

  Balance before Transform with `augmented_split`: Transform then analyses the natural split, and
  the Trainer reads both.

  Example::

      augmenter = BalancedAugmenter(
        examples=splitter.outputs['examples'],
        label='species',
        sampling_strategy='auto',
        augment_fn=ImageAugment(rotation=10, brightness=0.1),
        augmented_split='train_augmented',
      )
  """

  SPEC_CLASS = BalancedAugmenterSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

  def __init__(
    self,
    examples: types.BaseChannel,
    label: str = 'label',
    sampling_strategy: str | float | Mapping[Any, int] = DEFAULT_STRATEGY,
    factors: Mapping[Any, int] | str | None = None,
    augment_fn: Any = None,
    module_file: str | None = None,
    splits: Sequence[str] | str = ('train',),
    augmented_split: str | None = None,
    max_copies: int | None = None,
    undersample: bool = False,
    seed: int = 0,
    missing_label: str | Mapping[str, Any] = 'error',
    allow_evaluation_splits: bool = False,
    provenance: bool = False,
    augment_timeout: float | None = None,
    max_record_bytes: int = LARGEST_RECORD_BYTES,
    bad_records: str = 'error',
    max_bad_records: int = 100,
  ):
    """Makes the component; any argument but `examples` may be a RuntimeParameter.

    Args:
      examples: Channel of `Examples`: tf.Example records (or tf.SequenceExample, for plain copies)
        in TFRecord files. Several artifacts are merged.
      label: Feature of this artifact that holds the class, one value a record.
      sampling_strategy: Target of each class, in imbalanced-learn's words. 'auto' (which is 'not
        majority'), 'all', 'minority' and 'not minority' bring classes up to the largest; with
        `undersample`, 'auto' (which is 'not minority'), 'all', 'majority' and 'not majority' bring
        them down to the smallest. 'median' and 'mean' of the counts. 'power:q', proportional to n
        ** q: 0 is equal, 1 is natural. A ratio of the smallest to the largest; with `undersample`,
        'between:0.5' meets it both ways and keeps the total. A dict of class to its final count.
        Classes above their target are left alone, or lose records with `undersample`. A strategy
        that does not lower the imbalance ratio is a warning.
      factors: Numbers by class: how often every record is written, itself included.
      augment_fn: Function that makes a copy: a dotted path, or an object such as
        `tfx_balance.augment.ImageAugment(...)`; with `module_file`, the name in it ('augment_fn').
        None for plain duplicates. See `tfx_balance.augment.contract`.
      module_file: Python file with the function; TFX takes it to the workers.
      splits: Splits to balance.
      augmented_split: New split for the copies alone; the originals stay as they are. None puts
        copies and originals into one split, mixed and shuffled.
      max_copies: Largest number of times that a record is written; the sidecar names the classes
        that this kept below their target.
      undersample: Whether classes above their target lose records.
      seed: Seed of the selection and of the copies.
      missing_label: Treatment of records without a class: 'error'; 'own', they stay as they
        are; 'own_class', they are balanced as a class; or 'drop'. {'fill': 0} takes no value
        as 0, as which TFX's reader of Parquet writes it; 0.0 for floats, '' for text.
      allow_evaluation_splits: Permission for `splits` to name 'eval', 'test' or 'validation'.
      provenance: Whether copies carry `tfx_balance_source_file`, `tfx_balance_source_record` and
        `tfx_balance_copy`: the place of the input file, of the record in it, and the copy's number.
      augment_timeout: Seconds that augment_fn may take for a batch, the first one's tracing
        included, before the run fails; None for no limit.
      max_record_bytes: Bytes of the longest record; a file with a longer one is refused.
      bad_records: Treatment of records that cannot be used: 'error', or 'skip', which counts them.
      max_bad_records: Number of bad records in all the files that may be skipped.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    given = {name: value for name, value in locals().items() if name in ARGUMENTS}
    module_file = augment_source.check_module_file(module_file)
    text = augment_source.to_text(augment_fn, in_module_file=module_file is not None)
    source = '' if module_file else augment_source.fingerprint(text)
    if max_copies is not None and not is_runtime(max_copies):
      BalanceRequest(max_copies=max_copies)  # as TFX carries None, 0 is none
    if not is_runtime(augment_timeout):
      given['augment_timeout'] = seconds_of('augment_timeout', augment_timeout)
    if isinstance(sampling_strategy, Fraction):
      given['sampling_strategy'] = str(sampling_strategy)  # which stays exact
    given |= {'augment_fn': text, 'augment_source': source}
    properties = encode(ARGUMENTS, given, AugmenterParameters.decode, ALGORITHM_VERSION)
    output = types.Channel(type=standard_artifacts.Examples)
    spec = make_spec(
      BalancedAugmenterSpec,
      input_examples=examples,
      examples=output,
      module_file=module_file,
      module_path=None,
      **properties,
    )
    super().__init__(spec=spec)
    if module_file and udf_utils.should_package_user_modules():
      udf_utils.add_user_module_dependency(self, 'module_file', 'module_path')
