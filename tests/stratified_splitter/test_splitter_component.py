"""The constructor: arguments are checked before anything runs, and travel as TFX can carry them."""

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import tfx.v1 as tfx
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import ConfigError
from tfx_balance.stratified_splitter.parameters import ALGORITHM_VERSION, SplitterParameters


def splitter(**arguments):
  examples = channel_utils.as_channel([standard_artifacts.Examples()])
  return StratifiedSplitter(examples=examples, **arguments)


def properties(**arguments):
  return dict(splitter(**arguments).exec_properties)


def parameters(**arguments):
  """Returns what the executor makes of the arguments."""
  return SplitterParameters.decode(properties(**arguments))


WEIGHT = r'of split .train. must be a finite number above 0; give one such as 8, or leave'
NAME = r'must be letters, digits, "_" and "-", the first a letter or a digit; rename it'
COUNT = r'must be a whole number from 1; give records such as 1000'

FAULTS = {
  'weight zero': ({'splits': {'train': 0, 'test': 1}}, f'weight 0 {WEIGHT}'),
  'weight negative': ({'splits': {'train': -8}}, f'weight -8 {WEIGHT}'),
  'weight NaN': ({'splits': {'train': float('nan')}}, f'weight nan {WEIGHT}'),
  'weight infinite': ({'splits': {'train': float('inf')}}, f'weight inf {WEIGHT}'),
  'weight no number': ({'splits': {'train': '8'}}, f"weight '8' {WEIGHT}"),
  'weight true': ({'splits': {'train': True}}, f'weight True {WEIGHT}'),
  'weight none': ({'splits': {'train': None}}, f'weight None {WEIGHT}'),
  'weight in JSON': ({'splits': '{"train": NaN}'}, f'weight nan {WEIGHT}'),
  'name with slash': ({'splits': {'a/b': 1}}, f"split name 'a/b' {NAME}"),
  'name empty': ({'splits': {'': 1}}, f"split name '' {NAME}"),
  'name of dashes': ({'splits': {'-a': 1}}, f"split name '-a' {NAME}"),
  'name of dots': ({'splits': {'..': 1}}, rf"split name '\.\.' {NAME}"),
  'name with space': ({'counts': {'a b': 1}}, f"split name 'a b' {NAME}"),
  'name with line break': ({'splits': {'a\n': 1}}, f'split name .* {NAME}'),
  'name not ASCII': ({'splits': {'über': 1}}, f"split name 'über' {NAME}"),
  'name too long': ({'splits': {'a' * 300: 1}}, 'has 300 characters, .*; shorten it'),
  'name of a value too long': (
    {'split_by': 'set', 'split_values': {'x': 'a' * 300}},
    'has 300 characters, .*; shorten it',
  ),
  'name twice': ({'splits': '{"train": 8, "train": 1}'}, "'train' is there twice .*name it once"),
  'count twice': ({'counts': '{"test": 8, "test": 1}'}, "'test' is there twice .*name it once"),
  'no splits': ({'splits': {}}, r'splits=\{\} names no split; give each split a weight'),
  'splits not JSON': ({'splits': 'train'}, "splits='train' is not valid JSON .*give it as in"),
  'splits a list': ({'splits': '["train"]'}, r"splits=\['train'\] has the wrong type; give"),
  'splits and counts': (
    {'splits': {'train': 8, 'test': 1}, 'counts': {'test': 5}},
    "split 'test' is in splits= and in counts=; name it in one of them",
  ),
  'count zero': ({'counts': {'test': 0}}, f'=0 {COUNT}'),
  'count negative': ({'counts': {'test': -1}}, f'=-1 {COUNT}'),
  'count no integer': ({'counts': {'test': 1.5}}, f'=1.5 {COUNT}'),
  'count true': ({'counts': {'test': True}}, f'=True {COUNT}'),
  'rest alone': ({'rest': 'train'}, "rest='train' takes what counts= leaves, .*; give counts="),
  'rest counted': (
    {'rest': 'test', 'counts': {'test': 5}},
    "split 'test' is in counts= and is rest=; name it in one of them",
  ),
  'rest and splits': (
    {'rest': 'train', 'counts': {'test': 5}, 'splits': {'train': 1, 'eval': 1}},
    "rest='train' takes all that counts= leaves, .*; drop splits= or rest=",
  ),
  'rest illegal': ({'rest': 'a b', 'counts': {'test': 5}}, f"split name 'a b' {NAME}"),
  'no feature': ({'stratify_by': []}, r'stratify_by=\[\] names nothing; give at least one name'),
  'feature empty': ({'stratify_by': ''}, r"stratify_by=(''|\[''\]) must hold names; '' is none"),
  'feature no name': ({'stratify_by': ['label', 1]}, 'stratify_by=.*must hold names; 1 is none'),
  'feature twice': ({'stratify_by': ['a', 'a']}, "stratify_by=.* names 'a' twice; name it once"),
  'no input split': ({'input_splits': []}, r'input_splits=\[\] names nothing; give at least one'),
  'input split twice': (
    {'input_splits': ['a', 'b', 'a']},
    "input_splits=.* names 'a' twice; name it once",
  ),
  'seed a float': ({'seed': 1.5}, 'seed=1.5 must be a whole number; give one such as 0'),
  'seed true': ({'seed': True}, 'seed=True must be a whole number; give one such as 0'),
  'seed text': ({'seed': '1'}, "seed='1' must be a whole number; give one such as 0"),
  'missing_label unknown': (
    {'missing_label': 'ignore'},
    r"missing_label='ignore' is not one of \['error', 'own', 'drop'\]",
  ),
  'files of no split': (
    {'output_files': {'tset': 2}},
    r"output_files names split 'tset', which is not in \['train', 'eval', 'test'\]; name one",
  ),
  'no files': ({'output_files': 0}, r'output_files\[.*\]=0 must be a whole number from 1 to 99999'),
  'half a file': (
    {'output_files': {'train': 1.5}},
    r"output_files\['train'\]=1.5 must be a whole number from 1",
  ),
  'no bytes': (
    {'max_record_bytes': 0},
    'max_record_bytes=0 must be a whole number from 1 to 2147483647',
  ),
  'too many files': ({'output_files': 100_000}, '=100000 must be a whole number from 1'),
}


@pytest.mark.parametrize(('arguments', 'fault'), FAULTS.values(), ids=FAULTS)
def test_an_argument_that_breaks_a_rule_is_refused_at_construction(arguments, fault):
  with pytest.raises(ConfigError, match=fault):
    splitter(**arguments)


AT_RUN_TIME = [name for name, (arguments, _) in FAULTS.items() if name != 'no input split']


@pytest.mark.parametrize('name', AT_RUN_TIME)
def test_the_executor_checks_again_what_came_as_a_runtime_parameter(name):
  arguments, fault = FAULTS[name]
  given = {
    key: json.dumps(value) if isinstance(value, (dict, list)) else value
    for key, value in arguments.items()
  }
  with pytest.raises(ConfigError, match=fault):
    SplitterParameters.decode({'stratify_by': 'label', **given})


def test_an_unknown_argument_is_refused():
  with pytest.raises(TypeError, match='weights'):
    splitter(weights={'train': 1})


def test_the_properties_are_such_as_kubeflow_can_carry():
  found = properties(
    stratify_by=['label', 'site'],
    splits={'train': 0.7, 'eval': 0.3},
    counts={'test': 5},
    input_splits=('a', 'b'),
    output_files={'train': 2},
  )
  assert {type(value) for value in found.values()} <= {str, int}


def test_the_defaults_are_80_10_10_by_label():
  found = parameters()
  assert found.features == ('label',)
  assert dict(found.shares.weights) == {'train': 8, 'eval': 1, 'test': 1}
  assert (dict(found.shares.counts), found.input_splits, found.seed) == ({}, None, 0)
  assert (found.missing, found.output_files) == ('error', {})
  assert parameters(splits=None) == found


def test_the_arguments_arrive():
  found = parameters(
    stratify_by=['label', 'site'],
    splits={'train': 0.7, 'eval': 0.3},
    counts={'test': 5},
    input_splits=['a'],
    seed=-3,
    missing_label='drop',
    output_files=2,
  )
  assert found.features == ('label', 'site')
  assert dict(found.shares.weights) == {'train': 7, 'eval': 3}
  assert dict(found.shares.counts) == {'test': 5}
  assert (found.input_splits, found.seed, found.missing) == (('a',), -3, 'drop')
  assert found.output_files == {'train': 2, 'eval': 2, 'test': 2}


def test_counts_take_splits_out_of_the_default():
  assert dict(parameters(counts={'test': 7}).shares.weights) == {'train': 8, 'eval': 1}


@pytest.mark.parametrize(
  ('one', 'other'),
  [
    pytest.param(Fraction(4, 5), Fraction(1, 5), id='Fraction'),
    pytest.param(Decimal('0.8'), Decimal('0.2'), id='Decimal'),
    pytest.param(np.int64(4), np.int64(1), id='numpy int'),
    pytest.param(np.float64(0.8), np.float64(0.2), id='numpy float'),
  ],
)
def test_a_weight_may_be_any_number(one, other):
  found = parameters(splits={'train': one, 'test': other})
  assert dict(found.shares.weights) == {'train': 4, 'test': 1}


def test_numbers_may_be_of_numpy():
  assert properties(seed=np.int64(3)) == properties(seed=3)
  assert parameters(counts={'test': np.int64(5)}) == parameters(counts={'test': 5})
  assert parameters(output_files=np.int64(2)) == parameters(output_files=2)


@pytest.mark.parametrize(
  'changed',
  [
    {'stratify_by': 'species'},
    {'splits': {'train': 9, 'eval': 1}},
    {'counts': {'test': 10}},
    {'counts': {'test': 10}, 'rest': 'train'},
    {'input_splits': ['train']},
    {'seed': 1},
    {'missing_label': 'drop'},
    {'output_files': 2},
  ],
  ids=str,
)
def test_what_changes_the_result_changes_the_key_of_the_cache(changed):
  assert properties(**changed) != properties()


def test_the_version_of_the_algorithm_is_part_of_the_key_of_the_cache():
  assert properties()['algorithm_version'] == ALGORITHM_VERSION


@pytest.mark.parametrize(
  'name', ['stratify_by', 'splits', 'counts', 'rest', 'input_splits', 'missing_label']
)
def test_any_argument_may_be_a_runtime_parameter(name):
  later = tfx.dsl.experimental.RuntimeParameter(name=name, ptype=str)
  assert properties(**{name: later})[name] is later


def test_numbers_may_be_runtime_parameters():
  seed = tfx.dsl.experimental.RuntimeParameter(name='seed', ptype=int)
  files = tfx.dsl.experimental.RuntimeParameter(name='files', ptype=str)
  found = properties(seed=seed, output_files=files)
  assert (found['seed'], found['output_files']) == (seed, files)


def test_what_is_known_is_checked_beside_a_runtime_parameter():
  splits = tfx.dsl.experimental.RuntimeParameter(name='splits', ptype=str)
  with pytest.raises(ConfigError, match=r'seed=1\.5'):
    splitter(splits=splits, seed=1.5)
