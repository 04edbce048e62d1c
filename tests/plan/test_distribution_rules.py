"""Each rule just inside and just outside its limit; defaults that an exact split always keeps."""

import ast
import math
from pathlib import Path

import pytest
import tfx_balance
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from tfx_balance.documents.json_document import fields_json
from tfx_balance.errors import ConfigError
from tfx_balance.plan.checks import SplitPair, failed
from tfx_balance.plan.class_counts import MAX_LISTED, ClassDomain, CountsBySplit
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.plan.distribution_rules import (
  LIMITS,
  RULES,
  DistributionRules,
  PerSplit,
  SchemaRules,
  check_distribution,
)
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

from tests.helpers_counts import by_stratum

OFF = PerSplit()
NO_LIMITS = {**dict.fromkeys(LIMITS, OFF), 'max_missing': PerSplit(0.0)}


def value(x):
  kinds = {int: 'int', bytes: 'bytes', float: 'float'}
  return MISSING if x is None else ClassValue(kinds[type(x)], x)


def counts_of(**splits):
  """Returns counts; `baseline_train` is the baseline's split of that name."""
  return CountsBySplit.of(
    {
      name.replace('baseline_', 'baseline:'): {value(x): n for x, n in tally.items()}
      for name, tally in splits.items()
    }
  )


def check(counts, schema=SchemaRules(), **rules):  # noqa: B008
  rules.setdefault('missing_classes', 'allow')
  limits = {name: rules.pop(name) for name in LIMITS if name in rules}
  return check_distribution(counts, DistributionRules({**NO_LIMITS, **limits}, **rules), schema)


def broken(*args, **rules):
  return [(c.rule, c.split, c.value and c.value.value) for c in failed(check(*args, **rules))]


TWO = {'train': {0: 50, 1: 50}, 'eval': {0: 10, 1: 90}}

# A rule, the counts, the arguments that keep it by a hair, and those that break it.
EDGES = {
  'L-infinity': (
    TWO,
    {'max_l_infinity': PerSplit(0.4)},
    {'max_l_infinity': PerSplit(math.nextafter(0.4, 0))},
    ('max_l_infinity', 'eval', 0),
  ),
  'Jensen-Shannon': (
    {'train': {0: 1}, 'eval': {1: 1}},
    {'max_jensen_shannon': PerSplit(1.0)},
    {'max_jensen_shannon': PerSplit(math.nextafter(1, 0))},
    ('max_jensen_shannon', 'eval', 0),
  ),
  'ratio of shares': (
    TWO,
    {'max_share_ratio': PerSplit(5.0)},
    {'max_share_ratio': PerSplit(math.nextafter(5, 0))},
    ('max_share_ratio', 'eval', 0),
  ),
  'ratio of shares from the baseline': (
    {'train': {0: 10, 1: 90}, 'baseline_train': {0: 50, 1: 50}},
    {'max_baseline_share_ratio': PerSplit(5.0)},
    {'max_baseline_share_ratio': PerSplit(math.nextafter(5, 0))},
    ('max_baseline_share_ratio', 'train', 0),
  ),
  'L-infinity from the baseline': (
    {'train': {0: 10, 1: 90}, 'baseline_train': {0: 50, 1: 50}},
    {'max_baseline_l_infinity': PerSplit(0.4)},
    {'max_baseline_l_infinity': PerSplit(0.399999)},
    ('max_baseline_l_infinity', 'train', 0),
  ),
  'Jensen-Shannon from the baseline': (
    {'train': {0: 1}, 'baseline_train': {1: 1}},
    {'max_baseline_jensen_shannon': PerSplit(1.0)},
    {'max_baseline_jensen_shannon': PerSplit(0.999999)},
    ('max_baseline_jensen_shannon', 'train', 0),
  ),
  'least count': (
    TWO,
    {'min_count': PerSplit(10)},
    {'min_count': PerSplit(11)},
    ('min_count', 'eval', 0),
  ),
  'least count of one split': (
    TWO,
    {'min_count': PerSplit(by_split={'train': 50})},
    {'min_count': PerSplit(by_split={'eval': 11})},
    ('min_count', 'eval', 0),
  ),
  'least share': (
    TWO,
    {'min_share': PerSplit(0.1)},
    {'min_share': PerSplit(math.nextafter(0.1, 1))},
    ('min_share', 'eval', 0),
  ),
  'imbalance': (
    {'train': {0: 101, 1: 100}, 'eval': {0: 7, 1: 1}},
    {'max_imbalance_ratio': PerSplit(by_split={'train': 1.01})},
    {'max_imbalance_ratio': PerSplit(by_split={'train': 1.0099})},
    ('max_imbalance_ratio', 'train', 1),
  ),
  'expected share': (
    TWO,
    {'expected_shares': PerSplit(by_split={'eval': {0: 0.11}}), 'share_tolerance': 0.01},
    {'expected_shares': PerSplit(by_split={'eval': {0: 0.11}}), 'share_tolerance': 0.0099},
    ('expected_shares', 'eval', 0),
  ),
  'records without a class': (
    {'train': {0: 99, None: 1}},
    {'max_missing': PerSplit(0.01)},
    {'max_missing': PerSplit(0.0099)},
    ('max_missing', 'train', None),
  ),
  'domain': (
    {'train': {0: 90, 10: 10}},
    {'schema': SchemaRules(ClassDomain(0, 9, min_mass=0.9))},
    {'schema': SchemaRules(ClassDomain(0, 9, min_mass=0.91))},
    ('domain', 'train', 10),
  ),
  'domain at its end': (
    {'train': {0: 90, 9: 10}},
    {'schema': SchemaRules(ClassDomain(0, 9))},
    {'schema': SchemaRules(ClassDomain(0, 8))},
    ('domain', 'train', 9),
  ),
  'domain of words': (
    {'train': {b'a': 9, b'<script>': 1}},
    {'schema': SchemaRules(ClassDomain(values=frozenset([b'a', b'<script>'])))},
    {'schema': SchemaRules(ClassDomain(values=frozenset([b'a'])))},
    ('domain', 'train', b'<script>'),
  ),
  # Of 100 records 10 are in eval: nine of class 1 elsewhere may leave it out, twelve may not.
  'class missing': (
    {'train': {0: 79, 1: 11}, 'eval': {0: 10}},
    {'missing_classes': 'allow_too_small'},
    {'missing_classes': 'forbid'},
    ('missing_classes', 'eval', 1),
  ),
  'class missing that is too large': (
    {'train': {0: 78, 1: 12}, 'eval': {0: 10}},
    {'missing_classes': 'allow'},
    {'missing_classes': 'allow_too_small'},
    ('missing_classes', 'eval', 1),
  ),
}


def test_every_rule_is_tried_at_its_limit():
  of_other_data = {'max_leakage', 'schema'}  # tried by the executor's tests
  assert {rule for *_, (rule, _, _) in EDGES.values()} == RULES.keys() - of_other_data


def test_every_check_is_of_a_declared_rule():
  package = Path(tfx_balance.__file__).parent
  calls = [
    node
    for path in package.rglob('*.py')
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'Check'
  ]
  named = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
  assert 'schema' in named
  assert named - RULES.keys() == set()


@pytest.mark.parametrize(('splits', 'inside', 'outside', 'fault'), EDGES.values(), ids=EDGES)
def test_a_rule_holds_up_to_its_limit_and_not_beyond(splits, inside, outside, fault):
  counts = counts_of(**splits)
  assert broken(counts, **inside) == []
  assert broken(counts, **outside) == [fault]


SPLIT_COUNTS = st.dictionaries(st.integers(0, 20), st.integers(0, 10**6), min_size=1)


@given(
  SPLIT_COUNTS.filter(lambda c: any(c.values())), SPLIT_COUNTS.filter(lambda c: any(c.values()))
)
def test_distances_equal_an_independent_computation(train, held):
  limits = {'max_l_infinity': PerSplit(0.0), 'max_jensen_shannon': PerSplit(0.0)}
  checks = check(counts_of(train=train, eval=held), **limits)
  classes = sorted({*train, *held})
  p = [train.get(c, 0) / sum(train.values()) for c in classes]
  q = [held.get(c, 0) / sum(held.values()) for c in classes]
  by_rule = {c.rule: c for c in checks}
  gaps = {c: abs(a - b) for c, a, b in zip(classes, p, q, strict=True)}
  found = by_rule['max_l_infinity']
  assert found.measured == pytest.approx(max(gaps.values()), abs=1e-15)
  if found.measured > 1e-12:
    assert gaps[found.value.value] == pytest.approx(found.measured, abs=1e-15)
  expected = jensenshannon(p, q, base=2) ** 2
  assert by_rule['max_jensen_shannon'].measured == pytest.approx(expected, abs=1e-7, nan_ok=True)


@pytest.mark.parametrize('rule', ['max_l_infinity', 'max_jensen_shannon'])
@pytest.mark.parametrize(
  ('held', 'measured'),
  [
    pytest.param({}, 1.0, id='one is empty'),
    pytest.param({0: 3}, 0.0, id='both have the one class'),
  ],
)
def test_the_distance_of_an_empty_split_is_the_largest(rule, held, measured):
  limit = {rule: PerSplit(0.5)}
  (found,) = check(counts_of(train={0: 7}, eval=held), **limit, max_missing=OFF)
  assert (found.measured, found.passed) == (measured, measured < 0.5)


def test_two_empty_splits_are_alike():
  limits = {'max_l_infinity': PerSplit(0.0), 'max_jensen_shannon': PerSplit(0.0)}
  assert failed(check(counts_of(train={}, eval={}), **limits)) == []


def test_a_thousand_classes_of_one_record_pass_by_default_and_not_when_forbidden():
  plan = plan_splits(
    *by_stratum({(value(i),): 1 for i in range(1000)}), SplitShares.parse({'train': 9, 'eval': 1})
  )
  counts = CountsBySplit.of(
    {
      name: {s[0]: row[j] for s, row in zip(plan.strata, plan.quotas.tolist(), strict=True)}
      for j, name in enumerate(plan.splits)
    }
  )
  passed = check_distribution(counts, DistributionRules(), SchemaRules())
  assert failed(passed) == []
  excused = next(c for c in passed if (c.rule, c.split) == ('missing_classes', 'eval'))
  assert '900 classes, such as' in excused.message
  strict = check_distribution(counts, DistributionRules(missing_classes='forbid'), SchemaRules())
  assert len(failed(strict)) == 1000


def test_the_default_sees_a_skew_and_names_the_class():
  counts = counts_of(train={b'cat': 500, b'dog': 500}, eval={b'cat': 10, b'dog': 90})
  found = failed(check_distribution(counts, DistributionRules(), SchemaRules()))
  assert [(c.rule, c.split, c.other, c.measured) for c in found] == [
    ('max_share_ratio', 'eval', 'train', 5),
    ('max_l_infinity', 'eval', 'train', 0.4),
  ]
  assert all('cat' in c.message and '10 % of split' in c.message for c in found)


def test_what_is_compared_can_be_chosen():
  counts = counts_of(train={0: 9, 1: 9}, eval={0: 9, 1: 1}, test={0: 9, 1: 1})
  limit = {'max_l_infinity': PerSplit(0.1)}
  pairs = {(c.split, c.other) for c in check(counts, **limit)} - {
    (name, None) for name in counts.splits
  }
  assert pairs == {('eval', 'train'), ('test', 'train'), ('test', 'eval')}
  chosen = (SplitPair('eval', 'test'),)
  assert broken(counts, **limit, pairs=chosen) == []
  assert broken(counts, **limit, pairs=()) == []


def test_a_schema_limits_what_nobody_limits_otherwise():
  counts = counts_of(train={0: 500, 1: 500}, eval={0: 450, 1: 550}, baseline_train={0: 600, 1: 400})
  schema = SchemaRules(distances={'max_l_infinity': 0.01, 'max_baseline_jensen_shannon': 0.000001})
  rules = DistributionRules()
  assert {c.rule for c in failed(check_distribution(counts, rules, schema))} == {
    'max_l_infinity',
    'max_baseline_jensen_shannon',
    'max_baseline_l_infinity',
  }
  mine = DistributionRules({**NO_LIMITS, 'max_l_infinity': PerSplit(0.2)})
  assert failed(check_distribution(counts, mine, schema)) == []


def test_classes_that_the_schema_lists_are_expected_and_those_it_forbids_are_not():
  counts = counts_of(train={0: 50, 7: 1}, eval={0: 50})
  schema = SchemaRules(ClassDomain(0, 2, listed=True))
  rules = {'min_count': PerSplit(1), 'missing_classes': 'forbid'}
  found = {(rule, split, v) for rule, split, v in broken(counts, schema, **rules)}
  assert found == {
    ('domain', 'train', 7),
    *((rule, name, v) for rule in rules for name in ('train', 'eval') for v in (1, 2)),
  }


def test_a_domain_too_large_to_be_a_list_is_a_range():
  domain = ClassDomain(0, MAX_LISTED, listed=True)
  assert domain.classes('int') == []
  assert len(ClassDomain(1, MAX_LISTED, listed=True).classes('int')) == MAX_LISTED


def test_an_absent_class_makes_the_imbalance_infinite():
  limit = {'max_imbalance_ratio': PerSplit(by_split={'train': 10**9})}
  (found,) = failed(check(counts_of(train={0: 9}, eval={0: 5, 1: 5}), **limit))
  assert (found.measured, found.value) == (math.inf, value(1))
  assert fields_json(found)['measured'] is None


def test_of_many_classes_those_that_break_a_rule_are_listed_and_one_that_does_not():
  counts = counts_of(train=dict(enumerate(range(1, 1001))))
  found = [c for c in check(counts, min_count=PerSplit(6)) if c.rule == 'min_count']
  assert [(c.measured, c.passed) for c in found] == [
    *((n, False) for n in range(1, 6)),
    (6, True),
  ]


@pytest.mark.parametrize(
  ('rules', 'fault'),
  [
    ({'min_count': PerSplit(by_split={'tset': 1})}, "'tset' is not in .*min_count="),
    ({'max_l_infinity': PerSplit(by_split={'a': 1})}, "'a' is not .*max_l_inf"),
    ({'expected_shares': PerSplit(by_split={'a': {}})}, "'a' is not in .*expected_shares="),
    ({'pairs': (SplitPair('a', 'train'),)}, "'a' is not in .*compare="),
    ({'pairs': (SplitPair('train', 'baseline:a'),)}, "'baseline:a' is not in .*compare="),
    ({'expected_shares': PerSplit({'2': 0.5})}, "'2' is not a class; the classes are: 0, 1"),
    ({'expected_shares': PerSplit({'0': 0.5, 0: 0.4})}, 'names class 0 twice'),
  ],
)
def test_a_rule_on_what_is_not_there_is_refused(rules, fault):
  with pytest.raises(ConfigError, match=fault):
    check(counts_of(train={0: 1, 1: 1}, eval={0: 1}), **rules)


def test_counts_are_of_what_is_there():
  counts = counts_of(train={0: 3, 1: 0, None: 2}, eval={})
  assert counts.classes(counts.splits) == [value(0)]
  assert (counts.total('train'), counts.missing) == (3, {'train': 2, 'eval': 0})
  assert counts.share('eval', value(0)) == 0
