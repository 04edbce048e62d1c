"""What may be said about reading."""

import pytest
from tfx_balance.errors import ConfigError
from tfx_balance.tfrecord.reading import READ_DEFAULTS, ReadOptions


@pytest.mark.parametrize('value', [0, -1, 2**31, 1.5, True, '1', None])
def test_a_limit_that_is_none_is_refused(value):
  fault = rf'max_record_bytes={value!r} must be a whole number from 1 to 2147483647'
  with pytest.raises(ConfigError, match=fault):
    ReadOptions(max_record_bytes=value)


def test_only_what_differs_from_the_defaults_is_described():
  assert READ_DEFAULTS.describe() == {}
  assert ReadOptions(max_record_bytes=5).describe() == {'max_record_bytes': 5}


@pytest.mark.parametrize('value', ['ignore', True, 1, None, ''])
def test_what_becomes_of_bad_records_is_a_known_word(value):
  with pytest.raises(
    ConfigError, match=rf"bad_records={value!r} is not one of \['error', 'skip'\]"
  ):
    ReadOptions(bad_records=value)


@pytest.mark.parametrize('value', [-1, 0.5, True, '1', None])
def test_a_number_of_bad_records_that_is_none_is_refused(value):
  with pytest.raises(ConfigError, match=f'max_bad_records={value!r} must be a whole number from 0'):
    ReadOptions(max_bad_records=value)
