"""Augment functions that tests load by their dotted path, good ones and bad ones."""

import tensorflow as tf
from tfx_balance.augment import ImageAugment

NUMBER = 3
ready = ImageAugment(rotation=5)


def jitter(features, seed):
  noise = tf.random.stateless_normal(tf.shape(features['x']), seed)
  return {**features, 'x': features['x'] + noise}


def branching(features, seed):
  """Leaves the branch on a tensor to AutoGraph."""
  del seed
  if features['n'] > 3:  # noqa: SIM108, a statement is what AutoGraph has to convert
    n = features['n'] * 2
  else:
    n = features['n']
  return {**features, 'n': n}


def longer(features, seed):
  del seed
  return {**features, 'words': tf.concat([features['words'], [b'more']], 0)}


def drops(features, seed):
  del seed
  return {'x': features['x']}


def adds(features, seed):
  del seed
  return {**features, 'y': features['x']}


def no_dict(features, seed):
  del seed
  return features['x']


def other_dtype(features, seed):
  del seed
  return {**features, 'x': tf.cast(features['x'], tf.float64)}


def other_shape(features, seed):
  del seed
  return {**features, 'x': features['x'][:1]}


def hidden_shape(features, seed):
  """Changes a shape that is known at run time only, of one record."""
  del seed
  keep = tf.where(features['n'] == 4, 1, 2)
  return {**features, 'x': features['x'][:keep]}


def other_label(features, seed):
  del seed
  return {**features, 'label': tf.where(features['n'] == 4, b'other', features['label'])}


def nan(features, seed):
  del seed
  return {**features, 'x': tf.where(features['n'] == 4, float('nan'), features['x'])}


def infinity(features, seed):
  del seed
  return {**features, 'x': features['x'] / tf.where(features['n'] == 4, 0.0, 1.0)}


def raises(features, seed):
  del seed
  with tf.control_dependencies(
    [tf.debugging.assert_none_equal(features['n'], tf.constant(4, tf.int64), message='n is 4')]
  ):
    return {**features, 'x': tf.identity(features['x'])}


def asks_for_more(features, seed):
  del seed
  return {**features, 'x': features['z']}


def stateful(features, seed):
  del seed
  return {**features, 'x': features['x'] + tf.random.uniform([2])}


class BadBatch:
  """Its batch form loses a record."""

  def batch(self, features, seeds):
    del seeds
    return {**features, 'x': features['x'][1:]}

  def __call__(self, features, seed):
    del seed
    return features


bad_batch = BadBatch()
