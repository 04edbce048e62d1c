"""The folder of a run's work files: deleted at its end, or by a later run where it was killed.

In the temporary folder of the machine it is a private folder. Elsewhere workers may be on other
machines: as long as a run lives it writes a small file in its folder once a minute. A folder in
which nothing has been written for a day is that of a run which was killed, and the next run of the
component deletes it. One in the artifact that is to be written is of an earlier attempt at the same
execution, and goes at once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posixpath
import re
import resource
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence

from absl import logging

from tfx_balance.errors import ConfigError, StorageError, chain_of
from tfx_balance.tfrecord.files import GZIP_SUFFIX
from tfx_balance.tfrecord.private_folder import private_folder
from tfx_balance.tfrecord.storage import is_local, storage_of
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file, open_as_is

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# As an error of another process, or inside of another error, has it in its text.
_IN_TEXT = re.compile(rf'(?:\[Errno |Error\()({"|".join(map(str, _NO_ROOM))})[\],]')
PREFIX = '.work'
HEARTBEAT = 'heartbeat.json'
BEAT_SECONDS = 60.0
STALE_HOURS = 24.0
STALE_VARIABLE = 'TFX_BALANCE_STALE_AFTER_HOURS'
"""Environment variable; not an argument, since it changes nothing of what is written."""
WORK_VARIABLE = 'TFX_BALANCE_WORK_DIR'
"""Environment variable with a folder for work files; likewise."""
MIN_STALE_HOURS = 0.1
"""Six heartbeats: a run that is merely slow to write one is alive."""

_OURS = re.compile(rf'{re.escape(PREFIX)}-[0-9a-f]{{32}}')  # as `new_work_file` names it


@contextlib.contextmanager
def work_folder(
  output_uri: str, input_paths: Sequence[str] = (), one_machine: bool = True
) -> Iterator[str]:
  """Makes a folder for work files, and deletes it in the end; see `work_root` for where.

  In an artifact it is outside `Split-*`, where nothing reads it. Folders of runs that were killed
  are deleted first, and of an artifact in an object store what an earlier attempt at the same
  execution wrote. If the run fails, so is what it wrote itself.

  Args:
    output_uri: Root of the artifact.
    input_paths: Paths of the files that are read, for an error that says how much room is needed.
    one_machine: Whether all that work on the run are processes of this machine.

  Raises:
    ConfigError: if the environment has no number of hours where it names them.
    StorageError: if a disk is full.
  """
  stale_seconds = stale_hours() * 3600
  root = work_root(output_uri, one_machine)
  for folder in work_folders(output_uri):
    delete_folder(folder)
  delete_output(output_uri)
  made = _living_folder(root, output_uri, stale_seconds, one_machine) if root else private_folder()
  folder = ''
  with contextlib.ExitStack() as stack:
    try:
      folder = stack.enter_context(made)
      yield folder
    except BaseException as error:
      number = no_room(error) if isinstance(error, Exception) else None
      fault = number and StorageError(describe(number, output_uri, folder, input_paths))
      delete_output(output_uri)
      if fault:
        raise fault from error
      raise


@contextlib.contextmanager
def _living_folder(
  root: str, output_uri: str, stale_seconds: float, one_machine: bool
) -> Iterator[str]:
  """Makes a folder that has a heartbeat, and deletes it in the end."""
  folder = new_work_file(root, PREFIX)
  try:
    if one_machine and is_local(root):
      os.makedirs(root, exist_ok=True)
      os.mkdir(folder, 0o700)  # all workers have this user's id
    with contextlib.suppress(OSError):  # there may be room without stale folders
      _write_heartbeat(folder)
    _delete_stale(folder, root, output_uri, stale_seconds)
    with _heartbeat(folder):
      yield folder
  finally:
    delete_folder(folder)


def work_root(output_uri: str, one_machine: bool) -> str:
  """Returns the folder in which a run makes the folder of its work files, and logs why.

  That is what the environment names, else the artifact, where every worker reaches them and a move
  is one step; but for an artifact in an object store that is written by one machine's processes it
  is the temporary folder of that machine: ''.
  """
  given = os.environ.get(WORK_VARIABLE)
  if given:
    root, why = given.rstrip('/'), f'{WORK_VARIABLE} names it'
  elif one_machine and not storage_of(output_uri).renames:
    root, why = '', f'only processes of this machine work; {WORK_VARIABLE} changes it'
  else:
    root, why = output_uri.rstrip('/'), 'every worker reaches the artifact'
  logging.info('work files are in %s: %s', root or tempfile.gettempdir(), why)
  return root


def delete_output(output_uri: str) -> None:
  """Deletes the files of an artifact that an unfinished attempt wrote to an object store.

  On a filesystem there is nothing: files are moved there at the end.
  """
  storage = storage_of(output_uri)
  if storage.renames or not storage.is_folder(output_uri):
    return
  for name in storage.names(output_uri):
    path = f'{output_uri.rstrip("/")}/{name}'
    if name.startswith('Split-'):
      delete_folder(path)
    elif name.endswith('.json'):
      storage.delete(path)


def stale_hours() -> float:
  """Returns after how many hours of silence a run counts as killed.

  Raises:
    ConfigError: if the environment says something else than a number, or too low a one.
  """
  text = os.environ.get(STALE_VARIABLE, str(STALE_HOURS))
  with contextlib.suppress(ValueError):
    if float(text) >= MIN_STALE_HOURS:
      return float(text)
  raise ConfigError(
    f'{STALE_VARIABLE}={text!r} is not a number of hours, {MIN_STALE_HOURS} or more; '
    f'set it to one, or unset it for {STALE_HOURS:g}'
  )


def work_folders(root: str) -> dict[str, float]:
  """Returns the work folders in a folder, and for each when something was last written there.

  Args:
    root: Root of an artifact, or another folder that work folders are in.

  Returns:
    Path to seconds, by the clock of the filesystem; 0 where it is not known.
  """
  storage = storage_of(root)
  try:
    names = [name for name in storage.names(root) if _OURS.fullmatch(name)]
  except OSError:  # no folder, or just being deleted
    return {}
  folders = [posixpath.join(root, name) for name in names]
  return {folder: max(storage.times(folder).values(), default=0.0) for folder in folders}


def delete_folder(folder: str) -> None:
  """Deletes a folder and what is in it, or logs why that cannot be done."""
  try:
    storage_of(folder).delete_folder(folder)
  except FileNotFoundError:
    pass
  except OSError as error:
    logging.warning('%s could not be deleted, delete it by hand: %s', folder, error)


def _delete_stale(mine: str, root: str, output_uri: str, stale_seconds: float) -> None:
  """Deletes the folders of runs that were killed; they may be in all artifacts of the output."""
  roots = [root]
  if root == output_uri.rstrip('/'):
    above = posixpath.dirname(root)
    roots = [posixpath.join(above, name) for name in storage_of(above).names(above)]
  found: dict[str, float] = {}
  for each in roots:
    found |= work_folders(each)
  now = found.get(mine, 0)  # what was written just now: the filesystem's clock, not this machine's
  for folder, changed in found.items():
    if 0 < changed < now - stale_seconds:
      hours = (now - changed) / 3600
      logging.info('%s: a run that is silent for %.1f hours left it; deleted', folder, hours)
      delete_folder(folder)


@contextlib.contextmanager
def _heartbeat(folder: str, seconds: float = BEAT_SECONDS) -> Iterator[None]:
  """Writes the heartbeat now, and from time to time until the `with` ends."""
  ended = threading.Event()

  def beat() -> None:
    while not ended.wait(seconds):
      try:
        _write_heartbeat(folder)
      except OSError as error:  # if the disk is full, a later write raises
        logging.warning('no heartbeat in %s: %s', folder, error)

  _write_heartbeat(folder)
  thread = threading.Thread(target=beat, name='tfx-balance-heartbeat', daemon=True)
  thread.start()
  try:
    yield
  finally:
    ended.set()
    thread.join()


def _write_heartbeat(folder: str) -> None:
  """Writes who works in a folder; where there are no folders, that is what makes it."""
  about = {
    'run': posixpath.basename(folder).removeprefix(f'{PREFIX}-'),
    'host': socket.gethostname(),
    'process': os.getpid(),
  }
  with create_as_is(f'{folder}/{HEARTBEAT}') as file:
    file.write(json.dumps(about).encode())


def no_room(error: BaseException) -> int | None:
  """Returns the error number of a lack of room, if that is what led to an error."""
  for link in chain_of(error):
    if isinstance(link, OSError) and link.errno in _NO_ROOM:
      return link.errno
    found = _IN_TEXT.search(str(link))
    if found:
      return int(found[1])
  return None


def describe(number: int, output_uri: str, work_dir: str, input_paths: Sequence[str]) -> str:
  """Returns the message of a full disk: the limit, the bytes that it needs, and the fix."""
  failed = f'{output_uri} cannot be written: {os.strerror(number)}'
  if number == errno.EFBIG:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    size = 'that of a worker or of the file system' if limit < 0 else f'{limit:,} bytes'
    return (
      f"{failed} (the limit of a file's size is {size}); raise it (`ulimit -f`, RLIMIT_FSIZE), or "
      'use a file system for larger files, and run again'
    )
  parts, fix = [], 'free that much of the quota, or have it raised'
  if number == errno.ENOSPC:
    _, place, free = _least_room(output_uri, work_dir or tempfile.gettempdir())
    parts += [f'{free} free in {place}'] if free else []
    inside = place == output_uri
    root = 'put the pipeline root' if inside else f'set TMPDIR or {WORK_VARIABLE} to a folder'
    fix = f'free that much on its disk or quota, or {root} on a larger one'
  with contextlib.suppress(OSError):
    used = sum(entry.stat().st_size for entry in os.scandir(work_dir))
    parts.append(f'the files in the making had {used:,}')
  needed = needed_bytes(input_paths)
  if needed:
    parts.append(f'this input needs about {needed:,}, and room for copies where any are made')
  return f'{failed} ({"; ".join(parts) or "how much is not known"}); {fix}, and run again'


def _least_room(output_uri: str, work_dir: str) -> tuple[int, str, str]:
  """Returns the bytes that are free on the fullest disk that is written, where, and in words."""
  rooms = []
  for folder in (output_uri, work_dir):
    with contextlib.suppress(OSError):
      about = os.statvfs(folder)
      n_bytes, full = about.f_bavail * about.f_frsize, about.f_files and not about.f_favail
      words = 'no more files (inodes) are' if full else f'{n_bytes:,} bytes are'
      place = output_uri if folder.startswith(output_uri) else folder
      rooms.append((0 if full else n_bytes, place, words))
  return min(rooms, default=(0, output_uri, ''))


def needed_bytes(paths: Sequence[str]) -> int:
  """Returns about how many bytes it takes to write some files anew; 0 where that is not known.

  Records lie decompressed in work files until the output, of about the input's size, is whole.
  """
  needed = 0
  with contextlib.suppress(OSError):
    for path in paths:
      with open_as_is(path) as file:
        size = file.seek(0, os.SEEK_END)
        records = size
        if path.endswith(GZIP_SUFFIX) and size >= 4:
          file.seek(-4, os.SEEK_END)
          records = int.from_bytes(file.read(4), 'little')  # modulo 2**32, of the last member
      needed += size + max(records, size)
    return needed
  return 0
