"""Object stores where TFX asks its `fileio`: drivers, launchers and stock components open them."""

from __future__ import annotations

import contextlib
import fnmatch
import io
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tfx.dsl.io import filesystem, filesystem_registry

from tfx_balance.tfrecord.object_store import S3_PREFIXES
from tfx_balance.tfrecord.storage import Storage, copy, storage_of

_PRIORITY = 1  # TensorFlow's has 10, and opens s3:// with tensorflow-io alone


@dataclass(frozen=True)
class ObjectStat:
  """Size of an object.

  Attributes:
    length: Number of its bytes.
  """

  length: int


class TfxObjectStore(filesystem.Filesystem):
  """TFX's filesystem for objects of S3; a folder is there as long as an object is below it.

  That of GCS is TensorFlow's, which needs nothing else.
  """

  SUPPORTED_SCHEMES = list(S3_PREFIXES)  # noqa: RUF012

  @staticmethod
  def open(name: Any, mode: str = 'r') -> Any:
    path, storage = _of(name)
    if mode.rstrip('bt') not in ('r', 'w'):
      raise ValueError(f'{path} cannot be opened with mode {mode!r}; an object is read or written')
    with _not_found():
      file = storage.open(path) if mode[0] == 'r' else storage.create(path)
    return file if 'b' in mode else io.TextIOWrapper(file, encoding='utf-8')

  @staticmethod
  def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
    path, storage = _of(dst)
    if not overwrite and storage.exists(path):
      raise OSError(f'{path} is there already, and overwrite is False')
    with _not_found():
      copy(_of(src)[0], path)

  @staticmethod
  def exists(path: Any) -> bool:
    name, storage = _of(path)
    return storage.exists(name)

  @staticmethod
  def glob(pattern: Any) -> list[Any]:
    path, storage = _of(pattern)
    scheme, _, rest = path.partition('://')
    found = [f'{scheme}://']
    for part in rest.split('/'):
      found = [each for folder in found for each in _matching(storage, folder, part)]
    return found

  @staticmethod
  def isdir(path: Any) -> bool:
    name, storage = _of(path)
    return storage.is_folder(name)

  @staticmethod
  def listdir(path: Any) -> list[Any]:
    name, storage = _of(path)
    with _not_found():
      return storage.names(name)

  @staticmethod
  def makedirs(path: Any) -> None:
    """Does nothing: a folder needs no object."""

  mkdir = makedirs

  @staticmethod
  def remove(path: Any) -> None:
    name, storage = _of(path)
    with _not_found():
      storage.size(name)  # S3 deletes what is not there without an error
    storage.delete(name)

  @staticmethod
  def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
    source, storage = _of(src)
    folder = storage.times(source)
    for path in folder or [source]:
      TfxObjectStore.copy(path, f'{_of(dst)[0]}{path.removeprefix(source)}', overwrite)
    for path in folder or [source]:
      storage.delete(path)

  @staticmethod
  def rmtree(path: Any) -> None:
    name, storage = _of(path)
    if not storage.is_folder(name):
      raise filesystem.NotFoundError(f'{name} is not a folder: no object is below it')
    storage.delete_folder(name)

  @staticmethod
  def stat(path: Any) -> ObjectStat:
    name, storage = _of(path)
    with _not_found():
      return ObjectStat(storage.size(name))

  @staticmethod
  def walk(
    top: Any, topdown: bool = True, onerror: Callable[..., None] | None = None
  ) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    path, storage = _of(top)
    if not storage.is_folder(path):
      return
    names = storage.names(path)
    inner = [name for name in names if storage.is_folder(posixpath.join(path, name))]
    files = [name for name in names if name not in inner]
    if topdown:
      yield path, inner, files
    for name in inner:
      yield from TfxObjectStore.walk(posixpath.join(path, name), topdown, onerror)
    if not topdown:
      yield path, inner, files


@contextlib.contextmanager
def _not_found() -> Iterator[None]:
  """Raises TFX's error where an object is not there."""
  try:
    yield
  except FileNotFoundError as error:
    raise filesystem.NotFoundError(str(error)) from error


def register_object_stores() -> None:
  """Enters the object stores in TFX's registry of filesystems; a second call changes nothing."""
  registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
  registry.register(TfxObjectStore, priority=_PRIORITY)


def _of(path: str | bytes) -> tuple[str, Storage]:
  """Returns a path as text, without a slash at its end, and its storage."""
  text = path.decode() if isinstance(path, bytes) else path
  return text.rstrip('/'), storage_of(text)


def _matching(storage: Storage, folder: str, part: str) -> list[str]:
  """Returns the paths in a folder whose name matches one part of a pattern."""
  if folder.endswith('://') or not set(part) & set('*?['):
    path = folder + part if folder.endswith('/') else f'{folder}/{part}'
    return [path] if folder.endswith('://') or storage.exists(path) else []
  if not storage.is_folder(folder):
    return []
  return [f'{folder}/{name}' for name in storage.names(folder) if fnmatch.fnmatch(name, part)]
