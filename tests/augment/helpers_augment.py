"""Images and seeds that the tests of augmentation share."""

import numpy as np
import tensorflow as tf


def make_seeds(n, start=0):
  """Returns int64 [n, 2], any bits."""
  rng = np.random.default_rng(start)
  return tf.constant(rng.integers(-(2**63), 2**63 - 1, (n, 2)))


def make_images(n, height=20, width=24, channels=3):
  """Returns smooth uint8 [n, height, width, channels], another for each n."""
  rng = np.random.default_rng(7)
  coarse = rng.normal(128, 60, (n, height // 4 + 2, width // 4 + 2, channels))
  fine = tf.image.resize(coarse, (height, width), 'bicubic').numpy()
  return np.clip(np.rint(fine), 0, 255).astype(np.uint8)


def png(images):
  return tf.io.encode_png(images)


def decode(files):
  return [tf.io.decode_png(file).numpy() for file in files]
