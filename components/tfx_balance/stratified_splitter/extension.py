"""A run that extends an earlier artifact: old records stay, new ones are selected.

scanned ── columns of hashes by part ── those of new files that old ones have ── by file ── scanned

A part is a range of hashes. Arrays go between the steps, not records: a part is compared in memory,
8 bytes a record, and so is what is found of one file. How the split is planned on counts is in
`tfx_balance.modes.extend`, which is also for arrays and has no Beam.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import apache_beam as beam
import numpy as np

from tfx_balance.documents.class_distribution import ClassDistribution
from tfx_balance.documents.json_document import REMEDY
from tfx_balance.errors import DataError
from tfx_balance.modes.extend import extend_split
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.plan.ranks import UInts
from tfx_balance.scan.scan import FileSums, ScannedFile
from tfx_balance.scan.spill import SpillWriter, pack
from tfx_balance.scan.totals import Totals
from tfx_balance.stratified_splitter.output_plan import (
  SplitContext,
  SplitOutputPlan,
  check_totals,
  make_job,
)
from tfx_balance.tfrecord.storage import read_whole
from tfx_balance.tfrecord.work_folder import scratch_folder

NEW = ''
"""Group of the files whose records are new; the others are named after their split."""
_PARTS = 64

HashColumn = tuple[int, UInts]
"""Number of a new file, -1 for any old one, and hashes of its records, ascending."""


def leave_out_held(
  scanned: beam.PCollection[ScannedFile], request: SplitContext
) -> beam.PCollection[ScannedFile]:
  """Returns the files, the new ones without the records that the others have."""
  held = (
    scanned
    | 'HashColumns' >> beam.FlatMap(hash_columns)
    | 'ByHash' >> beam.GroupByKey()
    | 'FindHeld' >> beam.FlatMap(lambda part: find_held(part[1]))
  )
  by_number = scanned | 'ByNumber' >> beam.Map(lambda file: (file.file.file_number, file))
  return (
    {'files': by_number, 'held': held}
    | 'FilesAndHeld' >> beam.CoGroupByKey()
    | 'LeaveOutHeld'
    >> beam.FlatMap(
      lambda found: (leave_out(file, found[1]['held'], request) for file in found[1]['files'])
    )
  )


def hash_columns(scanned: ScannedFile) -> Iterator[tuple[int, HashColumn]]:
  """Yields the hashes of a file's records, part by part."""
  file_number = scanned.file.file_number if scanned.file.input_split == NEW else -1
  for index in scanned.spill.index('hash'):
    hashes = np.unique(index['hash'])
    part = (hashes >> np.uint64(58)).astype(np.int64)
    edges = np.searchsorted(part, np.arange(_PARTS + 1))
    for i in np.flatnonzero(np.diff(edges)).tolist():
      yield i, (file_number, hashes[edges[i] : edges[i + 1]])


def find_held(columns: Iterable[HashColumn]) -> Iterator[HashColumn]:
  """Yields, of each new file, the hashes that old ones have; columns of one part."""
  several = list(columns)
  old = np.unique(
    np.concatenate([np.empty(0, np.uint64), *(c for file_number, c in several if file_number < 0)])
  )
  for file_number, hashes in several:
    found = hashes[np.isin(hashes, old, assume_unique=True)] if file_number >= 0 else hashes[:0]
    if len(found):
      yield file_number, found


def leave_out(scanned: ScannedFile, columns: Iterable[UInts], request: SplitContext) -> ScannedFile:
  """Returns a file without the records that have one of some hashes; what is left is written."""
  hashes = np.concatenate([np.empty(0, np.uint64), *columns])
  if not len(hashes):
    return scanned
  gone = FileSums()
  with scratch_folder(request.work_dir) as folder:
    with SpillWriter(folder, 'new', scanned.spill.file_number, scanned.spill.key) as writer:
      for index, frames in scanned.spill.frames():
        is_held = np.isin(index['hash'], hashes)
        gone.add(index[is_held], 0, len(scanned.records))
        kept = np.flatnonzero(~is_held)
        writer.write(index[kept], frames, kept)
    spill = writer.spill
    if folder != request.work_dir:
      spill = pack(spill, request.work_dir, None, sizes=request.sizes)
  return replace(
    scanned,
    spill=spill,
    records=scanned.records - gone.records,
    stratum_bytes=scanned.stratum_bytes - gone.stratum_bytes,
    counts=replace(
      scanned.counts,
      n_bytes=scanned.counts.n_bytes - int(gone.stratum_bytes.sum()),
      fingerprint=(scanned.counts.fingerprint - gone.fingerprint) % 2**64,
      in_base=int(gone.records.sum()),
    ),
  )


def check_base_counts(
  groups: Mapping[str, Totals], request: SplitContext, path: str
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


def plan_extension(groups: Mapping[str, Totals], request: SplitContext) -> SplitOutputPlan:
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
  plan = extend_split(counts.strata, old, new, shares, request.draw_seed)
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
