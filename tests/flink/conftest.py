"""One Flink cluster for all the tests of this folder: two task managers, workers in processes."""

from __future__ import annotations

import pytest

from tests.flink.flink_cluster import FlinkCluster


def pytest_collection_modifyitems(items):
  for item in items:
    if 'tests/flink/' in item.path.as_posix() and 'cluster' in getattr(item, 'fixturenames', ()):
      item.add_marker(pytest.mark.flink)


@pytest.fixture(scope='session')
def cluster():
  """Returns the cluster; where it cannot be had, every test fails and says why."""
  with FlinkCluster() as running:
    print(f'\nFlink: {running.version}, {running.slots} slots')
    yield running


@pytest.fixture
def flink(cluster):
  """Returns the cluster with all its task managers, also those that another test has killed."""
  cluster.restore()
  return cluster
