"""Windows of 8-bit images in integers: near to the formula, and exact at whole places."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.augment import resample as module
from tfx_balance.augment.resample import resample

SAME = (1.0, 0.0, 1.0, 0.0)  # scale and shift of rows, then of columns


def images_of(n, height, width, channels, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def terms(m, channels, scale=1.0, offset=0.0):
  return [np.full((m, channels), value, np.float32) for value in (scale, offset)]


def by_formula(image, axes, scale, offset):
  """Returns one image, interpolated in float64."""
  places = []
  for size, factor, shift in zip(image.shape, axes[::2], axes[1::2], strict=False):
    place = np.clip(factor * np.arange(size) + shift, 0, size - 1)
    first = np.floor(place).astype(int)
    places.append((first, np.minimum(first + 1, size - 1), place - first))
  (top, bottom, down), (left, right, across) = places
  down, across, image = down[:, None, None], across[None, :, None], image.astype(float)
  upper = image[top][:, left] * (1 - across) + image[top][:, right] * across
  lower = image[bottom][:, left] * (1 - across) + image[bottom][:, right] * across
  return np.clip((upper * (1 - down) + lower * down) * scale + offset, 0, 255)


@settings(max_examples=60, deadline=None)
@given(
  height=st.integers(1, 20),
  width=st.integers(1, 20),
  channels=st.integers(1, 4),
  zoom=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
  mirror=st.tuples(st.booleans(), st.booleans()),
  scale=st.floats(0, 2),
  offset=st.floats(-300, 300),
)
def test_values_are_near_to_those_of_the_formula(
  height, width, channels, zoom, mirror, scale, offset
):
  images = images_of(2, height, width, channels)
  axes = []
  for size, factor, mirrored in zip((height, width), zoom, mirror, strict=True):
    axes += [-factor, size - 1.0] if mirrored else [factor, (1 - factor) * (size - 1) / 2]
  out = resample(images, np.array([1]), np.array([axes]), *terms(1, channels, scale, offset))
  wanted = by_formula(images[1], axes, scale, offset)
  # Half for rounding; and places are off by 1/512 and 1/256 pixel, values between by a quarter.
  bound = 0.5 + scale * (255 / 512 + 255 / 256 + 0.25) + 0.01
  assert np.abs(out[0] - wanted).max() <= bound


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('size', [(1, 1), (1, 5), (6, 1), (7, 9)])
def test_whole_places_keep_every_value(size, channels):
  images = images_of(3, *size, channels)
  height, width = size
  mirrored = (-1.0, height - 1.0, -1.0, width - 1.0)
  which = np.array([2, 2, 0, 1])
  axes = np.array([SAME, mirrored, SAME, mirrored])
  out = resample(images, which, axes, *terms(4, channels))
  np.testing.assert_array_equal(out[[0, 2]], images[[2, 0]])
  np.testing.assert_array_equal(out[[1, 3]], images[[2, 1]][:, ::-1, ::-1])


def test_every_copy_is_as_alone_in_blocks_of_any_size(monkeypatch):
  images, rng = images_of(4, 6, 5, 3), np.random.default_rng(1)
  which = rng.integers(0, 4, 11)
  axes = np.stack([rng.uniform(0.5, 1, 11), rng.uniform(0, 2, 11)] * 2, axis=1)
  given_terms = [rng.uniform(0.5, 1.5, (11, 3)).astype(np.float32) for _ in range(2)]
  whole = resample(images, which, axes, *given_terms)
  monkeypatch.setattr(module, '_BLOCK_VALUES', 2 * 6 * 5 * 4)
  np.testing.assert_array_equal(resample(images, which, axes, *given_terms), whole)
  for i in range(11):
    part = slice(i, i + 1)
    alone = resample(
      images[which[part]], np.array([0]), axes[part], *(t[part] for t in given_terms)
    )
    np.testing.assert_array_equal(alone[0], whole[i])


def test_colors_of_each_channel_are_within_the_range():
  images = np.full((1, 2, 2, 3), 100, np.uint8)
  scale, offset = np.float32([[2, 1, 1]]), np.float32([[100, -200, 20.4]])
  out = resample(images, np.array([0]), np.array([SAME]), scale, offset)
  assert out[0, 0, 0].tolist() == [255, 0, 120]
