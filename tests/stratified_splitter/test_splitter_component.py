"""The constructor: arguments are checked before anything runs, and travel as TFX can carry them."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import StratifiedSplitter
from tfx_balance.stratified_splitter.parameters import SplitterParameters


def splitter(**arguments):
  examples = channel_utils.as_channel([standard_artifacts.Examples()])
  return StratifiedSplitter(examples=examples, **arguments)


def properties(**arguments):
  return dict(splitter(**arguments).exec_properties)


def parameters(**arguments):
  """Returns what the executor makes of the arguments."""
  return SplitterParameters.decode(properties(**arguments))


def test_an_unknown_argument_is_refused():
  with pytest.raises(TypeError, match='weights'):
    splitter(weights={'train': 1})


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


def test_weights_may_be_any_numbers():
  given = {'a': Fraction(1, 5), 'b': Decimal('0.2'), 'c': np.float64(0.2), 'd': np.int64(1)}
  assert dict(parameters(splits=given).shares.weights) == {'a': 1, 'b': 1, 'c': 1, 'd': 5}


def test_numbers_may_be_of_numpy():
  assert properties(seed=np.int64(3)) == properties(seed=3)
  assert parameters(counts={'test': np.int64(5)}) == parameters(counts={'test': 5})
  assert parameters(output_files=np.int64(2)) == parameters(output_files=2)
