"""Selectors of the items of a batch: uniform, by class, by priority, by difficulty."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import LARGEST, check_number, check_seed, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.selection.sum_tree import SumTree, as_floats
from tfx_balance.plan.batch_quota import check_batch_size
from tfx_balance.plan.labels import count_labels
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.record_order import keyed_hash, keyed_uniform, permuted

Floats = npt.NDArray[np.float64]
_DRAW = 21  # purpose of random bits


class Selected(NamedTuple):
  """The items of a batch.

  Attributes:
    items: int64 [batch_size], indices of the items.
    weights: float32 [batch_size], weights of the losses; None for equal ones.
  """

  items: Ints
  weights: npt.NDArray[np.float32] | None


class Selector(Protocol):
  """Chooses the items of batches; these are a function of the step, from 0.

  A selector with `n_items` is for as many items alone.
  """

  def select(self, step: int, batch_size: int) -> Selected | Ints:
    """Returns the items of a batch, with or without weights."""


@dataclass(eq=False)
class UniformSelector:
  """Every item once a pass, each pass in a fresh order.

  Attributes:
    n_items: Number of items, 1 or more.
    seed: Seed of the order.
  """

  n_items: int
  seed: int = 0

  def __post_init__(self) -> None:
    self.n_items, self.seed = check_whole('n_items', self.n_items), check_seed(self.seed)

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch; see `Selector`."""
    step, batch_size = _check_batch(step, batch_size)
    draws = step * batch_size + np.arange(batch_size, dtype=np.int64)
    turn, position = np.divmod(draws, self.n_items)
    size = np.full_like(position, self.n_items)
    return Selected(permuted(position, size, keyed_hash(self.seed, turn)), None)


@dataclass(eq=False)
class ClassSelector:
  """Items drawn with replacement, each class with a probability of its own.

  Attributes:
    labels: [n_items], integers, text or bytes.
    ratios: Weight by class, every class named; None for q.
    q: Exponent of weights count^q; 0 is balanced.
    seed: Seed of the draws.
  """

  labels: Any
  ratios: Mapping[Any, Any] | None = None
  q: float | None = None
  seed: int = 0
  n_items: int = field(init=False)

  def __post_init__(self) -> None:
    self.seed = check_seed(self.seed)
    counts, self._rows = count_labels(self.labels)
    self.n_items = len(self._rows)
    weights = np.array(counts.weights(self.q, self.ratios), np.float64)
    self._starts = np.concatenate([[0], np.cumsum(counts.records)])
    self._edges = np.cumsum(weights) / weights.sum()

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch; see `Selector`."""
    step, batch_size = _check_batch(step, batch_size)
    slots = np.arange(batch_size)
    which = keyed_uniform(self.seed, _DRAW, step, slots)
    classes = np.searchsorted(self._edges, which * self._edges[-1], side='right')
    first, size = self._starts[classes], np.diff(self._starts)[classes]
    inside = (keyed_uniform(self.seed, _DRAW + 1, step, slots) * size).astype(np.int64)
    return Selected(self._rows[first + inside], None)


class PrioritySelector:
  """Items drawn with replacement in proportion to priority^alpha, with weights that undo the bias.

  Proportional prioritised experience replay (Schaul et al. 2016, "Prioritized experience replay"):
  a batch takes one draw from each of batch_size equal intervals of the total; weights are
  (n_items P(i))^-beta, divided by the batch's largest. All items start with priority 1. It is safe
  to update from one thread and draw from others.
  """

  def __init__(
    self,
    n_items: int,
    alpha: float = 0.6,
    beta: float | Callable[[int], float] = 0.4,
    epsilon: float = 1e-6,
    seed: int = 0,
  ) -> None:
    """Makes a selector of items that all have priority 1.

    Args:
      n_items: Number of items, 1 or more.
      alpha: Exponent of the priorities, 0 (uniform) or more.
      beta: Exponent of the weights, 0 (no correction) to 1 (full), or a function of the step that
        anneals it.
      epsilon: Number added to every priority, so that none is 0.
      seed: Seed of the draws.

    Raises:
      ConfigError: if an argument is out of range.
    """
    self._tree = SumTree(n_items)
    self.n_items = self._tree.n_items
    self._alpha = check_number('alpha', alpha, 0)
    self._epsilon = check_number('epsilon', epsilon, 0)
    if not callable(beta):
      beta = check_number('beta', beta, 0, 1, fix='or give a function of the step')
    self._beta, self._seed = beta, check_seed(seed)
    self._lock = threading.Lock()

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch and their importance weights; see `Selector`."""
    step, batch_size = _check_batch(step, batch_size)
    slots = np.arange(batch_size)
    places = slots + keyed_uniform(self._seed, _DRAW, step, slots)
    with self._lock:
      total = self._tree.total
      if not total:
        raise ConfigError(
          f'the priorities of all {self.n_items} items are 0, and one must be above 0 to be drawn; '
          f'give epsilon= above 0'
        )
      items = self._tree.find(places * (total / batch_size))
      share = self._tree.weights(items) / total
    beta = self._beta(step) if callable(self._beta) else self._beta
    weights = (self.n_items * share) ** -beta
    return Selected(items, (weights / weights.max()).astype(np.float32))

  def update(self, items: Any, priorities: Any) -> None:
    """Sets priorities, such as the last losses of items; of negative ones, the absolute values.

    Args:
      items: Integers [n].
      priorities: Numbers [n], finite.

    Raises:
      ConfigError: if one is out of range.
    """
    weights = (np.abs(as_floats('priorities', priorities)) + self._epsilon) ** self._alpha
    with self._lock:
      self._tree.update(items, weights)

  def priorities(self) -> Floats:
    """Returns the priorities of all items to the power of alpha: float64 [n_items], to save."""
    with self._lock:
      return self._tree.weights()

  def restore(self, priorities: Floats) -> None:
    """Sets the priorities that `priorities` returned."""
    with self._lock:
      self._tree.replace(priorities)


@dataclass(eq=False)
class CurriculumSelector:
  """Easy items first: each step draws uniformly, with replacement, from the easiest items.

  Bengio et al. 2009, "Curriculum learning"; their share grows linearly from `start` to 1.

  Attributes:
    difficulty: float [n_items], small is easy.
    steps: Number of steps until all items are drawn from, 1 or more.
    start: Share of the items at first, above 0 and up to 1.
    seed: Seed of the draws.
  """

  difficulty: Any
  steps: int
  start: float = 0.2
  seed: int = 0
  n_items: int = field(init=False)

  def __post_init__(self) -> None:
    self.steps, self.seed = check_whole('steps', self.steps), check_seed(self.seed)
    self.start = check_number('start', self.start, 0, 1, above=True)
    difficulty = as_floats('difficulty', self.difficulty)
    if not len(difficulty) or np.isnan(difficulty).any():
      raise ConfigError(
        f'difficulty={format_value(self.difficulty)} must be numbers; give one an item'
      )
    self._order = np.argsort(difficulty, kind='stable')
    self.n_items = len(self._order)

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch; see `Selector`."""
    step, batch_size = _check_batch(step, batch_size)
    share = min(1.0, self.start + (1 - self.start) * step / self.steps)
    size = max(1, round(share * self.n_items))
    place = keyed_uniform(self.seed, _DRAW, step, np.arange(batch_size)) * size
    return Selected(self._order[place.astype(np.int64)], None)


def _check_batch(step: Any, batch_size: Any) -> tuple[int, int]:
  """Returns the checked arguments of `select`; a step's last draw has a number of 64 bits."""
  return check_whole('step', step, 0, LARGEST >> 25), check_batch_size(batch_size)
