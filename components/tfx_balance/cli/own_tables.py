"""Inspection of the user's own CSV files, which are written anew for CsvExampleGen."""

import csv
import functools
import gzip
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfx_balance.cli.own_columns import MOST_VALUES, Column, Contents, cell_kind, check_same_columns
from tfx_balance.cli.own_images import batched
from tfx_balance.cli.own_labels import LabelCounts, check_number_of_classes, is_missing
from tfx_balance.cli.own_records import compression_of
from tfx_balance.cli.progress import Progress
from tfx_balance.errors import DataError

UTF_8_MARK = b'\xef\xbb\xbf'
UTF_16_MARKS = (b'\xff\xfe', b'\xfe\xff')
ROWS = 4096  # in memory at a time


@contextmanager
def opened(path: Path) -> Iterator[Iterator[bytes]]:
  """Gives the lines of a plain or gzip file."""
  try:
    with gzip.open(path) if compression_of(path) else path.open('rb') as file:
      yield iter(file)
  except (EOFError, gzip.BadGzipFile, zlib.error) as error:
    raise DataError(f'{path} is damaged ({error}); write it again') from error


def read_header(path: Path, label: str | None) -> tuple[list[str], str]:
  """Returns the names of the columns, and the delimiter: with the label, or else most columns.

  A column without a name is named by its position.
  """
  with opened(path) as lines:
    line = decode(next(lines, b'').removeprefix(UTF_8_MARK), path, 1).rstrip('\r\n')
  if '\r' in line:
    raise DataError(
      f'{path} ends its lines with CR alone; convert it, for example with: '
      "tr '\\r' '\\n' < old.csv > new.csv"
    )
  if not line.strip():
    raise DataError(
      f'{path} has an empty first line; begin it with a line of column names, separated by commas'
    )
  try:
    rows = {d: [name.strip() for name in next(csv.reader([line], delimiter=d))] for d in ',;\t'}
  except csv.Error:
    rows = {',': []}
  delimiter = max(rows, key=lambda d: (label in rows[d], len(rows[d])))
  names = [name or f'column {i}' for i, name in enumerate(rows[delimiter], start=1)]
  if label is not None and label not in names:
    raise DataError(
      f'{path} has no column {label!r}, for it begins with {line[:200]!r}; pass one of these names '
      'as --label, or if they are not names, add a line of column names, separated by commas'
    )
  for name, times in Counter(names).items():
    if times > 1:
      raise DataError(f'{path} has {times} columns called {name!r}; give each a unique name')
    if ',' in name:
      raise DataError(f'{path} has a column called {name!r}; give it a name without a comma')
  return names, delimiter


def decode(line: bytes, path: Path, number: int) -> str:
  """Returns the text of a line, which must be UTF-8."""
  try:
    return line.decode('utf-8')
  except UnicodeDecodeError as error:
    encoding = 'UTF-16' if number == 1 and line.startswith(UTF_16_MARKS) else 'LATIN1'
    raise DataError(
      f'line {number} of {path} is not UTF-8; convert it from its encoding, for example '
      f'with: iconv -f {encoding} -t UTF-8 {path.name} > new.csv'
    ) from error


def read_rows(path: Path, delimiter: str, n_columns: int) -> Iterator[tuple[int, list[str]]]:
  """Yields the number of a row's last line, and its cells; blank lines are skipped."""
  with opened(path) as raw:
    lines = (decode(line, path, number) for number, line in enumerate(raw, start=1))
    next(lines)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
      for row in filter(None, reader):
        if len(row) != n_columns:
          raise csv.Error(f'{len(row)} cells, and the header {n_columns}')
        yield reader.line_num + 1, row
    except csv.Error as error:
      raise DataError(
        f'line {reader.line_num + 1} of {path} is not a row of CSV: {error}; give each row as many '
        f'cells, quote texts that contain {delimiter!r} or line breaks, and close each quote'
      ) from error


def to_classes(label: str, places: Mapping[str, str]) -> dict[str, str]:
  """Returns the class of each cell of the label, '' if it is missing.

  Args:
    label: Name of the column.
    places: First place of each cell, for messages.

  Raises:
    DataError: If all cells are numbers, and one is fractional or not written plainly, so that
      CsvExampleGen takes it for another cell's class.
  """
  if any(cell_kind(cell) in ('text', 'comma') for cell in places):
    return {cell: cell if cell.strip() else '' for cell in places}
  cells: dict[str, str] = {}
  for cell, place in places.items():
    if cell_kind(cell) == 'missing':
      continue
    if not float(cell).is_integer():
      raise DataError(
        f'the label {label!r} has the value {cell} {place}, which is not a class; '
        'a label is a text or an integer: pass another one, or bin it first'
      )
    name = str(int(cell if cell_kind(cell) == 'int' else float(cell)))
    if cell not in (name, f'{name}.0') or cells.setdefault(name, cell) != cell:
      raise DataError(
        f'the label {label!r} has the value {cell!r} {place}, which CsvExampleGen reads as the '
        f'number {name}; write that class as {name} everywhere, or make all labels texts, such as '
        f'{"class " + cell!r}'
      )
  return {cell: '' for cell in places} | {cell: name for name, cell in cells.items()}


def read_tables(files: list[Path], label: str | None) -> Contents:
  """Returns the content of the files; reads all rows.

  Args:
    files: CSV files with the same columns.
    label: Name of the column that holds the class; None if it is not known.

  Raises:
    DataError: If a file is not CSV, if CsvExampleGen would misread it, if headers differ, or if
      the label's values are not classes.
  """
  headers = {path: read_header(path, label) for path in files}
  names = headers[files[0]][0]
  for path, (others, _) in headers.items():
    check_same_columns(files[0], names, path, others)
  columns = [Column(name, math.inf if name == label else MOST_VALUES) for name in names]
  at = None if label is None else names.index(label)
  places: dict[str, str] = {}
  with Progress('reading', sum(path.stat().st_size for path in files)) as progress:
    for path, (_, delimiter) in headers.items():
      for rows in batched(read_rows(path, delimiter, len(names)), ROWS):
        for column, cells in zip(columns, zip(*(row for _, row in rows), strict=True), strict=True):
          column.add(cells)
          progress.add(sum(map(len, cells)) + len(cells))  # each with what separates it
        if at is not None and label is not None:
          check_number_of_classes(label, len(columns[at].cells))
          for line, row in rows:
            places.setdefault(row[at], f'in line {line} of {path}')
  n_rows = columns[0].kinds.total()
  if not n_rows:
    raise DataError(
      f'{files[0]} has no rows; it needs a line of column names, then one line per record'
    )
  if at is None or label is None:
    return Contents(columns, None, n_rows)
  classes = to_classes(label, places)
  records: Counter[str] = Counter()
  for cell, times in columns[at].cells.items():
    records[classes[cell]] += times
  first_missing = next((place for cell, place in places.items() if not classes[cell]), '')
  labels = LabelCounts(records, records.pop('', 0), first_missing)
  write = functools.partial(write_tables, headers, columns, at, classes)
  return Contents(columns, labels, n_rows, write=write)


def write_tables(
  headers: Mapping[Path, tuple[list[str], str]],
  columns: Sequence[Column],
  label: int,
  classes: Mapping[str, str],
  folder: Path,
) -> None:
  """Writes the rows to a folder for CsvExampleGen, which knows only commas and empty cells.

  Missing values become empty cells, except words in columns of text, which are categories.

  Args:
    headers: Column names of each file, and the character between its cells.
    columns: Columns, in order.
    label: Position of the column that holds the class.
    classes: Class of each cell of the label; empty for a missing one.
    folder: Output folder.
  """
  texts = [column.type == 'text' for column in columns]
  for i, (path, (names, delimiter)) in enumerate(headers.items()):
    with (folder / f'{i:05d}.csv').open('w', encoding='utf-8', newline='') as file:
      file.write(','.join(names) + '\n')
      writer = csv.writer(file, lineterminator='\n')
      for _, row in read_rows(path, delimiter, len(names)):
        cells = zip(row, texts, strict=True)
        written = ['' if is_missing(c) and not (text and c.strip()) else c for c, text in cells]
        written[label] = classes[row[label]]
        writer.writerow(written)
