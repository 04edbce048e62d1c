"""Feeds of row numbers, which index arrays in memory; they need NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from tfx_balance import BalancedBatches

from benchmarks.batch_feeds import BATCH_SIZE, Feed

Ints = npt.NDArray[np.int64]
OURS = 'BalancedBatches'
LOOP = 'NumPy loop'


def balanced_feed(columns: dict[str, Any], label: Ints) -> Feed:
  """Returns the batches of `BalancedBatches`, epoch after epoch."""

  def made(seed: int) -> BalancedBatches:
    return BalancedBatches(label, BATCH_SIZE, seed=seed)

  def resume(seed: int, step: int) -> Iterator[Ints]:
    again = made(seed)
    again.load_state_dict(made(seed).state_dict(step))
    return epochs(again)

  return Feed(
    lambda seed: epochs(made(seed)),
    lambda rows: (columns['x'][rows], label[rows]),
    lambda _, step: step,
    resume,
  )


def epochs(batches: Any) -> Iterator[Any]:
  """Yields the batches of one epoch after the other."""
  while True:
    yield from batches


def loop_feed(columns: dict[str, Any], label: Ints) -> Feed:
  """Returns what people write: equal parts of each class's shuffled rows, shuffled anew in turn.

  What does not divide by the classes is dealt to the first ones.
  """
  of_class = [np.flatnonzero(label == value) for value in np.unique(label)]
  quotas = np.full(len(of_class), BATCH_SIZE // len(of_class))
  quotas[: BATCH_SIZE % len(of_class)] += 1

  def start(seed: int) -> Iterator[Ints]:
    rng = np.random.default_rng(seed)
    left = [rng.permutation(rows) for rows in of_class]
    while True:
      parts = []
      for i, n in enumerate(quotas.tolist()):
        while len(left[i]) < n:
          left[i] = np.concatenate([left[i], rng.permutation(of_class[i])])
        parts.append(left[i][:n])
        left[i] = left[i][n:]
      rows = np.concatenate(parts)
      rng.shuffle(rows)
      yield rows

  return Feed(start, lambda rows: (columns['x'][rows], label[rows]))


FEEDS = {OURS: balanced_feed, LOOP: loop_feed}
