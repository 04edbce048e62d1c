"""A stratified split of labels in memory: what `StratifiedSplitter` does, for arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_flag, check_mapping, check_seed
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.class_value import ClassValue, Stratum
from tfx_balance.plan.extended_split import extend_split
from tfx_balance.plan.group_plan import dealt_splits, plan_groups, told_splits
from tfx_balance.plan.group_table import (
  FREE,
  GroupPart,
  GroupTable,
  count_entries,
  group_numbers,
)
from tfx_balance.plan.group_times import GroupCuts, TimedGroups
from tfx_balance.plan.labels import LabelRows, as_array, count_labels
from tfx_balance.plan.number_bins import binned_labels
from tfx_balance.plan.ranks import Assigner, Ints, UInts, ranks
from tfx_balance.plan.split_modes import check_modes
from tfx_balance.plan.split_plan import SplitPlan, plan_splits
from tfx_balance.plan.split_shares import DEFAULT_SPLITS, SplitShares, parse_shares
from tfx_balance.plan.stable_splits import parse_mode, stable_thresholds
from tfx_balance.plan.time_order import TimeOrder, check_kept, keys_of_times, splits_in_time


def stratified_indices(
  labels: npt.ArrayLike,
  splits: Mapping[str, Any] = DEFAULT_SPLITS,
  seed: int = 0,
  counts: Mapping[str, int] | None = None,
  rest: str | None = None,
  split_by: npt.ArrayLike | None = None,
  split_values: Mapping[Any, str] | None = None,
  folds: int = 0,
  key: npt.ArrayLike | None = None,
  mode: str = 'exact',
  order: npt.ArrayLike | None = None,
  within: str = 'all',
  embargo: float = 0,
  embargo_records: int = 0,
  multilabel: bool = False,
  groups: npt.ArrayLike | None = None,
  extend: Mapping[str, npt.ArrayLike] | None = None,
  bins: int | Sequence[float] | None = None,
) -> dict[str, Ints]:
  """Returns the indices of each split, with every class at its exact share in each.

  Each class in each split, and each split, is within one item of its ideal share.

  Examples:
    >>> indices = stratified_indices(['a'] * 80 + ['b'] * 20, {'train': 3, 'test': 1})
    >>> {name: len(index) for name, index in indices.items()}
    {'train': 75, 'test': 25}

  Args:
    labels: [n], integers, integral floats, text or bytes; one label an item. Or see `multilabel`.
    splits: Weight by split.
    seed: Seed of the draw.
    counts: Number of items by split, as in `StratifiedSplitter`.
    rest: Name of the split that gets what `counts` leaves.
    split_by: Values that predefine the split of each item, [n] as `labels`; None for no predefined
      splits. Items without one are an error, or stratified where `splits` are given.
    split_values: Splits by value of `split_by`; None where a value is the name of its split.
    folds: Number of folds, as in `StratifiedSplitter`; 0 for none.
    key: Values by which items are chosen, [n] as `labels`, such as ids: an item keeps its rank when
      others come or go. None for the indices.
    mode: 'exact', or 'stable', as in `StratifiedSplitter`: an item keeps its split when others come
      or go, and items of one key share a split. It needs `key`.
    order: Times that order the splits, earliest first: integers, finite floats or datetime64, [n];
      None for no order. Of equal times, the seed chooses.
    within: 'all' for one cut of all the items, 'strata' for a cut of each class, as in
      `StratifiedSplitter`.
    embargo: Time before a later split in which items of earlier ones are left out, in the units of
      `order`.
    embargo_records: Number of items before a later split that are left out.
    multilabel: Whether `labels` are several an item: rows of 0 and 1, all of one length, or n lists
      of labels (see `tfx_balance.plan.labels.LabelRows`). Each set of labels is within one item of
      its ideal share then, and labels are as near to theirs as exchanges bring them.
    groups: Group of each item, [n] as `labels`, such as patients: all items of a group are in one
      split, and classes and splits as near to their shares as groups allow; with `order`, groups
      are in the order of their latest items. A split that stays empty is
      warned of. Groups leave nothing for `key` to choose.
    extend: Keys of the items of each split of an earlier one, which stay there; the others bring
      classes and splits back to their shares, as in `StratifiedSplitter`. `labels` and `key`, which
      it needs, are of all items so far.
    bins: Number of quantile bins that labels, numbers, are put into, or ascending edges between
      bins, as in `StratifiedSplitter`; None where labels are classes.

  Returns:
    int64 [items of the split], ascending, for each split.

  Raises:
    ConfigError: if the seed, or a split's name, weight or count, breaks a rule; if modes do not
      combine.
    DataError: if the labels are empty, not [n], or not classes; if counts ask for too many.
  """
  seed = check_seed(seed)
  if bins is not None and not multilabel:
    labels = binned_labels(labels, bins)
  features = {'labels': labels} if split_by is None else {'labels': labels, 'split_by': split_by}
  strata, records, rows = _count_strata(features, check_flag('multilabel', multilabel))
  told = None if split_by is None else 'split_by'
  shares, predefined = parse_shares(splits, counts, rest, told, split_values, folds)
  stable = parse_mode(mode) == 'stable'
  in_time = TimeOrder.parse(
    None if order is None else 'order', within, embargo, embargo_records, 'order'
  )
  check_modes(
    {'order_by': 'order', 'group_by': 'groups'},
    counts=shares.counts,
    mode=stable,
    split_by=predefined,
    order_by=in_time,
    multilabel=multilabel,
    group_by=groups is not None,
    within=in_time and in_time.within == 'strata',
    embargo_records=in_time and in_time.embargo_records,
    extend=extend is not None,
    bins=bins is not None,
  )
  if stable and key is None:
    raise ConfigError("mode='stable' deals items by their keys, and key= is not given; give ids")
  if extend is not None and key is None:
    raise ConfigError('extend= names items by their keys, and key= is not given; give ids')
  if groups is not None:
    if key is not None:
      raise ConfigError('key= and groups= do not combine: whole groups are chosen; leave key= out')
    frame = plan_splits(strata, records, shares, seed, predefined, stable=in_time is None)
    of_row = np.empty(len(rows), np.int64)
    of_row[rows] = np.repeat(np.arange(len(strata)), records)
    numbers = group_numbers(_hashes('groups', groups, len(rows)), seed)
    if in_time:
      split = _split_groups_in_time(frame, numbers, order, in_time)
    else:
      split = _split_groups(frame, numbers, of_row, seed)
    _warn_of_empty(split, frame)
    return {name: np.flatnonzero(split == i) for i, name in enumerate(frame.splits)}
  plan = plan_splits(strata, records, shares, seed, predefined, stable)
  hashes = np.arange(len(rows), dtype=np.uint64) if key is None else _hashes('key', key, len(rows))
  rank = ranks(hashes[rows], seed, 'indices')
  of_row = np.repeat(np.arange(len(strata)), records)
  split = np.empty(len(rows), np.int64)
  if in_time:
    keys, kind = keys_of_times(order, len(rows))
    quotas = in_time.rows(plan.quotas)
    row = of_row if in_time.within == 'strata' else np.zeros_like(of_row)
    split[rows] = splits_in_time(in_time, row, keys[rows], rank, quotas, kind)
    kept = np.bincount(split[split >= 0], minlength=len(plan.splits))
    check_kept(kept, quotas.sum(axis=0) - kept, plan.splits, in_time)
  elif extend is not None:
    held = _held_splits(extend, hashes[rows], shares.names)
    split[rows] = _extend(strata, of_row, rank, held, shares, seed)
  elif stable:
    everyone = Assigner(stable_thresholds(plan), np.arange(len(strata)), 0)
    split[rows] = everyone.assign(of_row, rank)
  else:
    in_order = np.repeat(np.tile(np.arange(len(plan.splits)), len(strata)), np.ravel(plan.quotas))
    split[rows[np.lexsort((rank, of_row))]] = in_order
  return {name: np.flatnonzero(split == i) for i, name in enumerate(plan.splits)}


def _count_strata(
  features: Mapping[str, Any], multilabel: bool = False
) -> tuple[list[Stratum], Ints, Ints]:
  """Returns strata in canonical order, the records of each, and the rows stratum by stratum."""
  counted = [
    _count_sets(values) if multilabel and name == 'labels' else _count_classes(values, name)
    for name, values in features.items()
  ]
  lengths = sorted({len(codes) for _, codes in counted})
  if len(lengths) > 1:
    raise DataError(f'labels and split_by are of lengths {lengths}; give one value an item in both')
  joint = np.zeros(lengths[0], np.int64)
  for classes, codes in counted:
    joint = joint * len(classes) + codes
  distinct, which, records = np.unique(joint, return_inverse=True, return_counts=True)
  codes_of = np.unravel_index(distinct, [len(classes) for classes, _ in counted])
  columns = [[classes[i] for i in at] for (classes, _), at in zip(counted, codes_of, strict=True)]
  rows = np.argsort(which.reshape(-1), kind='stable').astype(np.int64)
  return list(zip(*columns, strict=True)), records.astype(np.int64), rows


def _count_classes(labels: Any, argument: str) -> tuple[Sequence[ClassValue], Ints]:
  """Returns the classes of labels, and the number of that of each item: int64 [n]."""
  counts, rows = count_labels(labels, argument)
  codes = np.empty(len(rows), np.int64)
  codes[rows] = np.repeat(np.arange(len(counts.classes)), counts.records)
  return counts.classes, codes


def _count_sets(labels: Any) -> tuple[Sequence[ClassValue], Ints]:
  """Returns the label sets of items as classes, and the number of that of each item: int64 [n]."""
  sets, codes = LabelRows.of(labels).distinct()
  return sets.classes, codes


def _held_splits(extend: Mapping[str, npt.ArrayLike], hashes: UInts, splits: Sequence[str]) -> Ints:
  """Returns the split in which each of n items is already, -1 for none: int64 [n]."""
  if set(check_mapping('extend', extend, '{"train": [1, 2]}')) != set(splits):
    raise ConfigError(
      f'extend= has the splits {sorted(extend, key=str)}, and those to make are {sorted(splits)}; '
      f'give the keys of each'
    )
  held = np.full(len(hashes), -1, np.int64)
  for i, name in enumerate(splits):
    values = as_array(extend[name], f'extend[{name!r}]')
    keys = np.unique(_hashes(f'extend[{name!r}]', values, len(values)))
    mine = np.isin(hashes, keys)
    absent = len(keys) - len(np.unique(hashes[mine]))
    if absent:
      raise DataError(
        f'{absent} keys of extend[{name!r}] are not in key=; give the labels and keys of all items '
        f'so far, with keys of one type'
      )
    if (held[mine] >= 0).any():
      raise DataError(f'extend[{name!r}] has keys of another split too; give each key once')
    held[mine] = i
  return held


def _extend(
  strata: Sequence[Stratum], of_row: Ints, rank: UInts, held: Ints, shares: SplitShares, seed: int
) -> Ints:
  """Returns the split of each of n items, given the row of its stratum, its rank, and `held`."""
  stays, new = np.flatnonzero(held >= 0), np.flatnonzero(held < 0)
  old = np.zeros((len(strata), len(shares.names)), np.int64)
  np.add.at(old, (of_row[stays], held[stays]), 1)
  n_new = np.bincount(of_row[new], minlength=len(strata)).astype(np.int64)
  quotas = extend_split(strata, old, n_new, shares, seed).quotas - old
  split = held.copy()
  in_order = np.repeat(np.tile(np.arange(len(shares.names)), len(strata)), np.ravel(quotas))
  split[new[np.lexsort((rank[new], of_row[new]))]] = in_order
  return split


def _split_groups(frame: SplitPlan, numbers: UInts, rows: Ints, seed: int) -> Ints:
  """Returns the split of each item, int64 [n], given numbers of groups and rows of strata."""
  entries = count_entries(numbers, rows, np.arange(len(rows)))
  part = GroupPart([entries], ['groups'], told_splits(frame))
  table = GroupTable.merge([part.table(0)])
  dealt = part.sums(dealt_splits(part, frame, table, seed), frame.quotas.shape)
  _, plan = plan_groups(frame, table, dealt, seed)
  return plan.assign(part, 0)[np.searchsorted(part.groups, numbers)]


def _warn_of_empty(split: Ints, frame: SplitPlan) -> None:
  """Warns of splits that have a share and no group, given the split of each item: int64 [n]."""
  counts = np.bincount(split[split >= 0], minlength=len(frame.splits))
  rows = zip(frame.splits, frame.shares, counts.tolist(), strict=True)
  empty = [f'split {name!r}' for name, share, n in rows if share and not n]
  if empty:
    more = f', and {len(empty) - 3} more' if len(empty) > 3 else ''
    warnings.warn(
      f'{", ".join(empty[:3])}{more} {"are" if empty[1:] else "is"} empty: no whole group of '
      f'groups= there brings the counts nearer to their shares; give it a larger share, or smaller '
      f'groups',
      stacklevel=3,
    )


def _split_groups_in_time(frame: SplitPlan, numbers: UInts, times: Any, order: TimeOrder) -> Ints:
  """Returns the split of each item, -1 if embargoed, given numbers of groups: int64 [n]."""
  keys, kind = keys_of_times(times, len(numbers))
  zeros = np.zeros(len(numbers), np.int64)
  part = GroupPart([count_entries(numbers, zeros, zeros, keys)], ['groups'], np.array([FREE]))
  groups, ends = TimedGroups(part), np.cumsum(frame.quotas.sum(axis=0))[:-1]
  cuts = GroupCuts.of(groups.near(groups.marks().around(ends)), ends, order, kind)
  found = cuts.parts_of(part)[np.searchsorted(part.groups, numbers)]
  counts = np.bincount(found, minlength=2 * len(frame.splits))
  check_kept(counts[::2], counts[1::2], frame.splits, order)
  return np.where(found & 1, -1, found >> 1)


def _hashes(argument: str, key: npt.ArrayLike, n: int) -> UInts:
  """Returns a hash of each of n values of an argument: uint64 [n]."""
  values = as_array(key, argument)
  if values.shape != (n,):
    raise DataError(
      f'{argument} is of shape {values.shape}, and must be [{n}], as labels; give one an item'
    )
  missing = _is_missing(values)
  if missing.any():
    at = int(np.argmax(missing))
    raise DataError(f'{argument}[{at}] is {values[at]}; fill it in, or leave the item out')
  try:
    distinct, which = np.unique(values, return_inverse=True)
  except TypeError as error:
    raise DataError(
      f'{argument} has values of types that do not compare ({error}); give them one'
    ) from error
  hashes: UInts = np.array([tie_break(0, 'key', value) for value in distinct.tolist()], np.uint64)
  found: UInts = hashes[which.reshape(-1)]
  return found


def _is_missing(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
  """Returns which values are None, NaN, NaT or pandas.NA, whose comparison is no bool: bool [n]."""
  if values.dtype.kind != 'O':
    return np.asarray(values != values, np.bool_)
  absent = [v is None or type(v).__name__ == 'NAType' or bool(v != v) for v in values]
  return np.array(absent, np.bool_)
