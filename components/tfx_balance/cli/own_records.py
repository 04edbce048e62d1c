"""Inspection of the user's own TFRecord files of tf.Example: features and label counts."""

from collections import Counter
from pathlib import Path
from typing import Any

from tfx_balance.cli.own_contents import Contents, OwnColumn
from tfx_balance.cli.own_labels import LabelCounts, check_number_of_classes
from tfx_balance.errors import DataError

SAMPLE = 100  # records per file from which features are known
BATCH_RECORDS = 4096
GZIP_MARK = b'\x1f\x8b'

_KINDS = {'bytes_list': 'text', 'float_list': 'float', 'int64_list': 'int'}


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


def add_sample(columns: dict[str, OwnColumn], path: Path, compression: str) -> None:
  """Counts the first values of the features in the first records of a file."""
  import tensorflow as tf

  records = tf.data.TFRecordDataset(str(path), compression).take(SAMPLE)
  try:
    sample = list(records.as_numpy_iterator())
  except tf.errors.OpError as error:
    raise DataError(not_examples(path)) from error
  for record in sample:
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
      values = getattr(feature, kind).value if kind else ()
      column = columns.setdefault(name, OwnColumn(name))
      column.count(_KINDS[kind] if values else 'missing', next(iter(values), None))


def not_examples(path: Path) -> str:
  """Returns the message about a file of another kind."""
  return (
    f'{path} is not a TFRecord file of tf.Example; pass those, CSV files called .csv or .tsv, or '
    'Parquet files called .parquet'
  )


def read_records(files: list[Path], label: str | None) -> Contents:
  """Returns the content of the files: all labels, and the features of the first records of each.

  Raises:
    DataError: If a file is not a TFRecord file of tf.Examples, or if the label's values are not
      classes.
  """
  columns: dict[str, OwnColumn] = {}
  compressions = [compression_of(path) for path in files]
  for path, compression in zip(files, compressions, strict=True):
    add_sample(columns, path, compression)
  if not columns:
    raise DataError(f'the files in {files[0].parent} hold no records')
  features = [columns[name] for name in sorted(columns)]
  if label is None or label not in columns:
    return Contents(features, None, sampled=True)
  labels = count_labels(files, compressions, label)
  return Contents(features, labels, labels.missing + sum(labels.records.values()), sampled=True)


def count_labels(files: list[Path], compressions: list[str], label: str) -> LabelCounts:
  """Returns the label values in all records of the files."""
  import pyarrow.compute as pc
  import tensorflow as tf

  from tfx_balance.scan.record_reader import RecordReader
  from tfx_balance.scan.strata import FeatureReader

  records: Counter[Any] = Counter()
  missing, first_missing, kind = 0, '', None
  for path, compression in zip(files, compressions, strict=True):
    column = FeatureReader(label, str(path))
    reader = RecordReader([label], 'FORMAT_TF_EXAMPLE', str(path))
    reader.kinds[label] = kind
    position = 0
    batches = tf.data.TFRecordDataset(str(path), compression, 8 << 20).batch(BATCH_RECORDS)
    try:
      for batch in batches.prefetch(1):
        classes = column.classes(reader.parse(batch), position)
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
    kind = reader.kinds[label]
  return LabelCounts(records, missing, first_missing)
