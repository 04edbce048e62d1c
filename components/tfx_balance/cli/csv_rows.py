"""Rows of CSV files as ranges of bytes: their cells are read, and the rows copied as they are."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tfx_balance.cli.own_contents import Cells, check_same_columns, numbers_of
from tfx_balance.cli.own_records import compression_of
from tfx_balance.cli.progress import Progress
from tfx_balance.errors import DataError
from tfx_balance.plan.ranks import Ints

BLOCK = 1 << 20  # bytes read at a time
BLOCK_OF_COLUMN = 1 << 12  # bytes a column, if these are more: rows enough to read by columns
LONGEST_ROW = 64 << 20  # bytes; a quote that is never closed would make one row of the file
MOST_CELL_BYTES = 16 << 20  # of the cells of one column of a block, padded to one width
_LF, _CR, _QUOTE = b'\n\r"'
_UTF_8_MARK = b'\xef\xbb\xbf'
_UTF_16_MARKS = (b'\xff\xfe', b'\xfe\xff')


@dataclass(frozen=True, eq=False)
class Rows:
  """Whole rows of a file.

  Attributes:
    data: Bytes of the rows, one after another: uint8.
    starts: Position of the first cell of each row: int64 [rows]; blank lines may be before it.
    separators: Position of what ends each cell, a delimiter or a line feed: int64 [rows, columns].
    path: File, for messages.
    line: Number of the first line, for messages.
  """

  data: npt.NDArray[np.uint8]
  starts: Ints
  separators: Ints
  path: Path
  line: int

  def cells(self, column: int) -> npt.NDArray[Any]:
    """Returns the bytes of each cell of a column, without quotes: [rows]."""
    starts = self.separators[:, column - 1] + 1 if column else self.starts
    sizes = self.separators[:, column] - starts
    if column == self.separators.shape[1] - 1:  # what ends the line may be two characters
      sizes -= (sizes > 0) & (self.data[starts + sizes - 1] == _CR)
    quoted = (sizes > 1) & (self.data[starts] == _QUOTE)
    starts, sizes = starts + quoted, sizes - 2 * quoted
    width = max(1, int(sizes.max(initial=0)))
    if width * len(starts) > MOST_CELL_BYTES:
      ends = zip(starts.tolist(), (starts + sizes).tolist(), strict=True)
      cells = np.array([self.data[start:end].tobytes() for start, end in ends], object)
    else:
      columns = np.arange(width)
      found = self.data[np.minimum(starts[:, None] + columns, len(self.data) - 1)]
      found[columns >= sizes[:, None]] = 0
      cells = found.view(f'S{width}').ravel()
      quoted = quoted & (found == _QUOTE).any(axis=1) if quoted.any() else quoted
    for row in np.flatnonzero(quoted).tolist():
      cells[row] = cells[row].replace(b'""', b'"')  # as a quote within quotes is written
    return cells

  def numbers(self, column: int, rows: Ints) -> npt.NDArray[np.float64]:
    """Returns the numbers of some rows of a column: NaN for a gap, 0 for a text."""
    return numbers_of(self.cells(column)[rows]) if len(rows) else np.zeros(0)

  def coded(self, column: int) -> Cells:
    """Returns the cells of a column as texts.

    Raises:
      DataError: If a cell is not UTF-8.
    """
    distinct, codes = np.unique(self.cells(column), return_inverse=True)
    try:
      return Cells([cell.decode() for cell in distinct.tolist()], codes.reshape(-1))
    except UnicodeDecodeError:
      self.check_text()
      raise

  def check_text(self) -> None:
    """Raises a DataError unless all bytes are UTF-8."""
    decode(self.data[: self.separators[-1, -1]].tobytes(), self.path, self.line)

  def line_of(self, row: int) -> int:
    """Returns the number of the line in which a row begins."""
    return self.line + int(np.count_nonzero(self.data[: self.starts[row]] == _LF))


@dataclass(frozen=True)
class CsvFiles:
  """CSV files of the same columns.

  Attributes:
    delimiters: Delimiter of each file.
    names: Names of the columns.
  """

  delimiters: Mapping[Path, str]
  names: Sequence[str]

  @classmethod
  def open(cls, files: Sequence[Path], label: str | None = None) -> CsvFiles:
    """Returns files whose headers have been read.

    Raises:
      DataError: If a file has no header, or not the columns of the first, or lacks the label.
    """
    headers = {path: read_header(path, label) for path in files}
    names = headers[files[0]][0]
    for path, (others, _) in headers.items():
      check_same_columns(files[0], names, path, others)
    return cls({path: delimiter for path, (_, delimiter) in headers.items()}, names)

  @property
  def suffix(self) -> str:
    """Suffix of the files to write, which are compressed if the first file is."""
    name = next(iter(self.delimiters)).name.lower()
    return next(s for s in ('.csv.gz', '.tsv.gz', '.csv', '.tsv') if name.endswith(s))

  def read(self, names: Sequence[str], progress: Progress) -> Iterator[list[Cells]]:
    """Yields cells of the columns of these names, a part of the rows at a time.

    Raises:
      DataError: If files have other delimiters than the first, so that no file can have the rows.
    """
    first, *others = self.delimiters.items()
    for path, delimiter in others:
      if delimiter != first[1]:
        raise DataError(
          f'{path} has {delimiter!r} between its cells, and {first[0].name} {first[1]!r}; write '
          'them with one delimiter, or split them one by one'
        )
    columns = [list(self.names).index(name) for name in names]
    for path in self.delimiters:
      for rows in self.rows(path, progress):
        yield [rows.coded(column) for column in columns]

  def write(
    self, split_of: npt.NDArray[np.int16], outputs: Sequence[Path], progress: Progress
  ) -> None:
    """Writes each row to the file of its split, -1 for none; each file begins with the header."""
    at = 0
    with opened(next(iter(self.delimiters))) as lines:
      header = next(lines)
    with ExitStack() as stack:
      files = [stack.enter_context(_created(path)) for path in outputs]
      for file in files:
        file.write(header)
      for path in self.delimiters:
        for rows in self.rows(path, progress):
          part = split_of[at : at + len(rows.starts)]
          at += len(part)
          of_byte = np.repeat(part, np.diff(rows.separators[:, -1], prepend=-1))
          for split, file in enumerate(files):
            file.write(rows.data[: len(of_byte)][of_byte == split].tobytes())

  def rows(self, path: Path, progress: Progress) -> Iterator[Rows]:
    """Yields the rows of a file after its header, a part at a time."""
    delimiter, size = ord(self.delimiters[path]), max(BLOCK, BLOCK_OF_COLUMN * len(self.names))
    with opened(path) as file:
      header = next(file)
      end = b'\r\n' if header.endswith(b'\r\n') else b'\n'
      rest, line = b'', 2
      while True:
        part = file.read(size)  # type: ignore[attr-defined]
        progress.add(len(part))
        data = rest + part
        if not part and data.strip(b'\r\n') and not data.endswith(b'\n'):
          data += end  # so that another file's row does not follow on the same line
        rows = find_rows(data, delimiter, len(self.names), path, line)
        used = int(rows.separators[-1, -1]) + 1 if len(rows.starts) else 0
        if used:
          yield rows
        line += data.count(b'\n', 0, used)
        rest = data[used:]
        if len(rest) > LONGEST_ROW or (not part and rest.strip(b'\r\n')):
          raise DataError(
            f'the row of {path} that begins in line {line} does not end; close each quote'
          )
        if not part:
          return


def find_rows(data: bytes, delimiter: int, n_columns: int, path: Path, line: int) -> Rows:
  r"""Returns the whole rows at the beginning of some bytes; what is within quotes ends no cell.

  >>> find_rows(b'a,1\n"b\n,",2\nc', ord(','), 2, Path('x.csv'), 2).separators
  array([[ 1,  3],
         [ 9, 11]])

  Args:
    data: Bytes that begin with a row.
    delimiter: What is between cells.
    n_columns: Number of cells of each row.
    path: File, for messages.
    line: Number of the first line, for messages.

  Raises:
    DataError: If a row has another number of cells, or text follows a quote that closes a cell.
  """
  values = np.frombuffer(data, np.uint8)
  marks = (values == delimiter) | (values == _LF)
  if b'"' in data:
    marks &= ~_quoted(data, values, delimiter, path, line)
  at = np.flatnonzero(marks)
  is_end = values[at] == _LF
  ends = at[is_end]
  starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
  blank = (ends == starts) | ((ends == starts + 1) & (values[starts] == _CR))
  if blank.any():
    kept = np.ones(len(at), bool)
    kept[np.flatnonzero(is_end)[blank]] = False
    at, is_end, starts = at[kept], is_end[kept], starts[~blank]
  last = np.flatnonzero(is_end)
  sizes = np.diff(last, prepend=-1)
  wrong = np.flatnonzero(sizes != n_columns)
  if len(wrong):
    first = int(wrong[0])
    where = line + data.count(b'\n', 0, int(starts[first]))
    raise DataError(
      f'line {where} of {path} has {sizes[first]} cells, and the header {n_columns}; give each row '
      f'as many cells, and quote texts that contain {chr(delimiter)!r} or line breaks'
    )
  separators = at[: last[-1] + 1] if len(last) else at[:0]
  return Rows(values, starts, separators.reshape(-1, n_columns), path, line)


def _quoted(
  data: bytes, values: npt.NDArray[np.uint8], delimiter: int, path: Path, line: int
) -> npt.NDArray[np.bool_]:
  """Returns a mask of bytes within quotes; a quote inside an unquoted cell is a text.

  Raises:
    DataError: If text follows a quote that closes a cell.
  """
  quotes = values == _QUOTE
  at = np.flatnonzero(quotes)
  before, after = values[at[0::2] - 1], values[np.minimum(at[1::2] + 1, len(values) - 1)]
  before[at[0::2] == 0] = _LF
  if (
    np.isin(before, (delimiter, _LF, _QUOTE)).all()
    and np.isin(after, (delimiter, _LF, _CR, _QUOTE)).all()
  ):
    return np.add.accumulate(quotes, dtype=np.uint8) & 1 == 1
  found = np.zeros(len(values) + 1, np.int8)
  separator = re.escape(bytes([delimiter]))
  for cell in re.finditer(rb'(?:\A|(?<=[\n%s]))"[^"]*(?:""[^"]*)*("?)' % separator, data):
    end = cell.end()
    if cell[1] and end < len(data) and data[end] not in (delimiter, _LF, _CR):
      number = line + data.count(b'\n', 0, end)
      raise DataError(
        f'line {number} of {path} has text after a quote that closes '
        'its cell; quote the whole cell, and write a quote in it twice'
      )
    found[cell.start()] += 1
    found[end] -= 1
  return np.add.accumulate(found[:-1]) == 1


@contextlib.contextmanager
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
    line = decode(next(lines, b'').removeprefix(_UTF_8_MARK), path, 1).rstrip('\r\n')
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


def decode(data: bytes, path: Path, line: int) -> str:
  """Returns the text of lines, which must be UTF-8; `line` is the number of the first."""
  try:
    return data.decode('utf-8')
  except UnicodeDecodeError as error:
    number = line + data.count(b'\n', 0, error.start)
    encoding = 'UTF-16' if number == 1 and data.startswith(_UTF_16_MARKS) else 'LATIN1'
    raise DataError(
      f'line {number} of {path} is not UTF-8; convert it from its encoding, for example '
      f'with: iconv -f {encoding} -t UTF-8 {path.name} > new.csv'
    ) from error


@contextlib.contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
  """Gives a new file, compressed without name and time if its suffix is .gz."""
  with path.open('xb') as file:
    if path.suffix != '.gz':
      yield file
      return
    with (
      gzip.GzipFile('', 'wb', 6, file, mtime=0) as compressed,
      io.BufferedWriter(compressed, BLOCK) as buffered,
    ):
      yield buffered
