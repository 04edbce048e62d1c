"""Conversion of the user's own images, one folder per class, to TFRecords of tf.Example."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfx_balance.errors import DataError

SUFFIXES = ('.png', '.jpg', '.jpeg', '.jpe', '.jfif')
FEATURE = 'image'
FILE_IMAGES = 4096  # images per TFRecord file
BATCH_IMAGES = 64  # images in memory at a time


def visible(folder: Path) -> list[Path]:
  """Returns the entries of a folder that start with neither a dot nor an underscore, sorted."""
  return sorted(path for path in folder.iterdir() if path.name[0] not in '._')


def is_image(path: Path) -> bool:
  """Returns whether a file has the suffix of an image."""
  return path.suffix.lower() in SUFFIXES


def find_images(folder: Path) -> dict[str, list[Path]]:
  """Returns the images by class, which is the name of their folder.

  Raises:
    DataError: If the folder does not consist of subfolders of PNG and JPEG files.
  """
  if not folder.is_dir():
    raise DataError(
      f'{folder} is not a folder; pass one that has a folder of images for each class'
    )
  entries = visible(folder)
  classes = {path.name: class_images(path, folder) for path in entries if path.is_dir()}
  loose = [path.name for path in entries if path.is_file() and is_image(path)]
  if loose:
    raise DataError(
      f'{folder} has {len(loose):,} images outside of its subfolders, such as {loose[0]}; '
      'move each into a folder with the name of its class'
    )
  if not classes:
    raise DataError(f'{folder} has no subfolders; add a folder of images for each class')
  return classes


def class_images(folder: Path, parent: Path) -> list[Path]:
  """Returns the images of one class."""
  entries = visible(folder)
  inner = [path.name for path in entries if path.is_dir()]
  if inner:
    raise DataError(
      f'{folder} has the subfolder {inner[0]}; the folders of the classes hold '
      f'images alone: pass {folder} if its subfolders are the classes, or move the images up'
    )
  others = [path.name for path in entries if not is_image(path)]
  if others:
    raise DataError(
      f'{folder} has {len(others):,} files that are neither PNG nor JPEG, such as {others[0]}; '
      'convert or remove them'
    )
  if not entries:
    raise DataError(f'{folder} has no images; add images, or remove it from {parent}')
  return entries


def make_example(path: Path, class_name: str, label: str) -> bytes:
  """Returns a serialized tf.Example with the image's bytes and its class.

  Raises:
    DataError: If the image cannot be decoded.
  """
  import tensorflow as tf

  data = path.read_bytes()
  try:
    tf.io.decode_png(data, channels=3)  # decodes JPEG too, as in the model's preprocessing
  except tf.errors.OpError as error:
    raise DataError(
      f'{path} cannot be decoded as PNG or JPEG; convert it again, or remove it'
    ) from error
  example = tf.train.Example()
  example.features.feature[FEATURE].bytes_list.value.append(data)
  example.features.feature[label].bytes_list.value.append(class_name.encode())
  return example.SerializeToString(deterministic=True)


def write_images(
  classes: Mapping[str, list[Path]],
  label: str,
  folder: Path,
  file_images: int = FILE_IMAGES,
  batch_images: int = BATCH_IMAGES,
) -> None:
  """Writes all images unchanged to TFRecord files, after a test that each can be decoded.

  Args:
    classes: Files by class.
    label: Name of the feature for the class.
    folder: Output folder.
    file_images: Images per TFRecord file.
    batch_images: Images in memory at a time.

  Raises:
    DataError: If an image cannot be decoded.
  """
  import tensorflow as tf

  images = [(path, name, label) for name, paths in classes.items() for path in paths]
  with ThreadPoolExecutor() as pool:
    for i, first in enumerate(range(0, len(images), file_images)):
      of_file = images[first : first + file_images]
      with tf.io.TFRecordWriter(str(folder / f'images-{i:05d}.tfrecord')) as writer:
        for at in range(0, len(of_file), batch_images):
          for record in pool.map(make_example, *zip(*of_file[at : at + batch_images], strict=True)):
            writer.write(record)
