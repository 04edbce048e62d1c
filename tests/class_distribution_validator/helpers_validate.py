"""Statistics and validators for tests: made by TFDV itself, run by TFX itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.types import artifact_utils, channel_utils, standard_artifacts
from tfx_balance import ClassDistributionValidator

from tests.helpers_examples import labelled
from tests.helpers_pipeline import IN_MEMORY, input_artifact

CATEGORICAL = 'feature { name: "label" type: INT int_domain { is_categorical: true } }'
_TYPES = {int: pa.int64(), float: pa.float32(), bytes: pa.binary()}


def schema_of(text: str) -> schema_pb2.Schema:
  """Returns a schema from its text."""
  return text_format.Parse(text, schema_pb2.Schema())


def statistics_of(
  counts: Mapping[Any, int], schema: str = '', **options: Any
) -> statistics_pb2.DatasetFeatureStatisticsList:
  """Returns TFDV's statistics of one feature, `label`; the class None is no value.

  Args:
    counts: class to records.
    schema: that StatisticsGen would be given.
    options: of tfdv.StatsOptions.
  """
  values = [[value] if value is not None else None for value, n in counts.items() for _ in range(n)]
  (kind,) = {type(value) for value in counts if value is not None} or {bytes}
  batch = pa.RecordBatch.from_arrays([pa.array(values, pa.large_list(_TYPES[kind]))], ['label'])
  stats_options = tfdv.StatsOptions(schema=schema_of(schema) if schema else None, **options)
  return stats_impl.generate_statistics_in_memory(batch, stats_options)


def statistics_artifact(
  folder: Path, splits: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList], span: int = 0
) -> standard_artifacts.ExampleStatistics:
  """Writes statistics as StatisticsGen does, and returns the artifact."""
  artifact = standard_artifacts.ExampleStatistics()
  artifact.uri = str(folder)
  artifact.split_names = artifact_utils.encode_split_names(list(splits))
  artifact.span = span
  for name, statistics in splits.items():
    (folder / f'Split-{name}').mkdir(parents=True)
    path = folder / f'Split-{name}' / 'FeatureStats.pb'
    path.write_bytes(statistics.SerializeToString())
  return artifact


def schema_artifact(folder: Path, text: str) -> standard_artifacts.Schema:
  """Writes a schema, and returns the artifact."""
  folder.mkdir(parents=True)
  (folder / 'schema.pbtxt').write_text(text)
  artifact = standard_artifacts.Schema()
  artifact.uri = str(folder)
  return artifact


def labelled_artifact(
  folder: Path, splits: Mapping[str, Mapping[Any, int]]
) -> standard_artifacts.Examples:
  """Writes records with labels, and returns the artifact."""
  return input_artifact(folder, {name: [labelled(counts)] for name, counts in splits.items()})


class Validated:
  """What a validator left behind in a folder."""

  def __init__(self, folder: Path | str, artifact: Any = None) -> None:
    self.folder = Path(folder)
    self.artifact = artifact

  @property
  def checks(self) -> dict[str, Any]:
    """The content of class_checks.json."""
    return json.loads((self.folder / 'class_checks.json').read_text(encoding='utf-8'))

  def broken(self) -> list[dict[str, Any]]:
    """Returns the checks that failed."""
    return [check for check in self.checks['checks'] if not check['passed']]

  def anomalies(self, split: str) -> anomalies_pb2.Anomalies:
    """Returns a split's anomalies as TFDV reads them."""
    path = self.folder / f'Split-{split}' / 'SchemaDiff.pb'
    return anomalies_pb2.Anomalies.FromString(path.read_bytes())

  def counts(self) -> dict[str, dict[str, int]]:
    """Returns class name to split to records."""
    return {row['name']: row['splits'] for row in self.checks['counts']}


def validate(
  folder: Path,
  statistics: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList] | None,
  examples: standard_artifacts.Examples | Sequence[standard_artifacts.Examples] | None = None,
  schema: str | None = None,
  baseline: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList] | None = None,
  baseline_examples: Sequence[standard_artifacts.Examples] = (),
  **arguments: Any,
) -> Validated:
  """Runs the executor with the properties that the constructor makes; 'warn' unless given."""
  inputs: dict[str, Sequence[Any]] = {}
  if statistics is not None:
    inputs['statistics'] = [statistics_artifact(folder / 'statistics', statistics)]
  if examples is not None:
    inputs['examples'] = examples if isinstance(examples, Sequence) else [examples]
  if baseline_examples:
    inputs['baseline_examples'] = baseline_examples
  if schema is not None:
    inputs['schema'] = [schema_artifact(folder / 'schema', schema)]
  if baseline is not None:
    inputs['baseline_statistics'] = [statistics_artifact(folder / 'baseline', baseline)]
  arguments.setdefault('on_violation', 'warn')
  channels = {name: channel_utils.as_channel(list(found)) for name, found in inputs.items()}
  component = ClassDistributionValidator(**channels, **arguments)
  output = standard_artifacts.ExampleAnomalies()
  output.uri = str(folder / 'anomalies')
  executor_class = component.executor_spec.executor_class
  context = executor_class.Context(
    beam_pipeline_args=list(IN_MEMORY), tmp_dir=str(folder / 'tmp'), unique_id='1'
  )
  executor_class(context).Do(
    {name: list(found) for name, found in inputs.items()},
    {'anomalies': [output]},
    dict(component.exec_properties),
  )
  return Validated(output.uri, output)


def synthetic_statistics(counts: Sequence[int]) -> statistics_pb2.DatasetFeatureStatisticsList:
  """Returns statistics of a categorical int label, as of so many records of class 0, 1, ..."""
  found = statistics_pb2.DatasetFeatureStatisticsList()
  whole = found.datasets.add(num_examples=sum(counts))
  feature = whole.features.add(type=statistics_pb2.FeatureNameStatistics.INT)
  feature.path.step.append('label')
  stats = feature.string_stats
  stats.common_stats.num_non_missing = stats.common_stats.tot_num_values = sum(counts)
  stats.common_stats.min_num_values = stats.common_stats.max_num_values = 1
  stats.common_stats.avg_num_values = 1
  by_count = sorted(((n, value) for value, n in enumerate(counts) if n), reverse=True)
  stats.unique = len(by_count)
  for rank, (n, value) in enumerate(by_count):
    stats.rank_histogram.buckets.add(
      low_rank=rank, high_rank=rank, label=str(value), sample_count=n
    )
  for n, value in by_count[:20]:
    stats.top_values.add(value=str(value), frequency=n)
  return found
