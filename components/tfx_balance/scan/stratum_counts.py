"""Strata as columns: a million of them are a few arrays, which workers send to each other.

As objects they would take 300 bytes each, and Python's garbage collector would search them, TFX
and TensorFlow included, over and over: half of all the time where a file has 10,000 classes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_balance.plan.class_value import MISSING, ClassValue, Kind, Stratum
from tfx_balance.plan.distinct_sets import DistinctSets
from tfx_balance.plan.narrow_integers import NarrowColumns, narrow, wide
from tfx_balance.plan.ranks import Ints

Kinds = tuple[Kind, ...]
SEPARATOR = '\n'
"""Separator of the texts of the labels of a set."""
_TYPES: dict[Kind, pa.DataType] = {
  'int': pa.int64(),
  'float': pa.float64(),
  'bytes': pa.large_binary(),
  'set': pa.large_binary(),
  'missing': pa.null(),
}


@dataclass(frozen=True, eq=False)
class StratumColumns(Sequence[Stratum]):
  """Strata, each made into an object at access.

  Attributes:
    kinds: Type of the values of each feature; 'missing' where none is known.
    columns: Values of each feature: Arrow int64, float64, large_binary or null [strata]; null is a
      missing value. A label set is the texts of its labels, ascending and joined by `SEPARATOR`;
      null is the empty one.
  """

  kinds: Kinds
  columns: tuple[pa.Array, ...]

  @classmethod
  def of(cls, kinds: Sequence[Kind], columns: Sequence[Sequence[Any] | pa.Array]) -> StratumColumns:
    """Returns the columns of Python values, or of arrays; None is a missing one."""
    made = [values_array(kind, values) for kind, values in zip(kinds, columns, strict=True)]
    found = [column.null_count < len(column) for column in made]
    return cls(
      tuple(kind if any_found else 'missing' for kind, any_found in zip(kinds, found, strict=True)),
      tuple(c if any_found else pa.nulls(len(c)) for c, any_found in zip(made, found, strict=True)),
    )

  def __reduce__(self) -> tuple[Any, ...]:
    first, *others = self.columns
    if self.kinds[0] == 'set':
      texts, *columns = split_labels(first)
      first = (texts, *map(narrow, columns))
    return _from_narrow, (self.kinds, first, others)

  def __len__(self) -> int:
    return len(self.columns[0])

  @overload
  def __getitem__(self, at: int) -> Stratum: ...
  @overload
  def __getitem__(self, at: slice) -> Sequence[Stratum]: ...
  def __getitem__(self, at: int | slice) -> Stratum | Sequence[Stratum]:
    if isinstance(at, slice):
      return StratumColumns(self.kinds, tuple(column[at] for column in self.columns))
    at = range(len(self))[at]
    return next(iter(self[at : at + 1]))

  def __iter__(self) -> Iterator[Stratum]:
    pairs = zip(self.kinds, self.columns, strict=True)
    return zip(*(_classes(kind, as_list(column)) for kind, column in pairs), strict=True)

  @property
  def classes(self) -> ClassSequence:
    """The classes of the first feature, of each stratum."""
    return ClassSequence(self)

  def label_sets(self) -> DistinctSets | None:
    """Returns the label sets of the first feature; None where its classes are no sets.

    Raises:
      DataError: if labels are of several types.
    """
    if self.kinds[0] != 'set':
      return None
    texts, members, lengths = split_labels(self.columns[0])
    return DistinctSets.numbered([_label(json.loads(text)) for text in texts], members, lengths)

  def take(self, which: Ints) -> StratumColumns:
    """Returns the strata at these places."""
    places = pa.array(which)
    return StratumColumns(self.kinds, tuple(column.take(places) for column in self.columns))

  def rows_of(self, strata: StratumColumns) -> Ints:
    """Returns the place here of each of some other strata: int64 [n].

    Raises:
      KeyError: if one is not there.
    """
    here, there = _common_keys([self, strata])
    # The hash table is of the few strata of a file, not of all, so that many files are quick.
    found = pc.index_in(here, value_set=there)
    rows = np.full(len(strata), -1, np.int64)
    rows[found.drop_null().to_numpy()] = np.flatnonzero(found.is_valid().to_numpy(False))
    if (rows < 0).any():
      raise KeyError(strata[int(np.argmax(rows < 0))])
    return rows


class ClassSequence(Sequence[ClassValue]):
  """The classes of the first feature of some strata, each made into an object at access."""

  def __init__(self, strata: StratumColumns) -> None:
    self._strata = strata

  def __len__(self) -> int:
    return len(self._strata)

  @overload
  def __getitem__(self, at: int) -> ClassValue: ...
  @overload
  def __getitem__(self, at: slice) -> Sequence[ClassValue]: ...
  def __getitem__(self, at: int | slice) -> ClassValue | Sequence[ClassValue]:
    if isinstance(at, slice):
      return [stratum[0] for stratum in self._strata[at]]
    return self._strata[at][0]

  def __iter__(self) -> Iterator[ClassValue]:
    return (stratum[0] for stratum in self._strata)


@dataclass(frozen=True, eq=False)
class StratumCounts(NarrowColumns):
  """Records and bytes of each of some strata.

  Attributes:
    strata: Strata, n of them.
    records: Number of records of each: int64 [n].
    n_bytes: Bytes of their frames: int64 [n].
  """

  strata: StratumColumns
  records: Ints
  n_bytes: Ints

  narrow_columns = ('records', 'n_bytes')

  def __len__(self) -> int:
    return len(self.strata)


def sum_counts(several: Sequence[StratumCounts]) -> StratumCounts:
  """Returns the sums, with the strata in canonical order; each feature is of one type in all.

  Args:
    several: Counts to add up, one at least.
  """
  strata = _joined([counts.strata for counts in several])
  numbers, first = _numbered(strata.columns)
  sums = np.zeros((2, len(first)), np.int64)
  for total, name in zip(sums, ('records', 'n_bytes'), strict=True):
    np.add.at(total, numbers, np.concatenate([getattr(counts, name) for counts in several]))
  return StratumCounts(strata.take(first), *sums)


def sum_by_kinds(several: Iterable[StratumCounts]) -> list[StratumCounts]:
  """Returns the sums of the counts that have features of the same types."""
  ordered = sorted(several, key=attrgetter('strata.kinds'))
  return [
    sum_counts(list(of_kinds)) for _, of_kinds in groupby(ordered, attrgetter('strata.kinds'))
  ]


def label_text(label: int | float | bytes) -> bytes:
  """Returns a label as JSON without line ends; different labels have different texts.

  >>> label_text(b'two words'), label_text(2)
  (b'"two words"', b'2')
  """
  text = label.decode('utf-8', 'surrogateescape') if isinstance(label, bytes) else label
  return json.dumps(text).encode()


def join_labels(texts: Sequence[bytes], members: Ints, lengths: Ints) -> pa.Array:
  """Returns label sets as `StratumColumns` has them; the arguments are as from `split_labels`."""
  row_splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
  labels = pa.array(texts, pa.binary()).take(pa.array(members))
  joined = pc.binary_join(
    pa.ListArray.from_arrays(pa.array(row_splits), labels), SEPARATOR.encode()
  )
  found = pc.if_else(pa.array(lengths > 0), joined, pa.scalar(None, joined.type))
  return found.cast(_TYPES['set'])


def split_labels(column: pa.Array) -> tuple[list[bytes], Ints, Ints]:
  """Returns the labels of sets as `StratumColumns` has them.

  Returns:
    texts: Distinct texts of labels.
    members: Numbers of the texts of the first set, of the next, and so on: int64 [members].
    lengths: Number of labels of each set: int64 [sets].
  """
  parts = pc.split_pattern(column, SEPARATOR)
  distinct = parts.flatten().dictionary_encode()
  lengths = pc.list_value_length(parts).fill_null(0).to_numpy()
  return (
    distinct.dictionary.to_pylist(),
    distinct.indices.to_numpy().astype(np.int64),
    lengths.astype(np.int64),
  )


def _from_narrow(kinds: Kinds, first: Any, others: Sequence[pa.Array]) -> StratumColumns:
  """Returns strata as they were sent: label sets, those of the first feature, as `split_labels`."""
  if kinds[0] == 'set':
    first = join_labels(first[0], *map(wide, first[1:]))
  return StratumColumns(kinds, (first, *others))


def values_array(kind: Kind, values: Sequence[Any] | pa.Array) -> pa.Array:
  """Returns classes of a type, None for a missing one, as `StratumColumns` has them."""
  if isinstance(values, pa.Array):
    return pa.nulls(len(values)) if kind == 'missing' else values.cast(_TYPES[kind])
  return pa.array(values, _TYPES[kind])


def _label_set(text: bytes | None) -> ClassValue:
  labels = text.decode().split(SEPARATOR) if text else []
  return ClassValue('set', tuple(_label(json.loads(label)) for label in labels))


@functools.lru_cache(maxsize=1 << 16, typed=True)
def _label(value: int | float | str) -> ClassValue:
  if isinstance(value, str):
    return ClassValue('bytes', value.encode('utf-8', 'surrogateescape'))
  return ClassValue('float' if isinstance(value, float) else 'int', value)


def _classes(kind: Kind, values: Sequence[Any]) -> Iterator[ClassValue]:
  if kind == 'set':
    return map(_label_set, values)
  return (MISSING if value is None else ClassValue(kind, value) for value in values)


def as_list(column: pa.Array) -> list[Any]:
  """Returns the values; by way of numpy, which is ten times faster, where none is null."""
  return column.to_pylist() if column.null_count else column.to_numpy(False).tolist()


def _joined(several: Sequence[StratumColumns]) -> StratumColumns:
  """Returns strata one after another; a feature that is missing in some takes the others' type."""
  kinds: list[Kind] = []
  columns = []
  for i in range(len(several[0].kinds)):
    kinds_there = {strata.kinds[i] for strata in several} - {'missing'}
    if len(kinds_there) > 1:
      raise ValueError(f'feature {i} is of the types {sorted(kinds_there)}, and must be of one')
    kinds.append(kinds_there.pop() if kinds_there else 'missing')
    columns.append(
      pa.concat_arrays([strata.columns[i].cast(_TYPES[kinds[-1]]) for strata in several])
    )
  return StratumColumns(tuple(kinds), tuple(columns))


def _numbered(columns: Sequence[pa.Array]) -> tuple[Ints, Ints]:
  """Returns the place of each row among the distinct ones in canonical order, and one row of each.

  Returns:
    numbers: int64 [n].
    rows: Place of a row of each number: int64 [distinct].
  """
  numbers, n = _ranked(columns[0])
  for column in columns[1:]:
    of_column, distinct = _ranked(column)
    # Below the number of rows times that of values, so that many features fit into 64 bits.
    found, numbers = np.unique(numbers * distinct + of_column, return_inverse=True)
    numbers, n = numbers.reshape(-1).astype(np.int64), len(found)
  rows = np.empty(n, np.int64)
  rows[numbers] = np.arange(len(numbers))
  return numbers, rows


def _ranked(column: pa.Array) -> tuple[Ints, int]:
  """Returns the place of each value among the distinct ones, null last, and their number."""
  if pa.types.is_null(column.type):
    return np.zeros(len(column), np.int64), min(1, len(column))
  encoded = column.dictionary_encode(null_encoding='encode')
  order = pc.array_sort_indices(encoded.dictionary).to_numpy()
  rank = np.empty(len(order), np.int64)
  rank[order] = np.arange(len(order))
  return rank[encoded.indices.to_numpy()], len(order)


def _common_keys(several: Sequence[StratumColumns]) -> list[pa.Array]:
  """Returns a key of each stratum, equal for equal ones only."""
  columns = [column for column in _joined(several).columns if column.type != pa.null()]
  keys = columns[0] if columns else pa.array(np.zeros(sum(map(len, several)), np.int64))
  for column in columns[1:]:
    first, second = (each.dictionary_encode(null_encoding='encode') for each in (keys, column))
    numbers = first.indices.to_numpy().astype(np.int64) * len(second.dictionary)
    keys = pa.array(numbers + second.indices.to_numpy())
  return [keys[: len(several[0])], keys[len(several[0]) :]]
