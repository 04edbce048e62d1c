"""Checks as anomalies of TFDV, which its tools and those of TFX display."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from tfx_balance.errors import ConfigError
from tfx_balance.label_statistics import label_only
from tfx_balance.plan.checks import Check, failed
from tfx_balance.plan.class_counts import BASELINE, ClassDomain
from tfx_balance.plan.distribution_rules import RULES, SchemaRules

# A drift comparator is on data of another time, as a baseline is; a skew comparator is on data of
# the same time that must have equal shares, as splits have.
_COMPARATORS = {'skew_comparator': 'max_', 'drift_comparator': 'max_baseline_'}
_MEASURES = {'infinity_norm': 'l_infinity', 'jensen_shannon_divergence': 'jensen_shannon'}


def schema_rules(schema: schema_pb2.Schema, label: str) -> SchemaRules:
  """Returns the rules that a schema has for the label.

  Raises:
    ConfigError: if the label is not in the schema.
  """
  feature = label_feature(schema, label)
  distances = {}
  for comparator, prefix in _COMPARATORS.items():
    limits = getattr(feature, comparator)
    for measure, name in _MEASURES.items():
      if limits.HasField(measure):
        distances[prefix + name] = getattr(limits, measure).threshold
  return SchemaRules(_domain(schema, feature), distances)


def label_feature(schema: schema_pb2.Schema, label: str) -> schema_pb2.Feature:
  """Returns the label's part of a schema.

  Raises:
    ConfigError: if there is none.
  """
  for feature in schema.feature:
    if feature.name == label:
      return feature
  features = ', '.join(sorted(feature.name for feature in schema.feature)) or 'none'
  raise ConfigError(f'feature {label!r} is not in schema=; label= takes one of: {features}')


def schema_for_tfdv(schema: schema_pb2.Schema, label: str) -> schema_pb2.Schema:
  """Returns a schema of the label alone, without what is checked here and not by TFDV.

  TFDV takes distribution constraints on ints for a fault of the schema, and its comparators
  measure nothing on ints that are not categorical.
  """
  feature = schema_pb2.Feature()
  feature.CopyFrom(label_feature(schema, label))
  for name in (*_COMPARATORS, 'distribution_constraints'):
    feature.ClearField(name)
  return schema_pb2.Schema(feature=[feature], string_domain=schema.string_domain)


def _domain(schema: schema_pb2.Schema, feature: schema_pb2.Feature) -> ClassDomain | None:
  """Returns the classes that a schema allows; None for any."""
  mass = 1.0
  if feature.HasField('distribution_constraints'):
    mass = feature.distribution_constraints.min_domain_mass
  kind = feature.WhichOneof('domain_info')
  if kind == 'domain':
    (named,) = [d for d in schema.string_domain if d.name == feature.domain] or [None]
    return None if named is None else _of_values(named.value, mass)
  if kind == 'string_domain':
    return _of_values(feature.string_domain.value, mass)
  if kind == 'bool_domain':
    words = [feature.bool_domain.true_value, feature.bool_domain.false_value]
    return _of_values(words, mass) if any(words) else ClassDomain(0, 1, None, True, mass)
  if kind in ('int_domain', 'float_domain'):
    numbers = getattr(feature, kind)
    low = numbers.min if numbers.HasField('min') else None
    high = numbers.max if numbers.HasField('max') else None
    if low is not None or high is not None:
      return ClassDomain(low, high, None, numbers.is_categorical, mass)
  return None


def _of_values(values: list[str], mass: float) -> ClassDomain:
  return ClassDomain(
    values=frozenset(value.encode('utf-8') for value in values), listed=True, min_mass=mass
  )


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
  """Returns TFDV's anomalies of the label's statistics by the schema: presence, type, shape.

  Where `has_domain`, the domain is checked here, and TFDV's word on it is left out.
  """
  found = tfdv.validate_statistics(label_only(statistics, label), schema_for_tfdv(schema, label))
  kept = anomalies_pb2.Anomalies(baseline=found.baseline)
  reasons = [reason for info in found.anomaly_info.values() for reason in info.reason]
  reasons = [r for r in reasons if not has_domain or r.type not in _OF_DOMAIN]
  if reasons:
    kept.anomaly_info[label].CopyFrom(_info(label, reasons))
  return kept


def schema_checks(anomalies: anomalies_pb2.Anomalies, split: str) -> list[Check]:
  """Returns TFDV's anomalies as checks whose limit is 0 anomalies."""
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
  """Returns anomalies with those that our checks, but not TFDV's, found, and their distances."""
  merged = anomalies_pb2.Anomalies()
  merged.CopyFrom(anomalies)
  merged.anomaly_name_format = anomalies_pb2.Anomalies.SERIALIZED_PATH
  broken = [check for check in failed(checks) if check.rule != 'schema']
  reasons = [reason for info in anomalies.anomaly_info.values() for reason in info.reason]
  reasons += [
    _Info.Reason(
      type=_TYPES.get(check.rule, _Info.CUSTOM_VALIDATION),
      short_description=RULES[check.rule].headline,
      description=f'{check.message[0].upper()}{check.message[1:]}.',
    )
    for check in broken[:MAX_REASONS]
  ]
  if len(broken) > MAX_REASONS:
    more = f'{len(broken) - MAX_REASONS} more are in class_checks.json.'
    reasons.append(
      _Info.Reason(type=_Info.CUSTOM_VALIDATION, short_description='And more', description=more)
    )
  if reasons:
    merged.anomaly_info[label].CopyFrom(_info(label, reasons))
  distances = [check for check in checks if check.rule in (*_L_INFINITY, *_JENSEN_SHANNON)]
  if distances:
    merged.drift_skew_info.append(_distances(distances, label))
  return merged


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
  """Returns the measured distances: drift from a baseline, skew between splits."""
  info = _Skew()
  info.path.step.append(label)
  for check in checks:
    drift = (check.other or '').startswith(BASELINE)
    measured = (info.drift_measurements if drift else info.skew_measurements).add()
    kind = 'L_INFTY' if check.rule in _L_INFINITY else 'JENSEN_SHANNON_DIVERGENCE'
    measured.type = _Skew.Measurement.Type.Value(kind)
    measured.value, measured.threshold = check.measured, check.limit
  return info
