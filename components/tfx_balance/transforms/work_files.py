"""Files that no one sees until they are whole: written under new names, moved by one later step."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from absl import logging
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems


@dataclass(frozen=True)
class WorkFile:
  """A file that was written and is to be published.

  Attributes:
    work_path: where it is.
    final_path: where it goes.
    records: in it; -1 for a file that was copied unread.
    n_bytes: of these records, decompressed and without what frames them.
    parts: records of each part, where several outputs share the file.
  """

  work_path: str
  final_path: str
  records: int
  n_bytes: int = 0
  parts: tuple[int, ...] = ()

  def part_records(self, part: int) -> int:
    """Returns the records of one part; of the whole file where that has none."""
    if not self.parts:
      return self.records
    return self.parts[part] if part < len(self.parts) else 0


def new_work_file(work_dir: str, stem: str) -> str:
  """Returns the path of a file that no other attempt of the same work uses."""
  return FileSystems.join(work_dir, f'{stem}-{uuid.uuid4().hex}')


def open_as_is(path: str) -> BinaryIO:
  """Opens a file for reading, on any of Beam's filesystems; nothing is decompressed."""
  return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def create_as_is(path: str) -> BinaryIO:
  """Opens a file for writing, on any of Beam's filesystems; nothing is compressed."""
  return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


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


@contextlib.contextmanager
def work_folder(output_uri: str) -> Iterator[str]:
  """Makes a folder for work files at the root of an artifact, and deletes it in the end.

  There it is on the artifact's own filesystem, where every worker can reach it and a move is one
  step; outside `Split-*`, nothing reads it.
  """
  folder = new_work_file(output_uri, '.work')
  FileSystems.mkdirs(folder)
  try:
    yield folder
  finally:
    try:
      is_there = FileSystems.exists(folder)  # not so on an object store, which takes a prefix
      FileSystems.delete([folder if is_there else f'{folder}/'])
    except BeamIOError as error:
      logging.warning('%s could not be deleted, delete it by hand: %s', folder, error)


@dataclass(frozen=True)
class FileCopy:
  """A file to be copied as it is."""

  source: str
  final_path: str


def copy_file(copy: FileCopy, work_dir: str) -> WorkFile:
  """Copies a file, unread, to where it can be published from."""
  work_path = new_work_file(work_dir, 'copy')
  FileSystems.copy([copy.source], [work_path])
  return WorkFile(work_path, copy.final_path, records=-1)


def write_json(path: str, data: Any) -> None:
  """Writes JSON that people can read and that is the same for the same data."""
  write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + '\n')


def write_text(path: str, text: str) -> None:
  """Writes a text file, which holds JSON."""
  with FileSystems.create(path, mime_type='application/json') as file:
    file.write(text.encode('utf-8'))


def read_json(path: str) -> Any:
  """Returns what `write_json` wrote."""
  with FileSystems.open(path) as file:
    return json.loads(file.read())
