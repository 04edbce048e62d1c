"""Every wrong argument of every public function is refused by a ConfigError; no right one is."""

import pytest
from tfx_balance.arguments import check_whole
from tfx_balance.errors import DataError

from tests.reliability.argument_tables import try_arguments
from tests.reliability.arguments import Api, judge


def test_every_wrong_argument_is_refused_and_every_right_one_taken(tmp_path):
  for _, seen, faults in try_arguments(tmp_path / 'in'):
    assert faults == []
    assert seen['tried'] == seen['refused'] + seen['accepted'] > 0


def returns_nothing(n):
  del n


def is_strict(n):
  if n != 3:
    raise DataError('so it is')


@pytest.mark.parametrize(
  ('call', 'value', 'found'),
  [
    pytest.param(returns_nothing, '"x"', 'accepted silently', id='taken'),
    pytest.param(lambda n: n + 1, '"x"', 'TypeError', id='another exception'),
    pytest.param(is_strict, '1', 'DataError: so it is', id='no ConfigError'),
    pytest.param(is_strict, '3', 'accepted', id='right'),
    pytest.param(lambda n: check_whole('n', n, 5), '3', 'valid, refused', id='right and refused'),
    pytest.param(lambda n: check_whole('n', n), '"x"', 'refused', id='wrong and refused'),
  ],
)
def test_what_becomes_of_an_argument_is_told(call, value, found):
  assert judge(Api('f', call, {}, {'n': frozenset({'3'})}), 'n', value).startswith(found)
