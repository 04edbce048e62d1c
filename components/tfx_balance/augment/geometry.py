"""Flips, rotation and crop as one affine map from output to input pixels, drawn per image."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.augment.random import bits, uniform

_ANGLES_LOG2 = 16


def coin(seeds: tf.Tensor, purpose: str) -> tf.Tensor:
  """Returns a fair coin for each record: bool [n] from seeds [n, 2]."""
  return tf.bitcast(bits(seeds, purpose), tf.int64) < 0


def flip(images: tf.Tensor, seeds: tf.Tensor, left_right: bool, up_down: bool) -> tf.Tensor:
  """Returns images of which a half, drawn at random, are mirrored: same shape and dtype.

  Args:
    images: [n, h, w, c].
    seeds: int64 [n, 2].
    left_right: whether to mirror the columns.
    up_down: whether to mirror the rows.
  """
  for wanted, axis, purpose in (
    (left_right, 2, 'image/flip_left_right'),
    (up_down, 1, 'image/flip_up_down'),
  ):
    if wanted:
      mirrored = coin(seeds, purpose)[:, tf.newaxis, tf.newaxis, tf.newaxis]
      images = tf.where(mirrored, tf.reverse(images, [axis]), images)
  return images


def warp(
  images: tf.Tensor,
  seeds: tf.Tensor,
  rotation: float,
  crop: float,
  flips: tuple[bool, bool],
  fill: str,
  fill_value: float,
) -> tf.Tensor:
  """Returns images turned, zoomed into and mirrored, sampled bilinearly once: same shape.

  Args:
    images: float32 [n, h, w, c].
    seeds: int64 [n, 2].
    rotation: degrees, at most so far either way.
    crop: up to this share of height and width is cut away, in [0, 1).
    flips: left_right, up_down.
    fill: what is outside, by the names of `ImageProjectiveTransformV3`.
    fill_value: the value outside for 'CONSTANT'.
  """
  size = tf.shape(images)[1:3]
  matrices = _matrices(seeds, tf.cast(size, tf.float64), rotation, crop, flips)
  out = tf.raw_ops.ImageProjectiveTransformV3(
    images=images,
    transforms=tf.cast(matrices, tf.float32),
    output_shape=size,
    interpolation='BILINEAR',
    fill_mode=fill,
    fill_value=tf.constant(fill_value, tf.float32),
  )
  return tf.ensure_shape(out, images.shape)


def _matrices(
  seeds: tf.Tensor, size: tf.Tensor, rotation: float, crop: float, flips: tuple[bool, bool]
) -> tf.Tensor:
  """Returns the maps as `ImageProjectiveTransformV3` wants them: float64 [n, 8].

  An output pixel p comes from R S (p - m) + m + o, with m the middle, S the zoom and the mirroring,
  R the rotation and o where in the image the window lies.
  """
  one = tf.ones(tf.shape(seeds)[:1], tf.float64)
  cos, sin = _direction(seeds, rotation) if rotation else (one, one * 0.0)
  zoom = uniform(seeds, 'image/crop', 1.0 - crop, 1.0) if crop else one
  x_scale = tf.where(coin(seeds, 'image/flip_left_right'), -zoom, zoom) if flips[0] else zoom
  y_scale = tf.where(coin(seeds, 'image/flip_up_down'), -zoom, zoom) if flips[1] else zoom
  middle = (size - 1.0) * 0.5
  room = (1.0 - zoom)[:, tf.newaxis] * size * 0.5  # the window's middle moves so far either way
  offset = uniform(seeds, 'image/crop_offset', -1.0, 1.0, (2,)) * room if crop else room * 0.0
  a, b, d, e = cos * x_scale, -sin * y_scale, sin * x_scale, cos * y_scale
  x_shift = middle[1] - (a * middle[1] + b * middle[0]) + offset[:, 1]
  y_shift = middle[0] - (d * middle[1] + e * middle[0]) + offset[:, 0]
  return tf.stack([a, b, x_shift, d, e, y_shift, one * 0.0, one * 0.0], -1)


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
