"""Beam counters of records, and their agreement with what a component says it did."""

from __future__ import annotations

from collections import Counter
from typing import Any

from absl import logging
from apache_beam.metrics import Metrics, MetricsFilter

from tfx_balance.documents.class_distribution import ClassDistribution

NAMESPACE = 'tfx_balance'
READ, DROPPED, SKIPPED, COPIED, WRITTEN = (
  Metrics.counter(NAMESPACE, f'records_{name}')
  for name in ('read', 'dropped', 'skipped', 'copied', 'written')
)
"""Usable records read, those of them without a class that are dropped, bad records skipped, copies
made, and records written: counted by file or by chunk, never by record."""


def expected_counters(sidecar: ClassDistribution) -> dict[str, int]:
  """Returns the values that the counters must have, by the sidecar of a component."""
  cells = (cell for row in sidecar.strata for cell in row.splits.values())
  return {
    'records_read': sum(source.records + (source.in_base or 0) for source in sidecar.sources),
    'records_dropped': sum(source.dropped for source in sidecar.sources),
    'records_skipped': sum(source.bad_records or 0 for source in sidecar.sources),
    'records_copied': sum(
      max(cell.target - (cell.records_before or 0), 0) for cell in cells if cell.target is not None
    ),
    'records_written': sum(
      split.records for name, split in sidecar.splits.items() if name not in sidecar.passed_through
    ),
  }


def check_counters(result: Any, sidecar: ClassDistribution) -> None:
  """Checks that the counters of a pipeline agree with what its sidecar says.

  Only committed values are compared: attempted ones count a bundle that was retried twice. Where a
  runner has none, that is logged and nothing is compared.

  Args:
    result: Result of the pipeline.
    sidecar: Sidecar of the component that ran it.

  Raises:
    RuntimeError: if they do not: a fault of this package, or of the runner.
  """
  counted = committed_counters(result)
  if not counted:
    logging.info('%s: this runner has no committed counters to compare', sidecar.component)
    return
  for name, expected in expected_counters(sidecar).items():
    if counted.get(name, 0) != expected:
      raise RuntimeError(
        f'{name} of {sidecar.component} is {counted.get(name, 0)} by the workers and {expected} '
        f'by the sidecar; they must agree: run again, and report it if it persists'
      )


def committed_counters(result: Any) -> dict[str, int]:
  """Returns the counters that the runner has committed, by name; none where it has no such."""
  try:
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))['counters']
  except (AttributeError, NotImplementedError):  # a runner without metrics, or without a result
    return {}
  if any(metric.committed is None for metric in found):
    return {}
  counted: Counter[str] = Counter()
  for metric in found:  # of each step that counts it
    counted[metric.key.metric.name] += metric.committed
  return counted if any(counted.values()) else {}
