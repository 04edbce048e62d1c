"""A folder of images with a folder for each class, read as arrays."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.errors import DataError
from tfx_balance.inputs.file_names import names_in

SUFFIXES = ('.jpeg', '.jpg', '.png')
_STARTS = (b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff')


def read_images(
  folder: str, memory_budget: int
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any]]:
  """Returns the encoded images of a folder and their labels.

  Names that begin with a dot or an underscore are ignored.

  Args:
    folder: Folder of folders of PNG and JPEG files, each named for its class.
    memory_budget: Bytes of images to hold.

  Returns:
    {'image': bytes objects [n]} and labels, bytes objects [n]: the folders' names in UTF-8. They
    are in the order of the folders' names, and of the files' names in each.

  Raises:
    DataError: if the folder has anything else, a class has no image, or the budget is too small.
  """
  images: list[bytes] = []
  labels: list[bytes] = []
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
      data = _image(os.path.join(inner, file))
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
  return {'image': _objects(images)}, _objects(labels)


def _visible(folder: str) -> list[str]:
  return [name for name in names_in(folder) if name[0] not in '._']


def _image(path: str) -> bytes:
  """Returns a file's bytes; raises DataError if its name or its first bytes are no image's."""
  if os.path.splitext(path)[1].lower() in SUFFIXES and not tf.io.gfile.isdir(path):
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
