"""Several calls at a time, their results in order: for calls that release the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

MAX_THREADS = 4
"""Threads of one step: each holds a batch and its result, and other steps may run beside it."""

Item = TypeVar('Item')
Result = TypeVar('Result')


def n_threads() -> int:
  """Returns the number of threads that this process can keep busy, at most MAX_THREADS."""
  usable = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  return min(usable or 1, MAX_THREADS)


def map_in_order(
  call: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
  """Yields the result of the call of each item, in the order of the items.

  Items are taken as results are: so many of both are held at a time as there are threads, and one.

  Args:
    call: Function that may run in several threads at a time.
    items: Arguments, taken in the caller's thread.
    threads: Number of threads.

  Raises:
    What the call of the first item that fails raises; no further items are taken.
  """
  if threads < 2:
    yield from map(call, items)
    return
  running: deque[Future[Result]] = deque()
  with ThreadPoolExecutor(threads, 'tfx-balance') as pool:
    try:
      for item in items:
        running.append(pool.submit(call, item))
        if len(running) > threads:
          yield running.popleft().result()
      while running:
        yield running.popleft().result()
    finally:
      for future in running:
        future.cancel()
