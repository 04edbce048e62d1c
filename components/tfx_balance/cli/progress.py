"""Progress of a command on standard error: what it does, and how much of it is done."""

from __future__ import annotations

import contextlib
import sys
import time

EVERY = 1.0  # seconds between two lines


class Progress(contextlib.AbstractContextManager['Progress']):
  """Prints a step's share of bytes or files that is done, from its first second on.

  On a terminal the line is rewritten; in a file there is one line every ten seconds.
  """

  def __init__(self, title: str, total: int):
    """Starts a step of `total` bytes or files."""
    self._title, self._total, self._done = title, total, 0
    self._terminal = sys.stderr.isatty()
    self._printed, self._wide = time.monotonic(), 0

  def __exit__(self, *error: object) -> None:
    if self._wide:
      print('\r' + ' ' * self._wide, end='\r', file=sys.stderr, flush=True)

  def add(self, n: int) -> None:
    """Counts so many more as done."""
    self._done += n
    now = time.monotonic()
    if now - self._printed < (EVERY if self._terminal else 10 * EVERY):
      return
    self._printed = now
    share = min(self._done / max(self._total, 1), 1)
    line = f'{self._title}: {share:4.0%}'
    if self._terminal:
      self._wide = len(line)
      print(f'\r{line}', end='', file=sys.stderr, flush=True)
    else:
      print(line, file=sys.stderr, flush=True)
