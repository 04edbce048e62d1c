"""Keys that occur in more than one split, by 128-bit hashes, a range of them at a time.

Each file's keys are hashed, sorted and written in runs; equal hashes are equal keys but for one
chance in 2**128 a pair. A part is a range of hashes of all the runs, small enough for memory: in it
equal keys meet, whichever splits and files they are in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.runs import Ints, places_of_runs, starts_of_runs
from tfx_balance.sizes import SIZES

KEY_ROW = np.dtype([('high', '<u8'), ('low', '<u8'), ('count', '<u4'), ('position', '<u4')])
"""A key of a run: the halves of its hash, how many records have it, and the first of them."""
PLACED_ROW = np.dtype([*KEY_ROW.descr, ('split', '<u4'), ('file', '<u4')])
"""The same with the numbers of the split and the file of the run."""
Keys = npt.NDArray[np.void]
BUCKETS = 1024
"""The ranges of hashes whose beginning in a run is known; a part is a run of them."""
EXAMPLES = 3
"""Of what two splits have in common, so many are shown."""
_BLOCK = 1 << 16
_BUCKET_SHIFT = np.uint64(64 - BUCKETS.bit_length() + 1)


class Place(NamedTuple):
  """A record, by the number of its file and its position in it, from 0."""

  file: int
  position: int


class CommonKey(NamedTuple):
  """The halves of the hash of a key that two splits have, and the first record with it in each."""

  high: int
  low: int
  left: Place
  right: Place


@dataclass
class CommonKeys:
  """Counts of the keys that splits have in common, by the splits' numbers.

  Attributes:
    records: Number of records of the first split whose key the second has too: int64
      [splits, splits].
    keys: Number of keys that both have: int64 [splits, splits].
    examples: Keys of the smallest hashes, by pair of splits, the lower number first.
  """

  records: Ints
  keys: Ints
  examples: dict[tuple[int, int], list[CommonKey]] = field(default_factory=dict)

  @classmethod
  def nothing(cls, n_splits: int) -> CommonKeys:
    """Returns the counts of splits that have nothing in common."""
    shape = (n_splits, n_splits)
    return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64))

  def merge(self, other: CommonKeys) -> CommonKeys:
    """Returns the sum of the counts of two parts, which have no key in common."""
    examples = {
      pair: sorted([*self.examples.get(pair, ()), *other.examples.get(pair, ())])[:EXAMPLES]
      for pair in sorted({*self.examples, *other.examples})
    }
    return CommonKeys(self.records + other.records, self.keys + other.keys, examples)


def join_runs(parts: Iterable[tuple[Keys, int, int]]) -> Keys:
  """Returns the keys of parts of runs, each given with its split and file: PLACED_ROW [n]."""
  found = [np.zeros(0, PLACED_ROW)]
  for rows, split, file in parts:
    found.append(np.empty(len(rows), PLACED_ROW))
    found[-1][list(KEY_ROW.names or ())] = rows
    found[-1]['split'], found[-1]['file'] = split, file
  return np.concatenate(found)


def make_run(digests: npt.NDArray[np.uint64], positions: Ints) -> tuple[Keys, Ints]:
  """Returns keys as a run: sorted, each once, and where the buckets of hashes begin.

  Args:
    digests: Hashes of the keys: uint64 [n, 2].
    positions: Positions of the records: int64 [n].

  Returns:
    KEY_ROW [m], and int64 [BUCKETS + 1].
  """
  order = np.lexsort((positions, digests[:, 1], digests[:, 0]))
  high, low = digests[order, 0], digests[order, 1]
  starts = starts_of_runs(high, low)
  rows = np.empty(len(starts), KEY_ROW)
  rows['high'], rows['low'] = high[starts], low[starts]
  rows['count'] = np.diff(np.append(starts, len(order)))
  rows['position'] = positions[order][starts]
  edges = np.arange(BUCKETS, dtype=np.uint64) << _BUCKET_SHIFT
  return rows, np.append(np.searchsorted(rows['high'], edges), len(rows)).astype(np.int64)


def count_parts(n_rows: int, part_keys: int = SIZES.part_keys) -> int:
  """Returns in how many parts so many keys are compared, a power of two.

  >>> count_parts(0), count_parts(SIZES.part_keys + 1), count_parts(10**15)
  (1, 2, 1024)
  """
  parts = 1
  while parts < BUCKETS and parts * part_keys < n_rows:
    parts *= 2
  return parts


def compare_keys(keys: Keys, n_splits: int, block_keys: int = _BLOCK) -> CommonKeys:
  """Returns the counts of common keys, among all the keys of some hashes: PLACED_ROW [n]."""
  columns = ('position', 'file', 'split', 'low', 'high')
  keys = keys[np.lexsort([keys[name] for name in columns])]
  starts = starts_of_runs(keys['high'], keys['low'])
  ends = np.append(starts[1:], len(keys))
  several = (
    np.flatnonzero(keys['split'][starts] != keys['split'][ends - 1]) if len(keys) else starts
  )
  found = CommonKeys.nothing(n_splits)
  for at in range(0, len(several), block_keys):
    block = several[at : at + block_keys]
    lengths = ends[block] - starts[block]
    taken = places_of_runs(starts[block], lengths)
    found = found.merge(_compare_block(keys[taken], lengths, n_splits))
  return found


def _compare_block(keys: Keys, lengths: Ints, n_splits: int) -> CommonKeys:
  """Returns the counts of keys in two splits each: sorted by hash, split, file, position."""
  cell = np.repeat(np.arange(len(lengths)), lengths) * n_splits + keys['split']
  counts = np.bincount(cell, keys['count'], minlength=len(lengths) * n_splits)
  table = counts.reshape(-1, n_splits)  # float64, exact up to 2**53
  present = (table > 0).astype(np.float64)
  first = np.full(len(lengths) * n_splits, -1, np.int64)
  first[cell[::-1]] = np.arange(len(cell))[::-1]  # the last to be written is the first row
  records = (table.T @ present).astype(np.int64)
  both = (present.T @ present).astype(np.int64)
  np.fill_diagonal(records, 0)
  np.fill_diagonal(both, 0)
  places = first.reshape(-1, n_splits)
  return CommonKeys(records, both, _examples(keys, places, both))


def _examples(keys: Keys, places: Ints, both: Ints) -> dict[tuple[int, int], list[CommonKey]]:
  """Returns the first keys that each two splits have in common."""
  found = {}
  for left, right in np.argwhere(np.triu(both)).tolist():
    common = np.flatnonzero((places[:, left] >= 0) & (places[:, right] >= 0))[:EXAMPLES]
    rows = keys[places[common][:, [left, right]]]
    found[left, right] = [
      CommonKey(int(one['high']), int(one['low']), _place(one), _place(other))
      for one, other in rows
    ]
  return found


def _place(row: Any) -> Place:
  return Place(int(row['file']), int(row['position']))
