"""Columns that give the label away, found while files are read, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.cli.own_contents import Cells, OwnColumn
from tfx_balance.cli.own_labels import is_missing, name_some
from tfx_balance.plan.ranks import Ints

MOST_CLASSES = 100  # of a label whose columns are judged
SAMPLE = 10_000  # records of all classes whose numbers are kept
MOST_NUMBERS = 8_000_000  # that are kept of all columns
FEWEST = 10  # records of a class, and of a value, that are judged
HIGHEST_AUC = 0.99
CHANCE = 1e-9  # of records of a value that are of one class, above which it may be an accident

Floats = npt.NDArray[np.float64]


class TargetLeakage:
  """Columns that give the label of their record away.

  A column gives the label away if for a class, against all others, the area under the ROC curve of
  its numbers, or of whether it has a value, is above HIGHEST_AUC or below 1 - HIGHEST_AUC; or if
  values of it decide a class: half of the records of the class, or more, have values that no record
  of another class has. The class is fewer than half of all records, and a value counts if FEWEST or
  more records have it, so many that they would be of one class by a chance below CHANCE. Values are
  counted in all records, of columns with at most `OwnColumn.most` of them. The area is that in a
  random sample of each class, up to SAMPLE records in all, weighted by the classes: exact
  where there are no more records.
  """

  def __init__(self, columns: Sequence[OwnColumn]):
    """Judges columns, of which the label is one."""
    self._columns = columns
    self._classes: dict[Any, int] = {}
    self._owners: list[dict[Any, tuple[int, int]]] = [{} for _ in columns]
    self._most = min(SAMPLE, MOST_NUMBERS // len(columns))
    self._random = np.random.default_rng(0)
    self._records, self._limits = np.zeros(0, np.int64), np.ones(0)
    self._codes, self._draws = np.zeros(0, np.int64), np.zeros(0)
    self._numbers: list[Floats] = [np.zeros((0, len(columns)))]

  def add(
    self,
    labels: Cells,
    columns: Sequence[Cells | None],
    numbers: Callable[[int, Ints], Floats],
  ) -> None:
    """Adds the next rows.

    Args:
      labels: Label of each row; '' and None are none.
      columns: Cells of each column; None where it has too many values.
      numbers: Function from a column and rows to the numbers there: NaN for a gap, 0 for a text.
    """
    classes = self._classes
    numbered = [
      -1 if value in ('', None) else classes.setdefault(value, len(classes))
      for value in labels.distinct
    ]
    if len(classes) > MOST_CLASSES:
      return
    codes = np.array(numbered, np.int64)[labels.codes]
    rows = np.flatnonzero(codes >= 0)
    codes = codes[rows]
    more = len(classes) - len(self._records)
    self._records = np.pad(self._records, (0, more)) + np.bincount(codes, minlength=len(classes))
    self._limits = np.pad(self._limits, (0, more), constant_values=1)
    for column, owners, cells in zip(self._columns, self._owners, columns, strict=True):
      if cells is None or len(column.cells) > column.most:
        owners.clear()
      else:
        _add_owners(owners, cells.distinct, cells.codes[rows], codes)
    draws = self._random.random(len(rows))
    taken = draws < self._limits[codes]
    picked = rows[taken]
    self._numbers.append(np.column_stack([numbers(i, picked) for i in range(len(columns))]))
    self._codes = np.concatenate([self._codes, codes[taken]])
    self._draws = np.concatenate([self._draws, draws[taken]])
    if len(self._codes) > self._most:
      self._reduce()

  def _reduce(self) -> None:
    """Keeps the records of each class with the smallest draws, `most` in all classes."""
    most = self._most // len(self._classes)
    order = np.lexsort((self._draws, self._codes))
    codes = self._codes[order]
    first = np.searchsorted(codes, np.arange(len(self._classes)))
    kept = np.arange(len(codes)) - first[codes] < most
    numbers = np.concatenate(self._numbers)[order[kept]]
    self._codes, self._draws, self._numbers = codes[kept], self._draws[order[kept]], [numbers]
    full = np.bincount(self._codes, minlength=len(self._classes)) == most
    last = np.zeros(len(self._classes))
    np.maximum.at(last, self._codes, self._draws)
    self._limits[full] = last[full]

  def notes(self, names: Collection[str], label: str) -> list[str]:
    """Returns a warning of the columns, among those named, that give the label away, if any."""
    if not 1 < len(self._classes) <= MOST_CLASSES:
      return []
    kind_of_label = next(column.type for column in self._columns if column.name == label)
    gaps = [kind_of_label != 'text' and is_missing(str(value)) for value in self._classes]
    sampled, numbers = np.bincount(self._codes), np.concatenate(self._numbers)
    weights = (self._records / sampled)[self._codes]
    found = []
    for column, owners, cells in zip(self._columns, self._owners, numbers.T, strict=True):
      if column.name in names and column.name != label:
        is_number = column.type in ('int', 'float')
        reason = self._decided(owners, gaps) or self._separated(is_number, cells, weights, gaps)
        found += [f'{column.name!r} ({reason})'] if reason else []
    if not found:
      return []
    return [
      f'! columns that may give the label away: {name_some(found)}; leave them out with --ignore '
      'if they are not known before the label is'
    ]

  def _decided(self, owners: dict[Any, tuple[int, int]], gaps: Sequence[bool]) -> str:
    """Returns the class that has values of its own, and a value; '' if values decide none."""
    shares = self._records / self._records.sum()
    together = np.zeros(len(shares), np.int64)
    largest: dict[int, tuple[int, Any]] = {}
    for value, (owner, n) in owners.items():
      if owner < 0 or gaps[owner] or n < FEWEST or shares[owner] >= 0.5:
        continue
      if n * math.log(shares[owner]) < math.log(CHANCE):
        together[owner] += n
        largest[owner] = max(largest.get(owner, (0, value)), (n, value), key=lambda each: each[0])
    owner = int(np.argmax(together * 2 >= self._records))
    if not together[owner] or together[owner] * 2 < self._records[owner]:
      return ''
    share, name = together[owner] / self._records[owner], list(self._classes)[owner]
    return f'{share:.0%} of {name!r} have values of their own, such as {largest[owner][1]!r}'

  def _separated(
    self, is_number: bool, cells: Floats, weights: Floats, gaps: Sequence[bool]
  ) -> str:
    """Returns the class that numbers, or gaps, separate best; '' if they separate none."""
    here = ~np.isnan(cells)
    judged = [('AUC of its numbers', cells[here], here)] if is_number else []
    for word, values, rows in (*judged, ('AUC of its gaps', here, here | True)):
      areas = areas_under_curves(values, self._codes[rows], weights[rows], len(gaps))
      areas[gaps] = np.nan
      away = np.nan_to_num(np.abs(areas - 0.5))
      if away.max(initial=0) > HIGHEST_AUC - 0.5:
        best = int(np.argmax(away))
        return f'{word} {0.5 + away[best]:.3f} for {list(self._classes)[best]!r}'
    return ''


def _add_owners(
  owners: dict[Any, tuple[int, int]], distinct: Sequence[Any], cells: Ints, codes: Ints
) -> None:
  """Adds records of each value to its class, -2 if there are several, and its number of records."""
  owner = np.full(len(distinct), -2)
  owner[cells] = codes
  owner[cells[owner[cells] != codes]] = -2
  times = np.bincount(cells, minlength=len(distinct))
  for value, own, n in zip(distinct, owner.tolist(), times.tolist(), strict=True):
    if n:
      before, records = owners.get(value, (own, 0))
      owners[value] = (own if own == before else -2, records + n)


def areas_under_curves(values: Any, codes: Ints, weights: Floats, n_classes: int) -> Floats:
  """Returns the area under the ROC curve of each class against the others: float64 [classes].

  It is the chance that a value of the class is larger than one of the others, equal ones counted
  half (Hanley and McNeil 1982); NaN where fewer than FEWEST records are of the class or of others.

  >>> areas_under_curves([1, 2, 3, 4] * 10, np.array([0, 0, 1, 1] * 10), np.ones(40), 2).tolist()
  [0.0, 1.0]

  Args:
    values: Numbers: [n].
    codes: Class of each: int64 [n].
    weights: Number of records that each stands for: float64 [n].
    n_classes: Number of classes.
  """
  distinct, which = np.unique(values, return_inverse=True)
  cells = which.reshape(-1) * n_classes + codes
  table = np.bincount(cells, weights, len(distinct) * n_classes).reshape(-1, n_classes)
  others = table.sum(axis=1, keepdims=True) - table
  below = np.cumsum(others, axis=0) - others / 2
  records = np.bincount(codes, minlength=n_classes)
  few = (records < FEWEST) | (len(codes) - records < FEWEST)
  pairs = table.sum(axis=0) * others.sum(axis=0)
  areas = (table * below).sum(axis=0) / np.where(few, 1, pairs)
  return np.where(few, np.nan, areas)
