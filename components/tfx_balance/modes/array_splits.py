"""Indices of exact splits in memory: what `StratifiedSplitter` does, for arrays."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_flag, check_seed
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.array_items import ArrayItems
from tfx_balance.modes.at_least import AtLeast, absent_classes
from tfx_balance.modes.bins import NumberBins, inner_edges
from tfx_balance.modes.mode import parse_shares
from tfx_balance.modes.registry import ARGUMENTS, check_modes, parse_modes
from tfx_balance.modes.time import embargo_in_units
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.arrays import columns_of, read_column
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.labels import LabelRows, distinct_codes, label_codes, parts_of
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.split_shares import DEFAULT_SPLITS

_ALIASES = {'stratify_by': 'labels', 'group_by': 'groups', 'order_by': 'order'}
"""Other names of arguments that are named as those of `StratifiedSplitter`."""


def stratified_indices(
  labels: Any = None,
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
  groups: Any = None,
  extend: Mapping[str, npt.ArrayLike] | None = None,
  bins: int | Sequence[float] | Mapping[Any, Any] | None = None,
  at_least: int | Mapping[str, int] | None = None,
  *,
  stratify_by: Any = None,
  group_by: Any = None,
  order_by: npt.ArrayLike | None = None,
) -> dict[str, Ints]:
  """Returns the indices of each split, with every class at its exact share in each.

  Each class in each split, and each split, is within one item of its ideal share, unless
  `at_least` is given. A class that gets no item in a split is warned of.

  Examples:
    >>> indices = stratified_indices(['a'] * 80 + ['b'] * 20, {'train': 3, 'test': 1})
    >>> {name: len(index) for name, index in indices.items()}
    {'train': 75, 'test': 25}

  Arrays are those of NumPy, lists, tensors, series of pandas and polars, or arrays of pyarrow; what
  is missing in them (None, NaN, NaT, NA, masked) is an error.

  Args:
    labels: The same as `stratify_by`.
    splits: Weight by split.
    seed: Seed of the draw.
    counts: Number of items by split, as in `StratifiedSplitter`.
    rest: Name of the split that gets what `counts` leaves.
    split_by: Values that predefine the split of each item, [n]; None for no predefined
      splits. Items without one are an error, or stratified where `splits` are given.
    split_values: Splits by value of `split_by`; None where a value is the name of its split.
    folds: Number of folds, as in `StratifiedSplitter`; 0 for none.
    key: Values by which items are chosen, [n], such as ids: an item keeps its rank when
      others come or go. None for the indices.
    mode: 'exact', or 'stable', as in `StratifiedSplitter`: an item keeps its split when others come
      or go, and items of one key share a split. It needs `key`.
    order: The same as `order_by`.
    within: 'all' for one cut of all the items, 'strata' for a cut of each class, as in
      `StratifiedSplitter`.
    embargo: Time before a later split in which items of earlier ones are left out: where `order_by`
      are numbers a number, else a length of time, such as '7D' or a timedelta.
    embargo_records: Number of items before a later split that are left out.
    multilabel: Whether `stratify_by` has several labels an item: rows of 0 and 1, all of one
      length, or n lists of labels (see `tfx_balance.plan.labels.LabelRows`). Each set of labels is
      within one item of its ideal share then, and labels are as near to theirs as exchanges bring
      them.
    groups: The same as `group_by`.
    extend: Keys of the items of each split of an earlier one, which stay there; the others bring
      classes and splits back to their shares, as in `StratifiedSplitter`. `stratify_by` and `key`,
      which it needs, are of all items so far.
    bins: Number of quantile bins that the numbers in `stratify_by` are put into, or ascending edges
      between bins, as in `StratifiedSplitter`; of several columns, a mapping of the name or number
      of one to either. None where values are classes.
    at_least: Least number of items of a class in every split, or numbers by split, of classes that
      have enough, as in `StratifiedSplitter`; None for shares alone.
    stratify_by: Class of each item, [n]: integers, integral floats, text or bytes. Or several
      columns, as a list, a dict or a table: each combination of values is a stratum, and the first
      columns together are at their shares too. Or see `multilabel`.
    group_by: Group of each item, such as patients: [n], or several columns, as in `stratify_by`,
      whose combinations are groups. All items of a group are in one split, and classes and splits
      as near to their shares as groups allow; with `order_by`, groups are in the order of their
      latest items. A split that stays empty is warned of. Groups leave nothing for `key` to choose.
    order_by: Times that order the splits, earliest first: numbers, dates or times, [n]; None for no
      order. Of equal times, the seed chooses.

  Returns:
    int64 [items of the split], ascending, for each split.

  Raises:
    ConfigError: if the seed, or a split's name, weight or count, breaks a rule; if modes do not
      combine.
    DataError: if the labels are empty, not [n], or not classes; if counts ask for too many, or
      cannot hold with `at_least`; if a fold would be empty.
  """
  seed, multilabel = check_seed(seed), check_flag('multilabel', multilabel)
  given: dict[str, Any] = dict(locals())
  by, names = _once(
    stratify_by=(stratify_by, labels), group_by=(group_by, groups), order_by=(order_by, order)
  )
  strata_name = names['stratify_by']
  columns = {strata_name: by['stratify_by']}
  if not multilabel:
    columns = columns_of(by['stratify_by'], strata_name)
  with _own_names(names):
    plan = None if bins is None else NumberBins.of(inner_edges(bins), list(columns))
  if plan is not None and not multilabel:
    column = read_column(columns[plan.feature], _name_of(strata_name, plan.feature))
    columns[plan.feature] = plan.label_items(column)
  times = None if by['order_by'] is None else read_column(by['order_by'], names['order_by'])
  embargo = embargo if times is None else embargo_in_units(embargo, times)
  features = {_name_of(strata_name, name): values for name, values in columns.items()}
  if split_by is not None:
    features['split_by'] = split_by
  strata, strata_of = _count_strata(features, multilabel)
  grouped = None
  if by['group_by'] is not None:
    columns = columns_of(by['group_by'], names['group_by'])
    grouped = {_name_of(names['group_by'], name): values for name, values in columns.items()}
  # As for files, with the names of arrays in place of features; of others the defaults hold.
  asked = {
    **{name: given.get(name, declared.default) for name, declared in ARGUMENTS.items()},
    'stratify_by': ('labels',),
    'missing_label': 'error',
    'key': None,
    'split_by': None if split_by is None else 'split_by',
    'order_by': None if times is None else 'order_by',
    'embargo': embargo,
    'group_by': grouped and list(grouped),
    'extend': None if extend is None else '',
    'bins': None if plan is None else plan.n or plan.edges,
  }
  with _own_names(names):
    modes = parse_modes(asked)
    shares = parse_shares(asked, modes)
    check_modes(modes, shares)
    # A position is another item in another number of items; a key is the same one anywhere.
    n_items = () if key is not None else (len(strata_of),)
    drawn = tie_break(seed, 'folds' if folds else 'splits', *n_items)
    arrays = {'key': key, 'order_by': times, 'group_by': grouped, 'extend': extend}
    items = ArrayItems(strata, strata_of, shares, modes, drawn, arrays)
    split = modes.placement.split_items(items)
  splits_made = modes.split_names(shares.names)
  _check_split(items, split, splits_made)
  return {name: np.flatnonzero(split == i) for i, name in enumerate(splits_made)}


def _once(**pairs: tuple[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns arguments that have two names, and the name that each has been given by.

  Args:
    **pairs: Value by the name and by the alias, by the name.

  Raises:
    ConfigError: if both are given.
  """
  given, names = {}, {}
  for name, (value, other) in pairs.items():
    alias = _ALIASES[name]
    if value is not None and other is not None:
      raise ConfigError(f'{alias}= and {name}= are both given, and are one argument; leave one out')
    given[name], names[name] = (value, name) if other is None else (other, alias)
  return given, names


def _name_of(argument: str, column: Any) -> str:
  """Returns the name of a column of an argument in messages."""
  return argument if column == argument else f'{argument}[{column!r}]'


def _check_split(items: ArrayItems, split: npt.NDArray[Any], names: Sequence[str]) -> None:
  """Warns of what classes and splits lack, given the split of each item; refuses empty folds."""
  counts = np.zeros((len(items.strata), len(names)), np.int64)
  for part in parts_of(len(items)):
    found = np.flatnonzero(split[part] >= 0)  # others are embargoed
    cells = items.strata_of[part][found].astype(np.int64) * len(names) + split[part][found]
    counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
  plan = items.counted(names, counts)
  moved, fewest = list[str](), 1
  for mode in items.modes:
    mode.check_plan(plan)
    if isinstance(mode, AtLeast):
      moved, fewest = mode.warnings(plan), max(1, mode.needed(plan))
  for message in [*moved, *absent_classes(plan, fewest)]:
    warnings.warn(message, stacklevel=3)


@contextlib.contextmanager
def _own_names(names: Mapping[str, str]) -> Iterator[None]:
  """Gives arguments the names that a person used in errors, by their names."""
  try:
    yield
  except ConfigError as error:
    message = str(error)
    for name, own in names.items():
      message = message.replace(f'{name}=', f'{own}=')
    raise ConfigError(message) from None


def _count_strata(features: Mapping[str, Any], multilabel: bool) -> tuple[list[Stratum], Ints]:
  """Returns strata in canonical order, and the row of that of each item: int64 [n]."""
  found = [
    LabelRows.of(values).distinct() if multilabel and not i else label_codes(values, name)
    for i, (name, values) in enumerate(features.items())
  ]
  counted = [(classes.classes, codes) for classes, codes in found]
  lengths = sorted({len(codes) for _, codes in counted})
  if len(lengths) > 1:
    raise DataError(
      f'{" and ".join(features)} are of lengths {lengths}; give one value an item in all of them'
    )
  joint = np.zeros(lengths[0], np.int64)
  for classes, codes in counted:
    joint *= len(classes)
    joint += codes
  distinct, which = distinct_codes(joint)
  codes_of = np.unravel_index(distinct, [len(classes) for classes, _ in counted])
  columns = [[classes[i] for i in at] for (classes, _), at in zip(counted, codes_of, strict=True)]
  return list(zip(*columns, strict=True)), which.astype(np.int64)
