import collections
import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from pipelines import digits


def read_folder(folder: Path) -> list[tuple[bytes, int]]:
  """The PNG and the label of every record in the folder."""
  records = []
  for path in sorted(folder.iterdir()):
    for serialized in tf.data.TFRecordDataset(str(path), 'GZIP').as_numpy_iterator():
      features = tf.train.Example.FromString(serialized).features.feature
      (png,) = features['image'].bytes_list.value
      (label,) = features['label'].int64_list.value
      records.append((png, label))
  return records


def decode(png: bytes) -> tuple[int, ...]:
  """The grey values 0..16 that an image of load_digits had."""
  pixels = tf.io.decode_png(png).numpy()
  assert pixels.shape == (8, 8, 1)
  return tuple(np.rint(pixels.ravel() * (16 / 255)).astype(int))


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> digits.DigitFolders:
  return digits.write_digits(tmp_path_factory.mktemp('digits'), seed=0)


def test_long_tail_falls_geometrically_to_an_eighteenth(folders):
  counts = collections.Counter(label for _, label in read_folder(folders.long_tail))
  in_order = [counts[k] for k in range(10)]
  assert in_order == digits.long_tail_counts(160, 18)
  assert in_order[0] == 160
  assert in_order[9] == 9
  steps = [a / b for a, b in itertools.pairwise(in_order)]
  assert steps == pytest.approx([18 ** (1 / 9)] * 9, rel=0.15)


def test_long_tail_and_held_out_are_together_the_digits(folders):
  images, labels = load_digits(return_X_y=True)
  expected = collections.Counter(
    (tuple(image.astype(int)), int(label)) for image, label in zip(images, labels, strict=True)
  )
  written = read_folder(folders.long_tail) + read_folder(folders.held_out)
  assert collections.Counter((decode(png), label) for png, label in written) == expected


def test_held_out_has_a_hundred_of_every_rare_class(folders):
  counts = collections.Counter(label for _, label in read_folder(folders.held_out))
  assert min(counts[k] for k in range(3, 10)) >= 100


def test_png_spans_the_whole_grey_scale():
  png = digits.encode_png(np.array([[0, 16]] * 2))
  assert tf.io.decode_png(png).numpy().ravel().tolist() == [0, 255, 0, 255]


def test_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path):
  def read_bytes(name: str, seed: int) -> list[bytes]:
    folder = digits.write_digits(tmp_path / name, seed).long_tail
    return [path.read_bytes() for path in sorted(folder.iterdir())]

  first = read_bytes('first', 0)
  assert len(first) == digits.SHARDS
  assert first == read_bytes('again', 0)
  assert first != read_bytes('other', 1)


def test_classes_are_mixed_in_every_shard(folders):
  for path in folders.long_tail.iterdir():
    records = tf.data.TFRecordDataset(str(path), 'GZIP').take(50).as_numpy_iterator()
    labels = [
      tf.train.Example.FromString(r).features.feature['label'].int64_list.value[0] for r in records
    ]
    assert len(set(labels)) > 3
