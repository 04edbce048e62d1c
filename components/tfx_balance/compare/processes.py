"""Calls in other processes, whose data no other user of the machine reads or replaces."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import joblib

from tfx_balance.errors import StorageError
from tfx_balance.tfrecord.private_folder import private_folder

_WATCH_SECONDS = 0.5

R = TypeVar('R')


def call_in_processes(
  call: Callable[[Any, Any], R], data: Any, tasks: Iterable[Any], processes: int
) -> Iterator[R]:
  """Yields the results of a function of the data and each task, in the order of the tasks.

  The data go to the processes by one file, which they map into memory, in a folder that only this
  user can open; joblib would use /dev/shm, where other users of the machine can read them. The
  processes end with this one, however that ends.

  Args:
    call: Function of the data and a task that cloudpickle can pickle.
    data: Arrays, or what contains them, that joblib can write.
    tasks: Second arguments of the calls.
    processes: Number of processes.

  Raises:
    StorageError: if the temporary folder has no room for the data.
  """
  with private_folder() as folder:
    path = f'{folder}/data'
    try:
      joblib.dump(data, path)
    except OSError as error:
      raise StorageError(
        f'the data cannot be written for {processes} processes: {error} ({folder}); free some '
        f'space, set TMPDIR to a folder on another disk, or give processes=1'
      ) from error
    # Loky's thread ends in a KeyError if calls wait in its queue while an error ends the processes;
    # no more calls are sent than run at a time, so that none waits.
    pool = joblib.Parallel(
      processes, return_as='generator', pre_dispatch='n_jobs', batch_size=1, max_nbytes=None
    )
    cores = max(joblib.cpu_count() // processes, 1)
    yield from pool(joblib.delayed(_called)(call, path, os.getpid(), cores, task) for task in tasks)


def _called(call: Callable[[Any, Any], R], path: str, parent: int, cores: int, task: Any) -> R:
  """Returns the result of a function, in a process that ends when its parent does."""
  _end_with(parent)
  # joblib limits OpenMP; LightGBM and n_jobs=-1 take the number of cores that this tells joblib.
  os.environ['LOKY_MAX_CPU_COUNT'] = str(cores)
  return call(_loaded(path), task)


@functools.lru_cache(maxsize=1)
def _loaded(path: str) -> Any:
  return joblib.load(path, mmap_mode='r')


@functools.cache
def _end_with(parent: int) -> None:
  """Ends this process once its parent has ended, which a killed one cannot do."""

  def watch() -> None:
    while os.getppid() == parent:
      time.sleep(_WATCH_SECONDS)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()
