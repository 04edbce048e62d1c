"""The Sampler of tfx-addons, by its documented algorithm: records by class, one at a time.

Parse each record; count those of each class; the largest count is every class's target; emit each
record `int(target / count)` times, and at random once more; records without a class stay as they
are. One thing is better than in the original, which reads all records on the driver: here Beam
reads the files.

The lean form of it is the least that the algorithm can do with an element a record: between the
steps goes a record's bytes, and not the parsed example, and every record must have a class.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.augment_check import check_about_balanced
from benchmarks.data import DataFiles, DataSpec
from benchmarks.measure import Work

Record = TypeVar('Record')


def sample(data: dict[str, Any], spec: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of bringing each class up to about the largest; gives class to records."""
  return _work(data, spec, root, beam_args, sample_examples)


def sample_lean(
  data: dict[str, Any], spec: dict[str, Any], root: str, beam_args: Sequence[str]
) -> Work:
  """Returns the same work in its lean form."""
  return _work(data, spec, root, beam_args, sample_bytes)


def _work(
  data: dict[str, Any], spec: dict[str, Any], root: str, beam_args: Sequence[str], sampler: Any
) -> Work:
  pattern, prefix = f'{DataFiles(**data).split_folder}/*', f'{root}/sampled'

  def run() -> None:
    with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
      records = pipeline | 'Read' >> beam.io.ReadFromTFRecord(pattern)
      _ = sampler(records) | 'Write' >> beam.io.WriteToTFRecord(prefix, file_name_suffix='.gz')

  counts = DataSpec(**spec).class_counts()
  return Work(run, lambda _: check_about_balanced(f'{prefix}*', counts))


def sample_examples(serialized: beam.PCollection[bytes]) -> beam.PCollection[bytes]:
  """Returns the sampled records, which are parsed on the way."""
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
  """Returns the sampled records, which stay as they are."""
  records = serialized | 'ByClass' >> beam.Map(lambda r: (with_class(r)[0], r))
  counts, target = count(records)
  return records | 'Sample' >> beam.FlatMap(copies, beam.pvalue.AsDict(counts), target)


def count(records: beam.PCollection) -> tuple[beam.PCollection, Any]:
  """Returns the records of each class, and the largest of these counts as a side input."""
  counts = records | 'Count' >> beam.combiners.Count.PerKey()
  target = (
    counts
    | 'CountsOfClasses' >> beam.Filter(has_class)
    | 'Counts' >> beam.Values()
    | 'Largest' >> beam.CombineGlobally(lambda found: max(found, default=0))
  )
  return counts, beam.pvalue.AsSingleton(target)


def with_class(record: bytes) -> tuple[int | None, tf.train.Example]:
  """Returns the parsed record behind its class."""
  example = tf.train.Example.FromString(record)
  values = example.features.feature['label'].int64_list.value
  return (values[0] if values else None), example


def has_class(record: tuple[int | None, Any]) -> bool:
  """Returns whether what comes first is a class."""
  return record[0] is not None


def copies(record: tuple[int, Record], counts: Mapping[int, int], target: int) -> Iterator[Record]:
  """Yields the record, without its class, as often as that calls for, on average."""
  ratio = target / counts[record[0]]
  times = int(ratio) + (random.random() < ratio % 1)
  yield from [record[1]] * times
