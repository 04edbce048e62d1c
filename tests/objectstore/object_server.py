"""Object stores on this machine, which Go builds the first time.

gofakes3 has the interface of S3, and with it the one of Google Cloud Storage that obstore uses,
Google's XML API. fake-gcs-server has Google's other interfaces, and of that one all but multipart
uploads; it takes a PUT where the proxy has made it that of a signed URL. Objects are in the memory
of a server; signatures are not checked.

    python -m tests.objectstore.object_server    # builds what is missing, and runs until Ctrl-C
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from urllib.parse import quote
from xml.etree import ElementTree

from tests.objectstore.go_programs import GoProgram, find_program

_GOFAKES3 = GoProgram('github.com/johannesboyne/gofakes3/cmd/gofakes3', 'v1.2.0')
_FAKE_GCS = GoProgram('github.com/fsouza/fake-gcs-server', 'v1.56.1')
_SECONDS_TO_START = 30
_XML = '{http://s3.amazonaws.com/doc/2006-03-01/}'


class ServerError(Exception):
  """The server does not start; the message says why."""


class ObjectServer:
  """A running gofakes3; a context manager.

  Attributes:
    address: Host and port of the server.
  """

  def __init__(self) -> None:
    self._stack = contextlib.ExitStack()
    self.address = ''

  def __enter__(self) -> ObjectServer:
    try:
      self._start()
    except BaseException:
      self._stack.close()
      raise
    return self

  def __exit__(self, *_: object) -> None:
    self._stack.close()

  def make_bucket(self, bucket: str) -> None:
    """Makes a bucket."""
    self._ask('PUT', bucket)

  def keys(self, bucket: str, prefix: str = '') -> list[str]:
    """Returns the names of all objects of a bucket, or of those that begin with a prefix."""
    keys: list[str] = []
    page = ''
    while True:
      found = self._ask('GET', f'{bucket}?list-type=2&prefix={quote(prefix)}{page}')
      keys += _texts(found, f'{_XML}Contents/{_XML}Key')
      token = _texts(found, f'{_XML}NextContinuationToken')
      if not token:
        return keys
      page = f'&continuation-token={quote(token[0])}'

  def uploads(self, bucket: str) -> list[str]:
    """Returns the objects of which multipart uploads were neither completed nor aborted."""
    try:
      found = self._ask('GET', f'{bucket}?uploads')
    except urllib.error.HTTPError as error:
      if error.code == 404:  # the bucket has never had one
        return []
      raise
    return _texts(found, f'{_XML}Upload/{_XML}Key')

  def read(self, bucket: str, key: str) -> bytes:
    """Returns the bytes of an object."""
    return self._ask('GET', f'{bucket}/{quote(key)}')

  def write(self, bucket: str, key: str, data: bytes) -> None:
    """Writes an object."""
    self._ask('PUT', f'{bucket}/{quote(key)}', data)

  def _command(self) -> list[str]:
    """Returns the command that starts the server at its address."""
    program = str(find_program(_GOFAKES3))
    return [program, '-host', self.address, '-backend', 'memory', '-quiet']

  def _ask(self, method: str, target: str, data: bytes | None = None) -> bytes:
    request = urllib.request.Request(f'http://{self.address}/{target}', data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
      body: bytes = answer.read()
      return body

  def _start(self) -> None:
    with socket.create_server(('127.0.0.1', 0)) as free:
      host, port = free.getsockname()
    self.address = f'{host}:{port}'
    log = self._stack.enter_context(tempfile.TemporaryFile('w+'))  # noqa: SIM115
    command = self._command()
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    self._stack.callback(process.wait)
    self._stack.callback(process.kill)
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
      with contextlib.suppress(OSError):
        socket.create_connection((host, int(port))).close()
        return
      if process.poll() is not None or time.monotonic() > deadline:
        log.seek(0)
        raise ServerError(f'{command[0]} does not start: {log.read()[-500:]}')
      time.sleep(0.05)


class GoogleServer(ObjectServer):
  """A running fake-gcs-server; a context manager."""

  def make_bucket(self, bucket: str) -> None:
    self._ask('POST', 'storage/v1/b?project=test', json.dumps({'name': bucket}).encode())

  def keys(self, bucket: str, prefix: str = '') -> list[str]:
    # Not the XML API, by which only as many are listed as fit on a page.
    found = json.loads(self._ask('GET', f'storage/v1/b/{bucket}/o?prefix={quote(prefix)}'))
    return [each['name'] for each in found.get('items', ())]

  def uploads(self, bucket: str) -> list[str]:
    return []  # it has none

  def write(self, bucket: str, key: str, data: bytes) -> None:
    target = f'upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe="")}'
    self._ask('POST', target, data)

  def _command(self) -> list[str]:
    host, _, port = self.address.partition(':')
    options = ['-scheme=http', '-backend=memory', f'-public-host={self.address}']
    return [str(find_program(_FAKE_GCS)), f'-host={host}', f'-port={port}', *options]


def _texts(xml: bytes, path: str) -> list[str]:
  return [found.text or '' for found in ElementTree.fromstring(xml).iterfind(path)]


if __name__ == '__main__':
  with ObjectServer() as _server:
    print(f'AWS_ENDPOINT_URL=http://{_server.address}', flush=True)
    with contextlib.suppress(KeyboardInterrupt):
      while True:
        time.sleep(1)
