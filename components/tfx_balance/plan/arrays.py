"""Columns of arrays: values of items in memory, from whatever library holds them.

NumPy and its masked arrays, lists, tensors of TensorFlow and PyTorch, series of pandas and polars,
arrays of pyarrow and sparse matrices of SciPy are read here and nowhere else. They are known by
what they have, not by their type, so that none of these libraries is imported.
"""

from __future__ import annotations

import datetime
import decimal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import format_value
from tfx_balance.errors import ConfigError, DataError

Mask = npt.NDArray[np.bool_]
_MISSING = frozenset({'NAType', 'NaTType', 'NoneType'})  # types of what stands for no value
_SIGNED = 2**63
_EXACT = 2**53  # integers below are floats without rounding
_DENSE_BYTES = 2 << 30  # of a sparse matrix


@dataclass(frozen=True, eq=False)
class ArrayColumn:
  """Values of items, one or several an item.

  Attributes:
    name: Name of the argument, for messages.
    values: [n] or [n, ...]: numbers, bool, texts, datetime64 in UTC, timedelta64, or objects, among
      which are texts and bytes of lists. Integers are signed where they fit. Where `missing` says
      so a value is any.
    missing: bool [n, ...], which values are None, NaN, NaT, NA or masked; None where none is.
  """

  name: str
  values: npt.NDArray[Any]
  missing: Mask | None = None

  def __len__(self) -> int:
    return len(self.values)

  def check_whole(self, fix: str = 'fill it in, or leave the item out') -> ArrayColumn:
    """Returns itself; raises a DataError that names the first value that is missing."""
    if self.missing is not None:
      at = np.argwhere(self.missing)[0].tolist()
      raise DataError(f'{self.name}{at or ""} is missing; {fix}')
    return self

  def check_listed(self) -> ArrayColumn:
    """Returns itself; raises a DataError for one value, such as a set, in place of several."""
    if not self.values.ndim:
      value = self.values.item()
      raise DataError(
        f'{self.name}={format_value(value)} is of type {type(value).__name__}, and must have one '
        f'value an item, in their order; give a list or an array'
      )
    return self

  def check_items(self, n: int | None, what: str) -> ArrayColumn:
    """Returns itself with one value an item: [n, 1] counts as [n]; raises a DataError otherwise.

    Args:
      n: Number of items; None for any.
      what: Values that it must have, for the message.
    """
    shape = self.check_listed().values.shape
    if len(shape) == 2 and shape[1] == 1:
      missing = None if self.missing is None else self.missing[:, 0]
      return replace(self, values=self.values[:, 0], missing=missing).check_items(n, what)
    if len(shape) != 1 or n not in (None, shape[0]):
      rows = 'n' if n is None else n
      raise DataError(
        f'{self.name} is of shape {shape}, and must be {what}, of shape [{rows}] as labels are; '
        f'give one for each item'
      )
    return self


def read_column(array: Any, name: str, fix: str = 'give values of one kind') -> ArrayColumn:
  """Returns the values of items that any library holds, and which of them are missing.

  >>> read_column(np.ma.array([1, 9], mask=[False, True]), 'labels').missing.tolist()
  [False, True]
  >>> read_column(['a', b'b', None], 'key').values.tolist()
  ['a', b'b', None]

  Args:
    array: Array, list, tensor, series, or anything that NumPy makes an array of.
    name: Name of the argument, for messages.
    fix: What to do about what is not an array.

  Raises:
    DataError: if it is not an array: its rows differ in length, or texts and numbers are mixed.
  """
  if isinstance(array, ArrayColumn):
    return replace(array, name=name)
  if isinstance(array, (list, tuple)) and any(isinstance(v, np.ma.MaskedArray) for v in array):
    array = np.ma.stack(list(array))
  if isinstance(array, np.ma.MaskedArray):
    return _marked(_plain(array.data, name), np.broadcast_to(array.mask, array.shape))
  if type(array).__module__.partition('.')[0] == 'pandas':
    return _of_pandas(array, name)
  if hasattr(array, 'to_pylist') and hasattr(array, 'null_count'):  # pyarrow
    array = array.combine_chunks() if hasattr(array, 'combine_chunks') else array
    array = array.dictionary_decode() if hasattr(array, 'dictionary_decode') else array
    return _of_nulls(array, array.null_count, array.to_pylist(), name, zero_copy_only=False)
  if hasattr(array, 'is_null') and hasattr(array, 'to_list'):  # polars
    return _of_nulls(array, array.null_count(), array.to_list(), name)
  if is_sparse(array):
    return ArrayColumn(name, dense(array, name))
  return _plain(_of_tensor(array), name, fix=fix)


def named(value: Any, argument: str) -> str:
  """Returns a value of an argument as a message names it."""
  plain = value.item() if isinstance(value, np.generic) else value
  return f'{"label" if argument == "labels" else f"{argument}: value"} {format_value(plain)}'


def types_differ(values: npt.NDArray[Any], name: str) -> DataError:
  """Returns the error that names the first value that is a text where the first is none, or not."""
  texts = [isinstance(value, (str, bytes)) for value in values.flat]
  at = texts.index(not texts[0]) if len(set(texts)) > 1 else 0
  place = ', '.join(map(str, np.unravel_index(at, values.shape)))
  first, other = (format_value(value) for value in values.ravel()[[0, at]].tolist())
  return DataError(
    f'{name}[{place}] is {other}, and the first value is {first}, of another type; give {name} of '
    f'one type, such as texts'
  )


def columns_of(array: Any, argument: str) -> dict[Any, Any]:
  """Returns the columns of an argument by name: of a table or a dict, or of a list by number.

  What is no table and no list of columns is one column, whose name is that of the argument.

  >>> columns_of([['a', 'b', 'a'], [1, 1, 2]], 'group_by')
  {0: ['a', 'b', 'a'], 1: [1, 1, 2]}

  Raises:
    DataError: if a list has as many columns as items or more, and may be one of rows.
  """
  columns = table_columns(array)
  if isinstance(array, Mapping) and all(map(is_column, array.values())):
    columns = dict(array)
  elif isinstance(array, (list, tuple)) and array and all(map(is_column, array)):
    if len(array) > 1 and len(array) >= len(array[0]):
      several = ', or pass multilabel=True where the rows are labels of which an item has several'
      raise DataError(
        f'{argument} is a list of {len(array)} columns of {len(array[0])} items, or of rows; give '
        f'columns as a dict, or a table'
        f'{several if argument in ("labels", "stratify_by") else ""}'
      )
    columns = dict(enumerate(array))
  return columns or {argument: array}


def is_column(array: Any) -> bool:
  """Returns whether that is an array or a list of values, not one value."""
  sized = hasattr(array, '__len__') and not isinstance(array, (str, bytes, Mapping))
  return sized and len(getattr(array, 'shape', (0,))) > 0


def is_sparse(array: Any) -> bool:
  """Returns whether that is a sparse matrix or array of SciPy."""
  return hasattr(array, 'toarray') and hasattr(array, 'nnz')


def dense(array: Any, name: str) -> npt.NDArray[Any]:
  """Returns a sparse matrix as an array; raises DataError where that takes too much memory."""
  n_bytes = array.dtype.itemsize * int(np.prod(array.shape, dtype=object))
  if n_bytes > _DENSE_BYTES:
    raise DataError(
      f'{name} is a sparse matrix of shape {array.shape}, which takes {n_bytes:,} bytes as an '
      f'array, and {_DENSE_BYTES:,} are the most; give fewer columns, or rows one by one with '
      f'from_generator'
    )
  return np.asarray(array.toarray())


def n_rows(array: Any, name: str) -> int:
  """Returns the number of rows of an array, a table or a list, of which nothing else is read."""
  if isinstance(array, Mapping) and array:
    return n_rows(next(iter(array.values())), name)
  shape = getattr(array, 'shape', None)
  if shape is None and hasattr(array, '__len__'):
    return len(array)
  if shape is None or not len(shape):
    raise DataError(f'{name} of type {type(array).__name__} has no rows; give an array or a list')
  return int(shape[0])


def table_columns(table: Any) -> dict[Any, Any] | None:
  """Returns the columns of a table of pandas, polars or pyarrow by name; None for anything else.

  Raises:
    DataError: if columns have no names or two the same.
  """
  names = getattr(table, 'column_names', None)
  if names is None and (hasattr(table, 'iloc') or hasattr(table, 'get_column')):
    names = getattr(table, 'columns', None)
  if names is None:
    return None
  names = list(names)
  if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
    raise DataError(
      f'the columns of a table are {format_value(names)}, and must be texts, each once; '
      f'rename the columns, or give table.to_numpy() as one array [n, columns]'
    )
  return {name: table[name] for name in names}


def _marked(column: ArrayColumn, missing: Mask) -> ArrayColumn:
  """Returns a column whose values are missing where they were, or where the mask says so."""
  missing = missing if column.missing is None else missing | column.missing
  return replace(column, missing=missing if missing.any() else None)


def _of_tensor(array: Any) -> Any:
  """Returns a tensor of TensorFlow or PyTorch as an array, a list of tensors as one of values."""
  if isinstance(array, (list, tuple)) and array and hasattr(array[0], 'numpy'):
    return [_of_tensor(value) for value in array]
  if not hasattr(array, 'numpy'):
    return array
  return array.detach().cpu().numpy() if hasattr(array, 'detach') else array.numpy()


def _of_pandas(array: Any, name: str) -> ArrayColumn:
  """Returns a series, an index, an extension array or a table of pandas."""
  if hasattr(array, 'columns'):
    return _plain(array.to_numpy(), name)
  series = array if hasattr(array, 'iloc') else sys.modules['pandas'].Series(array)
  missing = np.asarray(series.isna(), np.bool_)
  kind = type(series.dtype).__name__
  if kind == 'ArrowDtype':
    return read_column(sys.modules['pyarrow'].array(series.array), name)
  if kind == 'CategoricalDtype':
    categories = read_column(series.cat.categories, name).values
    codes = series.cat.codes.to_numpy()
    values = categories[np.maximum(codes, 0)] if len(categories) else np.empty(len(codes), object)
  elif kind == 'IntervalDtype':
    values = np.array([str(value) for value in series], object)
  elif kind == 'DatetimeTZDtype':
    values = series.dt.tz_convert(None).to_numpy()
  elif kind == 'PeriodDtype':
    values = series.dt.to_timestamp().to_numpy()
  elif hasattr(series.dtype, 'numpy_dtype') and series.dtype.kind in 'biuf':  # nullable
    kind = series.dtype.numpy_dtype
    values = series.to_numpy(kind, na_value=kind.type(0))
  else:
    values = series.to_numpy()
  return _marked(_plain(values, name, missing), missing)


def _of_nulls(
  array: Any, n_null: int, values: list[Any], name: str, **options: bool
) -> ArrayColumn:
  """Returns an array of pyarrow or a series of polars, from its values where some are missing."""
  if n_null or any(isinstance(value, (str, bytes)) for value in values[:1]):
    return _plain(values, name)
  return _plain(array.to_numpy(**options), name)


def _plain(
  array: Any, name: str, missing_before: Mask | None = None, fix: str = 'give values of one kind'
) -> ArrayColumn:
  """Returns a column of what NumPy reads.

  Args:
    array: Array, list, or scalars of any kind.
    name: Name of the argument.
    missing_before: Which values are known to be missing.
    fix: What to do about what is not an array.
  """
  try:
    values = np.asarray(array)
  except (TypeError, ValueError, OverflowError) as error:
    raise DataError(f'{name} is not an array ({_odd_row(array) or error}); {fix}') from error
  if isinstance(array, (list, tuple)):
    values = _without_rounding(values, array)
  if values.dtype.kind in 'US' and not isinstance(array, np.ndarray):
    # NumPy makes texts of numbers beside them, and loses zeros at the end of bytes and texts.
    values = np.array(array, object)
    if not all(isinstance(value, (str, bytes)) or is_missing(value) for value in values.flat):
      raise types_differ(values, name)
  if values.dtype.kind == 'O':
    return _of_objects(values, name, missing_before)
  missing = np.isnan(values) if values.dtype.kind in 'fcmM' else np.zeros((), np.bool_)
  if values.dtype == np.uint64 and int(values.max(initial=0)) < _SIGNED:
    values = values.view(np.int64) if values.flags.c_contiguous else values.astype(np.int64)
  return _marked(ArrayColumn(name, values), missing)


def _odd_row(array: Any) -> str:
  """Returns the row of a list that differs in length from the first; '' where none does."""
  rows = array if isinstance(array, (list, tuple)) else ()
  sizes = [f'{len(row)} values' if is_column(row) else 'one value' for row in rows]
  at = next((i for i, size in enumerate(sizes) if size != sizes[0]), 0)
  return f'row {at} has {sizes[at]}, and row 0 {sizes[0]}' if at else ''


def _without_rounding(values: npt.NDArray[Any], array: Any) -> npt.NDArray[Any]:
  """Returns floats that NumPy made of a list as they are, or as the integers that the list has.

  NumPy makes floats of integers below 2**63 beside others above, which rounds them.
  """
  if values.dtype.kind != 'f' or not (np.abs(values) >= _EXACT).any():
    return values
  exact = np.array(array, object)
  if not all(issubclass(kind, (int, np.integer)) for kind in set(map(type, exact.flat))):
    return values
  return exact.astype(np.uint64) if values.min() >= 0 and values.max() < 2.0**64 else exact


def _of_objects(values: npt.NDArray[Any], name: str, missing_before: Mask | None) -> ArrayColumn:
  """Returns a column of objects, as numbers or times where they are all of one of these kinds."""
  kinds = set(map(type, values.flat))
  missing = np.zeros(values.shape, np.bool_) if missing_before is None else missing_before.copy()
  gaps = (float, np.floating, decimal.Decimal)  # types that have NaN
  if any(kind.__name__ in _MISSING or issubclass(kind, gaps) for kind in kinds):
    missing |= np.array([is_missing(value) for value in values.flat]).reshape(values.shape)
  some = kinds if not missing.any() else set(map(type, values[~missing]))
  if some and all(issubclass(kind, (datetime.date, np.datetime64)) for kind in some):
    return _marked(ArrayColumn(name, _times(values, missing, name)), missing)
  if some and all(issubclass(kind, (int, float, np.number, np.bool_)) for kind in some):
    filled = np.where(missing, 0, values).tolist()
    numbers = _without_rounding(np.array(filled), filled).reshape(values.shape)
    if numbers.dtype != object:
      return _marked(_plain(numbers, name), missing)
  return _marked(ArrayColumn(name, values), missing)


def is_missing(value: Any) -> bool:
  """Returns whether a scalar is None, NaN, NaT or NA."""
  if isinstance(value, decimal.Decimal):
    return value.is_nan()
  return type(value).__name__ in _MISSING or bool(value != value)


def _times(values: npt.NDArray[Any], missing: Mask, name: str) -> npt.NDArray[Any]:
  """Returns dates and times as datetime64 in microseconds, those with a time zone in UTC."""
  times = values[~missing].tolist()
  aware = [getattr(value, 'tzinfo', None) is not None for value in times]
  if len(set(aware)) > 1:
    first, other = ('with' if zone else 'without' for zone in (aware[0], not aware[0]))
    at = aware.index(not aware[0])
    raise DataError(
      f'{name} has {times[0]} {first} and {times[at]} {other} a time zone; give all of them one'
    )
  unit = 'ns' if any(getattr(value, 'nanosecond', 0) for value in times) else 'us'
  if any(isinstance(value, np.datetime64) for value in times):
    times = np.array(times)  # in the finest unit of all
    unit = np.datetime_data(times.dtype)[0]
  found = np.full(values.shape, np.datetime64('NaT', unit))
  if aware[:1] == [True]:
    utc = datetime.timezone.utc
    times = [value.astimezone(utc).replace(tzinfo=None) for value in times]
  found[~missing] = [
    getattr(v, 'to_datetime64', lambda v=v: np.datetime64(v, unit))() for v in times
  ]
  return found


def duration(name: str, value: Any, unit: np.dtype[Any]) -> int:
  """Returns a length of time in units of a datetime64 type, rounded up.

  >>> duration('embargo', '7D', np.dtype('M8[h]')), duration('embargo', 0, np.dtype('M8[ns]'))
  (168, 0)

  Args:
    name: Name of the argument, for messages.
    value: timedelta, timedelta64, a Timedelta of pandas, or a text such as '7D'; 0 for none.
    unit: The type.

  Raises:
    ConfigError: if it is none of these, or negative.
  """
  fix = "give a length of time such as '7D', '12h', '30min' or datetime.timedelta(days=7)"
  found = value
  if isinstance(value, str):
    found = _length_of(value)
  elif isinstance(value, datetime.timedelta):  # a Timedelta of pandas is one too
    found = value.to_timedelta64() if hasattr(value, 'to_timedelta64') else np.timedelta64(value)
  elif isinstance(value, (int, float, np.number)) and not value:
    return 0
  if not isinstance(found, np.timedelta64) or np.isnat(found):
    raise ConfigError(
      f'{name}={format_value(value)} is not a length of time, and order is by times; {fix}'
    )
  length, one = (_nanoseconds(each) for each in (found, np.timedelta64(1, np.datetime_data(unit))))
  if length is None or one is None:
    raise ConfigError(
      f'{name}={format_value(value)} and times of type {unit} are of months or years, which differ '
      f'in length; {fix}, and times in days or finer'
    )
  if length < 0:
    raise ConfigError(f'{name}={format_value(value)} is negative, and must be 0 or longer; {fix}')
  return -(-length // one)


def _nanoseconds(length: np.timedelta64) -> int | None:
  """Returns a length of time in nanoseconds; None where months and years make it."""
  unit, count = np.datetime_data(length.dtype)
  of_unit = {'ns': 1, 'us': 10**3, 'ms': 10**6, 's': 10**9, 'm': 60 * 10**9, 'h': 3600 * 10**9}
  of_unit |= {'D': 86400 * 10**9, 'W': 7 * 86400 * 10**9}
  return int(length.astype(np.int64)) * count * of_unit[unit] if unit in of_unit else None


def _length_of(text: str) -> np.timedelta64 | None:
  """Returns the length of time that a text such as '7D' is; None for any other."""
  units = {'W': 'W', 'D': 'D', 'd': 'D', 'H': 'h', 'h': 'h', 'min': 'm', 's': 's'}
  units |= {unit: unit for unit in ('ms', 'us', 'ns')}
  number = text.strip().rstrip('WDdHhminsu')
  unit = text.strip()[len(number) :]
  if unit in units and number.strip().isdecimal() and len(number) < 16:
    return np.timedelta64(int(number), units[unit])
  return None
