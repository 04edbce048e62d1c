"""Records with very many copies, spread over files: by their key one file would get all of them.

scanned files ── keys that may be frequent ── FrequentKeys, which numbers the copies file by file

Records of equal bytes have one key, and so one place. The copies of a record that is there very
often are numbered: key and number give each a place of its own. Numbers depend on how many copies
each file has, places do not, as copies are interchangeable.

Frequent keys are found in memory that does not grow: a summary of counts misses none of them, and
those that it has are counted exactly then.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import MergeRows, summed
from tfx_balance.plan.ranks import Candidates, Ints, UInts, mix
from tfx_balance.plan.runs import concatenated, numbers_of_equal, starts_of_runs, sums_of_runs
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.spill import record_keys
from tfx_balance.sizes import Workspace

TOGETHER = 32
"""Copies of a record that stay together, however few records there are."""
COUNTERS = 1 << 15
"""Keys that a summary counts; so a record is frequent that is one of fewer than so many."""


@dataclass(frozen=True, eq=False)
class KeyCounts:
  """Counts of frequent keys, without rare ones: a summary of Misra and Gries.

  A key that is there f times is counted f - `lost` to f times, and `lost` is below n / COUNTERS
  (Misra and Gries 1982, "Finding repeated elements"; that summaries can be merged: Agarwal et al.
  2012, "Mergeable summaries").

  Attributes:
    keys: uint64 [m], ascending; COUNTERS at most.
    counts: int64 [m].
    n: Number of records that are summarized.
    lost: Number of copies of a key that are not counted, at most.
  """

  keys: UInts
  counts: Ints
  n: int
  lost: int

  def __len__(self) -> int:
    return len(self.keys)

  @classmethod
  def of(cls, keys: UInts) -> KeyCounts:
    """Returns the summary of some keys: uint64 [n], fast where they are nearly sorted.

    >>> found = KeyCounts.of(np.array([7, 7, 5], np.uint64))
    >>> found.keys.tolist(), found.counts.tolist()
    ([5, 7], [1, 2])
    """
    return cls.merge([cls(keys, np.ones(len(keys), np.int64), len(keys), 0)])

  @classmethod
  def merge(cls, several: Iterable[KeyCounts], counters: int = COUNTERS) -> KeyCounts:
    """Merges summaries, one at least, into one with at most so many keys."""
    several = list(several)
    keys, counts = concatenated(several, 'keys', 'counts')
    order = np.argsort(keys, kind='stable')  # which merges runs, in linear time
    keys, counts = keys[order], counts[order]
    starts = starts_of_runs(keys)
    keys, counts = keys[starts], sums_of_runs(counts, np.append(starts, len(keys)))
    n, lost = (sum(getattr(one, name) for one in several) for name in ('n', 'lost'))
    if len(keys) > counters:
      least = np.partition(counts, -counters - 1)[-counters - 1]
      kept = counts > least
      keys, counts, lost = keys[kept], counts[kept] - least, lost + int(least)
    return cls(keys, counts, n, lost)

  @property
  def most(self) -> int:
    """Most copies of a record that stay together."""
    return max(TOGETHER, self.n // COUNTERS)

  @property
  def likely(self) -> UInts:
    """Keys that may occur more than `most` times, all of these included: uint64, ascending."""
    return self.keys[self.counts + self.lost > self.most]


@dataclass(frozen=True, eq=False)
class FrequentKeys:
  """Keys of records that are there very often, in each file that has them.

  Attributes:
    keys: uint64 [n], ascending.
    files: Number of a file: int64 [n].
    before: Number of copies in files of lower numbers: int64 [n].
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
    which, of = _places_among(self._frequent, keys)
    numbers = self._next[of] + numbers_of_equal(of)
    self._next = self._next + np.bincount(of, minlength=len(self._frequent))
    spread = keys.copy()
    spread[which] = mix(keys[which], numbers.view(np.uint64))
    return spread, which


def _places_among(chosen: UInts, keys: UInts) -> tuple[Ints, Ints]:
  """Returns the positions of keys that are among some ascending ones, and their places there."""
  place = np.minimum(np.searchsorted(chosen, keys), len(chosen) - 1)
  which = np.flatnonzero(chosen[place] == keys)
  return which, place[which]


def find_frequent(
  scanned: beam.PCollection[ScannedFile], work: Workspace
) -> beam.PCollection[FrequentKeys]:
  """Returns the keys that are frequent in all files, one element."""
  counted = summed(
    scanned,
    'Often',
    partial(count_keys, n_files=work.n_files),
    MergeRows(KeyCounts.merge),
    lambda counts: counts,
    file_number=lambda scanned: scanned.file.file_number,
    work=work,
  )
  return summed(
    scanned,
    'Frequent',
    count_likely,
    MergeRows(Candidates.merge),
    number_copies,
    beam.pvalue.AsSingleton(counted),
    file_number=lambda scanned: scanned.file.file_number,
    work=work,
  )


def count_keys(scanned: ScannedFile, n_files: int) -> KeyCounts:
  """Returns the counts of the keys of one of n_files files, without rare ones.

  A frequent record has more than TOGETHER / n_files copies in a file or other, so that keys with
  fewer are left out of each.
  """
  none, blocks = np.empty(0, np.uint64), scanned.spill.index('hash', 'content')
  keys = itertools.chain([none], (record_keys(index, scanned.spill.key) for index in blocks))
  found: KeyCounts = MergeRows(KeyCounts.merge).merged(map(KeyCounts.of, keys))
  few = TOGETHER // n_files
  kept = found.counts + found.lost > few
  return KeyCounts(found.keys[kept], found.counts[kept], found.n, found.lost + few)


def count_likely(scanned: ScannedFile, counted: KeyCounts) -> Candidates:
  """Returns the keys of a file that may be frequent, with the number of copies of each."""
  likely = counted.likely
  copies = np.zeros(len(likely), np.int64)
  if len(likely):
    for index in scanned.spill.index('hash', 'content'):
      _, of = _places_among(likely, record_keys(index, scanned.spill.key))
      copies += np.bincount(of, minlength=len(likely))
  present = np.flatnonzero(copies)
  none = np.zeros(len(present), np.int64)
  file_numbers = np.full(len(present), scanned.file.file_number)
  return Candidates(none, none.view(np.uint64), likely[present], file_numbers, copies[present])


def number_copies(candidates: Candidates, counted: KeyCounts) -> FrequentKeys:
  """Returns the frequent keys among those of all files, in canonical order."""
  keys = candidates.ranks
  edges = np.append(starts_of_runs(keys), len(keys))
  sizes = np.diff(edges)
  often = np.repeat(sums_of_runs(candidates.counts, edges) > counted.most, sizes)
  before = np.cumsum(candidates.counts) - candidates.counts
  before -= np.repeat(before[edges[:-1]], sizes)
  return FrequentKeys(keys[often], candidates.shards[often], before[often])
