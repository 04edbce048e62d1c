"""Whether what came out is right: a time of a run that lost records is worth nothing.

Every check returns fields of `Measured`, the records that came out and how many of what, or raises
a RuntimeError that says what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

_AT_A_TIME = 4096
_MOST_DEVIATIONS = 6  # chance lets one in 500 million honest runs differ by more


def counted(counts: Mapping[str, int] | Sequence[int]) -> dict[str, Any]:
  """Returns counts, by name or of each class from 0, as fields of `Measured`."""
  named = counts if isinstance(counts, Mapping) else {str(i): n for i, n in enumerate(counts)}
  return {'records': sum(named.values()), 'counts': dict(named)}


def check_split(component_root: Path, records: int, splits: Sequence[str]) -> dict[str, Any]:
  """Returns the records of each split of a component's one output, as TensorFlow reads them."""
  found = sorted(component_root.glob('examples/*/Split-*'))
  counts = {
    path.name.removeprefix('Split-'): sum(len(batch) for batch in _records(f'{path}/*'))
    for path in found
  }
  if sorted(counts) != sorted(splits) or sum(counts.values()) != records:
    raise RuntimeError(
      f'{records} records went in, for splits {sorted(splits)}; {counts} came out: '
      f'mend the component before timing it'
    )
  return counted(counts)


def check_balanced(pattern: str, targets: Sequence[int]) -> dict[str, Any]:
  """Returns the records of each class, if each has its target exactly."""
  found = count_classes(pattern, len(targets))
  if found != list(targets):
    raise RuntimeError(f'{list(targets)} records were to come out, by class; {found} came out')
  return counted(found)


def check_about_balanced(pattern: str, counts: Sequence[int]) -> dict[str, Any]:
  """Returns the records of each class, if it was brought up to the largest but for chance."""
  found, target = count_classes(pattern, len(counts)), max(counts)
  for n, before in zip(found, counts, strict=True):
    share = target / before % 1
    deviation = math.sqrt(before * share * (1 - share))
    if abs(n - target) > _MOST_DEVIATIONS * deviation:
      raise RuntimeError(f'about {target} records of each class were to come out; {found} came out')
  return counted(found)


def check_images(pattern: str, targets: Sequence[int], side: int) -> dict[str, Any]:
  """Returns the records of each class, if its images have that size and differ."""
  spec = {'image': tf.io.FixedLenFeature([], tf.string)}
  images = [
    image
    for records in _records(pattern)
    for image in tf.io.parse_example(records, spec)['image'].numpy()
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


def _records(pattern: str) -> tf.data.Dataset:
  """Returns batches of the serialized records of gzip TFRecord files."""
  paths = sorted(tf.io.gfile.glob(pattern))
  if not paths:
    raise RuntimeError(f'no file is there that {pattern} names')
  records = tf.data.TFRecordDataset(paths, 'GZIP', num_parallel_reads=tf.data.AUTOTUNE)
  return records.batch(_AT_A_TIME)
