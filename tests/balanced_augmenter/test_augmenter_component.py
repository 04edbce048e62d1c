"""The constructor: arguments are checked before anything runs, and travel as TFX can carry them."""

import dataclasses
import json
import linecache
import sys
from fractions import Fraction

import numpy as np
import pytest
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import BalancedAugmenter
from tfx_balance.augment import ImageAugment, SmoothedBootstrap, Smote
from tfx_balance.balanced_augmenter import augment_source
from tfx_balance.balanced_augmenter.parameters import ALGORITHM_VERSION, AugmenterParameters
from tfx_balance.errors import ConfigError
from tfx_balance.plan.balance_plan import plan_balance
from tfx_balance.plan.class_value import ClassValue

from tests.balanced_augmenter import functions
from tests.helpers_counts import by_class

FUNCTIONS = 'tests.balanced_augmenter.functions'


def augmenter(**arguments):
  examples = channel_utils.as_channel([standard_artifacts.Examples()])
  return BalancedAugmenter(examples=examples, **arguments)


def properties(**arguments):
  return dict(augmenter(**arguments).exec_properties)


def parameters(**arguments):
  """Returns what the executor makes of the arguments."""
  return AugmenterParameters.decode(properties(**arguments))


def targets(kind='int', **arguments):
  """Returns the targets that the executor comes to for 100 of class 0 and 7 of class 1."""
  values = {'int': (0, 1), 'float': (0.0, 1.0), 'bytes': (b'0', b'1')}[kind]
  counts = dict(zip((ClassValue(kind, value) for value in values), (100, 7), strict=True))
  return tuple(plan_balance(*by_class(counts), parameters(**arguments).balance).targets.tolist())


def test_a_function_itself_is_refused():
  with pytest.raises(ConfigError, match=r'must be a dotted path .* import it anew'):
    augmenter(augment_fn=functions.jitter)


def test_the_defaults_balance_train():
  found = parameters()
  assert (found.label, found.splits, found.seed, found.missing) == ('label', ('train',), 0, 'error')
  assert (found.augmented_split, found.provenance) == (None, False)
  assert (found.balance.max_copies, found.balance.undersample) == (None, False)
  assert targets() == (100, 100)


STRATEGIES = {
  'word': ({'sampling_strategy': 'not majority'}, (100, 100)),
  'ratio': ({'sampling_strategy': 0.3}, (100, 30)),
  'one': ({'sampling_strategy': 1}, (100, 100)),
  'ratio as text': ({'sampling_strategy': '0.3'}, (100, 30)),
  'fraction': ({'sampling_strategy': Fraction(1, 3)}, (100, 33)),
  'numpy ratio': ({'sampling_strategy': np.float32(0.1)}, (100, 10)),
  'power': ({'sampling_strategy': 'power:0.5'}, (100, 26)),
  'dict': ({'sampling_strategy': {1: 50}}, (100, 50)),
  'dict of text': ({'sampling_strategy': {'1': 50}}, (100, 50)),
  'dict as JSON': ({'sampling_strategy': '{"1": 50}'}, (100, 50)),
  'empty dict': ({'sampling_strategy': {}}, (100, 7)),
  'factors': ({'factors': {1: 3}}, (100, 21)),
  'factors as JSON': ({'factors': ' {"1": 3}'}, (100, 21)),
  'max_copies': ({'max_copies': 2}, (100, 14)),
  'undersample': ({'sampling_strategy': 'auto', 'undersample': True}, (7, 7)),
}


@pytest.mark.parametrize(('arguments', 'expected'), STRATEGIES.values(), ids=STRATEGIES)
def test_a_strategy_arrives(arguments, expected):
  assert targets(**arguments) == expected


@pytest.mark.parametrize(
  ('kind', 'key'),
  [
    pytest.param('int', 1, id='int'),
    pytest.param('int', '1', id='text for an int'),
    pytest.param('int', 1.0, id='float for an int'),
    pytest.param('float', 1.0, id='float'),
    pytest.param('float', 1, id='int for a float'),
    pytest.param('bytes', '1', id='text'),
    pytest.param('bytes', b'1', id='bytes'),
    pytest.param('int', np.int64(1), id='numpy int'),
  ],
)
@pytest.mark.parametrize('argument', ['sampling_strategy', 'factors'])
def test_a_class_is_named_as_it_is(kind, key, argument):
  # Keys become text in JSON: 1.0 is '1.0' then, and means the class that it meant before.
  number = {'sampling_strategy': 70, 'factors': 10}[argument]
  assert targets(kind, **{argument: {key: number}}) == (100, 70)


def test_bytes_that_are_no_text_are_named_as_they_are():
  found = parameters(sampling_strategy={b'\xff\x00': 50}).balance
  counts = {ClassValue('bytes', b'\xff\x00'): 3, ClassValue('bytes', b'ok'): 9}
  assert plan_balance(*by_class(counts), found).targets.tolist() == [9, 50]


def test_numbers_may_be_of_numpy():
  # As from np.unique(labels, return_counts=True).
  assert properties(seed=np.int64(3)) == properties(seed=3)
  assert properties(max_copies=np.int64(3)) == properties(max_copies=3)
  assert targets(sampling_strategy={1: np.int64(50)}) == (100, 50)
  assert targets(factors={1: np.int64(2)}) == (100, 14)


def test_a_timeout_arrives_and_is_off_by_default():
  assert parameters().augment_timeout is None
  assert parameters(augment_timeout=2.5).augment_timeout == 2.5


def test_the_sidecar_shows_the_arguments():
  shown = parameters(sampling_strategy=0.5, max_copies=3, seed=9, label='species').shown
  assert shown == {
    'label': 'species',
    'max_copies': 3,
    'undersample': 0,
    'seed': 9,
    'sampling_strategy': '1/2',
    'factors': None,
    'splits': ['train'],
    'algorithm_version': ALGORITHM_VERSION,
  }
  assert parameters(factors={'a': 2}).shown['sampling_strategy'] is None
  assert json.loads(json.dumps(parameters(sampling_strategy={'a': 2}).shown))


@pytest.fixture
def module(tmp_path, monkeypatch):
  """Returns a function that writes the source of a module and has it imported anew."""
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.setattr(sys, 'dont_write_bytecode', True)

  def write(source):
    (tmp_path / 'of_a_user.py').write_text(source)
    sys.modules.pop('of_a_user', None)
    linecache.clearcache()
    return properties(augment_fn='of_a_user.augment')['augment_source']

  yield write
  sys.modules.pop('of_a_user', None)


def test_a_change_of_the_source_changes_the_key_of_the_cache(module):
  source = 'def helper(x):\n  return x\ndef augment(features, seed):\n  return helper(features)\n'
  first = module(source)
  assert len(first) == 64
  assert module(source) == first
  assert module(source.replace('return helper', 'return  helper')) != first
  assert module(source.replace('return x', 'return dict(x)')) != first  # in what it calls


def test_a_function_that_is_not_here_is_left_to_the_workers(caplog):
  assert properties(augment_fn='not.here.augment')['augment_source'] == ''
  assert properties()['augment_source'] == ''


READY = [
  ImageAugment(),
  ImageAugment(
    feature='pixels',
    flip_left_right=True,
    rotation=12.5,
    shape=(8, 8, 1),
    value_range=(0.0, 16.0),
    fill='nearest',
  ),
  SmoothedBootstrap(),
  SmoothedBootstrap(['x', "it's"], shrink=0.5),
  Smote(['x'], categorical=['c'], k=3, standardize=False),
]


def test_every_class_of_augment_functions_that_is_exported_is_ready():
  assert {type(ready) for ready in READY} == set(augment_source.READY.values())


@pytest.mark.parametrize('ready', READY, ids=repr)
def test_a_ready_function_travels_as_text(ready):
  text = properties(augment_fn=ready)['augment_fn']
  assert augment_source.from_text(text) == ready
  assert augment_source.loader({'augment_fn': text})() == ready
  assert properties(augment_fn=text) == properties(augment_fn=ready)


def test_a_class_of_the_same_name_is_not_taken_for_a_ready_one():
  @dataclasses.dataclass(frozen=True)
  class Ours:
    features: tuple = ('x',)

    def __call__(self, features, seed):
      return features

  Ours.__name__ = Ours.__qualname__ = 'Smote'

  class Derived(Smote):
    pass

  Derived.__name__ = Derived.__qualname__ = 'Smote'
  for mine in (Ours(), Derived(['x'])):
    with pytest.raises(ConfigError, match=r'must be a dotted path .* one of tests\..*\.Smote: '):
      properties(augment_fn=mine)


@pytest.mark.parametrize(
  ('text', 'fault'),
  [
    pytest.param('Smote(["x"])', 'it is not one of .* with named arguments', id='positional'),
    pytest.param('print(x=1)', 'it is not one of', id='no function of ours'),
    pytest.param('os.system(command="true")', 'it is not a call', id='attribute'),
    pytest.param('ImageAugment(rotation=f())', 'not an augment function', id='no literal'),
    pytest.param('ImageAugment(speed=1)', 'speed', id='no such argument'),
    pytest.param('ImageAugment(', 'not an augment function', id='no syntax'),
    pytest.param('ImageAugment(**{"rotation": 1})', 'not an augment function', id='unpacked'),
    pytest.param(f'ImageAugment(rotation={"-" * 9999}1)', 'not an augment function', id='deep'),
    pytest.param('ImageAugment(rotation=999)', 'rotation', id='out of range'),
  ],
)
def test_text_that_is_no_ready_function_is_refused(text, fault):
  with pytest.raises(ConfigError, match=fault):
    augment_source.from_text(text)


def test_a_loader_finds_the_function(tmp_path):
  assert augment_source.loader({'augment_fn': ''}) is None
  assert augment_source.loader({'augment_fn': f'{FUNCTIONS}.jitter'})() is functions.jitter
  file = tmp_path / 'of_user.py'
  file.write_text('def augment_fn(f, s):\n  return 1\ndef other(f, s):\n  return 2\n')
  assert augment_source.loader({'module_file': str(file)})()(0, 0) == 1
  assert augment_source.loader({'module_file': str(file), 'augment_fn': 'other'})()(0, 0) == 2
