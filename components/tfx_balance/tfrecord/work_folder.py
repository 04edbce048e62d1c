"""The folder of a run's work files: deleted at its end, or by a later run where it was killed.

As long as a run lives it writes a small file in its folder once a minute. A folder in which nothing
has been written for a day is that of a run which was killed, and the next run of the component
deletes it. One in the artifact that is to be written is of an earlier attempt at the same
execution, and goes at once.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import posixpath
import re
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence

from absl import logging
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from tfx_balance.errors import ConfigError, StorageError, chain_of
from tfx_balance.tfrecord.files import GZIP_SUFFIX
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
MIN_STALE_HOURS = 0.1
"""Six heartbeats: a run that is merely slow to write one is alive."""

_OURS = re.compile(rf'{re.escape(PREFIX)}-[0-9a-f]{{32}}')  # as `new_work_file` names it


@contextlib.contextmanager
def work_folder(output_uri: str, input_paths: Sequence[str] = ()) -> Iterator[str]:
  """Makes a folder for work files at the root of an artifact, and deletes it in the end.

  There it is on the artifact's own filesystem, where every worker can reach it and a move is one
  step; outside `Split-*`, nothing reads it. Folders of runs that were killed are deleted first.

  Args:
    output_uri: Root of the artifact.
    input_paths: Paths of the files that are read, for an error that says how much room is needed.

  Raises:
    ConfigError: if the environment has no number of hours where it names them.
    StorageError: if a disk is full.
  """
  stale_seconds = stale_hours() * 3600
  for folder in work_folders(output_uri):
    delete_folder(folder)
  folder = new_work_file(output_uri, PREFIX)
  try:
    with full_disk_named(output_uri, folder, input_paths):
      with contextlib.suppress(OSError, BeamIOError):  # there may be room without stale folders
        _write_heartbeat(folder)
      _delete_stale(output_uri, folder, stale_seconds)
      with _heartbeat(folder):
        yield folder
  finally:
    delete_folder(folder)


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


def work_folders(output_uri: str, beside: bool = False) -> dict[str, float]:
  """Returns the work folders of an artifact, and for each when something was last written there.

  Args:
    output_uri: Root of the artifact.
    beside: Whether to look in all the artifacts of the same output instead.

  Returns:
    Path to seconds, by the clock of the filesystem; 0 where that does not tell.
  """
  uri = output_uri.rstrip('/')
  where = f'{glob.escape(posixpath.dirname(uri))}/*' if beside else glob.escape(uri)
  pattern = f'{where}/{PREFIX}-*'
  found: dict[str, float] = {}
  if is_local(uri):
    changed = ((path, _changed(path)) for path in glob.glob(pattern))
  else:
    (listed,) = FileSystems.match([f'{pattern}/*'])
    changed = (
      (posixpath.dirname(file.path), file.last_updated_in_seconds) for file in listed.metadata_list
    )
  for path, seconds in changed:
    if _OURS.fullmatch(posixpath.basename(path)):
      found[path] = max(seconds, found.get(path, 0))
  return found


def delete_folder(folder: str) -> None:
  """Deletes a folder and what is in it, or logs why that cannot be done."""
  try:
    if is_local(folder):  # by name: Beam takes it for a pattern
      shutil.rmtree(folder)
    else:
      is_there = FileSystems.exists(folder)  # not so on an object store, which takes a prefix
      FileSystems.delete([folder if is_there else f'{folder}/'])
  except FileNotFoundError:
    pass
  except (OSError, BeamIOError) as error:
    logging.warning('%s could not be deleted, delete it by hand: %s', folder, error)


def is_local(path: str) -> bool:
  """Returns whether a path is one of this machine's own filesystem."""
  return FileSystems.get_scheme(path) is None


def _changed(folder: str) -> float:
  """Returns when something in a local folder was last written; 0 if it is just being deleted."""
  try:
    with os.scandir(folder) as entries:
      return max([os.stat(folder).st_mtime, *(entry.stat().st_mtime for entry in entries)])
  except OSError:
    return 0.0


def _delete_stale(output_uri: str, mine: str, stale_seconds: float) -> None:
  """Deletes the folders of runs that were killed, among those of artifacts of the same output."""
  found = work_folders(output_uri, beside=True)
  now = found.get(mine, 0)  # what was written just now: the filesystem's clock, not this machine's
  for folder, changed in found.items():
    if 0 < changed < now - stale_seconds:
      hours = (now - changed) / 3600
      logging.info('%s: a run that is silent for %.1f hours left it; deleted', folder, hours)
      delete_folder(folder)


@contextlib.contextmanager
def _heartbeat(folder: str) -> Iterator[None]:
  """Writes the heartbeat now, and from time to time until the `with` ends."""
  ended = threading.Event()

  def beat() -> None:
    while not ended.wait(BEAT_SECONDS):
      try:
        _write_heartbeat(folder)
      except (OSError, BeamIOError) as error:  # what needs the disk will tell, if that is full
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


@contextlib.contextmanager
def full_disk_named(
  output_uri: str, work_dir: str, input_paths: Sequence[str] = ()
) -> Iterator[None]:
  """Raises a StorageError in place of any error that a full disk led to."""
  try:
    yield
  except Exception as error:
    reason = no_room(error)
    if reason is None:
      raise
    raise StorageError(describe(reason, output_uri, work_dir, input_paths)) from error


def no_room(error: BaseException) -> str | None:
  """Returns what the system says of a lack of room, if that is what led to an error."""
  for link in chain_of(error):
    if isinstance(link, OSError) and link.errno in _NO_ROOM:
      return os.strerror(link.errno)
    found = _IN_TEXT.search(str(link))
    if found:
      return os.strerror(int(found[1]))
  return None


def describe(reason: str, output_uri: str, work_dir: str, input_paths: Sequence[str]) -> str:
  """Returns where there is no room, what there is and what is needed, as far as that is known."""
  parts = []
  with contextlib.suppress(OSError):
    parts.append(f'{shutil.disk_usage(output_uri).free:,} bytes are free')
    used = sum(entry.stat().st_size for entry in os.scandir(work_dir))
    parts.append(f'the files in the making had {used:,}')
  needed = needed_bytes(input_paths)
  if needed:
    parts.append(f'this input needs about {needed:,}, and room for copies where any are made')
  return (
    f'{output_uri} cannot be written: {reason} ({"; ".join(parts) or "how much is not known"}); '
    f'free that much on its disk or quota, or put the pipeline root on a larger one, and run again'
  )


def needed_bytes(paths: Sequence[str]) -> int:
  """Returns about how many bytes it takes to write some files anew; 0 where that is not known.

  Records lie decompressed in work files until the output, of about the input's size, is whole.
  """
  needed = 0
  with contextlib.suppress(OSError, BeamIOError):
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
