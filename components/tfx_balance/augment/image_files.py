"""Changes PNG and JPEG files: each original is decoded once, and each copy changed and encoded.

OpenCV does the work on pixels. It releases the GIL, so that several threads can change batches at
the same time. Windows are scaled by its bit-exact interpolation, whose values depend neither on the
processor nor on threads; every copy is computed alone, so they do not depend on the batch either.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.augment.codec import TAGS, Bytes, encode_png_arrays, read_heads, turned
from tfx_balance.errors import DataError

Array = npt.NDArray[Any]
Draw = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
"""Graph code from seeds, int64 [n, 2], and heights and widths, int32 [n, 2], to what is done."""

_VALUES_TOGETHER = 1 << 20
"""Pixel values of the copies that are made before they are encoded, about."""
_BORDERS = {
  'reflect': 'BORDER_REFLECT',
  'nearest': 'BORDER_REPLICATE',
  'wrap': 'BORDER_WRAP',
  'constant': 'BORDER_CONSTANT',
}


@dataclass(frozen=True)
class Look:
  """Options that all images share.

  Attributes:
    fill: Fill mode outside a turned image, as `ImageAugment` has it.
    blank: Value of the cutout, and outside a turned image for 'constant'.
    low, high: Range of colors after they are changed.
    jpeg_quality: Quality of JPEG files, 1 to 100.
    exif: Whether JPEG files keep their orientation, and are changed upright.
  """

  fill: str
  blank: int
  low: float
  high: float
  jpeg_quality: int
  exif: bool = True


def change_files(files: tf.Tensor, seeds: tf.Tensor, draw: Draw, look: Look) -> tf.Tensor:
  """Returns the files with their pixels changed: string [n], PNG from PNG, JPEG from JPEG.

  A palette becomes RGB. Of metadata only EXIF's orientation is kept. It runs Python inside the
  graph, so a graph with it cannot be saved.

  Args:
    files: PNG or JPEG files, string [n], of 8 bits a channel: grey, RGB, or with alpha; of any
      sizes.
    seeds: Seed of each file: int64 [n, 2].
    draw: Draws what is done to each image; arguments of `change` by name.
    look: Options that all images share.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for a file that is neither, or has 16 bits.
  """
  originals, which = tf.unique(files)
  given = read_heads(originals)
  turns = given.orientations if look.exif else tf.ones_like(given.orientations)
  shapes = tf.where(turns[:, tf.newaxis] > 4, given.shapes[:, 1::-1], given.shapes[:, :2])
  drawn = draw(seeds, tf.gather(shapes, which))
  names = list(drawn)

  def run(
    originals: Array, which: Array, is_png: Array, palette: Array, turns: Array, *values: Array
  ) -> Array:
    by_name = dict(zip(names, values, strict=True))
    return _changed_files(originals, which, is_png, palette, turns, by_name, look)

  arguments = [given.files, which, given.is_png, given.has_palette, turns, *drawn.values()]
  return tf.ensure_shape(tf.numpy_function(run, arguments, tf.string, stateful=False), files.shape)


def _changed_files(
  originals: Array,
  which: Array,
  is_png: Array,
  palette: Array,
  turns: Array,
  drawn: Mapping[str, Array],
  look: Look,
) -> Array:
  """Returns the new files: object [n]; those of one original are made one after another."""
  out, made, n_values = np.empty(len(which), object), [], 0
  copies = np.split(np.argsort(which, kind='stable'), np.cumsum(np.bincount(which))[:-1])
  for number, rows in enumerate(copies):
    turn = int(turns[number])
    image = decode(originals[number], is_png[number], palette[number])
    image = np.ascontiguousarray(turned(image, turn, np))
    step = max(1, _VALUES_TOGETHER // max(1, image.size))
    for start in range(0, len(rows), step):
      some = rows[start : start + step]
      changed = change(image, {name: values[some] for name, values in drawn.items()}, look)
      changed = np.ascontiguousarray(turned(changed, turn, np, axis=1, back=True))
      made.append((some, changed, bool(is_png[number]), turn))
      n_values += changed.size
      if n_values >= _VALUES_TOGETHER:
        _encode_into(out, made, look.jpeg_quality)
        made, n_values = [], 0
  _encode_into(out, made, look.jpeg_quality)
  return out


def _encode_into(
  out: Array, made: Iterable[tuple[Array, Bytes, bool, int]], jpeg_quality: int
) -> None:
  """Puts the files of copies at their places; images of one kind and shape are encoded together.

  Args:
    out: Files, object [n].
    made: Places int64 [m], images uint8 [m, h, w] or [m, h, w, c], whether they are PNG, and their
      orientation.
    jpeg_quality: Quality of JPEG files, 1 to 100.
  """
  of_one_shape = defaultdict(list)
  for places, images, is_png, turn in made:
    of_one_shape[is_png, turn, images.shape[1:]].append((places, images))
  for (is_png, turn, _), parts in of_one_shape.items():
    places, images = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    files = encode(images, is_png, jpeg_quality)
    out[places] = [f[:2] + TAGS[turn] + f[2:] for f in files] if TAGS[turn] else files


def decode(file: bytes, is_png: bool, palette: bool = False) -> Bytes:
  """Returns an image: uint8 [h, w] or [h, w, c]; of a JPEG as OpenCV has them: blue, green, red.

  By TensorFlow, so that they are those that a model decodes. Files that end too early are refused.
  The raw operation on a tensor takes 30 us for 28x28 pixels, `tf.io.decode_png` on bytes 130.
  """
  image = tf.raw_ops.DecodePng(contents=tf.constant(file), channels=3 if palette else 0).numpy()
  if image.shape[-1] == 1:
    return image[..., 0]
  return image if is_png else _opencv().cvtColor(image, _opencv().COLOR_RGB2BGR)


def encode(images: Bytes, is_png: bool, jpeg_quality: int) -> Array:
  """Returns files: object [n] of bytes, from uint8 [n, h, w] or [n, h, w, c] as of `decode`."""
  if is_png:
    return encode_png_arrays(images if images.ndim == 4 else images[..., np.newaxis])
  cv2, files = _opencv(), np.empty(len(images), object)
  options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
  for i, image in enumerate(images):
    files[i] = cv2.imencode('.jpg', image, options)[1].tobytes()
  return files


def change(image: Bytes, drawn: Mapping[str, Array], look: Look) -> Bytes:
  """Returns copies of an image: uint8 [m, h, w] or [m, h, w, c].

  Args:
    image: Original, uint8 [h, w] or [h, w, c], of 1 to 4 channels.
    drawn: What is done to each copy, in this order; what is not there is not done.
      matrices: Where a pixel comes from: float64 [m, 8], as `ImageProjectiveTransformV3` has them.
      windows: Top, left, height and width of a part that is scaled up: int32 [m, 4].
      mirrored: Whether to mirror, up-down and left-right: bool [m, 2].
      colors: Factor on differences from the channel's mean, and summand, multiples of 1/4096 below
        1024, so that sums of 32 bits are exact: float64 [m, 2].
      squares: Top, left, bottom and right of a blank square: int32 [m, 4].
    look: Options that all images share.
  """
  cv2, (height, width) = _opencv(), image.shape[:2]
  if not look.low <= image.min() <= image.max() <= look.high:
    raise DataError(
      f'an image has values from {image.min()} to {image.max()}, and must be from {look.low:g} to '
      f'{look.high:g}; leave value_range= out for encoded images'
    )
  n = len(next(iter(drawn.values())))
  out = np.empty((n, *image.shape), np.uint8)
  matrices, windows, mirrored, colors, squares = (
    drawn[name].tolist() if name in drawn else None
    for name in ('matrices', 'windows', 'mirrored', 'colors', 'squares')
  )
  mean = _mean_image(image) if colors else None
  border, blank = getattr(cv2, _BORDERS[look.fill]), (look.blank,) * 4
  turned = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
  for i, copy in enumerate(out):
    if matrices:
      matrix = np.reshape(matrices[i][:6], (2, 3))
      cv2.warpAffine(image, matrix, (width, height), copy, turned, border, blank)
    elif windows:
      top, left, rows, columns = windows[i]
      window = image[top : top + rows, left : left + columns]
      cv2.resize(window, (width, height), copy, interpolation=cv2.INTER_LINEAR_EXACT)
    else:
      copy[...] = image
    if mirrored and any(mirrored[i]):
      up_down, left_right = mirrored[i]
      cv2.flip(copy, -1 if up_down and left_right else int(left_right), copy)
    alpha = copy[..., -1].copy() if image.ndim == 3 and image.shape[2] % 2 == 0 else None
    if colors:
      factor, shift = colors[i]
      cv2.addWeighted(copy, factor, mean, 1 - factor, shift, copy)
      if (look.low, look.high) != (0, 255):
        np.clip(copy, math.ceil(max(look.low, 0)), math.floor(min(look.high, 255)), copy)
    if squares:
      top, left, bottom, right = squares[i]
      copy[top:bottom, left:right] = look.blank
    if alpha is not None:
      copy[..., -1] = alpha
  return out


def _mean_image(image: Bytes) -> Bytes:
  """Returns an image of the mean of each channel, rounded: uint8, of the same shape."""
  channels = 1 if image.ndim == 2 else image.shape[2]
  mean = np.rint(_opencv().mean(image)[:channels]).astype(np.uint8)
  return np.tile(mean, image.size // channels).reshape(image.shape)


@functools.cache
def _opencv() -> ModuleType:
  """Returns OpenCV, imported at its first use: whoever augments no image does without."""
  import cv2

  return cv2
