"""Whether what came out is right: a time of a run that lost records is worth nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

_AT_A_TIME = 4096
_MOST_DEVIATIONS = 6  # chance lets one in 500 million honest runs differ by more


def check_balanced(pattern: str, targets: Sequence[int]) -> dict[str, int]:
  """Returns the records of each class.

  Args:
    pattern: of gzip TFRecord files.
    targets: of each class, from 0.

  Raises:
    RuntimeError: if a class has not its target exactly.
  """
  found = count_classes(pattern, len(targets))
  if found != list(targets):
    raise RuntimeError(f'{list(targets)} records were to come out, by class; {found} came out')
  return as_result(found)


def check_about_balanced(pattern: str, counts: Sequence[int]) -> dict[str, int]:
  """Returns the records of each class, which chance brought about up to the largest.

  Args:
    pattern: of gzip TFRecord files.
    counts: of each class, from 0, before.

  Raises:
    RuntimeError: if a class is further off than chance takes it.
  """
  found, target = count_classes(pattern, len(counts)), max(counts)
  for n, before in zip(found, counts, strict=True):
    share = target / before % 1
    deviation = math.sqrt(before * share * (1 - share))
    if abs(n - target) > _MOST_DEVIATIONS * deviation:
      raise RuntimeError(f'about {target} records of each class were to come out; {found} came out')
  return as_result(found)


def check_images(pattern: str, targets: Sequence[int], side: int) -> dict[str, int]:
  """Returns the records of each class, in which every image decodes and nearly all differ.

  Args:
    pattern: of gzip TFRecord files.
    targets: of each class, from 0.
    side: of the images, in pixels.

  Raises:
    RuntimeError: if a class has not its target, or an image is not as large, or they repeat.
  """
  spec = {'image': tf.io.FixedLenFeature([], tf.string)}
  images = [
    image
    for record in _records(pattern).as_numpy_iterator()
    for image in tf.io.parse_example(record, spec)['image'].numpy()
  ]
  sizes = {tuple(tf.io.decode_png(image).shape[:2]) for image in images}
  if sizes != {(side, side)}:
    raise RuntimeError(f'images are of {sorted(sizes)}, not of {side} x {side} pixels')
  if len(set(images)) < 0.99 * len(images):
    raise RuntimeError(
      f'{len(set(images))} of {len(images)} images differ: they were not augmented'
    )
  return check_balanced(pattern, targets)


def count_classes(pattern: str, n_classes: int) -> list[int]:
  """Returns the records of each class, which is the feature `label`, from 0."""
  spec = {'label': tf.io.FixedLenFeature([], tf.int64)}
  total = tf.zeros([n_classes], tf.int64)
  for batch in _records(pattern):
    labels = tf.io.parse_example(batch, spec)['label']
    total += tf.math.bincount(labels, minlength=n_classes, maxlength=n_classes, dtype=tf.int64)
  return total.numpy().tolist()


def as_result(found: Sequence[int]) -> dict[str, int]:
  """Returns counts as JSON has them."""
  return {str(i): n for i, n in enumerate(found)}


def _records(pattern: str) -> tf.data.Dataset:
  paths = sorted(tf.io.gfile.glob(pattern))
  if not paths:
    raise RuntimeError(f'no file is there that {pattern} names')
  return tf.data.TFRecordDataset(paths, 'GZIP').batch(_AT_A_TIME)
