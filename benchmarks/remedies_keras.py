"""The remedies with Keras models, trained as `compare` does, and the images they are tried on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tfx_balance.compare.keras_training import KerasTraining
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.trainers import Task
from tfx_balance.plan.labels import count_labels

from benchmarks.quality_tables import FOLDER
from benchmarks.remedies_training import BATCH, HIDDEN, Array, read

_RATIO = 5  # of the first class's records to the last's
TABLE = 'vehicle1'
NAMES = ('digits', 'mnist', TABLE)


def read_images(name: str) -> tuple[Array, Array]:
  """Returns features, float32 [n, d], and classes, [n], of long-tailed images, or of a table."""
  if name == TABLE:
    x, labels = read(name)
    return ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-6)).astype(np.float32), labels
  if name == 'digits':
    x, labels = load_digits(return_X_y=True)
    return _long_tail((x / 16).astype(np.float32), labels.astype(np.int64))
  form = {
    'image_floats': tf.io.FixedLenFeature([784], tf.float32),
    'image_class': tf.io.FixedLenFeature([], tf.int64),
  }
  records = list(tf.data.TFRecordDataset(str(Path(os.environ[FOLDER], 'mnist.tfrecord'))))
  found = tf.io.parse_example(records, form)
  return _long_tail(found['image_floats'].numpy(), found['image_class'].numpy())


def _long_tail(x: Array, labels: Array) -> tuple[Array, Array]:
  """Returns the first records of each class, geometrically fewer from class to class."""
  counts = np.bincount(labels)
  kept = np.round(counts.min() * _RATIO ** (-np.arange(len(counts)) / (len(counts) - 1)))
  of_class = [np.flatnonzero(labels == c)[: int(n)] for c, n in enumerate(kept)]
  rows = np.concatenate(of_class)
  return x[rows], labels[rows]


def train_keras(
  x: Array, labels: Array, trained: Sequence[Array], tested: Sequence[Array], steps: int, seed: int
) -> dict[str, list[Array]]:
  """Returns, by arm, the log probabilities of what each fold tests; see `remedies_training.train`.

  The network has one hidden layer of 32 units, as that of NumPy.
  """
  import keras

  counts = count_labels(labels)[0]

  def make_model() -> Any:
    layers = [keras.layers.Dense(HIDDEN, 'relu'), keras.layers.Dense(len(counts.classes))]
    model = keras.Sequential([keras.Input([x.shape[1]]), *layers])
    model.compile(keras.optimizers.Adam(0.005))
    return model

  plain = Remedy('natural', counts.classes, counts.records, (0.0,) * len(counts.classes))
  limits = {'steps': steps, 'batch_size': BATCH}
  training = KerasTraining.of(make_model, False, x, labels, plain, np.inf, **limits)
  tasks = [
    Task(0, 1000 * seed + i, *rows) for i, rows in enumerate(zip(trained, tested, strict=True))
  ]
  folds = list(training.folds(tasks, 2))
  return {arm: [fold.log_p[arm] for fold in folds] for arm in training.remedies}
