"""Readers of artifacts: the JSON files of this package, and those of stock TFX components."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfx_balance.arguments import check_label, check_path, format_value
from tfx_balance.documents.balanced_input import PLAN_NAME, InputPlan
from tfx_balance.documents.class_checks import CHECKS_NAME, ClassChecks
from tfx_balance.documents.class_distribution import SIDECAR_NAME, ClassDistribution
from tfx_balance.documents.comparison import COMPARISON_NAME, ComparisonDocument
from tfx_balance.documents.json_document import (
  check_checksum,
  is_document,
  parse_json,
  parsed_document,
  sealed,
)
from tfx_balance.documents.recall import RECALL_NAME, RecallDocument
from tfx_balance.documents.training_log import TRAINING_NAME, TrainingLog
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import MISSING, ClassValue, stratum_name
from tfx_balance.plan.distinct_sets import DistinctSets
from tfx_balance.plan.number_bins import bin_names
from tfx_balance.report.evaluations import EVALUATION_FILE, read_evaluation
from tfx_balance.report.measures import clean
from tfx_balance.report.run_view import (
  BinCounts,
  CheckSet,
  Findings,
  Fit,
  RunView,
  SplitCounts,
  Stage,
  StageKind,
  merge,
  training_splits,
)
from tfx_balance.report.vocabulary import TRANSFORM_FILE, read_vocabularies, with_names
from tfx_balance.tfrecord.storage import exists, read_whole, storage_of

STATISTICS_FILE = 'FeatureStats.pb'
# A plan says more than the sidecar that may lie beside it.
JSON_NAMES = (PLAN_NAME, SIDECAR_NAME, CHECKS_NAME, RECALL_NAME, TRAINING_NAME, COMPARISON_NAME)
STATISTICS_PATTERN = f'Split-*/{STATISTICS_FILE}'
_NAMED = re.compile(r'([^/:=]+)=(.+)', re.DOTALL)


@dataclass(frozen=True)
class Location:
  """The URI of an artifact or a JSON file, and its title; None to take that from what is there."""

  uri: str
  title: str | None = None

  @classmethod
  def of(cls, text: str) -> Location:
    """Returns the source of a URI, or of NAME=URI, where no file has the whole as its name."""
    named = _NAMED.fullmatch(text)
    if named and not exists(text):
      return cls(_plain(named[2]), clean(named[1].strip()))
    return cls(_plain(text))

  @property
  def node(self) -> str | None:
    """The id of the pipeline's node, where the URI is one that TFX gave: root/node/key/number."""
    parts = self.uri.split('/')
    return parts[-3] if len(parts) > 3 and parts[-1].isdigit() else None

  def path(self, name: str) -> str:
    """Returns the path of a file at its root."""
    return posixpath.join(self.uri, name)


def read_run(uris: Sequence[str], label: str | None = None) -> RunView:
  """Returns a run, read from its artifacts.

  Args:
    uris: URIs of artifacts, in the order of the pipeline: `Examples` of this package's components,
      `ExampleAnomalies` of its validator, stock `ExampleStatistics` and `ModelEvaluation`, and
      `TransformGraph`, whose vocabularies name class ids; or of a
      `recall.json` or a `comparison.json`. Local or remote. NAME=URI gives one a name.
    label: Feature that holds the class; where None, the artifacts say it.

  Raises:
    ConfigError: if there is nothing that a report can show at a URI.
    DataError: if an artifact is damaged.
  """
  if not isinstance(uris, Sequence) or isinstance(uris, (str, bytes)):
    raise ConfigError(f'uris={format_value(uris)} is not a list; pass a list of URIs')
  if not uris:
    raise ConfigError('uris=[] names nothing to report on; pass the URI of one artifact or more')
  if label is not None:
    check_label(label)
  sources = [Location.of(check_path('uris: entry', uri)) for uri in uris]
  kinds = [kind_of(source) for source in sources]
  found = {
    i: _read_json(source, kind)
    for i, (source, kind) in enumerate(zip(sources, kinds, strict=True))
    if kind.endswith('.json') and kind != EVALUATION_FILE
  }
  # What does not say which feature is the label comes second.
  label = label or next((f.label for f in found.values() if f.label), None)
  for i, (source, kind) in enumerate(zip(sources, kinds, strict=True)):
    if kind == EVALUATION_FILE:
      found[i] = read_evaluation(source.uri, label, source.title, source.node)
    elif kind == TRANSFORM_FILE:
      found[i] = read_vocabularies(source.uri)
    elif kind == STATISTICS_PATTERN:
      if label is None:
        raise ConfigError(
          f'label=None, and {source.uri} does not say which feature holds the class; pass '
          f'label= (--label)'
        )
      title = source.title or source.node or 'Statistics'
      found[i] = read_statistics(source.uri, label, title)
  return merge(with_names([found[i] for i in range(len(sources))]), label)


def kind_of(source: Location) -> str:
  """Returns the name of the file, or the pattern of files, by which an artifact is recognised.

  Raises:
    ConfigError: if nothing is there that a report can show, or files of two kinds are.
  """
  if source.uri.endswith('.json') and exists(source.uri):
    return source.uri
  names = [name for name in JSON_NAMES if exists(source.path(name))]
  if len(names) > 1 and names != [PLAN_NAME, SIDECAR_NAME]:
    raise ConfigError(
      f'{source.uri} has {" and ".join(names)}; give the path of each file that is to be shown'
    )
  if names:
    return names[0]
  for name in (EVALUATION_FILE, TRANSFORM_FILE):
    if exists(source.path(name)):
      return name
  if statistics_files(source.uri):
    return STATISTICS_PATTERN
  there = 'is there, but none of these is in it' if exists(source.uri) else 'does not exist'
  patterns = (*JSON_NAMES, EVALUATION_FILE, TRANSFORM_FILE, STATISTICS_PATTERN)
  raise ConfigError(
    f'{source.uri} {there}: {", ".join(patterns)}; give the URI of an artifact that '
    f'StratifiedSplitter, BalancedAugmenter, BalancedInputGen, ClassDistributionValidator, '
    f'StatisticsGen, Transform or Evaluator published'
  )


def _read_json(source: Location, kind: str) -> Findings:
  """Returns the findings of a JSON file; those of a plan with what the sidecar beside it adds."""
  path = source.uri if kind == source.uri else source.path(kind)
  title = source.title or (source.node if kind == CHECKS_NAME else None)
  found, beside = findings_of(read_whole(path), path, title), source.path(SIDECAR_NAME)
  if kind != PLAN_NAME or not exists(beside):
    return found
  (plan,), (written,) = found.stages, findings_of(read_whole(beside), beside).stages
  added = {name: getattr(written, name) for name in ('parameters', 'warnings', 'passed_through')}
  return replace(found, stages=(replace(plan, **added),))


def _plain(uri: str) -> str:
  return uri.rstrip('/') or uri


def findings_of(data: Any, source: str, title: str | None = None) -> Findings:
  """Returns the findings of a JSON file of this package.

  Args:
    data: JSON data, or its text.
    source: Path of the file.
    title: Title to show it by; where None, by the component that wrote it.

  Raises:
    DataError: if it is not valid JSON, not a document of this package, of a newer version, or
      incomplete.
  """
  data = parse_json(data, source)
  if isinstance(data, Mapping):
    check_checksum(data, source)
    data = sealed(_characters(data))
  if is_document(data, InputPlan):
    return _plan(InputPlan.from_json(data, source), source, title)
  ours = (ClassDistribution, ClassChecks, InputPlan, TrainingLog, ComparisonDocument)
  found: Any = parsed_document(data, source, *ours, RecallDocument)
  if isinstance(found, ClassDistribution):
    return _distribution(found, source, title)
  if isinstance(found, ClassChecks):
    return _checks(found, source, title or 'Validator')
  if isinstance(found, TrainingLog):
    return Findings(found.label, trainings=((title or 'Training batches', found),), uri=source)
  if isinstance(found, ComparisonDocument):
    named = f'Which remedy: {title}' if title else 'Which remedy'
    return Findings(comparisons=((named, found),), uri=source)
  models = [
    replace(model, name=' '.join(filter(None, (title, model.name))) or 'model')
    for model in found.models
  ]
  return Findings(found.label, models=tuple(models), uri=source)


def _characters(data: Any) -> Any:
  """Returns JSON data with lone surrogates in its texts escaped."""
  if isinstance(data, str):
    return data if data.isascii() else data.encode('utf-8', 'backslashreplace').decode('utf-8')
  if isinstance(data, list):
    return [_characters(item) for item in data]
  if isinstance(data, Mapping):
    return {_characters(key): _characters(value) for key, value in data.items()}
  return data


def _distribution(distribution: ClassDistribution, source: str, title: str | None) -> Findings:
  """Returns the stage of a component; joint strata are summed up by class, which comes first.

  Where classes are sets of labels, the classes of the stage are the labels. The ideal of a cell is
  that of the splitter's shares, or the target of the augmenter.
  """
  counts: dict[str, dict[ClassValue, int]] = {name: {} for name in distribution.splits}
  before: dict[str, dict[ClassValue, int]] = {}
  fits = []
  apart = distribution.parameters.get('augmented_split')
  for row in distribution.labels or distribution.strata:
    value, name = row.stratum[0], stratum_name(row.stratum)
    for split, cell in row.splits.items():
      counts[split][value] = counts[split].get(value, 0) + cell.records
      if cell.records_before is not None:
        before.setdefault(split, {})[value] = cell.records_before
      if cell.ideal is not None:
        fits.append(Fit(name, split, cell.ideal, cell.records))
      elif cell.target is not None:
        made = row.splits[apart].records if apart and apart in row.splits else 0
        fits.append(
          Fit(name, f'{split} + {apart}' if apart else split, cell.target, cell.records + made)
        )
  kind: StageKind = 'split'
  training = training_splits(list(counts))
  if distribution.component == 'BalancedInputGen':
    kind, training = 'fed', tuple(counts)
  elif before:
    kind, training = 'balanced', training_splits(list(before)) + ((apart,) if apart else ())
  splits = []
  for name, column in counts.items():
    records, unlabelled = distribution.splits[name].records, distribution.splits[name].unlabelled
    if unlabelled is None:
      unlabelled = records - sum(column.values())
    n_records = records if distribution.labels else None
    splits.append(SplitCounts(name, column, before.get(name), unlabelled, n_records))
  stage = Stage(
    title or {'split': 'Split', 'balanced': 'Balanced', 'fed': 'Fed to the Trainer'}[kind],
    kind,
    tuple(splits),
    training,
    fits=tuple(fits) if not apart or len(before) == 1 else (),
    passed_through=distribution.passed_through,
    parameters={
      'component': distribution.component,
      **distribution.parameters,
      **({'label sets': len(distribution.strata) or 'not listed'} if distribution.labels else {}),
    },
    warnings=distribution.warnings,
    uri=source,
    bins=_bins(distribution),
  )
  return Findings(distribution.features[0], (stage,))


def _bins(distribution: ClassDistribution) -> BinCounts | None:
  """Returns the records in the bins of a split's feature; None where none was put into bins."""
  binned, edges = distribution.parameters.get('bins'), distribution.parameters.get('bin_edges')
  if not binned or edges is None:
    return None
  (feature,) = binned
  at, names = distribution.features.index(feature), bin_names(edges)
  sums = {name: dict.fromkeys(names, 0) for name in distribution.splits}
  for row in distribution.strata:
    name = str(row.stratum[at])
    for split, cell in row.splits.items():
      if name in sums[split]:  # a missing number is in none
        sums[split][name] += cell.records
  counts = {split: tuple(of_bins.values()) for split, of_bins in sums.items()}
  return BinCounts(feature, tuple(names), counts)


def _plan(plan: InputPlan, source: str, title: str | None) -> Findings:
  """Returns the stage that a Trainer is fed, and the one before the splits were merged."""
  stage = Stage(
    title=title or 'Fed to the Trainer',
    kind='fed',
    splits=(_plan_counts(plan, plan.split, plan.records),),
    training=(plan.split,),
    parameters={
      'component': 'BalancedInputGen',
      'label': plan.label,
      'seed': plan.seed,
      'files': len(plan.files),
      'merged splits': list(plan.natural),
      **({'label sets': len(plan.classes)} if plan.classes[0].kind == 'set' else {}),
    },
    uri=source,
  )
  natural = Stage(
    title='Input of BalancedInputGen',
    kind='raw',
    splits=tuple(_plan_counts(plan, name, counts) for name, counts in plan.natural.items()),
    training=tuple(plan.natural),
    uri=source,
  )
  return Findings(plan.label, (stage,), inputs=(natural,))


def _plan_counts(plan: InputPlan, split: str, records: Sequence[int]) -> SplitCounts:
  """Returns the counts of a plan's classes; where these are sets of labels, those of the labels."""
  if plan.classes[0].kind != 'set':
    return SplitCounts(split, dict(zip(plan.classes, records, strict=True)))
  sets = DistinctSets.of(plan.classes)
  sums = sets.sums(np.array(records)[:, None])[:, 0].tolist()
  empty = sum(n for value, n in zip(plan.classes, records, strict=True) if not value.value)
  return SplitCounts(
    split, dict(zip(sets.labels, sums, strict=True)), unlabelled=empty, n_records=sum(records)
  )


def _checks(checks: ClassChecks, source: str, title: str) -> Findings:
  """Returns the results of a validator, and the counts that it checked."""
  counts: dict[str, dict[ClassValue, int]] = {}
  for row in checks.counts:
    for name, n in row.splits.items():
      counts.setdefault(name, {})[row.value] = n
  splits = tuple(
    SplitCounts(
      name,
      column,
      unlabelled=checks.missing.get(name, 0),
      n_records=checks.labelled[name] + checks.missing.get(name, 0) if checks.labelled else None,
    )
    for name, column in counts.items()
  )
  counted = Stage(title, 'raw', splits, training_splits(list(counts)), uri=source)
  check_set = CheckSet(title, checks, source)
  return Findings(checks.label, counted=(counted,) if splits else (), check_sets=(check_set,))


_SIDECAR_INSTEAD = (
  'show what StratifiedSplitter or ClassDistributionValidator published, which count records'
)
_LABELS_INSTEAD = (
  'show what StratifiedSplitter or ClassDistributionValidator published with multilabel=True'
)


def read_statistics(uri: str, label: str, title: str) -> Findings:
  """Returns the classes that TFDV counted, of the splits where it counted them exactly.

  Args:
    uri: URI of an ExampleStatistics artifact.
    label: Feature that holds the class.
    title: Title to show it by.
  """
  from tensorflow_metadata.proto.v0 import statistics_pb2

  from tfx_balance.label_statistics import tallies_of

  splits, notes = [], []
  for path in statistics_files(uri):
    name = posixpath.basename(posixpath.dirname(path)).removeprefix('Split-')
    found = statistics_pb2.DatasetFeatureStatisticsList()
    found.ParseFromString(read_whole(path))
    try:
      tallies = tallies_of(
        {name: found}, label, 'its statistics', _SIDECAR_INSTEAD, several=_LABELS_INSTEAD
      )
    except DataError as error:
      notes.append(f'{title}: split {name!r} is not shown: {error}.')
      continue
    unlabelled = tallies[name].pop(MISSING, 0)
    splits.append(SplitCounts(name, tallies[name], unlabelled=unlabelled))
  if not splits:
    return Findings(notes=tuple(notes))
  stage = Stage(title, 'raw', tuple(splits), training_splits([s.name for s in splits]), uri=uri)
  return Findings(counted=(stage,), notes=tuple(notes))


def statistics_files(uri: str) -> list[str]:
  """Returns the files of an ExampleStatistics artifact, one a split; none where it is no such."""
  if not storage_of(uri).is_folder(uri):
    return []
  # Listed, not matched: to a pattern, a bracket in the artifact's path is not itself.
  splits = sorted(n for n in storage_of(uri).names(uri) if n.startswith('Split-'))
  paths = [posixpath.join(uri, name, STATISTICS_FILE) for name in splits]
  return [path for path in paths if exists(path)]
