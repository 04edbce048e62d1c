"""Tables that the benchmark of quality splits: labels, groups and label sets by name of a table."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FOLDER = 'TFX_BALANCE_DATA'
"""Environment variable that names the folder of the tables of other people."""
_MOST_LABELS = 20
_LONGEST_GROUP = 20  # records
_CLASSES = 5


@dataclass(frozen=True)
class Table:
  """Table to split.

  Attributes:
    labels: Classes, [n], or 0/1 label sets, uint8 [n, labels].
    groups: Group of each record, int64 [n]; None if records are split one by one.
  """

  labels: npt.NDArray[np.generic]
  groups: npt.NDArray[np.int64] | None = None

  @property
  def matrix(self) -> npt.NDArray[np.uint8]:
    """Whether a record has a label, uint8 [n, labels]; a class is one label."""
    if self.labels.ndim == 2:
      return self.labels.astype(np.uint8)
    classes = np.unique(self.labels)
    found: npt.NDArray[np.uint8] = (self.labels[:, np.newaxis] == classes).astype(np.uint8)
    return found


def real_tables() -> list[str]:
  """Returns the names of tables of real data: the digits and, where they are, other people's."""
  folder = os.environ.get(FOLDER)
  if not folder:
    return ['digits']
  tables = sorted(path.stem for path in Path(folder, 'tables').glob('*.csv'))
  penguins = Path(folder, 'penguins_processed.csv')
  return ['digits', *(['penguins'] if penguins.exists() else []), *tables]


def read_table(name: str, by: str) -> Table:
  """Returns a table, from files or, for a name such as '1000 records, 10 labels', made.

  Real tables have no groups and one label. Records whose first feature is equal are a group, of 1
  to 20 records, so that classes and groups depend on each other. Label sets are the features that
  are more than a standard deviation above their mean.

  Args:
    name: Name in `real_tables`, or numbers with what they count: 'records', 'labels', 'groups'.
    by: 'classes', 'groups' or 'label sets'.
  """
  if name[0].isdigit():
    parts = (part.split() for part in name.replace(',', '').split(' and '))
    return make_table(by, **{what: int(n) for n, what in parts})
  features, labels = _read(name)
  if by == 'classes':
    return Table(labels)
  if by == 'groups':
    return Table(labels, _runs(features[:, 0]))
  high = features > features.mean(axis=0) + features.std(axis=0)
  some = np.flatnonzero(high.any(axis=0))[:_MOST_LABELS]
  return Table(high[:, some].astype(np.uint8))


def make_table(by: str, records: int = 0, labels: int = _CLASSES, groups: int = 0) -> Table:
  """Returns a made table of long-tailed labels, the same each time.

  Groups are of 1 to 20 records, and most records of a group have one class.
  """
  rng = np.random.default_rng(0)
  share = 1 / (1 + np.arange(labels))
  share /= share.sum()
  if by == 'classes':
    return Table(rng.choice(labels, records, p=share))
  if by == 'groups':
    of = np.repeat(np.arange(groups), rng.integers(1, _LONGEST_GROUP + 1, groups))
    usual = rng.choice(labels, groups, p=share)[of]
    other = rng.choice(labels, len(of), p=share)
    return Table(np.where(rng.random(len(of)) < 0.7, usual, other), of)
  # Label sets whose labels come together: a record has one of a few themes.
  themes = rng.dirichlet(np.full(labels, 0.3), max(2, labels // 4))
  chance = np.clip(
    3 * (0.7 * themes[rng.integers(len(themes), size=records)] + 0.3 * share), 0, 0.9
  )
  return Table((rng.random((records, labels)) < chance).astype(np.uint8))


def _read(name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.generic]]:
  """Returns the features, float64 [n, features], and the classes, [n]."""
  if name == 'digits':
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    return images, digits
  folder = Path(os.environ[FOLDER])
  path = folder / 'penguins_processed.csv' if name == 'penguins' else folder / f'tables/{name}.csv'
  with path.open(encoding='utf-8', newline='') as file:
    header, *rows = csv.reader(file)
  at = header.index('species' if name == 'penguins' else 'label')
  columns = list(zip(*rows, strict=True))
  features = [_numbers(column) for i, column in enumerate(columns) if i != at]
  return np.stack(features, axis=1), np.array(columns[at])


def _numbers(column: Sequence[str]) -> npt.NDArray[np.float64]:
  """Returns the values of a column; those of texts are their positions in order."""
  try:
    return np.array(column, np.float64)
  except ValueError:
    return np.unique(column, return_inverse=True)[1].astype(np.float64)


def _runs(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
  """Returns groups of 1 to 20 records that follow one another by value."""
  lengths = np.random.default_rng(0).integers(1, _LONGEST_GROUP + 1, len(values))
  groups = np.empty(len(values), np.int64)
  groups[np.argsort(values, kind='stable')] = np.repeat(np.arange(len(values)), lengths)[
    : len(values)
  ]
  return groups
