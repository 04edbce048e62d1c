"""A person's own images, in a folder for each class, written as TFRecords of tf.Example."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pipelines.own_labels import OwnDataError

SUFFIXES = ('.png', '.jpg', '.jpeg')
FEATURE = 'image'
FILE_IMAGES = 4096  # images of a TFRecord file
BATCH_IMAGES = 64  # that are in memory at a time

_T = TypeVar('_T')


def visible(folder: Path) -> list[Path]:
  """Returns what is in a folder, but what starts with a dot or an underscore; in name order."""
  return sorted(path for path in folder.iterdir() if path.name[0] not in '._')


def is_image(path: Path) -> bool:
  """Returns whether a file's name says that it is an image."""
  return path.suffix.lower() in SUFFIXES


def find_images(folder: Path) -> dict[str, list[Path]]:
  """Returns the images by class: the name of the folder that they are in.

  Raises:
    OwnDataError: if the folder is not one of folders of PNG and JPEG files.
  """
  if not folder.is_dir():
    raise OwnDataError(
      f'{folder} is no folder; pass one that has a folder of images for each class as --images'
    )
  entries = visible(folder)
  classes = {path.name: class_images(path, folder) for path in entries if path.is_dir()}
  loose = [path.name for path in entries if path.is_file() and is_image(path)]
  if loose:
    raise OwnDataError(
      f'{folder} has {len(loose):,} images outside of its folders, such as {loose[0]}; '
      'move each into a folder that has the name of its class'
    )
  if not classes:
    raise OwnDataError(f'{folder} has no folders; give it a folder of images for each class')
  return classes


def class_images(folder: Path, parent: Path) -> list[Path]:
  """Returns the images of one class."""
  entries = visible(folder)
  inner = [path.name for path in entries if path.is_dir()]
  if inner:
    raise OwnDataError(
      f'{folder} has the folder {inner[0]}; --images takes a folder whose folders hold images: '
      f'pass {folder} if its folders are the classes, or move the images up'
    )
  others = [path.name for path in entries if not is_image(path)]
  if others:
    raise OwnDataError(
      f'{folder} has {len(others):,} files that are neither PNG nor JPEG, such as {others[0]}; '
      'convert them, or move them out'
    )
  if not entries:
    raise OwnDataError(f'{folder} has no images; put some in, or remove it from {parent}')
  return entries


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
  """Yields the items in lists of that size, the last one shorter."""
  iterator = iter(items)
  while batch := list(itertools.islice(iterator, size)):
    yield batch


def make_example(path: Path, class_name: str, label: str) -> bytes:
  """Returns a serialized tf.Example with the image's bytes and its class.

  Raises:
    OwnDataError: if the image cannot be decoded.
  """
  import tensorflow as tf

  data = path.read_bytes()
  try:
    tf.io.decode_png(data, channels=3)  # JPEG as well, as in the model's preprocessing
  except tf.errors.OpError as error:
    raise OwnDataError(
      f'{path} cannot be decoded as PNG or JPEG; convert it again, or move it out'
    ) from error
  example = tf.train.Example()
  example.features.feature[FEATURE].bytes_list.value.append(data)
  example.features.feature[label].bytes_list.value.append(class_name.encode())
  return example.SerializeToString(deterministic=True)


def write_images(classes: Mapping[str, list[Path]], label: str, folder: Path) -> None:
  """Writes all the images into TFRecord files, as they are; decodes each to see that it can be.

  Args:
    classes: files by class.
    label: the name of the feature for the class.
    folder: to write to.

  Raises:
    OwnDataError: if an image cannot be decoded.
  """
  import tensorflow as tf

  images = ((path, name) for name, paths in classes.items() for path in paths)
  with ThreadPoolExecutor() as pool:
    for i, of_file in enumerate(batched(images, FILE_IMAGES)):
      with tf.io.TFRecordWriter(str(folder / f'images-{i:05d}.tfrecord')) as writer:
        for batch in batched(of_file, BATCH_IMAGES):
          for record in pool.map(lambda image: make_example(image[0], image[1], label), batch):
            writer.write(record)
