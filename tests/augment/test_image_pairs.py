"""An image and its mask, and arrays whose channels are not last."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.augment import ImageAugment
from tfx_balance.errors import ConfigError


def test_two_functions_change_an_image_and_its_mask_alike_by_one_seed():
  pixels = np.random.default_rng(0).random((6, 8, 8, 1)).astype(np.float32)
  features = {'image': tf.constant(pixels), 'mask': tf.constant(pixels)}
  seeds = tf.constant(np.arange(12).reshape(6, 2))
  for options in ({'flip_left_right': True, 'flip_up_down': True}, {'rotation': 30, 'crop': 0.2}):
    made = ImageAugment('image', **options).batch(features, seeds)
    made = ImageAugment('mask', **options).batch(made, seeds)
    assert np.array_equal(made['image'], made['mask'])
    assert not np.array_equal(made['image'], pixels)


@pytest.mark.parametrize('shape', [(3, 8, 8), (1, 8, 9), (8, 8, 2)])
def test_a_last_axis_that_may_not_be_channels_is_refused_unless_it_is_told(shape):
  pixels = tf.constant(np.random.default_rng(0).random((4, *shape)).astype(np.float32))
  seeds = tf.constant(np.arange(8).reshape(4, 2))
  flip = ImageAugment('image', flip_left_right=True)
  with pytest.raises(ConfigError, match=r'whose last axis is not 1, 3 or 4 channels; transpose'):
    flip.batch({'image': pixels}, seeds)
  if shape[-1] <= 4:
    with_shape = ImageAugment('image', flip_left_right=True, shape=shape)
    assert with_shape.batch({'image': pixels}, seeds)['image'].shape == pixels.shape
