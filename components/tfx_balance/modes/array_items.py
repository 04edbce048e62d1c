"""The items of arrays, as split modes see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import DataError
from tfx_balance.modes.mode import SplitModes
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.labels import as_array
from tfx_balance.plan.ranks import Ints, UInts, ranks
from tfx_balance.plan.split_plan import SplitPlan
from tfx_balance.plan.split_shares import SplitShares


@dataclass(frozen=True, eq=False)
class ArrayItems:
  """Items to split.

  Attributes:
    strata: Strata in canonical order.
    strata_of: Row of the stratum of each item: int64 [n].
    shares: Shares of the splits.
    modes: The modes that are asked for.
    seed: Seed of the draw.
    given: Further arguments of `stratified_indices`, by name.
  """

  strata: Sequence[Stratum]
  strata_of: Ints
  shares: SplitShares
  modes: SplitModes
  seed: int
  given: Mapping[str, Any]

  def __len__(self) -> int:
    return len(self.strata_of)

  def plan(self) -> SplitPlan:
    """Returns the items of each stratum in each split, as far as counts tell them."""
    records = np.bincount(self.strata_of, minlength=len(self.strata)).astype(np.int64)
    return self.modes.plan(self.strata, records, self.shares, self.seed)

  def hashes(self) -> UInts:
    """Returns what identifies each item: hashes of `key`, or the numbers of the items: [n]."""
    key = self.given['key']
    return (
      np.arange(len(self), dtype=np.uint64) if key is None else hashes_of('key', key, len(self))
    )

  def ranks(self) -> UInts:
    """Returns the rank by which each item is chosen: uint64 [n]."""
    return ranks(self.hashes(), self.seed, 'indices')


def in_shares(which: Ints, quotas: Ints, *order: npt.NDArray[Any]) -> Ints:
  """Returns the column of each item: the first of a row are in its first one: int64 [n].

  Args:
    which: Row of each item: int64 [n].
    quotas: Number of items of each row in each column: int64 [rows, columns].
    *order: What items are ordered by in a row, the last first: [n].
  """
  found = np.empty(len(which), np.int64)
  columns = np.tile(np.arange(quotas.shape[1]), len(quotas))
  found[np.lexsort((*order, which))] = np.repeat(columns, np.ravel(quotas))
  return found


def hashes_of(argument: str, key: npt.ArrayLike, n: int) -> UInts:
  """Returns a hash of each of n values of an argument: uint64 [n].

  Raises:
    DataError: if there are not n values, or some are missing or do not compare.
  """
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
