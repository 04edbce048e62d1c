"""Folders of this machine that no other user reads or replaces, deleted also where a run is killed.

As long as its process lives, it holds a lock on a file of the folder. One whose lock is free is of
a process that ended without deleting it, and the next one of the same user that makes a folder does
so at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import logging
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator

PREFIX = 'tfx-balance-work-'
LOCK = 'tfx-balance.lock'
_FILES = 'files'
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
  """Makes a folder in the temporary folder, for this user alone, and deletes it in the end.

  Those that processes of this user left are deleted first.

  Raises:
    OSError: if it cannot be made.
  """
  root = tempfile.gettempdir()
  _delete_left(root)
  made, folder = tempfile.mkdtemp(prefix='.tfx-balance-'), f'{root}/{PREFIX}{uuid.uuid4().hex}'
  lock = os.open(f'{made}/{LOCK}', os.O_CREAT | os.O_RDWR, 0o600)
  try:
    with contextlib.suppress(OSError):  # without locks there, others cannot lock it either
      fcntl.flock(lock, fcntl.LOCK_EX)
    os.mkdir(f'{made}/{_FILES}')
    os.rename(made, folder)  # others look for this name: what has it is locked
    yield f'{folder}/{_FILES}'
  finally:
    _delete(made)
    _delete(folder)
    os.close(lock)


def _delete_left(root: str) -> None:
  """Deletes the folders whose processes have ended; nothing that is a link or another user's."""
  for folder in glob.glob(f'{glob.escape(root)}/{PREFIX}*'):
    with contextlib.suppress(OSError):  # in use, or just being deleted by another process
      about = os.lstat(folder)
      if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        continue
      lock = os.open(f'{folder}/{LOCK}', os.O_RDWR | os.O_NOFOLLOW)
      try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _log.info('%s: a process that has ended left it; deleted', folder)
        _delete(folder)
      finally:
        os.close(lock)


def _delete(folder: str) -> None:
  """Deletes a folder, its lock last: what is left of an interrupted deletion is deleted later."""
  for each in (f'{folder}/{_FILES}', folder):
    shutil.rmtree(each, ignore_errors=True)
