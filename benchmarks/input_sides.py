"""Input pipelines from files: infinite datasets of batches of (features, label).

All sides prefetch, and parse whole batches in parallel if their method permits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.data import DataFiles

AUTOTUNE = tf.data.AUTOTUNE
_SHUFFLED = 10_000  # records in the shuffle buffer
_SHUFFLED_A_CLASS = 1_000
_FLOATS = 20
STRATEGIES = ('exact', 'weighted', 'natural')

Side = Callable[[DataFiles, int], tf.data.Dataset]


def feature_spec(files: DataFiles) -> dict[str, Any]:
  """Returns the feature spec of the records."""
  label = tf.io.FixedLenFeature([], tf.int64)
  if files.spec.image_shape[0]:
    return {'image': tf.io.FixedLenFeature([], tf.string), 'label': label}
  return {'x': tf.io.FixedLenFeature([_FLOATS], tf.float32), 'label': label}


def plain(files: DataFiles, batch_size: int) -> tf.data.Dataset:
  """Returns natural batches by the usual steps: shuffle, batch, parse."""
  return finished(shuffled(files).repeat().batch(batch_size), files)


def sample_from_datasets(files: DataFiles, batch_size: int) -> tf.data.Dataset:
  """Returns balanced draws from one dataset per class, with one file per class."""
  parts = [
    tf.data.TFRecordDataset(path, 'GZIP').shuffle(_SHUFFLED_A_CLASS).repeat()
    for path in files.class_paths()
  ]
  return finished(balanced_draws(parts).batch(batch_size), files)


def group_by_window(files: DataFiles, batch_size: int) -> tf.data.Dataset:
  """Returns batches of a single label from `group_by_window`."""
  grouped = (
    shuffled(files)
    .repeat()
    .group_by_window(
      key_func=functools.partial(class_of, files),
      reduce_func=lambda _, window: window.batch(batch_size),
      window_size=batch_size,
    )
  )
  return finished(grouped, files)


def filter_by_class(files: DataFiles, batch_size: int) -> tf.data.Dataset:
  """Returns balanced draws from one filter per class, each of which reads all mixed files."""
  records = tf.data.TFRecordDataset(files.paths(), 'GZIP')
  parts = [
    records.filter(lambda record, i=i: class_of(files, record) == i).repeat()
    for i in range(files.spec.classes)
  ]
  return finished(balanced_draws(parts).batch(batch_size), files)


def rejection_resample(files: DataFiles, batch_size: int) -> tf.data.Dataset:
  """Returns balanced draws by rejection, with known natural shares."""
  import numpy as np
  from tfx_balance.inputs.fn_args import read_plan

  natural = np.array(read_plan(files.artifact).records, np.float32)
  resampled = (
    shuffled(files)
    .repeat()
    .rejection_resample(
      class_func=lambda record: tf.cast(class_of(files, record), tf.int32),
      target_dist=np.full(files.spec.classes, 1 / files.spec.classes, np.float32),
      initial_dist=natural / natural.sum(),
    )
  )
  return finished(resampled.map(lambda _, record: record).batch(batch_size), files)


def tf_dataset_factory(files: DataFiles, batch_size: int) -> tf.data.Dataset:
  """Returns natural batches from TFX's DataAccessor, as in a Trainer."""
  from google.protobuf import text_format
  from tensorflow_metadata.proto.v0 import schema_pb2
  from tfx.components.util import tfxio_utils
  from tfx.types import standard_artifacts
  from tfx_bsl.public import tfxio

  examples = standard_artifacts.Examples()
  examples.uri = files.folder
  examples.set_string_custom_property('payload_format', 'FORMAT_TF_EXAMPLE')
  name, kind, n = ('image', 'BYTES', 1) if files.spec.image_shape[0] else ('x', 'FLOAT', _FLOATS)
  dim = f'shape {{ dim {{ size: {n} }} }}' if n > 1 else 'shape {}'
  text = ''.join(
    f'feature {{ name: "{name}" type: {kind} presence {{ min_fraction: 1 }} {shape} }}\n'
    for name, kind, shape in ((name, kind, dim), ('label', 'INT', 'shape {}'))
  )
  schema = text_format.Parse(text, schema_pb2.Schema())
  factory = tfxio_utils.get_tf_dataset_factory_from_artifact([examples], ['benchmark'])
  options = tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key='label')
  return decoded(factory(files.paths(), options, schema), files).prefetch(AUTOTUNE)


def ours(
  files: DataFiles,
  batch_size: int,
  strategy: str,
  share: float | None = None,
  augment_fn: Any = None,
  **more: Any,
) -> tf.data.Dataset:
  """Returns the batches of BalancedInputs; `share` is the memory budget as a share of the data.

  Further arguments go to `BalancedInputs.train`.
  """
  from tfx_balance.inputs import BalancedInputs
  from tfx_balance.inputs.fn_args import read_plan

  budget = {}
  if share is not None:
    n_bytes = sum(file.n_bytes for file in read_plan(files.artifact).files)
    budget = {'memory_budget': int(share * n_bytes)}
  made = BalancedInputs.load(files.artifact, feature_spec(files), **budget)
  if files.spec.image_shape[0]:
    more['decode_fn'] = decode_record
  return made.train(batch_size, strategy, augment_fn=augment_fn, augment='all', **more)


def augmented(files: DataFiles, batch_size: int, by_record: bool) -> tf.data.Dataset:
  """Returns the batches of BalancedInputs with all images augmented, singly or batched."""
  from tfx_balance.augment import ImageAugment

  batched = ImageAugment(rotation=10, flip_left_right=True, brightness=0.1)
  augment_fn = (lambda features, seed: batched(features, seed)) if by_record else batched
  return ours(files, batch_size, 'exact', augment_fn=augment_fn)


_STREAMED = 0.25  # memory budget as a fraction of the data

SIDES: dict[str, Side] = {
  'plain': plain,
  'tf_dataset_factory': tf_dataset_factory,
  'sample_from_datasets': sample_from_datasets,
  'group_by_window': group_by_window,
  'filter': filter_by_class,
  'rejection_resample': rejection_resample,
  **{s: functools.partial(ours, strategy=s) for s in STRATEGIES},
  **{f'{s}, streamed': functools.partial(ours, strategy=s, share=_STREAMED) for s in STRATEGIES},
  'exact, augmented by record': functools.partial(augmented, by_record=True),
  'exact, augmented': functools.partial(augmented, by_record=False),
}
"""Input pipelines by name; all but the first six use this package."""


def shuffled(files: DataFiles) -> tf.data.Dataset:
  """Returns one pass over the mixed records, with a shuffle buffer.

  One file after another: with `num_parallel_reads`, threads hand over single records, which takes
  some 10 us for each, and small records come at a tenth to a fifth of the rate.
  """
  paths = tf.data.Dataset.from_tensor_slices(files.paths()).shuffle(100)
  records = tf.data.TFRecordDataset(paths, 'GZIP')
  return records.shuffle(_SHUFFLED)


def balanced_draws(parts: list[tf.data.Dataset]) -> tf.data.Dataset:
  """Returns draws from datasets with equal probability."""
  return tf.data.Dataset.sample_from_datasets(parts, rerandomize_each_iteration=True)


def class_of(files: DataFiles, record: tf.Tensor) -> tf.Tensor:
  """Returns the class index of a record."""
  spec = {'label': tf.io.FixedLenFeature([], tf.int64)}
  return tf.io.parse_single_example(record, spec)['label'] - files.spec.first_label


def finished(batches: tf.data.Dataset, files: DataFiles) -> tf.data.Dataset:
  """Returns batches of serialized records parsed, decoded and prefetched."""
  spec = feature_spec(files)

  def parse(records: tf.Tensor) -> tuple[Any, tf.Tensor]:
    features = tf.io.parse_example(records, spec)
    return features, features.pop('label')

  parsed = batches.map(parse, num_parallel_calls=AUTOTUNE)
  return decoded(parsed, files).prefetch(AUTOTUNE)


def decode_record(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Returns the decoded image of a record, PNG or JPEG."""
  return {'image': tf.io.decode_png(features['image'], channels=3)}


def decoded(batches: tf.data.Dataset, files: DataFiles) -> tf.data.Dataset:
  """Returns the batches of peers with decoded images."""
  if not files.spec.image_shape[0]:
    return batches

  def decode(features: Any, label: tf.Tensor) -> tuple[Any, tf.Tensor]:
    encoded = {'image': tf.reshape(features['image'], [-1])}
    return tf.map_fn(decode_record, encoded, fn_output_signature={'image': tf.uint8}), label

  return batches.map(decode, num_parallel_calls=AUTOTUNE)
