"""What a TFMD schema says of the label: its domain, and the limits of its comparators."""

from __future__ import annotations

from tensorflow_metadata.proto.v0 import schema_pb2

from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_counts import ClassDomain
from tfx_balance.plan.distribution_rules import SchemaRules

# A drift comparator is on data of another time, as a baseline is; a skew comparator is on data of
# the same time that must be alike, as splits are.
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
  known = ', '.join(sorted(feature.name for feature in schema.feature)) or 'none'
  raise ConfigError(f'feature {label!r} is not in schema=; label= takes one of: {known}')


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
