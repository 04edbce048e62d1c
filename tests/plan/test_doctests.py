"""The examples in the docstrings of the plan are right, whichever way the tests are run."""

import doctest
import importlib
import pkgutil

import pytest
from tfx_balance import modes, plan

MODULES = [
  info.name
  for package in (plan, modes)
  for info in pkgutil.walk_packages(package.__path__, package.__name__ + '.')
]


@pytest.mark.parametrize('name', MODULES)
def test_examples_hold(name):
  assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
  finder = doctest.DocTestFinder(exclude_empty=True)
  found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
  assert sum(len(test.examples) for test in found) >= 8
