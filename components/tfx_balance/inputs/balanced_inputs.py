"""BalancedInputs: balanced batches for a Trainer, and for people without a pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from tfx_balance.arguments import check_flag, check_path, check_seed, format_value
from tfx_balance.augment import AugmentFn, MixFn, PoolFn, check_augment_fn
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import fn_args as fn_args_lib
from tfx_balance.inputs.batch_log import BatchLog, check_log
from tfx_balance.inputs.batch_slice import BatchSlice
from tfx_balance.inputs.class_priors import ClassPriors
from tfx_balance.inputs.decoding import (
  DecodeFn,
  check_decode_fn,
  decoding_reader,
)
from tfx_balance.inputs.evaluation_pass import check_pair, evaluation_pass
from tfx_balance.inputs.file_names import SPLIT_PREFIX, files_in, matching_files, names_in
from tfx_balance.inputs.file_source import FileSource
from tfx_balance.inputs.image_source import images_of_folder, images_of_paths
from tfx_balance.inputs.online_augment import augmented_draws
from tfx_balance.inputs.outputs import Output, collect_outputs
from tfx_balance.inputs.parsing import FeatureSpec, check_feature_spec
from tfx_balance.inputs.python_calls import options_of_calls
from tfx_balance.inputs.record_source import DEFAULT_MEMORY_BUDGET, ArraySource, ExampleSource
from tfx_balance.inputs.resume import StartStep, batch_state, first_state
from tfx_balance.inputs.sample_weights import SampleWeight, weight_names
from tfx_balance.inputs.staging import staged, staged_pattern
from tfx_balance.inputs.training import (
  batch_maker,
  check_label_form,
  check_mix,
  draw_dataset,
  ended,
  warn_of_text,
  weighted_rows,
)
from tfx_balance.plan.batch_draws import BatchDraws
from tfx_balance.plan.epochs import Epoch, epoch_steps
from tfx_balance.plan.label_sets import LabelSetCounts
from tfx_balance.plan.sampling import Sampling, Schedule


@dataclass(frozen=True, repr=False)
class BalancedInputs(ClassPriors):
  """Batches of records of unequal classes, sampled as a strategy says.

  `strategy`, here and in all methods, is 'exact' (every batch holds the floor or the ceiling of
  each class's share, and no running total is as much as one record off, of shares in multiples of
  2**-26, to which others are rounded; Pfair PD2, Anderson and Srinivasan 2001), 'weighted' (each
  record's class is drawn independently), 'natural' (the data as it is, shuffled) or
  'classes_per_batch' (`classes` classes with `records` records each; every class comes once before
  any comes twice). For the first two, shares are equal, or follow `q` (records^q), `ratios` (class
  to weight, every class named) or, in `train`, a `schedule` (see `tfx_balance.plan.sampling`).

  With several labels a record (`multilabel=True`), classes are label sets, weighted so that labels
  have the shares: `q`, `ratios` and epochs are those of labels, and 'exact' batches hold the floor
  or the ceiling of each label set's share; see `tfx_balance.plan.label_sets`.

  Attributes:
    source: Source of the records; see `ClassPriors`.
    feature_spec: Default feature spec, the label included.
    label: Name of the label feature, or of those of 0 and 1 that are labels; None for arrays.
    eval_files: Patterns of the files that `eval` reads, by split.
  """

  feature_spec: FeatureSpec | None = None
  label: str | Sequence[str] | None = None
  eval_files: Mapping[str, Sequence[str]] | None = None

  @classmethod
  def from_fn_args(cls, fn_args: Any, memory_budget: int = DEFAULT_MEMORY_BUDGET) -> BalancedInputs:
    """Returns the inputs of a TFX Trainer's `run_fn`.

    The plan is taken from `fn_args.hyperparameters`, or where a Tuner owns these from beside the
    train files; the feature spec from the transform graph, or from the schema.

    Args:
      fn_args: Argument of `run_fn`.
      memory_budget: Bytes of records to hold; larger classes are streamed.

    Raises:
      ConfigError: if there are no train files.
      DataError: if the plan, a file or the schema cannot be read.
    """
    given = fn_args_lib.find_root(fn_args)
    root = staged(given)
    source = FileSource(fn_args_lib.find_plan(fn_args, given), root, memory_budget)
    files = [
      f'{root}{file.removeprefix(given)}' if file.startswith(given) else staged_pattern(file)
      for file in getattr(fn_args, 'eval_files', None) or ()
    ]
    spec = fn_args_lib.find_feature_spec(fn_args)
    return cls(source, spec, source.label, {'eval': files} if files else {})

  @classmethod
  def load(
    cls,
    uri: str,
    feature_spec: FeatureSpec | None = None,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
  ) -> BalancedInputs:
    """Returns the inputs that BalancedInputGen wrote.

    Args:
      uri: Root of the Examples artifact, which has `balanced_input.json`.
      feature_spec: Default feature spec of `train` and `eval`.
      memory_budget: Bytes of records to hold; larger classes are streamed.

    Raises:
      DataError: if the plan cannot be read, or a file that it names is not there.
    """
    root = staged(check_path('uri', uri)).rstrip('/')
    check_feature_spec(feature_spec)
    source = FileSource(fn_args_lib.read_plan(root), root, memory_budget)
    folders = [name for name in names_in(root) if name.startswith(SPLIT_PREFIX)]
    files = {name.removeprefix(SPLIT_PREFIX): [os.path.join(root, name, '*')] for name in folders}
    return cls(source, feature_spec, source.label, files)

  @classmethod
  def from_arrays(
    cls,
    features: Any,
    labels: Any,
    seed: int = 0,
    multilabel: bool = False,
    sample_weight: Any = None,
    balance_by: Output | None = None,
  ) -> BalancedInputs:
    """Returns inputs over arrays in memory.

    Args:
      features: Array [n, ...], or a dict, tuple or list of such, nested at will. A list of numbers,
        texts or lists of these is an array. A DataFrame is a dict of its columns, [n] each, of
        numbers or texts (table.to_numpy() for a model of one array); rows go by position.
      labels: [n] or [n, 1], such as a Series: integers, text, bytes or integral floats. Where
        multilabel is True, rows of 1 where a record has label i and 0 where not, all of one length,
        or n lists of labels; see `tfx_balance.plan.labels.LabelRows`. Of a model of several outputs
        a dict, table or tuple with such labels for `balance_by`, and [n, ...] numbers for others.
      seed: Default seed of `train`.
      multilabel: Whether a record has several labels, or none.
      sample_weight: Weights of the records in the loss, [n], of 0 or more: `train` and `eval` then
        give them, `train` times the class weights where these are asked for.
      balance_by: Name of the output, or its place in the tuple, by whose classes batches are
        balanced, and which `label_as` is of; the others come as they are.

    Raises:
      ConfigError: if there are several outputs and none of them is named, or the reverse.
      DataError: if the labels are no classes, lengths differ, or a feature is neither numbers nor
        texts.
    """
    form = {'sample_weight': sample_weight, 'balance_by': balance_by}
    return cls(ArraySource(features, labels, seed, multilabel, **form))

  @classmethod
  def from_files(
    cls,
    files: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    label: Any = None,
    feature_spec: FeatureSpec | None = None,
    seed: int = 0,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    multilabel: bool = False,
    labels: Any = None,
  ) -> BalancedInputs:
    """Returns inputs over TFRecord files in any order, or over images, read into memory now.

    Args:
      files: Paths or patterns of files of tf.Examples, or the folder that they are in; those that
        end in .gz are decompressed. With labels, a list of paths of PNG and JPEG files, in any
        folders: features are {'image': the file's bytes}. Without label, labels and feature_spec, a
        folder that has a folder of such files for each class, whose names as bytes are the labels.
      label: Name of the label feature; or names of several features of 0 and 1, with multilabel:
        the labels of a record are the names of those that are 1. A list, an array or a Series
        without feature_spec and multilabel is taken as labels, as in `from_files(paths, labels)`.
      feature_spec: Feature spec as `tf.io.parse_example` takes it, the label included; of
        tf.SequenceExamples, features of their feature lists in a dict under '##SEQUENCE##'.
      seed: Default seed of `train`.
      memory_budget: Bytes of records to hold.
      multilabel: Whether a record has several labels, or none: in a TFRecord file a
        FixedLenFeature([n_labels]) of 0 and 1, a VarLenFeature or RaggedFeature of values, or
        several features of 0 and 1.
      labels: Labels of images, one for each path, as `from_arrays` takes them.

    Raises:
      ConfigError: if label or feature_spec is missing for TFRecord files, or given with labels.
      DataError: if a file is missing, damaged or no image, a record has no label, the labels are no
        classes or not as many as the files, or the budget is too small.
    """
    if labels is None and feature_spec is None and not multilabel and not isinstance(label, str):
      label, labels = None, label
    if labels is not None:
      if label is not None or feature_spec is not None:
        raise ConfigError(
          'labels= are those of images, and label= and feature_spec= are of TFRecord files; leave '
          'out the one or the others'
        )
      return cls(images_of_paths(files, labels, seed, memory_budget, multilabel))
    if isinstance(files, (str, os.PathLike)):
      files = staged_pattern(check_path('files', files))
      if tf.io.gfile.isdir(files):
        if label is None and feature_spec is None:
          return cls(images_of_folder(files, seed, memory_budget))
        files = files_in(files)
    paths = matching_files(files)
    if label is None or feature_spec is None:
      missing = 'label' if label is None else 'feature_spec'
      raise ConfigError(
        f'{missing}=None, and files={format_value(files)} is not a folder of images; TFRecord '
        f'files need both label= and feature_spec=, and a list of images labels='
      )
    source = ExampleSource(paths, label, feature_spec, seed, memory_budget, multilabel)
    return cls(source, feature_spec, label)

  @classmethod
  def from_generator(
    cls,
    generator: Callable[[], Iterable[tuple[Any, Any]]],
    seed: int = 0,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    multilabel: bool = False,
    balance_by: Output | None = None,
  ) -> BalancedInputs:
    """Returns inputs over what a finite generator of (features, label) yields, read now.

    Labels, multilabel and balance_by are as in `from_arrays`.

    Raises:
      DataError: if it yields nothing or more than the budget, or the labels are no classes.
    """
    several = check_flag('multilabel', multilabel)
    features, labels = collect_outputs(generator, memory_budget, several, balance_by)
    return cls.from_arrays(features, labels, seed, multilabel, balance_by=balance_by)

  def train(
    self,
    batch_size: int | None = None,
    strategy: str = 'exact',
    feature_spec: FeatureSpec | None = None,
    *,
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
    schedule: Schedule | None = None,
    epoch: Epoch = 'largest',
    seed: int | None = None,
    label_as: str = 'parsed',
    sample_weight: SampleWeight = False,
    augment_fn: AugmentFn | PoolFn | None = None,
    augment: str | Sequence[Any] = 'repeats',
    input_context: tf.distribute.InputContext | None = None,
    classes: int | None = None,
    records: int | None = None,
    mix: MixFn | None = None,
    start_step: StartStep = None,
    state: Mapping[str, Any] | str | None = None,
    pad_batches: bool = False,
    log: BatchLog | None = None,
    stop: Epoch | None = None,
    decode_fn: DecodeFn | None = None,
  ) -> tf.data.Dataset:
    """Returns an infinite, prefetched dataset of (features, label), or (..., sample weight).

    With `stop` it ends, and an iterator that begins anew gives the same batches again.

    The same seed gives the same batches; each pass over a class is in a fresh order. An iterator of
    it can be saved by `tf.train.Checkpoint` and goes on with the next batch in any process.

    Args:
      batch_size: Records in a batch of all replicas together, 1 or more; None for classes times
        records under 'classes_per_batch'.
      strategy: 'exact', 'weighted', 'natural' or 'classes_per_batch'; see the class.
      feature_spec: Feature spec of the records of files, where there is no default.
      q: Exponent of weights records^q; 0 is balanced, 0.5 square-root sampling.
      ratios: Weight by class, every class named.
      schedule: Function of the step, from 0, that returns a q, ratios or a Mixture.
      epoch: Length of an epoch, after which nothing counts as a repeat; see `steps_per_epoch`.
      seed: Seed of all draws; None for the plan's.
      label_as: 'parsed' as in the data, 'index' for the position in `classes`, int64 [B], or
        'one_hot' for 1 there and 0 elsewhere, float32 [B, n_classes]; with several labels a record,
        'multi_hot' for 0 and 1, float32 [B, n_labels], as in `labels`.
      sample_weight: What to give as float32 [B] as well: 'balanced' (or True) or 'effective', the
        class weights of `class_weight`; the name of a feature of one number of 0 or more, which is
        taken out of the features; or a list of both, to give their product. Class weights have mean
        1 over the samples; a record's own are taken as they are, and the product is not normalized.
      augment_fn: Augment function; see `tfx_balance.augment.contract`. Features that are one array
        are its feature 'x'.
      augment: Records to augment: 'repeats', 'all' or a list of classes.
      input_context: Context from `tf.distribute`: this pipeline then gives its slice of every
        batch, in batches of one replica each.
      classes: Number of classes in each batch of 'classes_per_batch'.
      records: Number of records of each class there, next to each other in the batch.
      mix: Batch function, such as `MixUp` or `CutMix` of `tfx_balance.augment`: labels are then
        soft targets, float32 [B, n_classes], in the order of `classes`.
      start_step: Step of the first batch, as if those before had been read: an iterator begins with
        the batch that an uninterrupted run has there, on any number of hosts. Or a function that
        returns it, called when an iterator begins, such as `lambda: model.optimizer.iterations`.
        None for the step of `state`, or 0.
      state: What `batch_state` returned, which must be of the same data and arguments.
      pad_batches: Whether replicas that do not divide a batch are given parts of equal length,
        filled up with repeated records of sample weight 0; the others' weights are such that the
        mean over all rows is the mean over the batch. Batches have sample weights then.
      log: Log that counts what batches hold by class, which `log_batches` writes.
      stop: Step at which the dataset ends, counted from step 0, or a word of `steps_per_epoch` such
        as 'first_exhausted'; None for never.
      decode_fn: Function that decodes one record, such as an image, in graph code: from its dense
        features to a dict of numeric tensors that replace or join them, of one shape for all
        records, always the same for the same record. Records of the smallest classes that are held
        in memory are decoded once and kept, as far as `memory_budget` reaches; batches are the same
        as without. What is random belongs into augment_fn, which gets what this function returns.

    Raises:
      AugmentError: if augment_fn breaks a rule.
      ConfigError: if an argument breaks a rule.
      DataError: if a file does not hold what the plan says. While the dataset is read, such faults
        come as tf.errors.InvalidArgumentError with the same text.
    """
    counts = self.source.counts
    sampling = Sampling(strategy, q, ratios, schedule, classes, records)
    batch_size = sampling.batch_size(batch_size, counts)
    scheme, weight_name = weight_names(sample_weight)
    weights = None if scheme is None else self._class_weights(sampling, scheme)
    check_label_form(label_as, counts)
    warn_of_text(label_as if mix is None else '', counts)
    if augment_fn is not None:
      check_augment_fn(augment_fn, format_value(augment_fn))
    check_mix(mix, label_as, counts)
    check_decode_fn(decode_fn)
    reader = self.source.reader(self._spec(feature_spec), spare=decode_fn is not None)
    if decode_fn is not None:
      reader = decoding_reader(reader, decode_fn, counts)
    if check_flag('pad_batches', pad_batches) and mix is not None:
      raise ConfigError(
        'pad_batches= and mix= are both given, and padding would be mixed into records; leave one '
        'out'
      )
    batch_slice = BatchSlice.of(input_context, batch_size, pad_batches)
    if records is not None:
      batch_slice.check_groups(records)
    output = self.source.output
    make = batch_maker(
      reader, counts, label_as, weights, augment_fn, augment, mix, weight_name, output
    )
    draws = self._draws(batch_size, sampling, epoch, seed)
    first = first_state(draws, start_step, state)
    if log is not None:
      name = self.label if isinstance(self.label, (str, type(None))) else ', '.join(self.label)
      check_log(log).begin(draws.weights, augmented_draws(augment_fn, augment, counts), name)
    batches = draw_dataset(draws, batch_slice, reader, first, log).map(
      make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    batches = weighted_rows(batches, batch_slice)
    if stop is not None:
      steps = epoch_steps(sampling, counts, batch_size, stop, 'stop')
      batches = ended(batches, steps, start_step, first, batch_slice.replicas)
    return batches.with_options(options_of_calls()).prefetch(tf.data.AUTOTUNE)

  def eval(
    self,
    batch_size: int,
    feature_spec: FeatureSpec | None = None,
    *,
    data: BalancedInputs | tuple[Any, Any] | None = None,
    split: str | None = None,
    label_as: str = 'parsed',
    decode_fn: DecodeFn | None = None,
  ) -> tf.data.Dataset:
    """Returns one pass over records to evaluate on: batches of (features, label), or with weights.

    These are a split of the files of a pipeline, or `data`, in order. Weights are those given to
    `from_arrays`. Class indices are those of `classes`, of these inputs.

        inputs = BalancedInputs.from_arrays(x[train], y[train])
        evaluation = inputs.eval(100, data=(x[test], y[test]), label_as='index')

    Args:
      batch_size: Records in a batch, 1 or more; the last batch may be smaller.
      feature_spec: Feature spec of the records of files, where there is no default.
      data: Features and labels as `from_arrays` takes them, or other inputs, such as
        `BalancedInputs.from_files` of test files. Without it, inputs that have no splits (arrays, a
        generator, `from_files`) give the records that `train` draws, and warn; `data=inputs` says
        that these are meant.
      split: Name of the split; None for 'eval', or where there are no splits.
      label_as: 'parsed', 'index', 'one_hot' or 'multi_hot', as in `train`; a label that is no class
        fails.
      decode_fn: Function that decodes one record, as in `train`.

    Raises:
      ConfigError: if an argument breaks a rule.
      DataError: if there is no such split, or data has a class that these inputs have not. A file
        that is truncated or corrupted is named while the dataset is read, by
        tf.errors.InvalidArgumentError with the same text.
    """
    if data is not None and not isinstance(data, BalancedInputs):
      several, by = isinstance(self.source.counts, LabelSetCounts), self.source.output
      data = self.from_arrays(*check_pair(data), multilabel=several, balance_by=by)
    spec = (data or self)._spec(feature_spec)
    return evaluation_pass(self, data, batch_size, spec, split, label_as, decode_fn)

  def steps_per_epoch(
    self,
    batch_size: int | None = None,
    *,
    epoch: Epoch = 'largest',
    strategy: str = 'exact',
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
    schedule: Schedule | None = None,
    classes: int | None = None,
    records: int | None = None,
  ) -> int:
    """Returns the batches until every record of a class has been shown.

    Under 'weighted' it is an average; under a schedule it is the first epoch's length.

    Args:
      batch_size: Records in a batch, as in `train`.
      epoch: 'largest' or 'smallest' class; 'first_exhausted' or 'all_exhausted', when the first of
        the classes or all were gone through, in the words of other libraries; or a number of
        batches, which is returned. Under 'natural' the words are one pass over all the records.
      strategy: Strategy of the batches, as in `train`.
      q: Exponent of the weights, as in `train`.
      ratios: Weight by class, as in `train`.
      schedule: Schedule of the weights, as in `train`.
      classes: Number of classes in a batch, as in `train`.
      records: Number of records of each of them, as in `train`.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    sampling = Sampling(strategy, q, ratios, schedule, classes, records)
    return epoch_steps(sampling, self.source.counts, batch_size, epoch)

  def batch_state(
    self,
    step: int,
    batch_size: int | None,
    strategy: str = 'exact',
    *,
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
    schedule: Schedule | None = None,
    epoch: Epoch = 'largest',
    seed: int | None = None,
    classes: int | None = None,
    records: int | None = None,
    state: Mapping[str, Any] | str | None = None,
  ) -> str:
    """Returns the state of a run's batches before a step, for `train(state=)`: a small JSON text.

    It is the same on any number of hosts. It holds what the batches are a function of, by which
    `train` refuses other data and arguments; a few integers a class, from which the draws go on
    without replaying those before; and the history of `AdjustableShares`. No record is read.

    Args:
      step: Batches that the model was trained on.
      batch_size: Records in a batch, as in `train`.
      strategy: Strategy of the batches, as in `train`.
      q: Exponent of the weights, as in `train`.
      ratios: Weight by class, as in `train`.
      schedule: Schedule of the weights, as in `train`.
      epoch: Length of an epoch, as in `train`.
      seed: Seed of all draws, as in `train`.
      classes: Number of classes in a batch, as in `train`.
      records: Number of records of a class in a batch, as in `train`.
      state: An earlier state of the run, from which this one is found sooner.

    Raises:
      ConfigError: if an argument breaks a rule, or the earlier state is of other batches.
      DataError: if the earlier state is none.
    """
    sampling = Sampling(strategy, q, ratios, schedule, classes, records)
    batch_size = sampling.batch_size(batch_size, self.source.counts)
    draws = self._draws(batch_size, sampling, epoch, seed)
    return batch_state(draws, step, state).dumps()

  def with_feature_spec(self, feature_spec: FeatureSpec) -> BalancedInputs:
    """Returns the same inputs with another default feature spec."""
    return replace(self, feature_spec=check_feature_spec(feature_spec))

  def _draws(
    self, batch_size: int, sampling: Sampling, epoch: Epoch, seed: int | None
  ) -> BatchDraws:
    """Returns the draws of a run; an argument that breaks a rule is a ConfigError."""
    counts = self.source.counts
    seed = self.source.seed if seed is None else check_seed(seed)
    return BatchDraws.of(sampling, counts, self.source.windows(), batch_size, epoch, seed)

  def _spec(self, feature_spec: FeatureSpec | None) -> FeatureSpec | None:
    """Returns a feature spec, or the default where there is none."""
    spec = self.feature_spec if feature_spec is None else check_feature_spec(feature_spec)
    if spec is not None:
      self.source.check_spec(spec)
    return spec
