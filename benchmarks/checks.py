"""Checks of the output, since the time of an incorrect run is meaningless.

Every check returns fields of `Measured` with the number of output records, in total and by class or
split, or raises a RuntimeError with the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

_AT_A_TIME = 4096
_MOST_DEVIATIONS = 6  # one in 500 million correct runs deviates more


def counted(counts: Mapping[str, int] | Sequence[int]) -> dict[str, Any]:
  """Returns counts, by name or by class from 0, as fields of `Measured`."""
  named = counts if isinstance(counts, Mapping) else {str(i): n for i, n in enumerate(counts)}
  return {'records': sum(named.values()), 'counts': dict(named)}


def check_split(component_root: Path, records: int, splits: Sequence[str]) -> dict[str, Any]:
  """Returns the number of records in each split of a component's output, read by TensorFlow."""
  found = sorted(component_root.glob('examples/*/Split-*'))
  counts = {
    path.name.removeprefix('Split-'): sum(len(batch) for batch in _records(f'{path}/*'))
    for path in found
  }
  if sorted(counts) != sorted(splits) or sum(counts.values()) != records:
    raise RuntimeError(
      f'{records} input records for splits {sorted(splits)} gave {counts} output records; '
      f'fix the component before timing it'
    )
  return counted(counts)


def check_balanced(pattern: str, targets: Sequence[int]) -> dict[str, Any]:
  """Returns the number of records of each class, which must equal the targets."""
  found = count_classes(pattern, len(targets))
  if found != list(targets):
    raise RuntimeError(f'expected {list(targets)} records by class, found {found}')
  return counted(found)


def check_about_balanced(pattern: str, counts: Sequence[int]) -> dict[str, Any]:
  """Returns the number of records of each class, which must randomly vary around the largest."""
  found, target = count_classes(pattern, len(counts)), max(counts)
  for n, before in zip(found, counts, strict=True):
    share = target / before % 1
    deviation = math.sqrt(before * share * (1 - share))
    if abs(n - target) > _MOST_DEVIATIONS * deviation:
      raise RuntimeError(f'expected about {target} records of each class, found {found}')
  return counted(found)


def check_images(pattern: str, targets: Sequence[int], side: int) -> dict[str, Any]:
  """Returns the number of records of each class and the mean bytes of an image.

  Images must have the given size and differ.
  """
  spec = {'image': tf.io.FixedLenFeature([], tf.string)}
  images = [
    image
    for records in _records(pattern)
    for image in tf.io.parse_example(records, spec)['image'].numpy()
  ]
  sizes = {tuple(tf.io.decode_png(image).shape[:2]) for image in images}
  if sizes != {(side, side)}:
    raise RuntimeError(f'images have {sorted(sizes)}, not {side} x {side} pixels')
  if len(set(images)) < 0.99 * len(images):
    raise RuntimeError(
      f'only {len(set(images))} of {len(images)} images differ: they were not augmented'
    )
  figures = {'image bytes': sum(map(len, images)) / len(images)}
  return {**check_balanced(pattern, targets), 'figures': figures}


def count_classes(pattern: str, n_classes: int) -> list[int]:
  """Returns the number of records of each class from 0, given by the feature `label`."""
  spec = {'label': tf.io.FixedLenFeature([], tf.int64)}
  total = tf.zeros([n_classes], tf.int64)
  for batch in _records(pattern):
    labels = tf.io.parse_example(batch, spec)['label']
    total += tf.math.bincount(labels, minlength=n_classes, maxlength=n_classes, dtype=tf.int64)
  return total.numpy().tolist()


def _records(pattern: str) -> tf.data.Dataset:
  """Returns batches of the serialized records of gzip TFRecord files."""
  paths = sorted(tf.io.gfile.glob(pattern))
  if not paths:
    raise RuntimeError(f'no file matches {pattern}')
  records = tf.data.TFRecordDataset(paths, 'GZIP', num_parallel_reads=tf.data.AUTOTUNE)
  return records.batch(_AT_A_TIME)
