"""Trains small networks of many folds at once, with one of the remedies, in NumPy alone.

The network is a hidden layer of rectified linear units, or none, and Adam; the same number of steps
and the same batch size for every remedy. Batched products of matrices do all folds in one call.
"""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, softmax
from tfx_balance.compare.arms import ARMS, TRAINED

from benchmarks.quality_tables import FOLDER

Array = npt.NDArray[Any]
HIDDEN, BATCH, STEPS, RATE = 32, 64, 400, 0.01
NEIGHBOURS = 5
"""Of a record, between which and it SMOTE makes others."""


def table_names() -> list[str]:
  """Returns the names of the tables in the folder that TFX_BALANCE_DATA names."""
  folder = os.environ.get(FOLDER)
  return sorted(path.stem for path in Path(folder, 'tables').glob('*.csv')) if folder else []


def read(name: str) -> tuple[Array, Array]:
  """Returns numbers and one-hot texts, float32 [n, d], and the index of each class, [n]."""
  with Path(os.environ[FOLDER], 'tables', f'{name}.csv').open(newline='') as file:
    header, *rows = csv.reader(file)
  columns = [np.array(column) for column in zip(*rows, strict=True)]
  labels = np.unique(columns.pop(header.index('label')), return_inverse=True)[1]
  parts: list[Array] = []
  for column in columns:
    try:
      parts.append(column.astype(np.float32)[:, np.newaxis])
    except ValueError:
      parts.append((column[:, np.newaxis] == np.unique(column)).astype(np.float32))
  return np.concatenate(parts, axis=1), labels


def draw(labels: Array, q: float, steps: int, rng: np.random.Generator) -> Array:
  """Returns rows of batches whose classes have shares of n^q exactly: [steps, BATCH].

  The records of a class are used up, in a fresh order, before one comes again.
  """
  counts = np.bincount(labels)
  shares = np.where(counts > 0, counts.astype(float) ** q, 0)
  ends = np.arange(1, steps + 1)[:, np.newaxis] * np.cumsum(shares / shares.sum()) * BATCH
  ends[:, -1] = np.arange(1, steps + 1) * BATCH
  per_class = np.diff(np.diff(np.floor(ends + 1e-9), axis=0, prepend=0), axis=1, prepend=0)
  classes = np.repeat(np.tile(np.arange(len(counts)), steps), per_class.astype(int).ravel())
  rows = np.empty(steps * BATCH, np.int64)
  for c in np.flatnonzero(counts):
    at, own = np.flatnonzero(classes == c), np.flatnonzero(labels == c)
    epochs = [rng.permutation(own) for _ in range(-(-len(at) // len(own)))]
    rows[at] = np.concatenate(epochs)[: len(at)] if epochs else []
  return rows.reshape(steps, BATCH)


def neighbours(x: Array, labels: Array) -> Array:
  """Returns rows of the nearest records of the same class: [n, NEIGHBOURS].

  Those of the largest class, of which SMOTE makes none, are the records themselves.
  """
  found = np.repeat(np.arange(len(x))[:, np.newaxis], NEIGHBOURS, axis=1)
  counts = np.bincount(labels)
  for c in np.flatnonzero((counts > 1) & (counts < counts.max())):
    own = np.flatnonzero(labels == c)
    squares = np.sum(x[own] ** 2, axis=1)
    distance = squares[:, np.newaxis] + squares - 2 * x[own] @ x[own].T
    np.fill_diagonal(distance, np.inf)
    k = min(NEIGHBOURS, len(own) - 1)
    near = own[np.argpartition(distance, k - 1, axis=1)[:, :k]]
    found[own] = near[:, np.arange(NEIGHBOURS) % k]
  return found


def train(
  x: Array,
  labels: Array,
  trained: Sequence[Array],
  tested: Sequence[Array],
  arm: str,
  steps: int = STEPS,
  hidden: int = HIDDEN,
  seed: int = 0,
) -> list[Array]:
  """Returns the log probabilities of what each fold tests, float64 [n, n_classes].

  Args:
    x: Features of all records, float32 [n, d].
    labels: Index of each record's class, [n].
    trained: Rows that each fold trains on.
    tested: Rows that each fold tests.
    arm: One of `TRAINED`.
    steps: Number of batches.
    hidden: Units of the hidden layer, 0 for none.
    seed: Seed of batches and weights, which are the same for each arm.
  """
  assert arm in TRAINED
  folds, d, n_classes = len(trained), x.shape[1], int(labels.max()) + 1
  way, power = ARMS[arm].way, ARMS[arm].q - 1
  q = ARMS[arm].sampling.get('q', 1.0)
  rngs = [np.random.default_rng([seed, i]) for i in range(folds)]
  rows = np.stack(
    [own[draw(labels[own], q, steps, rng)] for own, rng in zip(trained, rngs, strict=True)], axis=1
  )
  counts = np.stack([np.bincount(labels[own], minlength=n_classes) for own in trained])
  mean = np.stack([x[own].mean(axis=0) for own in trained])[:, np.newaxis]
  scale = np.stack([x[own].std(axis=0) for own in trained])[:, np.newaxis]
  scale[scale < 1e-6] = 1
  prior = counts / counts.sum(axis=1, keepdims=True)
  known = np.maximum(prior, 1e-6)
  offset = np.log(known) * ARMS[arm].tau
  own = known**power / (known ** (power + 1)).sum(axis=1, keepdims=True)
  weights = own if way == 'weights' else prior**0
  if way == 'smote':
    near = np.zeros((folds, len(x), NEIGHBOURS), np.int32)
    for i, own in enumerate(trained):
      near[i, own] = own[neighbours((x[own] - mean[i]) / scale[i], labels[own])]
    made = 1 - counts / counts.max(axis=1, keepdims=True)  # shares of its classes
  widths = [d, hidden, n_classes] if hidden else [d, n_classes]
  rng = np.random.default_rng([seed, 0, 1])
  parameters: list[Array] = []
  for a, b in itertools.pairwise(widths):
    size = np.sqrt(2 / a) if hidden else 0
    parameters += [rng.normal(0, size, (folds, a, b)).astype(np.float32)]
    parameters += [np.zeros((folds, 1, b), np.float32)]
  first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
  own_fold = np.arange(folds)[:, np.newaxis]
  offset, weights = offset[:, np.newaxis].astype(np.float32), weights.astype(np.float32)
  for step, at in enumerate(rows, 1):
    batch, target = x[at], labels[at]
    if way == 'smote':
      other = near[own_fold, at, rng.integers(0, NEIGHBOURS, at.shape)]
      gap = rng.random(at.shape) * (rng.random(at.shape) < made[own_fold, target])
      batch = batch + gap[..., np.newaxis].astype(np.float32) * (x[other] - batch)
    batch = (batch - mean) / scale
    inner = np.maximum(batch @ parameters[0] + parameters[1], 0) if hidden else batch
    slope = softmax(inner @ parameters[-2] + parameters[-1] + offset, axis=2)
    np.put_along_axis(
      slope,
      target[..., np.newaxis],
      np.take_along_axis(slope, target[..., np.newaxis], 2) - 1,
      2,
    )
    slope *= (weights[own_fold, target] / BATCH)[..., np.newaxis]
    gradients = [inner.transpose(0, 2, 1) @ slope, slope.sum(axis=1, keepdims=True)]
    if hidden:
      back = (slope @ parameters[-2].transpose(0, 2, 1)) * (inner > 0)
      gradients = [batch.transpose(0, 2, 1) @ back, back.sum(axis=1, keepdims=True), *gradients]
    rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
      m += 0.1 * (g - m)
      v += 0.001 * (g * g - v)
      p -= np.float32(rate) * m / (np.sqrt(v) + 1e-8)
  found = []
  for i, own in enumerate(tested):
    inner = (x[own] - mean[i]) / scale[i]
    if hidden:
      inner = np.maximum(inner @ parameters[0][i] + parameters[1][i], 0)
    found.append(log_softmax((inner @ parameters[-2][i] + parameters[-1][i]).astype(np.float64), 1))
  return found
