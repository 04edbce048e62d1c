"""`tfx-balance inspect`: the classes of files, how each column was read, and what is odd."""

import argparse
from collections.abc import Collection
from pathlib import Path

from tfx_balance.cli import own_data, own_images, own_labels
from tfx_balance.cli.own_contents import WORDS, Contents
from tfx_balance.cli.plain_tables import print_table
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report.run_view import WHOLE, Findings, SplitCounts, Stage, merge
from tfx_balance.report.tables import Table, class_tables, evidence_table, head, number, words

MOST_CLASSES = 100  # values of a column that is proposed as the label


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  add = parser.add_argument
  add('path', type=Path, metavar='PATH', help='file, folder of files, or folder of image folders')
  add('--label', metavar='NAME', help='column or feature that holds the class')
  add('--ignore', action='append', default=[], metavar='NAME', help='column to leave out')
  own_labels.add_missing_label(parser)


def run(options: argparse.Namespace) -> None:
  """Prints the tables of columns and classes, and a line for each thing that is odd.

  Raises:
    DataError: If the data cannot be read, or its classes cannot be learned; the latter after all
      tables are printed.
  """
  path, label = options.path, options.label
  if not path.exists():
    raise DataError(f'{path} does not exist; pass a file, or a folder of files')
  files = [path] if path.is_file() else []
  if not files and has_image_folders(path):
    classes = own_images.find_images(path)
    counts = own_labels.LabelCounts({name: len(paths) for name, paths in classes.items()})
    print(f'{path}: images, {sum(counts.records.values()):,} files in {len(classes):,} folders')
    show_classes(label or own_data.IMAGE_LABEL, counts, options.missing_label)
    return
  files = files or own_data.data_files(path)
  kind = own_data.file_kind(files)
  contents = own_data.read_contents(files, kind, label)
  if label is not None:
    own_data.check_features(label, contents.types, options.ignore)
  size = '' if contents.records is None else f', {contents.records:,} records'
  print(f'{path}: {kind}, {len(files):,} file{"s" if len(files) > 1 else ""}{size}')
  show_columns(contents, label, options.ignore)
  if contents.labels is not None and label is not None:
    show_classes(label, contents.labels, options.missing_label)


def has_image_folders(folder: Path) -> bool:
  """Returns whether that is a folder, and a folder in it holds an image."""
  inner = [path for path in own_images.visible(folder) if path.is_dir()] if folder.is_dir() else []
  return any(own_images.is_image(path) for each in inner for path in own_images.visible(each))


def show_columns(contents: Contents, label: str | None, ignored: Collection[str]) -> None:
  """Prints the type that each column was read as, and oddities of columns."""
  rows = []
  for column in contents.columns:
    use = 'ignored' if column.name in ignored else WORDS[column.type]
    more = '+' if contents.sampled or len(column.cells) > column.most else ''
    texts = column.name, 'the label' if column.name == label else use, column.type
    numbers = f'{min(len(column.cells), column.most):,}{more}', f'{column.gaps:,}'
    rows.append((*map(words, texts), *map(number, numbers)))
  note = 'Values and gaps are those of the first records of each file.' if contents.sampled else ''
  names = head('column', 'read as', 'type', 'values', 'gaps', numbers=2)
  print_table(Table('columns', 'Columns', names, tuple(rows), note))
  few = [c for c in contents.columns if 1 < len(c.cells) <= MOST_CLASSES and c.type != 'float']
  few.sort(key=lambda column: len(column.cells))
  named = own_labels.name_some([f'{column.name} ({len(column.cells)} values)' for column in few])
  if label is None:
    print(f'To count classes, pass a column as --label: {named or "none has few values"}')
  for line in contents.notes(label, ignored):
    print(line)


def show_classes(label: str, counts: own_labels.LabelCounts, missing_label: str) -> None:
  """Prints the records of each class, and what is odd about them.

  Raises:
    DataError: If no model can learn them.
  """
  tally = {class_value(value): n for value, n in counts.records.items()}
  split = SplitCounts(WHOLE, tally, unlabelled=counts.missing)
  view = merge([Findings(label, counted=(Stage('records', 'raw', (split,)),))])
  for table in class_tables(view).shown:
    print_table(table)
  tenth = {value: n // 10 for value, n in tally.items()}
  parts = SplitCounts('all', tally), SplitCounts('a tenth', tenth)
  evidence = evidence_table(merge([Findings(label, counted=(Stage('parts', 'split', parts),))]))
  if evidence is not None:  # as where no record has a label
    print_table(evidence)
  if counts.missing:
    print(f'{counts.missing:,} records have no label')
  for line in own_labels.find_doubtful(label, counts):
    print(line)
  own_labels.check_classes(label, counts, missing_label)


def class_value(value: str | bytes | int | float) -> ClassValue:
  """Returns the class that a value of a label is."""
  if isinstance(value, str | bytes):
    return ClassValue('bytes', value.encode() if isinstance(value, str) else value)
  return ClassValue('int', int(value))
