"""Functions bound to a pool of each class, applied to batches that mix the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.augment.applier import augment_batch
from tfx_balance.augment.contract import AugmentFn, Features

Call = Callable[[tf.Tensor, Features, tf.Tensor], Features]
"""Graph code: which function int32, and features and seeds of its records, to new features."""


class ByClass:
  """Augments each record of a batch by its function; a function with no record there is not called.

  Functions with `arrays` (see `VectorAugment`) are one piece of graph code for any number of
  classes. Of others each is a piece of its own, which takes about 0.2 s to make.

  Args:
    functions: bound by one `PoolFn`.
  """

  def __init__(self, functions: Sequence[AugmentFn]):
    stacked = all(getattr(function, 'arrays', None) for function in functions)
    self._call = _stacked(functions) if stacked else _switched(functions)

  def batch(self, features: Features, seeds: tf.Tensor, which: tf.Tensor) -> Features:
    """Returns the augmented batch: graph code.

    Args:
      features: feature to [n, ...].
      seeds: int64 [n, 2].
      which: int64 [n], places of the functions.
    """
    order = tf.argsort(which, stable=True)
    present, _, counts = tf.unique_with_counts(tf.gather(which, order))
    ends = tf.cumsum(counts)

    def step(i: tf.Tensor, done: Features) -> tuple[tf.Tensor, Features]:
      rows = order[ends[i] - counts[i] : ends[i]]
      own = {name: tf.gather(value, rows) for name, value in features.items()}
      made = self._call(tf.cast(present[i], tf.int32), own, tf.gather(seeds, rows))
      at = rows[:, tf.newaxis]
      return i + 1, {
        name: tf.tensor_scatter_nd_update(value, at, made[name]) for name, value in done.items()
      }

    _, out = tf.while_loop(lambda i, _: i < tf.size(present), step, (0, dict(features)))
    return out


def _switched(functions: Sequence[AugmentFn]) -> Call:
  """Returns graph code with a branch for each function."""

  def call(which: tf.Tensor, features: Features, seeds: tf.Tensor) -> Features:
    branches = [lambda f=f: augment_batch(f, features, seeds) for f in functions]
    return tf.switch_case(which, branches)

  return call


def _stacked(functions: Sequence[Any]) -> Call:
  """Returns graph code in which the arrays of a function are looked up."""
  first = functions[0]
  tables = {}
  with tf.init_scope():  # so that a graph takes them as inputs, and holds no copy
    for name in first.arrays:
      arrays = [function.arrays[name] for function in functions]
      ends = np.cumsum([0, *(len(array) for array in arrays)])
      tables[name] = tf.concat(arrays, 0), tf.constant(ends)

  def call(which: tf.Tensor, features: Features, seeds: tf.Tensor) -> Features:
    own = {name: table[ends[which] : ends[which + 1]] for name, (table, ends) in tables.items()}
    return augment_batch(first.with_arrays(own), features, seeds)

  return call
