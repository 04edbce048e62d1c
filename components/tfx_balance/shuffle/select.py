"""Finding thresholds in Beam: which records of each stratum a quota means, without sorting them.

    scanned files ──┬── histogram of ranks ──┐
                    └── candidates ──────────┴── Thresholds

The records stay where they are; only counts, and the few ranks near a threshold, come together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.beam.steps import summed
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.ranks import (
  Assigner,
  Candidates,
  Ints,
  RankHistogram,
  Thresholds,
  UInts,
  boundary_buckets,
  find_thresholds,
  ranks,
)
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.strata import BAD


@dataclass(frozen=True)
class Selection:
  """Numbers of records to select from each stratum of each group of files.

  Attributes:
    rows: Row in `quotas` by (group, stratum).
    quotas: Number of records for each part: int64 [rows, parts]; a row sums to its stratum.
    seed: Seed of the component.
    purpose: Name of the draw; another purpose gives independent ranks.
  """

  rows: Mapping[tuple[str, Stratum], int]
  quotas: Ints
  seed: int
  purpose: str

  @property
  def layout(self) -> RankHistogram:
    """Where each row's buckets are."""
    return RankHistogram.of(self.quotas.sum(axis=1).tolist())

  def rows_of(self, scanned: ScannedFile) -> Ints:
    """Returns the row of each code in a file's index; the last one, -1, is for dropped records."""
    group = scanned.file.group
    return np.array([*(self.rows[group, stratum] for stratum in scanned.strata), -1], np.int64)

  def ranks(self, index: npt.NDArray[np.void]) -> UInts:
    """Returns the ranks of the records of an index."""
    return ranks(index['hash'], self.seed, self.purpose)

  def ranked(self, scanned: ScannedFile) -> Iterator[tuple[Ints, UInts]]:
    """Yields the rows and the ranks of a file's records that are not dropped, chunk by chunk."""
    rows = self.rows_of(scanned)
    for index in scanned.index_rows():
      code = index['code']
      if code.max(initial=0) >= BAD:
        index = index[code < BAD]
      yield rows[index['code']], self.ranks(index)


class FileAssigner:
  """Tells the row and the part of each record of one file, a chunk at a time."""

  def __init__(self, selection: Selection, thresholds: Thresholds, scanned: ScannedFile) -> None:
    self._selection = selection
    self._rows = selection.rows_of(scanned)
    self._assigner = Assigner(thresholds, scanned.file.rank)
    self.counts = np.zeros_like(selection.quotas)
    """int64 [rows, parts], the records told so far."""

  def assign(self, index: npt.NDArray[np.void]) -> tuple[Ints, Ints]:
    """Returns rows and parts, int64 [n]; both -1 for a record that is dropped."""
    rows = self._rows[np.minimum(index['code'], len(self._rows) - 1)]
    ranks = self._selection.ranks(index)
    if rows.min(initial=0) < 0:
      kept = rows >= 0
      parts = np.full(len(rows), -1, np.int64)
      parts[kept] = self._assign(rows[kept], ranks[kept])
      return rows, parts
    return rows, self._assign(rows, ranks)

  def _assign(self, rows: Ints, ranks: UInts) -> Ints:
    parts = self._assigner.assign(rows, ranks)
    cells = np.bincount(rows * self.counts.shape[1] + parts, minlength=self.counts.size)
    self.counts += cells.reshape(self.counts.shape)
    return parts


def find_file_thresholds(
  scanned: beam.PCollection[ScannedFile], selection: beam.PCollection[Selection]
) -> beam.PCollection[Thresholds]:
  """Returns the thresholds, one element, for the selection, one element."""
  selected = beam.pvalue.AsSingleton(selection)
  search = beam.pvalue.AsSingleton(
    summed(scanned, 'Ranks', count_ranks, sum_arrays, plan_search, selected)
  )
  return summed(
    scanned,
    'Candidates',
    collect_candidates,
    _merge_candidates,
    _set_thresholds,
    selected,
    search,
  )


@dataclass(frozen=True)
class Search:
  """Buckets in which parts end, as `boundary_buckets` returns them."""

  buckets: Ints
  positions: Ints


def count_ranks(scanned: ScannedFile, selection: Selection) -> Ints:
  """Returns how many of a file's records have their rank in each bucket."""
  layout = selection.layout
  counts = np.zeros(layout.n_buckets, np.int64)
  for rows, rank in selection.ranked(scanned):
    counts += np.bincount(layout.buckets(rows, rank), minlength=layout.n_buckets)
  return counts


def plan_search(histogram: Ints, selection: Selection) -> Search:
  """Returns the buckets in which parts end."""
  return Search(*boundary_buckets(selection.layout, histogram, selection.quotas))


def collect_candidates(scanned: ScannedFile, selection: Selection, search: Search) -> Candidates:
  """Returns a file's ranks in the buckets in which parts end."""
  layout = selection.layout
  wanted = np.zeros(layout.n_buckets, bool)
  wanted[search.buckets[search.buckets >= 0]] = True
  buckets, near = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
  for rows, rank in selection.ranked(scanned):
    bucket = layout.buckets(rows, rank)
    buckets.append(bucket[wanted[bucket]])
    near.append(rank[wanted[bucket]])
  return Candidates.collect(np.concatenate(buckets), np.concatenate(near), scanned.file.rank)


def sum_arrays(arrays: Iterable[Any]) -> Any:
  """Returns the sum of arrays of one shape; 0 for none."""
  total: Any = 0
  for array in arrays:
    total = total + array
  return total


def _merge_candidates(parts: Iterable[Candidates]) -> Candidates:
  return Candidates.merge(list(parts))


def _set_thresholds(candidates: Candidates, selection: Selection, search: Search) -> Thresholds:
  return find_thresholds(selection.quotas, search.buckets, search.positions, candidates)
