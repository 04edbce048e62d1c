"""Inspection of the user's own TFRecord files of tf.Example: feature types and label counts."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_balance.cli.own_labels import LabelCounts, check_number_of_classes
from tfx_balance.errors import DataError

SAMPLE = 100  # records per file from which feature types are inferred
BATCH_RECORDS = 4096
GZIP_MARK = b'\x1f\x8b'

_WORDS = {'bytes_list': 'text', 'float_list': 'float', 'int64_list': 'int', None: 'empty'}


@dataclass(frozen=True)
class Records:
  """Content of TFRecord files.

  Attributes:
    types: Type of each feature in the first records: 'int', 'float', 'text' or 'empty'.
    labels: Label values in all records.
  """

  types: dict[str, str]
  labels: LabelCounts


def compression_of(path: Path) -> str:
  """Returns 'GZIP' or ''; the suffix of the file must agree."""
  with path.open('rb') as file:
    compression = 'GZIP' if file.read(len(GZIP_MARK)) == GZIP_MARK else ''
  if bool(compression) != (path.suffix == '.gz'):
    raise DataError(
      f'{path} is {"" if compression else "not "}compressed, which its name contradicts; '
      'use the suffix .gz for gzip files only'
    )
  return compression


def sample_types(path: Path, records: list[bytes]) -> dict[str, str]:
  """Returns the types of the features in some records of a file."""
  import tensorflow as tf

  types: dict[str, str] = {}
  for record in records:
    # The context of a SequenceExample has the same field number as the features of an Example.
    try:
      example = tf.train.SequenceExample.FromString(record)
    except Exception as error:  # protobuf's DecodeError, whose module depends on the version
      raise DataError(not_examples(path)) from error
    if example.feature_lists.feature_list:
      names = ', '.join(sorted(example.feature_lists.feature_list))
      raise DataError(
        f'{path} holds tf.SequenceExamples, with the sequences {names}; the model takes no '
        'sequences: write tf.Examples in which each feature has a fixed number of values'
      )
    for name, feature in example.context.feature.items():
      kind = feature.WhichOneof('kind')
      word = _WORDS[kind if kind and getattr(feature, kind).value else None]
      if types.get(name, 'empty') == 'empty':
        types[name] = word
  return types


def not_examples(path: Path) -> str:
  """Returns the message about a file of another kind."""
  return (
    f'{path} is not a TFRecord file of tf.Example; --examples takes a folder of those or of .csv'
  )


def read_records(files: list[Path], label: str) -> Records:
  """Returns the content of the files; reads all labels, in batches.

  Raises:
    DataError: If a file is not a TFRecord file of tf.Examples, or if the label's values are not
      classes.
  """
  types: dict[str, str] = {}
  compressions = [compression_of(path) for path in files]
  for path, compression in zip(files, compressions, strict=True):
    for name, word in sample_types(path, first_records(path, compression)).items():
      if types.get(name, 'empty') == 'empty':
        types[name] = word
  counts = LabelCounts({})
  if label in types:
    counts = count_labels(files, compressions, label)
  return Records(dict(sorted(types.items())), counts)


def first_records(path: Path, compression: str) -> list[bytes]:
  """Returns the first records of a file."""
  import tensorflow as tf

  try:
    return list(tf.data.TFRecordDataset(str(path), compression).take(SAMPLE).as_numpy_iterator())
  except tf.errors.OpError as error:
    raise DataError(not_examples(path)) from error


def count_labels(files: list[Path], compressions: list[str], label: str) -> LabelCounts:
  """Returns the label values in all records of the files."""
  import pyarrow.compute as pc
  import tensorflow as tf

  from tfx_balance.scan.strata import ClassColumn

  records: Counter[Any] = Counter()
  missing, first_missing, kind = 0, '', None
  for path, compression in zip(files, compressions, strict=True):
    column = ClassColumn(label, 'FORMAT_TF_EXAMPLE', str(path))
    column.kind = kind
    position = 0
    batches = tf.data.TFRecordDataset(str(path), compression, 8 << 20).batch(BATCH_RECORDS)
    try:
      for batch in batches.prefetch(1):
        classes = column.classes(batch, position)
        if classes.null_count and not missing:
          first = int(pc.index(pc.is_null(classes), True).as_py())
          first_missing = f'record {position + first} of {path}'
        missing += classes.null_count
        for found in pc.value_counts(classes.drop_null()).to_pylist():
          records[found['values']] += found['counts']
        check_number_of_classes(label, len(records))
        position += len(classes)
    except tf.errors.OpError as error:
      fault = error.message.split(' [Op:')[0].rpartition('}} ')[2]
      raise DataError(f'{path} is damaged ({fault}); write it again') from error
    kind = column.kind
  return LabelCounts(records, missing, first_missing)
