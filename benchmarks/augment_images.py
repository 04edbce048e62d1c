"""TFRecord files of PNG images, kept in a cache folder: `image`, and a class, `label`.

An image is a smooth pattern with a little noise, drawn afresh for each record: it compresses about
as a photograph does.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.data import SPLIT, DataSpec
from benchmarks.measure import Work

# What both sides do to an image, besides mirroring every other one.
BRIGHTNESS, CONTRAST, CROP = 0.1, 0.2, 0.1

_VERSION = 1  # of what the files hold: raised, it makes cached ones useless
_SHARDS = 2
_NOISE = 4.0  # standard deviation, of 255


@dataclass(frozen=True)
class ImageFiles:
  """Files that are there.

  Attributes:
    folder: an `Examples` artifact's root.
    records: in all the files.
    side: of the images, in pixels.
    channels: of the images.
  """

  folder: str
  records: int
  side: int
  channels: int

  @property
  def split_folder(self) -> str:
    """Where the files are."""
    return f'{self.folder}/Split-{SPLIT}'

  @property
  def paths(self) -> list[str]:
    """The files, in order."""
    return sorted(str(path) for path in Path(self.split_folder).iterdir())

  @property
  def class_counts(self) -> tuple[int, ...]:
    """The records of each class."""
    return DataSpec('small', self.records, 1).class_counts()


def make_images(records: int, side: int, channels: int, cache: str) -> Work:
  """Returns the work of making files, or finding them; it gives an `ImageFiles`."""
  name = f'images-{records}-{side}-{channels}-v{_VERSION}'
  files = ImageFiles(str(Path(cache, name)), records, side, channels)
  return Work(lambda: find_or_write(files), check=asdict)


def find_or_write(files: ImageFiles) -> ImageFiles:
  """Returns the files, which are written first if need be."""
  folder = Path(files.folder)
  if not folder.exists():
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix='part-') as temporary:
      part = ImageFiles(f'{temporary}/part', files.records, files.side, files.channels)
      Path(part.split_folder).mkdir(parents=True)
      write_files(part)
      Path(part.folder).rename(folder)
  return files


def write_files(files: ImageFiles) -> None:
  """Writes the files, classes mixed."""
  import tensorflow as tf  # not above: whoever asks for names and numbers need not wait for it

  from benchmarks.augment_tfdata import serialize

  rng = np.random.default_rng(0)
  labels = rng.permutation(np.repeat(np.arange(len(files.class_counts)), files.class_counts))
  for shard, part in enumerate(np.array_split(labels, _SHARDS)):
    path = f'{files.split_folder}/data_tfrecord-{shard:05d}-of-{_SHARDS:05d}.gz'
    with tf.io.TFRecordWriter(path, options='GZIP') as writer:
      for label in part.tolist():
        png = tf.io.encode_png(draw_image(files.side, files.channels, rng)).numpy()
        writer.write(serialize(png, label))


def draw_image(side: int, channels: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
  """Returns an image: a few waves across it and a little noise, uint8 [side, side, channels]."""
  rows, columns = np.mgrid[0:side, 0:side] / side
  image = np.full((side, side, channels), 128.0)
  for amplitude in (60.0, 30.0, 15.0):
    down, right = rng.uniform(-3, 3, 2)
    phases = rng.uniform(0, 2 * np.pi, channels)
    wave = 2 * np.pi * (down * rows + right * columns)
    image += amplitude * np.sin(wave[..., np.newaxis] + phases)
  image += rng.normal(0, _NOISE, image.shape)
  return np.clip(np.rint(image), 0, 255).astype(np.uint8)
