"""Inspection of the user's own CSV files, which are written anew for CsvExampleGen."""

import csv
import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfx_balance.cli.csv_rows import CsvFiles
from tfx_balance.cli.own_contents import MOST_VALUES, Contents, OwnColumn, cell_kind
from tfx_balance.cli.own_labels import LabelCounts, check_number_of_classes, is_missing
from tfx_balance.cli.progress import Progress
from tfx_balance.cli.target_leakage import TargetLeakage
from tfx_balance.errors import DataError


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
  tables = CsvFiles.open(files, label)
  columns = [OwnColumn(name, math.inf if name == label else MOST_VALUES) for name in tables.names]
  at = None if label is None else list(tables.names).index(label)
  leakage = TargetLeakage(columns)
  places: dict[str, str] = {}
  with Progress('reading', sum(path.stat().st_size for path in files)) as progress:
    for path in files:
      for rows in tables.rows(path, progress):
        rows.check_text()
        found = [column.add(rows.cells(i)) for i, column in enumerate(columns)]
        if at is None or label is None:
          continue
        check_number_of_classes(label, len(columns[at].cells))
        labels = found[at]
        assert labels is not None  # as the values of a label are all counted
        for i, cell in enumerate(labels.distinct):
          if cell not in places:
            row = int(np.argmax(labels.codes == i))
            places[cell] = f'in line {rows.line_of(row)} of {path}'
        leakage.add(labels, found, rows.numbers)
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
  counts = LabelCounts(records, records.pop('', 0), first_missing)
  write = functools.partial(write_tables, tables, columns, at, classes)
  return Contents(columns, counts, n_rows, write=write, leakage=leakage)


def write_tables(
  tables: CsvFiles,
  columns: Sequence[OwnColumn],
  label: int,
  classes: Mapping[str, str],
  folder: Path,
) -> None:
  """Writes the rows to a folder for CsvExampleGen, which knows only commas and empty cells.

  Missing values become empty cells, except words in columns of text, which are categories.

  Args:
    tables: Files to read.
    columns: Columns, in order.
    label: Position of the column that holds the class.
    classes: Class of each cell of the label; empty for a missing one.
    folder: Output folder.
  """
  texts = [column.type == 'text' for column in columns]
  with Progress('writing', sum(path.stat().st_size for path in tables.delimiters)) as progress:
    for i, path in enumerate(tables.delimiters):
      with (folder / f'{i:05d}.csv').open('w', encoding='utf-8', newline='') as file:
        file.write(','.join(tables.names) + '\n')
        writer = csv.writer(file, lineterminator='\n')
        for rows in tables.rows(path, progress):
          written = []
          for j, is_text in enumerate(texts):
            cells = rows.coded(j)
            values = [
              classes[c]
              if j == label
              else ''
              if is_missing(c) and not (is_text and c.strip())
              else c
              for c in cells.distinct
            ]
            written.append([values[code] for code in cells.codes.tolist()])
          writer.writerows(zip(*written, strict=True))
