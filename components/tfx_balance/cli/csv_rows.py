"""Rows of CSV files as ranges of bytes: their cells are read, and the rows copied as they are."""

from __future__ import annotations

import contextlib
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tfx_balance.cli.coded_cells import Cells
from tfx_balance.cli.own_columns import check_same_columns
from tfx_balance.cli.own_tables import opened, read_header
from tfx_balance.cli.progress import Progress
from tfx_balance.errors import DataError
from tfx_balance.plan.ranks import Ints

BLOCK = 1 << 20  # bytes read at a time
LONGEST_ROW = 64 << 20  # bytes; a quote that is never closed would make one row of the file
MOST_CELL_BYTES = 16 << 20  # of the cells of one column of a block, padded to one width
_LF, _CR, _QUOTE = b'\n\r"'


@dataclass(frozen=True, eq=False)
class Rows:
  """Whole rows of a file.

  Attributes:
    data: Bytes of the rows, one after another: uint8.
    starts: Position of the first cell of each row: int64 [rows]; blank lines may be before it.
    separators: Position of what ends each cell, a delimiter or a line feed: int64 [rows, columns].
  """

  data: npt.NDArray[np.uint8]
  starts: Ints
  separators: Ints

  def cells(self, column: int) -> npt.NDArray[Any]:
    """Returns the bytes of each cell of a column, quotes included: [rows]."""
    starts = self.separators[:, column - 1] + 1 if column else self.starts
    sizes = self.separators[:, column] - starts
    if column == self.separators.shape[1] - 1:  # what ends the line may be two characters
      sizes -= (sizes > 0) & (self.data[starts + sizes - 1] == _CR)
    width = max(1, int(sizes.max(initial=0)))
    if width * len(starts) > MOST_CELL_BYTES:
      ends = zip(starts.tolist(), (starts + sizes).tolist(), strict=True)
      return np.array([self.data[start:end].tobytes() for start, end in ends], object)
    columns = np.arange(width)
    cells = self.data[np.minimum(starts[:, None] + columns, len(self.data) - 1)]
    cells[columns >= sizes[:, None]] = 0
    return cells.view(f'S{width}').ravel()

  def pieces(self, split_of: npt.NDArray[np.int16], n_splits: int) -> Iterator[tuple[int, bytes]]:
    """Yields the bytes of the rows of each split; rows of split -1 are left out."""
    sizes = np.diff(self.separators[:, -1], prepend=-1)
    of_byte = np.repeat(split_of, sizes)
    data = self.data[: len(of_byte)]
    for split in range(n_splits):
      yield split, data[of_byte == split].tobytes()


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
  def open(cls, files: Sequence[Path]) -> CsvFiles:
    """Returns files whose headers have been read.

    Raises:
      DataError: If a file has no header, or its columns or delimiter are not those of the first.
    """
    headers = {path: read_header(path, None) for path in files}
    names, delimiter = headers[files[0]]
    for path, (others, its_own) in headers.items():
      check_same_columns(files[0], names, path, others)
      if its_own != delimiter:
        raise DataError(
          f'{path} has {its_own!r} between its cells, and {files[0].name} {delimiter!r}; write '
          'them alike, or split them one by one'
        )
    return cls({path: its_own for path, (_, its_own) in headers.items()}, names)

  @property
  def suffix(self) -> str:
    """Suffix of the files to write, which are compressed if the first file is."""
    name = next(iter(self.delimiters)).name.lower()
    return next(s for s in ('.csv.gz', '.tsv.gz', '.csv', '.tsv') if name.endswith(s))

  def read(self, names: Sequence[str], progress: Progress) -> Iterator[list[Cells]]:
    """Yields cells of the columns of these names, a part of the rows at a time."""
    columns = [list(self.names).index(name) for name in names]
    for path in self.delimiters:
      for rows in self._rows(path, progress):
        yield [Cells.of_bytes(rows.cells(column), str(path)) for column in columns]

  def write(
    self, split_of: npt.NDArray[np.int16], outputs: Sequence[Path], progress: Progress
  ) -> None:
    """Writes each row to the file of its split, -1 for none; each file begins with the header."""
    at = 0
    with ExitStack() as stack:
      files = [stack.enter_context(_created(path)) for path in outputs]
      for i, path in enumerate(self.delimiters):
        if not i:
          with opened(path) as lines:
            header = next(lines)
          for file in files:
            file.write(header)
        for rows in self._rows(path, progress):
          part = split_of[at : at + len(rows.starts)]
          at += len(part)
          for split, data in rows.pieces(part, len(files)):
            files[split].write(data)

  def _rows(self, path: Path, progress: Progress) -> Iterator[Rows]:
    """Yields the rows of a file after its header, about BLOCK bytes at a time."""
    delimiter = ord(self.delimiters[path])
    with opened(path) as file:
      header = next(file)
      end = b'\r\n' if header.endswith(b'\r\n') else b'\n'
      rest, line = b'', 2
      while True:
        part = file.read(BLOCK)  # type: ignore[attr-defined]
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
    DataError: If a row has another number of cells, or a quote is within a cell without quotes.
  """
  values = np.frombuffer(data, np.uint8)
  marks = (values == delimiter) | (values == _LF)
  if b'"' in data:
    quotes = values == _QUOTE
    marks &= np.add.accumulate(quotes, dtype=np.uint8) & 1 == 0
    _check_quotes(values, np.flatnonzero(quotes), delimiter, path, line)
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
  return Rows(values, starts, separators.reshape(-1, n_columns))


def _check_quotes(
  values: npt.NDArray[np.uint8], quotes: Ints, delimiter: int, path: Path, line: int
) -> None:
  """Raises a DataError if a quote opens within a cell, or text follows one that closes."""
  opening, closing = quotes[0::2], quotes[1::2]
  before = values[opening - 1]
  before[opening == 0] = _LF
  after = values[np.minimum(closing + 1, len(values) - 1)]
  wrong = np.concatenate(
    (
      opening[~np.isin(before, (delimiter, _LF, _QUOTE))],
      closing[~np.isin(after, (delimiter, _LF, _CR, _QUOTE))],
    )
  )
  if len(wrong):
    where = line + int(np.count_nonzero(values[: wrong.min()] == _LF))
    raise DataError(
      f'line {where} of {path} has a quote within a cell; quote the whole cell, and write a quote '
      'in it twice'
    )


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
