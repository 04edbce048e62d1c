"""Counts of the classes: from a sidecar, from one pass over the records, or from statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils
from tfx.utils import json_utils

from tfx_balance.beam.steps import create
from tfx_balance.class_distribution_validator.parameters import ValidatorParameters
from tfx_balance.documents.class_checks import CountsFrom
from tfx_balance.documents.class_distribution import SIDECAR_NAME, ClassDistribution
from tfx_balance.documents.json_document import is_document, parse_json
from tfx_balance.errors import ConfigError, DataError, plain_errors
from tfx_balance.examples_artifact import ExamplesInput, split_names
from tfx_balance.executors import BeamRun
from tfx_balance.label_statistics import default_slice, tallies_of
from tfx_balance.plan.class_counts import BASELINE
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.scan.scan import ScanFile, scan_files
from tfx_balance.scan.totals import Totals, check_features, sum_by_split
from tfx_balance.sizes import Workspace
from tfx_balance.tfrecord.storage import exists, read_whole
from tfx_balance.tfrecord.work_files import new_work_file, read_json, write_json

_COUNT_RECORDS = 'pass examples=, and the records are counted'
_COUNT_BASELINE = 'pass baseline_examples= in its place, and the records are counted'

_STATISTICS_NAME = 'FeatureStats.pb'  # of StatisticsGen
Tallies = Mapping[str, Mapping[ClassValue, int]]


@dataclass(frozen=True)
class SplitStatistics:
  """The statistics of some splits of an artifact.

  Attributes:
    by_split: Statistics of each split, as TFDV has them.
    sampled: Names of the splits whose statistics are of a sample.
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
    return {split: default_slice(of).num_examples for split, of in self.by_split.items()}

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
    instead = _COUNT_RECORDS if argument == 'statistics=' else _COUNT_BASELINE
    if self.sampled:
      raise DataError(
        f'{argument} is of a sample of splits {list(self.sampled)}; let StatisticsGen read all '
        f'records (sample_rate), or {instead}'
      )
    return tallies_of(self.by_split, label, argument, instead, multilabel)

  def other_numbers(self, tallies: Tallies) -> list[str]:
    """Returns a sentence for each split whose statistics are of another number of records."""
    found = []
    for split, described in self.n_records().items():
      counted = sum(tallies[split].values())
      if split not in self.sampled and described != counted:
        found.append(
          f'statistics= of split {split!r} are of {described} records, examples= has {counted}'
        )
    return found


@dataclass(frozen=True)
class CountedInput:
  """Data whose classes are counted: its statistics, its records, or both.

  Attributes:
    prefix: First part of its arguments' names: '' or 'baseline_'.
    parameters: Arguments of the component.
    statistics: Artifact of its statistics; None where there is none.
    examples: Its records, from which they are counted; None where there are none.
  """

  prefix: str
  parameters: ValidatorParameters
  statistics: types.Artifact | None
  examples: ExamplesInput | None

  @classmethod
  def of(
    cls,
    inputs: Mapping[str, Sequence[types.Artifact]],
    prefix: str,
    parameters: ValidatorParameters,
  ) -> CountedInput | None:
    """Returns the data in the inputs of a component; None where neither input holds an artifact."""
    statistics, examples = (inputs.get(f'{prefix}{name}') for name in ('statistics', 'examples'))
    if not statistics and not examples:
      return None
    return cls(
      prefix,
      parameters,
      artifact_utils.get_single_instance(list(statistics)) if statistics else None,
      ExamplesInput.of(examples) if examples else None,
    )

  @property
  def splits(self) -> list[str]:
    """The names of the splits that the statistics are of; of the records where there are none."""
    if self.statistics is not None:
      return split_names(self.statistics)
    return self.examples.splits if self.examples else []

  @property
  def span(self) -> int:
    """The span of the statistics; of the newest records where there are none."""
    if self.statistics is not None:
      return int(self.statistics.span)
    return self.examples.span if self.examples else 0

  def load_statistics(self, splits: Sequence[str]) -> SplitStatistics:
    """Returns the statistics of some splits; of none where there is no artifact."""
    if self.statistics is None:
      return SplitStatistics({})
    return SplitStatistics.load(self.statistics, splits)

  def count(
    self, splits: Sequence[str], run: BeamRun
  ) -> tuple[Tallies, CountsFrom, Mapping[str, int]]:
    """Returns the counts of some splits, where they come from, and records if by statistics.

    The names of a baseline's splits begin with `BASELINE` then. With several labels a record,
    counts of records are of label sets.

    Args:
      splits: Splits to count.
      run: Pipelines that count records.

    Raises:
      ConfigError: if a split is not there.
      DataError: if the label is not there, or no class; if the sidecar is of other files.
    """
    statistics = self.load_statistics(splits)
    n_records: Mapping[str, int] = {}
    if self.examples is None:
      argument, parameters = f'{self.prefix}statistics=', self.parameters
      tallies: Tallies = statistics.tallies(parameters.label, argument, parameters.multilabel)
      counts_from: CountsFrom = 'statistics'
      n_records = statistics.n_records()
    else:
      tallies, counts_from = self._count_examples(self.examples, splits, statistics, run)
    before = BASELINE if self.prefix else ''
    return (
      {f'{before}{split}': tally for split, tally in tallies.items()},
      counts_from,
      {f'{before}{split}': n for split, n in n_records.items()},
    )

  def _count_examples(
    self,
    source: ExamplesInput,
    splits: Sequence[str],
    statistics: SplitStatistics,
    run: BeamRun,
  ) -> tuple[Tallies, CountsFrom]:
    """Returns the counts of the records, and whether a sidecar or the records have them."""
    for split in splits:
      if split not in source.splits:
        raise ConfigError(
          f'split {split!r} of statistics= is not in {source.splits} of examples=; connect those '
          f'of the same artifact, or pass exclude_splits=[{split!r}]'
        )
    recount = self.parameters.recount
    try:
      source.check_files(by_sidecars=not recount)
      counted = None if recount else _sidecar_tallies(source, self.parameters, splits)
    except DataError as error:
      raise DataError(
        f'{error}, or pass recount=True to count the records that are there'
      ) from error
    if counted is not None:
      others = statistics.other_numbers(counted)
      if not others:
        return counted, 'sidecar'
      logging.warning(
        'ClassDistributionValidator: by its sidecar, %s; the records are counted', others[0]
      )
    tallies = count_records(source, splits, self.parameters, run)
    for sentence in statistics.other_numbers(tallies):
      logging.warning(
        'ClassDistributionValidator: %s; connect those of the same artifact', sentence
      )
    return tallies, 'records'

  def compared(self, splits: Sequence[str]) -> list[str]:
    """Returns the splits of a baseline that some splits are compared with; warns of none."""
    pairs = self.parameters.rules.pairs
    if pairs is None:
      common = [name for name in self.splits if name in splits]
      if not common:
        other = f'{BASELINE}{next(iter(self.splits), "train")}'
        logging.warning(
          f'ClassDistributionValidator: the baseline has the splits {self.splits}, and none of '
          f'{list(splits)}, so that nothing is compared with it; name pairs, as '
          f"compare=[('{splits[0]}', '{other}')]"
        )
      return common
    named = {pair.other for pair in pairs if pair.other.startswith(BASELINE)}
    return sorted(name.removeprefix(BASELINE) for name in named)


def _sidecar_tallies(
  source: ExamplesInput, parameters: ValidatorParameters, splits: Sequence[str]
) -> Tallies | None:
  """Returns the counts of the sidecar, if it has all of them; several artifacts have several.

  Raises:
    DataError: if it is damaged, or contradicts itself.
  """
  path = f'{source.artifacts[0].uri}/{SIDECAR_NAME}'
  has_one = len(source.artifacts) == 1 and exists(path)
  data = parse_json(read_whole(path), path) if has_one else None
  if not is_document(data, ClassDistribution):
    return None  # none, or another's file of that name
  sidecar = ClassDistribution.from_json(data, path)
  of_same_classes = bool(sidecar.parameters.get('multilabel')) == parameters.multilabel
  tallies = sidecar.tallies(parameters.label, splits) if of_same_classes else None
  if tallies and any(sidecar.splits[split].file_bytes is None for split in splits):
    logging.warning(
      f'ClassDistributionValidator: {path} is of a version without the sizes of files; the records '
      'are counted'
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


def count_records(
  source: ExamplesInput, splits: Sequence[str], parameters: ValidatorParameters, run: BeamRun
) -> Tallies:
  """Returns, of each split, class to records, in one pass; the class may be `MISSING`."""
  path, files = new_work_file(run.work_dir, 'tallies'), source.input_files(splits)
  scan = ScanFile(parameters.features, source.payload(), 'own_stratum', labels=parameters.labels)
  work = Workspace(work_dir='', n_files=len(files))
  with plain_errors(), run.make_pipeline() as pipeline:
    scanned = scan_files(create(pipeline, 'CountedFiles', files), scan)
    sum_by_split(scanned, partial(write_tallies, path, label=parameters.features[0]), work)
  found = read_json(path)
  return {
    split: {ClassValue.from_json(value): n for value, n in found.get(split, ())} for split in splits
  }


def write_tallies(path: str, totals: Mapping[str, Totals], label: str) -> None:
  """Writes the counts of each input split: its name, and pairs of class and records.

  Raises:
    DataError: if the label is in no record, or has several types.
  """
  whole = Totals()
  for part in totals.values():
    whole.merge(part)
  if whole.n_records:
    check_features(whole, [label], 'own_stratum', 'label')
  rows = {}
  for name, part in totals.items():
    found = part.strata()
    pairs = zip(found.strata.classes, found.records.tolist(), strict=True)
    rows[name] = [[value.to_json(), n] for value, n in pairs]
  write_json(path, rows)
