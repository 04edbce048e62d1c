"""Splits in the order of time: where one ends, and which records before it an embargo leaves out.

Records are in the order of (time, rank of their hash), so that a cut among equal times, too, is the
same whatever the order of the input.

Neighbouring splits may be kept apart by an embargo: what is too close before a cut is left out of
the earlier split (`gap` of scikit-learn's TimeSeriesSplit; embargo: López de Prado, Advances in
Financial Machine Learning, 2018, section 7.4.2). The cuts do not move, so that the last split has
its exact share.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.argument_readers import Argument, as_given, json_of, optional_text
from tfx_balance.arguments import check_choice, check_number, check_text, check_whole, format_value
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.documents.sentences import plain_number, some_of
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.array_items import ArrayItems
from tfx_balance.modes.mode import Mode
from tfx_balance.plan.arrays import ArrayColumn, duration
from tfx_balance.plan.class_value import stratum_name
from tfx_balance.plan.number_keys import keys_of, numbers_of
from tfx_balance.plan.ranks import LAST_ORDER, Ints, UInts
from tfx_balance.plan.split_plan import Placed, SplitPlan


@dataclass(frozen=True)
class TimeOrder(Mode):
  """Order of the splits in time, and the embargo between them.

  Attributes:
    order_by: Name of the feature that holds the time.
    within: 'all' for one cut of all the records, 'strata' for a cut of each stratum.
    embargo: Time before a cut in which records are left out, in units of the feature.
    embargo_records: Number of records before a cut that are left out.
  """

  order_by: str
  within: str = 'all'
  embargo: int | float = 0
  embargo_records: int = 0

  places = recounts = True
  column = 'time'
  ARGUMENTS = {
    'order_by': Argument(str, optional_text),
    'within': Argument(str, as_given, 'all'),
    'embargo': Argument(str, json_of(numbers.Real), 0),
    'embargo_records': Argument(int, as_given, 0),
  }
  TOGETHER = ((('order_by',), ('within', 'embargo', 'embargo_records')),)
  APART = {
    ('order_by', 'split_by'): (
      'a predefined split holds records of any time; map its values in split_values= so that they '
      'are in the order of time, or leave one of them out'
    ),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> TimeOrder | None:
    within = check_choice('within', given['within'], ('all', 'strata'))
    embargo = check_number('embargo', given['embargo'], 0, fix='give a time such as 3600')
    fix = 'give a number of records such as 100'
    embargo_records = check_whole('embargo_records', given['embargo_records'], 0, fix=fix)
    if given['order_by'] is not None:
      what, fix = 'the name of the feature that holds the time', "give one such as 'time'"
      feature = check_text('order_by', given['order_by'], what, fix)
      return cls(feature, within, embargo, embargo_records)
    others: dict[str, Any] = {'embargo': embargo, 'embargo_records': embargo_records}
    if within != 'all':
      others = {'within': within, **others}
    for name, value in others.items():
      if value:
        raise ConfigError(
          f'{name}={value!r} is of splits in the order of time; give the times with order_by=, '
          f'or leave {name}= out'
        )
    return None

  def asked_by(self) -> Collection[str]:
    more = {'within': self.within == 'strata', 'embargo_records': self.embargo_records}
    return ['order_by', *(name for name, is_given in more.items() if is_given)]

  def describe(self) -> dict[str, Any]:
    return asdict(self)

  @property
  def order(self) -> TimeOrder:
    return self

  def scan_options(self) -> dict[str, Any]:
    # No purpose: ranks are counted as they are read only where they alone decide.
    return {'time': self.order_by, 'purpose': ''}

  @property
  def is_joint(self) -> bool:
    return self.within == 'all'

  def rows(self, quotas: Ints) -> Ints:
    """Returns the records that follow each other in time, by split: int64 [rows, splits].

    Args:
      quotas: Records of each stratum in each split: int64 [strata, splits].
    """
    return quotas.sum(axis=0, keepdims=True) if self.is_joint else quotas

  def parts(self, quotas: Ints) -> Ints:
    """Returns the records of the parts that splits are cut into: int64 [rows, 2 * splits].

    Of each split the records that are kept, which come first, then those that are left out by
    their number; `place` takes the number of a part.

    Args:
      quotas: Records of each stratum in each split before the embargo: int64 [strata, splits].
    """
    rows = self.rows(quotas)
    ends = np.cumsum(rows, axis=1)
    has_later = ends < ends[:, -1:]
    lost = np.where(has_later, np.minimum(rows, self.embargo_records), 0)
    parts: Ints = np.stack([rows - lost, lost], axis=2).reshape(len(rows), -1)
    return parts

  def place(
    self, rows: Ints, parts: npt.NDArray[Any], orders: UInts | None, bounds: UInts
  ) -> Placed:
    """Returns the split of each record, and whether the embargo leaves it out: [n].

    Args:
      rows: Row of each record: int64 [n].
      parts: Its part: integers [n].
      orders: Key of its time: uint64 [n].
      bounds: Highest key that the embargo leaves in each split: uint64 [rows, splits].
    """
    split, is_behind = np.divmod(parts.astype(np.int64), 2)
    return Placed(split, (is_behind > 0) | (orders > bounds[rows, split]))

  def last_kept(self, keys: UInts, kind: str) -> UInts:
    """Returns the highest keys that an embargo leaves in what comes before cuts: uint64 [n].

    A record stays if its time is at least `embargo` before that of the first record behind the
    cut. Floats are subtracted in 64 bits.

    Args:
      keys: Keys of the times of the first records behind the cuts: uint64 [n].
      kind: Type of the times, 'int' or 'float'.

    Raises:
      DataError: if the embargo reaches below the least number.
    """
    if kind != 'float':  # whose keys are as far apart as they are
      gap = min(math.ceil(self.embargo), int(LAST_ORDER))
      wrong, found = keys < np.uint64(gap), keys - np.uint64(gap)
      wrong |= gap < math.ceil(self.embargo)
    else:
      with np.errstate(over='ignore'):
        last = numbers_of(keys, kind) - self.embargo
      wrong, found = ~np.isfinite(last), keys_of(last)
    if wrong.any():
      time = numbers_of(keys[wrong], kind)[0].item()
      raise DataError(
        f'embargo={self.embargo} before the time {time} is below the least number; make it smaller'
      )
    return found

  def bounds(self, parts: Ints, orders: UInts, kind: str) -> UInts:
    """Returns the highest key that the embargo leaves in each split: uint64 [rows, splits].

    Args:
      parts: Records of each part, as from `parts`: int64 [rows, 2 * splits].
      orders: Key of the first record behind each part; any where there is none: uint64
        [rows, 2 * splits - 1].
      kind: Type of the times, 'int' or 'float'.
    """
    found = np.full((len(parts), parts.shape[1] // 2), LAST_ORDER)
    if self.embargo:
      ends = np.cumsum(parts, axis=1)[:, 1::2]
      is_cut = (ends > 0) & (ends < ends[:, -1:])
      distinct, which = np.unique(orders[:, 1::2][is_cut[:, :-1]], return_inverse=True)
      found[is_cut] = self.last_kept(distinct, kind)[which.reshape(-1)]
    return found

  def cells(self, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of counts: strata, splits, and records kept or embargoed."""
    return (*shape, 2)

  def recount(self, plan: SplitPlan, planned: Ints, counts: Ints) -> SplitPlan:
    kept, lost = counts[..., 0], counts[..., 1]
    if not plan.groups:
      found, wanted = self.rows(kept + lost), self.rows(planned)
      if not np.array_equal(found, wanted):
        raise RuntimeError(f'selected {found.tolist()}, planned {wanted.tolist()}')
    self.check_kept(kept.sum(axis=0), lost.sum(axis=0), plan.splits)
    return replace(plan, quotas=kept, embargoed=lost)

  def kept(self, placed: Placed, names: Sequence[str]) -> Ints:
    """Returns the split of each record, -1 if it is embargoed; checks as `check_kept` does."""
    kept, lost = placed.counts(len(names)).T
    self.check_kept(kept, lost, names)
    return np.where(placed.embargoed, -1, placed.split)

  def check_kept(self, kept: Ints, lost: Ints, names: Sequence[str]) -> None:
    """Checks that an embargo leaves records in each split that had some.

    Args:
      kept: Records of each split: int64 [splits].
      lost: Records that were left out of each: int64 [splits].
      names: Names of the splits.

    Raises:
      DataError: if it leaves none.
    """
    for name, n, n_lost in zip(names, kept.tolist(), lost.tolist(), strict=True):
      if n_lost and not n:
        raise DataError(
          f'embargo={self.embargo} and embargo_records={self.embargo_records} leave none of the '
          f'{n_lost} records of split {name!r}; make them smaller, or the split larger'
        )

  def numbers_of(self, items: ArrayItems) -> tuple[UInts, str]:
    return keys_of_times(items.given['order_by'], len(items))

  def warnings(self, plan: SplitPlan, source: InputRecords) -> list[str]:
    assert plan.embargoed is not None
    warnings = []
    if self.within == 'all':
      counts = (plan.quotas + plan.embargoed).tolist()
      drift = [
        (
          abs(n - share * records),
          f'class {stratum_name(plan.strata[row])} in {name!r}: {n} of '
          f'ideally {plain_number(share * records):.6g}',
        )
        for row, (cells, records) in enumerate(zip(counts, plan.records.tolist(), strict=True))
        for name, n, share in zip(plan.splits, cells, plan.shares, strict=True)
      ]
      furthest, cell = max(drift, key=itemgetter(0))
      if furthest >= 1:
        warnings.append(
          f'order_by={self.order_by!r} cuts all records by time, so counts of classes are '
          f'not exact; the furthest is {cell}'
          + ("; within='strata' makes them exact, without one order" if not plan.groups else '')
        )
    lost = plan.embargoed.sum(axis=0).tolist()
    cells = [f'{name!r} {n}' for name, n in zip(plan.splits, lost, strict=True) if n]
    if cells:
      warnings.append(f'the embargo left out {sum(lost)} records, of {some_of(cells)}')
    return warnings


def keys_of_times(times: ArrayColumn, n: int) -> tuple[UInts, str]:
  """Returns the key of each of n times, uint64 [n], and their type, 'int', 'uint' or 'float'.

  Args:
    times: [n], integers, finite floats, datetime64 or timedelta64.
    n: Number of items.

  Raises:
    DataError: if they are not.
  """
  values = times.check_items(n, 'numbers or times').check_whole().values
  if values.dtype.kind not in 'iufmM':
    raise DataError(
      f'{times.name} has {format_value(values.ravel().tolist()[0])}, and must be numbers or times; '
      f'give numbers as floats, times as datetime64'
    )
  if values.dtype.kind == 'f':
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
      raise DataError(
        f'{times.name}[{wrong[0]}] is {values[wrong[0]]}, and must be finite; fill it in, or '
        f'leave the item out'
      )
    return keys_of(values), 'float'
  if values.dtype == np.uint64:  # above 2**63, whose order signed numbers would turn around
    return values, 'uint'
  return keys_of(values.astype(np.int64)), 'int'


def embargo_in_units(embargo: Any, times: ArrayColumn) -> Any:
  """Returns an embargo in units of the times: of dates from a length of time, else a number.

  Raises:
    ConfigError: if it is a number where the times are dates, or a length of time where they are
      numbers.
  """
  kind = times.values.dtype
  if kind.kind in 'mM':
    return duration('embargo', embargo, kind)
  fix = (
    f'{times.name}= are numbers: give a number in their units, such as 3600, or times as datetime64'
  )
  return check_number('embargo', embargo, 0, fix=fix)
