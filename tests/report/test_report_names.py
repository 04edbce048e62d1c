"""The public names of the report are there and documented."""

import pytest
from tfx_balance import report


@pytest.mark.parametrize('name', report.__all__)
def test_every_public_name_is_there_and_documented(name):
  assert getattr(report, name).__doc__
  assert name in dir(report)


def test_an_unknown_name_is_an_error():
  with pytest.raises(AttributeError, match=r"'tfx_balance\.report' has no attribute 'nonsense'"):
    _ = report.nonsense
