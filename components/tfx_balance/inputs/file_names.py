"""Names of files: paths, patterns and folders."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence

import tensorflow as tf

from tfx_balance.arguments import check_path, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.staging import SPECIAL, staged_pattern
from tfx_balance.tfrecord.storage import is_data

SPLIT_PREFIX = 'Split-'


def matching_files(patterns: Sequence[str | os.PathLike[str]] | str) -> list[str]:
  """Returns the files that patterns match, each pattern's sorted.

  The path of a file or a folder that is there is taken as it is, whatever characters it has.

  Raises:
    ConfigError: if they are neither paths nor patterns.
    DataError: if a pattern matches nothing.
  """
  found: list[str] = []
  if isinstance(patterns, (str, os.PathLike)):
    patterns = [os.fspath(patterns)]
  if not isinstance(patterns, Sequence) or isinstance(patterns, bytes) or not patterns:
    raise ConfigError(f'files={format_value(patterns)} must be paths or patterns; give one or more')
  for pattern in patterns:
    paths = _matches(staged_pattern(check_path('files: entry', pattern)))
    if not paths:
      raise DataError(f'{pattern} matches no file; give a file or a pattern that does')
    found += paths
  return found


def _matches(pattern: str) -> list[str]:
  folder, name = os.path.split(pattern)
  if tf.io.gfile.exists(pattern):
    return [pattern]
  if SPECIAL & set(folder) and tf.io.gfile.isdir(folder):
    found = [os.path.join(folder, n) for n in fnmatch.filter(names_in(folder), name)]
  else:
    found = sorted(tf.io.gfile.glob(pattern))
  return [path for path in found if is_data(os.path.basename(path)) or not is_data(name)]


def names_in(folder: str) -> list[str]:
  """Returns the names in a folder, sorted."""
  return sorted(name.rstrip('/') for name in tf.io.gfile.listdir(folder))


def files_in(folder: str) -> list[str]:
  """Returns the files of a folder, sorted, except those that `is_data` says are none.

  Raises:
    DataError: if there is none, or a folder among them.
  """
  paths = [os.path.join(folder, name) for name in names_in(folder) if is_data(name)]
  inner = [path for path in paths if tf.io.gfile.isdir(path)]
  if inner or not paths:
    raise DataError(
      f'{folder} has {f"the folder {os.path.basename(inner[0])}" if inner else "no files"}; give a '
      f'folder of TFRecord files, or for images leave label= and feature_spec= out'
    )
  return paths
