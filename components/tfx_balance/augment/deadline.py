"""A call that is given up when it takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar('Result')


def call_within(seconds: float | None, call: Callable[[], Result]) -> Result:
  """Returns what a call returns, or raises TimeoutError once it has taken longer than it may.

  A call that is given up goes on in a thread that the process does not wait for when it ends: what
  never ends cannot be stopped from outside.

  Args:
    seconds: above 0; None calls at once, in this thread, for as long as it takes.
    call: takes no arguments.
  """
  if seconds is None:
    return call()
  outcome: dict[str, Any] = {}

  def run() -> None:
    try:
      outcome['result'] = call()
    except BaseException as error:
      outcome['error'] = error

  thread = threading.Thread(target=run, name='tfx-balance-augment', daemon=True)
  thread.start()
  thread.join(seconds)
  if thread.is_alive():
    raise TimeoutError(f'not done after {seconds:g} s')
  if 'error' in outcome:
    raise outcome['error']
  return outcome['result']
