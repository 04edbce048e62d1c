"""StratifiedSplits: the folds of `stratified_indices` as a cross-validator of scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfx_balance.arguments import check_whole, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.modes.folds import FOLDED, MOST_FOLDS, fold_splits
from tfx_balance.plan.arrays import is_sparse, n_rows, table_columns
from tfx_balance.plan.ranks import Ints


@dataclass(frozen=True)
class StratifiedSplits:
  """Folds that hold every class at its exact share, for scikit-learn's `cv=` and for loops.

  Takes what scikit-learn's own splitters take apart: groups, several labels an item, numbers in
  bins, and time. Needs NumPy alone.

  Examples:
    >>> y = np.array(['a'] * 40 + ['b'] * 7)
    >>> rounds = StratifiedSplits(n_splits=3).split(np.zeros((47, 2)), y)
    >>> [np.unique(y[test], return_counts=True)[1].tolist() for _, test in rounds]
    [[14, 2], [13, 3], [13, 2]]

  Attributes:
    n_splits: Number of rounds, 2 or more.
    seed: Seed of the draw.
    multilabel: Whether `y` has several labels an item, as in `stratified_indices`.
    bins: Number of quantile bins of `y`, or ascending edges between bins; None for classes.
    order_by: Column of `X` with times, a name or a number: each round trains on what is before its
      test items, as TimeSeriesSplit has it. None for no order.
    within: 'all' for one cut of all the items, 'strata' for a cut of each class.
    embargo: Time before each cut in which items are left out of all rounds: of numbers a number, of
      dates a length of time, such as '7D' or a timedelta.
    embargo_records: Number of items before each cut that are left out of all rounds.
    at_least: Least number of items of a class in each round's test, of classes that have enough for
      all rounds; None for shares alone.
  """

  n_splits: int = 5
  seed: int = 0
  multilabel: bool = False
  bins: int | Sequence[float] | None = None
  order_by: Any = None
  within: str = 'all'
  embargo: Any = 0
  embargo_records: int = 0
  at_least: int | None = None

  def __post_init__(self) -> None:
    check_whole('n_splits', self.n_splits, 2, MOST_FOLDS - 1)

  def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
    """Returns the number of rounds; the arguments are there for scikit-learn."""
    return self.n_splits

  def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:
    """Yields the rows to train on and those to test on, int64 and ascending, of each round.

    Args:
      X: [n, ...], of which only the number of rows and the column `order_by` are used.
      y: [n], classes, or what `multilabel` and `bins` make it.
      groups: Group of each item, whose items stay together, [n] or several columns as `group_by` of
        `stratified_indices`; None for none.

    Raises:
      ConfigError: if an argument breaks a rule, or modes do not combine.
      DataError: if X, y and groups differ in length, a value breaks a rule, or there are fewer
        items or groups than rounds.
    """
    if y is None:
      raise ConfigError('y=None, and folds are stratified by it; give the labels')
    in_time = self.order_by is not None
    folds = self.n_splits + in_time  # the earliest fold has none before it
    given = {**vars(self), 'order_by': _column(X, self.order_by) if in_time else None}
    del given['n_splits']  # all others are arguments of stratified_indices
    found = stratified_indices(y, {FOLDED: 1}, folds=folds, groups=groups, **given)
    n_x, n_y = n_rows(X, 'X'), n_rows(y, 'y')
    if n_x != n_y:
      raise DataError(f'X has {n_x} rows, and y has {n_y}; give one label a row')
    for fold in range(folds - self.n_splits, folds):
      train, test = fold_splits(fold, folds, forward=in_time)
      rows = np.concatenate([found[name] for name in train])
      yield np.sort(rows), found[test[0]]


def _column(table: Any, name: Any) -> Any:
  """Returns a column of a table: of a DataFrame by its name, of an array by its number."""
  try:
    if isinstance(table, dict) or table_columns(table) is not None:
      return table[name]
    if is_sparse(table):
      return table[:, [check_whole('order_by', name, 0)]].toarray()
    return np.asarray(table)[:, check_whole('order_by', name, 0)]
  except (KeyError, IndexError) as error:
    raise ConfigError(
      f'order_by={format_value(name)} is no column of X; give the name of one of a DataFrame, or '
      f'the number of one of an array'
    ) from error
