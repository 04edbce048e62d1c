"""Counts by stratum or class, as the planners take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tfx_balance.plan.class_value import ClassValue, Stratum
from tfx_balance.scan.stratum_counts import StratumColumns, StratumCounts


def by_stratum(records: Mapping[Stratum, int]) -> tuple[list[Stratum], list[int]]:
  """Returns strata in canonical order, and the records of each."""
  strata = sorted(records, key=lambda stratum: [value.sort_key() for value in stratum])
  return strata, [records[stratum] for stratum in strata]


def by_class(records: Mapping[ClassValue, int]) -> tuple[list[ClassValue], list[int]]:
  """Returns classes in canonical order, and the records of each."""
  classes = sorted(records)
  return classes, [records[value] for value in classes]


def columns_of(strata: Sequence[Stratum], n_features: int = 1) -> StratumColumns:
  """Returns strata as columns; each feature is of one type in all."""
  features = list(zip(*strata, strict=True)) or [()] * n_features
  kinds = [{value.kind for value in values} - {'missing'} for values in features]
  assert all(len(known) < 2 for known in kinds)
  return StratumColumns.of(
    [known.pop() if known else 'missing' for known in kinds],
    [[value.value for value in values] for values in features],
  )


def counts_of(records: Mapping[Stratum, int], n_bytes: int = 1) -> StratumCounts:
  """Returns counts as columns, with so many bytes a record."""
  sizes = np.array(list(records.values()), np.int64)
  return StratumCounts(columns_of(list(records)), sizes, n_bytes * sizes)
