"""The constructor: arguments are checked before anything runs, and travel as TFX can carry them."""

import inspect
import json

import numpy as np
import pytest
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import ClassDistributionValidator
from tfx_balance.class_distribution_validator.parameters import (
  ALGORITHM_VERSION,
  ARGUMENTS,
  ValidatorParameters,
)
from tfx_balance.errors import ConfigError
from tfx_balance.plan.checks import SplitPair
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution_rules import LIMITS, RULES, SplitLimit

ARTIFACTS = {
  'statistics': standard_artifacts.ExampleStatistics,
  'examples': standard_artifacts.Examples,
  'schema': standard_artifacts.Schema,
  'baseline_statistics': standard_artifacts.ExampleStatistics,
  'baseline_examples': standard_artifacts.Examples,
}


def channels(*names):
  return {name: channel_utils.as_channel([ARTIFACTS[name]()]) for name in names}


def properties(**arguments):
  inputs = channels('statistics', 'examples', 'baseline_statistics')
  return dict(ClassDistributionValidator(**inputs, **arguments).exec_properties)


def parameters(**arguments):
  """Returns what the executor makes of the arguments."""
  return ValidatorParameters.decode(properties(**arguments))


PAIRS = r"must hold pairs of splits; give for example \[\('eval', 'train'\)\]"
FAULTS = {
  'label empty': ({'label': ''}, "label='' must be the name of the feature that holds the class"),
  'distance too large': (
    {'max_l_infinity': 1.1},
    'max_l_infinity=1.1 must be a number from 0 to 1',
  ),
  'distance negative': ({'max_jensen_shannon': -0.1}, 'must be a number from 0 to 1'),
  'distance NaN': ({'max_baseline_l_infinity': float('nan')}, 'must be a number from 0 to 1'),
  'distance a word': ({'max_l_infinity': 'low'}, "max_l_infinity='low' is not valid JSON"),
  'distance of a split': ({'max_l_infinity': {'eval': 2}}, r"max_l_infinity\['eval'\]=2 must be"),
  'half a record': ({'min_count': 1.5}, 'min_count=1.5 must be a whole number from 0;'),
  'count true': ({'min_count': {'eval': True}}, r"min_count\['eval'\]=True must be a whole number"),
  'count negative': ({'min_count': -1}, 'min_count=-1 must be a whole number from 0;'),
  'share': ({'min_share': 5}, 'min_share=5 must be a number from 0 to 1'),
  'ratio': (
    {'max_imbalance_ratio': 0.5},
    'max_imbalance_ratio=0.5 must be a finite number from 1;',
  ),
  'ratio of shares': (
    {'max_share_ratio': {'eval': 0.5}},
    r"max_share_ratio\['eval'\]=0.5 must be a finite number from 1;",
  ),
  'missing labels': ({'max_missing': {'a': '1'}}, r"max_missing\['a'\]='1' must be a number"),
  'limit a list': ({'max_missing': '[1]'}, r'max_missing=\[1\] has the wrong type'),
  'split twice': ({'min_count': '{"a": 1, "a": 2}'}, "'a' is there twice"),
  'expected share': ({'expected_shares': {'a': 2}}, r"expected_shares\['a'\]=2 must be a number"),
  'expected shares mixed': ({'expected_shares': {'a': 1, 'b': {'a': 1}}}, 'has shares and mapp'),
  'tolerance': ({'share_tolerance': 2}, 'share_tolerance=2 must be a number from 0 to 1'),
  'missing classes': ({'missing_classes': 'no'}, "missing_classes='no' is not one of"),
  'pairs': ({'compare': ['eval']}, PAIRS),
  'pairs of three': ({'compare': [['a', 'b', 'c']]}, PAIRS),
  'pair of one': ({'leakage_pairs': [('a', 'a')], 'check_leakage': 'x'}, 'two different splits'),
  'pairs for nothing': ({'leakage_pairs': [('a', 'b')]}, "no effect; pass check_leakage='records'"),
  'values': (
    {'identity': 'values'},
    "check_leakage=None; pass check_leakage='records'",
  ),
  'identity': ({'identity': 'x'}, "identity='x' is not one of"),
  'leakage': ({'max_leakage': 2}, 'max_leakage=2 must be a number from 0 to 1'),
  'excluded twice': ({'exclude_splits': ['a', 'a']}, "names 'a' twice"),
  'on_violation': ({'on_violation': 'stop'}, r"on_violation='stop' is not one of \['fail', 'warn'"),
  'recount': ({'recount': 3}, 'recount=3 must be True or False'),
}


@pytest.mark.parametrize(('arguments', 'fault'), FAULTS.values(), ids=FAULTS)
def test_an_argument_that_breaks_a_rule_is_refused_at_construction(arguments, fault):
  with pytest.raises(ConfigError, match=fault):
    properties(**arguments)


@pytest.mark.parametrize('name', FAULTS)
def test_the_executor_checks_again_what_came_as_a_runtime_parameter(name):
  arguments, fault = FAULTS[name]
  given = {
    key: json.dumps(value) if isinstance(value, (dict, list, float)) else value
    for key, value in arguments.items()
  }
  with pytest.raises(ConfigError, match=fault):
    ValidatorParameters.decode({**properties(), **given})


@pytest.mark.parametrize(
  ('arguments', 'fault'),
  [
    ({'check_leakage': 'records'}, "check_leakage='records' compares records; pass examples="),
    ({'compare': [('a', 'baseline:a')]}, 'names a baseline; pass baseline_examples= as well'),
  ],
  ids=['examples', 'baseline'],
)
def test_what_needs_an_input_that_is_not_connected_is_refused(arguments, fault):
  with pytest.raises(ConfigError, match=fault):
    ClassDistributionValidator(**channels('statistics'), **arguments)


@pytest.mark.parametrize(
  'names',
  [
    ('statistics',),
    ('examples',),
    ('statistics', 'examples'),
    ('statistics', 'schema'),
    ('statistics', 'baseline_statistics'),
    ('examples', 'baseline_examples'),
  ],
)
def test_statistics_or_examples_suffice(names):
  component = ClassDistributionValidator(**channels(*names))
  assert set(component.inputs) == set(names)
  assert set(component.outputs) == {'anomalies'}


def test_the_properties_are_such_as_kubeflow_can_carry():
  found = properties(
    max_l_infinity=np.float32(0.5),
    min_count={'eval': np.int64(3)},
    min_share=0.1,
    max_imbalance_ratio={'train': 1.01},
    expected_shares={'train': {b'\xff': 0.5, 3: 0.5}},
    compare=[('eval', 'train')],
    exclude_splits=('test',),
    recount=True,
    report_dir='somewhere',
    check_leakage='records',
  )
  assert {type(value) for value in found.values()} <= {str, int, float}
  assert found['algorithm_version'] == ALGORITHM_VERSION
  decoded = ValidatorParameters.decode(found)
  assert decoded.rules.limits['min_count'] == SplitLimit(by_split={'eval': 3})
  assert decoded.rules.pairs == (SplitPair('eval', 'train'),)
  assert decoded.recount is True
  assert decoded.rules.limits['max_l_infinity'] == SplitLimit(0.5)
  classes = [ClassValue('bytes', b'\xff'), ClassValue('int', 3)]
  assert decoded.rules.expected_shares.of('train', classes) == dict.fromkeys(classes, 0.5)


def test_the_defaults():
  found = parameters()
  distances = {name for name, rule in RULES.items() if rule.of_pair}
  assert found.rules.limits == {
    **dict.fromkeys(LIMITS, SplitLimit()),
    **dict.fromkeys(distances, 'auto'),
    **dict.fromkeys(['max_missing', 'max_leakage'], SplitLimit(0.0)),
  }
  assert (found.rules.pairs, found.rules.missing_classes) == (None, 'allow_too_small')
  assert (found.leakage_key, found.on_violation, found.report_dir) == (None, 'fail', None)


@pytest.mark.parametrize('name', LIMITS)
def test_none_turns_a_rule_off(name):
  assert parameters(**{name: None}).rules.limits[name] == SplitLimit()


def test_the_constructor_takes_every_argument_with_its_declared_default():
  taken = inspect.signature(ClassDistributionValidator).parameters
  assert {name: taken[name].default for name in ARGUMENTS} == {
    name: each.default for name, each in ARGUMENTS.items()
  }


def test_nothing_to_compare_is_not_everything():
  assert parameters(compare=[]).rules.pairs == ()
  assert parameters(compare='').rules.pairs is None
