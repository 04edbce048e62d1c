"""What a split is to do: asked for before the data is read, decided once it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING
from tfx_balance.plan.split_plan import SplitPlan, SplitShares, plan_splits
from tfx_balance.transforms.count import Totals
from tfx_balance.transforms.labels import MissingLabel, Payload
from tfx_balance.transforms.select import Selection
from tfx_balance.transforms.shuffle import OutputLayout


@dataclass(frozen=True)
class SplitRequest:
  """What is asked for, before any data is read.

  Attributes:
    features: that strata are made of, the first one being the class.
    shares: of the splits.
    seed: of all that is drawn.
    missing: what becomes of records without a class.
    payload: what a record is.
    output_uri: of the artifact to write.
    suffix: of the files to write.
    n_files: split to the number of its files, where one was asked for.
    work_dir: for files that are in the making; on the artifact's filesystem.
    parameters: as given, for the sidecar.
  """

  features: tuple[str, ...]
  shares: SplitShares
  seed: int
  missing: MissingLabel
  payload: Payload
  output_uri: str
  suffix: str
  n_files: Mapping[str, int]
  work_dir: str
  parameters: Mapping[str, Any]


@dataclass(frozen=True)
class SplitJob:
  """What is to be done, decided from the totals."""

  request: SplitRequest
  totals: Totals
  plan: SplitPlan
  layouts: tuple[OutputLayout, ...]

  @property
  def selection(self) -> Selection:
    """Which records go to which split: a part is a split."""
    rows = {('', stratum): row for row, stratum in enumerate(self.plan.strata)}
    quotas = np.array(self.plan.quotas, np.int64).reshape(-1, len(self.plan.splits))
    return Selection(rows, quotas, self.request.seed, 'split')


def plan_job(totals: Totals, request: SplitRequest) -> SplitJob:
  """Returns the job that the totals and the request make.

  Raises:
    DataError: if a feature does not exist, is missing in records and must not be, or has several
      types; if there are no records, or fewer than asked for.
  """
  _check_features(totals, request)
  plan = plan_splits(totals.records, request.shares, request.seed)
  per_record = totals.n_bytes / (totals.n_records + totals.dropped)
  layouts = tuple(
    OutputLayout.of(
      int(n * per_record),
      f'{request.output_uri}/Split-{name}',
      request.suffix,
      request.n_files.get(name),
    )
    for name, n in zip(plan.splits, plan.totals(), strict=True)
  )
  return SplitJob(request, totals, plan, layouts)


def _check_features(totals: Totals, request: SplitRequest) -> None:
  read = totals.n_records + totals.dropped
  if not read:
    raise DataError('the input holds no records; give at least one')
  for i, feature in enumerate(request.features):
    kinds = {stratum[i].kind for stratum in totals.records}
    absent = sum(n for stratum, n in totals.records.items() if stratum[i] == MISSING)
    if kinds <= {'missing'} and feature not in totals.feature_names:
      known = ', '.join(sorted(totals.feature_names)) or 'none'
      raise DataError(
        f'feature {feature!r} is in none of the {read} records; stratify_by takes one of: {known}'
      )
    if absent and request.missing == 'error':
      path, position = totals.missing_in[feature]
      raise DataError(
        f'feature {feature!r} has no value in {absent} of {read} records, the first of them record '
        f"{position} of {path}; pass missing_label='own_stratum' or 'drop', or fill it in"
      )
    if len(kinds - {'missing'}) > 1:
      raise DataError(
        f'feature {feature!r} has values of types {sorted(kinds - {"missing"})}; '
        f'give it one type in all files'
      )
  if not totals.n_records:
    raise DataError(f'all {read} records lack a class and missing_label drops them; fill it in')
