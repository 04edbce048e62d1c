"""Common code of the sample's models: batches, training, export."""

import dataclasses
import functools
import logging
import posixpath
import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from tfx.components.trainer.fn_args_utils import FnArgs

from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import find_threshold
from tfx_balance.inputs import BalancedInputs
from tfx_balance.plan.sampling import log_shares
from tfx_balance.tfrecord.storage import is_data

SHUFFLE_BUFFER = 20_000
ROUNDS = 5  # number of progress reports
SCORED_AT_ONCE = 512  # records of a batch that is not trained on
LEAST = 1e-37  # probability whose logarithm stands for that of 0
CLASS_ID = 'class_id'  # label key of the Evaluator
PROBABILITIES, ADJUSTED = 'probabilities', 'adjusted'
"""Outputs of the signature 'adjusted', which the Evaluator compares; the first is as served."""

_SERIALIZED = [tf.TensorSpec([None], tf.string, name='examples')]
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
  """Options of a model: the `custom_config` of Trainer.

  Attributes:
    label: Name of the feature that holds the class.
    seed: Seed of the weights and of the order of the data.
    batch_size: Number of records in a batch.
    tune: Whether a threshold may be tuned on the Trainer's eval split: not if that is tested.
  """

  label: str
  seed: int = 0
  batch_size: int = 64
  tune: bool = True


Batches: TypeAlias = tf.data.Dataset
"""Dataset of (features, class id int64 [n])."""


def balanced_batches(
  fn_args: FnArgs, transform: tft.TFTransformOutput, options: TrainingOptions
) -> tuple[Batches, Batches]:
  """Returns infinite training batches with exact class shares, and one pass over eval.

  Both contain the transformed records that BalancedInputGen wrote.
  """
  inputs = BalancedInputs.from_fn_args(fn_args)
  train = inputs.train(options.batch_size, seed=options.seed)
  return without_unknown(train), without_unknown(inputs.eval(options.batch_size))


def natural_batches(
  fn_args: FnArgs, transform: tft.TFTransformOutput, options: TrainingOptions
) -> tuple[Batches, Batches]:
  """Returns infinite, shuffled training batches of the natural data, and one pass over eval.

  Both contain raw records, transformed here, without augmented copies.
  """
  spec, layer = transform.raw_feature_spec(), transform.transform_features_layer()

  def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    features = layer(tf.io.parse_example(serialized, spec))
    return features, features.pop(options.label)

  train = read_records(fn_args.train_files).shuffle(SHUFFLE_BUFFER, seed=options.seed).repeat()
  both = train, read_records(fn_args.eval_files)
  parsed = (r.batch(options.batch_size).map(parse, tf.data.AUTOTUNE) for r in both)
  train, evaluation = (without_unknown(batches) for batches in parsed)
  return train, evaluation


def read_records(patterns: list[str]) -> tf.data.Dataset:
  """Returns the serialized records of gzip TFRecord files; other files are left out by name."""
  found = (path for pattern in patterns for path in tf.io.gfile.glob(pattern))
  files = sorted(path for path in found if is_data(posixpath.basename(path)))
  return tf.data.TFRecordDataset(files, compression_type='GZIP')


def without_unknown(batches: tf.data.Dataset) -> Batches:
  """Returns the batches without records of classes that training lacks (class id -1).

  Their loss is undefined. The Evaluator counts them as errors.
  """

  def drop(
    features: dict[str, tf.Tensor], label: tf.Tensor
  ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    label = tf.reshape(label, [-1])
    labelled = label >= 0
    kept = {name: tf.boolean_mask(value, labelled) for name, value in features.items()}
    return kept, tf.boolean_mask(label, labelled)

  batches = batches.map(drop, num_parallel_calls=tf.data.AUTOTUNE)
  return batches.filter(lambda _, label: tf.size(label) > 0).prefetch(tf.data.AUTOTUNE)


def train_and_export(
  fn_args: FnArgs,
  read: Callable[[FnArgs, tft.TFTransformOutput, TrainingOptions], tuple[Batches, Batches]],
  build: Callable[[tft.TFTransformOutput, str], tf_keras.Model],
) -> None:
  """Trains a model and saves it to the Trainer's output folder.

  A natural model gets a threshold. A balanced one gets a prior correction where `base_model` is a
  natural one, which alone knows the natural shares: copies may be among the balanced records.

  Args:
    fn_args: Argument of a `run_fn`; nothing but the log prior is read from its `base_model`.
    read: `balanced_batches` or `natural_batches`.
    build: Function that makes the model from the transform graph and the label's name.
  """
  options = TrainingOptions(**fn_args.custom_config)
  transform = tft.TFTransformOutput(fn_args.transform_output)
  train, evaluation = read(fn_args, transform, options)
  model = fit(
    lambda: build(transform, options.label), train, evaluation, fn_args.train_steps, options.seed
  )
  module = _Export(model, transform, options.label)
  if read is natural_batches:
    t = add_threshold(module, fn_args.train_files, fn_args.eval_files if options.tune else [])
    _log.info('threshold: log p - %.2f log prior%s', t, '' if options.tune else ' (not tuned)')
  elif fn_args.base_model:
    log_prior = tf.saved_model.load(fn_args.base_model).log_prior.numpy()
    module.adjust(log_prior, log_prior)  # the sampled shares are equal
  module.save(fn_args.serving_model_dir)


def round_sizes(steps: int, rounds: int = ROUNDS) -> list[int]:
  """Returns the steps divided into at most `rounds` parts that differ by at most one.

  >>> round_sizes(303), round_sizes(3)
  ([61, 61, 61, 60, 60], [1, 1, 1])
  """
  rounds = min(rounds, steps)
  return [steps // rounds + (i < steps % rounds) for i in range(rounds)]


def fit(
  make_model: Callable[[], tf_keras.Model],
  train: tf.data.Dataset,
  evaluation: tf.data.Dataset,
  steps: int,
  seed: int,
) -> tf_keras.Model:
  """Returns a model trained for `steps` batches; logs its scores after each round."""
  tf_keras.utils.set_random_seed(seed)
  model = make_model()
  model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])
  # AutoGraph exempts `keras` from conversion, but not `tf_keras`, and would rewrite all of it for
  # the first step, which then takes 11 s instead of 0.9 s.
  model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
  model.test_step = tf.autograph.experimental.do_not_convert(model.test_step)
  start, done, batches = time.monotonic(), 0, iter(train)
  for size in round_sizes(steps):
    history = model.fit(
      batches, steps_per_epoch=size, validation_data=evaluation, verbose=0
    ).history
    done += size
    scores = '  '.join(f'{name} {values[-1]:.3f}' for name, values in history.items())
    seconds = time.monotonic() - start
    _log.info('step %d of %d  %s  (%.1f s)', done, steps, scores, seconds)
  return model


class _Export(tf.Module):
  """Model with preprocessing, and signatures that take serialized tf.Examples.

  It is saved without Keras metadata, so TFMA, Serving and later versions of TFX can load it. Of the
  layers it therefore keeps only the variables, tables and files: layers would be traced once more
  when they are saved, which takes 10 s.
  """

  def __init__(self, model: tf_keras.Model, transform: tft.TFTransformOutput, label: str):
    super().__init__()
    layer = transform.transform_features_layer()
    parts = tf.train.TrackableView(layer).descendants()
    parts = [part for part in parts if not isinstance(part, tf_keras.layers.Layer)]
    self._kept = [*model.variables, *parts]
    self._predict = functools.partial(model, training=False)
    self._preprocess = functools.partial(layer)
    used = transform.transformed_feature_spec()  # under the names of the raw features
    self._spec = {n: spec for n, spec in transform.raw_feature_spec().items() if n in used}
    self._label = label
    self.n_classes: int = model.output_shape[-1]
    self._shift = np.zeros(self.n_classes, np.float32)
    self.log_prior: tf.Variable | None = None

  @tf.function(input_signature=_SERIALIZED, autograph=False)
  def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns class probabilities of raw examples; the label is not required."""
    spec = {name: value for name, value in self._spec.items() if name != self._label}
    features = self._preprocess(tf.io.parse_example(examples, spec))
    return {PROBABILITIES: self._predict(features)}

  @tf.function(input_signature=_SERIALIZED, autograph=False)
  def transform_labels(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns class ids of raw examples; -1 for classes that training lacks."""
    features = self._preprocess(tf.io.parse_example(examples, self._spec))
    return {CLASS_ID: tf.reshape(features[self._label], [-1])}

  @tf.function(input_signature=_SERIALIZED, autograph=False)
  def adjusted(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns class probabilities as served, and after the shift of `adjust`."""
    probabilities = self.serve(examples)[PROBABILITIES]
    log_p = tf.math.log(tf.maximum(probabilities, LEAST))
    return {PROBABILITIES: probabilities, ADJUSTED: tf.nn.softmax(log_p + self._shift)}

  def adjust(self, shift: np.ndarray, log_prior: np.ndarray) -> None:
    """Sets the addend of log probabilities, float [n_classes], and the natural log prior."""
    self._shift = np.asarray(shift, np.float32)
    self.log_prior = tf.Variable(log_prior, trainable=False, dtype=tf.float32)

  def save(self, folder: str) -> None:
    """Saves the model with the signatures that servers and the Evaluator use."""
    signatures = {'serving_default': self.serve, 'transform_labels': self.transform_labels}
    if self.log_prior is not None:
      signatures['adjusted'] = self.adjusted
    tf.saved_model.save(self, folder, signatures=signatures)


def add_threshold(module: _Export, train_files: list[str], eval_files: list[str]) -> float:
  """Adds the shift `-t log prior` to a model trained on natural batches; returns t.

  Args:
    module: Model to add it to.
    train_files: Patterns of the raw records whose class shares are the prior.
    eval_files: Patterns of the raw records for whose macro recall t is best; t is 1 without any.
  """
  counts = np.zeros(module.n_classes, np.int64)
  for records in read_records(train_files).batch(SCORED_AT_ONCE):
    ids = module.transform_labels(records)[CLASS_ID].numpy()
    counts += np.bincount(ids[ids >= 0], minlength=module.n_classes)
  log_prior = np.array(log_shares(np.maximum(counts, 1).tolist()))
  t, labels, log_p = 1.0, *scores_of(module, eval_files)
  if len(labels):
    macro_recall = functools.partial(Measures.of(counts, None).measure, 'macro_recall')
    t = find_threshold(log_p, log_prior, lambda moved: macro_recall(moved, labels))
  module.adjust(-t * log_prior, log_prior)
  return t


def scores_of(module: _Export, files: list[str]) -> tuple[np.ndarray, np.ndarray]:
  """Returns class ids, int64 [n], and log probabilities, [n, n_classes], of raw records.

  Records of classes that training lacks are left out.
  """
  labels, probabilities = [np.zeros(0, np.int64)], [np.zeros((0, module.n_classes), np.float32)]
  for records in read_records(files).batch(SCORED_AT_ONCE) if files else ():
    ids = module.transform_labels(records)[CLASS_ID].numpy()
    labels.append(ids[ids >= 0])
    probabilities.append(module.serve(records)[PROBABILITIES].numpy()[ids >= 0])
  return np.concatenate(labels), np.log(np.maximum(np.concatenate(probabilities), LEAST))
