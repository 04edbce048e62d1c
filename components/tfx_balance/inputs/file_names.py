"""Names of the files to read: paths, patterns, and what a sidecar promises of them."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence

import tensorflow as tf

from tfx_balance.arguments import check_path, shown
from tfx_balance.documents.class_distribution import SIDECAR_NAME, split_records
from tfx_balance.errors import ConfigError, DataError

_SPLIT = 'Split-'
_SPECIAL = frozenset('*?[\\')


def matching_files(patterns: Sequence[str] | str) -> list[str]:
  """Returns the files that patterns match, each pattern's sorted.

  The path of a file or a folder that is there is taken as it is, whatever characters it has.

  Raises:
    ConfigError: if they are no patterns.
    DataError: if a pattern matches nothing.
  """
  found: list[str] = []
  if isinstance(patterns, (str, os.PathLike)):
    patterns = [os.fspath(patterns)]
  if not isinstance(patterns, Sequence) or isinstance(patterns, bytes) or not patterns:
    raise ConfigError(f'files={shown(patterns)} must be paths or patterns; give one or more')
  for pattern in patterns:
    paths = _matches(check_path('files: entry', pattern))
    if not paths:
      raise DataError(f'{pattern} matches no file; give a file or a pattern that does')
    found += paths
  return found


def _matches(pattern: str) -> list[str]:
  folder, name = os.path.split(pattern)
  if tf.io.gfile.exists(pattern):
    return [pattern]
  if _SPECIAL & set(folder) and tf.io.gfile.isdir(folder):
    return [os.path.join(folder, n) for n in fnmatch.filter(names_in(folder), name)]
  return sorted(tf.io.gfile.glob(pattern))


def names_in(folder: str) -> list[str]:
  """Returns the names in a folder, sorted."""
  return sorted(name.rstrip('/') for name in tf.io.gfile.listdir(folder))


def files_in(folder: str) -> list[str]:
  """Returns the files of a folder whose names begin with no dot, sorted.

  Raises:
    DataError: if there is none, or a folder among them.
  """
  paths = [os.path.join(folder, name) for name in names_in(folder) if name[0] != '.']
  inner = [path for path in paths if tf.io.gfile.isdir(path)]
  if inner or not paths:
    raise DataError(
      f'{folder} has {f"the folder {os.path.basename(inner[0])}" if inner else "no files"}; give a '
      f'folder of TFRecord files, or for images leave label= and feature_spec= out'
    )
  return paths


def promised_records(paths: Sequence[str]) -> int | None:
  """Returns the records that sidecars promise of files; None where one says nothing of them.

  Args:
    paths: Files; a sidecar counts a whole split, so it says something of all its files only.

  Raises:
    DataError: if a sidecar cannot be read.
  """
  promised = 0
  for folder in sorted({os.path.dirname(path) for path in paths}):
    split = os.path.basename(folder)
    sidecar = os.path.join(os.path.dirname(folder), SIDECAR_NAME)
    if not split.startswith(_SPLIT) or not tf.io.gfile.exists(sidecar):
      return None
    if not {os.path.join(folder, name) for name in names_in(folder)} <= set(paths):
      return None
    summary = _splits_of(sidecar).get(split.removeprefix(_SPLIT))
    if summary is None:  # a split that was passed through
      return None
    promised += summary
  return promised


def _splits_of(sidecar: str) -> dict[str, int]:
  """Returns the records of each split that a sidecar counts."""
  try:
    with tf.io.gfile.GFile(sidecar) as file:
      return split_records(file.read(), sidecar)
  except tf.errors.OpError as error:
    raise DataError(f'{sidecar} cannot be read ({error}); write the artifact again') from error


def check_promised(paths: Sequence[str], found: int, promised: int | None) -> None:
  """Checks the records of files against what their sidecars promise.

  Raises:
    DataError: if they differ; names the files of 0 bytes first, if there are any.
  """
  if promised is None or found == promised:
    return
  empty = [path for path in paths if not tf.io.gfile.stat(path).length]
  where = empty[0] if empty else os.path.dirname(paths[0])
  raise DataError(
    f'{where} is {"empty" if empty else "not whole"}: {found} records were read, and '
    f'{SIDECAR_NAME} promises {promised}; copy the files again, or write the artifact again'
  )
