"""Image augmentation as one writes it with tf.data: a function of one record, mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.augment_check import check_images
from benchmarks.augment_images import BRIGHTNESS, CONTRAST, CROP, ImageFiles
from benchmarks.measure import Work

_FEATURES = {
  'image': tf.io.FixedLenFeature([], tf.string),
  'label': tf.io.FixedLenFeature([], tf.int64),
}


def augment(data: dict[str, Any], copies: int, root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of writing so many copies of each record; gives class to records.

  Beam has no part in it: `beam_args` is there because every side is called alike.
  """
  files, output = ImageFiles(**data), Path(root, 'augmented.gz')
  output.parent.mkdir(parents=True)
  return Work(
    lambda: write_copies(files, copies, str(output)),
    lambda _: check_images(str(output), [n * copies for n in files.class_counts], files.side),
  )


def write_copies(files: ImageFiles, copies: int, output: str) -> None:
  """Reads the files once for each copy, and writes one gzip TFRecord file."""
  records = tf.data.TFRecordDataset(files.paths, 'GZIP', num_parallel_reads=tf.data.AUTOTUNE)
  made = (
    records.repeat(copies)
    .enumerate()
    .map(augment_record(files), num_parallel_calls=tf.data.AUTOTUNE)
    .prefetch(tf.data.AUTOTUNE)
  )
  with tf.io.TFRecordWriter(output, options='GZIP') as writer:
    for image, label in made.as_numpy_iterator():
      writer.write(serialize(image, int(label)))


def augment_record(files: ImageFiles) -> Any:
  """Returns graph code from a number and a record to the PNG of an augmented image, and a class."""
  side, channels = files.side, files.channels
  cut = round(side * (1 - CROP))

  def augment_one(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    features = tf.io.parse_single_example(record, _FEATURES)
    image = tf.io.decode_png(features['image'], channels)
    seeds = tf.random.split(tf.stack([number, 0]), 4)
    image = tf.image.stateless_random_flip_left_right(image, seeds[0])
    image = tf.image.stateless_random_crop(image, [cut, cut, channels], seeds[1])
    image = tf.image.resize(image, [side, side])
    image = tf.image.stateless_random_brightness(image, BRIGHTNESS * 255, seeds[2])
    image = tf.image.stateless_random_contrast(image, 1 - CONTRAST, 1 + CONTRAST, seeds[3])
    pixels = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    return tf.io.encode_png(pixels), features['label']

  return augment_one


def serialize(image: bytes, label: int) -> bytes:
  """Returns a serialized tf.Example."""
  feature = {
    'image': tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
    'label': tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
  }
  return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
