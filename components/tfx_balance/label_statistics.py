"""Exact counts of classes from TFDV's statistics; where these are not exact, what to change."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow_metadata.proto.v0 import statistics_pb2

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING, ClassValue

_TYPES = statistics_pb2.FeatureNameStatistics  # whose constants are the types of features
_PLACEHOLDERS = ('__BYTES_VALUE__', '__LARGE_BYTES__')  # what TFDV shows in place of a value
_ALL_RECORDS = 'All Examples'  # what TFDV calls the slice of them


def default_slice(
  statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> statistics_pb2.DatasetFeatureStatistics:
  """Returns the statistics of all the records; empty ones where there are none."""
  slices = list(statistics.datasets)
  whole = slices if len(slices) == 1 else [found for found in slices if found.name == _ALL_RECORDS]
  return whole[0] if whole else statistics_pb2.DatasetFeatureStatistics()


def label_only(
  statistics: statistics_pb2.DatasetFeatureStatisticsList, label: str
) -> statistics_pb2.DatasetFeatureStatisticsList:
  """Returns the statistics of all the records, with no feature but the label."""
  whole = default_slice(statistics)
  kept = statistics_pb2.DatasetFeatureStatistics(name=whole.name, num_examples=whole.num_examples)
  feature = find_feature(whole, label)
  if feature is not None:
    kept.features.append(feature)
  return statistics_pb2.DatasetFeatureStatisticsList(datasets=[kept])


def find_feature(
  statistics: statistics_pb2.DatasetFeatureStatistics, label: str
) -> statistics_pb2.FeatureNameStatistics | None:
  """Returns the statistics of a feature; None where it is not there."""
  for feature in statistics.features:
    if feature.name == label or list(feature.path.step) == [label]:
      return feature
  return None


def tallies_of(
  statistics: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList],
  label: str,
  source: str,
  instead: str,
  multilabel: bool = False,
  several: str = 'pass multilabel=True',
) -> dict[str, dict[ClassValue, int]]:
  """Returns, of each split, class to records; the class may be `MISSING`.

  With several labels a record, they are label to values: to records, if none has a label twice.

  Args:
    statistics: Statistics of each split.
    label: Feature that holds the class.
    source: Name of the statistics, for messages.
    instead: What else to do where they are not exact, the rest of a sentence.
    multilabel: Whether a record may have several values, its labels.
    several: What else to do where a record has several and may not, the rest of a sentence.

  Raises:
    DataError: if the statistics do not hold exact counts; names what to change.
  """
  slices = {split: default_slice(of_split) for split, of_split in statistics.items()}
  features = {
    feature.name or '.'.join(feature.path.step)
    for of_split in slices.values()
    for feature in of_split.features
  }
  if features and label not in features:
    raise DataError(
      f'feature {label!r} is not in {source}; label= takes one of: {", ".join(sorted(features))}'
    )
  return {
    split: _tally(found, label, f'split {split!r} of {source}', instead, multilabel, several)
    for split, found in slices.items()
  }


def _tally(
  statistics: statistics_pb2.DatasetFeatureStatistics,
  label: str,
  where: str,
  instead: str,
  multilabel: bool,
  several: str,
) -> dict[ClassValue, int]:
  """Returns class to records of one split; arguments as in `tallies_of`."""
  feature = find_feature(statistics, label)
  if feature is None:
    return {MISSING: statistics.num_examples}
  kind = feature.WhichOneof('stats')
  common = getattr(feature, kind).common_stats
  if multilabel and common.num_non_missing and not common.min_num_values:
    raise DataError(
      f'feature {label!r} has empty lists in {where}, which does not count them; {instead}'
    )
  if common.max_num_values > 1 and not multilabel:
    raise DataError(
      f'feature {label!r} has up to {common.max_num_values} values a record in {where}; a class is '
      f'one value a record: name a feature with one, or turn a one-hot vector into its index; or '
      f'{several} where the values are labels'
    )
  present = common.num_non_missing if multilabel else common.tot_num_values
  counts = {MISSING: statistics.num_examples - present}
  if common.tot_num_values:
    _check_exact(feature, label, common.tot_num_values, where, instead)
    for bucket in feature.string_stats.rank_histogram.buckets:
      value = _class_value(feature.type, bucket.label, label, where)
      counts[value] = counts.get(value, 0) + round(bucket.sample_count)
  return counts


def _check_exact(
  feature: statistics_pb2.FeatureNameStatistics, label: str, values: int, where: str, instead: str
) -> None:
  """Checks that the statistics hold the count of every value.

  Raises:
    DataError: if not.
  """
  if feature.WhichOneof('stats') != 'string_stats':
    raise DataError(_not_categorical(feature.type, label, where, instead))
  stats = feature.string_stats
  buckets = stats.rank_histogram.buckets
  hidden = [bucket.label for bucket in buckets if bucket.label in _PLACEHOLDERS]
  if hidden:
    raise DataError(
      f'{where} shows values of feature {label!r} as {hidden[0]}: those that are not UTF-8, or too '
      f'long; {instead}'
    )
  if len(buckets) < stats.unique or round(sum(b.sample_count for b in buckets)) != values:
    raise DataError(
      f'{where} counts {len(buckets)} of the {stats.unique} values of feature {label!r}; let '
      f'StatisticsGen keep all of them (stats_options=tfdv.StatsOptions('
      f'num_top_values={stats.unique}, num_rank_histogram_buckets={stats.unique})), or {instead}'
    )


def _not_categorical(kind: int, label: str, where: str, instead: str) -> str:
  """Returns the message about a feature that has no exact counts, with the fix."""
  named = {_TYPES.INT: 'int', _TYPES.FLOAT: 'float'}.get(kind)
  if named is None:
    return f'{where} has no counts of the values of feature {label!r}; {instead}'
  fault = f'{where} has only an approximate histogram of feature {label!r}, which is of numbers'
  line = f'{named}_domain {{ is_categorical: true }}'
  sketch = ' and stats_options=tfdv.StatsOptions(use_sketch_based_topk_uniques=True)'
  return (
    f'{fault}; add "{line}" to that feature in the schema, and give it to StatisticsGen (schema=)'
    f'{sketch if named == "float" else ""}, or {instead}'
  )


def _class_value(kind: int, text: str, label: str, where: str) -> ClassValue:
  """Returns the class that TFDV's text stands for."""
  if kind == _TYPES.INT:
    return ClassValue('int', int(text))
  if kind != _TYPES.FLOAT:
    return ClassValue('bytes', text.encode('utf-8'))
  value = float(text)
  if not value.is_integer():
    raise DataError(
      f'feature {label!r} has the value {text} in {where}; a float is a class when it is integral: '
      f'bin it, or name another feature'
    )
  return ClassValue('float', value + 0.0)  # -0.0 is 0.0
