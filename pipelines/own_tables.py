"""Inspection of the user's own CSV files, whose rows are parsed as CsvExampleGen does."""

import csv
import itertools
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipelines.own_labels import LabelCounts, OwnDataError, check_number_of_classes

UTF_8_MARK = b'\xef\xbb\xbf'
UTF_16_MARKS = (b'\xff\xfe', b'\xfe\xff')
SAMPLE = 100  # rows from which the types of the other columns are inferred

Value = int | float | str


@dataclass(frozen=True)
class Header:
  """First line of a CSV file.

  Attributes:
    names: Names of the columns.
    plain: Whether CsvExampleGen, which splits the line at commas, reads the same names.
  """

  names: tuple[str, ...]
  plain: bool


@dataclass(frozen=True)
class Tables:
  """Content of CSV files.

  Attributes:
    header: Common header of the files.
    types: Type of each column in the first rows: 'int', 'float', 'text' or 'empty'.
    labels: Label values in all rows.
  """

  header: Header
  types: dict[str, str]
  labels: LabelCounts


def read_header(path: Path) -> Header:
  """Returns the column names of a file; a column without a name is named by its position."""
  with path.open('rb') as file:
    raw = file.readline()
  line = decode(raw.removeprefix(UTF_8_MARK), path, 1).strip()
  try:
    row = next(csv.reader([line], strict=True))
  except csv.Error:
    row = []
  if not row:
    raise OwnDataError(
      f'{path} does not begin with a line of column names, separated by commas; add that line'
    )
  names = tuple(name or f'column {i}' for i, name in enumerate(row, start=1))
  for name, times in Counter(names).items():
    if times > 1:
      raise OwnDataError(f'{path} has {times} columns called {name!r}; give each a unique name')
    if ',' in name:
      raise OwnDataError(f'{path} has a column called {name!r}; give it a name without a comma')
  return Header(names, raw.strip() == ','.join(names).encode())


def decode(line: bytes, path: Path, number: int) -> str:
  """Returns the text of a line, which must be UTF-8."""
  try:
    return line.decode('utf-8')
  except UnicodeDecodeError as error:
    encoding = 'UTF-16' if number == 1 and line.startswith(UTF_16_MARKS) else 'LATIN1'
    raise OwnDataError(
      f'line {number} of {path} is not UTF-8; convert it from its encoding, for example '
      f'with: iconv -f {encoding} -t UTF-8 {path.name} > new.csv'
    ) from error


class _Records:
  """Records of a CSV file after its header; a record spans several lines while a quote is open.

  CsvExampleGen joins lines by counting quotes, which differs from Python's csv for a quote in an
  unquoted cell.
  """

  def __init__(self, file: BinaryIO, path: Path):
    self.line = 1
    """Number of the last line read."""
    self._file = file
    self._path = path

  def __iter__(self) -> Iterator[str]:
    self._file.readline()
    parts: list[str] = []
    quotes = 0
    for raw in self._file:
      self.line += 1
      text = decode(raw, self._path, self.line)
      quotes += text.count('"')
      if parts or quotes % 2:
        parts.append(text)
        if quotes % 2:
          continue
        text, parts = ''.join(parts), []
      yield text
    if parts:
      raise OwnDataError(
        f'{self._path} ends in a quoted text; close each quote, and double quotes within a text'
      )


def read_rows(path: Path, n_columns: int) -> Iterator[tuple[int, list[str]]]:
  """Yields the number of a row's last line, and its cells; blank lines are skipped."""
  with path.open('rb') as file:
    records = _Records(file, path)
    try:
      for row in csv.reader(records):
        if row and len(row) != n_columns:
          raise OwnDataError(
            f'line {records.line} of {path} has {len(row)} cells, and the header {n_columns}; '
            'give each row as many, and quote texts that contain commas'
          )
        if row:
          yield records.line, row
    except csv.Error as error:
      raise OwnDataError(
        f'line {records.line} of {path} is not CSV ({error}); quote texts that contain commas, '
        'quotes or line breaks'
      ) from error


def parse_cell(cell: str) -> Value | None:
  """Returns the int64, float or text in a CSV cell; None if it is empty."""
  try:
    number = int(cell.encode())  # bytes, as in CsvExampleGen
    return number if -(2**63) <= number < 2**63 else cell
  except ValueError:
    pass
  try:
    return float(cell.encode())
  except ValueError:
    return cell or None


def column_type(values: Iterator[Value | None]) -> str:
  """Returns the narrowest type of all values: 'int', 'float' or 'text'; 'empty' if none."""
  seen = {type(value) for value in values if value is not None}
  words = ((str, 'text'), (float, 'float'), (int, 'int'))
  return next((word for kind, word in words if kind in seen), 'empty')


def to_classes(label: str, cells: Counter[str]) -> dict[str, int]:
  """Returns the number of records of each class; cells with equal numbers are one class.

  Raises:
    OwnDataError: If all cells are numbers, and one is fractional.
  """
  values = {cell: parse_cell(cell) for cell in cells}
  if column_type(iter(values.values())) == 'text':
    return dict(cells)
  classes: Counter[str] = Counter()
  for cell, value in values.items():
    if isinstance(value, float) and not value.is_integer():
      raise OwnDataError(
        f'the label {label!r} has the value {value:g}, which is not a class; '
        'a label is a text or an integer: pass another one, or bin it first'
      )
    classes[str(int(value or 0))] += cells[cell]
  return dict(classes)


def read_tables(files: list[Path], label: str) -> Tables:
  """Returns the content of the files; reads all rows.

  Raises:
    OwnDataError: If CsvExampleGen could not read a file, if headers differ, or if the label's
      values are not classes.
  """
  headers = [read_header(path) for path in files]
  for path, header in zip(files, headers, strict=True):
    if header.names != headers[0].names:
      raise OwnDataError(
        f'{path} has other columns than {files[0].name}; put files with the same columns, in the '
        'same order, into a separate folder'
      )
  names = headers[0].names
  n_columns = len(names)
  sample: list[list[str]] = []
  for path in files:
    sample += [row for _, row in itertools.islice(read_rows(path, n_columns), SAMPLE)]
  if not sample:
    raise OwnDataError(
      f'{files[0]} has no rows; it needs a line of column names, then one line per record'
    )
  types = {name: column_type(parse_cell(row[i]) for row in sample) for i, name in enumerate(names)}
  header = Header(names, all(header.plain for header in headers))
  if label not in names:
    return Tables(header, types, LabelCounts({}))
  cells: Counter[str] = Counter()
  first_missing = ''
  at = names.index(label)
  for path in files:
    for line, row in read_rows(path, n_columns):
      cells[row[at]] += 1
      if cells[row[at]] == 1:
        check_number_of_classes(label, len(cells))
        if not row[at]:
          first_missing = f'in line {line} of {path}'
  missing = cells.pop('', 0)
  return Tables(header, types, LabelCounts(to_classes(label, cells), missing, first_missing))


def write_plain(files: list[Path], header: Header, folder: Path) -> None:
  """Writes the same rows to a folder, with a header that CsvExampleGen can read."""
  for path in files:
    with path.open('rb') as source, (folder / path.name).open('wb') as target:
      source.readline()
      target.write((','.join(header.names) + '\n').encode())
      shutil.copyfileobj(source, target)
