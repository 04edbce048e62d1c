"""The constructor: arguments are checked before anything runs, and travel as TFX can carry them."""

import numpy as np
import pytest
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import BalancedInputGen
from tfx_balance.balanced_input_gen.parameters import InputGenParameters
from tfx_balance.tfrecord.reading import ReadOptions


def input_gen(**arguments):
  examples = channel_utils.as_channel([standard_artifacts.Examples()])
  return BalancedInputGen(examples=examples, **arguments)


def properties(**arguments):
  return dict(input_gen(**arguments).exec_properties)


def parameters(**arguments):
  """Returns what the executor makes of the arguments."""
  return InputGenParameters.decode(properties(**arguments))


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


def test_the_outputs_are_standard_artifacts():
  outputs = {key: channel.type for key, channel in input_gen().outputs.items()}
  assert outputs == {
    'examples': standard_artifacts.Examples,
    'hyperparameters': standard_artifacts.HyperParameters,
  }
