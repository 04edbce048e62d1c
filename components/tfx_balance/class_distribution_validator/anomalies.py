"""Checks as TFDV's anomalies, which its tools and TFX's display."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from tfx_balance.class_distribution_validator.label_schema import schema_for_tfdv
from tfx_balance.label_statistics import label_only
from tfx_balance.plan.checks import Check, failed
from tfx_balance.plan.class_counts import BASELINE

MAX_REASONS = 100
"""Of a rule that 10,000 classes break, who reads anomalies sees so many; the sidecar has all."""

_Info = anomalies_pb2.AnomalyInfo
_Skew = anomalies_pb2.DriftSkewInfo
_L_INFINITY = ('max_l_infinity', 'max_baseline_l_infinity')
_JENSEN_SHANNON = ('max_jensen_shannon', 'max_baseline_jensen_shannon')
_TYPES = {
  **dict.fromkeys(_L_INFINITY, _Info.COMPARATOR_L_INFTY_HIGH),
  **dict.fromkeys(_JENSEN_SHANNON, _Info.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH),
  'domain': _Info.ENUM_TYPE_UNEXPECTED_STRING_VALUES,
  'max_missing': _Info.FEATURE_TYPE_LOW_FRACTION_PRESENT,
}
_HEADLINES = {
  **dict.fromkeys(_L_INFINITY, 'High L-infinity distance'),
  **dict.fromkeys(_JENSEN_SHANNON, 'High Jensen-Shannon divergence'),
  'min_count': 'Too few records of a class',
  'min_share': 'Too small a share of a class',
  'max_imbalance_ratio': 'Classes too unequal',
  'expected_shares': 'Unexpected share of a class',
  'missing_classes': 'Class missing',
  'domain': 'Class not in the domain',
  'max_missing': 'Records without a class',
  'max_leakage': 'Records in several splits',
}
# What TFDV says of the domain is said here by exact counts, with the share that may be outside.
_OF_DOMAIN = frozenset(
  {
    _Info.BOOL_TYPE_BIG_INT,
    _Info.BOOL_TYPE_SMALL_INT,
    _Info.BOOL_TYPE_UNEXPECTED_FLOAT,
    _Info.BOOL_TYPE_UNEXPECTED_STRING,
    _Info.ENUM_TYPE_INVALID_UTF8,
    _Info.ENUM_TYPE_UNEXPECTED_STRING_VALUES,
    _Info.FLOAT_TYPE_BIG_FLOAT,
    _Info.FLOAT_TYPE_SMALL_FLOAT,
    _Info.INT_TYPE_BIG_INT,
    _Info.INT_TYPE_SMALL_INT,
  }
)


def validate_label(
  statistics: statistics_pb2.DatasetFeatureStatisticsList,
  schema: schema_pb2.Schema,
  label: str,
  has_domain: bool,
) -> anomalies_pb2.Anomalies:
  """Returns what TFDV finds in the label's statistics by the schema: presence, type, shape.

  Args:
    statistics: of one split.
    schema: with all the features.
    label: the feature that holds the class.
    has_domain: whether the domain is checked here, so that TFDV's word on it is left out.
  """
  found = tfdv.validate_statistics(label_only(statistics, label), schema_for_tfdv(schema, label))
  kept = anomalies_pb2.Anomalies(
    baseline=found.baseline, anomaly_name_format=found.anomaly_name_format
  )
  for name, info in found.anomaly_info.items():
    reasons = [r for r in info.reason if not has_domain or r.type not in _OF_DOMAIN]
    if reasons:
      kept.anomaly_info[name].CopyFrom(_info(label, reasons))
  return kept


def schema_checks(anomalies: anomalies_pb2.Anomalies, split: str) -> list[Check]:
  """Returns TFDV's anomalies as checks, whose limit is none of them."""
  reasons = [reason for info in anomalies.anomaly_info.values() for reason in info.reason]
  if not reasons:
    text = f'TFDV finds nothing in split {split!r} that the schema does not allow'
    return [Check('schema', split, None, None, 0, 0, True, text)]
  return [
    Check('schema', split, None, None, 1, 0, False, f'TFDV in split {split!r}: {_sentence(reason)}')
    for reason in reasons
  ]


def with_checks(
  anomalies: anomalies_pb2.Anomalies, checks: Sequence[Check], label: str
) -> anomalies_pb2.Anomalies:
  """Returns anomalies with those that our checks of the split found, and their distances.

  Args:
    anomalies: what TFDV found.
    checks: of the split; those by TFDV itself are left out.
    label: the feature that holds the class.
  """
  merged = anomalies_pb2.Anomalies()
  merged.CopyFrom(anomalies)
  merged.anomaly_name_format = anomalies_pb2.Anomalies.SERIALIZED_PATH
  broken = [check for check in failed(checks) if check.rule != 'schema']
  reasons = [reason for info in anomalies.anomaly_info.values() for reason in info.reason]
  reasons += [_reason(check) for check in broken[:MAX_REASONS]]
  if len(broken) > MAX_REASONS:
    more = f'{len(broken) - MAX_REASONS} more are in class_checks.json.'
    reasons.append(
      _Info.Reason(type=_Info.CUSTOM_VALIDATION, short_description='And more', description=more)
    )
  if reasons:
    for name in list(merged.anomaly_info):
      del merged.anomaly_info[name]
    merged.anomaly_info[label].CopyFrom(_info(label, reasons))
  distances = [check for check in checks if check.rule in (*_L_INFINITY, *_JENSEN_SHANNON)]
  if distances:
    merged.drift_skew_info.append(_distances(distances, label))
  return merged


def _reason(check: Check) -> anomalies_pb2.AnomalyInfo.Reason:
  return _Info.Reason(
    type=_TYPES.get(check.rule, _Info.CUSTOM_VALIDATION),
    short_description=_HEADLINES[check.rule],
    description=f'{check.message[0].upper()}{check.message[1:]}.',
  )


def _info(
  label: str, reasons: Sequence[anomalies_pb2.AnomalyInfo.Reason]
) -> anomalies_pb2.AnomalyInfo:
  """Returns an anomaly of the label, with one reason or several, as TFDV words them."""
  info = _Info(severity=_Info.ERROR, reason=reasons)
  info.path.step.append(label)
  info.description = ' '.join(_sentence(reason) for reason in reasons)
  several = len(reasons) > 1
  info.short_description = 'Multiple errors' if several else reasons[0].short_description
  return info


def _sentence(reason: anomalies_pb2.AnomalyInfo.Reason) -> str:
  return reason.description or reason.short_description


def _distances(checks: Sequence[Check], label: str) -> anomalies_pb2.DriftSkewInfo:
  """Returns what was measured: drift from a baseline, skew between splits."""
  info = _Skew()
  info.path.step.append(label)
  for check in checks:
    drift = (check.other or '').startswith(BASELINE)
    measured = (info.drift_measurements if drift else info.skew_measurements).add()
    is_l_infinity = check.rule in _L_INFINITY
    kind = 'L_INFTY' if is_l_infinity else 'JENSEN_SHANNON_DIVERGENCE'
    measured.type = _Skew.Measurement.Type.Value(kind)
    measured.value, measured.threshold = check.measured, check.limit
  return info
