"""What a schema says of the label, and what TFDV says of it, as rules and as anomalies."""

from pathlib import Path

import pytest
from tfx_balance.class_distribution_validator.anomalies import (
  MAX_REASONS,
  schema_rules,
  validate_label,
  with_checks,
)
from tfx_balance.errors import ConfigError
from tfx_balance.plan.checks import Check
from tfx_balance.plan.class_counts import ClassDomain
from tfx_balance.plan.class_value import ClassValue

from tests.class_distribution_validator.helpers_validate import (
  CATEGORICAL,
  schema_of,
  statistics_of,
)

SCHEMA = """
string_domain {{ name: "animals" value: "cat" value: "dog" }}
feature {{ name: "label" {} }}
"""


@pytest.mark.parametrize(
  ('text', 'domain'),
  [
    ('type: INT', None),
    ('int_domain { is_categorical: true }', None),
    (
      'int_domain { min: 0 max: 9 is_categorical: true }',
      ClassDomain(0, 9, listed=True),
    ),
    ('int_domain { min: 1 }', ClassDomain(1)),
    ('float_domain { max: 2 }', ClassDomain(None, 2)),
    ('bool_domain {}', ClassDomain(0, 1, listed=True)),
    (
      'bool_domain { true_value: "y" false_value: "n" }',
      ClassDomain(values=frozenset([b'y', b'n']), listed=True),
    ),
    (
      'domain: "animals" distribution_constraints { min_domain_mass: 0.9 }',
      ClassDomain(values=frozenset([b'cat', b'dog']), listed=True, min_mass=0.9),
    ),
    ('string_domain { value: "é" }', ClassDomain(values=frozenset(['é'.encode()]), listed=True)),
  ],
)
def test_the_domain_of_a_schema(text, domain):
  assert schema_rules(schema_of(SCHEMA.format(text)), 'label').domain == domain


def test_the_comparators_of_a_schema():
  text = SCHEMA.format(
    'skew_comparator { infinity_norm { threshold: 0.1 } } '
    'drift_comparator { infinity_norm { threshold: 0.2 } '
    'jensen_shannon_divergence { threshold: 0 } }'
  )
  assert schema_rules(schema_of(text), 'label').distances == {
    'max_l_infinity': 0.1,
    'max_baseline_l_infinity': 0.2,
    'max_baseline_jensen_shannon': 0.0,
  }


def test_the_schema_of_the_digits_has_rules_for_their_classes():
  text = (Path(__file__).parents[2] / 'schemas/digits/schema.pbtxt').read_text()
  rules = schema_rules(schema_of(text), 'label')
  assert [str(value) for value in rules.domain.classes('int')] == list('0123456789')
  assert set(rules.distances) == {
    'max_l_infinity',
    'max_baseline_l_infinity',
    'max_baseline_jensen_shannon',
  }
  anomalies = validate_label(
    statistics_of(dict.fromkeys(range(10), 1), text), schema_of(text), 'label', has_domain=True
  )
  assert not anomalies.anomaly_info  # TFDV finds no fault with the schema itself


def test_a_schema_without_the_label_is_refused():
  with pytest.raises(ConfigError, match="'class' is not in schema=; label= takes one of: label"):
    schema_rules(schema_of(SCHEMA.format('')), 'class')


@pytest.mark.parametrize(
  ('counts', 'text', 'fault'),
  [
    ({0: 9, None: 1}, 'type: INT presence { min_fraction: 1 }', 'actual = 0.9'),
    ({b'a': 9}, 'type: INT', 'Expected data of type: INT but got STRING'),
    ({0: 9}, 'type: INT int_domain { min: 3 } distribution_constraints {}', None),
  ],
  ids=['presence', 'type', 'domain is ours'],
)
def test_tfdv_says_what_it_says_well(counts, text, fault):
  schema = schema_of(SCHEMA.format(text))
  found = validate_label(statistics_of(counts), schema, 'label', has_domain=True)
  texts = [info.description for info in found.anomaly_info.values()]
  assert [fault in text for text in texts] == ([True] if fault else [])


def test_anomalies_of_many_classes_end_somewhere():
  checks = [
    Check('min_count', 'train', None, ClassValue('int', i), 0, 1, False, f'class {i}')
    for i in range(10_000)
  ]
  found = with_checks(
    validate_label(statistics_of({0: 1}), schema_of(CATEGORICAL), 'label', has_domain=False),
    checks,
    'label',
  )
  info = found.anomaly_info['label']
  assert len(info.reason) == MAX_REASONS + 1
  assert info.reason[-1].description == '9900 more are in class_checks.json.'
  assert (info.short_description, info.severity) == ('Multiple errors', info.ERROR)
