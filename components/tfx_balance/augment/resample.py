"""Windows of 8-bit images, mirrored, scaled up and with other colors: in integers, with numpy.

An output pixel is interpolated bilinearly between four of the original, rows first. Positions are
rounded to 1/256 of a pixel in rows and 1/128 in columns, so that all products fit into 16 bits,
which numpy computes many at a time. Every image is computed alone: its values depend neither on the
batch, nor on threads, nor on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BLOCK_VALUES = 1 << 17
"""Values worked on at a time, in a few arrays of 2 and 4 bytes each: they fit a cache."""
_PIXEL_TYPES: dict[int, Any] = {1: np.uint16, 2: np.uint32, 4: np.uint64}


@dataclass(frozen=True)
class Taps:
  """What is interpolated along one axis, for each output position of each image.

  Attributes:
    first, second: Places of the two neighbors: int64 [m, size].
    weights: Weight of the second in units of 1 / `one`: uint16 [m, size].
    one: Sum of both weights.
  """

  first: Array
  second: Array
  weights: Array
  one: int

  @classmethod
  def of(cls, scale: Array, shift: Array, size: int, one: int) -> Taps:
    """Returns the neighbors of scale * i + shift, for i below size; the nearest place if outside.

    Args:
      scale: Distance in the original of two output positions: float64 [m].
      shift: Place in the original of the first output position: float64 [m].
      size: Length of the axis, before and after.
      one: Sum of both weights.
    """
    steps = scale[:, np.newaxis] * np.arange(size) + shift[:, np.newaxis]
    places = np.rint(np.clip(steps, 0, size - 1) * one).astype(np.int64)
    first = places // one
    weights = (places - first * one).astype(np.uint16)
    return cls(first, np.minimum(first + 1, size - 1), weights, one)


def resample(images: Array, which: Array, axes: Array, scale: Array, offset: Array) -> Array:
  """Returns windows of images with other colors: uint8 [m, h, w, c].

  A value v becomes scale * v + offset, rounded and within 0 to 255.

  Args:
    images: Originals, uint8 [n, h, w, c], of 1 to 4 channels.
    which: Number of the original of each output image: int [m].
    axes: Scale and shift of rows, then of columns, as in `Taps.of`: float64 [m, 4].
    scale: Factor of each channel: float32 [m, c].
    offset: Summand of each channel: float32 [m, c].
  """
  _, height, width, channels = images.shape
  lanes = 4 if channels == 3 else channels  # pixels of 2, 4 or 8 bytes are gathered fast
  wide = _widened(images, lanes)
  rows = Taps.of(axes[:, 0], axes[:, 1], height, 256)
  columns = Taps.of(axes[:, 2], axes[:, 3], width, 128)
  scale, offset = (_in_lanes(values, lanes, width) for values in (scale / 256, offset + 0.5))
  out = np.empty((len(which), height, width, channels), np.uint8)
  step = max(1, _BLOCK_VALUES // max(1, height * width * lanes))
  blocks = _Blocks(min(step, len(which)), height, width, lanes)
  for start in range(0, len(which), step):
    part = slice(start, start + step)
    values = blocks.sampled(wide, which[part], rows, columns, part)
    values = blocks.colored(values, scale[part], offset[part])
    for channel in range(channels):  # rather than pixel by pixel, of which numpy copies each alone
      out[part, ..., channel] = values[..., channel]
  return out


def _widened(images: Array, lanes: int) -> Array:
  """Returns images as uint16 [n, h, w, lanes]."""
  if images.shape[-1] == lanes:
    return images.astype(np.uint16)
  wide = np.zeros((*images.shape[:-1], lanes), np.uint16)
  for channel in range(images.shape[-1]):
    wide[..., channel] = images[..., channel]
  return wide


def _in_lanes(values: Array, lanes: int, width: int) -> Array:
  """Returns values of channels for a row of pixels: float32 [m, 1, width * lanes] from [m, c]."""
  padded = np.zeros((len(values), lanes), np.float32)
  padded[:, : values.shape[1]] = values
  return np.tile(padded, width)[:, np.newaxis]


class _Blocks:
  """Arrays for a block of images, used again for each: memory that is new takes time."""

  def __init__(self, images: int, height: int, width: int, lanes: int) -> None:
    self._shape = (images, height, width, lanes)
    self._words = [np.empty((images, height, width * lanes), np.uint16) for _ in range(3)]
    self._floats = np.empty((images, height, width * lanes), np.float32)
    self._pixel = _PIXEL_TYPES[lanes]

  def sampled(self, wide: Array, which: Array, rows: Taps, columns: Taps, part: slice) -> Array:
    """Returns interpolated values in units of 1/256: uint16 [m, h, w * lanes]."""
    _, height, width, lanes = self._shape
    m = len(which)
    near, far, out = (words[:m] for words in self._words)
    lines = wide.reshape(-1, width * lanes)
    base = which[:, np.newaxis] * height
    np.take(lines, base + rows.first[part], 0, near, 'clip')
    np.take(lines, base + rows.second[part], 0, far, 'clip')
    _interpolate(near, far, rows.weights[part][..., np.newaxis], rows.one)
    near += 64  # rounded to 9 bits, so that a product with 7 bits has 16
    near >>= 7
    pixels, left, right = (
      words.view(self._pixel).reshape(m, height, width) for words in (near, out, far)
    )
    for i in range(m):
      np.take(pixels[i], columns.second[part][i], 1, right[i], 'clip')
      np.take(pixels[i], columns.first[part][i], 1, left[i], 'clip')
    weights = np.repeat(columns.weights[part], lanes, axis=1)[:, np.newaxis]
    _interpolate(out, far, weights, columns.one)
    return out

  def colored(self, values: Array, scale: Array, offset: Array) -> Array:
    """Returns what the values become: uint8 [m, h, w, lanes]; offset has 0.5 for rounding."""
    m = len(values)
    floats, whole = self._floats[:m], self._words[0][:m].view(np.int16)
    floats[...] = values
    floats *= scale
    floats += offset
    np.copyto(whole, floats, casting='unsafe')  # towards 0, which is down but for what is below 0
    np.clip(whole, 0, 255, out=whole)
    return whole.astype(np.uint8).reshape(m, *self._shape[1:])


def _interpolate(near: Array, far: Array, weights: Array, one: int) -> None:
  """Puts near * (one - weights) + far * weights into near, and overwrites far."""
  near *= one - weights
  far *= weights
  near += far
