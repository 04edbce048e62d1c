"""Peers of BalancedAugmenter: a per-record Sampler, and a tf.data map of images.

The Sampler implements the documented algorithm of tfx-addons: parse each record; count the records
of each class; the largest count is the target of all classes; emit each record
`int(target / count)` times, and once more at random; pass through records without a class. Unlike
the original, which reads all records on the driver, Beam reads the files. The lean form passes
bytes instead of parsed examples between the steps, and requires a class in every record.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.checks import check_about_balanced, check_images
from benchmarks.data import DataFiles, DataSpec
from benchmarks.harness import Work

Record = TypeVar('Record')

BRIGHTNESS, CONTRAST, CROP = 0.1, 0.2, 0.1
"""Augmentation parameters of both sides, in addition to random flips."""
_FEATURES = {
  'image': tf.io.FixedLenFeature([], tf.string),
  'label': tf.io.FixedLenFeature([], tf.int64),
}


def sample(data: dict[str, Any], root: str, beam_args: Sequence[str], lean: bool) -> Work:
  """Returns the work of oversampling each class to about the size of the largest."""
  files, prefix = DataFiles.from_json(data), f'{root}/sampled'
  sampler = sample_bytes if lean else sample_examples

  def run() -> None:
    with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
      records = pipeline | 'Read' >> beam.io.ReadFromTFRecord(f'{files.split_folder}/*')
      _ = sampler(records) | 'Write' >> beam.io.WriteToTFRecord(prefix, file_name_suffix='.gz')

  return Work(run, lambda _: check_about_balanced(f'{prefix}*', files.spec.class_counts()))


def sample_examples(serialized: beam.PCollection[bytes]) -> beam.PCollection[bytes]:
  """Returns the sampled records; parsed examples are passed between steps."""
  records = serialized | 'Parse' >> beam.Map(with_class)
  counts, target = count(records)
  sampled = (
    records
    | 'WithClass' >> beam.Filter(has_class)
    | 'Sample' >> beam.FlatMap(copies, beam.pvalue.AsDict(counts), target)
  )
  others = records | 'Without' >> beam.Filter(lambda r: not has_class(r)) | beam.Values()
  return (
    (sampled, others)
    | 'Merge' >> beam.Flatten()
    | 'Serialize' >> beam.Map(lambda example: example.SerializeToString())
  )


def sample_bytes(serialized: beam.PCollection[bytes]) -> beam.PCollection[bytes]:
  """Returns the sampled records; bytes are passed between steps."""
  records = serialized | 'ByClass' >> beam.Map(lambda r: (with_class(r)[0], r))
  counts, target = count(records)
  return records | 'Sample' >> beam.FlatMap(copies, beam.pvalue.AsDict(counts), target)


def count(records: beam.PCollection) -> tuple[beam.PCollection, Any]:
  """Returns the number of records of each class, and the largest of these as a side input."""
  counts = records | 'Count' >> beam.combiners.Count.PerKey()
  target = (
    counts
    | 'CountsOfClasses' >> beam.Filter(has_class)
    | 'Counts' >> beam.Values()
    | 'Largest' >> beam.CombineGlobally(lambda found: max(found, default=0))
  )
  return counts, beam.pvalue.AsSingleton(target)


def with_class(record: bytes) -> tuple[int | None, tf.train.Example]:
  """Returns the class of a record, and the parsed record."""
  example = tf.train.Example.FromString(record)
  values = example.features.feature['label'].int64_list.value
  return (values[0] if values else None), example


def has_class(record: tuple[int | None, Any]) -> bool:
  """Returns whether a record has a class."""
  return record[0] is not None


def copies(record: tuple[int, Record], counts: Mapping[int, int], target: int) -> Iterator[Record]:
  """Yields the record without its class, target / count times on average."""
  ratio = target / counts[record[0]]
  times = int(ratio) + (random.random() < ratio % 1)
  yield from [record[1]] * times


def map_images(data: dict[str, Any], root: str, beam_args: Sequence[str], n_copies: int) -> Work:
  """Returns the work of writing augmented copies of each record with tf.data."""
  files, output = DataFiles.from_json(data), Path(root, 'augmented.gz')
  output.parent.mkdir(parents=True)
  targets, side = [n * n_copies for n in files.spec.class_counts()], files.spec.image_shape[0]
  return Work(
    lambda: write_copies(files, n_copies, str(output)),
    lambda _: check_images(str(output), targets, side),
  )


def write_copies(files: DataFiles, n_copies: int, output: str) -> None:
  """Reads the files once per copy, and writes one gzip TFRecord file."""
  records = tf.data.TFRecordDataset(files.paths(), 'GZIP', num_parallel_reads=tf.data.AUTOTUNE)
  made = (
    records.repeat(n_copies)
    .enumerate()
    .map(augment_record(files.spec), num_parallel_calls=tf.data.AUTOTUNE)
    .prefetch(tf.data.AUTOTUNE)
  )
  with tf.io.TFRecordWriter(output, options='GZIP') as writer:
    for image, label in made.as_numpy_iterator():
      feature = {
        'image': tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        'label': tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
      }
      example = tf.train.Example(features=tf.train.Features(feature=feature))
      writer.write(example.SerializeToString())


def augment_record(spec: DataSpec) -> Any:
  """Returns graph code that maps a number and a record to an augmented file and its class."""
  side, channels = spec.image_shape
  cropped = round(side * (1 - CROP))
  encode = tf.io.encode_png if spec.kind.startswith('png') else tf.io.encode_jpeg

  def augment_one(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    features = tf.io.parse_single_example(record, _FEATURES)
    image = tf.io.decode_image(features['image'], channels, expand_animations=False)
    seeds = tf.random.split(tf.stack([number, 0]), 4)
    image = tf.image.stateless_random_flip_left_right(image, seeds[0])
    image = tf.image.stateless_random_crop(image, [cropped, cropped, channels], seeds[1])
    image = tf.image.resize(image, [side, side])
    image = tf.image.stateless_random_brightness(image, BRIGHTNESS * 255, seeds[2])
    image = tf.image.stateless_random_contrast(image, 1 - CONTRAST, 1 + CONTRAST, seeds[3])
    pixels = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    return encode(pixels), features['label']

  return augment_one
