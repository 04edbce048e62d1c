"""Images as a source of batches: PNG and JPEG files of a folder of classes, or by their paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_flag, check_path, check_whole, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.file_names import names_in
from tfx_balance.inputs.record_source import ArraySource
from tfx_balance.plan.labels import LabelRows, count_labels
from tfx_balance.tfrecord.object_store import S3_PREFIXES
from tfx_balance.tfrecord.storage import is_data, storage_of

_IMAGES_AT_A_TIME = 8  # as S3 gives one in some 50 ms
_STARTS = (b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff')


def images_of_folder(folder: str, seed: int, memory_budget: int) -> ArraySource:
  """Returns the images of a folder: their labels are the names of its folders, in UTF-8.

  They are in the order of the folders' names, and of the files' names in each. Names that begin
  with a dot or an underscore are ignored.

  Args:
    folder: Folder of folders of PNG and JPEG files, each named for its class.
    seed: Default seed of the draws.
    memory_budget: Bytes of images to hold.

  Raises:
    DataError: if the folder has anything else, a class has no image, or the budget is too small.
  """
  labels: list[bytes] = []
  paths: list[str] = []
  for name in _visible(folder):
    inner = os.path.join(folder, name)
    if not tf.io.gfile.isdir(inner):
      raise DataError(
        f'{inner} is not a folder; a folder of images holds a folder for each class, and TFRecord '
        f'files need label= and feature_spec='
      )
    files = [os.path.join(inner, file) for file in _visible(inner)]
    if not files:
      raise DataError(f'{inner} has no images; put some in, or remove it')
    for path in files:
      if tf.io.gfile.isdir(path):
        raise DataError(
          f'{path} is a folder, and the folder of a class holds images alone; move its images up'
        )
    paths += files
    labels += [name.encode()] * len(files)
  if not paths:
    raise DataError(f'{folder} has no folders; give it a folder of images for each class')
  features, spare = _read(paths, memory_budget, f'{folder} holds')
  return ArraySource(features, _objects(labels), seed, spare_bytes=spare, paths=paths)


def images_of_paths(
  files: Any, labels: Any, seed: int, memory_budget: int, multilabel: bool
) -> ArraySource:
  """Returns the images of a list of files, read once there is a label for each.

  Args:
    files: Paths of PNG and JPEG files: a list, an array or a Series.
    labels: A label for each, as `BalancedInputs.from_arrays` takes them.
    seed: Default seed of the draws.
    memory_budget: Bytes of images to hold.
    multilabel: Whether an image has several labels, or none.

  Raises:
    ConfigError: if the files are no list of paths, or the budget is no whole number.
    DataError: if lengths differ, the labels are no classes, a file cannot be read or is no image,
      or the budget is too small.
  """
  given = np.array(files, object)
  if given.ndim != 1 or not len(given):
    raise ConfigError(
      f'files={format_value(files)} must be a list of paths, as labels= has one for each; a folder '
      f'with a folder of images for each class needs no labels='
    )
  paths = [check_path('files: entry', path) for path in given]
  several = check_flag('multilabel', multilabel)
  n_labels = len(LabelRows.of(labels) if several else count_labels(labels)[1])
  if n_labels != len(paths):
    raise DataError(
      f'there are {len(paths)} files and {n_labels} labels; give one in labels= for each image, or '
      f'for TFRecord files label= and feature_spec='
    )
  features, spare = _read(paths, memory_budget, 'the files hold')
  return ArraySource(features, labels, seed, multilabel, spare, paths)


def _visible(folder: str) -> list[str]:
  return [name for name in names_in(folder) if is_data(name)]


def _read(
  paths: Sequence[str], memory_budget: int, they_hold: str
) -> tuple[dict[str, npt.NDArray[Any]], int]:
  """Returns encoded images, {'image': bytes objects [n]}, and the bytes of the budget left.

  Args:
    paths: Paths of the files.
    memory_budget: Bytes of images to hold.
    they_hold: What is past the budget, for the message.
  """
  budget = check_whole('memory_budget', memory_budget, 0)
  images: list[bytes] = []
  used = 0
  with ThreadPoolExecutor(_IMAGES_AT_A_TIME) as pool:
    for start in range(0, len(paths), _IMAGES_AT_A_TIME):
      some = paths[start : start + _IMAGES_AT_A_TIME]
      # Files of this machine come sooner without threads.
      images += (pool.map if some[0].startswith(S3_PREFIXES) else map)(_image, some)
      used += sum(map(len, images[start:]))
      if used > budget:
        raise DataError(
          f'{they_hold} more than memory_budget={budget} bytes of images; raise it, or write '
          f'TFRecord files and let BalancedInputGen lay them out by class'
        )
  return {'image': _objects(images)}, budget - used


def _image(path: str) -> bytes:
  """Returns a file's bytes; raises DataError if its first bytes are no image's."""
  try:
    in_s3 = path.startswith(S3_PREFIXES)
    with storage_of(path).open(path) if in_s3 else tf.io.gfile.GFile(path, 'rb') as file:
      data: bytes = file.read()
  except (OSError, tf.errors.OpError) as error:
    raise DataError(f'{path} cannot be read ({error}); check that it exists') from error
  if data.startswith(_STARTS):
    return data
  raise DataError(f'{path} is neither a PNG nor a JPEG file; convert it, or move it out')


def _objects(values: list[bytes]) -> npt.NDArray[Any]:
  """Returns bytes as objects: an array of fixed length would drop zeros at their ends."""
  array = np.empty(len(values), object)
  array[:] = values
  return array
