"""Columns of the user's own CSV files: which are numbers or categories, and what is odd."""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_balance.cli.own_labels import LabelCounts, is_missing, name_some
from tfx_balance.errors import DataError

LARGEST_FLOAT = 3.4e38  # of float32, in which ExampleGen stores fractions
MOST_VALUES = 1_000  # categories that the model has of one column
FEWEST_NUMBERED = 100  # rows, below which numbers may well all differ
PLAIN_FLOAT = re.compile(r'-?[0-9]{1,15}\.[0-9]{1,15}')  # recognized without an exception for int()
COMMA_NUMBER = re.compile(r'[+-]?[\d.,]*,[\d.,]*\d')
TYPES = {'text': 'text', 'comma': 'text', 'infinite': 'float', 'float': 'float', 'int': 'int'}
"""Type of a column with a cell of a kind; the first that occurs decides."""
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


def cell_kind(cell: str) -> str:
  """Returns 'missing' or a kind of TYPES: what CsvExampleGen takes the cell for, in bytes.

  A text with digits and a comma, such as 1,5, is 'comma', and a number beyond float32 'infinite'.
  """
  if PLAIN_FLOAT.fullmatch(cell):
    return 'float'
  if is_missing(cell):
    return 'missing'
  try:
    return 'int' if -(2**63) <= int(cell.encode()) < 2**63 else 'text'
  except ValueError:
    try:
      return 'float' if abs(float(cell.encode())) <= LARGEST_FLOAT else 'infinite'
    except ValueError:
      return 'comma' if COMMA_NUMBER.fullmatch(cell.strip()) else 'text'


@dataclass
class Column:
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

  def add(self, cells: Iterable[str]) -> None:
    """Counts some cells."""
    for cell, times in Counter(cells).items():
      self.count(cell_kind(cell), cell, times)

  def count(self, kind: str, cell: Any, times: int = 1) -> None:
    """Counts a cell of a kind so many times."""
    self.kinds[kind] += times
    self.first.setdefault(kind, cell)
    if cell in self.cells or len(self.cells) <= self.most:
      self.cells[cell] += times

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
    if (
      self.type == 'int' and len(self.cells) >= FEWEST_NUMBERED and set(self.cells.values()) == {1}
    ):
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
  """

  columns: list[Column]
  labels: LabelCounts | None
  records: int | None = None
  sampled: bool = False
  write: Callable[[Path], None] | None = None

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
    return [*uses, *find_oddities(used)]


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


def find_oddities(columns: Iterable[Column]) -> list[str]:
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
