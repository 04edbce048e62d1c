"""Files that no one sees until they are whole: written under new names, moved by one later step."""

from __future__ import annotations

import contextlib
import io
import json
import posixpath
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy.typing as npt

from tfx_balance.documents.json_document import document_text, parse_json, sealed
from tfx_balance.tfrecord.private_folder import private_folder
from tfx_balance.tfrecord.reading import FileVersions
from tfx_balance.tfrecord.storage import copy, exists, move, read_whole, storage_of, write_whole


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
    self._stored = streams[-1]
    self._failed = False

  @property
  def size(self) -> int:
    """The bytes of the file as it is stored, once it is closed."""
    size: int | None = getattr(self._stored, 'size', None)  # of an object, to ask is a request
    return storage_of(self._path).size(self._path) if size is None else size

  def write(self, data: Any) -> None:
    """Writes bytes, or what has a buffer of them; raises OSError if that fails."""
    fault = self._fault_of(self._streams[0].write, data)
    if fault is not None:
      self._failed = True
      raise fault

  def close(self) -> None:
    """Closes the file; raises OSError if that is the first call that fails."""
    streams, self._streams = self._streams, ()
    if self._failed and streams and hasattr(streams[-1], 'discard'):  # the stream of an object
      streams[-1].discard()
    faults = [self._fault_of(stream.close) for stream in streams]
    fault = next((fault for fault in faults if fault is not None), None)
    if fault is not None and not self._failed:
      raise fault

  def __enter__(self) -> OutputFile:
    return self

  def __exit__(self, kind: object, *_: object) -> None:
    self._failed |= kind is not None  # that error is raised, not one of closing
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
  return f'{work_dir}/{stem}-{uuid.uuid4().hex}'


def open_as_is(path: str) -> BinaryIO:
  """Opens a file for reading; nothing is decompressed."""
  return storage_of(path).open(path)


def fill(stream: BinaryIO, array: npt.NDArray[Any], path: str) -> None:
  """Fills an array with the next bytes of a work file; raises OSError if it has fewer."""
  n = cast('io.BufferedReader', stream).readinto(array.data)
  if n != array.nbytes:
    raise OSError(f'{path} ends {array.nbytes - n} bytes early; is the disk full? run again')


def create_as_is(path: str) -> OutputFile:
  """Opens a file for writing; nothing is compressed."""
  return OutputFile(path, storage_of(path).create(path))


def new_output_file(work_dir: str, final_path: str) -> str:
  """Returns where an output file is written first; the suffix, which says how, stays.

  That is its final path where files cannot be moved in one step: an object is never seen half.
  """
  if not storage_of(final_path).renames:
    return final_path
  return f'{new_work_file(work_dir, "out")}-{posixpath.basename(final_path)}'


def publish(files: Iterable[WorkFile]) -> None:
  """Moves files to where they belong. A second call after a failed one ends what it began."""
  moved = [file for file in files if file.work_path != file.final_path]
  pending = [f for f in moved if exists(f.work_path) or not exists(f.final_path)]
  for folder in sorted({posixpath.dirname(file.final_path) for file in pending}):
    storage_of(folder).make_folder(folder)
  for file in pending:
    move(file.work_path, file.final_path)


@dataclass(frozen=True)
class FileCopy:
  """A file to copy as it is."""

  source: str
  final_path: str


def copy_file(file: FileCopy, work_dir: str) -> WorkFile:
  """Copies a file, unread, to where it can be published from.

  Raises:
    DataError: if it was replaced while it was copied.
  """
  work_path = new_output_file(work_dir, file.final_path)
  versions = FileVersions()
  versions.check(file.source)
  copy(file.source, work_path)
  versions.check(file.source)
  size = storage_of(work_path).size(work_path)
  return WorkFile(work_path, file.final_path, records=-1, size=size)


def write_document(work_dir: str, final_path: str, data: str | bytes) -> WorkFile:
  """Writes a file that describes others, to where it can be published from once they are there."""
  work_path = new_output_file(work_dir, final_path)
  write_whole(work_path, data.encode('utf-8') if isinstance(data, str) else data)
  return WorkFile(work_path, final_path, records=-1)


def write_json(path: str, data: Any) -> None:
  """Writes JSON in one call to a file that nobody reads before it is complete."""
  write_whole(path, json.dumps(data, allow_nan=False).encode('ascii'))


def read_json(path: str) -> Any:
  """Returns the values of a JSON file."""
  return json.loads(read_whole(path))


def seal_document(path: str) -> None:
  """Writes a JSON document of this package again, with the checksum of what is in it now.

  For who has edited it on purpose; a document whose checksum is not that of its values is refused.

  Args:
    path: Path of the document, in any storage.

  Raises:
    DataError: if it is not JSON.
  """
  data = parse_json(read_whole(path), path)
  write_whole(path, document_text(sealed(data)).encode('utf-8'))


@contextlib.contextmanager
def scratch_folder(work_dir: str) -> Iterator[str]:
  """Yields a folder in which files are written and read as they are, for one worker and its step.

  That is the folder of work files; where these are objects, it is a private one of the worker.
  """
  if storage_of(work_dir).renames:
    yield work_dir
    return
  with private_folder() as folder:
    yield folder
