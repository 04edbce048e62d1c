"""The examples in the docstrings of the report are right."""

import doctest
import importlib
import pkgutil

import pytest
from tfx_balance import report

MODULES = [info.name for info in pkgutil.walk_packages(report.__path__, report.__name__ + '.')]
WITH_EXAMPLES = ('measures', 'pictures', 'class_pictures')


@pytest.mark.parametrize('name', MODULES)
def test_examples_hold(name):
  found = doctest.testmod(importlib.import_module(name))
  assert found.failed == 0
  assert found.attempted or name.rpartition('.')[2] not in WITH_EXAMPLES


def test_every_module_is_looked_at():
  assert {name.rpartition('.')[2] for name in MODULES} >= set(WITH_EXAMPLES)


@pytest.mark.parametrize('name', report.__all__)
def test_every_public_name_is_there_and_documented(name):
  assert getattr(report, name).__doc__
  assert name in dir(report)


def test_an_unknown_name_is_an_error():
  with pytest.raises(AttributeError, match=r"'tfx_balance\.report' has no attribute 'nonsense'"):
    _ = report.nonsense
