"""The constructor: arguments are checked before anything runs, and travel as TFX can carry them."""

import inspect

import numpy as np
import pytest
import tfx.v1 as tfx
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import BalancedInputGen
from tfx_balance.balanced_input_gen.parameters import ALGORITHM_VERSION, InputGenParameters
from tfx_balance.errors import ConfigError
from tfx_balance.tfrecord.reading import ReadOptions


def input_gen(**arguments):
  examples = channel_utils.as_channel([standard_artifacts.Examples()])
  return BalancedInputGen(examples=examples, **arguments)


def properties(**arguments):
  return dict(input_gen(**arguments).exec_properties)


def parameters(**arguments):
  """Returns what the executor makes of the arguments."""
  return InputGenParameters.decode(properties(**arguments))


FAULTS = {
  'no bytes': (
    {'max_record_bytes': 0},
    'max_record_bytes=0 must be a whole number from 1 to 2147483647',
  ),
  'label empty': ({'label': ''}, "label='' must be the name of the feature that holds the class"),
  'no splits': ({'train_splits': '[]'}, r'train_splits=\[\] names nothing; give at least one'),
  'split twice': ({'train_splits': '["a", "a"]'}, "names 'a' twice; name it once"),
  'split empty': ({'train_splits': '["a", ""]'}, "must hold names; '' is none"),
  'seed a float': ({'seed': 1.5}, r'seed=1\.5 must be a whole number'),
  'seed a flag': ({'seed': True}, 'seed=True must be a whole number'),
  'missing_label': ({'missing_label': 'ignore'}, "missing_label='ignore' is not one of"),
}


@pytest.mark.parametrize(('arguments', 'fault'), FAULTS.values(), ids=FAULTS)
def test_an_argument_that_breaks_a_rule_is_refused_at_construction(arguments, fault):
  with pytest.raises(ConfigError, match=fault):
    input_gen(**arguments)


@pytest.mark.parametrize(('arguments', 'fault'), FAULTS.values(), ids=FAULTS)
def test_the_executor_checks_again_what_came_as_a_runtime_parameter(arguments, fault):
  with pytest.raises(ConfigError, match=fault):
    InputGenParameters.decode({**properties(), **arguments})


def test_the_defaults():
  assert parameters() == InputGenParameters(('label',), ('train',), 0, 'error')


@pytest.mark.parametrize('splits', [('a', 'b'), ['a', 'b'], '["a", "b"]'], ids=str)
def test_the_arguments_arrive(splits):
  found = parameters(
    label='species',
    train_splits=splits,
    seed=np.int64(-3),
    missing_label='own',
    max_record_bytes=9,
  )
  assert found == InputGenParameters(('species',), ('a', 'b'), -3, 'own_stratum', ReadOptions(9))
  assert found.describe()['max_record_bytes'] == 9


def test_one_split_may_be_named_by_itself():
  assert parameters(train_splits='a').train_splits == ('a',)


def test_the_properties_are_such_as_kubeflow_can_carry():
  found = properties(train_splits=('a', 'b'), missing_label='drop')
  assert {type(value) for value in found.values()} <= {str, int}


@pytest.mark.parametrize(
  'changed',
  [
    {'label': 'a'},
    {'train_splits': ['a']},
    {'seed': 1},
    {'missing_label': 'drop'},
    {'max_record_bytes': 9},
  ],
  ids=str,
)
def test_what_changes_the_result_changes_the_key_of_the_cache(changed):
  assert properties(**changed) != properties()


def test_the_version_of_the_algorithm_is_part_of_the_key_of_the_cache():
  assert properties()['algorithm_version'] == ALGORITHM_VERSION


@pytest.mark.parametrize(
  ('name', 'kind'),
  [
    ('label', str),
    ('train_splits', str),
    ('seed', int),
    ('missing_label', str),
    ('max_record_bytes', int),
  ],
)
def test_any_argument_may_be_a_runtime_parameter(name, kind):
  later = tfx.dsl.experimental.RuntimeParameter(name=name, ptype=kind)
  assert properties(**{name: later})[name] is later
  with pytest.raises(ConfigError, match=r'must be a whole number|is not one of'):
    input_gen(**{name: later, 'missing_label' if name == 'seed' else 'seed': 'x'})


def test_the_outputs_are_standard_artifacts():
  outputs = {key: channel.type for key, channel in input_gen().outputs.items()}
  assert outputs == {
    'examples': standard_artifacts.Examples,
    'hyperparameters': standard_artifacts.HyperParameters,
  }


def test_every_argument_but_the_examples_has_a_default():
  found = inspect.signature(BalancedInputGen).parameters
  assert [name for name, p in found.items() if p.default is p.empty] == ['examples']
