"""How Hypothesis looks for counterexamples, which tests run first, how differing files are told."""

import os
import sys

from hypothesis import HealthCheck, settings

from tests.helpers_beam import quicken_beam

# The same examples in every run of the same tests: a failure in CI is a failure here. No deadline,
# since other processes share the cores. `HYPOTHESIS_PROFILE=search pytest` looks further.
settings.register_profile(
  'house',
  deadline=None,
  derandomize=True,
  max_examples=60,
  suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
  'search', settings.get_profile('house'), derandomize=False, max_examples=2000
)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'house'))


def pytest_collection_modifyitems(items):
  """Puts the longest files first, so that no worker is left alone with one at the end."""
  items.sort(key=_weight, reverse=True)


def _weight(item):
  """Returns 2 for the whole sample pipeline, 1 for other pipelines and child programs, else 0."""
  if item.get_closest_marker('e2e'):
    return 2
  name = item.path.stem
  return int(
    name.endswith('_in_pipelines') or name in ('test_cases', 'test_programs', 'test_tasks')
  )


def pytest_assertrepr_compare(op, left, right):
  """Tells which of two sets of files differ: a difference by lines of large files takes hours."""
  if op == '==' and all(map(_holds_files, (left, right))):
    return ['the files differ', *_differences(left, right)]
  return None


def _holds_files(value):
  return isinstance(value, dict) and any(isinstance(each, bytes) for each in value.values())


def _differences(left, right):
  for name in sorted({*left, *right}):
    one, two = left.get(name), right.get(name)
    if one is None or two is None:
      yield f'{name}: only {"right" if one is None else "left"}'
    elif one != two:
      first = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
      yield f'{name}: {len(one)} bytes, {len(two)} bytes; they differ from byte {first} on'


def pytest_collection_finish():
  """Makes Beam quicker, if any of the tests uses it."""
  if 'apache_beam' in sys.modules:
    quicken_beam()
