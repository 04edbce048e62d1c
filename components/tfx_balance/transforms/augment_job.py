"""What balancing is to do: asked for before the data is read, decided once it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import ConfigError
from tfx_balance.plan.balance_plan import BalancePlan, BalanceRequest, plan_balance
from tfx_balance.plan.class_value import MISSING
from tfx_balance.plan.pool_plan import PoolPlan
from tfx_balance.transforms.class_column import Payload
from tfx_balance.transforms.features import check_features
from tfx_balance.transforms.labels import MissingLabel
from tfx_balance.transforms.output_layout import OutputLayout
from tfx_balance.transforms.read_options import READ_DEFAULTS, ReadOptions
from tfx_balance.transforms.select import Selection
from tfx_balance.transforms.totals import Totals

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AugmentRequest:
  """What is asked for, before any data is read.

  Attributes:
    label: the feature that holds the class.
    balance: what each class is to be brought to.
    augmented_split: the split that gets the copies; None for the split of their originals.
    seed: of all that is drawn.
    missing: what becomes of records without a class.
    payload: what a record is.
    output_uri: of the artifact to write.
    suffix: of the files to write.
    work_dir: for files that are in the making; on the artifact's filesystem.
    provenance: whether copies carry features that say what they are copies of.
    parameters: as given, for the sidecar.
    reading: how records are read.
    missing_is_class: whether records without a class are balanced as one, or left as they are.
    augment_timeout: seconds that an augment function may take for a batch; None for no limit.
  """

  label: str
  balance: BalanceRequest
  augmented_split: str | None
  seed: int
  missing: MissingLabel
  payload: Payload
  output_uri: str
  suffix: str
  work_dir: str
  provenance: bool
  parameters: Mapping[str, Any]
  reading: ReadOptions = READ_DEFAULTS
  missing_is_class: bool = False
  augment_timeout: float | None = None


@dataclass(frozen=True)
class AugmentJob:
  """What is to be done, decided from the totals.

  Attributes:
    request: what was asked for.
    totals: of each split.
    plans: of each split.
    selection: part 0 of a row are the records that are there more often than those of part 1.
    copies: int64 [rows, 2], how often a record of that row and part will be there.
    outputs: int64 [rows], the number of the layout that a row's records are written to.
    names: of the splits that are written, by layout.
    layouts: of these splits.
    written: records of each layout.
    pools: by row of the selection, where an augment function needs them.
  """

  request: AugmentRequest
  totals: Mapping[str, Totals]
  plans: Mapping[str, BalancePlan]
  selection: Selection
  copies: Ints
  outputs: Ints
  names: tuple[str, ...]
  layouts: tuple[OutputLayout, ...]
  written: tuple[int, ...]
  pools: PoolPlan | None = None

  @property
  def n_files(self) -> int:
    """The input files of all the splits."""
    return sum(totals.n_files for totals in self.totals.values())


def plan_augment(totals: Mapping[str, Totals], request: AugmentRequest) -> AugmentJob:
  """Returns the job that the totals of the splits and the request make.

  Raises:
    ConfigError: if the strategy does not fit the classes.
    DataError: if the label cannot be the class.
  """
  merged = Totals()
  for of_split in totals.values():
    merged.merge(of_split)
  merged.check_bad(request.reading.max_bad_records)
  for of_split in totals.values():
    check_features(of_split, [request.label], request.missing, 'label')
  passed = () if request.missing_is_class else (MISSING,)
  plans = {
    name: plan_balance({s[0]: n for s, n in of_split.records.items()}, request.balance, passed)
    for name, of_split in sorted(totals.items())
  }
  apart = request.augmented_split
  names = (apart,) if apart else tuple(plans)
  classes = [(name, value) for name, plan in plans.items() for value in plan.classes]
  counts = np.array([n for plan in plans.values() for n in plan.records], np.int64)
  targets = np.array([n for plan in plans.values() for n in plan.targets], np.int64)
  outputs = np.array([0 if apart else names.index(name) for name, _ in classes], np.int64)
  quotas, copies = _parts(counts, targets)
  emitted = targets - counts if apart else targets
  written = tuple(int(emitted[outputs == i].sum()) for i in range(len(names)))
  return AugmentJob(
    request,
    totals,
    plans,
    Selection({(n, (v,)): i for i, (n, v) in enumerate(classes)}, quotas, request.seed, 'balance'),
    copies,
    outputs,
    names,
    tuple(_layout(totals, request, name, n) for name, n in zip(names, written, strict=True)),
    written,
  )


def _parts(counts: Ints, targets: Ints) -> tuple[Ints, Ints]:
  """Returns how many records each part of a class has, and how often these will be there.

  target = copies * n + extra: the first `extra` records by rank are there once more. Below n,
  copies is 0, and the first `target` records are those that stay.
  """
  copies, extra = np.divmod(targets, counts)
  return np.stack([extra, counts - extra], axis=1), np.stack([copies + 1, copies], axis=1)


def _layout(
  totals: Mapping[str, Totals], request: AugmentRequest, name: str, records: int
) -> OutputLayout:
  """Returns the layout of a split, taking its records to be as large as those that were read."""
  n_bytes = sum(of_split.n_bytes for of_split in totals.values())
  read = sum(of_split.n_records + of_split.dropped + of_split.bad for of_split in totals.values())
  folder = f'{request.output_uri}/Split-{name}'
  return OutputLayout.of(records * n_bytes // read, folder, request.suffix)


def check_request(balance: BalanceRequest, splits: list[str], augmented_split: str | None) -> None:
  """Checks what must fit together whatever the data.

  Raises:
    ConfigError: if it does not.
  """
  if augmented_split is None:
    return
  if balance.undersample:
    raise ConfigError(
      f'augmented_split={augmented_split!r} leaves the originals as they are, undersample=True '
      f'takes some away; drop one of them'
    )
  if len(splits) > 1:
    raise ConfigError(
      f'augmented_split={augmented_split!r} takes the copies of one split, splits={splits} are '
      f'several; use a component for each'
    )
