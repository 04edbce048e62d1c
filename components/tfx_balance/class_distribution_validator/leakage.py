"""Records, or values of a feature, that are in more than one split: exact, and out of core.

files ── HashFile ── runs ── parts ── ComparePart ── sum ──┬── show examples ── write
                                                          └───────────────────────┘

A run is on disk, sorted by hash; a part is the same range of hashes of every run. What is held in
memory is a run while it is made, or a part while it is compared, and never all the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.beam.steps import create, spread
from tfx_balance.class_distribution_validator.leakage_examples import (
  ShowRecords,
  Wanted,
  write_leakage,
)
from tfx_balance.class_distribution_validator.record_keys import record_keys
from tfx_balance.plan.common_keys import (
  BUCKETS,
  KEY_ROW,
  KeyColumns,
  Leakage,
  compare_keys,
  count_parts,
  make_run,
)
from tfx_balance.scan.fixed_layout import ValueKind
from tfx_balance.scan.scan import InputFile
from tfx_balance.scan.strata import Payload
from tfx_balance.tfrecord.files import read_frames
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file, open_as_is

RUN_KEYS = 1 << 21
"""Keys of a file that are sorted at a time; one has 24 bytes, and as much again while it is."""


@dataclass(frozen=True)
class LeakageRequest:
  """What to look for.

  Attributes:
    feature: whose values may not be in two splits; None for whole records.
    splits: by their numbers.
    payload: what a record is.
    work_dir: for files that are in the making.
    path: of the JSON file to write.
  """

  feature: str | None
  splits: tuple[str, ...]
  payload: Payload
  work_dir: str
  path: str


@dataclass(frozen=True)
class KeyRun:
  """Keys of a file, on disk.

  Attributes:
    path: of the run.
    split: the number of the file's split.
    file: the rank of the file.
    edges: int64 [BUCKETS + 1], where the keys of each bucket begin.
  """

  path: str
  split: int
  file: int
  edges: npt.NDArray[np.int64]

  def read(self, first: int, last: int) -> npt.NDArray[np.void]:
    """Returns the keys of some buckets: KEY_ROW [n]."""
    low, high = int(self.edges[first]), int(self.edges[last])
    if low == high:
      return np.zeros(0, KEY_ROW)
    with open_as_is(self.path) as run:
      run.seek(low * KEY_ROW.itemsize)
      return np.frombuffer(run.read((high - low) * KEY_ROW.itemsize), KEY_ROW)


@dataclass(frozen=True)
class HashedFile:
  """A file whose keys are in runs.

  Attributes:
    file: the file.
    records: that have a key.
    without_key: records that have none.
    kind: of the values; None for whole records, and where there are none.
    feature_names: of its first records.
    runs: where the keys are.
  """

  file: InputFile
  records: int
  without_key: int
  kind: ValueKind | None
  feature_names: tuple[str, ...]
  runs: tuple[KeyRun, ...]


class HashFile(beam.DoFn):
  """Turns an `InputFile` into a `HashedFile`."""

  def __init__(self, request: LeakageRequest) -> None:
    self._request = request

  def process(self, file: InputFile) -> Iterator[HashedFile]:
    r = self._request
    keys = record_keys(r.feature, r.payload, file.path)
    digests: list[npt.NDArray[np.uint64]] = []
    positions: list[npt.NDArray[np.int64]] = []
    runs: list[KeyRun] = []
    records = held = position = 0
    for frames in read_frames(file.path):
      found, present = keys.digests(frames.payloads())
      digests.append(found)
      positions.append(position + np.flatnonzero(present))
      position, records, held = position + len(frames), records + len(found), held + len(found)
      if held >= RUN_KEYS:
        runs.append(self._write(file, digests, positions))
        held = 0
    if held:
      runs.append(self._write(file, digests, positions))
    names = tuple(keys.feature_names)
    yield HashedFile(file, records, position - records, keys.kind, names, tuple(runs))

  def _write(
    self,
    file: InputFile,
    digests: list[npt.NDArray[np.uint64]],
    positions: list[npt.NDArray[np.int64]],
  ) -> KeyRun:
    """Writes the keys that were collected, and empties the lists."""
    rows, edges = make_run(np.concatenate(digests), np.concatenate(positions))
    digests.clear()
    positions.clear()
    path = new_work_file(self._request.work_dir, f'keys-{file.rank:05d}')
    with create_as_is(path) as run:
      run.write(rows.tobytes())
    return KeyRun(path, self._request.splits.index(file.group), file.rank, edges)


def plan_parts(_: None, hashed: Iterable[HashedFile]) -> list[tuple[int, int]]:
  """Returns the buckets of each part: the first, and the one after the last."""
  n = count_parts(sum(int(run.edges[-1]) for file in hashed for run in file.runs))
  width = BUCKETS // n
  return [(i * width, (i + 1) * width) for i in range(n)]


def compare_part(part: tuple[int, int], hashed: Sequence[HashedFile], n_splits: int) -> Leakage:
  """Returns what the splits have in common of some buckets."""
  runs = [run for file in hashed for run in file.runs]
  return compare_keys(
    KeyColumns.concatenate((run.read(*part), run.split, run.file) for run in runs), n_splits
  )


class SumLeakage(beam.CombineFn):
  """Adds up what the parts have found."""

  def __init__(self, n_splits: int) -> None:
    self._n_splits = n_splits

  def create_accumulator(self) -> Leakage:
    return Leakage.nothing(self._n_splits)

  def add_input(self, found: Leakage, part: Leakage) -> Leakage:
    return found.merge(part)

  def merge_accumulators(self, several: Iterable[Leakage]) -> Leakage:
    merged = self.create_accumulator()
    for found in several:
      merged = merged.merge(found)
    return merged

  def extract_output(self, found: Leakage) -> Leakage:
    return found


def find_leakage(
  pipeline: beam.Pipeline, files: Sequence[InputFile], request: LeakageRequest
) -> None:
  """Adds to a pipeline what compares the splits and writes what they have in common.

  Args:
    pipeline: to add to.
    files: to read, each in the group of its split.
    request: what to look for.
  """
  n_splits = len(request.splits)
  created = create(pipeline, 'HashedFiles', files)
  hashed = spread(created, 'SpreadHashed', attrgetter('rank')) | 'HashFile' >> beam.ParDo(
    HashFile(request)
  )
  all_hashed = beam.pvalue.AsList(hashed)
  parts = create(pipeline, 'PlanOnce', [None]) | 'PlanParts' >> beam.FlatMap(plan_parts, all_hashed)
  found = (
    spread(parts, 'SpreadParts', itemgetter(0))
    | 'ComparePart' >> beam.Map(compare_part, all_hashed, n_splits)
    | 'SumLeakage' >> beam.CombineGlobally(SumLeakage(n_splits))
  )
  wanted = found | 'Examples' >> beam.FlatMap(ShowRecords.wanted, list(files))
  shown = spread(wanted, 'SpreadExamples', _rank_of_file) | 'ShowExample' >> beam.ParDo(
    ShowRecords(request.feature, request.payload)
  )
  _ = found | 'WriteLeakage' >> beam.Map(
    write_leakage,
    all_hashed,
    beam.pvalue.AsDict(shown),
    request.splits,
    request.feature,
    request.path,
  )


def _rank_of_file(wanted: Wanted) -> int:
  return wanted[0].rank
