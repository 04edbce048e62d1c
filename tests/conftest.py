"""How Hypothesis looks for counterexamples, in all the tests, and which tests run first."""

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


def pytest_collection_finish():
  """Makes Beam quicker, if any of the tests uses it."""
  if 'apache_beam' in sys.modules:
    quicken_beam()
