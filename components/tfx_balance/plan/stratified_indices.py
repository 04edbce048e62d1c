"""The splitter's plan for labels in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_seed, shown
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue, as_labels
from tfx_balance.plan.ranks import ranks
from tfx_balance.plan.split_plan import DEFAULT_SPLITS, SplitShares, plan_splits


def stratified_indices(
  labels: npt.ArrayLike,
  splits: Mapping[str, Any] = DEFAULT_SPLITS,
  seed: int = 0,
  counts: Mapping[str, int] | None = None,
  rest: str | None = None,
) -> dict[str, npt.NDArray[np.int64]]:
  """Returns the indices of each split, with every class at its exact share in each.

  Each class in each split, and each split, is within one item of its ideal share.

  Examples:
    >>> parts = stratified_indices(['a'] * 80 + ['b'] * 20, {'train': 3, 'test': 1})
    >>> {name: len(index) for name, index in parts.items()}
    {'train': 75, 'test': 25}

  Args:
    labels: [n], integers, integral floats, text or bytes; one label an item.
    splits: split name to weight.
    seed: another seed, another split; the same seed, the same.
    counts: split name to number of items, as in `StratifiedSplitter`.
    rest: the split that gets what `counts` leaves.

  Returns:
    int64 [items of the split], ascending, for each split.

  Raises:
    ConfigError: if the seed, or a split's name, weight or count, breaks a rule.
    DataError: if the labels are empty, not [n], or not classes; if counts ask for too many.
  """
  seed = check_seed(seed)
  values = as_labels(labels)
  if values.ndim != 1:
    raise DataError(
      f'labels of shape {values.shape} must be of shape [n], one class an item; '
      f'turn one-hot rows into classes with labels.argmax(axis=1)'
    )
  try:
    distinct, codes, sizes = np.unique(values, return_inverse=True, return_counts=True)
  except TypeError as error:
    for value in values:
      _class_of(value)  # tells which one is no class
    raise DataError(f'labels are of types that do not compare ({error}); give them one') from error
  strata = [(_class_of(value),) for value in distinct]
  shares = SplitShares.parse(splits, counts, rest)
  plan = plan_splits(dict(zip(strata, sizes.tolist(), strict=True)), shares, seed)
  rank = ranks(np.arange(len(values), dtype=np.uint64), seed, 'indices')
  row = {stratum: i for i, stratum in enumerate(plan.strata)}
  row_of = np.array([row[stratum] for stratum in strata])
  order = np.lexsort((rank, row_of[codes]))
  parts = np.empty(len(values), np.int64)
  parts[order] = np.repeat(np.tile(np.arange(len(plan.splits)), len(strata)), np.ravel(plan.quotas))
  return {name: np.flatnonzero(parts == i) for i, name in enumerate(plan.splits)}


def _class_of(value: Any) -> ClassValue:
  """Returns the class of a numpy scalar."""
  plain = value.item() if isinstance(value, np.generic) else value
  if isinstance(plain, str):
    return ClassValue('bytes', plain.encode('utf-8', 'surrogateescape'))
  if isinstance(plain, bytes):
    return ClassValue('bytes', plain)
  if isinstance(plain, (bool, int)):
    return ClassValue('int', int(plain))
  if isinstance(plain, float) and plain.is_integer():
    return ClassValue('float', plain)
  raise DataError(
    f'label {shown(plain)} must be an integer, an integral float, text or bytes; bin it'
  )
