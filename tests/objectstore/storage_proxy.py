"""A proxy before an object store: it counts requests and bytes, delays, and injects faults.

It is a process of its own, so that it does not compete for the interpreter of what it observes. One
thread serves one connection of a client through one connection to the server. Plain HTTP/1.1 only.

    python -m tests.objectstore.storage_proxy 127.0.0.1:9000    # prints its own address
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

FAULTS = ('error_500', 'error_503', 'reset', 'reset_in_body', 'reset_after', 'stall')
"""Kinds of faults: an answer of 500 or 503 in the server's place; a connection that is reset before
the request reaches the server, in the middle of the longer body, or when the server has done what
was asked for; one that is silent for some seconds."""

_CONTROL = '/-/'  # no bucket can have this name
_BLOCK = 1 << 18
_ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Settings:
  """What the proxy does to requests.

  Attributes:
    delay: Seconds before each request goes on to the server.
    rates: Share of the requests that meets each kind of fault, from 0 to 1.
    seed: Seed of the faults. The same request meets the same fault the n-th time, in any bucket.
    stall: Seconds for which a stalled connection is silent; it is closed afterwards.
    operations: Operations that faults are restricted to; all if empty.
  """

  delay: float = 0.0
  rates: dict[str, float] = field(default_factory=dict)
  seed: int = 0
  stall: float = 30.0
  operations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Traffic:
  """What has gone through the proxy.

  Attributes:
    requests: Number of requests of each operation: GET, HEAD, PUT, LIST, DELETE, and of multipart
      uploads CREATE, PART, COMPLETE, ABORT. Faulty ones count too.
    bytes_read: Bytes of the bodies that clients were sent, by operation.
    bytes_written: Bytes of the bodies that clients have sent, by operation.
    faults: Number of faults of each kind.
  """

  requests: dict[str, int]
  bytes_read: dict[str, int]
  bytes_written: dict[str, int]
  faults: dict[str, int]


class StorageProxy:
  """A running proxy; a context manager.

  Attributes:
    address: Host and port of the proxy.
  """

  def __init__(self, server: str) -> None:
    self._server = server
    self._process: subprocess.Popen[str] | None = None
    self.address = ''

  def __enter__(self) -> StorageProxy:
    command = [sys.executable, '-m', 'tests.objectstore.storage_proxy', self._server]
    self._process = subprocess.Popen(
      command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert self._process.stdout is not None
    self.address = self._process.stdout.readline().strip()
    return self

  def __exit__(self, *_: object) -> None:
    if self._process:
      self._process.kill()
      self._process.communicate()

  def set(self, settings: Settings) -> None:
    """Sets what is done to requests from now on, and begins to count anew."""
    self._ask('settings', json.dumps(asdict(settings)).encode())

  def traffic(self) -> Traffic:
    """Returns what went through since the last call of `set`."""
    return Traffic(**json.loads(self._ask('traffic')))

  def _ask(self, what: str, data: bytes | None = None) -> bytes:
    url = f'http://{self.address}{_CONTROL}{what}'
    with urllib.request.urlopen(url, data, timeout=30) as answer:
      body: bytes = answer.read()
      return body


def operation(method: str, target: str) -> str:
  """Returns which operation on an object store a request is.

  >>> operation('GET', '/bucket?list-type=2&prefix=a')
  'LIST'
  >>> operation('PUT', '/bucket/key?partNumber=1&uploadId=x')
  'PART'
  >>> operation('GET', '/storage/v1/b/bucket/o/key?alt=media')
  'GET'
  >>> operation('GET', '/storage/v1/b/bucket/o/key')
  'HEAD'
  """
  url = urlsplit(target)
  query = parse_qs(url.query, keep_blank_values=True)
  if 'uploads' in query:
    return {'GET': 'LIST', 'POST': 'CREATE'}.get(method, method)
  if 'uploadId' in query:
    named = {'GET': 'LIST', 'PUT': 'PART', 'POST': 'COMPLETE', 'DELETE': 'ABORT'}
    return named.get(method, method)
  if (method == 'POST' and 'delete' in query) or url.path.startswith('/batch/'):
    return 'DELETE'
  if url.path.startswith(('/upload/', '/resumable/')):
    return 'PUT'
  if re.match(r'/(download/)?storage/v1/', url.path):  # Google's JSON API
    if method == 'GET' and url.path.endswith('/o'):
      return 'LIST'
    return 'HEAD' if method == 'GET' and query.get('alt') != ['media'] else method
  if method == 'GET' and url.path.strip('/').count('/') == 0:
    return 'LIST'
  return method


class _Reset(Exception):
  """The client's connection is to be reset."""


class _Server:
  """The proxy's side of all connections."""

  def __init__(self, host: str, port: int) -> None:
    self._upstream = (host, port)
    self._lock = threading.Lock()
    self._restart(Settings())
    self._listener = socket.create_server(('127.0.0.1', 0), backlog=256)

  @property
  def address(self) -> str:
    host, port = self._listener.getsockname()
    return f'{host}:{port}'

  def serve(self) -> None:
    while True:
      client, _ = self._listener.accept()
      threading.Thread(target=self._connection, args=(client,), daemon=True).start()

  def _restart(self, settings: Settings) -> None:
    with self._lock:
      self.settings = settings
      self._seen: Counter[str] = Counter()
      names = ('requests', 'bytes_read', 'bytes_written', 'faults')
      self._counts: dict[str, Counter[str]] = {name: Counter() for name in names}

  def _count(self, what: str, of: str, n: int = 1) -> None:
    with self._lock:
      self._counts[what][of] += n

  def _connection(self, client: socket.socket) -> None:
    server: socket.socket | None = None
    with contextlib.suppress(OSError, _Reset), contextlib.ExitStack() as stack:
      stack.callback(client.close)
      client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
      requests = stack.enter_context(client.makefile('rb', _BLOCK))
      while head := _Head.read(requests):
        if head.target.startswith(_CONTROL):
          self._control(head, requests, client)
          continue
        if server is None:
          server = socket.create_connection(self._upstream)
          server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
          stack.callback(server.close)
          answers = stack.enter_context(server.makefile('rb', _BLOCK))
        try:
          go_on = self._exchange(head, requests, client, answers, server)
        except _Reset:
          # Pending data and a linger of 0: the client sees ECONNRESET, not an orderly end.
          client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
          raise
        if not go_on:
          return

  def _control(self, head: _Head, requests: BinaryIO, client: socket.socket) -> None:
    body = requests.read(int(head.get('content-length') or 0))
    if head.target.endswith('settings'):
      self._restart(Settings(**json.loads(body)))
    with self._lock:
      answer = json.dumps(self._counts).encode()
    client.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(answer) + answer)

  def _fault(self, head: _Head, kind: str) -> str | None:
    """Returns the fault that a request meets, if any."""
    settings = self.settings
    if not settings.rates or (settings.operations and kind not in settings.operations):
      return None
    # Without the names of bucket and upload, so that a test is the same each time.
    place = re.sub(r'^/[^/?]*|[?&]uploadId=[^&]*', '', head.target)
    key = f'{kind} {place} {head.get("range")}'
    with self._lock:
      self._seen[key] += 1
      nth = self._seen[key]
    drawn = random.Random(f'{settings.seed} {nth} {key}').random()
    for name, rate in settings.rates.items():
      if drawn < rate:
        return name
      drawn -= rate
    return None

  def _exchange(
    self,
    head: _Head,
    requests: BinaryIO,
    client: socket.socket,
    answers: BinaryIO,
    server: socket.socket,
  ) -> bool:
    """Passes one request on and its answer back; returns whether the connection goes on."""
    settings, kind = self.settings, operation(head.method, head.target)
    self._count('requests', kind)
    fault = self._fault(head, kind)
    if fault:
      self._count('faults', fault)
    if settings.delay:
      time.sleep(settings.delay)
    if fault == 'reset':
      raise _Reset
    if (head.get('expect') or '').lower() == '100-continue':
      client.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
    n_sent = head.body_length()
    if fault == 'reset_in_body' and n_sent:
      requests.read(n_sent // 2)
      raise _Reset
    if fault in ('error_500', 'error_503'):
      for _ in head.body(requests):
        pass
      name = {'error_500': 'Internal Server Error', 'error_503': 'Service Unavailable'}[fault]
      client.sendall(
        b'HTTP/1.1 %s %s\r\nContent-Length: 0\r\n\r\n' % (fault[-3:].encode(), name.encode())
      )
      return True
    server.sendall(head.for_server('{}:{}'.format(*self._upstream)))
    for block in head.body(requests):
      server.sendall(block)
      self._count('bytes_written', kind, len(block))
    if fault == 'stall' and n_sent:
      time.sleep(settings.stall)
      raise _Reset
    answer = _Head.read(answers)
    if answer is None:
      raise _Reset
    if fault == 'reset_after' and head.method != 'GET':
      raise _Reset
    broken = fault in ('reset_in_body', 'reset_after', 'stall')
    half = answer.body_length(head.method) // 2 if broken else None
    client.sendall(answer.for_client(head.method))
    for block in answer.body(answers, head.method):
      if half is not None and len(block) >= half:
        client.sendall(block[:half])
        if fault == 'stall':
          time.sleep(settings.stall)
        raise _Reset
      client.sendall(block)
      half = None if half is None else half - len(block)
      self._count('bytes_read', kind, len(block))
    if half is not None:  # an answer without a body, whose head was sent
      raise _Reset
    return (answer.get('connection') or '').lower() != 'close'


@dataclass(frozen=True)
class _Head:
  """The head of a request or of an answer.

  Attributes:
    raw: All its bytes, the empty line included.
    first: The three words of its first line.
    fields: Its fields by lower-case name.
  """

  raw: bytes
  first: tuple[str, str, str]
  fields: dict[str, str]

  @classmethod
  def read(cls, stream: BinaryIO) -> _Head | None:
    """Returns the next head, or None at the end; answers of 100 are skipped."""
    while True:
      lines: list[bytes] = []
      while (line := stream.readline(1 << 16)) not in (b'\r\n', b''):
        lines.append(line)
      if not lines or not line:
        return None
      words = lines[0].decode('latin-1').split(maxsplit=2)
      if words[1] == '100' and words[0].startswith('HTTP/'):
        continue
      named = (text.decode('latin-1').partition(':') for text in lines[1:])
      fields = {name.strip().lower(): value.strip() for name, _, value in named}
      first = (words[0], words[1], words[2].strip() if len(words) > 2 else '')
      return cls(b''.join(lines) + line, first, fields)

  @property
  def method(self) -> str:
    return self.first[0]

  @property
  def target(self) -> str:
    return self.first[1]

  def get(self, name: str) -> str | None:
    return self.fields.get(name)

  def for_server(self, host: str) -> bytes:
    """Returns the head without what the proxy has answered, and as a server on a host knows it."""
    raw = re.sub(rb'(?im)^host:[^\r]*', b'Host: ' + host.encode(), self.raw)
    raw = re.sub(rb'(?im)^expect:[^\n]*\n', b'', raw)
    raw = re.sub(rb'(?im)^x-goog-copy-source:', b'x-amz-copy-source:', raw)
    if (self.get('authorization') or '').startswith('Bearer '):
      # fake-gcs-server takes a PUT of the XML API as that of a signed URL only.
      raw = re.sub(rb'^(PUT [^ ?]+) ', rb'\1?X-Goog-Algorithm=GOOG4-RSA-SHA256 ', raw)
    return raw

  def for_client(self, method: str) -> bytes:
    """Returns the head with what Google answers to a PUT, also where the server does not."""
    if method != 'PUT' or self.get('etag'):
      return self.raw
    return self.raw.replace(b'\r\n', b'\r\nETag: "none"\r\n', 1)

  def body_length(self, method: str = '') -> int:
    """Returns the length of the body in bytes; 0 where it is not told in advance."""
    if method == 'HEAD' or self.first[1] in ('204', '304'):
      return 0
    return int(self.get('content-length') or 0)

  def body(self, stream: BinaryIO, method: str = ''):
    """Yields the bytes of the body as they are on the wire."""
    chunked = 'chunked' in (self.get('transfer-encoding') or '')
    if chunked and method != 'HEAD':
      while True:
        size = stream.readline(1 << 16)
        n = int(size.split(b';')[0] or b'0', 16)
        if not n:
          lines = [size]
          while (line := stream.readline(1 << 16)) not in (b'\r\n', b''):
            lines.append(line)
          yield b''.join(lines) + line
          return
        yield size + _exactly(stream, n + 2)
    is_answer = self.first[0].startswith('HTTP/')
    if is_answer and method != 'HEAD' and self.get('content-length') is None:
      if self.first[1] not in ('204', '304'):
        yield from iter(lambda: stream.read(_BLOCK), b'')
      return
    left = self.body_length(method)
    block = memoryview(bytearray(min(left, _BLOCK)))
    while left:
      n = stream.readinto(block[: min(left, _BLOCK)])  # type: ignore[attr-defined]
      if not n:
        raise _Reset
      yield block[:n]
      left -= n


def _exactly(stream: BinaryIO, n: int) -> bytes:
  data = stream.read(n)
  if len(data) < n:
    raise _Reset
  return data


if __name__ == '__main__':
  _host, _, _port = sys.argv[1].rpartition(':')
  _server = _Server(_host, int(_port))
  print(_server.address, flush=True)
  threading.Thread(target=_server.serve, daemon=True).start()
  sys.stdin.read()  # ends with the process that started it
