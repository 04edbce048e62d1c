"""Small tables, and fewer folds for comparisons whose folds take long."""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import islice
from unittest import mock

import numpy as np
from tfx_balance.compare import comparing
from tfx_balance.compare.trainers import N_FOLDS, fold_tasks


def first_folds(n: int = N_FOLDS) -> AbstractContextManager[object]:
  """Returns a context in which `compare` trains on its first folds alone, one repetition's."""
  return mock.patch.object(comparing, 'fold_tasks', lambda *args: islice(fold_tasks(*args), n))


def table(n_rare: int = 40, n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
  """Returns three features, of which the first tells the classes apart, and the classes."""
  rng = np.random.default_rng(seed)
  y = np.where(np.arange(n) < n_rare, 'rare', 'usual')
  x = rng.normal(size=(n, 3))
  x[:, 0] += 2 * (y == 'rare') - 1
  return x, y
