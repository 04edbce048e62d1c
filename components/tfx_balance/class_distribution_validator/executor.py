"""Runs ClassDistributionValidator: decodes artifacts, counts, checks, writes what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_balance.class_distribution_validator.anomalies import (
  schema_checks,
  schema_rules,
  validate_label,
  with_checks,
)
from tfx_balance.class_distribution_validator.counting import CountedInput
from tfx_balance.class_distribution_validator.leakage import check_leakage, leakage_of
from tfx_balance.class_distribution_validator.parameters import ValidatorParameters, check_channels
from tfx_balance.declare import with_defaults
from tfx_balance.documents.class_checks import (
  CHECKS_NAME,
  ClassChecks,
  broken_rules,
  violation_report,
  violation_table,
)
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.executors import BeamExecutor, BeamRun
from tfx_balance.plan.checks import Check, failed
from tfx_balance.plan.class_counts import CountsBySplit
from tfx_balance.plan.distribution_rules import SchemaRules, check_distribution, check_names
from tfx_balance.tfrecord.storage import storage_of, write_whole
from tfx_balance.tfrecord.work_files import publish, write_document

ANOMALIES_NAME = 'SchemaDiff.pb'  # as ExampleValidator's
VIOLATIONS_NAME = 'violations.txt'
SHOWN_VIOLATIONS = 30


def result_files(
  folder: str, anomalies: Mapping[str, anomalies_pb2.Anomalies], document: ClassChecks
) -> dict[str, bytes]:
  """Returns the bytes of each file to write, by path: the checks are the last."""
  files = {
    f'{folder}/Split-{split}/{ANOMALIES_NAME}': of_split.SerializeToString()
    for split, of_split in anomalies.items()
  }
  return {**files, f'{folder}/{CHECKS_NAME}': document.dumps().encode('utf-8')}


def write_copies(folder: str, files: Mapping[str, bytes], checks: Sequence[Check]) -> None:
  """Writes files, and the broken rules as text, to a folder that outlives a failed run.

  Args:
    folder: Folder to write to.
    files: Bytes of each file, by path.
    checks: Results of all rules.
  """
  storage = storage_of(folder)
  for name in (CHECKS_NAME, VIOLATIONS_NAME):
    if storage.exists(f'{folder}/{name}'):
      storage.delete(f'{folder}/{name}')
  report = violation_report(checks).encode('utf-8')
  for path, data in {**files, f'{folder}/{VIOLATIONS_NAME}': report}.items():
    write_whole(path, data)


def report_violations(checks: Sequence[Check], parameters: ValidatorParameters) -> None:
  """Logs the broken rules, or ends the run with them: a sentence, a table, and the fix.

  Raises:
    DataError: if a rule is broken, and that is to end the run.
  """
  broken = failed(checks)
  if not broken:
    logging.info('ClassDistributionValidator: none of %d checks failed', len(checks))
    return
  times = f'{len(broken)} check{"" if len(broken) == 1 else "s"} of {len(checks)} failed'
  if parameters.report_dir:
    place = f'All of it is in {parameters.report_dir}/{VIOLATIONS_NAME}. '
  else:
    place = 'report_dir= would keep all of it. ' if len(broken) > SHOWN_VIOLATIONS else ''
  lines = [
    f'the classes of {parameters.label!r} are not as they should be, {times}: {broken[0].message}',
    '',
    *violation_table(checks, SHOWN_VIOLATIONS),
    '',
    f"{place}Fix the data, or change the limit; on_violation='warn' continues",
  ]
  if parameters.on_violation == 'fail':
    raise DataError('\n'.join(lines))
  logging.warning('ClassDistributionValidator: %s', '\n'.join(lines))


Inputs = dict[str, list[types.Artifact]]


class Executor(BeamExecutor):
  """Writes the anomalies, and ends the run where a rule is broken."""

  def Do(
    self,
    input_dict: Inputs,
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Checks the classes of `examples` or `statistics`, and writes `anomalies`.

    Raises:
      ConfigError: if an argument breaks a rule, alone or together with the inputs.
      DataError: if the classes break one, and `on_violation` is 'fail'; if they cannot be counted.
    """
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = ValidatorParameters.decode(with_defaults(exec_properties))
    label = parameters.label
    output = artifact_utils.get_single_instance(output_dict['anomalies'])
    given = {name: artifacts for name, artifacts in input_dict.items() if artifacts}
    check_channels(given, parameters.features)
    source, baseline = (CountedInput.of(given, prefix, parameters) for prefix in ('', 'baseline_'))
    assert source is not None  # by check_channels
    splits = checked_splits(source.splits, parameters.exclude_splits)
    schema = read_schema(input_dict)
    rules = SchemaRules() if schema is None else schema_rules(schema, label)
    limits = parameters.rules
    if baseline is None:
      logging.info('ClassDistributionValidator: no baseline; nothing is compared with one')
      limits = limits.without_baseline()
    limits.check_splits(splits, baseline.splits if baseline else [])
    leakage = None
    with self.work_folder(output.uri) as work_dir:
      run = BeamRun(self.beam_pipeline, work_dir)
      tallies, counts_from, n_records = source.count(splits, run)
      if baseline is not None and (compared := baseline.compared(splits)):
        of_baseline, _, n_of_baseline = baseline.count(compared, run)
        tallies, n_records = {**tallies, **of_baseline}, {**n_records, **n_of_baseline}
      if parameters.leakage_key is not None:
        if source.examples is None:
          raise ConfigError(
            f'check_leakage={parameters.leakage_key!r} compares records; pass examples= as well'
          )
        leakage = leakage_of(source.examples, splits, parameters, run)
    if parameters.multilabel:
      counts = CountsBySplit.of_labels(tallies, n_records)
    else:
      counts = CountsBySplit.of(tallies)
    check_kinds(counts, label)
    checks = check_distribution(counts, limits, rules)
    if leakage is not None:
      checks += check_leakage(leakage, limits)
    anomalies = {}
    statistics = source.load_statistics(splits if schema is not None else [])
    for split in splits:
      by_tfdv = anomalies_pb2.Anomalies()
      if schema is not None:
        by_tfdv = validate_label(
          statistics.by_split[split], schema, label, rules.domain is not None
        )
        checks += schema_checks(by_tfdv, split)
      of_split = [check for check in checks if check.split == split]
      anomalies[split] = with_checks(by_tfdv, of_split, label)
    document = ClassChecks.of(label, counts_from, counts, checks, leakage)
    # Where a task fails, Kubeflow keeps nothing but its log.
    if lines := broken_rules(checks):
      logging.error('ClassDistributionValidator: broken rules:\n%s', '\n'.join(lines))
    with self.work_folder(output.uri) as work_dir:
      files = result_files(output.uri, anomalies, document).items()
      *others, last = [write_document(work_dir, path, data) for path, data in files]
      publish(others)
      publish([last])
    if parameters.report_dir:
      folder = parameters.report_dir.rstrip('/')  # which would be part of an object's name
      write_copies(folder, result_files(folder, anomalies, document), checks)
    # The properties that ExampleValidator gives its output.
    broken = {check.split for check in failed(checks)}
    output.split_names = artifact_utils.encode_split_names(splits)
    output.span = source.span
    output.set_json_value_custom_property(
      'blessed', {split: int(split not in broken) for split in splits}
    )
    output.set_int_custom_property('all_blessed', int(not broken))
    report_violations(checks, parameters)


def checked_splits(input_splits: Sequence[str], excluded: Sequence[str]) -> list[str]:
  """Returns the splits to check, sorted.

  Raises:
    ConfigError: if one is excluded that there is not, or none is left.
  """
  check_names('exclude_splits=', excluded, input_splits)
  splits = sorted(name for name in input_splits if name not in excluded)
  if not splits:
    raise ConfigError(f'exclude_splits={list(excluded)} leaves no split to check; name fewer')
  return splits


def check_kinds(counts: CountsBySplit, label: str) -> None:
  """Checks that the label has one type everywhere: 1 and '1' are never one class.

  Raises:
    DataError: if not.
  """
  found = {
    name: sorted({value.kind for value in tally})
    for name, tally in sorted(counts.records.items())
    if tally
  }
  if len(set().union(*found.values())) > 1:
    raise DataError(
      f'feature {label!r} has values of several types, by split: {found}; give it one'
    )


def read_schema(inputs: Inputs) -> schema_pb2.Schema | None:
  """Returns the schema; None where there is none."""
  if not inputs.get('schema'):
    return None
  uri = artifact_utils.get_single_uri(inputs['schema'])
  return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(uri))
