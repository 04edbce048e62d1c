"""Augment functions in training are those of the augmenter, ready ones included."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.augment import (
  Applier,
  AugmentError,
  ImageAugment,
  SmoothedBootstrap,
  Smote,
  from_keras,
)
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import BalancedInputs

from tests.augment.helpers_augment import make_images, png
from tests.inputs.helpers_inputs import SPEC, write_artifact

COUNTS = (60, 20, 7, 1)
LABELS = np.repeat(np.arange(4), COUNTS)
N = len(LABELS)


@pytest.fixture(scope='module')
def features():
  images = make_images(N, 6, 8)
  rng = np.random.default_rng(0)
  return {
    'id': np.arange(N),
    'image': np.array([png(image).numpy() for image in images], object),
    'column': np.array([[png(image).numpy()] for image in images], object),
    'pixels': images,
    'x': (rng.normal(size=(N, 2)) + 100 * LABELS[:, None]).astype(np.float32),
    'color': np.array([[b'red'], [b'blue']] * (N // 2), object),
  }


@pytest.fixture(scope='module')
def seen(features):
  """Returns batches of which each record's seed is known: (features, seeds), as all calls draw."""
  inputs = BalancedInputs.from_arrays({**features, 'seed': np.zeros((N, 2), np.int64)}, LABELS)

  def add_seed(record, seed):
    return {**record, 'seed': seed}

  batches = inputs.train(12, augment='all', augment_fn=add_seed).take(4)
  return [(batch, batch.pop('seed')) for batch, _ in batches]


def test_seeds_are_int64_and_numbers_drawn_from_them_as_from_the_draws(features, seen):
  """An older function sees the numbers that 32-bit seeds gave."""

  def noisy(record, seed):
    assert seed.dtype == tf.int64
    return {**record, 'x': tf.random.stateless_uniform([2], seed)}

  batches = BalancedInputs.from_arrays(features, LABELS).train(12, augment='all', augment_fn=noisy)
  for (made, _), (_, seeds) in zip(batches.take(4), seen, strict=True):
    narrow = tf.cast(seeds, tf.int32)
    expected = [tf.random.stateless_uniform([2], seed).numpy() for seed in narrow]
    np.testing.assert_array_equal(made['x'], expected)


def keras_flip():
  import keras

  return keras.layers.RandomFlip()


@pytest.mark.parametrize(
  ('feature', 'make'),
  [
    *(
      pytest.param(
        feature,
        lambda feature: ImageAugment(feature, brightness=0.2, flip_left_right=True),
        id=f'ImageAugment of {feature}',
      )
      for feature in ('image', 'column', 'pixels')
    ),
    pytest.param('image', lambda feature: from_keras(keras_flip(), feature), id='from_keras'),
  ],
)
def test_ready_image_functions_change_records_as_in_the_augmenter(features, seen, feature, make):
  augment_fn = make(feature)
  given = {'id': features['id'], feature: features[feature]}
  batches = BalancedInputs.from_arrays(given, LABELS).train(
    12, augment='all', augment_fn=augment_fn
  )
  in_augmenter = Applier(augment_fn)
  for (made, _), (batch, seeds) in zip(batches.take(2), seen, strict=False):
    before = {name: batch[name] for name in given}
    expected = in_augmenter(before, seeds)[feature].numpy()
    np.testing.assert_array_equal(made[feature].numpy(), expected)
    assert (expected != before[feature].numpy()).any()


def test_image_augment_runs_batched(features, monkeypatch):
  def refuse(*args, **kwargs):
    raise AssertionError('one record at a time')

  monkeypatch.setattr(ImageAugment, '__call__', refuse)
  inputs = BalancedInputs.from_arrays({'pixels': features['pixels']}, LABELS)
  augment_fn = ImageAugment('pixels', brightness=0.2)
  ((made, _),) = inputs.train(12, augment='all', augment_fn=augment_fn).take(1)
  assert made['pixels'].shape == (12, 6, 8, 3)


@pytest.mark.parametrize('augment', ['all', [3, 1]], ids=['all', 'two classes'])
@pytest.mark.parametrize(
  'augment_fn',
  [Smote(['x'], categorical=['color'], k=3), SmoothedBootstrap(['x'])],
  ids=lambda f: type(f).__name__,
)
def test_functions_with_a_pool_are_bound_to_each_class(features, seen, augment_fn, augment):
  given = {name: features[name] for name in ('id', 'x', 'color')}
  inputs = BalancedInputs.from_arrays(given, LABELS)
  batches = inputs.train(12, augment=augment, augment_fn=augment_fn)
  pools = [{name: value[c == LABELS] for name, value in given.items()} for c in range(4)]
  in_augmenter = [Applier(augment_fn.bind(pool)) for pool in pools]
  for (made, labels), (batch, seeds) in zip(batches.take(4), seen, strict=True):
    before = {name: batch[name] for name in given}
    for c in range(4):
      mine = labels.numpy() == c
      expected = {name: value[mine] for name, value in before.items()}
      if augment == 'all' or c in augment:
        expected = in_augmenter[c](expected, seeds[mine])
      for name, value in expected.items():
        np.testing.assert_array_equal(made[name].numpy()[mine], value)


def test_a_pool_is_spread_over_what_is_held_and_the_first_of_what_is_streamed(tmp_path):
  write_artifact(tmp_path, (400, 20, 3), per_file=50)
  spec = {**SPEC, 'label': tf.io.FixedLenFeature([], tf.int64)}
  pools = []

  class Spy:
    pool_size = 10

    def bind(self, pool):
      pools.append(pool['id'].tolist())
      return lambda record, seed: record

  inputs = BalancedInputs.load(str(tmp_path), spec)
  next(iter(inputs.train(6, augment_fn=Spy())))
  assert pools == [list(range(0, 400, 40)), list(range(400, 420, 2)), [420, 421, 422]]
  pools.clear()
  streamed = BalancedInputs.load(str(tmp_path), spec, memory_budget=4_000)
  with pytest.warns(UserWarning, match='streaming the classes that memory_budget'):
    streamed.train(6, augment_fn=Spy())
  assert pools == [list(range(10)), list(range(400, 420, 2)), [420, 421, 422]]


BROKEN = {
  'drops': lambda record: {'x': record['x']},
  'state': lambda record: {**record, 'x': record['x'] + tf.random.normal([2])},
  'nan': lambda record: {**record, 'x': record['x'] + float('nan')},
}


def broken(record, seed, how):
  return BROKEN[how](record)


@pytest.mark.parametrize(
  ('how', 'error', 'message'),
  [
    ('drops', AugmentError, r"broken at record 0 of the batch: dropped \['id'\]; return every"),
    ('state', ConfigError, r'broken uses RandomStandardNormal .*; use tf.random.stateless_\*'),
    ('nan', AugmentError, "gave NaN in feature 'x', which had none"),
  ],
)
def test_what_breaks_the_contract_is_refused_as_in_the_augmenter(features, how, error, message):
  inputs = BalancedInputs.from_arrays({'id': features['id'], 'x': features['x']}, LABELS)
  with pytest.raises(error, match=message):
    inputs.train(4, augment_fn=functools.partial(broken, how=how))


def test_a_fault_on_a_later_record_names_function_and_rule(features):
  def late(record, seed):
    bad = record['id'] == N - 1
    return {**record, 'x': record['x'] / tf.where(bad, 0.0, 1.0) * tf.where(bad, 0.0, 1.0)}

  inputs = BalancedInputs.from_arrays({'id': features['id'], 'x': features['x']}, LABELS)
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=r'late: gave NaN in feature .*x.*, which'
  ):
    for _ in inputs.train(4, augment='all', augment_fn=late).take(2):
      pass


@pytest.mark.parametrize(
  ('augment_fn', 'message'),
  [(Smote, 'is a class; make an object of it'), (3, 'it must be a function of')],
  ids=['class', 'number'],
)
def test_what_is_no_function_is_refused(features, augment_fn, message):
  with pytest.raises(ConfigError, match=message):
    BalancedInputs.from_arrays({'x': features['x']}, LABELS).train(4, augment_fn=augment_fn)


def test_features_that_are_a_tuple_are_refused():
  features = (np.zeros(N), np.zeros(N))
  with pytest.raises(ConfigError, match='takes a dict of features'):
    BalancedInputs.from_arrays(features, LABELS).train(4, augment_fn=lambda f, s: f)


def test_one_array_is_augmented_as_the_feature_x():
  def negative(features, seed):
    assert list(features) == ['x']
    return {'x': -features['x']}

  inputs = BalancedInputs.from_arrays(np.arange(1, N + 1), LABELS)
  features, _ = next(iter(inputs.train(N, 'natural', augment_fn=negative, augment='all')))
  assert sorted(-features.numpy()) == list(range(1, N + 1))


def test_decoded_images_of_another_range_than_the_functions_are_refused(features):
  inputs = BalancedInputs.from_arrays({'image': features['image']}, LABELS)

  def resized(record):
    return {'image': tf.image.resize(tf.io.decode_png(record['image'], channels=3), [5, 5])}

  def train(**options):
    augment = ImageAugment(brightness=0.2, **options)
    return inputs.train(12, decode_fn=resized, augment_fn=augment, augment='all')

  with pytest.raises(AugmentError, match=r"'image' of float32 holds .*, and must be from 0 to 1;"):
    train()
  ((batch, _),) = train(value_range=(0, 255)).take(1)
  assert np.ptp(batch['image'].numpy(), axis=(1, 2, 3)).min() > 10


def test_an_image_outside_of_its_range_past_those_that_are_tried_ends_the_batches(features):
  pixels = features['pixels'] / np.where(LABELS, 1, 255).reshape(-1, 1, 1, 1)
  inputs = BalancedInputs.from_arrays({'image': pixels}, LABELS)  # the first class is tried
  with pytest.raises(tf.errors.InvalidArgumentError, match='must be from 0 to 1; pass the range'):
    list(inputs.train(12, augment_fn=ImageAugment(contrast=0.2), augment='all').take(2))
