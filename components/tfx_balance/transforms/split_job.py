"""What a split is to do: asked for before the data is read, decided once it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfx_balance.plan.split_plan import SplitPlan, SplitShares, plan_splits
from tfx_balance.transforms.class_column import Payload
from tfx_balance.transforms.features import check_features
from tfx_balance.transforms.labels import MissingLabel
from tfx_balance.transforms.output_layout import OutputLayout
from tfx_balance.transforms.read_options import READ_DEFAULTS, ReadOptions
from tfx_balance.transforms.select import Selection
from tfx_balance.transforms.totals import Totals

BUCKETS = 4096
"""Of a block of a spilled file: as finely as this it can be cut into files and chunks, so that a
chunk of 1 TB in a single output file is still 256 MB."""
BUCKETS_PER_FILE = 4
"""At the least, of those that one input file writes to: fewer would make them unequal."""


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
    reading: how records are read.
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
  reading: ReadOptions = READ_DEFAULTS


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

  @property
  def written(self) -> tuple[int, ...]:
    """Records of each split."""
    return tuple(self.plan.totals())


def plan_job(totals: Totals, request: SplitRequest) -> SplitJob:
  """Returns the job that the totals and the request make.

  Raises:
    DataError: if a feature does not exist, is missing in records and must not be, or has several
      types; if there are no records, or fewer than asked for.
  """
  totals.check_bad(request.reading.max_bad_records)
  check_features(totals, request.features, request.missing, 'stratify_by')
  plan = plan_splits(totals.records, request.shares, request.seed)
  # The n-th files of all splits are written together, so that it is all the data that is cut.
  layouts = tuple(
    OutputLayout.of(
      totals.n_bytes,
      f'{request.output_uri}/Split-{name}',
      request.suffix,
      request.n_files.get(name),
      totals.n_files * BUCKETS // BUCKETS_PER_FILE,
    )
    for name in plan.splits
  )
  return SplitJob(request, totals, plan, layouts)


def n_buckets(n_files: Mapping[str, int]) -> int:
  """Returns how many buckets the blocks of spilled files are to have, before anything is known.

  Args:
    n_files: split to the number of its files, where one was asked for.
  """
  return max(BUCKETS, BUCKETS_PER_FILE * max(n_files.values(), default=1))
