"""tf.Example files for tests, written and read back with TensorFlow alone.

What the package wrote is never checked with the package's own reader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

Shards = Sequence[Sequence[bytes]]


def feature(value: Any) -> tf.train.Feature:
  """Returns a feature of one value or a list of them, of the type that they have."""
  values = list(value) if isinstance(value, (list, tuple)) else [value]
  values = [v.encode() if isinstance(v, str) else v for v in values]
  if values and isinstance(values[0], bytes):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
  if values and isinstance(values[0], float):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(**features: Any) -> bytes:
  """Returns a serialized tf.Example; a feature of value None is left out."""
  named = {name: feature(value) for name, value in features.items() if value is not None}
  message = tf.train.Example(features=tf.train.Features(feature=named))
  return message.SerializeToString(deterministic=True)


def sequence_example(steps: int = 2, **context: Any) -> bytes:
  """Returns a serialized tf.SequenceExample with a feature list `step` and the context."""
  named = {name: feature(value) for name, value in context.items()}
  message = tf.train.SequenceExample(
    context=tf.train.Features(feature=named),
    feature_lists=tf.train.FeatureLists(
      feature_list={'step': tf.train.FeatureList(feature=[feature(i) for i in range(steps)])}
    ),
  )
  return message.SerializeToString(deterministic=True)


def labelled(counts: Mapping[Any, int], label: str = 'label') -> list[bytes]:
  """Returns records that all differ, in class order: as many of each class as counts says."""
  classes = [value for value, n in counts.items() for _ in range(n)]
  return [example(**{label: value, 'id': i}) for i, value in enumerate(classes)]


def value_of(record: bytes, name: str = 'label') -> Any:
  """Returns a feature's value, a list where there are several, None where there is none."""
  found = tf.train.Example.FromString(record).features.feature
  values = list(getattr(found[name], found[name].WhichOneof('kind')).value) if name in found else []
  return values[0] if len(values) == 1 else values or None


def in_shards(records: Sequence[bytes], n: int) -> list[Sequence[bytes]]:
  """Returns the records cut into n runs of about equal length."""
  edges = [len(records) * i // n for i in range(n + 1)]
  return [records[low:high] for low, high in pairwise(edges)]


def write_tfrecords(path: Path | str, records: Iterable[bytes]) -> str:
  """Writes a TFRecord file, compressed if it is named .gz, and returns its path."""
  Path(path).parent.mkdir(parents=True, exist_ok=True)
  compression = 'GZIP' if str(path).endswith('.gz') else ''
  with tf.io.TFRecordWriter(str(path), compression) as writer:
    for record in records:
      writer.write(record)
  return str(path)


def read_tfrecords(path: Path | str) -> list[bytes]:
  """Returns the records of a TFRecord file.

  By TensorFlow's older reader, deprecated and a hundred times faster to begin than `tf.data`.
  """
  options = tf.io.TFRecordOptions('GZIP' if str(path).endswith('.gz') else '')
  return list(tf.compat.v1.io.tf_record_iterator(str(path), options))


def write_splits(uri: Path, splits: Mapping[str, Shards], suffix: str = '.gz') -> Path:
  """Writes the folder of an `Examples` artifact: split name to its shards. Returns the folder."""
  for name, shards in splits.items():
    for i, records in enumerate(shards):
      path = uri / f'Split-{name}' / f'data_tfrecord-{i:05d}-of-{len(shards):05d}{suffix}'
      write_tfrecords(path, records)
  return uri


def split_files(uri: Path | str, split: str) -> list[Path]:
  """Returns the files of a split, sorted."""
  return sorted((Path(uri) / f'Split-{split}').iterdir())


def read_splits(uri: Path | str) -> dict[str, list[bytes]]:
  """Returns the records of each split of an artifact's folder, in file order."""
  return {
    folder.name.removeprefix('Split-'): [
      record for path in sorted(folder.iterdir()) for record in read_tfrecords(path)
    ]
    for folder in sorted(Path(uri).glob('Split-*'))
  }


def as_sets(splits: Mapping[str, Iterable[bytes]]) -> dict[str, Counter[bytes]]:
  """Returns the multiset of records of each split."""
  return {name: Counter(records) for name, records in splits.items()}


def cells(splits: Mapping[str, Iterable[bytes]], label: str = 'label') -> Counter[tuple[Any, str]]:
  """Returns the records of each (class, split)."""
  return Counter(
    (value_of(record, label), name) for name, records in splits.items() for record in records
  )


def all_bytes(folder: Path | str) -> dict[str, bytes]:
  """Returns the bytes of every file under a folder, by its relative path."""
  files = sorted(path for path in Path(folder).rglob('*') if path.is_file())
  return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def examples_artifact(
  uri: Path | str,
  splits: Iterable[str],
  custom: Mapping[str, str] | None = None,
  **properties: int,
) -> standard_artifacts.Examples:
  """Returns an `Examples` artifact that names a folder; span and version are properties."""
  artifact = standard_artifacts.Examples()
  artifact.uri = str(uri)
  artifact.split_names = artifact_utils.encode_split_names(list(splits))
  for name, number in properties.items():
    setattr(artifact, name, number)
  for name, text in (custom or {}).items():
    artifact.set_string_custom_property(name, text)
  return artifact


def reversed_features(record):
  """Returns a small tf.Example, below 128 bytes, with its features written in the other order."""
  body, parts = record[2:], []
  while body:
    length = 2 + body[1]  # an entry of the map of features: the key of field 1, and its length
    parts.append(body[:length])
    body = body[length:]
  return record[:2] + b''.join(reversed(parts))
