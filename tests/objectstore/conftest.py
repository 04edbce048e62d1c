"""One object store for all the tests of this folder, and a proxy before it."""

from __future__ import annotations

import pytest

from tests.objectstore.buckets import bucket_maker, set_address
from tests.objectstore.object_server import ObjectServer
from tests.objectstore.storage_proxy import StorageProxy


def pytest_collection_modifyitems(items):
  for item in items:
    if 'tests/objectstore/' in item.path.as_posix() and 'server' in item.fixturenames:
      item.add_marker(pytest.mark.objectstore)


@pytest.fixture(scope='session')
def server():
  """Returns the server; where it cannot be had, every test fails and says why."""
  with ObjectServer() as running:
    yield running


@pytest.fixture(scope='session')
def proxy(server):
  """Returns the proxy, set in the environment as the address of S3, MinIO and GCS."""
  with StorageProxy(server.address) as running, pytest.MonkeyPatch.context() as patch:
    set_address(patch, running.address)
    yield running


@pytest.fixture(scope='session')
def new_bucket(server, proxy):
  """Returns a function from a scheme to a new bucket; the proxy then counts and does no more."""
  return bucket_maker(server, proxy)
