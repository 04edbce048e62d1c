"""Augmented images: mirrored, turned, zoomed, brightened, contrasted, with a part cut out."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import (
  check_choice,
  check_flag,
  check_number,
  check_text,
  check_whole,
  format_value,
)
from tfx_balance.augment.contract import Features, VectorAugment, check_feature
from tfx_balance.augment.image_files import Draw, Look, change_files
from tfx_balance.augment.random import bits, uniform
from tfx_balance.errors import ConfigError

_ANGLES_LOG2 = 16
_FILLS = ('reflect', 'nearest', 'wrap', 'constant')
_MEAN_BITS = 20
_COLOR_STEPS = 4096.0
"""Steps of 1 in factors and summands of 8-bit values, so that 32-bit floats hold sums exactly."""
_ROUNDING = 2.0**-20
"""Share of the range by which a float may be outside of it: what 32-bit arithmetic loses."""


@dataclass(frozen=True)
class ImageAugment(VectorAugment):
  """Changes one image feature of each record, at random within these bounds.

  The image is an encoded PNG or JPEG (bytes) and is encoded again as it came, or, with `shape`, raw
  values: float32 or int64 [height * width * channels], or bytes of that length. Arrays of numbers
  [height, width, channels], as in memory, need no `shape`. Whatever is 0 or
  False is not done at all; with nothing to do, features come back untouched. Two and four channels
  have alpha as the last, which moves with the image and keeps its values. OpenCV changes encoded
  images: those turned at places of 1/32 pixel, so a few levels from raw values, and below 32,768
  pixels a side.

  Examples:
    >>> ImageAugment(rotation=10, brightness=0.1).feature
    'image'

  Attributes:
    feature: Name of the image feature.
    flip_left_right: Whether to mirror half of the images, at random.
    flip_up_down: Likewise, top to bottom.
    brightness: Largest share of the range that is added or taken away; 0 to 1.
    contrast: Largest change of the factor on differences from the channel's mean, about 1;
      0 to 1.
    crop: Largest share of height and width that is cut away, before scaling up, in whole pixels;
      0 to below 1.
    rotation: Largest rotation in degrees, either way; 0 to 180.
    cutout: Share of the shorter side that a blanked square has, its middle anywhere in the image
      (DeVries and Taylor 2017); 0 to 1.
    shape: Height, width and channels of raw values; None for encoded images, and for arrays whose
      last axis is 1, 3 or 4.
    value_range: Least and largest value of an image; by default 0 to 1 for floats, 0 to 65,535 for
      uint16 and 0 to 255 for the rest. Where it matters (brightness, contrast, cutout and
      fill='constant' of turned images), an image with a value outside of it is an error.
    fill: Fill mode outside the image: 'reflect', 'nearest', 'wrap' or 'constant' (`fill_value`).
    fill_value: Share of the range, for 'constant' and for the cutout.
    jpeg_quality: Quality of JPEG files that are encoded again, 1 to 100.
    exif: Whether a JPEG is changed as it is seen, turned by its EXIF orientation, and keeps that in
      its file, so that a decoder treats the original and the copy the same. Otherwise the
      pixels are changed as they are stored, and the orientation is lost.
  """

  feature: str = 'image'
  flip_left_right: bool = False
  flip_up_down: bool = False
  brightness: float = 0.0
  contrast: float = 0.0
  crop: float = 0.0
  rotation: float = 0.0
  cutout: float = 0.0
  shape: tuple[int, int, int] | None = None
  value_range: tuple[float, float] | None = None
  fill: str = 'reflect'
  fill_value: float = 0.0
  jpeg_quality: int = 95
  exif: bool = True

  repeatable = True
  traced = False  # tracing takes a second, and most of the work is done on whole batches

  def __post_init__(self) -> None:
    checked: dict[str, Any] = {'feature': check_text('feature', self.feature, 'a name')}
    for name in ('flip_left_right', 'flip_up_down', 'exif'):
      checked[name] = check_flag(name, getattr(self, name))
    for name in ('brightness', 'contrast', 'crop', 'cutout', 'fill_value'):
      checked[name] = check_number(name, getattr(self, name), 0, 1, below=name == 'crop')
    checked['rotation'] = check_number('rotation', self.rotation, 0, 180)
    checked['fill'] = check_choice('fill', self.fill, _FILLS)
    checked['jpeg_quality'] = check_whole('jpeg_quality', self.jpeg_quality, 1, 100)
    checked['shape'] = check_image_shape(self.shape)
    checked['value_range'] = _check_range(self.value_range)
    for name, value in checked.items():
      object.__setattr__(self, name, value)

  @tf.autograph.experimental.do_not_convert
  def batch(self, features: Features, seeds: tf.Tensor) -> Features:
    """Returns a batch with its images changed; see `VectorAugment`."""
    check_feature(features, self.feature)
    if not self._changes_values() and not any(self._flips):
      return features
    image = features[self.feature]
    if isinstance(image, tf.RaggedTensor):
      raise ConfigError(
        f'feature {self.feature!r} has no fixed length; it must hold one image in every record'
      )
    shape = self.shape
    if shape is None and image.dtype != tf.string and image.shape.rank == 4:
      shape = tuple(image.shape[1:].as_list())  # as arrays in memory are
      if shape[-1] not in (1, 3, 4):
        raise ConfigError(
          f'feature {self.feature!r} has images of shape {list(shape)}, whose last axis is not 1, '
          f'3 or 4 channels; transpose [channels, height, width], or pass shape={shape}'
        )
    made = self._encoded(image, seeds) if shape is None else self._raw(image, seeds, shape)
    return {**features, self.feature: made}

  @property
  def _flips(self) -> tuple[bool, bool]:
    """Whether images may be mirrored, up-down and left-right."""
    return self.flip_up_down, self.flip_left_right

  def _changes_values(self) -> bool:
    """Returns whether images are changed otherwise than by mirroring."""
    return any((self.brightness, self.contrast, self.crop, self.rotation, self.cutout))

  def _encoded(self, files: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Returns encoded images: string [n] from string [n], or [n, 1] from [n, 1]."""
    if files.dtype != tf.string or files.shape[1:].as_list() not in ([], [1]):
      raise ConfigError(
        f'feature {self.feature!r} is {files.dtype.name} of shape {files.shape[1:]}, not one '
        'encoded image a record; for raw values pass shape=(height, width, channels)'
      )
    flat = files if files.shape.rank == 1 else files[:, 0]
    made = change_files(flat, seeds, _drawn(self), self._look())
    return tf.reshape(made, tf.shape(files))

  def _raw(self, values: tf.Tensor, seeds: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns raw images: numbers or strings, [n, ...] from [n, ...]."""
    size = math.prod(shape)
    if values.dtype == tf.string:
      pixels = tf.io.decode_raw(values, tf.uint8)
      pixels = self._changed(tf.reshape(pixels, [-1, *shape]), seeds)
      table = tf.constant([bytes([i]) for i in range(256)])
      flat = tf.reshape(tf.cast(pixels, tf.int32), [-1, size])
      return tf.reshape(tf.strings.reduce_join(tf.gather(table, flat), axis=-1), tf.shape(values))
    if math.prod(values.shape[1:].as_list()) != size:
      raise ConfigError(
        f'feature {self.feature!r} has {values.shape[1:]} values a record; '
        f'shape={shape} means {size}'
      )
    images = tf.reshape(values, [-1, *shape])
    return tf.reshape(self._changed(images, seeds), tf.shape(values))

  def _look(self) -> Look:
    """Returns the options that all encoded images share."""
    low, high = self.value_range or (0.0, 255.0)
    blank = round(min(max(low + self.fill_value * (high - low), 0), 255))
    return Look(self.fill, blank, low, high, self.jpeg_quality, self.exif)

  def _changed(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Returns images of numbers, whole ones rounded: dtype and shape as given."""
    dtype = images.dtype
    if not self._changes_values():
      return flip(images, seeds, self._flips)
    if dtype == tf.bool:  # masks
      return self._changed(tf.cast(images, tf.float32), seeds) >= 0.5
    low, high = self._range(dtype)
    values = tf.cast(images, tf.float32)
    turned_in = self.fill == 'constant' and self.rotation
    if self.brightness or self.contrast or self.cutout or turned_in:
      values = self._within(values, dtype, low, high)
    changed = self._change(images, values, seeds, low, high)
    if self.brightness or self.contrast:
      changed = tf.clip_by_value(changed, low, high)
    return tf.saturate_cast(tf.round(changed) if dtype.is_integer else changed, dtype)

  def _range(self, dtype: tf.DType) -> tuple[float, float]:
    """Returns the range of values of a dtype."""
    if self.value_range:
      return self.value_range
    if dtype.is_floating:
      return 0.0, 1.0
    return 0.0, float(dtype.max if dtype == tf.uint16 else min(dtype.max, 255))

  def _within(self, values: tf.Tensor, dtype: tf.DType, low: float, high: float) -> tf.Tensor:
    """Returns float32 values, bound to fail where one is out of range by more than rounding."""
    if low <= dtype.min and dtype.max <= high:
      return values
    slack = (high - low) * _ROUNDING
    wrong = (values < low - slack) | (values > high + slack)
    text = tf.strings.format(
      f'feature {self.feature!r} of {dtype.name} holds {{}}, and must be from {low:g} to {high:g}; '
      'pass the range of the images, such as value_range=(0, 255), or rescale or clip them',
      tf.reduce_max(tf.where(wrong, values, -math.inf)),
    )
    with tf.control_dependencies([tf.debugging.Assert(~tf.reduce_any(wrong), [text])]):
      return tf.identity(values)

  def _change(
    self, unflipped: tf.Tensor, images: tf.Tensor, seeds: tf.Tensor, low: float, high: float
  ) -> tf.Tensor:
    """Returns images with all changes applied: float32 [n, h, w, c]."""
    blank = low + self.fill_value * (high - low)
    if self.crop or self.rotation:
      size, shape = tf.shape(images)[1:3], images.shape
      matrices = _matrices(seeds, size, self.rotation, self.crop, self._flips)
      images = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.cast(matrices, tf.float32),
        output_shape=size,
        interpolation='BILINEAR',
        fill_mode=self.fill.upper(),
        fill_value=tf.constant(blank, tf.float32),
      )
      images = tf.ensure_shape(images, shape)
    else:
      images = flip(images, seeds, self._flips)
    if self.brightness or self.contrast:
      images = self._color(unflipped, images, seeds, high - low)
    return _cut_out(images, seeds, self.cutout, blank) if self.cutout else images

  def _color(
    self, unflipped: tf.Tensor, images: tf.Tensor, seeds: tf.Tensor, span: float
  ) -> tf.Tensor:
    """Returns images with brightness and contrast changed, by one product and one sum."""
    mean = _exact_mean(unflipped, span)
    factor, shift = tf.split(self._colors(seeds, span), 2, axis=1)
    opaque = _is_color(tf.shape(mean)[-1])
    scale = tf.where(opaque, factor, tf.ones_like(mean))
    offset = tf.where(opaque, mean * (1.0 - factor) + shift, tf.zeros_like(mean))
    scale, offset = (
      tf.tile(tf.cast(of_channel, tf.float32), [1, tf.shape(images)[2]])[:, tf.newaxis]
      for of_channel in (scale, offset)
    )
    return tf.reshape(_rows(images) * scale + offset, tf.shape(images))

  def _colors(self, seeds: tf.Tensor, span: float) -> tf.Tensor:
    """Returns the factor on differences from the mean, and what is added: float64 [n, 2]."""
    factor = uniform(seeds, 'image/contrast', 1 - self.contrast, 1 + self.contrast)
    most = self.brightness * span
    return tf.stack([factor, uniform(seeds, 'image/brightness', -most, most)], axis=1)


@functools.lru_cache(maxsize=8)
def _drawn(augment: ImageAugment) -> Draw:
  """Returns a traced function that draws the changes for `image_files.change`.

  These are some hundred operations on a few numbers, and each takes longer if run alone.
  """
  flips = augment._flips
  low, high = augment.value_range or (0.0, 255.0)

  def draw(seeds: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.Tensor]:
    drawn = {}
    if augment.rotation:
      drawn['matrices'] = _matrices(seeds, sizes, augment.rotation, augment.crop, flips)
    elif augment.crop:
      drawn['windows'] = tf.concat(_windows(seeds, sizes, augment.crop), 1)
    if any(flips) and not augment.rotation:
      drawn['mirrored'] = _mirrored(seeds, flips)
    if augment.brightness or augment.contrast:
      drawn['colors'] = tf.round(augment._colors(seeds, high - low) * _COLOR_STEPS) / _COLOR_STEPS
    if augment.cutout:
      drawn['squares'] = tf.concat(_squares(seeds, sizes, augment.cutout), 1)
    return drawn

  signature = [tf.TensorSpec([None, 2], tf.int64), tf.TensorSpec([None, 2], tf.int32)]
  return tf.function(draw, signature, autograph=False)


def _exact_mean(images: tf.Tensor, width: float) -> tf.Tensor:
  """Returns each channel's mean: float64 [n, c], summed as integers, so in any order the same."""
  pixels = tf.cast(tf.shape(images)[1] * tf.shape(images)[2], tf.float64)
  if images.dtype == tf.uint8:  # below 2**31 for images of up to 8 million pixels
    return tf.cast(tf.reduce_sum(tf.cast(images, tf.int32), [1, 2]), tf.float64) / pixels
  unit = 2.0 ** (math.frexp(width)[1] - _MEAN_BITS)
  fixed = tf.cast(tf.round(tf.cast(images, tf.float64) / unit), tf.int64)
  return tf.cast(tf.reduce_sum(fixed, [1, 2]), tf.float64) * unit / pixels


def _is_color(channels: tf.Tensor) -> tf.Tensor:
  """Returns whether each channel is not alpha: bool [c]."""
  return (tf.range(channels) < channels - 1) | (channels % 2 == 1)


def _cut_out(images: tf.Tensor, seeds: tf.Tensor, share: float, blank: Any) -> tf.Tensor:
  """Returns images with a square of the blank value: [n, h, w, c]."""
  size = tf.shape(images)[1:3]
  start, end = _squares(seeds, size, share)
  rows, columns = tf.range(size[0])[tf.newaxis], tf.range(size[1])[tf.newaxis]
  in_rows = (rows >= start[:, :1]) & (rows < end[:, :1])
  in_columns = (columns >= start[:, 1:]) & (columns < end[:, 1:])
  inside = in_columns[:, :, tf.newaxis] & _is_color(tf.shape(images)[-1])
  inside = tf.reshape(inside, [tf.shape(images)[0], 1, -1]) & in_rows[:, :, tf.newaxis]
  flat = _rows(images)
  return tf.reshape(tf.where(inside, tf.fill(tf.shape(flat), blank), flat), tf.shape(images))


def _squares(seeds: tf.Tensor, sizes: tf.Tensor, share: float) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns first row and column of a square in each image, and its ends: int32 [n, 2] each.

  Args:
    seeds: Seed of each image: int64 [n, 2].
    sizes: Height and width of each, or of all: int32 [n, 2] or [2].
    share: Its side as a share of the shorter side of the image; less where it is at the border.
  """
  size = tf.cast(sizes, tf.float64)
  side = tf.cast(tf.round(share * tf.reduce_min(size, -1, keepdims=True)), tf.int32)
  middle = tf.cast(tf.floor(uniform(seeds, 'image/cutout', shape=(2,)) * size), tf.int32)
  start = middle - side // 2
  return tf.maximum(start, 0), tf.minimum(start + side, sizes)


def _rows(images: tf.Tensor) -> tf.Tensor:
  """Returns [n, h, w * c] from [n, h, w, c]: broadcasting over three channels is slow."""
  shape = tf.shape(images)
  return tf.reshape(images, [shape[0], shape[1], shape[2] * shape[3]])


def check_image_shape(shape: Any) -> tuple[int, int, int] | None:
  """Returns height, width and channels; None for None.

  Raises:
    ConfigError: if they are no such.
  """
  if shape is None:
    return None
  if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 3:
    raise ConfigError(
      f'shape={format_value(shape)} must be (height, width, channels), of 1 to 4 channels; give '
      f'for example (224, 224, 3)'
    )
  height, width, channels = shape
  return (
    check_whole('shape: height', height, 1, 1 << 16),
    check_whole('shape: width', width, 1, 1 << 16),
    check_whole('shape: channels', channels, 1, 4),
  )


def _check_range(value_range: Any) -> tuple[float, float] | None:
  """Returns the least and the largest value; None for None.

  Raises:
    ConfigError: if they are no such.
  """
  if value_range is None:
    return None
  pair = isinstance(value_range, Sequence) and not isinstance(value_range, str)
  if pair and len(value_range) == 2:
    low, high = (check_number('value_range: entry', value) for value in value_range)
    if low < high:
      return low, high
  raise ConfigError(
    f'value_range={format_value(value_range)} must be (lowest, highest); give for example (0, 255)'
  )


def _mirrored(seeds: tf.Tensor, flips: tuple[bool, bool]) -> tf.Tensor:
  """Draws whether each image is mirrored, up-down and left-right: bool [n, 2]."""
  purposes = ('image/flip_up_down', 'image/flip_left_right')
  coins = [tf.bitcast(bits(seeds, purpose), tf.int64) < 0 for purpose in purposes]
  return tf.stack(coins, 1) & flips


def flip(images: tf.Tensor, seeds: tf.Tensor, flips: tuple[bool, bool]) -> tf.Tensor:
  """Mirrors a half of the images, drawn at random: same shape and dtype."""
  mirrored = _mirrored(seeds, flips)
  for axis, wanted in enumerate(flips, 1):
    if wanted:
      chosen = mirrored[:, axis - 1, tf.newaxis, tf.newaxis, tf.newaxis]
      images = tf.where(chosen, tf.reverse(images, [axis]), images)
  return images


def _matrices(
  seeds: tf.Tensor, sizes: tf.Tensor, rotation: float, crop: float, flips: tuple[bool, bool]
) -> tf.Tensor:
  """Returns the maps as `ImageProjectiveTransformV3` wants them: float64 [n, 8].

  Sizes are heights and widths, int32 [n, 2], or those of all, [2].

  An output pixel p comes from R S (p - m) + m + o, with m the middle, S the zoom and the mirroring,
  R the rotation and o where in the image the window lies.
  """
  one = tf.ones(tf.shape(seeds)[:1], tf.float64)
  cos, sin = _direction(seeds, rotation) if rotation else (one, one * 0.0)
  size = tf.cast(sizes, tf.float64) * one[:, tf.newaxis]
  middle = (size - 1.0) * 0.5
  zoom, offset = tf.ones_like(size), tf.zeros_like(size)
  if crop:
    start, extent = (tf.cast(part, tf.float64) for part in _windows(seeds, sizes, crop))
    zoom, offset = extent / size, start + (extent - 1.0) * 0.5 - middle
  scale = tf.where(_mirrored(seeds, flips), -zoom, zoom)
  a, d = cos * scale[:, 1], sin * scale[:, 1]
  b, e = -sin * scale[:, 0], cos * scale[:, 0]
  x_shift = middle[:, 1] - (a * middle[:, 1] + b * middle[:, 0]) + offset[:, 1]
  y_shift = middle[:, 0] - (d * middle[:, 1] + e * middle[:, 0]) + offset[:, 0]
  return tf.stack([a, b, x_shift, d, e, y_shift, one * 0.0, one * 0.0], -1)


def _windows(seeds: tf.Tensor, sizes: tf.Tensor, crop: float) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns first row and column of a part of each image, and its size: int32 [n, 2] each.

  Args:
    seeds: Seed of each image: int64 [n, 2].
    sizes: Height and width of each, or of all: int32 [n, 2] or [2].
    crop: Largest share of height and width that is cut away; rounded to whole pixels, to fewer.
  """
  size = tf.cast(sizes, tf.float64)
  zoom = uniform(seeds, 'image/crop', 1.0 - crop, 1.0)[:, tf.newaxis]
  extent = tf.math.ceil(zoom * size)
  start = tf.floor(uniform(seeds, 'image/crop_offset', shape=(2,)) * (size - extent + 1.0))
  return tf.cast(start, tf.int32), tf.cast(extent, tf.int32)


def _direction(seeds: tf.Tensor, rotation: float) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns cosine and sine of an angle in [-rotation, rotation] degrees: float64 [n] each."""
  step = tf.bitwise.right_shift(
    bits(seeds, 'image/rotation'), tf.constant(64 - _ANGLES_LOG2, tf.uint64)
  )
  table = tf.gather(tf.constant(_directions(rotation)), tf.cast(step, tf.int32))
  return table[:, 0], table[:, 1]


@functools.cache
def _directions(rotation: float) -> npt.NDArray[np.float64]:
  """Returns cosine and sine of 2**16 angles evenly spread over [-rotation, rotation]: [2**16, 2].

  A table, because a vectorised sine may differ in its last bit with the position in the batch.
  """
  count = 1 << _ANGLES_LOG2
  angles = np.deg2rad(rotation * ((np.arange(count) + 0.5) * (2 / count) - 1))
  return np.stack([np.cos(angles), np.sin(angles)], -1)
