"""Object stores for all the tests of this folder, and a proxy before each."""

from __future__ import annotations

import pytest
from tfx_balance.tfrecord import object_store

from tests.objectstore.buckets import bucket_maker, set_address
from tests.objectstore.helpers_objects import be_impatient
from tests.objectstore.object_server import GoogleServer, ObjectServer
from tests.objectstore.storage_proxy import StorageProxy

_SERVERS = {'server', 'new_on_fake_gcs'}


def pytest_collection_modifyitems(items):
  for item in items:
    if 'tests/objectstore/' in item.path.as_posix() and _SERVERS & set(item.fixturenames):
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


@pytest.fixture
def impatient(monkeypatch):
  """Has a server that is silent be asked again after a second."""
  be_impatient(monkeypatch)
  yield
  object_store._bucket.cache_clear()


@pytest.fixture(scope='session')
def new_on_fake_gcs():
  """Returns a function from a scheme to a new bucket of fake-gcs-server."""
  with GoogleServer() as server, StorageProxy(server.address) as proxy:
    yield bucket_maker(server, proxy)


@pytest.fixture
def fake_gcs_bucket(new_on_fake_gcs, monkeypatch):
  """Returns a new bucket of fake-gcs-server, where clients find gs:// in this test."""
  bucket = new_on_fake_gcs('gs')
  set_address(monkeypatch, bucket.proxy.address)
  object_store._bucket.cache_clear()
  yield bucket
  object_store._bucket.cache_clear()
