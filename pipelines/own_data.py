"""A person's own folder of data: what kind it is, which features it has, what is wrong with it."""

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE = 100  # records that are looked at before the pipeline starts

Value = int | float | str
Record = dict[str, Value | None]


class OwnDataError(ValueError):
  """The folder or the label cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class OwnData:
  """A folder that the pipeline can read.

  Attributes:
    folder: Where the files are; all of them are of one kind.
    file_kind: 'tfrecord' or 'csv'.
    features: Name and type of each feature in the first records, in name order.
  """

  folder: Path
  file_kind: str
  features: dict[str, str]


def data_files(folder: Path) -> list[Path]:
  """Returns the folder's files but those whose name starts with a dot or an underscore."""
  if not folder.exists():
    raise OwnDataError(f'{folder} does not exist; pass the folder with your files as --examples')
  if not folder.is_dir():
    raise OwnDataError(f'{folder} is a file; pass the folder that it is in as --examples')
  entries = sorted(path for path in folder.iterdir() if path.name[0] not in '._')
  files = [path for path in entries if path.is_file()]
  if not files:
    inner = [path.name for path in entries]
    hint = f'; it has the folders {", ".join(inner)}: pass one of these' if inner else ''
    raise OwnDataError(f'{folder} has no data files{hint}')
  return files


def file_kind(files: list[Path]) -> str:
  """Returns 'csv' or 'tfrecord', the kind that all of the files are of."""
  tables = [path for path in files if path.suffix.lower() == '.csv']
  if not tables:
    return 'tfrecord'
  others = [path for path in files if path not in tables]
  if others:
    raise OwnDataError(
      f'{files[0].parent} mixes kinds of files: {tables[0].name} is CSV, {others[0].name} is not; '
      'put files of one kind into a folder of their own'
    )
  return 'csv'


def parse_cell(cell: str) -> Value | None:
  """Returns the int, float or text in a CSV cell, None when it is empty."""
  for parse in (int, float):
    try:
      return parse(cell)
    except ValueError:
      continue
  return cell or None


def read_csv_rows(path: Path) -> list[Record]:
  """Returns the first rows of a CSV file with a header."""
  with path.open(newline='', encoding='utf-8-sig') as file:
    rows = csv.DictReader(file)
    first = [
      {name: parse_cell(cell or '') for name, cell in row.items() if name is not None}
      for row in itertools.islice(rows, SAMPLE)
    ]
  if not first:
    raise OwnDataError(f'{path} has no rows; it needs a line of column names, then one a record')
  return first


def read_tf_examples(path: Path) -> list[Record]:
  """Returns the first records of a TFRecord file, each feature by its first value."""
  import tensorflow as tf

  compression = 'GZIP' if path.read_bytes()[:2] == b'\x1f\x8b' else ''
  if bool(compression) != (path.suffix == '.gz'):
    raise OwnDataError(
      f'{path} is {"" if compression else "not "}compressed, and its name says otherwise; '
      'end the names of gzip files, and only those, in .gz'
    )
  records: list[Record] = []
  try:
    for serialized in tf.data.TFRecordDataset(str(path), compression).take(SAMPLE):
      example = tf.train.Example.FromString(serialized.numpy())
      records.append({n: first_value(f) for n, f in example.features.feature.items()})
  except Exception as error:
    raise OwnDataError(
      f'{path} is not a TFRecord file of tf.Example; --examples takes a folder of those or of .csv'
    ) from error
  return records


def first_value(feature: Any) -> Value | None:
  """Returns the first value of a tf.train.Feature, text where its bytes are text."""
  kind = feature.WhichOneof('kind')
  values = getattr(feature, kind).value if kind else []
  if not values:
    return None
  value = values[0]
  return value.decode('utf-8', 'backslashreplace') if isinstance(value, bytes) else value


def feature_types(records: list[Record]) -> dict[str, str]:
  """Returns 'int', 'float' or 'text' by feature name; 'empty' for one that is always missing."""
  types: dict[str, str] = {}
  for name in sorted({name for record in records for name in record}):
    seen = {type(record[name]) for record in records if record.get(name) is not None}
    types[name] = next(
      (word for kind, word in ((str, 'text'), (float, 'float'), (int, 'int')) if kind in seen),
      'empty',
    )
  return types


def check_label(label: str, records: list[Record], types: dict[str, str]) -> None:
  """Raises an OwnDataError if no feature has that name, or if its values are no classes."""
  if label not in types:
    listing = ', '.join(f'{name} ({kind})' for name, kind in types.items())
    raise OwnDataError(f'no feature is called {label!r}; pass one of these as --label: {listing}')
  for record in records:
    value = record.get(label)
    if isinstance(value, float) and not value.is_integer():
      raise OwnDataError(
        f'the label {label!r} has the value {value:g}, which is no class; '
        'a label is a text or a whole number: pass another one, or put it into bins first'
      )


def inspect(folder: Path, label: str) -> OwnData:
  """Returns what the pipeline needs to know about the folder, from its first records.

  Raises:
    OwnDataError: If there is no such folder, no file or no such label, if kinds of files are
      mixed, or if a file is not what its name says.
  """
  files = data_files(folder)
  kind = file_kind(files)
  read = read_csv_rows if kind == 'csv' else read_tf_examples
  samples = [read(path) for path in files]
  records = [record for sample in samples for record in sample]
  if not records:
    raise OwnDataError(f'the files in {folder} hold no records')
  types = feature_types(records)
  check_label(label, records, types)
  if len(types) < 2:
    raise OwnDataError(f'the label {label!r} is the only feature; there is nothing to learn from')
  return OwnData(folder.resolve(), kind, types)
