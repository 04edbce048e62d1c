"""Cells of columns as numbers of their distinct values, in a few bytes a row."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.cli.own_contents import Cells, cell_kind
from tfx_balance.cli.own_labels import is_missing
from tfx_balance.errors import DataError


@dataclass
class CodedColumn:
  """All cells of a column.

  Attributes:
    name: Name of the column.
    codes: Number of each distinct value, in the order in which they occur.
    parts: int32 numbers of the cells, a part of the rows each.
  """

  name: str
  codes: dict[str, int] = field(default_factory=dict)
  parts: list[npt.NDArray[np.int32]] = field(default_factory=list)

  def add(self, cells: Cells) -> None:
    """Adds the cells of the next rows."""
    new = [self.codes.setdefault(value, len(self.codes)) for value in cells.distinct]
    self.parts.append(np.array(new, np.int32)[cells.codes])

  @property
  def cells(self) -> npt.NDArray[np.int32]:
    """Number of the value of each cell: int32 [rows]."""
    self.parts = [np.concatenate([np.zeros(0, np.int32), *self.parts])]
    return self.parts[0]

  def missing(self) -> npt.NDArray[np.bool_]:
    """Returns a mask of values that are gaps: blank ones, and words in a column of numbers.

    A word such as NA is a missing number in a column of numbers and a value in a column of texts.
    """
    is_text = any(cell_kind(value) in ('text', 'comma') for value in self.codes)
    return np.array(
      [not v.strip() or (not is_text and is_missing(v)) for v in self.codes], np.bool_
    )


@dataclass
class TimeColumn:
  """All cells of a column of times: integers, numbers, or dates as of ISO 8601.

  Attributes:
    name: Name of the column.
    parts: The times, a part of the rows each: int64, float64 or datetime64[us].
  """

  name: str
  parts: list[npt.NDArray[Any]] = field(default_factory=list)

  def add(self, cells: Cells) -> None:
    """Adds the cells of the next rows.

    Raises:
      DataError: If a cell is no time.
    """
    texts = np.array(cells.distinct)
    for dtype in ('int64', 'float64', 'datetime64[us]'):
      try:
        with warnings.catch_warnings():
          warnings.simplefilter('ignore')  # of a time zone, which NumPy reads
          times = texts.astype(dtype)
      except (ValueError, OverflowError):
        continue
      if not (times != times).any():
        self.parts.append(times[cells.codes])
        return
    wrong = next((text for text in cells.distinct if not text.strip()), cells.distinct[0])
    raise DataError(
      f'column {self.name!r} has values that are not all times, such as {wrong!r}; write each as a '
      'number or as 2024-12-31 23:59:59'
    )

  @property
  def cells(self) -> npt.NDArray[Any]:
    """Time of each row: [rows]."""
    if len({part.dtype.kind == 'M' for part in self.parts}) > 1:
      raise DataError(f'column {self.name!r} has numbers and dates; write all times in one form')
    return np.concatenate(self.parts) if self.parts else np.zeros(0)
