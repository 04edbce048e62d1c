"""Functions bound to a pool of each class, applied to batches that mix the classes."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfx_balance.augment.applier import augment_batch
from tfx_balance.augment.contract import AugmentFn, Features


def augment_by_class(
  functions: Sequence[AugmentFn], features: Features, seeds: tf.Tensor, which: tf.Tensor
) -> Features:
  """Returns the batch with each record augmented by its function: graph code.

  Each function that has a record in the batch is called once.

  Args:
    functions: m of them.
    features: feature to [n, ...].
    seeds: int64 [n, 2].
    which: int64 [n], below m.
  """
  order = tf.argsort(which, stable=True)
  present, _, counts = tf.unique_with_counts(tf.gather(which, order))
  ends = tf.cumsum(counts)

  def step(i: tf.Tensor, done: Features) -> tuple[tf.Tensor, Features]:
    rows = order[ends[i] - counts[i] : ends[i]]
    own = {name: tf.gather(value, rows) for name, value in features.items()}
    own_seeds = tf.gather(seeds, rows)
    branches = [lambda f=f: augment_batch(f, own, own_seeds) for f in functions]
    made = tf.switch_case(tf.cast(present[i], tf.int32), branches)
    at = rows[:, tf.newaxis]
    return i + 1, {
      name: tf.tensor_scatter_nd_update(value, at, made[name]) for name, value in done.items()
    }

  _, out = tf.while_loop(lambda i, _: i < tf.size(present), step, (0, dict(features)))
  return out
