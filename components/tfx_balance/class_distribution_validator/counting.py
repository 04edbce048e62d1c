"""Where the counts come from: a sidecar, one pass over the records, or exact statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
from absl import logging
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils
from tfx.utils import json_utils

from tfx_balance.beam.steps import create
from tfx_balance.class_distribution_validator.leakage import KeyKind, LeakageRequest, find_leakage
from tfx_balance.class_distribution_validator.parameters import RECORDS
from tfx_balance.documents.class_checks import (
  CommonExample,
  CommonRecords,
  CountsFrom,
  KeyedRecords,
  Leakage,
  RecordPlace,
)
from tfx_balance.documents.class_distribution import (
  SIDECAR_NAME,
  ClassDistribution,
)
from tfx_balance.documents.json_document import is_document, parse_json
from tfx_balance.errors import ConfigError, DataError, plain_errors
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.label_statistics import default_slice, tallies_of
from tfx_balance.plan.checks import Check, SplitPair, percent, shown
from tfx_balance.plan.class_counts import BASELINE
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution_rules import SplitLimit
from tfx_balance.scan.scan import InputFile, ScanFile, scan_files
from tfx_balance.scan.strata import Payload
from tfx_balance.scan.totals import Totals, check_features, sum_groups
from tfx_balance.tfrecord.storage import read_whole, storage_of
from tfx_balance.tfrecord.work_files import (
  new_work_file,
  read_json,
  write_json,
)


def describe_leakage(found: Mapping[str, Any], key: str, pairs: Sequence[SplitPair]) -> Leakage:
  """Returns what pairs of splits have in common, from the JSON data that `find_leakage` wrote."""
  by_pair = {tuple(row['splits']): row for row in found['pairs']}
  rows = []
  for pair in pairs:
    forward = (pair.split, pair.other) in by_pair
    row = by_pair[(pair.split, pair.other) if forward else (pair.other, pair.split)]
    step = 1 if forward else -1
    here, there = row['records'][::step]
    rows.append(
      CommonRecords(
        pair.split,
        pair.other,
        row['keys'],
        here,
        _share(here, found, pair.split),
        there,
        _share(there, found, pair.other),
        tuple(
          CommonExample(
            example['text'], *(RecordPlace(**place) for place in example['places'][::step])
          )
          for example in row['examples']
        ),
      )
    )
  splits = {name: KeyedRecords(**told) for name, told in found['splits'].items()}
  return Leakage(key, splits, tuple(rows))


def check_leakage(leakage: Leakage, limit: SplitLimit) -> list[Check]:
  """Returns whether splits have too many records in common with others."""
  checks = []
  for pair in leakage.pairs:
    most = limit.of(pair.split)
    if most is not None:
      text, passed = _sentence(leakage.key, pair, most), pair.share <= most
      checks.append(
        Check('max_leakage', pair.split, pair.other, None, pair.share, most, passed, text)
      )
  return checks


def _sentence(key: str, pair: CommonRecords, limit: float) -> str:
  what = 'are' if key == 'records' else f'have a value of {key!r} that is'
  text = (
    f'{pair.records} records of {shown(pair.split)} {what} in {shown(pair.other)} too: '
    f'{percent(pair.share)}, the limit is {percent(limit)}'
  )
  if pair.examples:
    first = pair.examples[0]
    text += (
      f'; such as {first.text}, record {first.split.record} of {first.split.file} '
      f'and record {first.other.record} of {first.other.file}'
    )
  return text


def _share(records: int, found: Mapping[str, Any], split: str) -> float:
  total = found['splits'][split]['records']
  return records / total if total else 0.0


_COUNT_RECORDS = 'pass examples=, and the records are counted'

_STATISTICS_NAME = 'FeatureStats.pb'  # of StatisticsGen
Tallies = Mapping[str, Mapping[ClassValue, int]]
MakePipeline = Callable[[], AbstractContextManager[beam.Pipeline]]


@dataclass(frozen=True)
class SplitStatistics:
  """The statistics of some splits of an artifact.

  Attributes:
    by_split: Statistics of each split, as TFDV has them.
    sampled: Names of the splits of which they cover a sample.
  """

  by_split: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList]
  sampled: tuple[str, ...] = ()

  @classmethod
  def load(cls, artifact: types.Artifact, splits: Sequence[str]) -> SplitStatistics:
    """Returns the statistics of some splits."""
    found = {split: _read_statistics(artifact, split) for split in splits}
    rates = _sample_rates(artifact)
    return cls(found, tuple(split for split in splits if rates.get(split, 1) != 1))

  def n_records(self) -> dict[str, int]:
    """Returns the number of records of each split."""
    return {split: default_slice(told).num_examples for split, told in self.by_split.items()}

  def tallies(
    self, label: str, argument: str, multilabel: bool = False
  ) -> dict[str, dict[ClassValue, int]]:
    """Returns, of each split, class to records.

    Args:
      label: Feature that holds the class.
      argument: Name of the argument that gave the statistics, for messages.
      multilabel: Whether a record has a set of labels.

    Raises:
      DataError: if they do not hold exact counts.
    """
    if self.sampled:
      raise DataError(
        f'{argument} is of a sample of splits {list(self.sampled)}; let StatisticsGen read all '
        f'records (sample_rate), or {_COUNT_RECORDS}'
      )
    return tallies_of(self.by_split, label, argument, _COUNT_RECORDS, multilabel)

  def other_numbers(self, tallies: Tallies) -> list[str]:
    """Returns where statistics are of another number of records than counts, a sentence each."""
    found = []
    for split, statistics in self.by_split.items():
      described, counted = default_slice(statistics).num_examples, sum(tallies[split].values())
      if split not in self.sampled and described != counted:
        found.append(
          f'statistics= of split {split!r} are of {described} records, examples= has {counted}'
        )
    return found


def count_examples(
  source: ExamplesInput,
  label: str,
  statistics: SplitStatistics,
  always_read: bool,
  make_pipeline: MakePipeline,
  work_dir: str,
  labels: Sequence[str] = (),
) -> tuple[Tallies, CountsFrom]:
  """Returns the counts of the records, and whether a sidecar or the records themselves told them.

  With several labels a record, those of label sets.

  Args:
    source: Records to count.
    label: Feature that holds the class; of several that hold labels, their names.
    statistics: Statistics of the splits to count.
    always_read: Whether to count the records even where a sidecar tells their number.
    make_pipeline: Function that makes a Beam pipeline, which runs when its `with` ends.
    work_dir: Folder of files that are in the making.
    labels: Features whose labels make a set, which is the class; none where each value is a class.

  Raises:
    ConfigError: if a split is not there.
    DataError: if the label is not there, or no class; if the sidecar is of other files.
  """
  splits = list(statistics.by_split)
  for split in splits:
    if split not in source.splits:
      raise ConfigError(
        f'split {split!r} of statistics= is not in {source.splits} of examples=; connect those of '
        f'the same artifact, or pass exclude_splits=[{split!r}]'
      )
  try:
    source.check_files(by_sidecars=not always_read)
    known = None if always_read else _sidecar_tallies(source, label, splits, bool(labels))
  except DataError as error:
    raise DataError(f'{error}, or pass recount=True to count the records that are there') from error
  if known is not None:
    others = statistics.other_numbers(known)
    if not others:
      return known, 'sidecar'
    logging.warning(
      'ClassDistributionValidator: by its sidecar, %s; the records are counted', others[0]
    )
  path = new_work_file(work_dir, 'tallies')
  files = source.input_files(splits)
  with plain_errors(), make_pipeline() as pipeline:
    recount(pipeline, files, labels or (label,), source.payload(), path, labels)
  counted = read_tallies(path)
  tallies = {split: counted.get(split, {}) for split in splits}
  for sentence in statistics.other_numbers(tallies):
    logging.warning('ClassDistributionValidator: %s; connect those of the same artifact', sentence)
  return tallies, 'records'


def leakage_of(
  source: ExamplesInput,
  key: str,
  pairs: Sequence[SplitPair],
  make_pipeline: MakePipeline,
  work_dir: str,
  by_values: bool = False,
) -> Leakage:
  """Returns what pairs of splits have in common: of `RECORDS`, or of the values of a feature.

  Args:
    source: Records to compare.
    key: `RECORDS`, or the name of a feature.
    pairs: Pairs of splits.
    make_pipeline: Function that makes a Beam pipeline, which runs when its `with` ends.
    work_dir: Folder of files that are in the making.
    by_values: Whether records are compared by value, in whatever order their features are.

  Raises:
    DataError: if the feature is in no record, or of several types.
  """
  splits = tuple(sorted({name for pair in pairs for name in (pair.split, pair.other)}))
  if not splits:
    return describe_leakage({'splits': {}, 'pairs': []}, key, [])
  path = new_work_file(work_dir, 'leakage')
  kind = KeyKind(None if key == RECORDS else key, source.payload(), by_values)
  request = LeakageRequest(kind, splits, work_dir, path)
  with plain_errors(), make_pipeline() as pipeline:
    find_leakage(pipeline, source.input_files(splits), request)
  return describe_leakage(read_json(path), key, pairs)


def count_baseline(
  artifact: types.Artifact, splits: Sequence[str], label: str, multilabel: bool = False
) -> tuple[dict[str, Mapping[ClassValue, int]], dict[str, int]]:
  """Returns the counts of a baseline's splits, by names that say so, and their records.

  Raises:
    DataError: if its statistics do not hold exact counts.
  """
  if not splits:
    return {}, {}
  statistics = SplitStatistics.load(artifact, splits)
  tallies = statistics.tallies(label, 'baseline_statistics=', multilabel)
  n_records = statistics.n_records()
  return (
    {BASELINE + split: tally for split, tally in tallies.items()},
    {BASELINE + split: n for split, n in n_records.items()},
  )


def _sidecar_tallies(
  source: ExamplesInput, label: str, splits: Sequence[str], multilabel: bool
) -> Tallies | None:
  """Returns what the sidecar tells, if it tells all; several artifacts have several.

  Raises:
    DataError: if it is damaged, or contradicts itself.
  """
  if len(source.artifacts) != 1:
    return None
  path = f'{source.artifacts[0].uri}/{SIDECAR_NAME}'
  if not storage_of(path).exists(path):
    return None
  data = parse_json(read_whole(path), path)
  if not is_document(data, ClassDistribution):
    return None  # another's file of that name
  sidecar = ClassDistribution.from_json(data, path)
  if bool(sidecar.parameters.get('multilabel')) != multilabel:
    return None
  tallies = sidecar.tallies(label, splits)
  if tallies is None:
    return None
  if any(sidecar.splits[split].file_bytes is None for split in splits):
    logging.warning(
      'ClassDistributionValidator: %s is of a version that does not tell the sizes of files; the '
      'records are counted',
      path,
    )
    return None
  return tallies


def _read_statistics(
  artifact: types.Artifact, split: str
) -> statistics_pb2.DatasetFeatureStatisticsList:
  """Returns the statistics of a split; TFX reads those that an older TFX wrote in another form."""
  path = f'{artifact_utils.get_split_uri([artifact], split)}/{_STATISTICS_NAME}'
  try:
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(read_whole(path))
  except FileNotFoundError:
    return stats_artifact_utils.load_statistics(artifact, split).proto()


def _sample_rates(artifact: types.Artifact) -> dict[str, float]:
  """Returns the share of each split's records that StatisticsGen read, where it says so."""
  found: Any = artifact.get_json_value_custom_property('sample_rate_by_split')
  if isinstance(found, str):  # TFX 1.16 writes JSON inside of JSON
    found = json_utils.loads(found)
  return dict(found or {})


def splits_of(artifact: types.Artifact) -> list[str]:
  """Returns the names of an artifact's splits."""
  return list(artifact_utils.decode_split_names(artifact.split_names))


def recount(
  pipeline: beam.Pipeline,
  files: Sequence[InputFile],
  features: Sequence[str],
  payload: Payload,
  path: str,
  labels: Sequence[str] = (),
) -> None:
  """Adds to a pipeline what counts the classes of each group of files, for `read_tallies`.

  Args:
    pipeline: Pipeline to add to.
    files: Files, each with the name of its group.
    features: Feature that holds the class, or those that hold labels.
    payload: Type of the records.
    path: Path of the file to write.
    labels: Features whose labels make a set; none where each value is a class.
  """
  counted = create(pipeline, 'CountedFiles', files)
  scanned = scan_files(counted, ScanFile(features, payload, 'own_stratum', labels=labels))
  write = partial(write_tallies, path, label=features[0])
  sum_groups(scanned, write, len(files))


def write_tallies(path: str, totals: Mapping[str, Totals], label: str) -> None:
  """Writes the counts of each group.

  Raises:
    DataError: if the label is in no record, or has several types.
  """
  whole = Totals()
  for part in totals.values():
    whole.merge(part)
  if whole.n_records:
    check_features(whole, [label], 'own_stratum', 'label')
  rows = [
    {
      'group': group,
      'classes': [
        {'class': value.to_json(), 'records': n}
        for value, n in zip(found.strata.classes, found.records.tolist(), strict=True)
      ],
    }
    for group in sorted(totals)
    for found in [totals[group].strata()]
  ]
  write_json(path, rows)


def read_tallies(path: str) -> dict[str, dict[ClassValue, int]]:
  """Returns, of each group, class to records; the class may be `MISSING`."""
  rows: list[Any] = read_json(path)
  if not rows:
    raise DataError(f'{path} holds no counts; run again')
  return {
    row['group']: {ClassValue.from_json(c['class']): c['records'] for c in row['classes']}
    for row in rows
  }
