"""Batches of P classes with K records each: every class once before any class twice.

Such batches have pairs of one class and of different classes for losses on distances (Hermans et
al. 2017, "In defense of the triplet loss for person re-identification", PK batches).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.record_order import keyed_hash

_ROUND = 15  # purpose of random bits


def next_rounds(served: Ints, n_chosen: int, steps: Ints, seed: int) -> tuple[Ints, Ints]:
  """Returns the classes of batches, all different in a batch, and the state after them.

  A round goes through all classes in an order of chance. Where one ends within a batch, the next
  begins with classes that the batch does not have yet.

  >>> served = np.zeros(5, np.int64)
  >>> chosen, served = next_rounds(served, 2, np.arange(5), seed=0)
  >>> np.bincount(chosen.reshape(-1)).tolist(), served.tolist()
  ([2, 2, 2, 2, 2], [0, 0, 0, 0, 0])

  Args:
    served: int64 [n_classes], 1 for the classes that the present round was at.
    n_chosen: Classes of a batch, from 1 to n_classes.
    steps: int64 [n_batches], steps of the batches.
    seed: Seed of the order.

  Returns:
    chosen: int64 [n_batches, n_chosen], class indices.
    served: int64 [n_classes], after the batches.
  """
  served, chosen = served.astype(np.bool_), np.empty((len(steps), n_chosen), np.int64)
  for row, step in zip(chosen, steps.tolist(), strict=True):
    chance = keyed_hash(seed, _ROUND, step, np.arange(len(served)))
    open_ = np.flatnonzero(~served)
    last = _first(open_, chance, n_chosen)
    served[last] = True
    row[: len(last)] = last
    if len(last) == len(open_):
      after = np.zeros_like(served)
      others = np.delete(np.arange(len(served)), last)
      new = _first(others, chance, n_chosen - len(last))
      after[new] = True
      row[len(last) :] = new
      served = after
  return chosen, served.astype(np.int64)


def _first(classes: Ints, chance: npt.NDArray[np.uint64], n: int) -> Ints:
  """Returns the n classes that come first by chance, or all."""
  found: Ints = classes[np.argsort(chance[classes])[:n]]
  return found


def distinct_draws(draws: Ints, records: Ints, n_together: int) -> tuple[Ints, Ints]:
  """Returns draws whose records differ within each group of K, and the length of a pass.

  A pass over a class of n records is cut to a multiple of K, so that no group of K has the end of
  one pass and the beginning of the next. The records left out are others in each pass. A class of
  fewer than K records repeats them.

  >>> distinct_draws(np.arange(6), np.full(6, 5), 2)[0].tolist()  # place 4 of the pass is left out
  [0, 1, 2, 3, 5, 6]

  Args:
    draws: int64 [n], records of the class that were drawn before.
    records: int64 [n], records of the class.
    n_together: Records of a class in a batch, K; 1 leaves draws as they are.

  Returns:
    draws: int64 [n].
    passes: int64 [n], draws of a pass.
  """
  whole = records // n_together * n_together
  passes = np.where(whole, whole, records)
  turn, place = np.divmod(draws, passes)
  return turn * records + place, passes
