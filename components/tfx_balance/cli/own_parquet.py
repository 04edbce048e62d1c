"""Inspection of the user's own Parquet files: columns and label counts."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfx_balance.cli.own_columns import MOST_VALUES, Column, Contents, check_same_columns
from tfx_balance.cli.own_labels import LabelCounts, check_number_of_classes
from tfx_balance.errors import DataError

ROWS = 65_536  # in memory at a time


def read_parquet(files: list[Path], label: str | None) -> Contents:
  """Returns the content of the files; reads all rows.

  Raises:
    DataError: If a file is not Parquet, if the files differ in their columns, or if the label's
      values are not classes.
  """
  columns: dict[str, Column] = {}
  first_missing = ''
  for path in files:
    position = 0
    for batch in read_batches(path):
      check_same_columns(files[0], list(columns or batch.schema.names), path, batch.schema.names)
      for name, cells in zip(batch.schema.names, batch.columns, strict=True):
        column = columns.setdefault(name, Column(name, math.inf if name == label else MOST_VALUES))
        missing = add_cells(column, cells)
        if name == label:
          check_number_of_classes(name, len(column.cells))
          if column.kinds['missing'] and not first_missing:
            first_missing = f'row {position + missing.index(True).as_py() + 1} of {path}'
      position += len(batch)
  if not columns:
    raise DataError(f'{files[0]} has no rows; write it again, or pass another file')
  labels = to_labels(columns[label], first_missing) if label in columns else None
  return Contents(list(columns.values()), labels, next(iter(columns.values())).kinds.total())


def read_batches(path: Path, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
  """Yields the rows of a file, of all columns or of those named, a part at a time."""
  try:
    yield from pq.ParquetFile(path).iter_batches(ROWS, columns=names)
  except (pa.ArrowInvalid, OSError) as error:
    raise DataError(f'{path} is not a readable Parquet file ({error}); write it again') from error


def add_cells(column: Column, cells: pa.Array) -> pa.Array:
  """Counts the cells of a part of a column; returns which of them are missing."""
  if pa.types.is_dictionary(cells.type):
    cells = cells.dictionary_decode()
  of_value = getattr(cells.type, 'value_type', cells.type)  # of a list, that of its values
  kind = 'text'
  if pa.types.is_integer(of_value) or pa.types.is_boolean(of_value):
    kind = 'int'
  elif pa.types.is_floating(of_value) or pa.types.is_decimal(of_value):
    kind = 'float'
  missing = pc.is_null(cells, nan_is_null=pa.types.is_floating(cells.type))
  values = cells.filter(pc.invert(missing))
  column.kinds['missing'] += len(cells) - len(values)
  if not len(values):
    return missing
  column.kinds[kind] += len(values)
  column.first.setdefault(kind, values[0].as_py())
  if len(column.cells) <= column.most:
    if pa.types.is_nested(cells.type):  # which value_counts does not take
      values = pa.array([str(value) for value in values.to_pylist()])
    found = pc.value_counts(values)
    for value, times in zip(*(part.to_pylist() for part in found.flatten()), strict=True):
      if kind == 'text' and not isinstance(value, bytes):
        value = str(value)  # a date
      column.cells[value] += times
  return missing


def to_labels(column: Column, first_missing: str) -> LabelCounts:
  """Returns the label values.

  Raises:
    DataError: If a value is a fraction.
  """
  for value in column.cells:
    if column.type == 'float' and not float(value).is_integer():
      raise DataError(
        f'the label {column.name!r} has the value {value}, which is not a class; a label is a text '
        'or an integer: pass another one, or bin it first'
      )
  return LabelCounts(column.cells, column.kinds['missing'], first_missing)
