"""Names of files: paths, patterns and folders."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_path, shown
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.staging import SPECIAL, staged_pattern

SUFFIXES = ('.jpeg', '.jpg', '.png')
_STARTS = (b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff')


def read_images(
  folder: str, memory_budget: int
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any], list[str]]:
  """Returns the encoded images of a folder, their labels and their paths.

  Names that begin with a dot or an underscore are ignored.

  Args:
    folder: Folder of folders of PNG and JPEG files, each named for its class.
    memory_budget: Bytes of images to hold.

  Returns:
    {'image': bytes objects [n]}; labels, bytes objects [n]: the folders' names in UTF-8; and paths
    [n]. They are in the order of the folders' names, and of the files' names in each.

  Raises:
    DataError: if the folder has anything else, a class has no image, or the budget is too small.
  """
  images: list[bytes] = []
  labels: list[bytes] = []
  paths: list[str] = []
  used = 0
  for name in _visible(folder):
    inner = os.path.join(folder, name)
    if not tf.io.gfile.isdir(inner):
      raise DataError(
        f'{inner} is no folder; a folder of images holds a folder for each class, and TFRecord '
        f'files need label= and feature_spec='
      )
    files = _visible(inner)
    if not files:
      raise DataError(f'{inner} has no images; put some in, or remove it')
    for file in files:
      paths.append(os.path.join(inner, file))
      data = _image(paths[-1])
      used += len(data)
      if used > memory_budget:
        raise DataError(
          f'{folder} holds more than memory_budget={memory_budget} bytes of images; raise it, or '
          f'write TFRecord files and let BalancedInputGen lay them out by class'
        )
      images.append(data)
      labels.append(name.encode())
  if not images:
    raise DataError(f'{folder} has no folders; give it a folder of images for each class')
  return {'image': _objects(images)}, _objects(labels), paths


def _visible(folder: str) -> list[str]:
  return [name for name in names_in(folder) if name[0] not in '._']


def _image(path: str) -> bytes:
  """Returns a file's bytes; raises DataError if its name or its first bytes are no image's."""
  if tf.io.gfile.isdir(path):
    raise DataError(
      f'{path} is a folder, and the folder of a class holds images alone; move its images up'
    )
  if os.path.splitext(path)[1].lower() in SUFFIXES:
    with tf.io.gfile.GFile(path, 'rb') as file:
      data: bytes = file.read()
    if data.startswith(_STARTS):
      return data
  raise DataError(f'{path} is neither a PNG nor a JPEG file; convert it, or move it out')


def _objects(values: list[bytes]) -> npt.NDArray[Any]:
  """Returns bytes as objects: an array of fixed length would cut zeros off their ends."""
  array = np.empty(len(values), object)
  array[:] = values
  return array


SPLIT_PREFIX = 'Split-'


def matching_files(patterns: Sequence[str] | str) -> list[str]:
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
    raise ConfigError(f'files={shown(patterns)} must be paths or patterns; give one or more')
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
