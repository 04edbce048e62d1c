"""What is printed of classes and inputs is short, and says the counts."""

import numpy as np
import pytest
from tfx_balance.inputs import BalancedInputs
from tfx_balance.plan.class_value import MISSING, ClassValue


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    (ClassValue('bytes', b'fraud'), "ClassValue(b'fraud')"),
    (ClassValue('int', 1), 'ClassValue(1)'),
    (ClassValue('float', 1.0), 'ClassValue(1.0)'),
    (ClassValue('bytes', b'1'), "ClassValue(b'1')"),
    (ClassValue('set', (ClassValue('int', 1), ClassValue('int', 2))), 'ClassValue({1, 2})'),
    (MISSING, 'ClassValue(None)'),
  ],
)
def test_a_class_is_printed_by_its_value(value, text):
  assert repr(value) == text


def test_inputs_are_printed_by_their_counts():
  labels = np.repeat(['fraud', 'ok'], [20, 1000])
  inputs = BalancedInputs.from_arrays(np.zeros((1020, 50)), labels)
  assert repr(inputs) == 'BalancedInputs(1,020 records, 2 classes: fraud: 20, ok: 1,000)'
  many = BalancedInputs.from_arrays(np.zeros(500), np.arange(500))
  assert repr(many).endswith('8: 1, 9: 1, and 490 more)')
  assert len(repr(many)) < 150
