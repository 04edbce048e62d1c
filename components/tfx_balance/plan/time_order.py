"""Splits in the order of time: where one ends, and which records before it an embargo leaves out.

Records are in the order of (time, rank of their hash), so that a cut among equal times, too, is the
same whatever the order of the input. The times of the cuts are found first, then the rank among the
records of such a time.

Neighbouring splits may be kept apart by an embargo: what is too close before a cut is left out of
the earlier split (`gap` of scikit-learn's TimeSeriesSplit; embargo: López de Prado, Advances in
Financial Machine Learning, 2018, section 7.4.2). The cuts do not move, so that the last split has
its exact share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_choice, check_number, check_text, check_whole
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.number_keys import keys_of, number_of
from tfx_balance.plan.ranks import Ints, UInts

WITHIN = ('all', 'strata')
LAST_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TimeOrder:
  """Which splits come earlier, and how far they are kept apart.

  Attributes:
    feature: Name of the feature that holds the time.
    within: 'all' for one cut of all the records, 'strata' for a cut of each stratum.
    embargo: Time before a cut in which records are left out, in units of the feature.
    embargo_records: Number of records before a cut that are left out.
  """

  feature: str
  within: str = 'all'
  embargo: int | float = 0
  embargo_records: int = 0

  @classmethod
  def parse(
    cls,
    order_by: Any,
    within: Any = 'all',
    embargo: Any = 0,
    embargo_records: Any = 0,
    argument: str = 'order_by',
  ) -> TimeOrder | None:
    """Returns the checked arguments; None where no feature orders the splits.

    Args:
      order_by: Name of the feature, or None.
      within: As the attribute.
      embargo: As the attribute.
      embargo_records: As the attribute.
      argument: Name of the argument that gives the times, for messages.

    Raises:
      ConfigError: if one breaks a rule, or is given without order_by=.
    """
    within = check_choice('within', within, WITHIN)
    embargo = check_number('embargo', embargo, 0, fix='give a time such as 3600')
    fix = 'give a number of records such as 100'
    embargo_records = check_whole('embargo_records', embargo_records, 0, fix=fix)
    if order_by is not None:
      fix = "give one such as 'time'"
      feature = check_text('order_by', order_by, 'the name of the feature that holds the time', fix)
      return cls(feature, within, embargo, embargo_records)
    given: Mapping[str, Any] = {'embargo': embargo, 'embargo_records': embargo_records}
    if within != 'all':
      given = {'within': within, **given}
    for name, value in given.items():
      if value:
        raise ConfigError(
          f'{name}={value!r} is of splits in the order of time; give the times with {argument}=, '
          f'or leave {name}= out'
        )
    return None

  def describe(self) -> dict[str, Any]:
    """Returns the arguments as the sidecar shows them."""
    return {
      'order_by': self.feature,
      'within': self.within,
      'embargo': self.embargo,
      'embargo_records': self.embargo_records,
    }

  def rows(self, quotas: Ints) -> Ints:
    """Returns the records that follow each other in time, by split: int64 [rows, splits].

    Args:
      quotas: Records of each stratum in each split: int64 [strata, splits].
    """
    return quotas if self.within == 'strata' else quotas.sum(axis=0, keepdims=True)

  def parts(self, quotas: Ints) -> Ints:
    """Returns the records kept and those embargoed by number: int64 [rows, 2 * splits].

    Of each split the records that are kept, which come first, then those that are left out.

    Args:
      quotas: Records of each split before the embargo: int64 [rows, splits].
    """
    ends = np.cumsum(quotas, axis=1)
    has_later = ends < ends[:, -1:]
    lost = np.where(has_later, np.minimum(quotas, self.embargo_records), 0)
    parts: Ints = np.stack([quotas - lost, lost], axis=2).reshape(len(quotas), -1)
    return parts

  def last_kept(self, key: int, kind: str) -> np.uint64:
    """Returns the highest key that an embargo leaves in what comes before a cut.

    A record stays if its time is at least `embargo` before that of the first record behind the
    cut. Floats are subtracted in 64 bits.

    Args:
      key: Key of the time of the first record behind the cut.
      kind: Type of the times, 'int' or 'float'.

    Raises:
      DataError: if the embargo reaches below the least number.
    """
    time = number_of(key, kind)
    last = time - (math.ceil(self.embargo) if kind == 'int' else self.embargo)
    if not last >= -(1 << 63) if kind == 'int' else not math.isfinite(last):
      raise DataError(
        f'embargo={self.embargo} before the time {time} is below the least number; make it smaller'
      )
    found: np.uint64 = keys_of(np.array([last], np.int64 if kind == 'int' else np.float64))[0]
    return found


@dataclass(frozen=True, eq=False)
class TimeCuts:
  """The times at which parts of a row end; a row is a stratum, or all the records.

  Attributes:
    times: Key of the first record behind each end: uint64 [rows, parts - 1].
    before: Whether all of the row is before an end: bool [rows, parts - 1].
    ties: Number of the tie that an end is in, -1 for none: int64 [rows, parts - 1].
    quotas: Records of each tie, records of one time among which an end is, in each part: int64
      [ties, parts]; one tie without records where there is none.
    last_kept: Highest key that the embargo leaves in each split: uint64 [rows, splits].
  """

  times: UInts
  before: Bools
  ties: Ints
  quotas: Ints
  last_kept: UInts

  @classmethod
  def of(
    cls, parts: Ints, times: UInts, earlier: Ints, equal: Ints, order: TimeOrder, kind: str
  ) -> TimeCuts:
    """Returns the cuts.

    Args:
      parts: Records of each part, as from `TimeOrder.parts`: int64 [rows, 2 * splits].
      times: Key of the first record behind each end; any where there is none: uint64
        [rows, 2 * splits - 1].
      earlier: Number of records of a row with a lower key: int64 [rows, 2 * splits - 1].
      equal: Number of records of a row with this key: int64 [rows, 2 * splits - 1].
      order: Embargo.
      kind: Type of the times, 'int' or 'float'.
    """
    ends = np.cumsum(parts, axis=1)
    before, ends = ends[:, :-1] == ends[:, -1:], ends[:, :-1]
    ties, quotas = _ties(times, np.where(before, 0, ends - earlier), equal, before)
    last_kept = np.full((len(parts), parts.shape[1] // 2), LAST_KEY)
    if order.embargo:
      # Behind what is kept and what is embargoed of a split: where the next begins.
      cuts = slice(1, None, 2)
      keys, which = np.unique(times[:, cuts][~before[:, cuts]], return_inverse=True)
      found = np.array([order.last_kept(int(key), kind) for key in keys], np.uint64)
      last_kept[:, :-1][~before[:, cuts]] = found[which.reshape(-1)]
    return cls(times, before, ties, quotas, last_kept)

  def parts_of(self, rows: Ints, keys: UInts) -> tuple[Ints, Ints]:
    """Returns the part of each record, and its tie, -1 for none, which then tells its part.

    Args:
      rows: Row of each record: int64 [n].
      keys: Key of its time: uint64 [n].
    """
    part, tie = np.zeros(len(keys), np.int64), np.full(len(keys), -1)
    for end in range(self.times.shape[1]):  # a column at a time: no [n, parts] array
      times = self.times[rows, end]
      part += (keys >= times) & ~self.before[rows, end]
      at = np.flatnonzero(keys == times)
      tie[at] = np.maximum(tie[at], self.ties[rows[at], end])
    return part, tie

  def left_out(self, rows: Ints, keys: UInts, parts: Ints) -> Ints:
    """Returns the parts with that of what is embargoed for records too close before a cut."""
    return np.where(keys > self.last_kept[rows, parts >> 1], parts | 1, parts)


def _ties(times: UInts, inside: Ints, equal: Ints, before: Bools) -> tuple[Ints, Ints]:
  """Returns the number of the tie that each end is in, and the records of each tie by part."""
  n_parts = times.shape[1] + 1
  cut = inside > 0
  rows, at = np.nonzero(cut)
  pairs = np.stack([rows.astype(np.uint64), times[rows, at]], axis=1)
  distinct, first, which = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
  ties = np.full(times.shape, -1)
  ties[rows, at] = which.reshape(-1)
  if not len(distinct):
    return ties, np.zeros((1, n_parts), np.int64)
  row, key = rows[first], distinct[:, 1:]
  total = equal[rows[first], at[first]][:, None]
  # Of the ends of the tie's row: behind all of the tie, before it, or among its records.
  ends = np.where(
    before[row] | (times[row] > key), total, np.where(times[row] < key, 0, inside[row])
  )
  return ties, np.diff(np.concatenate([np.zeros_like(total), ends, total], axis=1), axis=1)


def check_kept(kept: Ints, lost: Ints, names: tuple[str, ...], order: TimeOrder) -> None:
  """Checks that an embargo leaves records in each split that had some.

  Args:
    kept: Records of each split: int64 [splits].
    lost: Records that were left out of each: int64 [splits].
    names: Names of the splits.
    order: Embargo.

  Raises:
    DataError: if it leaves none.
  """
  for name, n, n_lost in zip(names, kept.tolist(), lost.tolist(), strict=True):
    if n_lost and not n:
      raise DataError(
        f'embargo={order.embargo} and embargo_records={order.embargo_records} leave none of the '
        f'{n_lost} records of split {name!r}; make them smaller, or the split larger'
      )


def keys_of_times(times: Any, n: int) -> tuple[UInts, str]:
  """Returns the key of each of n times, uint64 [n], and their type, 'int' or 'float'.

  Args:
    times: [n], integers, finite floats or datetime64, of which the units are counted.
    n: Number of items.

  Raises:
    DataError: if they are not.
  """
  try:
    values = np.asarray(times)
  except (TypeError, ValueError) as error:
    raise DataError(
      f'order is no array ({error}), and must be numbers or datetime64, [{n}] as labels; give one '
      f'time an item'
    ) from error
  if values.shape != (n,) or values.dtype.kind not in 'iufM':
    raise DataError(
      f'order is of type {values.dtype} and shape {values.shape}, and must be numbers or '
      f'datetime64, [{n}] as labels; give one time an item'
    )
  wrong = np.flatnonzero(np.isnat(values) if values.dtype.kind == 'M' else ~np.isfinite(values))
  if len(wrong):
    raise DataError(
      f'order[{wrong[0]}] is {values[wrong[0]]}, and must be finite; fill it in, or leave the item '
      f'out'
    )
  if values.dtype.kind == 'f':
    return keys_of(values), 'float'
  return keys_of(values.astype(np.int64)), 'int'


def splits_in_time(
  order: TimeOrder, rows: Ints, keys: UInts, rank: UInts, quotas: Ints, kind: str
) -> Ints:
  """Returns the split of each record that is in memory, -1 for what is embargoed: int64 [n].

  Args:
    order: Order of the splits.
    rows: Row of each record: int64 [n].
    keys: Key of its time: uint64 [n].
    rank: Rank of its hash: uint64 [n].
    quotas: Records of each split before the embargo: int64 [rows, splits].
    kind: Type of the times, 'int' or 'float'.
  """
  parts = order.parts(quotas)
  in_order = np.lexsort((rank, keys, rows))
  part = np.empty(len(rows), np.int64)
  part[in_order] = np.repeat(np.tile(np.arange(parts.shape[1]), len(parts)), np.ravel(parts))
  ends = np.cumsum(parts, axis=1)
  first = np.cumsum(ends[:, -1]) - ends[:, -1]
  behind = np.minimum(first[:, None] + ends[:, :-1], len(rows) - 1)
  earlier = ends[:, :-1]  # by rank too, so that there are no ties
  cuts = TimeCuts.of(parts, keys[in_order][behind], earlier, earlier, order, kind)
  part = cuts.left_out(rows, keys, part)
  return np.where(part & 1, -1, part >> 1)
