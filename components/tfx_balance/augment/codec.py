"""Decodes a batch of PNG and JPEG files, hands the pixels to a function, and encodes as they came.

Images of one size go through as one tensor; where a batch holds several sizes, each goes by itself.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from isal import isal_zlib

from tfx_balance.deflate import zlib_stream

Bytes = npt.NDArray[np.uint8]

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_PAETH = 4
_LEVEL = 1
_FILTERED_BYTES = 1 << 17
"""Bytes that are filtered at a time, by way of some ten arrays of this size: they fit a cache."""


def encode_pngs(images: tf.Tensor) -> tf.Tensor:
  """Returns PNG files: string [n].

  Runs Python inside the graph, so a graph with it cannot be saved; compressing releases the GIL.

  Args:
    images: Pixels, uint8 [n, height, width, channels], 1 to 4 channels.
  """
  files = tf.numpy_function(encode_png_arrays, [images], tf.string, stateful=False)
  return tf.ensure_shape(files, images.shape[:1])


def encode_png_arrays(images: Bytes) -> npt.NDArray[Any]:
  """Returns PNG files: object [n] of bytes, from uint8 [n, height, width, channels]."""
  n, height, width, channels = images.shape
  color = _COLOR_TYPES[channels]
  head = _SIGNATURE + _chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, color, 0, 0, 0))
  tail = _chunk(b'IEND', b'')
  files = np.empty(n, object)
  step = max(1, _FILTERED_BYTES // max(1, height * width * channels))
  for start in range(0, n, step):
    for i, rows in enumerate(filtered(images[start : start + step]), start):
      files[i] = head + _chunk(b'IDAT', zlib_stream(rows.reshape(-1), _LEVEL)) + tail
  return files


def _chunk(kind: bytes, data: bytes) -> bytes:
  """Returns a PNG chunk: length, kind, data, CRC."""
  body = kind + data
  return struct.pack('>I', len(data)) + body + struct.pack('>I', isal_zlib.crc32(body))


def filtered(images: Bytes) -> Bytes:
  """Returns rows with the Paeth filter applied and its number before each: uint8 [n, h, 1 + w * c].

  A pixel becomes its difference from that of its left, upper and upper left neighbours which is
  nearest to left + upper - upper left. Neighbours are read at a distance in one flat array, as
  numpy is several times slower on rows of 28 bytes.
  """
  n, height, width, channels = images.shape
  row = (1 + width) * channels  # a blank pixel before each row, and a blank row before each image
  flat = np.zeros(row + channels + n * (height + 1) * row, np.uint8)
  here, left, up = flat[row + channels :], flat[row:-channels], flat[channels:-row]
  padded = here.reshape(n, height + 1, row)
  padded[:, 1:, channels:] = images.reshape(n, height, width * channels)
  changed = here - _nearest(left, up, flat[: -row - channels])
  rows = changed.reshape(n, height + 1, row)[:, 1:, channels - 1 :]
  rows[..., 0] = _PAETH
  return rows


def _nearest(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
  """Returns which of left, up and corner, in this order, is nearest to left + up - corner.

  In bytes alone, which numpy does sixteen and more at a time. The distance of corner is the sum of
  the two others', and so not the least, unless corner lies between left and up; then it is their
  difference.
  """
  from_left, from_up = _distance(up, corner), _distance(left, corner)
  between = (up >= corner) != (left >= corner)
  from_corner = _distance(from_left, from_up)
  use_corner = between & (from_corner < np.minimum(from_left, from_up))
  return _choose(use_corner, corner, _choose(from_left <= from_up, left, up))


def _distance(a: Bytes, b: Bytes) -> Bytes:
  """Returns |a - b|."""
  return np.maximum(a, b) - np.minimum(a, b)


def _choose(condition: npt.NDArray[np.bool_], yes: Bytes, no: Bytes) -> Bytes:
  """Returns what `np.where` does, several times faster for bytes."""
  return no ^ ((no ^ yes) & np.negative(condition.view(np.uint8)))


Pixels = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""Makes images uint8 [m, h', w', c] from originals uint8 [n, h, w, c], and of each of the m images
the number of its original, int32 [m], and its seed, int64 [m, 2]."""

_PNG, _JPEG = b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff'
_HEAD_BYTES = 26
_PALETTE = 3
_CHANNELS_OF_COLOR_TYPE = [1, 0, 3, 3, 2, 0, 4]
_CHUNK_VALUES = 1 << 22
"""Pixel values of the copies that are made at a time."""
_PARALLEL = 8
_TOGETHER = 4


def map_encoded(files: tf.Tensor, seeds: tf.Tensor, pixels: Pixels, jpeg_quality: int) -> tf.Tensor:
  """Returns the files with their pixels changed: string [n], PNG from PNG, JPEG from JPEG.

  A palette becomes RGB. Metadata, such as EXIF's orientation, is not kept.

  Args:
    files: PNG or JPEG files, string [n], of 8 bits a channel: grey, RGB, or with alpha.
    seeds: Seed of each file: int64 [n, 2].
    pixels: Function that makes images from decoded ones of one size.
    jpeg_quality: Quality of JPEG files, 1 to 100.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for a file that is neither, or has 16 bits.
  """
  alone = files.shape[0] == 1
  originals, which = (files, tf.constant([0])) if alone else tf.unique(files)
  given = looked_at(originals)
  originals, is_png, shapes = given.files, given.is_png, given.shapes
  if alone:
    return _encode(pixels(_decode_one(originals[0]), which, seeds), is_png[0], jpeg_quality)
  palette = tf.reduce_any(given.has_palette)
  same = tf.reduce_all(shapes == shapes[:1]) & tf.reduce_all(is_png == is_png[0]) & ~palette
  made = tf.cond(
    same,
    lambda: _map_uniform(originals, which, seeds, shapes[0], is_png[0], pixels, jpeg_quality),
    lambda: _each_alone(pixels, jpeg_quality)(originals, which, seeds, is_png),
  )
  return tf.ensure_shape(made, files.shape)


class ImageHeads(NamedTuple):
  """Files, and what their first bytes say.

  Attributes:
    files: The files, bound to fail if one cannot be read: string [n].
    is_png: Whether a file is PNG, not JPEG: bool [n].
    has_palette: Whether it is a PNG with a palette: bool [n].
    shapes: Height, width and channels: int32 [n, 3]; 3 channels for a palette.
  """

  files: tf.Tensor
  is_png: tf.Tensor
  has_palette: tf.Tensor
  shapes: tf.Tensor


def looked_at(files: tf.Tensor) -> ImageHeads:
  """Returns what PNG and JPEG files say of themselves, string [n]: graph code.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for a file that is neither, or has 16 bits.
  """
  heads = _heads(files)
  is_png = tf.strings.substr(heads, 0, len(_PNG)) == _PNG
  files = _checked(files, heads, is_png)
  has_palette = is_png & (tf.strings.substr(heads, 25, 1) == bytes([_PALETTE]))
  return ImageHeads(files, is_png, has_palette, _shapes(files, heads, is_png))


def _heads(files: tf.Tensor) -> tf.Tensor:
  """Returns the first bytes of each file, up to where a PNG says what it holds: string [n]."""
  whole = tf.strings.length(files) >= _HEAD_BYTES
  return tf.strings.substr(tf.where(whole, files, b'\0' * _HEAD_BYTES), 0, _HEAD_BYTES)


def _checked(files: tf.Tensor, heads: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
  """Returns the files, bound to fail if one of them cannot be read as 8 bits a channel."""
  is_jpeg = tf.strings.substr(heads, 0, len(_JPEG)) == _JPEG
  deep = is_png & (tf.strings.substr(heads, 24, 1) == b'\x10')
  known = tf.debugging.Assert(
    tf.reduce_all(is_png | is_jpeg),
    ['the image is neither PNG nor JPEG; for raw values pass shape='],
  )
  shallow = tf.debugging.Assert(
    ~tf.reduce_any(deep), ['the PNG has 16 bits a channel; encode it with 8']
  )
  with tf.control_dependencies([step for step in (known, shallow) if step is not None]):
    return tf.identity(files)


def _shapes(files: tf.Tensor, heads: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
  """Returns height, width and channels of each file: int32 [n, 3]."""
  headers = tf.where(is_png, tf.strings.substr(heads, 16, 10), b'\0' * 10)
  values = tf.cast(tf.io.decode_raw(headers, tf.uint8, fixed_length=10), tf.int32)
  powers = tf.constant([1 << 24, 1 << 16, 1 << 8, 1])
  width, height = (tf.reduce_sum(values[:, i : i + 4] * powers, -1) for i in (0, 4))
  color = tf.minimum(values[:, 9], len(_CHANNELS_OF_COLOR_TYPE) - 1)
  channels = tf.gather(tf.constant(_CHANNELS_OF_COLOR_TYPE), color)
  of_png = tf.stack([height, width, channels], -1)
  return tf.cond(
    tf.reduce_all(is_png),
    lambda: of_png,
    lambda: _map(
      lambda one: tf.cond(one[1], lambda: one[2], lambda: tf.io.extract_jpeg_shape(one[0])),
      (files, is_png, of_png),
      tf.TensorSpec([3], tf.int32),
    ),
  )


def _map_uniform(
  originals: tf.Tensor,
  which: tf.Tensor,
  seeds: tf.Tensor,
  shape: tf.Tensor,
  is_png: tf.Tensor,
  pixels: Pixels,
  jpeg_quality: int,
) -> tf.Tensor:
  """Returns the files of one kind and size, changed in chunks; each decodes an original once."""
  n = tf.shape(which)[0]
  rows = tf.maximum(_CHUNK_VALUES // tf.maximum(tf.reduce_prod(shape), 1), 1)
  chunks = (n + rows - 1) // rows

  def step(i: tf.Tensor, done: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
    part = slice(i * rows, tf.minimum((i + 1) * rows, n))
    numbers, of_chunk = tf.unique(which[part])
    changed = pixels(decode_images(tf.gather(originals, numbers)), of_chunk, seeds[part])
    return i + 1, done.write(i, _encode(changed, is_png, jpeg_quality))

  array = tf.TensorArray(tf.string, chunks, infer_shape=False, element_shape=[None])
  _, array = tf.while_loop(lambda i, _: i < chunks, step, (0, array), parallel_iterations=2)
  return array.concat()


@functools.lru_cache(maxsize=8)
def _each_alone(pixels: Pixels, jpeg_quality: int) -> Callable[..., tf.Tensor]:
  """Returns a function that changes files of several kinds or sizes one by one.

  It is traced at its first use: every image takes some hundred operations.
  """

  def each(
    originals: tf.Tensor, which: tf.Tensor, seeds: tf.Tensor, is_png: tf.Tensor
  ) -> tf.Tensor:
    def one(record: tuple[tf.Tensor, ...]) -> tf.Tensor:
      number, seed = record
      changed = pixels(_decode_one(originals[number]), tf.constant([0]), seed[tf.newaxis])
      return _encode(changed, is_png[number], jpeg_quality)[0]

    return _map(one, (which, seeds), tf.TensorSpec([], tf.string))

  signature = [([None], tf.string), ([None], tf.int32), ([None, 2], tf.int64), ([None], tf.bool)]
  return tf.function(each, [tf.TensorSpec(*each) for each in signature], autograph=False)


def _encode(images: tf.Tensor, is_png: tf.Tensor, jpeg_quality: int) -> tf.Tensor:
  """Returns files of one kind: string [n] from uint8 [n, h, w, c]."""
  return tf.cond(is_png, lambda: encode_pngs(images), lambda: encode_jpegs(images, jpeg_quality))


def decode_images(files: tf.Tensor) -> tf.Tensor:
  """Returns images of one size: [n, h, w, c].

  In a graph, several in each step of a loop: a step costs 7 us, as decoding 28x28 pixels does.
  """
  together = 1 if tf.executing_eagerly() else _TOGETHER
  n = tf.shape(files)[0]
  filled = tf.concat([files, tf.fill([-n % together], files[0])], 0)
  images = _map(
    lambda some: tf.stack([tf.io.decode_png(file) for file in tf.unstack(some)]),  # JPEG too
    tf.reshape(filled, [-1, together]),
    tf.TensorSpec([together, None, None, None], tf.uint8),
  )
  return tf.reshape(images, tf.concat([[-1], tf.shape(images)[2:]], 0))[:n]


def _decode_one(file: tf.Tensor) -> tf.Tensor:
  """Returns an image as a batch of one, a palette's colours as RGB: uint8 [1, h, w, c]."""
  head = _heads(file)
  is_png = tf.strings.substr(head, 0, len(_PNG)) == _PNG
  palette = is_png & (tf.strings.substr(head, 25, 1) == bytes([_PALETTE]))
  image = tf.cond(
    palette,
    lambda: tf.io.decode_png(file, channels=3),
    lambda: tf.io.decode_png(file),
  )
  return image[tf.newaxis]


def encode_jpegs(images: tf.Tensor, quality: int) -> tf.Tensor:
  """Returns JPEG files: string [n] from uint8 [n, h, w, c], 1 or 3 channels."""
  return _map(
    lambda image: tf.io.encode_jpeg(image, quality=quality, optimize_size=False),
    images,
    tf.TensorSpec([], tf.string),
  )


def _map(call: Callable[..., tf.Tensor], elements: Any, spec: tf.TensorSpec) -> tf.Tensor:
  """Returns the results for all elements: by a loop in C++ in a graph, otherwise in Python."""
  if not tf.executing_eagerly():
    return tf.map_fn(call, elements, fn_output_signature=spec, parallel_iterations=_PARALLEL)
  if not isinstance(elements, tuple):
    return tf.stack([call(element) for element in tf.unstack(elements)])
  return tf.stack([call(each) for each in zip(*map(tf.unstack, elements), strict=True)])
