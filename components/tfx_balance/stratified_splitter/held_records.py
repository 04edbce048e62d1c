"""Leaving out records that the artifact to extend holds already, by hash.

scanned ── columns of hashes by part ── those of new files that old ones have ── by file ── scanned

A part is a range of hashes. Arrays go between the steps, not records: a part is compared in memory,
8 bytes a record, and so is what is found of one file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import apache_beam as beam
import numpy as np

from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.spill import SpillWriter, pack
from tfx_balance.stratified_splitter.job import SplitRequest
from tfx_balance.tfrecord.work_folder import scratch_folder

NEW = ''
"""Group of the files whose records are new; the others are named after their split."""
_PARTS = 64

Column = tuple[int, UInts]
"""Rank of a new file, -1 for any old one, and hashes of its records, ascending."""


def leave_out_held(
  scanned: beam.PCollection[ScannedFile], request: SplitRequest
) -> beam.PCollection[ScannedFile]:
  """Returns the files, the new ones without the records that the others have."""
  held = (
    scanned
    | 'HashColumns' >> beam.FlatMap(hash_columns)
    | 'ByHash' >> beam.GroupByKey()
    | 'FindHeld' >> beam.FlatMap(lambda part: find_held(part[1]))
  )
  by_rank = scanned | 'ByRank' >> beam.Map(lambda file: (file.file.rank, file))
  return (
    {'files': by_rank, 'held': held}
    | 'FilesAndHeld' >> beam.CoGroupByKey()
    | 'LeaveOutHeld'
    >> beam.FlatMap(
      lambda found: (leave_out(file, found[1]['held'], request) for file in found[1]['files'])
    )
  )


def hash_columns(scanned: ScannedFile) -> Iterator[tuple[int, Column]]:
  """Yields the hashes of a file's records, part by part."""
  rank = scanned.file.rank if scanned.file.group == NEW else -1
  for index in scanned.spill.index('hash'):
    hashes = np.unique(index['hash'])
    part = (hashes >> np.uint64(58)).astype(np.int64)
    edges = np.searchsorted(part, np.arange(_PARTS + 1))
    for i in np.flatnonzero(np.diff(edges)).tolist():
      yield i, (rank, hashes[edges[i] : edges[i + 1]])


def find_held(columns: Iterable[Column]) -> Iterator[Column]:
  """Yields, of each new file, the hashes that old ones have; columns of one part."""
  several = list(columns)
  old = np.unique(np.concatenate([np.empty(0, np.uint64), *(c for rank, c in several if rank < 0)]))
  for rank, hashes in several:
    found = hashes[np.isin(hashes, old, assume_unique=True)] if rank >= 0 else hashes[:0]
    if len(found):
      yield rank, found


def leave_out(scanned: ScannedFile, columns: Iterable[UInts], request: SplitRequest) -> ScannedFile:
  """Returns a file without the records that have one of some hashes; what is left is written."""
  hashes = np.concatenate([np.empty(0, np.uint64), *columns])
  if not len(hashes):
    return scanned
  gone = _Gone(len(scanned.records))
  with scratch_folder(request.work_dir) as folder:
    with SpillWriter(folder, 'new', scanned.spill.rank, scanned.spill.key) as writer:
      for index, frames in scanned.spill.frames():
        is_held = np.isin(index['hash'], hashes)
        gone.add(index[is_held])
        kept = np.flatnonzero(~is_held)
        writer.write(index[kept], frames, kept)
    spill = writer.spill
    if folder != request.work_dir:
      spill = pack(spill, request.work_dir, None)
  return replace(
    scanned,
    spill=spill,
    records=scanned.records - gone.records,
    stratum_bytes=scanned.stratum_bytes - gone.stratum_bytes,
    n_bytes=scanned.n_bytes - int(gone.stratum_bytes.sum()),
    fingerprint=(scanned.fingerprint - gone.fingerprint) % 2**64,
    held=int(gone.records.sum()),
    key_counts=writer.key_counts,
  )


class _Gone:
  """What records that were left out add up to, as in `ScannedFile`."""

  records: Ints
  stratum_bytes: Ints

  def __init__(self, n_strata: int) -> None:
    self.records, self.stratum_bytes = np.zeros((2, n_strata), np.int64)
    self.fingerprint = 0

  def add(self, rows: np.ndarray) -> None:
    """Takes rows of the index."""
    codes, n = rows['code'].astype(np.int64), len(self.records)
    self.records += np.bincount(codes, minlength=n)
    self.stratum_bytes += np.bincount(codes, rows['size'], minlength=n).astype(np.int64)
    self.fingerprint += int(mix(rows['hash'], 0).sum())
