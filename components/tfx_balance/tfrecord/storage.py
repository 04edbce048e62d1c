"""Files by their paths: of this machine, of object stores, and of Beam's other filesystems.

Everything that this package reads or writes goes through here. Without a scheme a path is one of
this machine; `s3://`, `minio://` and `gs://` are objects; any other scheme is left to the
filesystem that Beam has for it. Every error is an OSError that names the path, that of a file which
cannot be written whole a StorageError.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol, cast

from tfx_balance.errors import StorageError
from tfx_balance.tfrecord.object_store import (
  RANGE_BYTES,
  SCHEMES,
  WHOLE_BYTES,
  ObjectReader,
  Upload,
  ask,
  bucket_of,
  delete_all,
  list_below,
  list_in,
  obstore,
  place,
)

_SHARD = re.compile(r'(.+)-\d{5}-of-(\d{5})(.*)', re.DOTALL)


class Storage(Protocol):
  """Operations on the files of one kind of storage.

  Attributes:
    renames: Whether a file is moved in one step; an object is copied and deleted.
  """

  renames: bool = True

  def open(self, path: str) -> BinaryIO:
    """Opens a file for reading; raises OSError if it cannot be read."""

  def create(self, path: str) -> BinaryIO:
    """Opens a file for writing, with the folders above it; an object is there once it is closed."""

  def size(self, path: str) -> int:
    """Returns the bytes of a file."""

  def exists(self, path: str) -> bool:
    """Returns whether there is a file or a folder of that name."""

  def is_folder(self, path: str) -> bool:
    """Returns whether that is a folder; of objects, whether any is below it."""

  def names(self, folder: str) -> list[str]:
    """Returns the names of the files and folders in a folder, sorted."""

  def times(self, folder: str) -> dict[str, float]:
    """Returns when each file below a folder was last written: path to seconds, 0 if unknown."""

  def delete(self, path: str) -> None:
    """Deletes a file."""

  def delete_folder(self, folder: str) -> None:
    """Deletes a folder and all that is in it."""

  def sizes(self, folder: str) -> dict[str, int]:
    """Returns the bytes of each file below a folder by its path from there; `x/` is a folder."""

  def move(self, source: str, target: str) -> None:
    """Moves a file within this storage."""
    copy(source, target)
    self.delete(source)

  def make_folder(self, folder: str) -> None:
    """Makes a folder and those above it, where files need one; objects need none."""
    return


class LocalFiles(Storage):
  """Files of this machine."""

  def open(self, path: str) -> BinaryIO:
    return open(path, 'rb')

  def create(self, path: str) -> BinaryIO:
    self.make_folder(os.path.dirname(path))
    return open(path, 'wb')

  def size(self, path: str) -> int:
    return os.stat(path).st_size

  def exists(self, path: str) -> bool:
    return os.path.exists(path)

  def is_folder(self, path: str) -> bool:
    return os.path.isdir(path)

  def names(self, folder: str) -> list[str]:
    return sorted(os.listdir(folder))

  def sizes(self, folder: str) -> dict[str, int]:
    found = os.scandir(folder) if os.path.isdir(folder) else ()
    return {f'{e.name}/' if e.is_dir() else e.name: e.stat().st_size for e in found}

  def times(self, folder: str) -> dict[str, float]:
    found = {}
    for parent, _, names in os.walk(folder):
      for path in (parent, *(os.path.join(parent, name) for name in names)):
        with contextlib.suppress(FileNotFoundError):
          found[path] = os.stat(path).st_mtime
    return found

  def delete(self, path: str) -> None:
    os.remove(path)

  def delete_folder(self, folder: str) -> None:
    shutil.rmtree(folder)

  def move(self, source: str, target: str) -> None:
    shutil.move(source, target)

  def make_folder(self, folder: str) -> None:
    os.makedirs(folder or '.', exist_ok=True)


class Objects(Storage):
  """Objects of a bucket; a folder is what the names of some of them begin with."""

  renames = False

  def open(self, path: str) -> BinaryIO:
    return io.BufferedReader(cast('io.RawIOBase', ObjectReader(path)), 64 << 10)

  def create(self, path: str) -> BinaryIO:
    return cast('BinaryIO', Upload(path))

  def size(self, path: str) -> int:
    return int(ask(obstore().head, path)['size'])

  def exists(self, path: str) -> bool:
    try:
      self.size(path)
    except FileNotFoundError:
      return self.is_folder(path)
    return True

  def is_folder(self, path: str) -> bool:
    return bool(list_below(path, most=1))

  def names(self, folder: str) -> list[str]:
    found = ask(list_in, folder)
    if not found:
      raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    return found

  def sizes(self, folder: str) -> dict[str, int]:
    start = len(place(folder)[1].rstrip('/')) + 1
    return {each['path'][start:]: each['size'] for each in list_below(folder)}

  def times(self, folder: str) -> dict[str, float]:
    found, root = list_below(folder), bucket_of(folder)
    return {f'{root}/{each["path"]}': each['last_modified'].timestamp() for each in found}

  def delete(self, path: str) -> None:
    ask(obstore().delete, path)

  def delete_folder(self, folder: str) -> None:
    delete_all([*self.times(folder)])


class BeamFiles(Storage):
  """Files of a filesystem that only Beam knows, such as HDFS."""

  def open(self, path: str) -> BinaryIO:
    with _beam(path) as (systems, as_is):
      return systems.open(path, compression_type=as_is)

  def create(self, path: str) -> BinaryIO:
    with _beam(path) as (systems, as_is):
      return systems.create(path, compression_type=as_is)

  def size(self, path: str) -> int:
    with _beam(path) as (systems, _):
      return int(systems.get_filesystem(path).size(path))

  def exists(self, path: str) -> bool:
    with _beam(path) as (systems, _):
      return systems.exists(path)

  def is_folder(self, path: str) -> bool:
    return bool(self.times(path))

  def names(self, folder: str) -> list[str]:
    return sorted({name.split('/')[0] for name in self.sizes(folder)})

  def sizes(self, folder: str) -> dict[str, int]:
    start = len(folder.rstrip('/')) + 1
    return {found.path[start:]: found.size_in_bytes for found in self._below(folder)}

  def times(self, folder: str) -> dict[str, float]:
    return {found.path: found.last_updated_in_seconds for found in self._below(folder)}

  def _below(self, folder: str) -> Sequence[Any]:
    with _beam(folder) as (systems, _):
      (listed,) = systems.match([f'{folder.rstrip("/")}/**'])
    return cast('Sequence[Any]', listed.metadata_list)

  def delete(self, path: str) -> None:
    with _beam(path) as (systems, _):
      systems.delete([path])

  def delete_folder(self, folder: str) -> None:
    self.delete(folder)

  def move(self, source: str, target: str) -> None:
    with _beam(source) as (systems, _):
      systems.rename([source], [target])

  def make_folder(self, folder: str) -> None:
    with _beam(folder) as (systems, _):
      if not systems.exists(folder):
        systems.mkdirs(folder)


_LOCAL, _OBJECTS, _BEAM = LocalFiles(), Objects(), BeamFiles()


def storage_of(path: str) -> Storage:
  """Returns the storage that a path is in."""
  scheme, found, _ = path.partition('://')
  if not found or not scheme.isalnum():
    return _LOCAL
  return _OBJECTS if scheme in SCHEMES else _BEAM


def is_local(path: str) -> bool:
  """Returns whether a path is one of this machine's own filesystem."""
  return storage_of(path) is _LOCAL


def exists(path: str) -> bool:
  """Returns whether there is a file or a folder of that name."""
  return storage_of(path).exists(path)


def read_whole(path: str) -> bytes:
  """Returns the bytes of a file."""
  with storage_of(path).open(path) as file:
    return bytes(file.read())


def write_whole(path: str, data: bytes) -> None:
  """Writes a file whole or not at all: who reads it meanwhile sees what was there before.

  One of this machine is written under another name beside it, to the disk, then renamed. It keeps
  the permissions of what it replaces.

  Raises:
    StorageError: if one of this machine cannot be written, such as on a full disk; it is as it was.
    OSError: if another cannot.
  """
  if not is_local(path):
    with storage_of(path).create(path) as file:
      file.write(data)
    return
  target = os.path.realpath(path)  # a link stays one
  temporary = os.path.join(os.path.dirname(target), f'.{uuid.uuid4().hex}.tmp')
  try:
    with _LOCAL.create(temporary) as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    with contextlib.suppress(FileNotFoundError):
      shutil.copymode(target, temporary)
    os.replace(temporary, target)
  except BaseException as error:
    with contextlib.suppress(OSError):
      os.remove(temporary)
    if not isinstance(error, OSError):
      raise
    raise StorageError(f'{path} cannot be written: {error.strerror or error}') from error


def copy(source: str, target: str) -> None:
  """Copies a file, which may be in another storage; objects of one bucket are not downloaded."""
  if storage_of(source) is _OBJECTS and bucket_of(source) == bucket_of(target):
    ask(obstore().copy, source, place(target)[1], n_bytes=WHOLE_BYTES)
    return
  with storage_of(source).open(source) as file, storage_of(target).create(target) as out:
    shutil.copyfileobj(file, out, RANGE_BYTES)


def move(source: str, target: str) -> None:
  """Moves a file, in one step where both paths are on one filesystem."""
  storage = storage_of(source)
  if storage is storage_of(target):
    storage.move(source, target)
  else:
    copy(source, target)
    storage.delete(source)


def is_data(name: str) -> bool:
  """Returns whether a file or folder of that name holds data, by Hadoop's rule.

  Names that begin with a dot or an underscore do not, such as Spark's `_SUCCESS` and `.1.crc`.
  """
  return bool(name) and name[0] not in '._'


def missing_files(folder: str, sizes: Mapping[str, int]) -> list[str]:
  """Returns the files missing in a folder of TFRecord files: a phrase for each, or for all.

  They are shards that the names of others imply, and gzip files without even a header.

  Args:
    folder: Path of the folder.
    sizes: Bytes of its files, by name.
  """
  if not sizes:
    return [f'{folder} has no files']
  sets = sorted({(m[1], m[2], m[3]) for name in sizes if (m := _SHARD.fullmatch(name))})
  shards = []
  for start, n, end in sets:
    first = int(f'{start}-{n}-of-{n}{end}' in sizes)  # some count from 1
    shards += [f'{start}-{i:05d}-of-{n}{end}' for i in range(first, int(n) + first)]
  empty = [name for name, size in sizes.items() if not size and name.endswith('.gz')]
  return [
    *(f'{folder}/{name} is not there' for name in shards if name not in sizes),
    *(f'{folder}/{name} has 0 bytes' for name in empty),
  ]


def incomplete(missing: Sequence[str]) -> str:
  """Returns a warning about the missing files, with their count and three of them."""
  more = f' and {len(missing) - 3} more' if len(missing) > 3 else ''
  return (
    f'the input is incomplete, {len(missing)} of its files are missing or empty: '
    f'{", ".join(missing[:3])}{more}; the others are read: copy or write the files again'
  )


@contextlib.contextmanager
def _beam(path: str) -> Iterator[tuple[Any, str]]:
  """Gives Beam's `FileSystems`, and its word for no compression; its errors become OSErrors."""
  from apache_beam.io.filesystem import BeamIOError, CompressionTypes
  from apache_beam.io.filesystems import FileSystems

  try:
    yield FileSystems, CompressionTypes.UNCOMPRESSED
  except (BeamIOError, ValueError) as error:  # a scheme that is not known is a ValueError
    raise OSError(errno.EIO, f'{os.strerror(errno.EIO)} ({error})', path) from error
