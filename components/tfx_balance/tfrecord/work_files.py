"""Files that no one sees until they are whole: written under new names, moved by one later step."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tfx_balance.documents.json_document import json_text


@dataclass(frozen=True)
class WorkFile:
  """A file that was written under a temporary name, to publish under its final one.

  Attributes:
    work_path: Path at which it was written.
    final_path: Path at which it is published.
    records: Number of records; -1 for a file that was copied unread, or has none.
    n_bytes: Bytes of these records, decompressed and without what frames them.
    sections: Number of records of each section, where several outputs share the file.
    size: Bytes of the file, as it is stored.
  """

  work_path: str
  final_path: str
  records: int
  n_bytes: int = 0
  sections: tuple[int, ...] = ()
  size: int = 0

  def section_records(self, section: int) -> int:
    """Returns the records of one section; of the whole file where that has none."""
    if not self.sections:
      return self.records
    return self.sections[section] if section < len(self.sections) else 0


class OutputFile:
  """A file that is being written, each of whose errors is a new object.

  What compresses in a thread keeps its error, and raises that same object whenever it is written to
  or closed. Raised again while another file's error is handled, it becomes a cause of itself, and
  `contextlib.ExitStack`, which looks for the end of that chain, never finds one.

  Args:
    path: Path of the file.
    streams: Streams to close, in this order; the first one takes what is written.
  """

  def __init__(self, path: str, *streams: Any) -> None:
    self._path, self._streams = path, streams
    self._failed = False

  def write(self, data: Any) -> None:
    """Writes bytes, or what has a buffer of them; raises OSError if that fails."""
    fault = self._fault_of(self._streams[0].write, data)
    if fault is not None:
      self._failed = True
      raise fault

  def close(self) -> None:
    """Closes the file; raises OSError if that is the first call that fails."""
    streams, self._streams = self._streams, ()
    faults = [self._fault_of(stream.close) for stream in streams]
    fault = next((fault for fault in faults if fault is not None), None)
    if fault is not None and not self._failed:
      raise fault

  def __enter__(self) -> OutputFile:
    return self

  def __exit__(self, kind: object, *_: object) -> None:
    self._failed |= kind is not None  # which is to be told, not what closing makes of it
    self.close()

  def _fault_of(self, call: Callable[..., Any], *args: Any) -> OSError | None:
    """Returns the error of a call, to be raised where the error that it had is not handled."""
    try:
      call(*args)
    except OSError as error:
      if error.errno is not None:
        return OSError(error.errno, error.strerror, self._path)
      return OSError(f'{self._path}: {error}')
    return None


def new_work_file(work_dir: str, stem: str) -> str:
  """Returns the path of a file that no other attempt of the same work uses."""
  return FileSystems.join(work_dir, f'{stem}-{uuid.uuid4().hex}')


def open_as_is(path: str) -> BinaryIO:
  """Opens a file for reading, on any of Beam's filesystems; nothing is decompressed."""
  return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def create_as_is(path: str) -> OutputFile:
  """Opens a file for writing, on any of Beam's filesystems; nothing is compressed."""
  return OutputFile(path, create_stream(path))


def create_stream(path: str) -> BinaryIO:
  """Opens a file for writing, whose errors are as they come."""
  return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def file_size(path: str) -> int:
  """Returns the bytes of a file as it is stored, on any of Beam's filesystems."""
  return int(FileSystems.get_filesystem(path).size(path))


def new_output_file(work_dir: str, final_path: str) -> str:
  """Returns where an output file is written first; the suffix, which says how, stays."""
  return f'{new_work_file(work_dir, "out")}-{FileSystems.split(final_path)[1]}'


def publish(files: Iterable[WorkFile]) -> None:
  """Moves files to where they belong. A second call after a failed one ends what it began."""
  pending = [
    f for f in files if FileSystems.exists(f.work_path) or not FileSystems.exists(f.final_path)
  ]
  for folder in sorted({FileSystems.split(f.final_path)[0] for f in pending}):
    if not FileSystems.exists(folder):
      FileSystems.mkdirs(folder)
  if pending:
    FileSystems.rename([f.work_path for f in pending], [f.final_path for f in pending])


@dataclass(frozen=True)
class FileCopy:
  """A file to copy as it is."""

  source: str
  final_path: str


def copy_file(copy: FileCopy, work_dir: str) -> WorkFile:
  """Copies a file, unread, to where it can be published from."""
  work_path = new_work_file(work_dir, 'copy')
  FileSystems.copy([copy.source], [work_path])
  return WorkFile(work_path, copy.final_path, records=-1, size=file_size(work_path))


def write_document(
  work_dir: str, final_path: str, data: str | bytes, mime_type: str = 'application/json'
) -> WorkFile:
  """Writes a file that describes others, to where it can be published from once they are there."""
  work_path = new_output_file(work_dir, final_path)
  with FileSystems.create(work_path, mime_type=mime_type) as file:
    file.write(data.encode('utf-8') if isinstance(data, str) else data)
  return WorkFile(work_path, final_path, records=-1)


def write_json(path: str, data: Any) -> None:
  """Writes JSON in one go, to where nobody looks before it is whole."""
  with FileSystems.create(path, mime_type='application/json') as file:
    file.write(json_text(data).encode('utf-8'))


def read_json(path: str) -> Any:
  """Returns what `write_json` wrote."""
  return json.loads(read_whole(path))


def read_whole(path: str) -> bytes:
  """Returns the bytes of a file, on any of Beam's filesystems."""
  with FileSystems.open(path) as file:
    return bytes(file.read())
