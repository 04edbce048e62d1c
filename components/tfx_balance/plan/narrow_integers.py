"""Integers in few bytes, as workers send them to each other: columns, and counts of a few cells.

Counts of a few of very many cells are those that one of many files knows of a million classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.runs import Ints, concatenated


def narrow(values: Ints) -> npt.NDArray[Any]:
  """Returns the values as integers of the narrowest type that holds all.

  >>> narrow(np.array([3, 256])).dtype, narrow(np.array([3, -1])).dtype
  (dtype('uint16'), dtype('int16'))

  Args:
    values: int64, of any shape.
  """
  ends = (int(values.min(initial=0)), int(values.max(initial=0)))
  kind = np.promote_types(*map(np.min_scalar_type, ends))
  return values.astype(kind) if kind.itemsize < values.itemsize else values


def wide(values: npt.NDArray[Any]) -> Ints:
  """Returns the column from which `narrow` made another."""
  return values.astype(np.int64)


class NarrowColumns:
  """An object some of whose columns are narrow where it is sent to workers.

  Attributes:
    narrow_columns: Names of these, each int64 or None.
  """

  narrow_columns: ClassVar[Sequence[str]]

  def __getstate__(self) -> dict[str, Any]:
    return self._with_columns(self.__dict__, narrow)

  def __setstate__(self, state: dict[str, Any]) -> None:
    self.__dict__.update(self._with_columns(state, wide))

  def _with_columns(self, state: dict[str, Any], convert: Callable[..., Any]) -> dict[str, Any]:
    found = {name: state[name] for name in self.narrow_columns if state[name] is not None}
    return {**state, **{name: convert(values) for name, values in found.items()}}


def steps(ascending: Ints) -> npt.NDArray[Any]:
  """Returns ascending values of 0 or above, int64 [n], as their narrow differences."""
  return narrow(np.diff(ascending, prepend=0))


def from_steps(differences: npt.NDArray[Any]) -> Ints:
  """Returns the values from which `steps` made differences."""
  return np.cumsum(differences, dtype=np.int64)


_CELLS_PER_ROW = 4  # of a table of 8 bytes a cell, where merging by sorting takes 60 bytes a row


@dataclass(frozen=True, eq=False)
class SparseCounts:
  """Counts that are not 0, by the number of their cell.

  Attributes:
    shape: Shape of the table that the cells make, row by row.
    cells: Numbers of the cells: int64 [m], ascending.
    counts: Counts: int64 [m].
  """

  shape: tuple[int, ...]
  cells: Ints
  counts: Ints

  def __reduce__(self) -> tuple[Any, ...]:
    return _from_narrow, (self.shape, steps(self.cells), narrow(self.counts))

  def __len__(self) -> int:
    return len(self.cells)

  @classmethod
  def count(cls, shape: tuple[int, ...], cells: Ints) -> SparseCounts:
    """Returns the count of each cell that occurs.

    >>> SparseCounts.count((2, 3), np.array([5, 1, 5])).dense().tolist()
    [[0, 1, 0], [0, 0, 2]]
    """
    return cls(shape, *np.unique(cells, return_counts=True))

  @classmethod
  def merge(
    cls, several: Iterable[SparseCounts], cells_per_row: int = _CELLS_PER_ROW
  ) -> SparseCounts:
    """Returns the sum of counts of one shape, one or more of them."""
    parts = list(several)
    if len(parts) == 1:
      return parts[0]
    n_cells = math.prod(parts[0].shape)
    if n_cells <= cells_per_row * sum(map(len, parts)):
      table = np.zeros(n_cells, np.int64)
      for one in parts:
        table[one.cells] += one.counts
      filled = np.flatnonzero(table)
      return cls(parts[0].shape, filled, table[filled])
    return cls.total(parts[0].shape, *concatenated(parts, 'cells', 'counts'))

  @classmethod
  def total(cls, shape: tuple[int, ...], cells: Ints, counts: Ints) -> SparseCounts:
    """Returns counts of cells that are there any number of times, in any order, added up."""
    cells, places = np.unique(cells, return_inverse=True)
    sums = np.zeros(len(cells), np.int64)
    np.add.at(sums, places.reshape(-1), counts)
    return cls(shape, cells, sums)

  def between(self, low: int, high: int) -> SparseCounts:
    """Returns the counts of the cells from low to high - 1, which are numbered from 0 then."""
    first, last = np.searchsorted(self.cells, [low, high])
    return SparseCounts((high - low,), self.cells[first:last] - low, self.counts[first:last])

  def dense(self) -> Ints:
    """Returns all the counts: int64 of the shape."""
    table = np.zeros(self.shape, np.int64)
    table.reshape(-1)[self.cells] = self.counts
    return table


def _from_narrow(
  shape: tuple[int, ...], cells: npt.NDArray[Any], counts: npt.NDArray[Any]
) -> SparseCounts:
  return SparseCounts(shape, from_steps(cells), wide(counts))
