"""Runs in processes of their own, forked from one that has imported everything and done nothing."""

from __future__ import annotations

import os
import pickle
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HANG_SECONDS = 300.0


@dataclass(frozen=True)
class Ended:
  """How a run ended.

  Attributes:
    how: 'done', 'error', 'killed' or 'hung'.
    result: what the function returned, or the text of its error.
    kind: the name of the error's class.
    seconds: from the first line of the function.
  """

  how: str
  result: Any = None
  kind: str = ''
  seconds: float = 0.0


def run_in_child(
  call: Callable[[], Any], kill_after: float | None = None, loud: bool = False
) -> Ended:
  """Returns how a call ended in a child process.

  Args:
    call: what to run; its result is pickled.
    kill_after: so many seconds, if it still runs then.
    loud: whether it may print, and take as long as it takes.
  """
  read, write = os.pipe()
  sys.stdout.flush()
  pid = os.fork()
  if not pid:
    _child(call, read, write, loud)
  os.close(write)
  with os.fdopen(read, 'rb') as pipe:
    assert pipe.read(1) == b's'
    started = time.monotonic()
    wait = HANG_SECONDS if kill_after is None and not loud else kill_after
    ready, _, _ = select.select([pipe], [], [], wait)
    if not ready:
      os.kill(pid, signal.SIGKILL)
    outcome = pipe.read() if ready else b''
  os.waitpid(pid, 0)
  seconds = time.monotonic() - started
  if not ready:
    return Ended('hung' if kill_after is None else 'killed', seconds=seconds)
  if not outcome:
    return Ended('killed', seconds=seconds)
  how, kind, result = pickle.loads(outcome)
  return Ended(how, result, kind, seconds)


def _child(call: Callable[[], Any], read: int, write: int, loud: bool) -> None:
  """Runs the call, tells what came of it, and ends the process without any clearing up."""
  os.close(read)
  if not loud:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
  with os.fdopen(write, 'wb') as pipe:
    pipe.write(b's')
    pipe.flush()
    try:
      outcome = ('done', '', call())
    except BaseException as error:
      outcome = ('error', type(error).__name__, str(error))
    pipe.write(pickle.dumps(outcome))
  os._exit(0)


class KillAt:
  """Kills this process before or after its n-th change of files.

  Args:
    n: which one, from 0; None only counts them.
    after: whether it is done before the end.
  """

  CHANGES = ('create', 'delete', 'delete_folder')

  def __init__(self, n: int | None, after: bool = False) -> None:
    self.n, self.after, self.count = n, after, 0

  def install(self) -> KillAt:
    """Has this machine's files count."""
    from tfx_balance.tfrecord.storage import LocalFiles

    for name in self.CHANGES:
      setattr(LocalFiles, name, self._counting(getattr(LocalFiles, name)))
    shutil.move = self._counting(shutil.move)
    return self

  def _counting(self, change: Callable[..., Any]) -> Callable[..., Any]:
    def counting(*args: Any, **options: Any) -> Any:
      mine, self.count = self.count, self.count + 1
      if mine == self.n and not self.after:
        os.kill(os.getpid(), signal.SIGKILL)
      result = change(*args, **options)
      if mine == self.n:
        os.kill(os.getpid(), signal.SIGKILL)
      return result

    return counting
