"""Inspection of the user's own Parquet files: columns and label counts."""

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfx_balance.cli.own_contents import MOST_VALUES, Cells, Contents, OwnColumn, check_same_columns
from tfx_balance.cli.own_labels import LabelCounts, check_number_of_classes
from tfx_balance.cli.progress import Progress
from tfx_balance.cli.target_leakage import TargetLeakage
from tfx_balance.errors import DataError
from tfx_balance.plan.ranks import Ints


def read_parquet(files: list[Path], label: str | None) -> Contents:
  """Returns the content of the files; reads all rows.

  Raises:
    DataError: If a file is not Parquet, if the files differ in their columns, or if the label's
      values are not classes.
  """
  columns: list[OwnColumn] = []
  first_missing = ''
  with Progress('reading', sum(path.stat().st_size for path in files)) as progress:
    for path in files:
      position = 0
      for batch in read_batches(path, progress):
        if not columns:
          names = batch.schema.names
          columns = [OwnColumn(n, math.inf if n == label else MOST_VALUES) for n in names]
          leakage = TargetLeakage(columns)
        check_same_columns(files[0], names, path, batch.schema.names)
        found = [add_cells(*each) for each in zip(columns, batch.columns, strict=True)]
        if label in names:
          at = names.index(label)
          labels = found[at]
          check_number_of_classes(names[at], len(columns[at].cells))
          if not first_missing and None in labels.distinct:
            row = int(np.argmax(labels.codes == len(labels.distinct) - 1))
            first_missing = f'row {position + row + 1} of {path}'
          leakage.add(labels, found, functools.partial(numbers_of, batch))
        position += len(batch)
  if not columns:
    raise DataError(f'{files[0]} has no rows; write it again, or pass another file')
  n_rows = columns[0].kinds.total()
  if label not in names:
    return Contents(columns, None, n_rows)
  column = columns[names.index(label)]
  for value in column.cells:
    if column.type == 'float' and not float(value).is_integer():
      raise DataError(
        f'the label {label!r} has the value {value}, which is not a class; a label is a text or an '
        'integer: pass another one, or bin it first'
      )
  counts = LabelCounts(column.cells, column.kinds['missing'], first_missing)
  return Contents(columns, counts, n_rows, leakage=leakage)


def read_batches(
  path: Path, progress: Progress, names: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
  """Yields the rows of a file, of all columns or of those named, a part at a time."""
  with readable(path):
    file, size = pq.ParquetFile(path), path.stat().st_size
    for batch in file.iter_batches(columns=names):
      yield batch
      progress.add(size * len(batch) // file.metadata.num_rows)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
  """Raises a DataError where a file is not one of Parquet, or cannot be read."""
  try:
    yield
  except (pa.ArrowInvalid, OSError) as error:
    raise DataError(f'{path} is not a readable Parquet file ({error}); write it again') from error


def encoded(cells: pa.Array) -> Cells:
  """Returns the distinct values of cells, of which the last is None if there are gaps."""
  if pa.types.is_floating(cells.type):
    cells = pc.if_else(pc.is_nan(cells), None, cells)
  if pa.types.is_nested(cells.type):  # which dictionary_encode does not take
    cells = pa.array([None if value is None else str(value) for value in cells.to_pylist()])
  if not pa.types.is_dictionary(cells.type):
    cells = cells.dictionary_encode()
  values = cells.dictionary.to_pylist()
  codes = cells.indices.fill_null(len(values)).to_numpy(zero_copy_only=False).astype(np.int64)
  return Cells([*values, None] if cells.null_count else values, codes)


def add_cells(column: OwnColumn, cells: pa.Array) -> Cells | None:
  """Counts the cells of a part of a column; returns them while all their values are counted."""
  type_ = getattr(cells.type, 'value_type', cells.type)  # of a list, that of its values
  kind = 'text'
  if pa.types.is_integer(type_) or pa.types.is_boolean(type_):
    kind = 'int'
  elif pa.types.is_floating(type_) or pa.types.is_decimal(type_):
    kind = 'float'
  counted = len(column.cells) <= column.most
  if not counted:
    gaps = pc.sum(pc.is_null(cells, nan_is_null=pa.types.is_floating(cells.type))).as_py()
    column.kinds.update({'missing': gaps, kind: len(cells) - gaps})
    if not column.may_number_rows:
      return None
    cells = cells.filter(pc.is_in(cells, pa.array(list(column.cells), cells.type)))
  found = encoded(cells)
  values = [
    value if kind != 'text' or value is None or isinstance(value, bytes) else str(value)  # a date
    for value in found.distinct
  ]
  times = dict(zip(values, np.bincount(found.codes, minlength=len(values)).tolist(), strict=True))
  gaps = times.pop(None, 0)
  column.add_values(times, times.values())
  if not counted:
    return None
  column.kinds.update({'missing': gaps, kind: len(cells) - gaps})
  if times:
    column.first.setdefault(kind, next(iter(times)))
  return Cells(values, found.codes)


def numbers_of(batch: pa.RecordBatch, column: int, rows: Ints) -> npt.NDArray[np.float64]:
  """Returns the numbers of some rows of a column: NaN for a gap, 0 for what is none."""
  cells = batch.column(column).take(pa.array(rows))
  if pa.types.is_primitive(cells.type) and not pa.types.is_temporal(cells.type):
    return np.asarray(cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
  return np.where(cells.is_null().to_numpy(zero_copy_only=False), np.nan, 0)
