"""Rows of Parquet files: columns are read, and rows written to the file of their split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfx_balance.cli.own_contents import Cells, check_same_columns
from tfx_balance.cli.own_parquet import encoded, read_batches, readable
from tfx_balance.cli.progress import Progress
from tfx_balance.errors import DataError

GROUP_ROWS = 131_072  # rows in a row group that is written
GROUP_BYTES = 16 << 20  # bytes of one in memory


@dataclass(frozen=True)
class ParquetFiles:
  """Parquet files of one schema.

  Attributes:
    files: The files.
    schema: Schema of the first one, with its metadata.
  """

  files: Sequence[Path]
  schema: pa.Schema
  suffix = '.parquet'

  @classmethod
  def open(cls, files: Sequence[Path]) -> ParquetFiles:
    """Returns files whose schemas have been read and agree.

    Raises:
      DataError: If a file is not Parquet, or its columns or types are not those of the first.
    """
    schemas = []
    for path in files:
      with readable(path):
        schemas.append(pq.read_schema(path))
      check_same_columns(files[0], schemas[0].names, path, schemas[-1].names)
      for name, first, own in zip(
        schemas[0].names, schemas[0].types, schemas[-1].types, strict=True
      ):
        if first != own:
          raise DataError(
            f'{path} has the column {name!r} of type {own}, and {files[0].name} of type {first}; '
            'write the columns with one type'
          )
    return cls(files, schemas[0])

  @property
  def names(self) -> Sequence[str]:
    """Names of the columns."""
    return list(self.schema.names)

  def read(self, names: Sequence[str], progress: Progress) -> Iterator[list[Cells]]:
    """Yields cells of the columns of these names, a part of the rows at a time."""
    for path in self.files:
      for batch in read_batches(path, progress, names):
        found = [encoded(batch.column(name)) for name in names]
        yield [Cells([_text(value) for value in each.distinct], each.codes) for each in found]

  def write(
    self, split_of: npt.NDArray[np.int16], outputs: Sequence[Path], progress: Progress
  ) -> None:
    """Writes each row to the file of its split, -1 for none."""
    at = 0
    waiting: list[list[pa.RecordBatch]] = [[] for _ in outputs]
    with ExitStack() as stack:
      writers = [stack.enter_context(pq.ParquetWriter(path, self.schema)) for path in outputs]
      for path in self.files:
        for batch in read_batches(path, progress):
          part = split_of[at : at + len(batch)]
          at += len(part)
          for split, batches in enumerate(waiting):
            batches.append(pc.filter(batch, pa.array(part == split)))
            rows = sum(len(each) for each in batches)
            if rows >= GROUP_ROWS or sum(each.nbytes for each in batches) >= GROUP_BYTES:
              self._write(writers[split], batches)
      for writer, batches in zip(writers, waiting, strict=True):
        if batches:
          self._write(writer, batches)

  def _write(self, writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
    """Writes batches as one row group, and clears the list."""
    table = pa.Table.from_batches(batches).cast(self.schema)
    if len(table):
      writer.write_table(table, row_group_size=GROUP_ROWS)
    batches.clear()


def _text(value: object) -> str:
  """Returns the text of a value, '' of None."""
  if isinstance(value, bytes):
    return value.decode('utf-8', 'backslashreplace')
  return '' if value is None else str(value)
