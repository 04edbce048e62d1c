"""`tfx-balance split`: splits files by class, without a pipeline.

Tables and images are split by `stratified_indices`, TFRecords by StratifiedSplitter.
"""

import argparse
import contextlib
import os
import re
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance import stratified_indices
from tfx_balance.cli.coded_cells import CodedColumn, TimeColumn
from tfx_balance.cli.csv_rows import CsvFiles
from tfx_balance.cli.inspection import has_image_folders
from tfx_balance.cli.own_data import IMAGE_LABEL, data_files, file_kind
from tfx_balance.cli.own_images import find_images
from tfx_balance.cli.own_labels import add_missing_label, check_number_of_classes
from tfx_balance.cli.own_records import compression_of
from tfx_balance.cli.plain_tables import print_table
from tfx_balance.cli.progress import Progress
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.labels import distinct_codes
from tfx_balance.report.run_view import Findings, SplitCounts, Stage, merge
from tfx_balance.report.tables import class_tables, stage_table

ALL = 'all'  # the split of all input files
IN_MEMORY = ('--runner=FnApiRunner', '--direct_running_mode=in_memory')
SPLITS = {'train': 8, 'eval': 1, 'test': 1}
FOLDED_SPLITS = {'train': 1}
NO_LABEL = 'no label'  # class of rows without one, which are a class of their own
_ARGUMENT = re.compile(
  r'\b(at_least|folds|group_by|labels|order_by|seed|splits|stratify_by)'
  r"(?:\['([^']*)'\])?=([-\w{]?)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  add = parser.add_argument
  text = 'CSV, Parquet or TFRecord files, folders of them, or a folder of image folders'
  add('paths', type=Path, nargs='+', metavar='PATH', help=text)
  columns = parser.add_mutually_exclusive_group()
  columns.add_argument('--label', metavar='NAME', help='column or feature that holds the class')
  columns.add_argument(
    '--stratify-by', metavar='NAME,...', help='columns whose combinations are the classes'
  )
  text = 'weights of the splits (default: train=8,eval=1,test=1; with --folds, folds alone)'
  add('--splits', type=parse_splits, metavar='NAME=WEIGHT,...', help=text)
  add('--folds', type=int, default=0, metavar='N', help='divide the split train into N folds')
  text = 'least records of each class in each split, or in those named'
  add('--at-least', type=parse_at_least, metavar='N|NAME=N,...', help=text)
  add('--seed', type=int, default=0, metavar='N', help='seed of the choice of records (default: 0)')
  add('--output', type=Path, default='splits', metavar='DIR', help='new folder (default: splits)')
  add('--group-by', metavar='NAME,...', help='columns whose equal values stay in one split')
  add('--order-by', metavar='NAME', help='column that holds the time: earlier splits are earlier')
  add_missing_label(parser)


def parse_splits(text: str) -> dict[str, int | float]:
  """Returns weights by the name of the split.

  >>> parse_splits('train=8,test=0.5')
  {'train': 8, 'test': 0.5}
  """
  try:
    return {name: int(n) if n.isdigit() else float(n) for name, n in _by_name(text).items()}
  except ValueError as error:
    raise argparse.ArgumentTypeError(
      f'{text!r} is not NAME=WEIGHT,...; write it as train=8,eval=1,test=1'
    ) from error


def parse_at_least(text: str) -> int | dict[str, Any]:
  """Returns a number, or numbers by split.

  >>> parse_at_least('1'), parse_at_least('test=5')
  (1, {'test': 5})
  """
  try:
    return int(text) if '=' not in text else {name: int(n) for name, n in _by_name(text).items()}
  except ValueError as error:
    raise argparse.ArgumentTypeError(
      f'{text!r} is neither N nor NAME=N,... of whole numbers; write it as 1 or test=5'
    ) from error


def _by_name(text: str) -> dict[str, str]:
  """Returns the values of NAME=VALUE,...; raises a ValueError for another form."""
  pairs = [map(str.strip, part.split('=')) for part in text.split(',')]
  return named_once(text, ((name, value) for name, value in pairs))


def named_once(text: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
  """Returns the values of a text by name; refuses a name that it has twice."""
  found: dict[str, Any] = {}
  for name, value in pairs:
    if name in found:
      raise argparse.ArgumentTypeError(f'{text!r} names {name!r} twice; name it once')
    found[name] = value
  return found


def as_options(message: str) -> str:
  """Returns a message with the command's options in place of the arguments of functions.

  >>> as_options("at_least['test']=9 is more than group_by= allows; leave at_least= out")
  '--at-least test=9 is more than --group-by allows; leave --at-least out'
  """
  return _ARGUMENT.sub(_option, message)


def _option(match: re.Match[str]) -> str:
  name, key, value = match.groups('')
  option = 'label' if name == 'labels' else name.replace('_', '-')
  return f'--{option} {f"{key}={value}" if key else value}'.rstrip()


def run(options: argparse.Namespace) -> None:
  """Writes the splits, and prints the records of each class in each of them.

  Raises:
    ConfigError: If an argument breaks a rule; nothing has been written.
    DataError: If the data does.
  """
  try:
    split_paths(options)
  except (ConfigError, DataError) as error:
    raise type(error)(as_options(str(error))) from error


def split_paths(options: argparse.Namespace) -> None:
  """Writes the splits as `run` does, with errors that name arguments of functions."""
  if options.splits is None:
    options.splits = FOLDED_SPLITS if options.folds else SPLITS
  if options.at_least is not None and options.order_by:
    raise ConfigError(
      'at_least= and order_by= do not combine: the times alone decide what a split has of each '
      'class; leave one of them out'
    )
  for path in options.paths:
    if not path.exists():
      raise ConfigError(f'{path} does not exist; pass files, or a folder of them')
  output = options.output.resolve()
  check_new(output)
  if has_image_folders(options.paths[0]):
    split_images(options, output)
    return
  if not (options.label or options.stratify_by):
    raise ConfigError(
      '--label is not given; pass the column that holds the class, which tfx-balance inspect shows'
    )
  files = input_files(options.paths)
  kind = file_kind(files)
  if kind == 'TFRecord':
    split_records(options, files, output)
    return
  split_tables(options, files, kind, output)


def split_images(options: argparse.Namespace, output: Path) -> None:
  """Splits a folder of image folders: hard links where the file system has them, else copies."""
  if len(options.paths) > 1 or options.group_by or options.order_by or options.stratify_by:
    raise ConfigError(
      'images have no columns for --group-by, --order-by and --stratify-by, and are one folder; '
      'leave these out'
    )
  folder = options.paths[0]
  classes = find_images(folder)
  names = [name for name, paths in classes.items() for _ in paths]
  indices = draw(options, np.array([name.encode() for name in names]))
  paths = [path for paths in classes.values() for path in paths]
  with whole_folder(output) as new, Progress('writing', len(paths)) as progress:
    for split, rows in indices.items():
      for name in classes:  # a class that a split has none of keeps its number
        (new / split / name).mkdir(parents=True)
      for row in rows.tolist():
        link(paths[row], new / split / names[row] / paths[row].name)
        progress.add(1)
  _, codes = np.unique(names, return_inverse=True)
  show(options.label or IMAGE_LABEL, sorted(classes), codes, indices, output)


def link(path: Path, new: Path) -> None:
  """Makes a hard link to a file, or a copy where there is none across or on the file system."""
  try:
    os.link(path.resolve(), new)
  except OSError:
    shutil.copy2(path, new)


def split_tables(
  options: argparse.Namespace, files: Sequence[Path], kind: str, output: Path
) -> None:
  """Splits rows of CSV or Parquet files, which are written in one pass in their order."""
  if kind == 'CSV':
    tables: Any = CsvFiles.open(files)
  else:
    from tfx_balance.cli.parquet_rows import ParquetFiles  # needs pyarrow

    tables = ParquetFiles.open(files)
  labels = [CodedColumn(name) for name in _names(options.stratify_by or options.label)]
  groups = [CodedColumn(name) for name in _names(options.group_by)]
  times = [TimeColumn(options.order_by)] if options.order_by else []
  columns: list[CodedColumn | TimeColumn] = [*labels, *groups, *times]
  for column in columns:
    if column.name not in tables.names:
      raise ConfigError(
        f'{column.name!r} is not a column of {files[0]}; pass one of {", ".join(tables.names)}'
      )
  size = sum(path.stat().st_size for path in files)
  with Progress('reading', size) as progress:
    for parts in tables.read([column.name for column in columns], progress):
      for column, cells in zip(columns, parts, strict=True):
        column.add(cells)
  if not len(labels[0].cells):
    raise DataError(f'{files[0]} has no rows; pass files that have some')
  names, codes, kept = classes_of(labels, options.missing_label)
  if not kept.any():
    raise DataError(f'{files[0]} has no rows with a label; pass files that have some')
  arrays: dict[str, Any] = {}
  if groups:
    arrays['group_by'] = {column.name: column.cells[kept] for column in groups}
    for column in groups:
      if column.missing()[column.cells[kept]].any():
        raise DataError(
          f'the group {column.name!r} is missing in some rows; fill it in, or leave them out'
        )
      column.codes = {}  # which may take more than all else, and are not needed any more
  if times:
    arrays['order_by'] = times[0].cells[kept]
  indices = draw(options, np.array([name.encode() for name in names])[codes[kept]], **arrays)
  rows = np.flatnonzero(kept)
  split_of = np.full(len(codes), -1, np.int16)
  for i, index in enumerate(indices.values()):
    split_of[rows[index]] = i
  del rows, arrays
  with whole_folder(output) as new, Progress('writing', size) as progress:
    tables.write(split_of, [new / f'{split}{tables.suffix}' for split in indices], progress)
  label = options.stratify_by or options.label
  show(label, names, codes[kept], indices, output)


def classes_of(
  columns: Sequence[CodedColumn], missing_label: str
) -> tuple[list[str], npt.NDArray[Any], npt.NDArray[np.bool_]]:
  """Returns the names of classes, the number of that of each row, and which rows are kept.

  Raises:
    DataError: If rows have no label, which is neither a class nor left out.
  """
  none_of = np.zeros(len(columns[0].cells), bool)
  names, codes = [''], np.zeros(len(none_of), np.uint8)
  for column in columns:
    missing, cells = column.missing(), column.cells
    gaps = missing[cells] if len(missing) else none_of
    if gaps.any() and missing_label == 'error':
      raise DataError(
        f'the label {column.name!r} is missing in {np.count_nonzero(gaps):,} of {len(gaps):,} '
        f'rows, the first of them row {int(np.argmax(gaps)) + 1} after the header; fill it in, or '
        'pass --missing-label drop or own'
      )
    none_of |= gaps
    check_number_of_classes(column.name, len(column.codes))
    own = [NO_LABEL if gap else v for v, gap in zip(column.codes, missing, strict=True)]
    distinct, codes = distinct_codes(codes.astype(np.int64) * len(own) + cells)
    joined = [(names[at // len(own)], own[at % len(own)]) for at in distinct.tolist()]
    names = [', '.join(filter(None, each)) for each in joined]
  kept = ~none_of if missing_label == 'drop' else np.ones(len(none_of), bool)
  return names, codes, kept


def draw(
  options: argparse.Namespace, labels: npt.NDArray[np.bytes_], **arrays: Any
) -> dict[str, npt.NDArray[np.int64]]:
  """Returns the rows of each split, and prints warnings.

  Raises:
    ConfigError: If an argument breaks a rule.
  """
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    found = stratified_indices(
      labels, options.splits, options.seed, folds=options.folds, at_least=options.at_least, **arrays
    )
  for warning in caught:
    print(f'! {as_options(str(warning.message))}')
  return found


def check_new(output: Path) -> None:
  """Raises a ConfigError if there is something at the path of the output."""
  if output.exists() and (not output.is_dir() or any(output.iterdir())):
    raise ConfigError(f'{output} exists and is not an empty folder; pass another --output')


@contextlib.contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
  """Gives a new folder, which gets the name of the output when the block ends without error.

  Raises:
    ConfigError: If the output has been made meanwhile.
  """
  output.parent.mkdir(parents=True, exist_ok=True)
  new = output.parent / f'.{output.name}-{uuid.uuid4().hex}'
  new.mkdir()
  try:
    yield new
    try:
      new.rename(output)
    except OSError as error:
      raise ConfigError(f'{output} exists and is not empty; pass another --output') from error
  except BaseException:
    shutil.rmtree(new, ignore_errors=True)
    raise


def show(
  label: str,
  names: Sequence[str],
  codes: npt.NDArray[Any],
  indices: Mapping[str, npt.NDArray[np.int64]],
  output: Path,
) -> None:
  """Prints the records of each class in each split."""
  classes = [ClassValue('bytes', name.encode()) for name in names]
  splits = []
  for split, rows in indices.items():
    counts = np.bincount(codes[rows], minlength=len(names)).tolist()
    splits.append(SplitCounts(split, dict(zip(classes, counts, strict=True))))
  view = merge([Findings(label, counted=(Stage('split', 'split', tuple(splits)),))])
  for table in class_tables(view).shown:
    print_table(table)
  print(f'\nThe splits are in {output}')


def _names(text: str | None) -> list[str]:
  return text.split(',') if text else []


def split_records(options: argparse.Namespace, files: Sequence[Path], output: Path) -> None:
  """Splits TFRecord files by StratifiedSplitter."""
  # Imported here because it takes ten seconds, and a hundred the first time on a machine: invalid
  # arguments are reported before.
  if sys.stderr.isatty():
    print('Loading TFX, which takes a minute or two the first time', file=sys.stderr, flush=True)
  from tfx.types import artifact_utils, channel_utils, standard_artifacts

  from tfx_balance import StratifiedSplitter
  from tfx_balance.report.sources import read_run

  with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / f'Split-{ALL}').mkdir()
    for i, path in enumerate(files):  # by number, as files of two folders may have one name
      (Path(folder) / f'Split-{ALL}' / f'{i:05d}-{path.name}').symlink_to(path.resolve())
    examples, splits = standard_artifacts.Examples(), standard_artifacts.Examples()
    examples.uri, examples.split_names = folder, artifact_utils.encode_split_names([ALL])
    splits.uri = str(output)
    component = StratifiedSplitter(
      examples=channel_utils.as_channel([examples]),
      stratify_by=_names(options.stratify_by or options.label),
      splits=options.splits,
      seed=options.seed,
      missing_label=options.missing_label,
      group_by=options.group_by and options.group_by.split(','),
      order_by=options.order_by,
      folds=options.folds,
      at_least=options.at_least,
    )
    executor = component.executor_spec.executor_class
    context = executor.Context(beam_pipeline_args=list(IN_MEMORY), tmp_dir=folder, unique_id='1')
    properties = dict(component.exec_properties)
    executor(context).Do({'input_examples': [examples]}, {'examples': [splits]}, properties)
  view = read_run([str(output)])
  for table in (stage_table(view), *class_tables(view).shown):
    print_table(table)
  for stage in view.stages:
    for warning in stage.warnings:
      print(f'! {as_options(warning)}')
  print(f'\nThe splits are in {output}')


def input_files(paths: Sequence[Path]) -> list[Path]:
  """Returns the files at paths of files and folders, which are of one kind."""
  files = [file for path in paths for file in ([path] if path.is_file() else data_files(path))]
  kind = file_kind(files)
  if kind == 'TFRecord' and len({compression_of(file) for file in files}) > 1:
    raise ConfigError('some of the files are compressed and others not; compress all or none')
  return files
