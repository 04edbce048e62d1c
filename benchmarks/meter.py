"""Counts the bytes that a run moves: through files, by what they are for, and between Beam stages.

It wraps Beam's `FileSystems` and the buffers of its local runner, in this process only.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.portability.fn_api_runner import execution

_ROLES = re.compile(r'/\.work-[^/]*/(index|spill|dealt|out)-')


@dataclass
class Meter:
  """What has been counted so far.

  Attributes:
    read: what files are for to the bytes read from them: 'data' is the input, 'index', 'spill',
      'dealt' and 'out', which becomes the output, are work files, 'other' is the sidecar.
    written: the same, of bytes written.
    shuffled: bytes of the elements that were kept between two stages of the Beam pipeline.
    largest: bytes of the largest of them.
  """

  read: Counter[str] = field(default_factory=Counter)
  written: Counter[str] = field(default_factory=Counter)
  shuffled: int = 0
  largest: int = 0

  def to_json(self) -> dict[str, Any]:
    """Returns the counts."""
    return {
      'read': dict(self.read),
      'written': dict(self.written),
      'shuffled': self.shuffled,
      'largest': self.largest,
    }


class CountingFile:
  """An open file that counts what goes through it."""

  def __init__(self, file: Any, counter: Counter[str], role: str) -> None:
    self._file, self._counter, self._role = file, counter, role

  def __getattr__(self, name: str) -> Any:
    return getattr(self._file, name)

  def __enter__(self) -> CountingFile:
    self._file.__enter__()
    return self

  def __exit__(self, *error: Any) -> Any:
    return self._file.__exit__(*error)

  def read(self, size: int = -1) -> bytes:
    """Reads and counts."""
    data: bytes = self._file.read(size)
    self._counter[self._role] += len(data)
    return data

  def readinto(self, buffer: Any) -> int:
    """Reads and counts."""
    n: int = self._file.readinto(buffer)
    self._counter[self._role] += n
    return n

  def write(self, data: Any) -> Any:
    """Writes and counts."""
    self._counter[self._role] += memoryview(data).nbytes
    return self._file.write(data)


def role_of(path: str) -> str:
  """Returns what a file is for.

  >>> role_of('/root/examples/3/.work-ab/spill-00001-cd'), role_of('/in/data_tfrecord-0-of-1.gz')
  ('spill', 'data')
  """
  found = _ROLES.search(path)
  if found:
    return found[1]
  return 'data' if '/data_tfrecord-' in path else 'other'


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
  """Counts, for the time of a `with`, what this process reads, writes and shuffles."""
  meter = Meter()
  open_file, create_file = FileSystems.open, FileSystems.create
  append = {kind: kind.append for kind in (execution.ListBuffer, execution.GroupingBuffer)}

  def open_counting(path: str, *args: Any, **kwargs: Any) -> CountingFile:
    return CountingFile(open_file(path, *args, **kwargs), meter.read, role_of(path))

  def create_counting(path: str, *args: Any, **kwargs: Any) -> CountingFile:
    return CountingFile(create_file(path, *args, **kwargs), meter.written, role_of(path))

  def appending(kind: Any) -> Any:
    def append_counting(buffer: Any, elements: bytes) -> None:
      meter.shuffled += len(elements)
      meter.largest = max(meter.largest, len(elements))
      append[kind](buffer, elements)

    return append_counting

  with contextlib.ExitStack() as stack:
    patch = mock.patch.object
    stack.enter_context(patch(FileSystems, 'open', staticmethod(open_counting)))
    stack.enter_context(patch(FileSystems, 'create', staticmethod(create_counting)))
    for kind in append:
      stack.enter_context(patch(kind, 'append', appending(kind)))
    yield meter
