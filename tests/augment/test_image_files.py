"""Changed copies of 8-bit images: near to the formula, exact at whole places, equal everywhere."""

import hashlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.augment import Applier, ImageAugment
from tfx_balance.augment import image_files as module
from tfx_balance.augment.image_files import Look, change, decode, encode

from tests.augment.helpers_augment import make_images, make_seeds, png

LOOK = Look('reflect', 0, 0, 255, 95)
ALL = {
  'crop': 0.3,
  'flip_left_right': True,
  'flip_up_down': True,
  'contrast': 0.3,
  'brightness': 0.2,
}


def image_of(height, width, channels, seed=0):
  rng = np.random.default_rng(seed)
  shape = (height, width) if channels == 1 else (height, width, channels)
  return rng.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('size', [(1, 1), (1, 5), (6, 1), (7, 9), (64, 80)])
def test_whole_windows_and_mirrored_ones_keep_every_value(size, channels):
  image = image_of(*size, channels)
  mirrored = np.array([[False, False], [True, False], [False, True], [True, True]])
  out = change(image, {'windows': np.array([[0, 0, *size]] * 4), 'mirrored': mirrored}, LOOK)
  for made, wanted in zip(
    out, [image, image[::-1], image[:, ::-1], image[::-1, ::-1]], strict=True
  ):
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
def test_colors_change_about_the_mean_within_the_range_and_alpha_stays(channels):
  image, colors = image_of(9, 11, channels), np.array([[1.5, 20.0], [0.5, -30.0]])
  out = change(image, {'colors': colors}, LOOK)
  for made, (factor, shift) in zip(out, colors, strict=True):
    mean = image.mean(axis=(0, 1))
    wanted = np.clip(np.rint(mean + factor * (image - mean) + shift), 0, 255)
    if channels in (2, 4):
      wanted[..., -1] = image[..., -1]
    assert np.abs(made - wanted).max() <= 1  # the mean is a whole level


def test_sums_of_colors_are_exact_so_that_no_processor_rounds_otherwise():
  image, rng = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 48), np.random.default_rng(2)
  colors = rng.integers([0, -255 * 4096], [2 * 4096, 255 * 4096], (300, 2), endpoint=True) / 4096
  mean = round(float(image.mean()))
  for made, (factor, shift) in zip(change(image, {'colors': colors}, LOOK), colors, strict=True):
    exact = image.astype(float) * factor + (mean * (1 - factor) + shift)
    np.testing.assert_array_equal(made, np.clip(np.rint(exact), 0, 255))


def test_copies_of_an_original_decode_it_once(monkeypatch):
  decoded = []

  def counted(file, *others):
    decoded.append(file)
    return decode(file, *others)

  monkeypatch.setattr(module, 'decode', counted)
  originals = png(make_images(3))
  files = tf.gather(originals, [0, 0, 0, 1, 2, 2, 0])
  Applier(ImageAugment(crop=0.2))({'image': files}, make_seeds(7))
  assert decoded[-3:] == list(originals.numpy())
  assert len(decoded) == 3


@pytest.mark.parametrize('n', [1, 30, 70], ids=['all together', 'some together', 'alone'])
def test_images_of_several_shapes_and_kinds_are_encoded_each_as_alone(n):
  jpeg = tf.io.encode_jpeg(tf.constant(make_images(1, 8 * n, 10 * n)[0])).numpy()
  shapes = [(8 * n, 10 * n, 3), (9 * n, 10 * n, 3), (8 * n, 10 * n, 1), (8 * n, 10 * n, 4)]
  originals = [*(png(make_images(1, *shape)).numpy()[0] for shape in shapes), jpeg]
  files, seeds = tf.constant(originals * 4), make_seeds(20)
  made = Applier(ImageAugment(**ALL))({'image': files}, seeds)['image'].numpy()
  for i in range(20):
    one = Applier(ImageAugment(**ALL))({'image': files[i : i + 1]}, seeds[i : i + 1])
    assert one['image'].numpy()[0] == made[i]


def made_with(threads, optimized, options):
  """Returns the files that OpenCV makes of large images with these settings of its own."""
  before = cv2.getNumThreads()
  cv2.setNumThreads(threads)
  cv2.setUseOptimized(optimized)
  try:
    files, seeds = tf.repeat(png(make_images(1, 400, 500)), 3), make_seeds(3)
    return list(Applier(ImageAugment(**options))({'image': files}, seeds)['image'].numpy())
  finally:
    cv2.setNumThreads(before)
    cv2.setUseOptimized(True)


@pytest.mark.parametrize('more', [{}, {'rotation': 20.0}], ids=['window', 'turned'])
def test_threads_and_instructions_of_opencv_change_nothing(more):
  made = made_with(0, True, ALL | more)
  assert made_with(4, True, ALL | more) == made
  assert made_with(4, False, ALL | more) == made


def test_pixels_are_the_same_in_every_process_and_release():
  rng = np.random.default_rng(5)
  n, image = 20, image_of(30, 40, 3, seed=3)
  drawn = {
    'windows': np.array([(i % 5, i % 4, 24 - i % 3, 35 - i % 7) for i in range(n)]),
    'mirrored': rng.integers(0, 2, (n, 2)).astype(bool),
    'colors': np.stack([np.arange(n) / 16 + 0.5, np.arange(n) - 10.0], 1),
    'squares': np.array([(i, i, i + 9, i + 5) for i in range(n)]),
  }
  digest = hashlib.sha256(change(image, drawn, LOOK).tobytes()).hexdigest()
  assert digest[:16] == '1c8f570555a4e78a'


def test_a_jpeg_keeps_its_colors_and_quality():
  image = make_images(1, 40, 48)[0]
  file = tf.io.encode_jpeg(image, quality=95).numpy()
  again = encode(decode(file, is_png=False)[np.newaxis], is_png=False, jpeg_quality=95)[0]
  peer = tf.io.encode_jpeg(tf.io.decode_jpeg(file), quality=95)
  off = tf.io.decode_jpeg(again).numpy().astype(int) - tf.io.decode_jpeg(peer)
  assert np.abs(off).mean() < 0.5
  poor = encode(decode(file, is_png=False)[np.newaxis], is_png=False, jpeg_quality=20)[0]
  assert len(poor) < len(again) / 2
