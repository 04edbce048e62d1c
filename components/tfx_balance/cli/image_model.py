"""A small convolutional model for images of any size: PNG or JPEG bytes in, probabilities out.

The classes are the label values in the training split, in decreasing order of frequency.
"""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from tfx.components.trainer.fn_args_utils import FnArgs

from tfx_balance.augment import decode_image
from tfx_balance.cli import model_training as training
from tfx_balance.cli.tabular_model import CLASSES_VOCABULARY, RawFeature, to_class_id

IMAGE = 'image'
SIDE = 64
CHANNELS = 3


def resize(encoded: tf.Tensor) -> tf.Tensor:
  """Returns an encoded image as RGB uint8 [64, 64, 3], upright; the aspect ratio may change."""
  resized = tf.image.resize(decode_image(encoded, CHANNELS), (SIDE, SIDE), antialias=True)
  return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def preprocessing_fn(
  inputs: dict[str, RawFeature], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
  """Returns the images as floats 0..1, [n, 64, 64, 3], and class ids [n, 1]."""
  label = custom_config['label']
  pixels = tf.map_fn(
    resize,
    tf.reshape(inputs[IMAGE], [-1]),
    fn_output_signature=tf.TensorSpec([SIDE, SIDE, CHANNELS], tf.uint8),
  )
  return {IMAGE: tf.cast(pixels, tf.float32) / 255.0, label: to_class_id(inputs[label])}


def build_model(transform: tft.TFTransformOutput, label: str) -> tf_keras.Model:
  """Returns a model of four convolutions and two dense layers for {'image': [n, 64, 64, 3]}."""
  image = tf_keras.Input((SIDE, SIDE, CHANNELS), name=IMAGE)
  x = image
  for filters in (16, 32, 64, 64):
    x = tf_keras.layers.Conv2D(filters, 3, padding='same', activation='relu')(x)
    x = tf_keras.layers.MaxPool2D()(x)
  x = tf_keras.layers.Dense(64, activation='relu')(tf_keras.layers.Flatten()(x))
  classes = transform.vocabulary_size_by_name(CLASSES_VOCABULARY)
  return tf_keras.Model({IMAGE: image}, tf_keras.layers.Dense(classes, activation='softmax')(x))


def run_fn(fn_args: FnArgs) -> None:
  """Trains on balanced batches."""
  training.train_and_export(fn_args, training.balanced_batches, build_model)


def natural_run_fn(fn_args: FnArgs) -> None:
  """Trains the same model on natural batches, for comparison."""
  training.train_and_export(fn_args, training.natural_batches, build_model)
