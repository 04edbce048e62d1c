"""One Flink cluster for all the tests of this folder, and what Beam needs to run on Spark."""

from __future__ import annotations

import pytest

from tests.flink.flink_cluster import FlinkCluster
from tests.flink.job_server_jars import FLINK, SPARK, one_jar

_ENGINES = {'cluster', 'spark_args'}


def pytest_collection_modifyitems(items):
  for item in items:
    if 'tests/flink/' in item.path.as_posix() and _ENGINES & set(getattr(item, 'fixturenames', ())):
      item.add_marker(pytest.mark.flink)


@pytest.fixture(scope='session')
def cluster():
  """Returns the cluster; where it cannot be had, every test fails and says why."""
  with FlinkCluster() as running:
    print(f'\nFlink: {FLINK.version}, {running.slots} slots')
    yield running


@pytest.fixture
def flink(cluster):
  """Returns the cluster with all its task managers, also those that another test has killed."""
  cluster.restore()
  return cluster


@pytest.fixture(scope='session')
def spark_args():
  """Returns Beam's arguments for Spark in a process that ends with this one, workers in threads."""
  return [
    '--runner=SparkRunner',
    '--spark_master_url=local[2]',
    f'--spark_job_server_jar={one_jar(SPARK)}',
    '--job_server_jvm_property=-Xmx768m',
    # On Java 17, Spark needs what its own scripts open.
    '--job_server_jvm_property=--add-opens=java.base/sun.nio.ch=ALL-UNNAMED',
    '--environment_type=LOOPBACK',
  ]
