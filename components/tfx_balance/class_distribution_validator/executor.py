"""Runs ClassDistributionValidator: decodes artifacts, counts, checks, writes what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_balance.class_distribution_validator import anomalies as label_anomalies
from tfx_balance.class_distribution_validator.counting import (
  SplitStatistics,
  Tallies,
  count_baseline,
  count_examples,
  splits_of,
)
from tfx_balance.class_distribution_validator.label_schema import schema_rules
from tfx_balance.class_distribution_validator.parameters import ValidatorParameters
from tfx_balance.class_distribution_validator.results import (
  report_violations,
  write_copies,
  write_results,
)
from tfx_balance.errors import ConfigError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.plan.checks import Check, failed
from tfx_balance.plan.checks_sidecar import CountsFrom, checks_sidecar
from tfx_balance.plan.class_counts import BASELINE, ClassCounts
from tfx_balance.plan.distribution_rules import SchemaRules, check_distribution
from tfx_balance.plan.limits import check_names
from tfx_balance.transforms.work_files import work_folder

Inputs = dict[str, list[types.Artifact]]


class Executor(base_beam_executor.BaseBeamExecutor):
  """Writes the anomalies, and ends the run where a rule is broken."""

  def Do(
    self,
    input_dict: Inputs,
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Checks the classes of `statistics` or `examples`, and writes `anomalies`.

    Raises:
      ConfigError: if an argument breaks a rule, alone or together with the inputs.
      DataError: if the classes break one, and `on_violation` is 'fail'; if they cannot be counted.
    """
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = ValidatorParameters.decode(exec_properties)
    output = artifact_utils.get_single_instance(output_dict['anomalies'])
    source = artifact_utils.get_single_instance(input_dict['statistics'])
    splits = checked_splits(splits_of(source), parameters.exclude_splits)
    schema = read_schema(input_dict)
    rules = SchemaRules() if schema is None else schema_rules(schema, parameters.label)
    statistics = SplitStatistics.load(source, splits)
    with work_folder(output.uri) as work_dir:
      tallies, counts_from = self._count(input_dict, parameters, statistics, splits, work_dir)
      leakage = None
    tallies = {**tallies, **baseline_tallies(input_dict, parameters, splits)}
    counts = ClassCounts.of(tallies)
    limits = parameters.rules
    if not input_dict.get('baseline_statistics'):
      limits = limits.without_baseline()
    checks = check_distribution(counts, limits, rules)
    found = {}
    for split in splits:
      by_tfdv = anomalies_pb2.Anomalies()
      if schema is not None:
        by_tfdv = label_anomalies.validate_label(
          statistics.by_split[split], schema, parameters.label, rules.domain is not None
        )
        checks += label_anomalies.schema_checks(by_tfdv, split)
      of_split = [check for check in checks if check.split == split]
      found[split] = label_anomalies.with_checks(by_tfdv, of_split, parameters.label)
    sidecar = checks_sidecar(parameters.label, counts_from, counts, checks, leakage)
    write_results(output.uri, found, sidecar)
    if parameters.report_dir:
      write_copies(parameters.report_dir, found, sidecar, checks)
    describe_output(output, source, splits, checks)
    report_violations(checks, parameters)

  def _count(
    self,
    inputs: Inputs,
    parameters: ValidatorParameters,
    statistics: SplitStatistics,
    splits: Sequence[str],
    work_dir: str,
  ) -> tuple[Tallies, CountsFrom]:
    """Returns the counts of the splits, and where they come from."""
    if not inputs.get('examples'):
      return statistics.tallies(parameters.label, 'statistics='), 'statistics'
    examples = ExamplesInput.of(inputs['examples'])
    tallies, counts_from = count_examples(
      examples, parameters.label, splits, parameters.recount, self._make_beam_pipeline, work_dir
    )
    statistics.warn_of_other_numbers(tallies)
    return tallies, counts_from


def checked_splits(known: Sequence[str], excluded: Sequence[str]) -> list[str]:
  """Returns the splits to check, sorted.

  Raises:
    ConfigError: if one is excluded that there is not, or none is left.
  """
  check_names('exclude_splits=', excluded, known)
  splits = sorted(name for name in known if name not in excluded)
  if not splits:
    raise ConfigError(f'exclude_splits={list(excluded)} leaves no split to check; name fewer')
  return splits


def baseline_tallies(
  inputs: Inputs, parameters: ValidatorParameters, splits: Sequence[str]
) -> Tallies:
  """Returns the counts of those splits of the baseline that something is compared with."""
  if not inputs.get('baseline_statistics'):
    logging.info('ClassDistributionValidator: no baseline; nothing is compared with one')
    return {}
  artifact = artifact_utils.get_single_instance(inputs['baseline_statistics'])
  known = splits_of(artifact)
  if parameters.rules.pairs is None:
    wanted = [name for name in splits if name in known]
  else:
    named = {pair.other for pair in parameters.rules.pairs if pair.other.startswith(BASELINE)}
    wanted = sorted(name.removeprefix(BASELINE) for name in named)
    check_names('compare=, after "baseline:"', wanted, known)
  return count_baseline(artifact, wanted, parameters.label)


def read_schema(inputs: Inputs) -> schema_pb2.Schema | None:
  """Returns the schema; None where there is none."""
  if not inputs.get('schema'):
    return None
  uri = artifact_utils.get_single_uri(inputs['schema'])
  return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(uri))


def describe_output(
  output: types.Artifact, source: types.Artifact, splits: Sequence[str], checks: Sequence[Check]
) -> None:
  """Gives the output the properties that ExampleValidator gives its own."""
  broken = {check.split for check in failed(checks)}
  output.split_names = artifact_utils.encode_split_names(list(splits))
  output.span = source.span
  output.set_json_value_custom_property(
    'blessed', {split: int(split not in broken) for split in splits}
  )
