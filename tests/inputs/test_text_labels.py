"""Labels of text, which Keras does not train on."""

import warnings

import numpy as np
import pytest
from tfx_balance.inputs import BalancedInputs

TEXTS = ['ham'] * 9 + ['spam'] * 3


def test_text_labels_are_warned_of_where_they_are_given_as_they_are():
  inputs = BalancedInputs.from_arrays(np.arange(12.0), TEXTS)
  with pytest.warns(UserWarning, match=r"labels are text, .* pass label_as='index'") as caught:
    inputs.train(4)
  assert caught[0].filename == __file__


@pytest.mark.parametrize('label_as', ['index', 'one_hot'])
def test_numbers_of_text_classes_are_not(label_as):
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    BalancedInputs.from_arrays(np.arange(12.0), TEXTS).train(4, label_as=label_as)
    BalancedInputs.from_arrays(np.arange(12.0), [0] * 9 + [1] * 3).train(4)
