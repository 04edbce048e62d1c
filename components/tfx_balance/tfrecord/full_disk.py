"""What a person is told when there is no room: where, how much there is, how much is needed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence

from apache_beam.io.filesystem import BeamIOError

from tfx_balance.errors import StorageError, chain_of
from tfx_balance.tfrecord.files import GZIP_SUFFIX
from tfx_balance.tfrecord.work_files import open_as_is

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# As an error of another process, or inside of another error, has it in its text.
_IN_TEXT = re.compile(rf'(?:\[Errno |Error\()({"|".join(map(str, _NO_ROOM))})[\],]')


@contextlib.contextmanager
def full_disk_named(
  output_uri: str, work_dir: str, input_paths: Sequence[str] = ()
) -> Iterator[None]:
  """Raises a StorageError in place of whatever a full disk has led to.

  Args:
    output_uri: of the artifact that is written.
    work_dir: of the files in the making.
    input_paths: of the files that are read.
  """
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
