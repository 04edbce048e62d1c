"""The plan of a run that extends an earlier artifact: old records stay, new ones are selected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tfx_balance.documents.class_distribution import ClassDistribution
from tfx_balance.documents.json_document import REMEDY
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.plan.extended_split import extend_split
from tfx_balance.scan.totals import Totals
from tfx_balance.stratified_splitter.held_records import NEW
from tfx_balance.stratified_splitter.job import SplitJob, SplitRequest, check_totals, make_job
from tfx_balance.tfrecord.storage import read_whole


def check_base_counts(
  groups: Mapping[str, Totals], request: SplitRequest, path: str
) -> Mapping[str, Totals]:
  """Returns the totals, after a check of those of the artifact to extend against its sidecar.

  Args:
    groups: Totals of the new files, and of each split's old ones.
    request: The arguments of the run. Of its features, those that the sidecar counts are compared.
    path: Path of the sidecar.

  Raises:
    DataError: if a split holds another number of records of a class.
  """
  sidecar = ClassDistribution.from_json(read_whole(path), path)
  for i, feature in enumerate(request.parameters.features):
    is_binned = feature in (sidecar.parameters.get('bins') or ())
    expected = None if is_binned else sidecar.tallies(feature, sidecar.splits)
    for split, tally in (expected or {}).items():
      counted: Counter[ClassValue] = Counter()
      for counts in groups[split].counts if split in groups else ():
        for stratum, n in zip(counts.strata, counts.records.tolist(), strict=True):
          counted[stratum[i]] += n
      for value in sorted({*counted, *tally} - {MISSING}):
        if counted[value] != tally.get(value, 0):
          raise DataError(
            f'split {split!r} of the artifact to extend holds {counted[value]} records of class '
            f'{value} of {feature!r}, and {path} tells {tally.get(value, 0)}: the files are not '
            f'those that were published with it; {REMEDY}'
          )
  return groups


def plan_extension(groups: Mapping[str, Totals], request: SplitRequest) -> SplitJob:
  """Returns the job that some totals make: of the new files, and of each split's old ones.

  Raises:
    DataError: as `plan_job` does.
  """
  totals = Totals()
  groups = dict(sorted(groups.items()))
  for group in groups.values():
    totals.merge(group)
  check_totals(totals, request)
  counts, shares = totals.strata(), request.parameters.shares
  places = {name: counts.strata.rows_of(group.strata().strata) for name, group in groups.items()}
  old = np.zeros((len(counts), len(shares.names)), np.int64)
  for name, rows in places.items():
    if name != NEW:
      old[rows, shares.names.index(name)] += groups[name].strata().records
  new = counts.records - old.sum(axis=1)
  plan = extend_split(counts.strata, old, new, shares, request.parameters.seed)
  quotas = []
  for name, rows in places.items():
    if name == NEW:
      quotas.append((plan.quotas - old)[rows])
    else:
      stays = np.zeros((len(rows), len(shares.names)), np.int64)
      stays[:, shares.names.index(name)] = groups[name].strata().records
      quotas.append(stays)
  some = np.flatnonzero(plan.records)
  plan = replace(
    plan,
    strata=counts.strata.take(some),
    records=plan.records[some],
    quotas=plan.quotas[some],
    predefined=plan.predefined[some],
  )
  strata = {name: group.strata().strata for name, group in groups.items()}
  return make_job(totals, request, plan, strata, np.concatenate(quotas), int(old.sum()))
