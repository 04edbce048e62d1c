"""A small convolutional model of the digits: PNG bytes in, ten probabilities out."""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx_balance.cli import model_training as training

IMAGE = 'image'
SIDE = 8
CLASSES = 10


def preprocessing_fn(
  inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
  """Returns the images as floats 0..1, [n, 8, 8, 1], and the labels, which are class ids."""
  label = custom_config['label']
  pixels = tf.map_fn(
    lambda png: tf.io.decode_png(png, channels=1),
    tf.reshape(inputs[IMAGE], [-1]),
    fn_output_signature=tf.TensorSpec([None, None, 1], tf.uint8),
  )
  image = tf.cast(tf.ensure_shape(pixels, [None, SIDE, SIDE, 1]), tf.float32) / 255.0
  return {IMAGE: image, label: inputs[label]}


def build_model(transform: tft.TFTransformOutput, label: str) -> tf_keras.Model:
  """Returns a model of two convolutions and two dense layers for {'image': [n, 8, 8, 1]}."""
  image = tf_keras.Input((SIDE, SIDE, 1), name=IMAGE)
  x = tf_keras.layers.Conv2D(16, 3, padding='same', activation='relu')(image)
  x = tf_keras.layers.Conv2D(32, 3, padding='same', activation='relu')(x)
  x = tf_keras.layers.MaxPool2D()(x)
  x = tf_keras.layers.Dense(64, activation='relu')(tf_keras.layers.Flatten()(x))
  x = tf_keras.layers.Dense(CLASSES, activation='softmax')(x)
  return tf_keras.Model({IMAGE: image}, x)


def run_fn(fn_args: FnArgs) -> None:
  """Trains on balanced batches."""
  training.train_and_export(fn_args, training.balanced_batches, build_model)


def natural_run_fn(fn_args: FnArgs) -> None:
  """Trains the same model on natural batches, for comparison."""
  training.train_and_export(fn_args, training.natural_batches, build_model)
