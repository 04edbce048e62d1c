"""Keras layers, of both Keras, as functions of the seed alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tfx_balance.augment import Applier, from_keras, source_hash
from tfx_balance.errors import ConfigError

from tests.augment.helpers_augment import decode, make_images, make_seeds, png

BOTH = pytest.mark.parametrize('kind', [keras, tf_keras], ids=['keras3', 'tf_keras'])


def sequential(kind):
  return kind.Sequential([kind.layers.RandomFlip(), kind.layers.RandomRotation(0.1)])


@BOTH
def test_same_seed_same_bytes_alone_as_in_a_batch_and_in_a_new_wrapper_another_seed_others(kind):
  files, seeds = png(make_images(3)), make_seeds(3)
  augment = from_keras(sequential(kind))
  applier = Applier(augment)
  first = applier({'image': files}, seeds)['image'].numpy()
  assert list(applier({'image': files}, seeds)['image'].numpy()) == list(first)
  alone = [augment({'image': files[i]}, seeds[i])['image'].numpy() for i in range(3)]
  assert alone == list(first)
  anew = Applier(from_keras(sequential(kind)))({'image': files}, seeds)['image'].numpy()
  assert list(anew) == list(first)
  assert all(image.shape == (20, 24, 3) for image in decode(first))
  assert (
    len(set(applier({'image': tf.repeat(files[:1], 20)}, make_seeds(20))['image'].numpy())) == 20
  )


@BOTH
def test_layers_of_a_kind_draw_independently(kind):
  noise = kind.Sequential([kind.layers.GaussianNoise(0.5), kind.layers.GaussianNoise(0.5)])
  seeds = make_seeds(300)
  out = Applier(from_keras(noise, 'x'))({'x': tf.zeros([300, 4])}, seeds)['x'].numpy()
  assert out.std() == pytest.approx(0.5 * np.sqrt(2), rel=0.1)  # 1.0 if they drew the same


@BOTH
def test_the_layer_keeps_its_own_generator_outside(kind):
  layer = kind.layers.GaussianNoise(0.5)
  seeds = make_seeds(2)
  before = Applier(from_keras(layer, 'x'))({'x': tf.zeros([2, 4])}, seeds)['x']
  drawn = [np.asarray(layer(tf.zeros([2, 4]), training=True)) for _ in range(2)]
  assert (drawn[0] != drawn[1]).any()
  after = Applier(from_keras(layer, 'x'))({'x': tf.zeros([2, 4])}, seeds)['x']
  np.testing.assert_array_equal(before, after)


def test_a_layer_that_keeps_a_state_is_named():
  class Counting(keras.layers.Layer):
    def build(self, shape):
      self.seen = self.add_weight(shape=(), initializer='zeros', trainable=False)

    def call(self, x):
      self.seen.assign(self.seen + 1)
      return x + self.seen

  layers = keras.Sequential([keras.layers.Rescaling(2.0), Counting(name='counting')])
  with pytest.raises(ConfigError, match=r"layers \['counting'\] keep a state of their own"):
    Applier(from_keras(layers, 'x'))({'x': tf.zeros([2, 4])}, make_seeds(2))


@BOTH
def test_a_layer_that_draws_behind_its_generator_is_refused(kind):
  class Careless(kind.layers.Layer):
    def call(self, x):
      return x + tf.random.uniform([4])

  with pytest.raises(ConfigError, match=r'careless.* keep a state of their own \(RandomUniform'):
    Applier(from_keras(Careless(), 'x'))({'x': tf.zeros([2, 4])}, make_seeds(2))


def test_a_layer_that_draws_in_numpy_is_refused():
  class Drawn(keras.layers.Layer):
    def call(self, x):
      return x + np.random.random()

  with pytest.raises(ConfigError, match=r'from_keras\(drawn.* gives other values for the same'):
    Applier(from_keras(Drawn(), 'x'))({'x': tf.zeros([2, 4])}, make_seeds(2))


def test_what_is_no_layer_or_mixes_records_is_refused():
  with pytest.raises(ConfigError, match='layer=3 is not a Keras layer'):
    from_keras(3)
  if hasattr(keras.layers, 'MixUp'):
    with pytest.raises(ConfigError, match='mix records of a batch'):
      from_keras(keras.layers.MixUp())


def test_a_layer_that_must_know_the_size_says_so_and_gets_it():
  files = png(make_images(3))
  crop = keras.layers.RandomCrop(10, 12)
  with pytest.raises(ConfigError, match=r'unknown size .*pass shape=\(height, width, channels\)'):
    Applier(from_keras(crop))({'image': files}, make_seeds(3))
  out = Applier(from_keras(crop, shape=(20, 24, 3)))({'image': files}, make_seeds(3))['image']
  assert [image.shape for image in decode(out)] == [(10, 12, 3)] * 3


def test_raw_values_take_their_shape():
  flip = keras.layers.RandomFlip('horizontal')
  values = tf.constant(np.arange(6, dtype=np.float32)[None].repeat(40, 0))
  out = Applier(from_keras(flip, 'x', shape=(2, 3, 1)))({'x': values}, make_seeds(40))['x'].numpy()
  assert {tuple(row) for row in out} == {(0, 1, 2, 3, 4, 5), (2, 1, 0, 5, 4, 3)}


def test_hash_depends_on_parameters_and_not_on_numbered_names():
  def zoom(factor):
    return from_keras(keras.Sequential([keras.layers.RandomZoom(factor, seed=1)]))

  assert source_hash(zoom(0.2)) == source_hash(zoom(0.2))
  assert source_hash(zoom(0.2)) != source_hash(zoom(0.3))


def test_a_feature_that_is_not_there_is_named():
  with pytest.raises(ConfigError, match=r"feature 'image' is not in \['x'\]"):
    Applier(from_keras(keras.layers.RandomFlip()))({'x': tf.zeros([2, 4])}, make_seeds(2))


def test_what_layers_give_past_the_range_of_a_dtype_becomes_its_bound():
  add = keras.layers.Lambda(lambda pixels: tf.cast(pixels, tf.float32) + 200.0)
  pixels = np.array([[[[0], [100]]]], np.uint8)
  made = Applier(from_keras(add))({'image': pixels}, make_seeds(1))['image']
  assert made.numpy().ravel().tolist() == [200, 255]
