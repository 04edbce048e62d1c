"""Runs ClassDistributionValidator: decodes artifacts, counts, checks, writes what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_balance.class_distribution_validator import anomalies as label_anomalies
from tfx_balance.class_distribution_validator.anomalies import schema_rules
from tfx_balance.class_distribution_validator.counting import (
  SplitStatistics,
  Tallies,
  check_leakage,
  count_baseline,
  count_examples,
  leakage_of,
  splits_of,
)
from tfx_balance.class_distribution_validator.parameters import ValidatorParameters
from tfx_balance.documents.class_checks import (
  CHECKS_NAME,
  ClassChecks,
  CountsFrom,
  Leakage,
  broken_rules,
  violation_report,
  violation_table,
)
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import BeamExecutor
from tfx_balance.plan.checks import Check, default_pairs, failed
from tfx_balance.plan.class_counts import BASELINE, CountsBySplit
from tfx_balance.plan.distribution_rules import SchemaRules, check_distribution, check_names
from tfx_balance.tfrecord.storage import storage_of, write_whole
from tfx_balance.tfrecord.work_files import publish, write_document

ANOMALIES_NAME = 'SchemaDiff.pb'  # as ExampleValidator's
VIOLATIONS_NAME = 'violations.txt'
SHOWN_VIOLATIONS = 30


def publish_results(
  folder: str,
  anomalies: Mapping[str, anomalies_pb2.Anomalies],
  document: ClassChecks,
  work_dir: str,
) -> None:
  """Writes the anomalies of each split, and the checks at the root, which come there last."""
  found = [
    write_document(work_dir, path, data) for path, data in _by_path(folder, anomalies).items()
  ]
  checks = write_document(work_dir, f'{folder}/{CHECKS_NAME}', document.dumps())
  publish(found)
  publish([checks])


def write_copies(
  folder: str,
  anomalies: Mapping[str, anomalies_pb2.Anomalies],
  document: ClassChecks,
) -> None:
  """Writes the same, and all that broke as text, where they outlive a run that fails."""
  folder = folder.rstrip('/')  # of which an object store would make part of a name
  storage = storage_of(folder)
  for name in (CHECKS_NAME, VIOLATIONS_NAME):
    if storage.exists(f'{folder}/{name}'):
      storage.delete(f'{folder}/{name}')
  for path, data in _by_path(folder, anomalies).items():
    write_whole(path, data)
  write_whole(f'{folder}/{CHECKS_NAME}', document.dumps().encode('utf-8'))
  told = violation_report(document.checks)
  write_whole(f'{folder}/{VIOLATIONS_NAME}', told.encode('utf-8'))


def _by_path(folder: str, anomalies: Mapping[str, anomalies_pb2.Anomalies]) -> dict[str, bytes]:
  """Returns what the files of the anomalies are to hold."""
  return {
    f'{folder}/Split-{split}/{ANOMALIES_NAME}': found.SerializeToString()
    for split, found in anomalies.items()
  }


def log_broken_rules(checks: Sequence[Check]) -> None:
  """Logs each rule that is broken: where a task fails, Kubeflow keeps nothing but its log."""
  if lines := broken_rules(checks):
    logging.error('ClassDistributionValidator: broken rules:\n%s', '\n'.join(lines))


def report_violations(checks: Sequence[Check], parameters: ValidatorParameters) -> None:
  """Logs what broke, or ends the run with it.

  Raises:
    DataError: if a rule is broken, and that is to end the run.
  """
  broken = failed(checks)
  if not broken:
    logging.info('ClassDistributionValidator: none of %d checks failed', len(checks))
    return
  text = describe_violations(checks, parameters)
  if parameters.on_violation == 'fail':
    raise DataError(text)
  logging.warning('ClassDistributionValidator: %s', text)


def describe_violations(checks: Sequence[Check], parameters: ValidatorParameters) -> str:
  """Returns what broke, as a person reads it: a sentence, a table, and what to do."""
  broken = failed(checks)
  times = f'{len(broken)} check{"" if len(broken) == 1 else "s"} of {len(checks)} failed'
  lines = violation_table(checks, SHOWN_VIOLATIONS)
  if parameters.report_dir:
    place = f'All of it is in {parameters.report_dir}/{VIOLATIONS_NAME}. '
  else:
    place = 'report_dir= would keep all of it. ' if len(broken) > SHOWN_VIOLATIONS else ''
  return '\n'.join(
    [
      f'the classes of {parameters.label!r} are not as they should be, {times}: '
      f'{broken[0].message}',
      '',
      *lines,
      '',
      f"{place}Mend the data, or change the limit; on_violation='warn' goes on all the same",
    ]
  )


Inputs = dict[str, list[types.Artifact]]


class Executor(BeamExecutor):
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
    parameters.check_inputs([name for name, artifacts in input_dict.items() if artifacts])
    splits = checked_splits(splits_of(source), parameters.exclude_splits)
    schema = read_schema(input_dict)
    rules = SchemaRules() if schema is None else schema_rules(schema, parameters.label)
    baseline = baseline_of(input_dict)
    limits = parameters.rules if baseline else parameters.rules.without_baseline()
    limits.check_splits(splits, splits_of(baseline) if baseline else [])
    statistics = SplitStatistics.load(source, splits)
    with self.work_folder(output.uri) as work_dir:
      tallies, counts_from = self._count(input_dict, parameters, statistics, work_dir)
      n_records = statistics.n_records() if counts_from == 'statistics' else {}
      leakage = self._find_leakage(input_dict, parameters, splits, work_dir)
    if baseline:
      of_baseline, n_of_baseline = baseline_tallies(baseline, parameters, splits)
      tallies, n_records = {**tallies, **of_baseline}, {**n_records, **n_of_baseline}
    if parameters.multilabel:
      counts = CountsBySplit.of_labels(tallies, n_records)
    else:
      counts = CountsBySplit.of(tallies)
    check_kinds(counts, parameters.label)
    checks = check_distribution(counts, limits, rules)
    if leakage is not None:
      checks += check_leakage(leakage, parameters.max_leakage)
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
    document = ClassChecks.of(parameters.label, counts_from, counts, checks, leakage)
    log_broken_rules(checks)
    with self.work_folder(output.uri) as work_dir:
      publish_results(output.uri, found, document, work_dir)
    if parameters.report_dir:
      write_copies(parameters.report_dir, found, document)
    describe_output(output, source, splits, checks)
    report_violations(checks, parameters)

  def _count(
    self,
    inputs: Inputs,
    parameters: ValidatorParameters,
    statistics: SplitStatistics,
    work_dir: str,
  ) -> tuple[Tallies, CountsFrom]:
    """Returns the counts of the splits, and where they come from."""
    if not inputs.get('examples'):
      found = statistics.tallies(parameters.label, 'statistics=', parameters.multilabel)
      return found, 'statistics'
    examples = ExamplesInput.of(inputs['examples'])
    return count_examples(
      examples,
      parameters.label,
      statistics,
      parameters.recount,
      self.beam_pipeline,
      work_dir,
      parameters.labels,
    )

  def _find_leakage(
    self, inputs: Inputs, parameters: ValidatorParameters, splits: Sequence[str], work_dir: str
  ) -> Leakage | None:
    """Returns what splits have in common, as the sidecar has it; None where nobody asks."""
    key, pairs = parameters.leakage_key, parameters.leakage_pairs
    if key is None:
      return None
    if not inputs.get('examples'):
      raise ConfigError(f'check_leakage={key!r} compares records; pass examples= as well')
    parameters.max_leakage.check_splits('max_leakage', splits)
    for pair in pairs or ():
      check_names('leakage_pairs=', [pair.split, pair.other], splits)
    compared = default_pairs(splits, []) if pairs is None else list(pairs)
    source = ExamplesInput.of(inputs['examples'])
    by_values = parameters.by_values
    return leakage_of(source, key, compared, self.beam_pipeline, work_dir, by_values)


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


def baseline_of(inputs: Inputs) -> types.Artifact | None:
  """Returns the statistics of earlier data; None where there are none (yet)."""
  if not inputs.get('baseline_statistics'):
    logging.info('ClassDistributionValidator: no baseline; nothing is compared with one')
    return None
  return artifact_utils.get_single_instance(inputs['baseline_statistics'])


def baseline_tallies(
  baseline: types.Artifact, parameters: ValidatorParameters, splits: Sequence[str]
) -> tuple[Tallies, Mapping[str, int]]:
  """Returns the counts of those splits of the baseline that something is compared with.

  And their numbers of records.
  """
  if parameters.rules.pairs is None:
    wanted = [name for name in splits_of(baseline) if name in splits]
  else:
    named = {pair.other for pair in parameters.rules.pairs if pair.other.startswith(BASELINE)}
    wanted = sorted(name.removeprefix(BASELINE) for name in named)
  return count_baseline(baseline, wanted, parameters.label, parameters.multilabel)


def check_kinds(counts: CountsBySplit, label: str) -> None:
  """Checks that the label has one type everywhere: 1 and '1' are never one class.

  Raises:
    DataError: if not.
  """
  if len(counts.kinds) > 1:
    found = {
      name: sorted({value.kind for value in tally})
      for name, tally in sorted(counts.records.items())
      if tally
    }
    raise DataError(
      f'feature {label!r} has values of several types, by split: {found}; give it one'
    )


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
