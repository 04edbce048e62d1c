"""Reads the headers of PNG and JPEG files, decodes them upright, and writes PNG files."""

from __future__ import annotations

import functools
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
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
  """Returns the Paeth predictor: the first of left, up, corner nearest to left + up - corner.

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
  """Chooses bytes as `np.where` does, several times faster."""
  return no ^ ((no ^ yes) & np.negative(condition.view(np.uint8)))


_HEAD_BYTES = 26
_JPEG = b'\xff\xd8\xff'
_PALETTE = 3
_CHANNELS_OF_COLOR_TYPE = [1, 0, 3, 3, 2, 0, 4]


class ImageHeads(NamedTuple):
  """Files, and the kinds and shapes that their headers state.

  Attributes:
    files: The files, bound to fail if one cannot be read: string [n].
    is_png: Whether a file is PNG, not JPEG: bool [n].
    has_palette: Whether it is a PNG with a palette: bool [n].
    shapes: Height, width and channels: int32 [n, 3]; 3 channels for a palette.
    orientations: Orientations by EXIF, 1 to 8: int32 [n]; 1 where a file has none.
  """

  files: tf.Tensor
  is_png: tf.Tensor
  has_palette: tf.Tensor
  shapes: tf.Tensor
  orientations: tf.Tensor


def read_heads(files: tf.Tensor) -> ImageHeads:
  """Reads the headers of PNG and JPEG files, string [n]: graph code.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for a file that is neither, or has 16 bits.
  """
  whole = tf.strings.length(files) >= _HEAD_BYTES
  heads = tf.strings.substr(tf.where(whole, files, b'\0' * _HEAD_BYTES), 0, _HEAD_BYTES)
  is_png = tf.strings.substr(heads, 0, len(_SIGNATURE)) == _SIGNATURE
  is_jpeg = tf.strings.substr(heads, 0, len(_JPEG)) == _JPEG
  depth_and_color = tf.cast(tf.io.decode_raw(tf.strings.substr(heads, 24, 2), tf.uint8), tf.int32)
  depth, color = depth_and_color[:, 0], depth_and_color[:, 1]
  for fine, text in (
    (is_png | is_jpeg, 'the image is neither PNG nor JPEG; for raw values pass shape='),
    (~is_png | (depth != 16), 'the PNG has 16 bits a channel; encode it with 8'),
  ):
    check = tf.debugging.Assert(tf.reduce_all(fine), [text])
    with tf.control_dependencies([check] if check is not None else []):
      files = tf.identity(files)
  size = tf.io.decode_raw(tf.strings.substr(heads, 16, 8), tf.int32, little_endian=False)
  color = tf.minimum(color, len(_CHANNELS_OF_COLOR_TYPE) - 1)
  channels = tf.gather(tf.constant(_CHANNELS_OF_COLOR_TYPE), color)
  of_png = tf.stack([size[:, 1], size[:, 0], channels], -1)
  shapes = tf.cond(
    tf.reduce_all(is_png),
    lambda: of_png,
    lambda: tf.numpy_function(_with_jpeg_shapes, [files, is_png, of_png], tf.int32, stateful=False),
  )
  shapes = tf.ensure_shape(shapes, [None, 3])
  return ImageHeads(files, is_png, is_png & (color == _PALETTE), shapes, read_orientations(files))


def _with_jpeg_shapes(
  files: npt.NDArray[Any], is_png: npt.NDArray[np.bool_], of_png: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
  """Returns the shapes of all files from those of the PNG files: int32 [n, 3]."""
  shapes = of_png.copy()
  for i in np.flatnonzero(~is_png):
    shapes[i] = tf.raw_ops.ExtractJpegShape(contents=tf.constant(files[i])).numpy()
  return shapes


_EXIF = b'Exif\0\0'
_HEAD_OF_JPEG = 1 << 16  # the longest segment, and Exif is the first or stands behind JFIF
_DIRECTORY_BYTES = 210  # the header, and 16 entries of 12 bytes
# Orientation is tag 0x0112, a short, among the entries of the first directory, which cameras write
# behind the header of 8 bytes; in either order of bytes.
_ENTRIES = r'\C\C(?:\C{12}){0,15}?'
_ORIENTATION = (
  rf'^(?:II\*\x00\x08\x00\x00\x00{_ENTRIES}\x12\x01\x03\x00\x01\x00\x00\x00([\x01-\x08])\x00|'
  rf'MM\x00\*\x00\x00\x00\x08{_ENTRIES}\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x01-\x08]))\C*$'
)
_FLIPPED = ((3, 4, 7, 8), (2, 3, 6, 7))
"""Orientations whose image is mirrored up-down, and left-right; 5 to 8 are transposed before."""
_TIFF = b'II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%c\0\0\0\0\0\0\0'
_SEGMENT = b'\xff\xe1\0\x22' + _EXIF + _TIFF
TAGS = [b'', b'', *(_SEGMENT % i for i in range(2, 9))]
"""What stands behind the first two bytes of a JPEG file of each orientation."""


def read_orientations(files: tf.Tensor) -> tf.Tensor:
  """Returns the orientations of images, by the Exif segment of JPEG files: int32 [n], 1 to 8.

  It is 1, as the pixels are, for a file without one. Graph code without Python.

  Args:
    files: PNG and JPEG files, string [n].
  """
  parts = tf.strings.split(tf.strings.substr(files, 0, _HEAD_OF_JPEG), _EXIF, maxsplit=1)
  last = tf.gather(parts.flat_values, parts.row_splits[1:] - 1)  # behind the mark, if there is one
  directory = tf.strings.substr(last, 0, _DIRECTORY_BYTES)
  found = tf.strings.regex_replace(directory, _ORIENTATION, r'\1\2')
  found = tf.where(tf.strings.length(found) == 1, found, b'\x01')
  return tf.cast(tf.io.decode_raw(found, tf.uint8)[:, 0], tf.int32)


def turned(image: Any, orientation: int, numpy: Any, axis: int = 0, back: bool = False) -> Any:
  """Returns an image upright, or one that is as a file of an orientation has it.

  Args:
    image: Pixels, height and width one after another among its axes.
    orientation: Orientation by EXIF, 1 to 8.
    numpy: NumPy, or that of TensorFlow for tensors.
    axis: Axis of the height.
    back: Whether it is upright, and to be as in the file.
  """
  if orientation > 4 and not back:
    image = numpy.swapaxes(image, axis, axis + 1)
  for i, of in enumerate(_FLIPPED):
    if orientation in of:
      image = numpy.flip(image, axis + i)
  return numpy.swapaxes(image, axis, axis + 1) if orientation > 4 and back else image


def turn_tensor(image: tf.Tensor, orientation: tf.Tensor, back: bool = False) -> tf.Tensor:
  """Returns an image [h, w, c] as `turned`, by an orientation that is a tensor, int32 []."""
  turns = [functools.partial(turned, image, i, tnp, back=back) for i in range(1, 9)]
  return tf.switch_case(orientation - 1, turns)


def decode_image(file: tf.Tensor, channels: int = 3, exif: bool = True) -> tf.Tensor:
  """Returns the pixels of a PNG or JPEG file, uint8 [h, w, channels], as viewers show it.

  TensorFlow ignores the orientation that the EXIF data of photos have, so that some lie on their
  side. Graph code without Python, for `decode_fn=` and models.

  Args:
    file: String [].
    channels: 1, 3 or 4, or 0 for those of the file.
    exif: Whether to turn the image as EXIF says; else it is as `tf.io.decode_png` gives it.
  """
  image = tf.io.decode_png(file, channels=channels)  # JPEG too
  return turn_tensor(image, read_orientations(file[tf.newaxis])[0]) if exif else image
