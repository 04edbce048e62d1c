"""Small networks of NumPy, many trained at once, with every arm of `tfx_balance.compare`."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors
from tfx_balance.compare.arms import ADJUSTED, ARMS, CLASS_WEIGHTS, SMOTE, TRAINED
from tfx_balance.compare.threshold import shifted

from benchmarks.quality_tables import FOLDER

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS, BATCH = 400, 64
_RATE = 0.005
_NEIGHBOURS = 5


@dataclass(frozen=True)
class Data:
  """Features, float32 [n, d], of mean 0 and deviation 1 where they are numbers, and classes."""

  x: npt.NDArray[np.float32]
  labels: Ints

  @property
  def log_prior(self) -> Floats:
    """Log share of each class, [n_classes]."""
    return np.log(np.bincount(self.labels) / len(self.labels))


def table_names() -> list[str]:
  """Returns the names of the tables in the folder that `TFX_BALANCE_DATA` names."""
  return sorted(path.stem for path in Path(os.environ[FOLDER], 'tables').glob('*.csv'))


def read_data(name: str) -> Data:
  """Returns a table, texts one-hot encoded."""
  path = Path(os.environ[FOLDER], 'tables', f'{name}.csv')
  with path.open(encoding='utf-8', newline='') as file:
    _, *rows = csv.reader(file)
  *columns, labels = zip(*rows, strict=True)
  x = np.concatenate([_encoded(column) for column in columns], axis=1).astype(np.float32)
  return Data(x, np.unique(labels, return_inverse=True)[1].astype(np.int64))


def digits() -> Data:
  """Returns a long tail of scikit-learn's digits: 180 of the first class, 36 of the last."""
  from sklearn.datasets import load_digits

  images, labels = load_digits(return_X_y=True)
  return _long_tail((images / 16).astype(np.float32), labels.astype(np.int64), 5)


def mnist() -> Data:
  """Returns a long tail of 1,000 images of MNIST: about 100 of the first class, 20 of the last."""
  import tensorflow as tf

  form = {'image_floats': tf.io.FixedLenFeature([784], tf.float32)}
  form['image_class'] = tf.io.FixedLenFeature([], tf.int64)
  records = list(tf.data.TFRecordDataset(str(Path(os.environ[FOLDER], 'mnist.tfrecord'))))
  found = tf.io.parse_example(records, form)
  return _long_tail(found['image_floats'].numpy(), found['image_class'].numpy(), 5)


def _long_tail(x: npt.NDArray[np.float32], labels: Ints, ratio: float) -> Data:
  """Returns the first records of each class, fewer from class to class, by a ratio in all."""
  counts = np.bincount(labels)
  kept = np.round(counts.min() * ratio ** (-np.arange(len(counts)) / (len(counts) - 1))).astype(int)
  rows = np.concatenate([np.flatnonzero(labels == c)[:n] for c, n in enumerate(kept)])
  return Data(x[rows], labels[rows])


def _encoded(column: Sequence[str]) -> npt.NDArray[Any]:
  try:
    values = np.array(column, np.float64)[:, np.newaxis]
  except ValueError:
    distinct, codes = np.unique(column, return_inverse=True)
    return np.eye(len(distinct))[codes]
  return (values - values.mean()) / max(values.std(), 1e-9)


def train_arm(
  arm: str, data: Data, trained: Sequence[Ints], hidden: int = 32, seed: int = 0
) -> Networks:
  """Returns a network for each set of rows, trained as an arm says; hidden=0 for a linear model."""
  rng = np.random.default_rng([seed, TRAINED.index(arm)])
  n_classes = int(data.labels.max()) + 1
  rows = np.stack([_drawn(arm, data.labels[own], own, rng) for own in trained])
  weights = np.ones(n_classes)
  if arm == CLASS_WEIGHTS:
    weights = 1 / (n_classes * np.exp(data.log_prior))
  added = data.log_prior if arm == ADJUSTED else np.zeros(n_classes)
  near = np.stack([_neighbours(data, own) for own in trained]) if arm == SMOTE else None
  sizes = (data.x.shape[1], hidden, n_classes) if hidden else (data.x.shape[1], n_classes)
  nets = Networks(sizes, len(trained), np.random.default_rng(seed))
  each = np.arange(len(trained))[:, np.newaxis]
  for step in range(STEPS):
    batch = rows[:, step]
    x = data.x[batch]
    if near is not None:
      to = near[each, batch, rng.integers(_NEIGHBOURS, size=batch.shape)]
      x = x + rng.random((*batch.shape, 1), np.float32) * (data.x[to] - x)
    nets.step(x, data.labels[batch], weights, added)
  return nets


def _drawn(arm: str, labels: Ints, rows: Ints, rng: np.random.Generator) -> Ints:
  """Returns the rows of all batches, [steps, batch], each class at its share of them."""
  total = STEPS * BATCH
  sampling = ARMS[arm].sampling
  if sampling['strategy'] == 'natural':
    order = [rng.permutation(rows) for _ in range(-(-total // len(rows)))]
    return np.concatenate(order)[:total].reshape(STEPS, BATCH)
  share = np.bincount(labels).astype(float) ** sampling.get('q', 0)
  wanted = np.round(np.cumsum(share / share.sum()) * total).astype(int)
  found = []
  for c, n in enumerate(np.diff(wanted, prepend=0)):
    own = rows[labels == c]
    found.append(np.concatenate([rng.permutation(own) for _ in range(-(-n // len(own)))])[:n])
  return rng.permutation(np.concatenate(found)).reshape(STEPS, BATCH)


def _neighbours(data: Data, rows: Ints) -> Ints:
  """Returns the nearest of its class of each row, [n, 5]; those of the largest are themselves."""
  found = np.repeat(np.arange(len(data.labels))[:, np.newaxis], _NEIGHBOURS, axis=1)
  counts = np.bincount(data.labels[rows])
  for c in np.flatnonzero(counts < counts.max()):
    own = rows[data.labels[rows] == c]
    k = min(_NEIGHBOURS, len(own) - 1)
    near = NearestNeighbors(n_neighbors=k).fit(data.x[own]).kneighbors(return_distance=False)
    found[own] = own[near[:, np.arange(_NEIGHBOURS) % k]]
  return found


class Networks:
  """Networks of one hidden layer, or none, trained side by side with Adam (Kingma and Ba 2015)."""

  def __init__(self, sizes: Sequence[int], n: int, rng: np.random.Generator) -> None:
    """Draws the weights of n networks (Glorot and Bengio 2010)."""
    self.parts: list[npt.NDArray[np.float32]] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
      limit = np.sqrt(6 / (fan_in + fan_out))
      self.parts.append(rng.uniform(-limit, limit, (n, fan_in, fan_out)).astype(np.float32))
      self.parts.append(np.zeros((n, 1, fan_out), np.float32))
    self._means = [np.zeros_like(part) for part in self.parts]
    self._squares = [np.zeros_like(part) for part in self.parts]
    self._steps = 0

  def logits(self, x: npt.NDArray[np.float32], which: Any = slice(None)) -> list[Any]:
    """Returns the layers for features, [networks, rows, d], the last of them the logits."""
    layers = [x]
    for i in range(0, len(self.parts), 2):
      made = layers[-1] @ self.parts[i][which] + self.parts[i + 1][which]
      layers.append(np.maximum(made, 0) if i + 2 < len(self.parts) else made)
    return layers

  def step(self, x: Any, labels: Ints, weights: Floats, added: Floats) -> None:
    """Takes a step on a batch of each network, [networks, batch, d]."""
    layers = self.logits(x)
    logits = layers[-1] + added.astype(np.float32)
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    np.put_along_axis(p, labels[..., None], np.take_along_axis(p, labels[..., None], -1) - 1, -1)
    slope = p * (weights[labels] / labels.shape[1])[..., np.newaxis].astype(np.float32)
    slopes: list[Any] = [None] * len(self.parts)
    for i in range(len(self.parts) - 2, -1, -2):
      slopes[i] = layers[i // 2].swapaxes(1, 2) @ slope
      slopes[i + 1] = slope.sum(axis=1, keepdims=True)
      if i:
        slope = (slope @ self.parts[i].swapaxes(1, 2)) * (layers[i // 2] > 0)
    self._steps += 1
    rate = _RATE * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
    for part, own, mean, square in zip(self.parts, slopes, self._means, self._squares, strict=True):
      mean += 0.1 * (own - mean)
      square += 0.001 * (own * own - square)
      part -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))

  def log_p(self, i: int, x: npt.NDArray[np.float32]) -> Floats:
    """Returns the log probabilities of network i for features, [rows, d]."""
    logits = self.logits(x[np.newaxis], slice(i, i + 1))[-1][0]
    return shifted(logits, np.zeros(logits.shape[1]))
