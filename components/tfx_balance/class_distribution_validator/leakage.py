"""Records, or values of a feature, that are in more than one split: exact, and out of core.

files ── HashFile ── runs ── parts ── ComparePart ── sum ──┬── show examples ── write
                                                          └───────────────────────┘

A run is on disk, sorted by hash; a part is the same range of hashes of every run. What is held in
memory is a run while it is made, or a part while it is compared, and never all the keys.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from operator import attrgetter, itemgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import xxhash

from tfx_balance.beam.steps import create, spread
from tfx_balance.errors import DataError
from tfx_balance.plan.checks import cut
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.common_keys import (
  BUCKETS,
  KEY_ROW,
  CommonKey,
  CommonKeys,
  KeyColumns,
  Place,
  compare_keys,
  count_parts,
  make_run,
)
from tfx_balance.scan.fixed_layout import ValueKind
from tfx_balance.scan.record_reader import (
  BATCH_RECORDS,
  SNIFFED_RECORDS,
  Payload,
  RecordReader,
)
from tfx_balance.scan.record_values import canonical_records
from tfx_balance.scan.scan import InputFile
from tfx_balance.tfrecord.files import read_frames
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file, open_as_is, write_json

_SEEDS: dict[ValueKind, int] = {'int': 1, 'float': 2, 'bytes': 3}
_LIST_OF_BYTES = 4


class WholeRecords:
  """Hashes whole records: their bytes, or a form that is the same for equal values.

  Attributes:
    kind: Type of the values that are hashed; None for whole records, or before the first value.
    feature_names: Names of the features of the first records.
  """

  kind: ValueKind | None = None

  def __init__(self, payload: Payload, path: str, by_values: bool = False) -> None:
    self.feature_names: list[str] = []
    self._payload = payload
    self._path = path
    self._by_values = by_values

  def digests(self, records: list[bytes]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Returns the hash of each key, and which records have one: uint64 [m, 2], bool [n]."""
    if self._by_values:
      records = canonical_records(records, self._payload, self._path)
    return _as_numbers(map(xxhash.xxh3_128_digest, records)), np.ones(len(records), np.bool_)


class FeatureKeys(WholeRecords):
  """Hashes the values that records have of one feature; one or several, in their order.

  A record with NaN among them has no key, for NaN equals nothing.
  """

  def __init__(self, feature: str, payload: Payload, path: str) -> None:
    super().__init__(payload, path)
    self._feature = feature
    self._reader = RecordReader([feature], payload, path)

  def digests(self, records: list[bytes]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Returns the hash of each key, and which records have one; see `WholeRecords.digests`."""
    if not self.feature_names:
      self._reader.sniff(records[:SNIFFED_RECORDS])
      self.feature_names = self._reader.feature_names
    found, present = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.bool_)]
    for i in range(0, len(records), BATCH_RECORDS):
      column = self._reader.parse(records[i : i + BATCH_RECORDS])[self._feature]
      self.kind = self._reader.kinds[self._feature]
      filled, have_key = column.lengths > 0, column.are_present()
      present.append(have_key)
      if self.kind is not None:
        digests = _digests_of_values(column.values, column.row_splits, self.kind)
        found.append(digests[have_key[filled]])
    return np.concatenate(found), np.concatenate(present)


@dataclass(frozen=True)
class KeyKind:
  """What of a record may not be in two splits.

  Attributes:
    feature: Feature whose values are compared; None for whole records.
    payload: Type of the records.
    by_values: Whether whole records are compared by value, in whatever order their features are.
  """

  feature: str | None
  payload: Payload
  by_values: bool = False

  def of_file(self, path: str) -> WholeRecords:
    """Returns what hashes the keys of a file's records."""
    if self.feature is None:
      return WholeRecords(self.payload, path, self.by_values)
    return FeatureKeys(self.feature, self.payload, path)


def _digests_of_values(
  values: npt.NDArray[Any], row_splits: npt.NDArray[np.int64], kind: ValueKind
) -> npt.NDArray[np.uint64]:
  """Returns the hash of each row that has values: uint64 [m, 2]. Types never give equal ones."""
  edges = row_splits[np.append(True, np.diff(row_splits) > 0)].tolist()
  if kind == 'bytes':
    rows = [values[low:high] for low, high in pairwise(edges)]
    return _as_numbers(_digest_of_bytes(row) for row in rows)
  if kind == 'float':
    values = values + np.float32(0)  # -0.0 is 0.0
  data, width = values.tobytes(), values.itemsize
  cells = (data[low * width : high * width] for low, high in pairwise(edges))
  return _as_numbers(map(xxhash.xxh3_128_digest, cells, repeat(_SEEDS[kind])))


def _digest_of_bytes(row: npt.NDArray[Any]) -> bytes:
  """Returns the hash of a value, or of several, whose lengths then keep them apart."""
  if len(row) == 1:
    return xxhash.xxh3_128_digest(row[0], _SEEDS['bytes'])
  cells = b''.join(len(value).to_bytes(8, 'little') + value for value in row)
  return xxhash.xxh3_128_digest(cells, _LIST_OF_BYTES)


def _as_numbers(digests: Any) -> npt.NDArray[np.uint64]:
  """Returns 16-byte hashes as two numbers each."""
  return np.frombuffer(b''.join(digests), '>u8').reshape(-1, 2).astype(np.uint64)


TEXT_WIDTH = 200
_VALUE_WIDTH = 40
_VALUES = 4


Wanted = tuple[InputFile, dict[int, tuple[int, int]]]
"""A file, and the positions of records in it, in order, with the halves of their key's hash."""


class ShowRecords(beam.DoFn):
  """Turns a file and places in it into ((file rank, position), text)."""

  def __init__(self, kind: KeyKind) -> None:
    self._kind = kind

  @staticmethod
  def wanted(found: CommonKeys, files: Sequence[InputFile]) -> list[Wanted]:
    """Returns the files that have examples, and the places of these in them."""
    places: dict[int, dict[int, tuple[int, int]]] = {}
    for keys in found.examples.values():
      for key in keys:
        places.setdefault(key.left.file, {})[key.left.position] = (key.high, key.low)
    return [
      (file, dict(sorted(places[file.rank].items()))) for file in files if file.rank in places
    ]

  def process(self, wanted: Wanted) -> Iterator[tuple[tuple[int, int], str]]:
    """Raises DataError if the file has changed since its keys were hashed."""
    file, places = wanted
    last, at = max(places), 0
    for frames in read_frames(file.path):
      for position in [p for p in places if at <= p < at + len(frames)]:
        record = frames.payloads()[position - at]
        keys = self._kind.of_file(file.path)
        if keys.digests([record])[0].tolist() != [list(places[position])]:
          raise _changed(file.path)
        yield (file.rank, position), describe_record(record, self._kind.feature, self._kind.payload)
      at += len(frames)
      if at > last:
        return
    raise _changed(file.path)


def _changed(path: str) -> DataError:
  """Returns the error for a file that is not what an earlier reading of it found."""
  return DataError(f'{path} changed while it was read; run again when nothing writes to it')


def describe_record(record: bytes, feature: str | None, payload: Payload) -> str:
  """Returns a record, or one feature of it, as a line of text that is safe to print."""
  if payload == 'FORMAT_TF_SEQUENCE_EXAMPLE':
    features = tf.train.SequenceExample.FromString(record).context.feature
  else:
    features = tf.train.Example.FromString(record).features.feature
  names = sorted(features) if feature is None else [feature]
  return cut(', '.join(f'{name}={_describe(features[name])}' for name in names), TEXT_WIDTH)


def _describe(feature: Any) -> str:
  """Returns a feature's values; bytes that are no text by their number."""
  kind = feature.WhichOneof('kind')
  values = list(getattr(feature, kind).value) if kind else []
  texts = [_describe_value(value) for value in values[:_VALUES]]
  if len(values) > _VALUES:
    texts.append(f'... {len(values)} values')
  return texts[0] if len(values) == 1 else f'[{", ".join(texts)}]'


def _describe_value(value: Any) -> str:
  if not isinstance(value, bytes):
    return f'{value:.6g}' if isinstance(value, float) else str(value)
  try:
    value.decode('utf-8')
  except UnicodeDecodeError:
    if len(value) > _VALUE_WIDTH:
      return f'<{len(value)} bytes>'
  return cut(str(ClassValue('bytes', value)), _VALUE_WIDTH)


def write_leakage(
  found: CommonKeys,
  hashed: Iterable[HashedFile],
  texts: Mapping[tuple[int, int], str],
  splits: Sequence[str],
  feature: str | None,
  path: str,
) -> None:
  """Writes what the splits have in common as JSON.

  Raises:
    DataError: if the feature is in no record, or of several types.
  """
  files = {one.file.rank: one for one in hashed}
  if feature is not None:
    _check_feature(list(files.values()), feature)
  sizes = {name: [one for one in files.values() if one.file.group == name] for name in splits}
  pairs = []
  for i, left in enumerate(splits):
    for j in range(i + 1, len(splits)):
      examples = [_example(key, texts, files) for key in found.examples.get((i, j), ())]
      pairs.append(
        {
          'splits': [left, splits[j]],
          'keys': int(found.keys[i, j]),
          'records': [int(found.records[i, j]), int(found.records[j, i])],
          'examples': examples,
        }
      )
  data = {
    'splits': {
      name: {
        'records': sum(one.records for one in of_split),
        'without_key': sum(one.without_key for one in of_split),
      }
      for name, of_split in sizes.items()
    },
    'pairs': pairs,
  }
  write_json(path, data)


def _example(
  key: CommonKey, texts: Mapping[tuple[int, int], str], files: Mapping[int, HashedFile]
) -> dict[str, Any]:
  def show(place: Place) -> dict[str, Any]:
    parts = files[place.file].file.path.split('/')
    return {'file': '/'.join(parts[-2:]), 'record': place.position}

  text = texts[key.left.file, key.left.position]
  return {'text': text, 'places': [show(key.left), show(key.right)]}


def _check_feature(files: Sequence[HashedFile], feature: str) -> None:
  """Checks that a feature can be a key.

  Raises:
    DataError: if it cannot.
  """
  kinds = {one.kind for one in files if one.kind is not None}
  if len(kinds) > 1:
    raise DataError(
      f'feature {feature!r} has values of types {sorted(kinds)}, which are never equal; '
      f'give it one type in all files'
    )
  if not kinds and any(one.without_key for one in files):
    known = ', '.join(sorted({name for one in files for name in one.feature_names})) or 'none'
    raise DataError(
      f'feature {feature!r} is in none of the records; check_leakage= takes '
      f"'records', or one of: {known}"
    )


RUN_KEYS = 1 << 21
"""Keys of a file that are sorted at a time; one has 24 bytes, and as much again while it is."""


@dataclass(frozen=True)
class LeakageRequest:
  """What to look for.

  Attributes:
    kind: What may not be in two splits.
    splits: Names of the splits, by their numbers.
    work_dir: Folder of files that are in the making.
    path: Path of the JSON file to write.
  """

  kind: KeyKind
  splits: tuple[str, ...]
  work_dir: str
  path: str


@dataclass(frozen=True)
class KeyRun:
  """Keys of a file, on disk.

  Attributes:
    path: Path of the run.
    split: Number of the file's split.
    file: Rank of the file.
    edges: Index of the first key of each bucket: int64 [BUCKETS + 1].
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
    file: File that was read.
    records: Number of records that have a key.
    without_key: Number of records that have none.
    kind: Type of the values; None for whole records, and where there are none.
    feature_names: Names of the features of its first records.
    runs: Runs that hold the keys.
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
    keys = r.kind.of_file(file.path)
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


def compare_part(part: tuple[int, int], hashed: Sequence[HashedFile], n_splits: int) -> CommonKeys:
  """Returns what the splits have in common of some buckets."""
  runs = [run for file in hashed for run in file.runs]
  return compare_keys(
    KeyColumns.concatenate((run.read(*part), run.split, run.file) for run in runs), n_splits
  )


def merge_keys(found: Iterable[CommonKeys], n_splits: int) -> CommonKeys:
  """Returns what several parts have found together."""
  return functools.reduce(CommonKeys.merge, found, CommonKeys.nothing(n_splits))


def find_leakage(
  pipeline: beam.Pipeline, files: Sequence[InputFile], request: LeakageRequest
) -> None:
  """Adds to a pipeline what compares the splits, each a group of files, and writes the result."""
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
    | 'SumLeakage' >> beam.CombineGlobally(merge_keys, n_splits)
  )
  wanted = found | 'Examples' >> beam.FlatMap(ShowRecords.wanted, list(files))
  shown = spread(wanted, 'SpreadExamples', _rank_of_file) | 'ShowExample' >> beam.ParDo(
    ShowRecords(request.kind)
  )
  _ = found | 'WriteLeakage' >> beam.Map(
    write_leakage,
    all_hashed,
    beam.pvalue.AsDict(shown),
    request.splits,
    request.kind.feature,
    request.path,
  )


def _rank_of_file(wanted: Wanted) -> int:
  return wanted[0].rank
