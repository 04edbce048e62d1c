"""Under protobuf 6 the same data, imported again, has other bytes: warned of, compared by value.

A version stands in for the installed one. That protobuf 6 writes features in another order in each
process is not shown here: the suite also runs with TFX 1.21.
"""

import pytest
from absl import logging
from tfx_balance import StratifiedSplitter
from tfx_balance.class_distribution_validator.parameters import ValidatorParameters
from tfx_balance.scan import record_values

from tests.helpers_examples import labelled
from tests.helpers_pipeline import execute, input_artifact


@pytest.mark.parametrize(
  ('version', 'varies'),
  [('3.20.3', False), ('4.25.9', False), ('5.29.5', False), ('6.31.1', True), ('7.36.2', True)],
)
def test_order_varies_from_version_6_on(monkeypatch, version, varies):
  monkeypatch.setattr(record_values, 'version', lambda _: version)
  assert record_values.order_varies() == varies
  for identity, by_values in ((None, varies), ('', varies), ('bytes', False), ('values', True)):
    given = {'check_leakage': 'records', 'identity': identity}
    assert ValidatorParameters.decode(given).by_values == by_values


@pytest.mark.parametrize(
  ('version', 'arguments', 'n'),
  [
    ('6.31.1', {}, 1),
    ('6.31.1', {'key': 'id'}, 0),
    ('6.31.1', {'identity': 'values'}, 0),
    ('6.31.1', {'group_by': 'id'}, 0),
    ('4.25.9', {}, 0),
  ],
)
def test_a_split_by_bytes_is_warned_of(tmp_path, monkeypatch, version, arguments, n):
  warned = []
  monkeypatch.setattr(record_values, 'version', lambda _: version)
  monkeypatch.setattr(logging, 'warning', lambda text, *values: warned.append(text % values))
  artifact = input_artifact(tmp_path / 'in', {'all': [labelled({0: 20, 1: 20})]})
  execute(StratifiedSplitter, [artifact], tmp_path / 'out', splits={'a': 1, 'b': 1}, **arguments)
  found = [text for text in warned if 'protobuf 6 writes the features of a record' in text]
  assert len(found) == n
  assert all(text.endswith("or identity='values'") for text in found)
