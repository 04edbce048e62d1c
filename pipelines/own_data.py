"""A person's own folder of data: what kind it is, which features it has, what is wrong with it."""

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.own_images import find_images, write_images
from pipelines.own_labels import LabelCounts, OwnDataError, check_classes
from pipelines.own_records import read_records
from pipelines.own_tables import read_tables, write_plain

IMAGE_LABEL = 'label'  # the feature that the name of an image's folder goes into


@dataclass(frozen=True)
class OwnData:
  """Data that the pipeline can read.

  Attributes:
    folder: Where the files are; all of them are of one kind.
    file_kind: 'tfrecord' or 'csv', of what ExampleGen reads; images are written as TFRecords first.
    features: Name and type of each feature in the first records, in name order.
    images: Whether these are images, whose model is another one.
    rewrite: Writes what ExampleGen can read into a folder; None where it can read the files.
  """

  folder: Path
  file_kind: str
  features: dict[str, str]
  images: bool = False
  rewrite: Callable[[Path], None] | None = None

  def prepare(self, folder: Path) -> Path:
    """Returns the folder for ExampleGen: the person's own, or the given one, written anew."""
    if self.rewrite is None:
      return self.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    self.rewrite(folder)
    return folder


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


def check_features(label: str, types: dict[str, str]) -> None:
  """Raises an OwnDataError if no feature is the label, or no other one is there to learn from."""
  if label not in types:
    listing = ', '.join(f'{name} ({kind})' for name, kind in types.items())
    raise OwnDataError(f'no feature is called {label!r}; pass one of these as --label: {listing}')
  if len(types) < 2:
    raise OwnDataError(f'the label {label!r} is the only feature; there is nothing to learn from')


def inspect(folder: Path, label: str, missing_label: str = 'error') -> OwnData:
  """Returns what the pipeline needs to know about a folder of TFRecords or CSV files.

  Reads each label, which takes a small part of the time of ExampleGen, and the first records.

  Args:
    folder: That holds the files.
    label: The feature to split by and to predict.
    missing_label: What becomes of records without a label: 'error', 'own_stratum' or 'drop'.

  Raises:
    OwnDataError: If there is no such folder, no file or no such label, if kinds of files are mixed,
      if a file is not what its name says, or if no model can learn the labels.
  """
  files = data_files(folder)
  kind = file_kind(files)
  rewrite = None
  if kind == 'csv':
    tables = read_tables(files, label)
    types, labels = dict(sorted(tables.types.items())), tables.labels
    if not tables.header.plain:
      rewrite = functools.partial(write_plain, files, tables.header)
  else:
    records = read_records(files, label)
    types, labels = records.types, records.labels
    if not types:
      raise OwnDataError(f'the files in {folder} hold no records')
  check_features(label, types)
  check_classes(label, labels, missing_label)
  return OwnData(folder.resolve(), kind, types, rewrite=rewrite)


def inspect_images(folder: Path) -> OwnData:
  """Returns what the pipeline needs to know about a folder with a folder of images for each class.

  Raises:
    OwnDataError: If that is not what it is, or if no model can learn the classes.
  """
  classes = find_images(folder)
  counts = LabelCounts({name: len(paths) for name, paths in classes.items()})
  check_classes(IMAGE_LABEL, counts, 'error')
  return OwnData(
    folder.resolve(),
    'tfrecord',
    {'image': 'image', IMAGE_LABEL: 'text'},
    images=True,
    rewrite=functools.partial(write_images, classes, IMAGE_LABEL),
  )
