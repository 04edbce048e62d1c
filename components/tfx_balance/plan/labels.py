"""Labels in memory: their classes, and their label sets."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import format_value
from tfx_balance.errors import DataError
from tfx_balance.plan.arrays import is_sparse, named, read_column, types_differ
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distinct_sets import DistinctSets, count_sets, distinct_members
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.runs import places_in_runs, starts_of_runs
from tfx_balance.plan.sampling import TrainingCounts

_STRATA = ('labels', 'stratify_by')  # names of one argument
_LARGE = 2**63  # numbers of classes are int64
_PARTS = 32  # of values, one after another; what is made of a part takes up to 50 bytes a value
_PART = 1 << 15  # values in one of them, at least


def count_labels(labels: Any, argument: str = 'labels') -> tuple[TrainingCounts, Ints]:
  """Returns the classes of labels and, class by class, the rows that have them.

  Args:
    labels: [n] or [n, 1]: integers, booleans, text, bytes, or floats that are integral.
    argument: Name of the argument, for messages.

  Returns:
    counts: Counts of the classes, in canonical order.
    rows: int64 [n], the rows of the first class in order, then of the second, and so on.

  Raises:
    DataError: if there are no labels, or their values are no classes.
  """
  counts, codes = label_codes(labels, argument)
  rows, ends = np.empty(len(codes), np.int64), np.cumsum(counts.records)
  first = ends - counts.records
  for part in parts_of(len(codes)):
    order = np.argsort(codes[part], kind='stable')
    own = codes[part][order]
    rows[first[own] + places_in_runs(starts_of_runs(own), len(own))] = order + part.start
    first += np.bincount(own, minlength=len(first))
  return counts, rows


def label_codes(
  labels: Any, argument: str = 'labels'
) -> tuple[TrainingCounts, npt.NDArray[np.unsignedinteger[Any]]]:
  """Returns the classes of labels, and the number of the class of each.

  A part of the labels is read at a time: an array takes 5 to 8 bytes a label besides itself, of
  whatever type it is.

  Args:
    labels: As `count_labels` takes them.
    argument: Name of the argument, for messages.

  Returns:
    counts: Counts of the classes, in canonical order.
    codes: [n], of the smallest type that has the number of the last class.

  Raises:
    DataError: if there are no labels, or their values are no classes.
  """
  if isinstance(labels, (str, bytes)):
    raise DataError(
      f'{argument}={format_value(labels)} is one text, and must be [n] classes; give the values of '
      f'the column, such as table[{format_value(labels)}]'
    )
  several = ', or multilabel=True for several' if argument in _STRATA else ''
  column = read_column(labels, argument, f'give one an item{several}')
  values = column.check_listed().values
  if values.ndim == 2 and values.shape[1] == 1:
    values = values[:, 0]
  if values.ndim != 1 or not len(values):
    several = (
      f', give several columns of classes as {argument}=[a, b], or pass multilabel=True where '
      f'columns of 0 and 1 are labels of which an item has several'
    )
    raise DataError(
      f'{argument} of shape {values.shape} must be of shape [n], one class an item and one item or '
      f'more; turn one-hot rows into classes with {argument}.argmax(axis=1)'
      f'{several if argument in _STRATA else ""}'
    )
  column.check_whole('leave out items without one, or give them a value of their own')
  if values.dtype.kind in 'mM':
    raise DataError(
      f'{argument} are of type {values.dtype}, and times are not classes; give classes such as '
      f'{argument}.astype(str), or the times as order_by='
    )
  try:
    distinct, codes = distinct_codes(values, argument)
  except TypeError as error:
    for value in values:
      _class_of(value, argument)  # tells which one is no class
    raise types_differ(values, argument) from error
  classes = [_class_of(value, argument) for value in distinct]
  order = sorted(range(len(classes)), key=lambda i: classes[i].sort_key())
  if order != list(range(len(order))):  # a text may come before another whose bytes come after
    codes = np.argsort(order).astype(codes.dtype)[codes]
  records = np.zeros(len(order), np.int64)
  for part in parts_of(len(codes)):
    records += np.bincount(codes[part], minlength=len(order))
  return TrainingCounts(tuple(classes[i] for i in order), tuple(records.tolist())), codes


def distinct_codes(
  values: npt.NDArray[Any], argument: str = 'labels'
) -> tuple[npt.NDArray[Any], npt.NDArray[np.unsignedinteger[Any]]]:
  """Returns distinct values, ascending, and the place of each value among them: [n], of few bytes.

  Args:
    values: One value or more: [n].
    argument: Name of the argument, for messages.

  Raises:
    DataError: if a text is none of UTF-8.
    TypeError: if values do not compare.
  """
  parts = parts_of(len(values))
  found = (np.unique(_as_bytes(values[part], argument)) for part in parts)
  distinct = functools.reduce(np.union1d, found)
  codes = np.empty(len(values), np.min_scalar_type(len(distinct) - 1))
  for part in parts:
    codes[part] = np.searchsorted(distinct, _as_bytes(values[part], argument))
  return distinct, codes


def parts_of(n: int) -> list[slice]:
  """Returns the parts of n values."""
  size = max(_PART, -(-n // _PARTS))
  return [slice(at, at + size) for at in range(0, n, size)]


@dataclass(frozen=True, eq=False)
class LabelRows:
  """The labels of n items that have any number of labels each, in one of two forms.

  Attributes:
    values: bool [n, n_labels], whether an item has label i, where row_splits is None; otherwise the
      labels of the first item, of the next, and so on: [m], classes as `count_labels` takes them.
    row_splits: Where the labels of each item begin, and of the last one end: int64 [n + 1].
  """

  values: npt.NDArray[Any]
  row_splits: Ints | None = None

  @classmethod
  def of(cls, labels: Any) -> LabelRows:
    """Returns the labels of an array or of lists.

    Rows of 0 and 1 that are all of one length are a matrix, whose column i is the label i, and an
    array of numbers [n, n_labels] must be one. Other rows are lists of labels, in any order.

    >>> LabelRows.of([[1, 0], [1, 1]]).row_splits is None
    True
    >>> LabelRows.of([['cat'], ['cat', 'dog']]).row_splits.tolist()
    [0, 1, 3]

    Raises:
      DataError: if they are neither, or there are none.
    """
    if not isinstance(labels, Sequence) and (hasattr(labels, '__array__') or is_sparse(labels)):
      labels = read_column(labels, 'labels').check_whole().values
    is_array = isinstance(labels, np.ndarray) and labels.ndim > 0
    if (not isinstance(labels, Sequence) and not is_array) or isinstance(labels, (str, bytes)):
      raise DataError(
        f'labels of type {type(labels).__name__} are not a matrix of 0 and 1, nor lists of labels; '
        f'give one of these with multilabel=True'
      )
    if is_array and labels.ndim > 1 and labels.dtype.kind in 'biuf':
      return cls(_flags_of(labels))
    _check_rows(labels)
    lengths = np.fromiter(map(len, labels), np.int64, len(labels))
    values = as_array(list(itertools.chain.from_iterable(labels)))
    flags = as_flags(values, lengths)
    return cls(values, np.append(0, np.cumsum(lengths))) if flags is None else cls(flags)

  def __len__(self) -> int:
    return len(self.values if self.row_splits is None else self.row_splits[1:])

  def distinct(self) -> tuple[DistinctSets, Ints]:
    """Returns the distinct label sets, in canonical order, and the set of each item: int64 [n].

    Equal labels of an item count once.

    Raises:
      DataError: if no item has a label, or values are no classes.
    """
    if self.row_splits is None:
      items, numbers = np.nonzero(self.values)
      labels = tuple(ClassValue('int', i) for i in range(self.values.shape[1]))
      row_splits = np.searchsorted(items, np.arange(len(self.values) + 1))
    else:
      row_splits, numbers = self.row_splits, np.zeros(0, np.int64)
      if len(self.values):
        counts, codes = label_codes(self.values)
        labels, numbers = counts.classes, codes.astype(np.int64)
    if not len(numbers):
      raise DataError(f'none of {len(row_splits) - 1} records has a label; give labels to some')
    members, row_splits, which = count_sets(*distinct_members(numbers, row_splits))
    return DistinctSets(labels, members, row_splits), which


def as_flags(values: npt.NDArray[Any], lengths: Ints) -> npt.NDArray[np.bool_] | None:
  """Returns rows that are all of one length, all 0 or 1, as bool [n, length]; None for others.

  Args:
    values: Values of the first row, of the next, and so on: [m].
    lengths: Values of each row: int64 [n].
  """
  if values.dtype.kind not in 'biuf' or not len(values) or lengths.min() != lengths.max():
    return None
  flags = values == 1
  return flags.reshape(len(lengths), -1) if (flags | (values == 0)).all() else None


def are_no_labels(flags: npt.NDArray[np.bool_]) -> bool:
  """Returns whether rows of 0 and 1 cannot be sets of the labels 0 and 1, as some repeat one.

  Args:
    flags: bool [n, length].
  """
  return flags.shape[1] > 2 or (flags.shape[1] == 2 and bool((flags.sum(axis=1) != 1).any()))


def _flags_of(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
  """Returns numbers [n, n_labels], 0 or 1, as bool; raises DataError for others."""
  if labels.ndim != 2 or not labels.size:
    raise DataError(
      f'labels of shape {labels.shape} must be [n, n_labels], one item and one label or more; give '
      f'such a matrix of 0 and 1, or lists of labels'
    )
  flags = labels == 1
  wrong = labels[~(flags | (labels == 0))]
  if len(wrong):
    raise DataError(
      f'labels of shape {labels.shape} hold {wrong[0]}, and must be 0 or 1 where multilabel=True; '
      f'fix them, or give lists of labels'
    )
  return np.asarray(flags, np.bool_)


def _check_rows(labels: Any) -> None:
  """Raises DataError where labels are not one or more collections of labels."""
  if not len(labels):
    raise DataError('there are 0 items, and must be one or more; give the labels of some')
  for kind in set(map(type, labels)):
    if not issubclass(kind, (Collection, np.ndarray)) or issubclass(kind, (str, bytes)):
      at = next(i for i, row in enumerate(labels) if isinstance(row, kind))
      raise DataError(
        f'item {at} has the labels {format_value(_plain(labels[at]))}; with multilabel=True give '
        f'each item a list of labels, or rows of 0 and 1'
      )


def as_array(labels: Any, argument: str = 'labels') -> npt.NDArray[Any]:
  """Returns values of an argument that are all there, text among objects as bytes.

  Args:
    labels: Labels, or values of another argument.
    argument: Name of the argument, for messages.

  Raises:
    DataError: if a value is missing, or as `read_column` says.
  """
  return _as_bytes(read_column(labels, argument).check_whole().values, argument)


def _as_bytes(values: npt.NDArray[Any], argument: str) -> npt.NDArray[Any]:
  """Returns values, text among objects as bytes."""
  if values.dtype.kind == 'O' and values.ndim == 1 and len(values):
    plain = [encoded(value, argument) if isinstance(value, str) else value for value in values]
    if all(isinstance(value, bytes) for value in plain):
      # Bytes of NumPy sort several times faster than objects, and have no zeros at their ends.
      kind = object if any(value.endswith(b'\0') for value in plain) else None
      return np.array(plain, kind)
  return values


def _class_of(value: Any, argument: str) -> ClassValue:
  """Returns the class of a NumPy scalar."""
  plain = _plain(value)
  if isinstance(plain, str):
    return ClassValue('bytes', encoded(plain, argument))
  if isinstance(plain, bytes):
    return ClassValue('bytes', plain)
  if isinstance(plain, (int, float)) and _LARGE <= abs(plain) < math.inf:
    raise DataError(
      f'{named(plain, argument)} is a number of more than 63 bits; give classes as text, such as '
      f'{format_value(str(plain))}'
    )
  if isinstance(plain, (bool, int)):
    return ClassValue('int', int(plain))
  if isinstance(plain, float) and plain.is_integer():
    return ClassValue('float', plain)
  raise DataError(
    f'{named(plain, argument)} must be an integer, an integral float, text or bytes; convert or '
    f'bin it'
  )


def _plain(value: Any) -> Any:
  """Returns a NumPy scalar as a value of Python: in messages the same for all versions of NumPy."""
  return value.item() if isinstance(value, np.generic) else value


def encoded(text: str, argument: str) -> bytes:
  """Returns a text of an argument as bytes; raises DataError for half a character."""
  try:
    return text.encode('utf-8', 'surrogateescape')
  except UnicodeEncodeError as error:
    raise DataError(
      f'{named(text, argument)} has a lone surrogate, which is not text in UTF-8 ({error.reason}); '
      f'decode it from bytes again'
    ) from error
