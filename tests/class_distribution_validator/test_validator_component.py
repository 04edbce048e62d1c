"""The constructor: arguments are checked before anything runs, and travel as TFX can carry them."""

import numpy as np
import pytest
from tfx.types import channel_utils
from tfx_balance import ClassDistributionValidator
from tfx_balance.class_distribution_validator.parameters import (
  ALGORITHM_VERSION,
  ValidatorParameters,
)
from tfx_balance.errors import ConfigError
from tfx_balance.plan.checks import SplitPair
from tfx_balance.plan.class_value import ClassValue, match_classes
from tfx_balance.plan.distribution_rules import LIMITS, RULES, PerSplit


def channels(*names):
  kinds = ClassDistributionValidator.SPEC_CLASS.INPUTS
  return {name: channel_utils.as_channel([kinds[name].type()]) for name in names}


def properties(**arguments):
  inputs = channels('statistics', 'examples', 'baseline_statistics')
  return dict(ClassDistributionValidator(**inputs, **arguments).exec_properties)


def parameters(**arguments):
  """Returns what the executor makes of the arguments."""
  return ValidatorParameters.decode(properties(**arguments))


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
  assert decoded.rules.limits['min_count'] == PerSplit(by_split={'eval': 3})
  assert decoded.rules.pairs == (SplitPair('eval', 'train'),)
  assert decoded.recount is True
  assert decoded.rules.limits['max_l_infinity'] == PerSplit(0.5)
  classes = [ClassValue('bytes', b'\xff'), ClassValue('int', 3)]
  shares = match_classes('', decoded.rules.expected_shares.of('train'), classes)
  assert shares == dict.fromkeys(classes, 0.5)


def test_the_defaults():
  found = parameters()
  distances = {name for name, rule in RULES.items() if rule.of_pair}
  assert found.rules.limits == {
    **dict.fromkeys(LIMITS, PerSplit()),
    **dict.fromkeys(distances, 'auto'),
    **dict.fromkeys(['max_missing', 'max_leakage'], PerSplit(0.0)),
  }
  assert (found.rules.pairs, found.rules.missing_classes) == (None, 'allow_too_small')
  assert (found.leakage_key, found.on_violation, found.report_dir) == (None, 'fail', None)


@pytest.mark.parametrize('name', LIMITS)
def test_none_turns_a_rule_off(name):
  assert parameters(**{name: None}).rules.limits[name] == PerSplit()


def test_nothing_to_compare_is_not_everything():
  assert parameters(compare=[]).rules.pairs == ()
  assert parameters(compare='').rules.pairs is None
