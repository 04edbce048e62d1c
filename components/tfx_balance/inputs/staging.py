"""Copies on this machine of what TensorFlow cannot open: objects of S3 and MinIO."""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import os
from concurrent.futures import ThreadPoolExecutor

from tfx_balance.errors import ConfigError, DataError
from tfx_balance.tfrecord.object_store import S3_PREFIXES
from tfx_balance.tfrecord.private_folder import private_folder
from tfx_balance.tfrecord.storage import copy, storage_of

SPECIAL = frozenset('*?[\\')
"""Characters that make a path a pattern."""
_COPIES_AT_A_TIME = 8
_GIVEN: dict[str, str] = {}  # path of each copy to the path of its original


def staged(path: str) -> str:
  """Returns where TensorFlow can read a file or a folder: the path itself, or a copy.

  An object of S3 is copied to a private folder of this machine, and a folder with all that is below
  it, once a process. The copies are deleted when the process ends, or where it is killed by the
  next one that makes such a folder.

  Raises:
    DataError: if it is not there or cannot be read.
  """
  return _copied(path.rstrip('/')) if path.startswith(S3_PREFIXES) else path


def given_path(path: str) -> str:
  """Returns the path of what a copy is of, for messages; any other path as it is."""
  for copied, given in _GIVEN.items():
    if path.startswith(copied):
      return f'{given}{path.removeprefix(copied)}'
  return path


def staged_pattern(pattern: str) -> str:
  """Returns a path or a pattern of files as `staged` does; the pattern's folder is copied.

  Raises:
    ConfigError: if a folder in S3 has characters of a pattern.
    DataError: if it is not there or cannot be read.
  """
  folder, name = os.path.split(pattern)
  if not pattern.startswith(S3_PREFIXES) or not set(pattern) & SPECIAL:
    return staged(pattern)
  if set(folder) & SPECIAL:
    raise ConfigError(
      f'{pattern} has a pattern in a folder of S3; name the folder, or each of them'
    )
  return os.path.join(staged(folder), name)


@functools.cache
def _copied(path: str) -> str:
  storage = storage_of(path)
  try:
    found = list(storage.times(path)) or [path]
    with contextlib.ExitStack() as stack:
      target = os.path.join(stack.enter_context(private_folder()), os.path.basename(path))
      with ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
        list(pool.map(copy, found, [f'{target}{each.removeprefix(path)}' for each in found]))
      atexit.register(stack.pop_all().close)
  except OSError as error:
    fix = (
      'set TMPDIR to a folder with room for it'
      if error.errno == errno.ENOSPC
      else 'check that it exists'
    )
    raise DataError(f'{path} cannot be read ({error}); {fix}') from error
  _GIVEN[target] = path
  return target
