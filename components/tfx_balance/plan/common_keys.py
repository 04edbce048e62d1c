"""Keys that occur in more than one split, by 128-bit hashes, a range of them at a time.

Each file's keys are hashed, sorted and written in runs; equal hashes are equal keys but for one
chance in 2**128 a pair. A part is a range of hashes of all the runs, small enough for memory: in it
equal keys meet, whichever splits and files they are in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.runs import places_of_runs, starts_of_runs
from tfx_balance.sizes import SIZES

Ints = npt.NDArray[np.int64]

KEY_ROW = np.dtype([('high', '<u8'), ('low', '<u8'), ('count', '<u4'), ('position', '<u4')])
"""A key of a run: the halves of its hash, how many records have it, and the first of them."""
BUCKETS = 1024
"""The ranges of hashes whose beginning in a run is known; a part is a run of them."""
EXAMPLES = 3
"""Of what two splits have in common, so many are shown."""
_BLOCK = 1 << 16
_BUCKET_SHIFT = np.uint64(64 - BUCKETS.bit_length() + 1)


@dataclass(frozen=True)
class Place:
  """A record, by the number of its file and its position in it, from 0."""

  file: int
  position: int


@dataclass(frozen=True, order=True)
class CommonKey:
  """The halves of the hash of a key that two splits have, and the first record with it in each."""

  high: int
  low: int
  left: Place = field(compare=False)
  right: Place = field(compare=False)


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


@dataclass(frozen=True)
class KeyColumns:
  """Keys of several runs.

  Attributes:
    rows: Keys: KEY_ROW [n].
    split: Number of the split of each: int64 [n].
    file: Number of the file of each: int64 [n].
  """

  rows: npt.NDArray[np.void]
  split: Ints
  file: Ints

  @classmethod
  def concatenate(cls, parts: Iterable[tuple[npt.NDArray[np.void], int, int]]) -> KeyColumns:
    """Returns the keys of parts of runs, each given with its split and file."""
    found = [(np.zeros(0, KEY_ROW), 0, 0), *parts]
    lengths = [len(rows) for rows, _, _ in found]
    return cls(
      np.concatenate([rows for rows, _, _ in found]),
      np.repeat(np.array([split for _, split, _ in found], np.int64), lengths),
      np.repeat(np.array([file for _, _, file in found], np.int64), lengths),
    )


def make_run(
  digests: npt.NDArray[np.uint64], positions: Ints
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
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


def compare_keys(keys: KeyColumns, n_splits: int, block_keys: int = _BLOCK) -> CommonKeys:
  """Returns the counts of common keys, among all the keys of some hashes."""
  rows, split, file = keys.rows, keys.split, keys.file
  order = np.lexsort((rows['position'], file, split, rows['low'], rows['high']))
  rows, split, file = rows[order], split[order], file[order]
  starts = starts_of_runs(rows['high'], rows['low'])
  ends = np.append(starts[1:], len(rows))
  several = np.flatnonzero(split[starts] != split[ends - 1]) if len(rows) else starts
  found = CommonKeys.nothing(n_splits)
  for at in range(0, len(several), block_keys):
    block = several[at : at + block_keys]
    taken = places_of_runs(starts[block], ends[block] - starts[block])
    part = KeyColumns(rows[taken], split[taken], file[taken])
    found = found.merge(_compare_block(part, ends[block] - starts[block], n_splits))
  return found


def _compare_block(keys: KeyColumns, lengths: Ints, n_splits: int) -> CommonKeys:
  """Returns the counts of keys in two splits each: sorted by hash, split, file, position."""
  cell = np.repeat(np.arange(len(lengths)), lengths) * n_splits + keys.split
  counts = np.bincount(cell, keys.rows['count'], minlength=len(lengths) * n_splits)
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


def _examples(keys: KeyColumns, places: Ints, both: Ints) -> dict[tuple[int, int], list[CommonKey]]:
  """Returns the first keys that each two splits have in common."""
  found = {}
  for left, right in np.argwhere(np.triu(both)).tolist():
    common = np.flatnonzero((places[:, left] >= 0) & (places[:, right] >= 0))[:EXAMPLES]
    found[left, right] = [
      _common_key(keys, int(places[i, left]), int(places[i, right])) for i in common
    ]
  return found


def _common_key(keys: KeyColumns, left: int, right: int) -> CommonKey:
  def place(row: int) -> Place:
    return Place(int(keys.file[row]), int(keys.rows['position'][row]))

  hashed = keys.rows[left]
  return CommonKey(int(hashed['high']), int(hashed['low']), place(left), place(right))
