"""Buckets of a server that is reached through a proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.objectstore.object_server import ObjectServer
from tests.objectstore.storage_proxy import Settings, StorageProxy, Traffic


@dataclass(frozen=True)
class Bucket:
  """A new bucket, reached through the proxy.

  Attributes:
    name: Its name.
    scheme: Scheme of its paths: s3, minio or gs.
    server: The server that it is on.
    proxy: The proxy that clients go through.
  """

  name: str
  scheme: str
  server: ObjectServer
  proxy: StorageProxy

  @property
  def uri(self) -> str:
    """Its path, without a slash at the end."""
    return f'{self.scheme}://{self.name}'

  def keys(self, prefix: str = '') -> list[str]:
    """Returns the names of its objects, past the proxy."""
    return self.server.keys(self.name, prefix)

  def read(self, key: str) -> bytes:
    """Returns the bytes of an object, past the proxy."""
    return self.server.read(self.name, key)

  def write(self, key: str, data: bytes) -> None:
    """Writes an object, past the proxy."""
    self.server.write(self.name, key, data)

  def uploads(self) -> list[str]:
    """Returns the objects of which multipart uploads are left."""
    return self.server.uploads(self.name)

  def meddle(self, **settings) -> None:
    """Sets what the proxy does from now on, and has it count anew."""
    self.proxy.set(Settings(**settings))

  def traffic(self) -> Traffic:
    """Returns what went through since the last call of `meddle`."""
    return self.proxy.traffic()


def set_address(patch: pytest.MonkeyPatch, address: str) -> None:
  """Sets an address as that of S3, MinIO and GCS in the environment, with keys."""
  url = f'http://{address}'
  for name in ('AWS_ENDPOINT_URL_S3', 'AWS_SESSION_TOKEN', 'GOOGLE_APPLICATION_CREDENTIALS'):
    patch.delenv(name, raising=False)
  patch.setenv('AWS_ENDPOINT_URL', url)
  patch.setenv('AWS_ACCESS_KEY_ID', 'test-access-key')
  patch.setenv('AWS_SECRET_ACCESS_KEY', 'test-secret-key')
  patch.setenv('AWS_REGION', 'us-east-1')
  patch.setenv('AWS_ALLOW_HTTP', 'true')
  patch.setenv('GOOGLE_BASE_URL', url)
  patch.setenv('GOOGLE_BEARER_TOKEN', 'test-token')  # without one the metadata server is asked


def bucket_maker(server: ObjectServer, proxy: StorageProxy) -> Callable[..., Bucket]:
  """Returns a function from a scheme to a new bucket; the proxy then counts and does no more."""
  names = iter(range(1_000_000))

  def make(scheme: str = 's3') -> Bucket:
    name = f'bucket{next(names)}'  # the server finds no source of a copy by an escaped name
    server.make_bucket(name)
    proxy.set(Settings())
    return Bucket(name, scheme, server, proxy)

  return make
