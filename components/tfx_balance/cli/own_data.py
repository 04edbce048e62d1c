"""Inspection of the user's own data: kind of files, features, and errors."""

import functools
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfx_balance.cli.own_contents import Contents
from tfx_balance.cli.own_images import find_images, visible, write_images
from tfx_balance.cli.own_labels import LabelCounts, check_classes, find_doubtful
from tfx_balance.cli.own_records import read_records
from tfx_balance.cli.own_tables import read_tables
from tfx_balance.errors import DataError

IMAGE_LABEL = 'label'  # feature for the name of an image's folder
KINDS = {'CSV': ('.csv', '.tsv', '.csv.gz', '.tsv.gz'), 'Parquet': ('.parquet', '.pq')}
OTHER_FOLDER = 'put TFRecord, CSV or Parquet files there, or pass another folder'
PACKED = ('.zip', '.xlsx', '.xls', '.7z', '.tar', '.tar.gz', '.tgz')


@dataclass(frozen=True)
class OwnData:
  """Data that the pipeline can read.

  Attributes:
    folder: Folder of the files, which are all of the same kind.
    file_kind: Kind of the files that ExampleGen reads, 'tfrecord' or 'csv'; images are first
      converted to TFRecords.
    notes: Lines on how the features are used, and on what is odd about the data.
    images: Whether the data are images, which have a separate model.
    rewrite: Function that writes files for ExampleGen to a folder; None if it can read the folder.
  """

  folder: Path
  file_kind: str
  notes: tuple[str, ...] = ()
  images: bool = False
  rewrite: Callable[[Path], None] | None = None

  def prepare(self, folder: Path) -> Path:
    """Returns the folder for ExampleGen: the user's, or the given one with converted files."""
    if self.rewrite is None:
      return self.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    self.rewrite(folder)
    return folder


def data_files(folder: Path) -> list[Path]:
  """Returns the files in a folder, except those whose name starts with a dot or an underscore."""
  if not folder.exists():
    raise DataError(f'{folder} does not exist; pass the folder with your files')
  if not folder.is_dir():
    raise DataError(f'{folder} is a file; pass its folder')
  entries = visible(folder)
  files = [path for path in entries if path.is_file()]
  if not files:
    inner = [path.name for path in entries]
    hint = f'it has the folders {", ".join(inner)}: pass one of these' if inner else OTHER_FOLDER
    raise DataError(f'{folder} has no data files; {hint}')
  return files


def file_kind(files: list[Path]) -> str:
  """Returns the common kind of the files: a key of KINDS, or 'TFRecord'."""
  for path in files:
    if path.name.lower().endswith(PACKED):
      raise DataError(
        f'{path} is an archive or a workbook, which is not read; unpack it, or save it as CSV'
      )
  for kind, suffixes in KINDS.items():
    of_kind = [path for path in files if path.name.lower().endswith(suffixes)]
    others = [path for path in files if path not in of_kind]
    if of_kind and others:
      raise DataError(
        f'{files[0].parent} mixes kinds of files: {of_kind[0].name} is {kind}, {others[0].name} is '
        'not; use a separate folder for each kind'
      )
    if of_kind:
      return kind
  return 'TFRecord'


def read_contents(files: list[Path], kind: str, label: str | None) -> Contents:
  """Returns the contents of files of one kind, such as CSV."""
  if kind == 'Parquet':
    from tfx_balance.cli.own_parquet import read_parquet  # needs pyarrow

    return read_parquet(files, label)
  return (read_tables if kind == 'CSV' else read_records)(files, label)


def check_features(label: str, types: Mapping[str, str], ignored: Collection[str]) -> None:
  """Raises a DataError if the label or an ignored feature is missing."""
  for argument, name in (('--label', label), *(('--ignore', name) for name in ignored)):
    if name not in types:
      listing = ', '.join(f'{name} ({kind})' for name, kind in types.items())
      raise DataError(f'no feature is called {name!r}; pass one of these as {argument}: {listing}')


def inspect(
  folder: Path, label: str, missing_label: str = 'error', ignored: Collection[str] = ()
) -> OwnData:
  """Returns the description of a folder of TFRecords or CSV files.

  Reads all labels and all cells of CSV files, which takes a fraction of the time of ExampleGen.

  Args:
    folder: Folder of the files.
    label: Name of the feature to split by and to predict.
    missing_label: Treatment of records without a label: 'error', 'own' or 'drop'.
    ignored: Names of the features that are not learned from.

  Raises:
    DataError: If the folder, its files or the label are missing, if kinds of files are mixed,
      if a file's content contradicts its name, or if no model can learn the labels.
  """
  files = data_files(folder)
  kind = file_kind(files)
  if kind == 'Parquet':
    raise DataError(
      f'{files[0]} is Parquet, which ExampleGen reads by an executor of its own only; write it as '
      'CSV or as TFRecords of tf.Example'
    )
  contents = read_contents(files, kind, label)
  types, labels = contents.types, contents.labels
  check_features(label, types, ignored)
  if set(types) == {label, *ignored}:
    raise DataError(f'there is no feature to learn from besides the label {label!r}')
  assert labels is not None  # as there is a feature of that name
  check_classes(label, labels, missing_label)
  notes = (*contents.notes(label, ignored), *find_doubtful(label, labels))
  return OwnData(folder.resolve(), kind.lower(), notes, rewrite=contents.write)


def inspect_images(folder: Path) -> OwnData:
  """Returns the description of a folder with one subfolder of images per class.

  Raises:
    DataError: If the folder has another structure, or if no model can learn the classes.
  """
  classes = find_images(folder)
  counts = LabelCounts({name: len(paths) for name, paths in classes.items()})
  check_classes(IMAGE_LABEL, counts, 'error')
  return OwnData(
    folder.resolve(),
    'tfrecord',
    tuple(find_doubtful(IMAGE_LABEL, counts)),
    images=True,
    rewrite=functools.partial(write_images, classes, IMAGE_LABEL),
  )
