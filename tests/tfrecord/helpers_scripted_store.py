"""An object store in a thread of the test: what it answers to each request, the test says."""

from __future__ import annotations

import functools
import hashlib
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

STALL = None
"""The answer that never comes."""


class Answer(NamedTuple):
  """What is sent back."""

  status: int
  body: bytes = b''
  headers: tuple[tuple[str, str], ...] = ()


class ScriptedStore(ThreadingHTTPServer):
  """A running server; a context manager.

  Attributes:
    requests: Methods of the requests, in order.
    answer: Function of a request that returns an `Answer`, or STALL.
  """

  daemon_threads = True

  def __init__(self, answer: Callable[[BaseHTTPRequestHandler], Answer | None]) -> None:
    super().__init__(('127.0.0.1', 0), _Handler)
    self.answer = answer
    self.requests: list[str] = []
    self.stopped = threading.Event()
    self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

  @property
  def address(self) -> str:
    return f'127.0.0.1:{self.server_port}'

  def __enter__(self) -> ScriptedStore:
    self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    self.stopped.set()
    self.shutdown()
    self._thread.join()
    self.server_close()


class _Handler(BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'
  server: ScriptedStore

  def _answer(self) -> None:
    self.server.requests.append(self.command)
    answer = self.server.answer(self)
    if answer is STALL:
      self.server.stopped.wait()
      self.close_connection = True
      return
    self.rfile.read(int(self.headers.get('Content-Length', 0)))
    self.send_response(answer.status)
    for name, value in answer.headers:
      self.send_header(name, value)
    self.send_header('Content-Length', str(len(answer.body)))
    self.end_headers()
    if self.command != 'HEAD':
      self.wfile.write(answer.body)

  do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

  def log_message(self, *_: object) -> None:
    """Prints nothing."""


def failed(status: int, code: str) -> Answer:
  """Returns an answer of an error, as S3 and GCS write it."""
  return Answer(status, f'<Error><Code>{code}</Code><Message>It failed.</Message></Error>'.encode())


@functools.cache
def _digest(data: bytes) -> bytes:
  return hashlib.md5(data).digest()


def part_of(data: bytes, request: BaseHTTPRequestHandler, kind: str) -> Answer:
  """Returns a range of an object, as servers of several kinds answer.

  Args:
    data: Bytes of the object.
    request: Request of a range.
    kind: 'S3', which heeds If-Match; 'heedless', which does not; 'weak', whose ETags are weak; or
      'without', which has no ETags.
  """
  digest = _digest(data)
  tag = f'"{digest.hex()}"'
  wanted = request.headers.get('If-Match')
  if kind == 'S3' and wanted not in (None, tag):
    return failed(412, 'PreconditionFailed')
  if kind == 'weak' and wanted is not None:  # which no weak tag ever matches
    return failed(412, 'PreconditionFailed')
  start, last = map(int, re.findall(r'\d+', request.headers['Range']))
  if start >= len(data):
    return failed(416, 'InvalidRange')
  body = data[start : last + 1]
  headers = [('Content-Range', f'bytes {start}-{start + len(body) - 1}/{len(data)}')]
  seconds = digest[0] % 60  # another object, another time
  headers.append(('Last-Modified', f'Wed, 21 Oct 2026 07:28:{seconds:02d} GMT'))
  if kind != 'without':
    headers.append(('ETag', f'W/{tag}' if kind == 'weak' else tag))
  return Answer(206, body, tuple(headers))
