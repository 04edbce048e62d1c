"""Augmented images: bounds, identity, formats, and one by one the same as in a batch."""

import dataclasses
import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx_balance.augment import Applier, AugmentError, ImageAugment
from tfx_balance.augment.codec import encode_pngs
from tfx_balance.errors import ConfigError

from tests.augment.helpers_augment import decode, make_images, make_seeds, png

EVERYTHING = {
  'flip_left_right': True,
  'flip_up_down': True,
  'brightness': 0.2,
  'contrast': 0.3,
  'crop': 0.3,
  'rotation': 20.0,
  'cutout': 0.3,
}
CASES = [
  *(pytest.param({name: value}, 3, id=name) for name, value in EVERYTHING.items()),
  *(pytest.param(EVERYTHING, channels, id=f'all-{channels}') for channels in (1, 2, 3, 4)),
]


applier = functools.lru_cache(Applier)  # tracing takes longer than all the rest


def run(augment, files, seeds):
  return applier(augment)({'image': files}, seeds)['image']


@pytest.mark.parametrize(('options', 'channels'), CASES)
def test_alone_is_bit_for_bit_as_in_a_batch(options, channels):
  augment = ImageAugment(**options)
  files, seeds = png(make_images(9, channels=channels)), make_seeds(9)
  many = run(augment, files, seeds).numpy()
  one_by_one = [augment({'image': files[i]}, seeds[i])['image'].numpy() for i in range(9)]
  assert list(many) == one_by_one
  assert list(run(augment, files[3:], seeds[3:]).numpy()) == one_by_one[3:]


def test_same_seed_same_bytes_another_seed_another_image():
  augment = ImageAugment(**EVERYTHING)
  files = tf.repeat(png(make_images(1)), 20)
  first = run(augment, files, make_seeds(20)).numpy()
  assert list(first) == list(run(augment, files, make_seeds(20)).numpy())
  assert len(set(first)) == 20
  assert not set(first) & set(run(augment, files, make_seeds(20, start=1)).numpy())


@pytest.mark.parametrize('encode', [tf.io.encode_png, tf.io.encode_jpeg], ids=['png', 'jpeg'])
def test_a_graph_as_in_training_gives_the_same_bytes(encode):
  augment = ImageAugment(flip_left_right=True, brightness=0.2, contrast=0.3, crop=0.3)
  files, seeds = tf.stack([encode(image) for image in make_images(5)]), make_seeds(5)
  in_graph = tf.function(augment.batch, autograph=False)({'image': files}, seeds)['image']
  assert list(in_graph.numpy()) == list(run(augment, files, seeds).numpy())


def test_pixels_are_changed_as_raw_values_are_within_a_level_or_two():
  images, seeds = make_images(6, 16, 16, 3), make_seeds(6)
  options = {'flip_up_down': True, 'brightness': 0.2, 'contrast': 0.3, 'crop': 0.3, 'cutout': 0.3}
  raw = run(
    ImageAugment(**options, shape=(16, 16, 3)), images.reshape(6, -1).astype(np.int64), seeds
  )
  encoded = np.array(decode(run(ImageAugment(**options), png(images), seeds)), int)
  off = np.abs(raw.numpy().reshape(encoded.shape) - encoded)
  assert off[:, 1:-1, 1:-1].max() <= 2  # encoded ones are rounded before and after colors change
  assert off.max() <= 10  # at the edge, a window has no neighbors


def test_nothing_to_do_gives_back_the_same_bytes():
  files = png(make_images(3))
  assert list(run(ImageAugment(), files, make_seeds(3)).numpy()) == list(files.numpy())


@pytest.mark.parametrize('options', [{'rotation': 1e-9}, {'crop': 1e-9}, {'contrast': 1e-9}])
def test_no_strength_is_the_identity_on_pixels(options):
  images = make_images(4)
  out = decode(run(ImageAugment(**options), png(images), make_seeds(4)))
  np.testing.assert_array_equal(out, images)


@pytest.mark.parametrize('also', [{}, {'crop': 1e-9}], ids=['mirrored', 'warped'])
def test_flips_are_each_drawn_half_of_the_time(also):
  images = np.repeat(make_images(1), 400, axis=0)
  augment = ImageAugment(flip_left_right=True, flip_up_down=True, **also)
  out = decode(run(augment, png(images), make_seeds(400)))
  ways = [images[0], images[0][:, ::-1], images[0][::-1], images[0][::-1, ::-1]]
  counts = [sum(np.array_equal(image, way) for image in out) for way in ways]
  assert sum(counts) == 400
  assert min(counts) > 70


def test_brightness_stays_within_its_share_and_uses_it():
  images = np.full((500, 4, 4, 3), 128, np.uint8)
  out = np.array(decode(run(ImageAugment(brightness=0.2), png(images), make_seeds(500))))
  shift = out[:, 0, 0, 0].astype(int) - 128
  assert (out == out[:, :1, :1, :1]).all()
  assert -51 <= shift.min() < -45
  assert 45 < shift.max() <= 51


def test_contrast_scales_differences_from_the_mean():
  image = np.full((1, 2, 2, 1), 100, np.uint8)
  image[0, 0] = 140
  out = np.array(
    decode(run(ImageAugment(contrast=0.5), png(image.repeat(400, 0)), make_seeds(400)))
  )
  spread = out[:, 0, 0, 0].astype(int) - out[:, 1, 0, 0]
  assert 20 <= spread.min() <= 22
  assert 58 <= spread.max() <= 60
  assert np.abs(out.mean(axis=(1, 2)) - 120).max() <= 0.5


def test_cutout_blanks_a_square_of_its_side_at_most():
  images = np.full((300, 10, 20, 1), 200, np.uint8)
  out = np.array(decode(run(ImageAugment(cutout=0.4), png(images), make_seeds(300))))
  blank = (out == 0).sum(axis=(1, 2, 3))
  assert set(np.unique(out)) == {0, 200}
  assert blank.max() == 16
  assert blank.min() >= 4


def test_crop_shows_a_window_of_the_image():
  ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8)[:, None, None], (1, 100, 1))
  out = np.array(
    decode(run(ImageAugment(crop=0.5), png(ramp[None].repeat(200, 0)), make_seeds(200)))
  )
  seen = out[:, -1, 0, 0].astype(int) - out[:, 0, 0, 0]
  assert seen.min() >= 97
  assert seen.min() < 105
  assert seen.max() <= 198
  assert seen.max() > 190


@pytest.mark.parametrize('fill', ['reflect', 'nearest', 'wrap', 'constant'])
def test_what_lies_outside_is_filled_as_for_raw_values(fill):
  images, seeds = make_images(8, 24, 24, 1), make_seeds(8)
  options = {'rotation': 40.0, 'fill': fill, 'fill_value': 0.4}
  raw = run(ImageAugment(**options), tf.constant(images, tf.float32) / 255, seeds)
  encoded = np.array(decode(run(ImageAugment(**options), png(images), seeds)), float)
  off = np.abs(raw.numpy() * 255 - encoded)
  assert off[:, 8:16, 8:16].max() <= 3
  if fill != 'wrap':  # TensorFlow's skips the last row and column
    assert np.quantile(off, 0.95) < 2
    assert off.mean() < 1


def test_rotation_turns_by_at_most_its_angle():
  line = np.zeros((1, 41, 41, 1), np.uint8)
  line[:, 20] = 255
  augment = ImageAugment(rotation=15, fill='constant')
  out = np.array(decode(run(augment, png(line.repeat(200, 0)), make_seeds(200))))[..., 0]
  right = out[:, :, 38].astype(float)
  height = (right * np.arange(41)).sum(1) / right.sum(1) - 20
  angles = np.rad2deg(np.arctan2(height, 18))
  assert np.abs(angles).max() < 15.5
  assert angles.min() < -13
  assert angles.max() > 13


@pytest.mark.parametrize('channels', [2, 4])
def test_alpha_keeps_its_values(channels):
  images = make_images(5, channels=channels)
  images[..., -1] = 77
  augment = ImageAugment(brightness=0.3, contrast=0.3, cutout=0.5, rotation=30)
  out = np.array(decode(run(augment, png(images), make_seeds(5))))
  assert (out[..., -1] == 77).all()
  assert (out[..., 0] != images[..., 0]).any()


def test_unequal_sizes_and_kinds_in_a_batch_are_each_as_alone():
  sizes = [(8, 8, 1), (20, 24, 3), (20, 24, 3), (13, 7, 4)]
  files = [png(make_images(1, *size))[0] for size in sizes]
  files.append(tf.io.encode_jpeg(make_images(1)[0]))
  files, seeds = tf.stack(files), make_seeds(5)
  augment = ImageAugment(**EVERYTHING)
  out = run(augment, files, seeds)
  assert [image.shape for image in decode(out)] == [*sizes, (20, 24, 3)]
  assert out[-1].numpy().startswith(b'\xff\xd8\xff')  # a JPEG as it came
  alone = [augment({'image': files[i]}, seeds[i])['image'].numpy() for i in range(5)]
  assert list(out.numpy()) == alone


def test_a_palette_becomes_its_colours():
  rng = np.random.default_rng(0)
  image = Image.fromarray(rng.integers(0, 255, (10, 12, 3), dtype=np.uint8)).quantize(16)
  buffer = io.BytesIO()
  image.save(buffer, 'PNG')
  augment = ImageAugment(flip_left_right=True)
  out = decode(run(augment, tf.constant([buffer.getvalue()] * 20), make_seeds(20)))
  wanted = np.asarray(image.convert('RGB'))
  kept = [np.array_equal(one, wanted) for one in out]
  turned = [np.array_equal(one, wanted[:, ::-1]) for one in out]
  assert sum(kept) + sum(turned) == 20
  assert any(kept)
  assert any(turned)


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('size', [(1, 1), (1, 9), (9, 1), (17, 23)])
def test_our_png_holds_the_same_pixels_for_two_decoders(channels, size):
  rng = np.random.default_rng(1)
  images = rng.integers(0, 256, (3, *size, channels), dtype=np.uint8)
  files = encode_pngs(tf.constant(images)).numpy()
  for file, image in zip(files, images, strict=True):
    np.testing.assert_array_equal(tf.io.decode_png(file), image)
    pillow = np.asarray(Image.open(io.BytesIO(file))).reshape(image.shape)
    np.testing.assert_array_equal(pillow, image)


def test_our_png_is_about_as_small_as_that_of_libpng():
  images = make_images(20, 64, 64)
  ours = sum(map(len, encode_pngs(tf.constant(images)).numpy()))
  assert ours < 1.1 * sum(map(len, png(images).numpy()))


@pytest.mark.parametrize('dtype', ['float32', 'int64', 'bytes'])
def test_raw_values_are_changed_as_pixels_are(dtype):
  images, seeds = make_images(6, 8, 8, 1), make_seeds(6)
  augment = ImageAugment(**EVERYTHING, shape=(8, 8, 1))
  flat = images.reshape(6, 64)
  raw = {
    'float32': tf.constant(flat / np.float32(255)),
    'int64': tf.constant(flat.astype(np.int64)),
    'bytes': tf.constant([row.tobytes() for row in flat]),
  }[dtype]
  out = run(augment, raw, seeds)
  assert out.dtype == raw.dtype
  alone = tf.stack([augment({'image': raw[i]}, seeds[i])['image'] for i in range(6)])
  np.testing.assert_array_equal(alone, out)
  values = tf.io.decode_raw(out, tf.uint8) if dtype == 'bytes' else out
  values = np.array(values, np.float64) * (255 if dtype == 'float32' else 1)
  encoded = decode(run(ImageAugment(**EVERYTHING), png(images), seeds))
  assert np.abs(values - np.reshape(encoded, (6, 64))).max() <= 4  # places are of 1/32 pixel


@pytest.mark.parametrize(
  ('bad', 'says'),
  [
    ({'brightness': 1.5}, r'brightness=1.5 must be a number from 0 to 1'),
    ({'crop': 1}, r'crop=1 must be a number from 0 to below 1'),
    ({'rotation': -5}, r'rotation=-5 must be a number from 0 to 180'),
    ({'contrast': float('nan')}, r'contrast=nan must be'),
    ({'fill': 'black'}, r"fill='black' is not one of \['reflect'"),
    ({'shape': (8, 8)}, r'shape=\(8, 8\) must be \(height, width, channels\)'),
    ({'value_range': (1, 0)}, r'value_range=\(1, 0\) must be'),
    ({'jpeg_quality': 0}, r'jpeg_quality=0 must be a whole number from 1 to 100'),
  ],
)
def test_bad_parameters_are_refused(bad, says):
  with pytest.raises(ConfigError, match=says):
    ImageAugment(**bad)


def test_a_feature_that_is_not_there_is_named():
  with pytest.raises(ConfigError, match=r"feature 'image' is not in \['picture'\]"):
    Applier(ImageAugment(rotation=3))({'picture': png(make_images(1))}, make_seeds(1))


def test_raw_values_without_a_shape_are_refused():
  with pytest.raises(ConfigError, match=r'float32 of shape \(64,\), not one encoded image'):
    run(ImageAugment(rotation=3), tf.zeros([2, 64]), make_seeds(2))


def test_what_is_no_image_is_named_by_its_index():
  files = tf.concat([png(make_images(3)), [b'GIF89a...']], 0)
  with pytest.raises(AugmentError, match=r'record 3 of the batch.*neither PNG nor JPEG') as caught:
    run(ImageAugment(rotation=3), files, make_seeds(4))
  assert caught.value.index == 3


@pytest.mark.parametrize('encode', [tf.io.encode_png, tf.io.encode_jpeg], ids=['png', 'jpeg'])
def test_a_file_that_ends_too_early_is_refused(encode):
  files = [encode(image).numpy() for image in make_images(3)]
  files[1] = files[1][: len(files[1]) // 2]
  with pytest.raises(AugmentError, match=r'record 1 of the batch.*Invalid (PNG|JPEG)') as caught:
    run(ImageAugment(crop=0.2), tf.constant(files), make_seeds(3))
  assert caught.value.index == 1


def test_16_bits_are_refused():
  deep = tf.io.encode_png(make_images(2).astype(np.uint16) * 256)
  with pytest.raises(AugmentError, match='16 bits a channel'):
    run(ImageAugment(rotation=3), deep, make_seeds(2))


RAW = (9, 7, 3)


def raw(augment, pixels):
  """Returns raw images of a dtype, augmented: numbers [n, height * width * channels]."""
  flat = pixels.reshape(len(pixels), -1)
  return run(augment, flat, make_seeds(len(flat))).numpy()


@pytest.mark.parametrize(
  ('dtype', 'factor', 'options'),
  [('float32', 1, {'value_range': (0, 255)}), ('uint16', 257, {}), ('uint8', 1, {})],
)
def test_the_range_of_images_is_given_or_that_of_their_dtype(dtype, factor, options):
  pixels = make_images(8, *RAW)
  augment = ImageAugment(brightness=0.2, contrast=0.3, cutout=0.2, shape=RAW)
  scaled = raw(dataclasses.replace(augment, **options), pixels.astype(dtype) * factor)
  fractions = raw(augment, pixels.astype('float32') / 255)
  assert np.abs(scaled / factor / 255.0 - fractions).max() < 1 / 255


def test_masks_of_bools_are_changed_as_fractions_are():
  masks = make_images(8, 9, 7, 3) > 127
  augment = ImageAugment(rotation=20, crop=0.2, brightness=0.2, cutout=0.2)
  made = run(augment, masks, make_seeds(8)).numpy()
  fractions = run(augment, masks.astype('float32'), make_seeds(8)).numpy()
  assert made.dtype == np.bool_
  assert np.array_equal(made, fractions >= 0.5)
  assert (made != masks).any()


@pytest.mark.parametrize(
  ('dtype', 'factor', 'message'),
  [
    (
      'float32',
      1,
      r"'image' of float32 holds 2\d\d, and must be from 0 to 1; pass .* value_range=",
    ),
    ('float64', 1.01 / 255, r'of float64 holds 1\.01, and must be from 0 to 1'),
    ('float32', -1, 'of float32 holds -.*, and must be from 0 to 1'),
    ('int64', 257, r'of int64 holds 6\d+, and must be from 0 to 255'),
  ],
)
@pytest.mark.parametrize('option', ['brightness', 'contrast', 'cutout'])
def test_images_outside_of_their_range_are_refused(dtype, factor, message, option):
  pixels = (make_images(3, *RAW) * np.float64(factor)).astype(dtype)
  with pytest.raises(AugmentError, match=f'at record . of the batch.*{message}'):
    raw(ImageAugment(shape=RAW, **{option: 0.1}), pixels)


def test_a_range_that_encoded_images_do_not_have_is_refused():
  with pytest.raises(AugmentError, match=r'values from 0 to .*, and must be from 0 to 1; leave'):
    run(ImageAugment(brightness=0.1, value_range=(0, 1)), png(make_images(3)), make_seeds(3))


def test_images_of_any_range_are_turned_and_mirrored():
  pixels = make_images(4, *RAW).astype('float32') - 100
  turned = raw(ImageAugment(rotation=20, crop=0.2, flip_left_right=True, shape=RAW), pixels)
  assert turned.min() < -50
  assert turned.max() > 50


def test_rounding_is_no_value_outside_of_the_range():
  pixels = np.full((2, *RAW), np.nextafter(np.float32(1), np.float32(2)))
  assert raw(ImageAugment(brightness=0.1, shape=RAW), pixels).max() <= 1
