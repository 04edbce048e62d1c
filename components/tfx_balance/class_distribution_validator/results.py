"""What the component leaves behind: anomalies by split, the checks, copies for a run that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from tfx_balance.class_distribution_validator.parameters import ValidatorParameters
from tfx_balance.documents.class_checks import (
  CHECKS_NAME,
  ClassChecks,
  violation_report,
  violation_table,
)
from tfx_balance.documents.json_document import json_text
from tfx_balance.errors import DataError
from tfx_balance.plan.checks import Check, failed
from tfx_balance.tfrecord.work_files import publish, write_document, write_json

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
    write_document(work_dir, path, data, 'application/octet-stream')
    for path, data in _by_path(folder, anomalies).items()
  ]
  checks = write_document(work_dir, f'{folder}/{CHECKS_NAME}', json_text(document))
  publish(found)
  publish([checks])


def write_copies(
  folder: str,
  anomalies: Mapping[str, anomalies_pb2.Anomalies],
  document: ClassChecks,
) -> None:
  """Writes the same, and all that broke as text, where they outlive a run that fails."""
  fileio.makedirs(folder)
  for name in (CHECKS_NAME, VIOLATIONS_NAME):
    if fileio.exists(f'{folder}/{name}'):
      fileio.remove(f'{folder}/{name}')
  for path, data in _by_path(folder, anomalies).items():
    io_utils.write_bytes_file(path, data)
  write_json(f'{folder}/{CHECKS_NAME}', document)
  io_utils.write_bytes_file(
    f'{folder}/{VIOLATIONS_NAME}', violation_report(document.checks).encode('utf-8')
  )


def _by_path(folder: str, anomalies: Mapping[str, anomalies_pb2.Anomalies]) -> dict[str, bytes]:
  """Returns what the files of the anomalies are to hold."""
  return {
    f'{folder}/Split-{split}/{ANOMALIES_NAME}': found.SerializeToString()
    for split, found in anomalies.items()
  }


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
