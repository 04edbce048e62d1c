"""Records that are there very often, as one file would have to take all of their copies.

scanned files ── keys in crowded ranges ── FrequentKeys, which numbers the copies file by file

Records of equal bytes have one key, and so one place. Where a range of keys has far more records
than others, its keys are counted, and the copies of a key that is there very often are numbered:
key and number give each a place of its own. Numbers depend on how many copies each file has, places
do not, as copies are interchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.plan.key_order import parts_of_keys
from tfx_balance.plan.ranks import Candidates, Ints, UInts, mix
from tfx_balance.plan.runs import numbers_of_equal, starts_of_runs, sums_of_runs
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.spill import KEY_CELLS, record_keys
from tfx_balance.scan.totals import Totals

TOGETHER = 32
"""Copies of a record that may lie together, however few records there are."""
_SHARE = 8  # of a range: of one key


@dataclass(frozen=True)
class CrowdedRanges:
  """Which ranges of keys are crowded, and which keys are frequent.

  Attributes:
    cells: Ranges of keys with far more records than others: int64 [m], ascending.
    most: Most copies of a record that stay together.
  """

  cells: Ints
  most: int


def find_crowded(totals: Mapping[str, Totals]) -> CrowdedRanges:
  """Returns which ranges of keys have far more records than others, given the totals of groups.

  A range has mean + mean / 8 + 8 sqrt(mean) + 32 records at most, if no record is there more than
  `most` times; of records that all differ, one in 10**15 has more.
  """
  counts = sum((each.key_counts for each in totals.values()), np.zeros(KEY_CELLS, np.int64))
  mean = int(counts.sum()) // KEY_CELLS
  most = TOGETHER + mean // _SHARE
  return CrowdedRanges(np.flatnonzero(counts > mean + most + 8 * math.isqrt(mean)), most)


@dataclass(frozen=True, eq=False)
class FrequentKeys:
  """Keys of records that are there very often, in each file that has them.

  Attributes:
    keys: uint64 [n], ascending.
    files: Rank of a file: int64 [n].
    before: Number of copies in files of lower ranks: int64 [n].
  """

  keys: UInts
  files: Ints
  before: Ints


class KeySpreader:
  """Gives each copy of a frequent record of one file a key of its own, a block at a time."""

  def __init__(self, frequent: FrequentKeys, file: int) -> None:
    own = frequent.files == file
    self._frequent, self._next = frequent.keys[own], frequent.before[own]

  def spread(self, keys: UInts) -> tuple[UInts, Ints]:
    """Returns the keys of the next block, uint64 [n], and which were replaced, int64 [m].

    Args:
      keys: Keys that records of equal bytes have in common: uint64 [n].
    """
    if not len(self._frequent):
      return keys, np.empty(0, np.int64)
    place = np.minimum(np.searchsorted(self._frequent, keys), len(self._frequent) - 1)
    which = np.flatnonzero(self._frequent[place] == keys)
    of = place[which]
    numbers = self._next[of] + numbers_of_equal(of)
    self._next = self._next + np.bincount(of, minlength=len(self._frequent))
    spread = keys.copy()
    spread[which] = mix(keys[which], numbers.view(np.uint64))
    return spread, which


def find_frequent(
  scanned: beam.PCollection[ScannedFile], crowded: beam.PCollection[CrowdedRanges], n_files: int
) -> beam.PCollection[FrequentKeys]:
  """Returns the keys that are frequent, one element; `crowded` is what `find_crowded` returns."""
  return summed(
    scanned,
    'Frequent',
    collect_crowded,
    MergeRows(Candidates.merge),
    number_copies,
    beam.pvalue.AsSingleton(crowded),
    rank=lambda scanned: scanned.file.rank,
    n=n_files,
  )


def collect_crowded(scanned: ScannedFile, crowded: CrowdedRanges) -> Candidates:
  """Returns the keys of a file that are in crowded ranges, with the number of copies of each."""
  cells, keys = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
  if len(crowded.cells):
    wanted = np.zeros(KEY_CELLS, bool)
    wanted[crowded.cells] = True
    for index in scanned.spill.index('hash', 'content'):
      found = record_keys(index, scanned.spill.key)
      cell = parts_of_keys(found, KEY_CELLS)
      cells.append(cell[wanted[cell]])
      keys.append(found[wanted[cell]])
  return Candidates.collect(np.concatenate(cells), np.concatenate(keys), scanned.file.rank)


def number_copies(found: Candidates, crowded: CrowdedRanges) -> FrequentKeys:
  """Returns the frequent keys among those of all files, in canonical order."""
  keys = found.ranks
  edges = np.append(starts_of_runs(keys), len(keys))
  sizes = np.diff(edges)
  often = np.repeat(sums_of_runs(found.counts, edges) > crowded.most, sizes)
  before = np.cumsum(found.counts) - found.counts
  before -= np.repeat(before[edges[:-1]], sizes)
  return FrequentKeys(keys[often], found.shards[often], before[often])
