"""Long-tailed input of the sample: a subset of scikit-learn's handwritten digits.

`load_digits` has 1,797 real 8x8 images, about 180 per class. The long tail keeps a geometrically
decreasing number of each class, from 160 zeros to 9 nines. All other images are the held-out set,
so the rarer a class, the more test records it has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

LABEL = 'label'
CLASSES = 10
MOST = 160  # zeros in the long tail; fewer than there are, so every class has held-out images
WHITE = 16  # load_digits has gray values 0..16
SHARDS = 3


@dataclass(frozen=True)
class DigitFolders:
  """Folders of the two sets: TFRecord shards of tf.Examples with `image` and `label`."""

  long_tail: Path
  held_out: Path


def long_tail_counts(most: int, ratio: float, classes: int = CLASSES) -> list[int]:
  """Returns the number of records per class, decreasing geometrically from most to `most / ratio`.

  >>> long_tail_counts(160, 18)
  [160, 116, 84, 61, 44, 32, 23, 17, 12, 9]
  """
  return [round(most * ratio ** (-k / (classes - 1))) for k in range(classes)]


def hash_rank(indices: Iterable[int], seed: int) -> list[int]:
  """Returns the indices ordered by a keyed hash, which depends on the seed and the index only."""
  return sorted(indices, key=lambda i: blake2b(f'{seed}/{i}'.encode(), digest_size=8).digest())


def choose_long_tail(
  labels: Sequence[int], seed: int, ratio: float = 18.0
) -> tuple[list[int], list[int]]:
  """Returns the indices of the long tail and of the held-out set, each shuffled."""
  members = [[i for i, label in enumerate(labels) if label == k] for k in range(CLASSES)]
  counts = long_tail_counts(MOST, ratio)
  kept = {
    index
    for indices, count in zip(members, counts, strict=True)
    for index in hash_rank(indices, seed)[:count]
  }
  order = hash_rank(range(len(labels)), seed + 1)
  return [i for i in order if i in kept], [i for i in order if i not in kept]


def encode_png(image: np.ndarray) -> bytes:
  """Returns the PNG (8-bit grayscale) of an 8x8 array of values 0..16, scaled to 0..255."""
  grey = np.rint(image * (255 / WHITE)).astype(np.uint8)
  return tf.io.encode_png(grey[..., np.newaxis]).numpy()


def make_example(image: np.ndarray, label: int) -> bytes:
  """Returns a serialized tf.Example with `image` (PNG bytes) and `label` (int64)."""
  features = {
    'image': tf.train.Feature(bytes_list=tf.train.BytesList(value=[encode_png(image)])),
    LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
  }
  example = tf.train.Example(features=tf.train.Features(feature=features))
  return example.SerializeToString(deterministic=True)


def write_shards(records: Sequence[bytes], folder: Path, shards: int = SHARDS) -> None:
  """Writes the records round-robin to gzip TFRecord files in the folder."""
  folder.mkdir(parents=True, exist_ok=True)
  for shard in range(shards):
    path = folder / f'digits-{shard:05d}-of-{shards:05d}.tfrecord.gz'
    with tf.io.TFRecordWriter(str(path), options='GZIP') as writer:
      for record in records[shard::shards]:
        writer.write(record)


def write_digits(folder: Path, seed: int = 0) -> DigitFolders:
  """Writes `long-tail/` and `held-out/` to the folder; the same bytes for the same seed."""
  images, labels = load_digits(return_X_y=True)
  images = images.reshape(-1, 8, 8)
  folders = DigitFolders(folder / 'long-tail', folder / 'held-out')
  chosen = choose_long_tail(labels.tolist(), seed)
  for indices, target in zip(chosen, (folders.long_tail, folders.held_out), strict=True):
    write_shards([make_example(images[i], int(labels[i])) for i in indices], target)
  return folders
