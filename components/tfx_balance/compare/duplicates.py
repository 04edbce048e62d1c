"""Records of equal features: their groups, and the sentence about them.

A record that stands twice may be trained on and tested, so that a model seems better than it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.arrays import is_missing, is_sparse, n_rows, read_column
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.plan.runs import starts_of_runs

_KEYS = tuple(tie_break(0, 'equal rows', half) for half in range(2))
_PART_WORDS = 1 << 20  # words of 8 bytes that are hashed at a time, each of which takes 50 bytes


def equal_rows(x: Any) -> Ints:
  """Returns the first record that each one is equal to in all features: int64 [n].

  Records are compared by a hash of 128 bits, so that two that differ count as equal by a chance of
  2**-128. NaN equals NaN, -0.0 equals 0.0, and a missing value equals a missing one of its feature.
  A part of an array is read at a time.

  >>> equal_rows(np.array([[0.0, np.nan], [1.0, 2.0], [-0.0, np.nan]])).tolist()
  [0, 1, 0]

  Args:
    x: Array [n, ...] of numbers, texts or objects, list of records, sparse matrix of SciPy, or
      table of pandas, polars or pyarrow; or dicts and tuples of such features.

  Raises:
    DataError: if two features differ in the number of records.
  """
  columns = list(_columns_of(x))
  n = n_rows(columns[0], 'x') if columns else 0
  hashes = np.zeros((2, n), np.uint64)
  first = 0
  for column in columns:
    if n_rows(column, 'x') != n:
      raise DataError(
        f'a feature of x has {n_rows(column, "x")} records, and another {n}; give all of them the '
        f'same records'
      )
    first += (_add_sparse if is_sparse(column) else _add_array)(hashes, column, first)
  order = np.lexsort(hashes)
  starts = starts_of_runs(*hashes[:, order])
  found = np.empty(n, np.int64)
  found[order] = np.repeat(order[starts], np.diff(np.append(starts, n)))
  return found


def duplicates_sentence(
  rows: Ints, labels: Ints, classes: Sequence[ClassValue], together: bool = False
) -> str | None:
  """Returns the number of records that are equal to another one, and the rare share of them.

  Args:
    rows: What `equal_rows` gives, [n].
    labels: Index of each record's class, [n].
    classes: The classes.
    together: Whether they are kept in one fold; if not, the sentence says how.

  Returns:
    A sentence without its full stop; None where no record is equal to another.
  """
  repeated = np.bincount(rows, minlength=len(rows))[rows] > 1
  n = int(repeated.sum())
  if not n:
    return None
  rarest = int(np.argmin(np.bincount(labels, minlength=len(classes))))
  rare = int((labels[repeated] == rarest).sum())
  place = ', in one fold' if together else ": groups='duplicates' keeps them in one fold"
  return (
    f'{n:,} of {len(rows):,} records are equal to another ({rare:,} of class {classes[rarest]}, '
    f'{100 * rare / n:.3g} %){place}'
  )


def _columns_of(x: Any) -> Iterator[Any]:
  """Yields the features of dicts, tuples and tables, whatever the names of columns are."""
  if isinstance(x, (Mapping, tuple)):
    for feature in x.values() if isinstance(x, Mapping) else x:
      yield from _columns_of(feature)
  elif hasattr(x, 'iloc') and hasattr(x, 'columns'):  # pandas
    yield from (x.iloc[:, i] for i in range(x.shape[1]))
  elif hasattr(x, 'get_columns'):  # polars
    yield from x.get_columns()
  elif hasattr(x, 'column_names'):  # pyarrow
    yield from x.columns
  elif getattr(getattr(x, 'dtype', None), 'names', None):
    yield from (x[name] for name in x.dtype.names)
  else:
    yield x


def _add_array(hashes: UInts, column: Any, first: int) -> int:
  """Adds the hash of a feature's values to those of the records; returns its words a record.

  Args:
    hashes: The two halves of each record's hash: uint64 [2, n].
    column: Values, [n, ...].
    first: Number of its first word among those of all features.
  """
  values, missing = _values_of(column)
  n_words = 0
  for part in _parts(len(values), values[:1].nbytes // 8 + 1):
    words = _words_of(values[part])
    if missing is not None:
      unknown = missing[part]
      filled = np.where(unknown, np.zeros((), values.dtype), values[part])
      words = np.hstack([_words_of(filled), _words_of(unknown)])
    n_words = words.shape[1]
    numbers = np.arange(first, first + n_words, dtype=np.uint64)
    for half, key in zip(hashes, _KEYS, strict=True):
      half[part] += mix(words, mix(numbers, key)).sum(axis=1, dtype=np.uint64)
  return n_words


def _add_sparse(hashes: UInts, matrix: Any, first: int) -> int:
  """Adds the hash of a sparse matrix, of which only what is not 0 is read; see `_add_array`."""
  rows = matrix.tocsr()
  if not rows.has_canonical_format:
    rows = rows.copy()
    rows.sum_duplicates()
  n, n_columns = rows.shape
  for part in _parts(n, rows.nnz // max(n, 1) + 1):
    ends = rows.indptr[part.start : part.stop + 1].astype(np.int64)
    data = rows.data[ends[0] : ends[-1]]
    columns = rows.indices[ends[0] : ends[-1]].astype(np.uint64) + np.uint64(first)
    words = _words_of(data)
    for half, key in zip(hashes, _KEYS, strict=True):
      cells = np.zeros(len(data), np.uint64)
      for i in range(words.shape[1]):
        cells += mix(words[:, i], mix(columns, key ^ i))
      cells[data == 0] = 0
      sums = np.append(np.uint64(0), np.cumsum(cells, dtype=np.uint64))  # modulo 2**64, as all is
      half[part] += sums[ends[1:] - ends[0]] - sums[ends[:-1] - ends[0]]
  return int(n_columns)


def _parts(n: int, words: int) -> list[slice]:
  """Returns parts of n records of so many words each."""
  size = max(_PART_WORDS // words, 1)
  return [slice(at, min(at + size, n)) for at in range(0, n, size)]


def _values_of(column: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
  """Returns an array that has equal bytes for equal values, and what is missing of it."""
  missing = None
  if isinstance(column, np.ndarray) and not isinstance(column, np.ma.MaskedArray):
    values = column
  else:
    try:
      found = read_column(column, 'x')
      values, missing = found.values, found.missing
    except DataError:  # rows that differ in length, or texts beside numbers
      to_list = next((n for n in ('to_pylist', 'to_list') if hasattr(column, n)), None)
      rows = getattr(column, to_list)() if to_list else column
      values = np.fromiter(rows, object, len(rows))
  if values.dtype.kind in 'biufcmMSU' and values.dtype.char not in 'gG':  # these have unused bytes
    return values, missing
  first: dict[Any, int] = {}
  numbers = map(first.setdefault, map(_key_of, values.astype(object).flat), itertools.count())
  return np.fromiter(numbers, np.int64, values.size).reshape(values.shape), missing


def _key_of(value: Any) -> Any:
  """Returns a hashable key of a value; keys are equal where values are, nested ones included."""
  if isinstance(value, (str, bytes)):
    return value
  if isinstance(value, np.ndarray):
    return value.shape, tuple(map(_key_of, value.flat))
  if isinstance(value, (list, tuple)):
    return tuple(map(_key_of, value))
  if isinstance(value, Mapping):
    return frozenset((key, _key_of(item)) for key, item in value.items())
  if isinstance(value, (set, frozenset)):
    return frozenset(value)
  if type(value).__hash__ is None:
    return 'object', id(value)
  return None if is_missing(value) else value


def _words_of(values: npt.NDArray[Any]) -> UInts:
  """Returns the values of each record as words: uint64 [n, words]."""
  if values.dtype.kind in 'fc':
    values = values + values.dtype.type(0)  # -0.0 is 0.0
    values[np.isnan(values)] = np.nan  # which has many bit patterns
  n_bytes = values.itemsize * int(np.prod(values.shape[1:]))
  rows = np.zeros((len(values), -(-n_bytes // 8) * 8), np.uint8)
  if n_bytes:
    rows[:, :n_bytes] = np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)
  return rows.view(np.uint64)
