"""The table of what broke, and class_checks.json: legible and safe whatever classes are named."""

import json
import math

from tfx_balance.documents.class_checks import (
  ClassChecks,
  broken_rules,
  violation_report,
  violation_table,
)
from tfx_balance.plan.checks import Check
from tfx_balance.plan.class_counts import CountsBySplit
from tfx_balance.plan.class_value import ClassValue


def a_check(value=None, **fields):
  known = dict(
    rule='min_count',
    split='eval',
    other=None,
    value=value,
    measured=3,
    limit=5,
    passed=False,
    message='it is so',
  )
  return Check(**{**known, **fields})


def test_every_broken_rule_has_a_line():
  checks = [
    *(a_check(ClassValue('int', i), message=f'class {i}') for i in range(100)),
    a_check(passed=True),
    a_check(rule='min_share', passed=True),
    a_check(rule='max_leakage', message='records in common'),
  ]
  assert broken_rules(checks) == [
    'min_count: class 0; class 1; class 2; and 97 more',
    'max_leakage: records in common',
  ]


def test_a_table_compares_in_the_right_direction():
  rows = violation_table(
    [
      a_check(),
      a_check(rule='max_imbalance_ratio', measured=math.inf, limit=1.01),
      a_check(rule='max_l_infinity', other='baseline:train', measured=0.4, limit=0.05),
    ]
  )
  assert [row.split()[-3:] for row in rows[1:]] == [
    ['3', '>=', '5'],
    ['infinite', '<=', '1.01'],
    ['0.4', '<=', '0.05'],
  ]
  assert 'eval vs baseline:train' in rows[3]


def test_nothing_broken_is_said():
  assert violation_report([a_check(passed=True)]) == 'No rule of 1 is broken.\n'


def test_the_sidecar_has_the_counts_of_all_and_of_the_baseline_apart():
  zero, one = ClassValue('int', 0), ClassValue('bytes', b'\xff')
  counts = CountsBySplit.of(
    {'train': {zero: 3, one: 1}, 'eval': {zero: 2}, 'baseline:train': {one: 9}}
  )
  found = ClassChecks.of('label', 'records', counts, [a_check(passed=True)], None)
  data = found.to_json()
  assert ClassChecks.from_json(json.dumps(data), 'x') == found
  assert data['counts'] == [
    {
      'class': {'type': 'int', 'value': 0},
      'name': '0',
      'splits': {'eval': 2, 'train': 3},
      'baseline': {'train': 0},
    },
    {
      'class': {'type': 'bytes', 'value': '/w==', 'encoding': 'base64'},
      'name': r'\xff',
      'splits': {'eval': 0, 'train': 1},
      'baseline': {'train': 9},
    },
  ]
  assert (data['format'], data['version'], data['blessed']) == ('tfx_balance.class_checks', 2, 1)
  assert data['missing'] == {'eval': 0, 'train': 0}
  json.dumps(data, allow_nan=False)
  assert not ClassChecks.of('label', 'records', counts, [a_check()], None).blessed
