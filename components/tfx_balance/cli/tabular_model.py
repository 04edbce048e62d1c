"""A small dense model for any tf.Examples of numbers, numeric vectors and categories.

Numbers and vectors of fixed length are scaled to mean 0 and standard deviation 1; missing ones are
replaced by the mean. Strings are one-hot encoded with the vocabulary of the training split. The
classes are the label values in the training split, in decreasing order of frequency.
"""

from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from tfx.components.trainer.fn_args_utils import FnArgs

from tfx_balance.cli import model_training as training

MOST_CATEGORIES = 1_000
CLASSES_VOCABULARY = 'classes'
EMPTY, MISSING = '\\empty', '\\missing'  # vocabulary entries; all other backslashes are doubled

RawFeature: TypeAlias = 'tf.Tensor | tf.SparseTensor'


def vocabulary_name(feature: str) -> str:
  """Returns a file name for a feature's vocabulary; other than letters and digits become _hex_.

  >>> vocabulary_name('home town')
  'values_of_home_20_town'
  """
  clean = (c if c.isascii() and c.isalnum() else f'_{ord(c):x}_' for c in feature)
  return 'values_of_' + ''.join(clean)


def first_values(feature: RawFeature, missing: str | float) -> tf.Tensor:
  """Returns a dense tensor [n, length]; a sparse feature gives its first value, or `missing`."""
  if not isinstance(feature, tf.SparseTensor):
    return tf.reshape(feature, [-1, feature.shape[1:].num_elements()])
  rows = tf.shape(feature, out_type=tf.int64)[0]
  one_column = tf.sparse.slice(feature, [0, 0], tf.stack([rows, 1]))
  filler = tf.constant(missing, feature.dtype)
  dense = tf.sparse.to_dense(one_column, filler)
  # A batch in which every value is missing has no column at all.
  dense = tf.cond(
    tf.shape(dense)[1] > 0, lambda: dense, lambda: tf.fill(tf.stack([rows, 1]), filler)
  )
  return tf.reshape(dense, [-1, 1])


def scale(feature: RawFeature) -> tf.Tensor:
  """Returns floats [n, length] with mean 0 and deviation 1 per column; missing values are 0."""
  if isinstance(feature, tf.SparseTensor):
    feature = tf.SparseTensor(
      feature.indices, tf.cast(feature.values, tf.float32), feature.dense_shape
    )
  values = tf.cast(first_values(feature, float('nan')), tf.float32)
  scaled = tft.scale_to_z_score(values, elementwise=True)
  return tf.where(tf.math.is_finite(scaled), scaled, tf.zeros_like(scaled))


def to_line(text: tf.Tensor) -> tf.Tensor:
  r"""Returns texts with \, \n and \r escaped, since Transform's vocabularies omit line breaks."""
  for pattern, escaped in ((r'\\', r'\\\\'), ('\n', r'\\n'), ('\r', r'\\r')):
    text = tf.strings.regex_replace(text, pattern, escaped)
  return text


def to_category_id(feature: RawFeature, name: str) -> tf.Tensor:
  """Returns ids [n, length] in a feature's vocabulary; rare and new values share the last id."""
  return tft.compute_and_apply_vocabulary(
    to_line(first_values(feature, '')),
    top_k=MOST_CATEGORIES,
    num_oov_buckets=1,
    vocab_filename=vocabulary_name(name),
  )


def class_names(label: tf.Tensor) -> tf.Tensor:
  """Returns the vocabulary entries of int, string or integral float labels."""
  if label.dtype == tf.string:
    return tf.where(tf.equal(label, ''), tf.constant(EMPTY), to_line(label))
  return tf.strings.as_string(tf.cast(label, tf.int64))


def to_class_id(label: RawFeature) -> tf.Tensor:
  """Returns ids [n, 1] of int, string or integral float labels; -1 for classes not in training.

  Missing labels are a class if they occur in training.
  """
  if isinstance(label, tf.SparseTensor):
    named = tf.SparseTensor(label.indices, class_names(label.values), label.dense_shape)
    names = first_values(named, MISSING)
  else:
    names = class_names(label)
  return tft.compute_and_apply_vocabulary(
    tf.reshape(names, [-1, 1]), vocab_filename=CLASSES_VOCABULARY
  )


def preprocessing_fn(
  inputs: dict[str, RawFeature], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
  """Returns the features by name, except ignored ones: scaled floats, category ids, class ids.

  Raises:
    ValueError: If there is no feature of an ignored name.
  """
  label, ignored = custom_config['label'], custom_config['ignore']
  if unknown := set(ignored).difference(inputs):
    raise ValueError(f'no feature is called {unknown.pop()!r}; ignore some of {sorted(inputs)}')
  outputs = {}
  for name, feature in ((n, f) for n, f in inputs.items() if n not in ignored):
    if name == label:
      outputs[name] = to_class_id(feature)
    elif feature.dtype == tf.string:
      outputs[name] = to_category_id(feature, name)
    else:
      outputs[name] = scale(feature)
  return outputs


def build_model(transform: tft.TFTransformOutput, label: str) -> tf_keras.Model:
  """Returns a dense model with two hidden layers over the concatenated features."""
  inputs, columns = {}, []
  for name, spec in sorted(transform.transformed_feature_spec().items()):
    if name == label:
      continue
    inputs[name] = tf_keras.Input(spec.shape, dtype=spec.dtype)
    column = inputs[name]
    if spec.dtype == tf.int64:
      size = transform.vocabulary_size_by_name(vocabulary_name(name)) + 1
      column = tf_keras.layers.CategoryEncoding(size, output_mode='multi_hot')(column)
    columns.append(column)
  x = columns[0] if len(columns) == 1 else tf_keras.layers.Concatenate()(columns)
  for width in (64, 32):
    x = tf_keras.layers.Dense(width, activation='relu')(x)
  classes = transform.vocabulary_size_by_name(CLASSES_VOCABULARY)
  return tf_keras.Model(inputs, tf_keras.layers.Dense(classes, activation='softmax')(x))


def run_fn(fn_args: FnArgs) -> None:
  """Trains on balanced batches."""
  training.train_and_export(fn_args, training.balanced_batches, build_model)


def natural_run_fn(fn_args: FnArgs) -> None:
  """Trains the same model on natural batches, for comparison."""
  training.train_and_export(fn_args, training.natural_batches, build_model)
