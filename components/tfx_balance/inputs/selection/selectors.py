"""Who chooses the items of a batch: uniformly, by class, by priority, or by difficulty."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import ConfigError
from tfx_balance.inputs.labels import count_labels
from tfx_balance.inputs.selection.sum_tree import SumTree
from tfx_balance.plan.keyed_order import mix, permuted, uniform

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_DRAW = 21  # what random bits are for


class Selected(NamedTuple):
  """The items of a batch.

  Attributes:
    items: int64 [batch_size].
    weights: float32 [batch_size], to weigh losses with; None for all alike.
  """

  items: Ints
  weights: npt.NDArray[np.float32] | None


class Selector(Protocol):
  """Chooses items; the step, from 0, is all that tells batches apart."""

  n_items: int

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch."""


@dataclass(frozen=True)
class UniformSelector:
  """Every item once a pass, each pass in a fresh order.

  Attributes:
    n_items: 1 or more.
    seed: of the order.
  """

  n_items: int
  seed: int = 0

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch; see Selector."""
    draws = step * batch_size + np.arange(batch_size, dtype=np.int64)
    turn, position = np.divmod(draws, self.n_items)
    size = np.full_like(position, self.n_items)
    return Selected(permuted(position, size, mix(self.seed, turn)), None)


@dataclass(frozen=True)
class ClassSelector:
  """Items drawn with replacement, each class with a probability of its own.

  Attributes:
    labels: [n_items], integers, text or bytes.
    ratios: class to weight, every class named; None for q.
    q: a class's weight is its count^q; 0 is balanced.
    seed: of the draws.
  """

  labels: Any
  ratios: Mapping[Any, Any] | None = None
  q: float | None = None
  seed: int = 0
  n_items: int = field(init=False)
  _rows: Ints = field(init=False, repr=False)
  _starts: Ints = field(init=False, repr=False)
  _edges: Floats = field(init=False, repr=False)

  def __post_init__(self) -> None:
    counts, rows = count_labels(self.labels)
    weights = np.array(counts.weights(self.q, self.ratios), np.float64)
    starts = np.concatenate([[0], np.cumsum(counts.records)])
    edges = np.cumsum(weights) / weights.sum()
    for name, value in (('n_items', len(rows)), ('_rows', rows), ('_starts', starts)):
      object.__setattr__(self, name, value)
    object.__setattr__(self, '_edges', edges)

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch; see Selector."""
    slots = np.arange(batch_size)
    which = uniform(self.seed, _DRAW, step, slots)
    classes = np.searchsorted(self._edges, which * self._edges[-1], side='right')
    first, size = self._starts[classes], np.diff(self._starts)[classes]
    inside = (uniform(self.seed, _DRAW + 1, step, slots) * size).astype(np.int64)
    return Selected(self._rows[first + inside], None)


class PrioritySelector:
  """Items drawn with replacement in proportion to priority^alpha, with weights that undo the bias.

  Proportional prioritised experience replay (Schaul et al. 2016, "Prioritized experience replay"):
  a batch takes one draw from each of batch_size equal parts of the total; weights are
  (n_items P(i))^-beta, divided by the batch's largest. Items start with the largest priority seen,
  so that each is drawn before it is judged. Safe to update from one thread and draw from others.
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
      n_items: 1 or more.
      alpha: 0 (uniform) or more.
      beta: 0 (no correction) to 1 (full), or a function of the step that anneals it.
      epsilon: added to every priority, so that none is 0.
      seed: of the draws.

    Raises:
      ConfigError: if an argument is out of range.
    """
    if not alpha >= 0 or not epsilon >= 0:
      raise ConfigError(f'alpha={alpha} and epsilon={epsilon} must be 0 or more; mend them')
    if not callable(beta) and not 0 <= beta <= 1:
      raise ConfigError(f'beta={beta} must be 0 to 1, or a function of the step; mend it')
    self.n_items, self._alpha, self._beta = n_items, alpha, beta
    self._epsilon, self._seed = epsilon, seed
    self._tree = SumTree(n_items)
    self._lock = threading.Lock()

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch and their importance weights; see Selector."""
    part = np.arange(batch_size) + uniform(self._seed, _DRAW, step, np.arange(batch_size))
    with self._lock:
      total = self._tree.total
      items = self._tree.find(part * (total / batch_size))
      share = self._tree.weights(items) / total
    beta = self._beta(step) if callable(self._beta) else self._beta
    weights = (self.n_items * share) ** -beta
    return Selected(items, (weights / weights.max()).astype(np.float32))

  def update(self, items: Any, priorities: Any) -> None:
    """Sets priorities, such as the last losses of items; what is negative counts by its size.

    Args:
      items: integers [n].
      priorities: numbers [n], finite.

    Raises:
      ConfigError: if one is out of range.
    """
    weights = (np.abs(np.asarray(priorities, np.float64)) + self._epsilon) ** self._alpha
    with self._lock:
      self._tree.update(np.asarray(items, np.int64), weights)

  def priorities(self) -> Floats:
    """Returns the priorities of all items to the power of alpha: float64 [n_items], to save."""
    with self._lock:
      return self._tree.weights()

  def restore(self, priorities: Floats) -> None:
    """Takes what `priorities` returned."""
    with self._lock:
      self._tree.replace(priorities)


@dataclass(frozen=True)
class CurriculumSelector:
  """Easy items first: each step draws uniformly, with replacement, from the easiest part.

  Bengio et al. 2009, "Curriculum learning"; the part grows linearly from `start` to all.

  Attributes:
    difficulty: float [n_items], small is easy.
    steps: after which all items take part, 1 or more.
    start: the part that takes part at first, above 0 and up to 1.
    seed: of the draws.
  """

  difficulty: Any
  steps: int
  start: float = 0.2
  seed: int = 0
  n_items: int = field(init=False)
  _order: Ints = field(init=False, repr=False)

  def __post_init__(self) -> None:
    if self.steps < 1 or not 0 < self.start <= 1:
      raise ConfigError(
        f'steps={self.steps} and start={self.start} must be 1 or more, and above 0 and up to 1'
      )
    order = np.argsort(np.asarray(self.difficulty), kind='stable')
    object.__setattr__(self, 'n_items', len(order))
    object.__setattr__(self, '_order', order)

  def select(self, step: int, batch_size: int) -> Selected:
    """Returns the items of a batch; see Selector."""
    part = min(1.0, self.start + (1 - self.start) * step / self.steps)
    size = max(1, round(part * self.n_items))
    place = uniform(self.seed, _DRAW, step, np.arange(batch_size)) * size
    return Selected(self._order[place.astype(np.int64)], None)
