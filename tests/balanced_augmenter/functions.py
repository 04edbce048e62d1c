"""Augment functions of tests, which components and workers import by their dotted path."""

import os
import threading

import tensorflow as tf
from tfx_balance.augment import Smote

MARKER = 'TFX_BALANCE_TEST_MARKER'
"""Environment variable: a file that is there once a function has been called."""

GO_ON = threading.Event()
"""What `waits` waits for."""


def jitter(features, seed):
  noise = tf.random.stateless_normal(tf.shape(features['x']), seed, stddev=0.1)
  return {**features, 'x': features['x'] + noise}


def same(features, seed):
  del seed
  return {name: tf.identity(value) for name, value in features.items()}


def loses_tags(features, seed):
  """Keeps some of the tags, however many there are."""
  kept = tf.random.stateless_uniform(tf.shape(features['tags']), seed) < 0.5
  return {**features, 'tags': features['tags'][kept]}


def fails_once(features, seed):
  """Fails until its marker is there, as a worker that is lost with what it was doing."""
  path = os.environ[MARKER]
  if not os.path.exists(path):
    with open(path, 'w') as marker:
      marker.write('called')
    raise OSError('the first attempt is lost')
  return jitter(features, seed)


def raises(features, seed):
  raise RuntimeError('no idea')


def waits(features, seed):
  """Does not end before it may go on."""
  shown = tf.numpy_function(_wait, [features['x']], tf.float32)
  return {**features, 'x': tf.ensure_shape(shown, features['x'].shape)}


def _wait(values):
  GO_ON.wait()
  return values


def changes_label(features, seed):
  return {**features, 'label': tf.where(features['id'] == 7, b'c', features['label'])}


def gives_nan(features, seed):
  nan = tf.constant(float('nan'))
  return {**features, 'x': tf.where(features['id'] == 7, nan, features['x'])}


class OnlyAlone:
  """Fails on every batch of more than one record."""

  def __repr__(self):
    return 'OnlyAlone()'

  def batch(self, features, seeds):
    alone = tf.debugging.Assert(tf.shape(seeds)[0] < 2, ['too many records'])
    with tf.control_dependencies([alone]):
      return {name: tf.identity(value) for name, value in features.items()}

  def __call__(self, features, seed):
    return features


only_alone = OnlyAlone()
smote = Smote(['x'], k=3)
