"""Records, or values of a feature, that are in more than one split: exact, and out of core.

files ── HashFile ── runs ── parts ── ComparePart ── sum ──┬── show examples ── write
                                                          └───────────────────────┘

A run is on disk, sorted by hash; a part is the same range of hashes of every run. In memory are
a run while it is made, or a part while it is compared, and never all the keys.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.beam.steps import create, spread
from tfx_balance.class_distribution_validator.hashed_keys import KeyKind
from tfx_balance.class_distribution_validator.parameters import RECORDS, ValidatorParameters
from tfx_balance.documents.class_checks import (
  CommonExample,
  CommonRecords,
  KeyedRecords,
  Leakage,
  RecordPlace,
)
from tfx_balance.documents.json_document import fields_json, read_part
from tfx_balance.errors import DataError, plain_errors
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import BeamRun
from tfx_balance.plan.checks import (
  Check,
  SplitPair,
  default_pairs,
  format_split,
  percent,
  truncate,
)
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.common_keys import (
  BUCKETS,
  KEY_ROW,
  CommonKeys,
  Place,
  compare_keys,
  count_parts,
  join_runs,
  make_run,
)
from tfx_balance.plan.distribution_rules import DistributionRules, check_names
from tfx_balance.scan.fixed_layout import ValueKind
from tfx_balance.scan.record_reader import Payload
from tfx_balance.scan.scan import InputFile
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.tfrecord.files import read_frames
from tfx_balance.tfrecord.work_files import (
  create_as_is,
  new_work_file,
  open_as_is,
  read_json,
  write_json,
)

TEXT_WIDTH = 200
_VALUE_WIDTH = 40
_VALUES = 4


Wanted = tuple[InputFile, dict[int, tuple[int, int]]]
"""A file, and the positions of records in it, in order, with the halves of their key's hash."""


class ShowRecords(beam.DoFn):
  """Turns a file and places in it into ((file number, position), text)."""

  def __init__(self, kind: KeyKind) -> None:
    self._kind = kind

  @staticmethod
  def wanted(common: CommonKeys, files: Sequence[InputFile]) -> list[Wanted]:
    """Returns the files that have examples, and the places of these in them."""
    places: dict[int, dict[int, tuple[int, int]]] = {}
    for keys in common.examples.values():
      for key in keys:
        places.setdefault(key.left.file, {})[key.left.position] = (key.high, key.low)
    return [
      (file, dict(sorted(places[file.file_number].items())))
      for file in files
      if file.file_number in places
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
        yield (
          (file.file_number, position),
          describe_record(record, self._kind.feature, self._kind.payload),
        )
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
  return truncate(', '.join(f'{name}={_describe(features[name])}' for name in names), TEXT_WIDTH)


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
  return truncate(str(ClassValue('bytes', value)), _VALUE_WIDTH)


def write_leakage(
  common: CommonKeys,
  hashed: Iterable[HashedFile],
  texts: Mapping[tuple[int, int], str],
  context: LeakageContext,
) -> None:
  """Writes the `Leakage` of the pairs that are asked for as JSON.

  Raises:
    DataError: if the feature is in no record, or of several types.
  """
  files = {file.file.file_number: file for file in hashed}
  feature = context.kind.feature
  if feature is not None:
    _check_feature(list(files.values()), feature)
  splits = {}
  for name in context.splits:
    of_split = [file for file in files.values() if file.file.input_split == name]
    without_key = sum(file.without_key for file in of_split)
    splits[name] = KeyedRecords(sum(file.records for file in of_split), without_key)

  def place_of(place: Place) -> RecordPlace:
    return RecordPlace('/'.join(files[place.file].file.path.split('/')[-2:]), place.position)

  def compare(pair: SplitPair) -> CommonRecords:
    here, there = (context.splits.index(name) for name in (pair.split, pair.other))
    first, second = sorted((here, there))
    examples = []
    for key in common.examples.get((first, second), ()):
      places = [place_of(key.left), place_of(key.right)][:: 1 if here < there else -1]
      examples.append(CommonExample(texts[key.left], *places))
    records, others = int(common.records[here, there]), int(common.records[there, here])
    return CommonRecords(
      pair.split,
      pair.other,
      int(common.keys[first, second]),
      records,
      splits[pair.split].share(records),
      others,
      splits[pair.other].share(others),
      tuple(examples),
    )

  leakage = Leakage(feature or RECORDS, splits, tuple(map(compare, context.pairs)))
  write_json(context.path, fields_json(leakage))


def _check_feature(files: Sequence[HashedFile], feature: str) -> None:
  """Checks that a feature can be a key.

  Raises:
    DataError: if it cannot.
  """
  kinds = {file.kind for file in files if file.kind is not None}
  if len(kinds) > 1:
    raise DataError(
      f'feature {feature!r} has values of types {sorted(kinds)}, which are never equal; '
      f'give it one type in all files'
    )
  if not kinds and any(file.without_key for file in files):
    features = ', '.join(sorted({name for file in files for name in file.feature_names})) or 'none'
    raise DataError(
      f'feature {feature!r} is in none of the records; check_leakage= takes '
      f"'records', or one of: {features}"
    )


@dataclass(frozen=True)
class LeakageContext:
  """Arguments of a comparison of splits: kind of key, pairs, and paths of the results.

  Attributes:
    kind: What may not be in two splits.
    pairs: Pairs of splits to compare.
    work_dir: Folder of work files.
    path: Path of the JSON file to write.
    sizes: Sizes of runs of keys, and of parts of all of them.
  """

  kind: KeyKind
  pairs: tuple[SplitPair, ...]
  work_dir: str
  path: str
  sizes: Sizes = SIZES

  @functools.cached_property
  def splits(self) -> tuple[str, ...]:
    """The names of the splits, by their numbers."""
    return tuple(sorted({name for pair in self.pairs for name in (pair.split, pair.other)}))


@dataclass(frozen=True)
class KeyRun:
  """Keys of a file, on disk.

  Attributes:
    path: Path of the run.
    split: Number of the file's split.
    file: Number of the file.
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

  def __init__(self, context: LeakageContext) -> None:
    self._context = context

  def process(self, file: InputFile) -> Iterator[HashedFile]:
    r = self._context
    keys = r.kind.of_file(file.path)
    waiting: list[tuple[npt.NDArray[Any], ...]] = []  # hashes, and positions of their records
    runs: list[KeyRun] = []
    records = n_keys = position = 0
    for frames in read_frames(file.path):
      found, present = keys.digests(frames.payloads())
      waiting.append((found, position + np.flatnonzero(present)))
      position, records, n_keys = position + len(frames), records + len(found), n_keys + len(found)
      if n_keys >= r.sizes.run_keys:
        runs.append(self._write(file, waiting))
        waiting, n_keys = [], 0
    if n_keys:
      runs.append(self._write(file, waiting))
    names = tuple(keys.feature_names)
    yield HashedFile(file, records, position - records, keys.kind, names, tuple(runs))

  def _write(self, file: InputFile, parts: Sequence[tuple[npt.NDArray[Any], ...]]) -> KeyRun:
    """Writes a run of hashes with positions."""
    rows, edges = make_run(*map(np.concatenate, zip(*parts, strict=True)))
    path = new_work_file(self._context.work_dir, f'keys-{file.file_number:05d}')
    with create_as_is(path) as run:
      run.write(rows.tobytes())
    return KeyRun(path, self._context.splits.index(file.input_split), file.file_number, edges)


def plan_parts(
  _: None, hashed: Iterable[HashedFile], part_keys: int = SIZES.part_keys
) -> list[tuple[int, int]]:
  """Returns the buckets of each part: the first, and the one after the last."""
  n = count_parts(sum(int(run.edges[-1]) for file in hashed for run in file.runs), part_keys)
  width = BUCKETS // n
  return [(i * width, (i + 1) * width) for i in range(n)]


def compare_part(part: tuple[int, int], hashed: Sequence[HashedFile], n_splits: int) -> CommonKeys:
  """Returns the keys that the splits have in common in some buckets."""
  runs = [run for file in hashed for run in file.runs]
  return compare_keys(join_runs((run.read(*part), run.split, run.file) for run in runs), n_splits)


def merge_keys(parts: Iterable[CommonKeys], n_splits: int) -> CommonKeys:
  """Returns the sum of the keys that several parts have in common."""
  return functools.reduce(CommonKeys.merge, parts, CommonKeys.nothing(n_splits))


def find_leakage(
  pipeline: beam.Pipeline, files: Sequence[InputFile], context: LeakageContext
) -> None:
  """Adds steps that compare the splits of the files, and write the result."""
  n_splits = len(context.splits)
  created = create(pipeline, 'HashedFiles', files)
  hashed = spread(created, 'SpreadHashed', attrgetter('file_number')) | 'HashFile' >> beam.ParDo(
    HashFile(context)
  )
  all_hashed = beam.pvalue.AsList(hashed)
  parts = create(pipeline, 'PlanOnce', [None]) | 'PlanParts' >> beam.FlatMap(
    plan_parts, all_hashed, context.sizes.part_keys
  )
  found = (
    spread(parts, 'SpreadParts', itemgetter(0))
    | 'ComparePart' >> beam.Map(compare_part, all_hashed, n_splits)
    | 'SumLeakage' >> beam.CombineGlobally(merge_keys, n_splits)
  )
  wanted = found | 'Examples' >> beam.FlatMap(ShowRecords.wanted, list(files))
  spread_wanted = spread(wanted, 'SpreadExamples', lambda wanted: wanted[0].file_number)
  texts = spread_wanted | 'ShowExample' >> beam.ParDo(ShowRecords(context.kind))
  _ = found | 'WriteLeakage' >> beam.Map(
    write_leakage, all_hashed, beam.pvalue.AsDict(texts), context
  )


def leakage_of(
  source: ExamplesInput, splits: Sequence[str], parameters: ValidatorParameters, run: BeamRun
) -> Leakage:
  """Returns the records that pairs of splits have in common.

  Args:
    source: Records to compare.
    splits: Splits that are checked, of all of which pairs are made unless some are given.
    parameters: Arguments of the component, which say what is compared.
    run: Pipelines that compare.

  Raises:
    ConfigError: if a split of a pair is not checked.
    DataError: if the feature is in no record, or of several types.
  """
  key, pairs = parameters.leakage_key, parameters.leakage_pairs
  for pair in pairs or ():
    check_names('leakage_pairs=', [pair.split, pair.other], splits)
  pairs = tuple(default_pairs(splits, [])) if pairs is None else pairs
  if not pairs:
    return Leakage(key or RECORDS, {}, ())
  kind = KeyKind(None if key == RECORDS else key, source.payload(), parameters.by_values)
  context = LeakageContext(kind, pairs, run.work_dir, new_work_file(run.work_dir, 'leakage'))
  with plain_errors(), run.make_pipeline() as pipeline:
    find_leakage(pipeline, source.input_files(context.splits), context)
  leakage: Leakage = read_part(read_json(context.path), Leakage)
  return leakage


def check_leakage(leakage: Leakage, rules: DistributionRules) -> list[Check]:
  """Returns the checks of the records that splits have in common with others."""
  checks = []
  what = 'are' if leakage.key == RECORDS else f'have a value of {leakage.key!r} that is'
  for pair in leakage.pairs:
    most = rules.limit('max_leakage', pair.split)
    if most is None:
      continue
    text = (
      f'{pair.records} records of {format_split(pair.split)} {what} in {format_split(pair.other)} '
      f'too: {percent(pair.share)}, the limit is {percent(most)}'
    )
    for example in pair.examples[:1]:
      text += (
        f'; such as {example.text}, record {example.split.record} of {example.split.file} '
        f'and record {example.other.record} of {example.other.file}'
      )
    passed = pair.share <= most
    checks.append(
      Check('max_leakage', pair.split, pair.other, None, pair.share, most, passed, text)
    )
  return checks
