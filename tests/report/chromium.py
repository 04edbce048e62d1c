"""A page opened in headless Chromium, and what came of it: console, errors, requests, a picture.

Chromium is spoken to over a pipe, in its DevTools protocol: that needs no package and no port, and
it tells of the page alone, not of what a browser asks the network for on its own account.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
FLAGS = (
  '--headless=new',
  '--no-sandbox',  # which root does not get; the pages are ours
  '--disable-gpu',
  '--disable-dev-shm-usage',  # a container may have 64 MB of it
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  '--no-first-run',
  '--no-default-browser-check',
  '--hide-scrollbars',
  '--host-resolver-rules=MAP * ~NOTFOUND',  # no test reaches anything, whatever the page asks for
  '--remote-debugging-pipe',
)
# Chromium reads commands from its file number 3 and writes to number 4.
LAUNCH = (
  'import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); '
  'os.execvp(sys.argv[3], sys.argv[3:])'
)
START_SECONDS, ANSWER_SECONDS = 120, 60  # of a machine that does much else besides


def find_chromium() -> str | None:
  """Returns the path of a Chromium or Chrome on PATH; None where there is none."""
  return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(frozen=True)
class Visit:
  """What came of opening a page.

  Attributes:
    console: what was written to the console, errors of the browser's own included.
    exceptions: scripts' errors that nothing caught.
    requests: addresses asked for, but for the page's own.
    title: of the page.
    width: of what is in the page, in pixels.
    screenshot: a PNG of the whole page; empty where none was asked for.
    value: what the script returned; None without one.
  """

  console: tuple[str, ...]
  exceptions: tuple[str, ...]
  requests: tuple[str, ...]
  title: str
  width: int
  screenshot: bytes = b''
  value: Any = None


@dataclass
class Chromium:
  """A running browser."""

  commands: int
  answers: int
  ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
  events: list[dict[str, Any]] = field(default_factory=list)
  buffer: bytes = b''

  def call(
    self, method: str, session: str | None = None, wait: float = ANSWER_SECONDS, **params: Any
  ) -> dict[str, Any]:
    """Returns the answer to a command; events that come before it are kept."""
    number = next(self.ids)
    message = {'id': number, 'method': method, 'params': params}
    if session:
      message['sessionId'] = session
    os.write(self.commands, json.dumps(message).encode() + b'\0')
    end = time.monotonic() + wait
    while True:
      found = self._next(end, method)
      if found.get('id') == number:
        if 'error' in found:
          raise RuntimeError(f'{method}: {found["error"]}')
        return found['result']
      self.events.append(found)

  def until(self, method: str, wait: float = ANSWER_SECONDS) -> None:
    """Waits for an event; what comes before it is kept."""
    end = time.monotonic() + wait
    while not any(event.get('method') == method for event in self.events):
      self.events.append(self._next(end, method))

  def _next(self, end: float, what: str) -> dict[str, Any]:
    while b'\0' not in self.buffer:
      ready, _, _ = select.select([self.answers], [], [], max(end - time.monotonic(), 0))
      data = os.read(self.answers, 1 << 20) if ready else b''
      if not data:
        raise TimeoutError(f'Chromium {"ended" if ready else "did not answer"}: {what}')
      self.buffer += data
    message, self.buffer = self.buffer.split(b'\0', 1)
    return json.loads(message)

  def visit(
    self,
    path: Path | str,
    dark: bool = False,
    width: int = 1100,
    screenshot: bool = False,
    media: str = '',
    script: str = '',
  ) -> Visit:
    """Returns what comes of opening a file.

    Args:
      path: of an HTML file.
      dark: whether the person likes dark pages.
      width: of the window.
      screenshot: whether to take a picture.
      media: 'print' to see the page as it is printed.
      script: JavaScript to evaluate once the page is there, before the picture.
    """
    target = self.call('Target.createTarget', url='about:blank')['targetId']
    attached = self.call('Target.attachToTarget', targetId=target, flatten=True)
    session = attached['sessionId']
    self.events.clear()
    for domain in ('Page', 'Runtime', 'Log', 'Network'):
      self.call(f'{domain}.enable', session)
    scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
    self.call('Emulation.setEmulatedMedia', session, media=media, features=[scheme])
    size = {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': False}
    self.call('Emulation.setDeviceMetricsOverride', session, **size)
    page = Path(path).absolute().as_uri()
    self.call('Page.navigate', session, url=page)
    self.until('Page.loadEventFired')
    # Two frames later, events of what the page does after its load are here.
    self._evaluate(session, 'new Promise(r => requestAnimationFrame(() => setTimeout(r, 100)))')
    title = self._evaluate(session, 'document.title')
    content_width = self._evaluate(session, 'document.documentElement.scrollWidth')
    value = self._evaluate(session, script) if script else None
    image = b''
    if screenshot:
      shot = self.call('Page.captureScreenshot', session, captureBeyondViewport=True)
      image = base64.b64decode(shot['data'])
    found = Visit(
      tuple(console_lines(self.events)),
      tuple(exception_lines(self.events)),
      tuple(url for url in requested(self.events) if url != page),
      title,
      content_width,
      image,
      value,
    )
    self.call('Target.closeTarget', targetId=target)
    return found

  def _evaluate(self, session: str, script: str) -> Any:
    answer = self.call(
      'Runtime.evaluate', session, expression=script, awaitPromise=True, returnByValue=True
    )
    return answer['result'].get('value')


def console_lines(events: list[dict[str, Any]]) -> Iterator[str]:
  """Yields what was logged, by scripts and by the browser."""
  for event in events:
    if event.get('method') == 'Log.entryAdded':
      entry = event['params']['entry']
      yield f'{entry["level"]}: {entry["text"]} {entry.get("url", "")}'
    elif event.get('method') == 'Runtime.consoleAPICalled':
      params = event['params']
      yield f'{params["type"]}: {" ".join(str(a.get("value")) for a in params["args"])}'


def exception_lines(events: list[dict[str, Any]]) -> Iterator[str]:
  """Yields the errors that nothing caught."""
  for event in events:
    if event.get('method') == 'Runtime.exceptionThrown':
      details = event['params']['exceptionDetails']
      yield details.get('exception', {}).get('description', details['text'])


def requested(events: list[dict[str, Any]]) -> Iterator[str]:
  """Yields the addresses that the page asked for, its own among them."""
  for event in events:
    if event.get('method') == 'Network.requestWillBeSent':
      yield event['params']['request']['url']
    elif event.get('method') == 'Network.webSocketCreated':
      yield event['params']['url']


@contextlib.contextmanager
def chromium() -> Iterator[Chromium]:
  """Runs a browser with a profile of its own, and ends it."""
  program = find_chromium()
  if program is None:
    raise FileNotFoundError(
      f'none of {", ".join(NAMES)} is on PATH; run these tests by `make test-browser`, which gets '
      f'one or says what to install'
    )
  with tempfile.TemporaryDirectory(prefix='chromium-', ignore_cleanup_errors=True) as profile:
    (their_in, our_out), (our_in, their_out) = (_high(os.pipe()), _high(os.pipe()))
    environment = {**os.environ, 'HOME': profile, 'XDG_CONFIG_HOME': profile}
    log = Path(profile, 'log')
    launch = (sys.executable, '-c', LAUNCH, str(their_in), str(their_out))
    with log.open('wb') as stderr:
      process = subprocess.Popen(
        [*launch, program, *FLAGS, f'--user-data-dir={profile}/data', 'about:blank'],
        pass_fds=(their_in, their_out),
        stdin=subprocess.DEVNULL,
        stdout=stderr,
        stderr=stderr,
        env=environment,
        start_new_session=True,
      )
    os.close(their_in)
    os.close(their_out)
    browser = Chromium(our_out, our_in)
    try:
      try:
        browser.call('Browser.getVersion', wait=START_SECONDS)
      except (OSError, TimeoutError) as error:
        log_text = log.read_text(errors='replace')[-2000:]
        raise RuntimeError(f'{program} did not start: {error}\n{log_text}') from error
      yield browser
    finally:
      with contextlib.suppress(OSError, RuntimeError, TimeoutError):
        browser.call('Browser.close', wait=10)
      os.close(our_out)
      os.close(our_in)
      try:
        process.wait(timeout=20)
      except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _high(pipe: tuple[int, int]) -> tuple[int, int]:
  """Returns a pipe whose file numbers are none that Chromium is given."""
  moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipe)
  for end in pipe:
    os.close(end)
  return moved[0], moved[1]
