"""Contents of the user's own files: columns of numbers or categories, and what is odd in them."""

from __future__ import annotations

import functools
import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfx_balance.cli.own_labels import LabelCounts, is_missing, name_some
from tfx_balance.errors import DataError
from tfx_balance.plan.ranks import Ints

if TYPE_CHECKING:
  from tfx_balance.cli.target_leakage import TargetLeakage

LARGEST_FLOAT = 3.4e38  # of float32, in which ExampleGen stores fractions
MOST_VALUES = 1_000  # categories that the model has of one column
FEWEST_NUMBERED = 100  # rows, below which numbers may well all differ
COMMA_NUMBER = re.compile(r'[+-]?[\d.,]*,[\d.,]*\d')
TYPES = {'text': 'text', 'comma': 'text', 'infinite': 'float', 'float': 'float', 'int': 'int'}
"""Type of a column with a cell of a kind; the first that occurs decides."""
KINDS = ('missing', *TYPES)
WORDS = {'int': 'numeric', 'float': 'numeric', 'text': 'categorical', 'empty': 'empty'}
"""How a column of each type is used."""
ODDITIES = {
  'nameless': 'columns without a name, such as an index: {}; leave them out with --ignore',
  'empty': 'columns without a value: {}; fill them in, or leave them out with --ignore',
  'constant': 'columns with one value in all rows: {}; leave them out with --ignore',
  'mixed': 'columns of text that is mostly numbers, each a category now: {}; correct the others',
  'numbered': 'columns of integers that seem to number the rows: {}; leave them out with --ignore',
  'unique': 'columns of text that differs in nearly all rows: {}; leave them out with --ignore',
}
"""Warnings of odd columns."""


@dataclass(frozen=True, eq=False)
class Cells:
  """Cells of one column in a part of the rows.

  Attributes:
    distinct: Each distinct value: its text, '' for a missing one.
    codes: Position in `distinct` of each cell: [rows].
  """

  distinct: Sequence[Any]
  codes: Ints


@functools.lru_cache(4096)
def cell_kind(cell: str) -> str:
  """Returns one of KINDS, 'missing' or what CsvExampleGen takes the cell for, in bytes.

  A text with digits and a comma, such as 1,5, is 'comma', and a number beyond float32 'infinite'.
  """
  if is_missing(cell):
    return 'missing'
  try:
    return 'int' if -(2**63) <= int(cell.encode()) < 2**63 else 'text'
  except ValueError:
    try:
      return 'float' if abs(float(cell.encode())) <= LARGEST_FLOAT else 'infinite'
    except ValueError:
      return 'comma' if COMMA_NUMBER.fullmatch(cell.strip()) else 'text'


_BYTES = np.zeros(256, np.uint8)
_BYTES[list(b'0123456789')], _BYTES[list(b'.-')] = 1, [2, 3]
# Those in no number, and in no word for a missing one.
_BYTES[list(b':bcdghjkmpqrsvwxzBCDGHJKMPQRSVWXZ')] = 4


def cell_kinds(cells: npt.NDArray[Any]) -> Ints:
  """Returns the number of the kind of each cell in KINDS, as `cell_kind` has it: int64 [cells].

  >>> [KINDS[i] for i in cell_kinds(np.array([b'1', b'', b'-2.5', b'red', b'1e3', b'nan']))]
  ['int', 'missing', 'float', 'text', 'float', 'missing']
  """
  kinds = np.full(len(cells), -1)
  if cells.dtype.kind == 'S' and len(cells):
    values = np.ascontiguousarray(cells).view(np.uint8).reshape(len(cells), -1)
    sizes, found = (values != 0).sum(axis=1), _BYTES[values]
    digits, points = (found == 1).sum(axis=1), (found == 2).sum(axis=1)
    plain = (digits > 0) & (digits + points + (found[:, 0] == 3) == sizes)
    kinds[plain & (points == 0) & (digits <= 18)] = KINDS.index('int')
    kinds[plain & (points == 1) & (digits <= 30)] = KINDS.index('float')
    kinds[(found == 4).any(axis=1)] = KINDS.index('text')
    kinds[sizes == 0] = KINDS.index('missing')
  for i in np.flatnonzero(kinds < 0).tolist():
    kinds[i] = KINDS.index(cell_kind(cells[i].decode()))
  return kinds


@dataclass
class OwnColumn:
  """The cells of a column, counted as they are read.

  Attributes:
    name: Name of the column, or of the feature.
    most: Number of different cells beyond which no new ones are counted.
    kinds: Number of cells of each kind, as of `cell_kind`.
    first: First cell of each kind.
    cells: Number of each of the different cells.
  """

  name: str
  most: float = MOST_VALUES
  kinds: Counter[str] = field(default_factory=Counter)
  first: dict[str, Any] = field(default_factory=dict)
  cells: Counter[Any] = field(default_factory=Counter)

  def add(self, cells: npt.NDArray[Any]) -> Cells | None:
    """Counts cells of CSV, given their bytes; returns them while all their values are counted."""
    counted = len(self.cells) <= self.most
    if not counted and not self.may_number_rows:
      self._add_kinds(cell_kinds(cells), cells)
      return None
    distinct, codes, times = np.unique(cells, return_inverse=True, return_counts=True)
    codes = codes.reshape(-1)
    self._add_kinds(cell_kinds(distinct)[codes], cells)
    if not counted:  # those that were counted before
      kept = np.isin(distinct, [cell.encode() for cell in self.cells])
      distinct, times = distinct[kept], times[kept]
    texts = [cell.decode() for cell in distinct.tolist()]
    self.add_values(texts, times.tolist())
    return Cells(texts, codes) if counted else None

  def _add_kinds(self, kinds: Ints, cells: npt.NDArray[Any]) -> None:
    for kind, times in enumerate(np.bincount(kinds, minlength=len(KINDS)).tolist()):
      self.kinds[KINDS[kind]] += times
      if times and KINDS[kind] not in self.first:
        self.first[KINDS[kind]] = cells[np.argmax(kinds == kind)].decode()

  def add_values(self, values: Iterable[Any], times: Iterable[int]) -> None:
    """Counts values so many times, new ones while they are not too many."""
    for value, n in zip(values, times, strict=True):
      if value in self.cells or len(self.cells) <= self.most:
        self.cells[value] += n

  def count(self, kind: str, value: Any) -> None:
    """Counts a value of a kind."""
    self.kinds[kind] += 1
    self.first.setdefault(kind, value)
    self.add_values([value], [1])

  @property
  def may_number_rows(self) -> bool:
    """Whether all values are integers of which each that was counted occurs once."""
    return self.type == 'int' and set(self.cells.values()) == {1}

  @property
  def type(self) -> str:
    """The narrowest type of all values: 'int', 'float' or 'text'; 'empty' if there are none."""
    return next((word for kind, word in TYPES.items() if kind in self.first), 'empty')

  @property
  def gaps(self) -> int:
    """Number of missing cells; in a column of text, a word such as NA is a value."""
    if self.type != 'text':
      return self.kinds['missing']
    words = sum(
      n for c, n in self.cells.items() if isinstance(c, str) and c.strip() and is_missing(c)
    )
    return self.kinds['missing'] - words

  @property
  def oddity(self) -> str:
    """A key of ODDITIES, or '' if the column has none of these."""
    texts = self.kinds['text']
    if re.fullmatch(r'column \d+|__index_level_\d+__', self.name):  # of read_header, of pandas
      return 'nameless'
    if self.type == 'empty' or len(self.cells) == 1:
      return 'empty' if self.type == 'empty' else 'constant'
    if self.may_number_rows and len(self.cells) >= FEWEST_NUMBERED:
      return 'numbered'
    if 0 < texts < self.kinds.total() - self.kinds['missing'] - texts:
      return 'mixed'
    return 'unique' if texts and len(self.cells) > min(0.9 * texts, MOST_VALUES) else ''


@dataclass(frozen=True)
class Contents:
  """Contents of the files of one kind.

  Attributes:
    columns: Columns or features, in order.
    labels: Label values in all records; None if no label was named, or no column is called so.
    records: Number of all records; None if they were not all read.
    sampled: Whether the columns are of the first records only.
    write: Function that writes files for CsvExampleGen to a folder; None for files of other kinds.
    leakage: What columns tell about the label; None where that was not judged.
  """

  columns: list[OwnColumn]
  labels: LabelCounts | None
  records: int | None = None
  sampled: bool = False
  write: Callable[[Path], None] | None = None
  leakage: TargetLeakage | None = None

  @property
  def types(self) -> dict[str, str]:
    """Type of each column, by name."""
    return {column.name: column.type for column in sorted(self.columns, key=lambda c: c.name)}

  def notes(self, label: str | None, ignored: Collection[str]) -> list[str]:
    """Returns a line on how the columns are used if there is a label, and those on odd columns.

    Raises:
      DataError: If a column of numbers has a decimal comma or an infinite value.
    """
    used = [] if self.sampled else [c for c in self.columns if c.name not in (label, *ignored)]
    gaps = [c.name for c in used if c.gaps and c.type != 'empty']
    uses = [] if label is None else [describe(self.types, label, ignored, gaps)]
    found = [*uses, *find_oddities(used)]
    if self.leakage is not None and label is not None:
      found += self.leakage.notes({column.name for column in used}, label)
    return found


def numbers_of(cells: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
  """Returns the number of each cell, given its bytes: NaN for a gap, 0 for a text."""

  def number(cell: bytes) -> float:
    try:
      return float(cell)
    except ValueError:
      return math.nan if is_missing(cell.decode()) else 0

  return np.array([number(cell) for cell in cells.tolist()], np.float64)


def describe(
  types: Mapping[str, str], label: str, ignored: Collection[str], gaps: Collection[str] = ()
) -> str:
  """Returns a line on how the features are used.

  >>> describe({'kind': 'text', 'size': 'int', 'id': 'text'}, 'kind', ['id'], ['size'])
  '3 columns: the label, 1 numeric (1 with gaps), 1 ignored'
  """
  uses = {n: 'ignored' if n in ignored else WORDS[k] for n, k in types.items() if n != label}
  counts, gaps_of = Counter(uses.values()), Counter(uses[name] for name in gaps)
  parts = [
    f'{counts[use]:,} {use}' + (f' ({gaps_of[use]:,} with gaps)' if gaps_of[use] else '')
    for use in dict.fromkeys((*WORDS.values(), 'ignored'))
    if counts[use]
  ]
  return f'{len(types):,} columns: {", ".join(["the label", *parts])}'


def check_same_columns(
  first: Path, names: Sequence[str], path: Path, others: Sequence[str]
) -> None:
  """Raises a DataError if the columns of a file are not those of the first."""
  if others != names:
    raise DataError(
      f'{path} has other columns than {first.name}; put files with the same columns, in the '
      'same order, into a separate folder'
    )


def find_oddities(columns: Iterable[OwnColumn]) -> list[str]:
  """Returns a warning for each kind of odd columns, with up to three of them.

  Raises:
    DataError: If a column of numbers has a decimal comma or an infinite value.
  """
  found: dict[str, list[str]] = {}
  for column in columns:
    cell = column.first.get('comma', column.first.get('infinite'))
    text = column.first.get('text')
    if cell is not None and text is None:
      raise DataError(
        f'column {column.name!r} has the value {cell!r}; write numbers with a decimal point and '
        'without commas, leave a cell empty where there is no finite number, or leave the column '
        f'out with --ignore {shlex.quote(column.name)}'
      )
    example = f' ({text!r})' if text is not None else ''
    found.setdefault(column.oddity, []).append(f'{column.name!r}{example}')
  return [f'! {t.format(name_some(found[k]))}' for k, t in ODDITIES.items() if k in found]
