"""Folds for cross-validation: parts of equal weight of the split to train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tfx_balance.argument_readers import Argument, as_given
from tfx_balance.arguments import check_flag, check_whole
from tfx_balance.documents.sentences import some_of
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.mode import Mode
from tfx_balance.plan.split_plan import SplitPlan
from tfx_balance.plan.split_shares import SplitShares

FOLDED = 'train'
"""The split that folds divide."""
MOST_FOLDS = 1000


@dataclass(frozen=True)
class Folds(Mode):
  """A number of folds that divide FOLDED.

  Attributes:
    n: Number of folds.
  """

  n: int

  ARGUMENTS = {'folds': Argument(int, as_given, 0)}

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> Folds | None:
    n = check_whole(
      'folds', given['folds'], 0, MOST_FOLDS, fix='give the number of folds, such as 5'
    )
    if n == 1:
      raise ConfigError('folds=1 leaves no fold to train on; give 2 or more, or 0 for no folds')
    return cls(n) if n else None

  def describe(self) -> dict[str, Any]:
    return {'folds': self.n}

  @property
  def default_splits(self) -> Mapping[str, int]:
    return {FOLDED: 9, 'test': 1}

  def divide(self, shares: SplitShares) -> SplitShares:
    if FOLDED not in shares.weights:
      fix = ', or name it in rest=' if shares.counts else ''  # which is of counts
      raise ConfigError(
        f'folds={self.n} divides the split {FOLDED!r}, which is not among those with a weight, '
        f'{list(shares.weights)}; give it one in splits={fix}'
      )
    names = _fold_names(self.n)
    taken = sorted({*names} & {*shares.weights, *shares.counts})
    if taken:
      raise ConfigError(f'split {taken[0]!r} is one of {self.n} folds too; give it another name')
    return replace(shares, parts={FOLDED: names})

  def check_plan(self, plan: SplitPlan) -> None:
    """Checks that each fold has a record, for scores on an empty one are NaN."""
    totals = dict(zip(plan.splits, plan.totals(), strict=True))
    empty = [name for name in _fold_names(self.n) if not totals[name]]
    if empty:
      groups = f' in {plan.groups.n_groups} groups' if plan.groups else ''
      raise DataError(
        f'folds={self.n} leaves {some_of(empty)} empty, for there are {plan.records.sum()} records'
        f'{groups}; ask for fewer folds'
      )


class FoldSplits(NamedTuple):
  """The splits that one round of cross-validation takes.

  Attributes:
    train: Names of the splits to train on: all folds but one, or those before it.
    eval: Name of the split to evaluate on, as the only one in a tuple.
  """

  train: tuple[str, ...]
  eval: tuple[str]


def fold_splits(fold: int, folds: int, forward: bool = False) -> FoldSplits:
  """Returns the splits of one round of cross-validation over the folds of `StratifiedSplitter`.

  >>> fold_splits(0, folds=3)
  FoldSplits(train=('fold-1', 'fold-2'), eval=('fold-0',))
  >>> fold_splits(2, folds=4, forward=True)
  FoldSplits(train=('fold-0', 'fold-1'), eval=('fold-2',))

  Args:
    fold: Number of the fold to evaluate on, from 0; from 1 with `forward`.
    folds: Number of folds.
    forward: Whether only the folds before it are trained on, for folds in the order of time
      (`order_by`): forward chaining, one round fewer than there are folds.

  Raises:
    ConfigError: if there is no such fold, or none before it to train on.
  """
  names = _fold_names(check_whole('folds', folds, 2, MOST_FOLDS))
  if check_flag('forward', forward):
    fix = 'the first fold is the earliest, with none before it to train on'
    fold = check_whole('fold', fold, 1, folds - 1, fix=fix)
    return FoldSplits(names[:fold], (names[fold],))
  fold = check_whole('fold', fold, 0, folds - 1)
  return FoldSplits((*names[:fold], *names[fold + 1 :]), (names[fold],))


def _fold_names(folds: int) -> tuple[str, ...]:
  return tuple(f'fold-{i}' for i in range(folds))
