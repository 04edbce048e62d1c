"""What may be said about reading."""

import pytest
from tfx_balance.errors import ConfigError
from tfx_balance.tfrecord.reading import READ_DEFAULTS, ReadOptions


@pytest.mark.parametrize(
  ('name', 'value', 'rule'),
  [
    *(('max_record_bytes', n, 'must be a whole number from 1 to 2147483647') for n in (0, 2**31)),
    *(('max_bad_records', n, 'must be a whole number from 0') for n in (-1, 0.5, True)),
    *(('bad_records', word, r"is not one of \['error', 'skip'\]") for word in ('ignore', True)),
  ],
)
def test_an_option_that_breaks_a_rule_is_refused(name, value, rule):
  with pytest.raises(ConfigError, match=f'{name}={value!r} {rule}'):
    ReadOptions(**{name: value})


def test_only_what_differs_from_the_defaults_is_described():
  assert READ_DEFAULTS.describe() == {}
  assert ReadOptions(max_record_bytes=5).describe() == {'max_record_bytes': 5}
