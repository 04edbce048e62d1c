"""Weights of many items, changed and drawn from in logarithmic time, a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_number, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.plan.ranks import Ints

Floats = npt.NDArray[np.float64]
MOST_ITEMS = 1 << 28
"""Largest number of items of a tree, which then takes 4 GB."""


class SumTree:
  """Weights of items in a complete binary tree whose nodes hold the sums of their children.

  The sums are computed from the children at every change, so no error adds up.
  """

  def __init__(self, n_items: int, weight: float = 1.0) -> None:
    """Makes a tree of items of one weight.

    Args:
      n_items: Number of items, 1 or more.
      weight: Weight of each item, 0 or more.

    Raises:
      ConfigError: if an argument is out of range.
    """
    self.n_items = n_items = check_whole('n_items', n_items, 1, MOST_ITEMS)
    weight = check_number('weight', weight, 0)
    self._width = 1 << (n_items - 1).bit_length()
    self._sums = np.zeros(2 * self._width)
    self._leaves()[:] = weight
    self._add_up()

  @property
  def total(self) -> float:
    """The sum of all weights."""
    return float(self._sums[1])

  def weights(self, items: Ints | None = None) -> Floats:
    """Returns the weights of items, of all by default: float64 [n]."""
    return self._leaves().copy() if items is None else self._leaves()[items]

  def update(self, items: Ints, weights: Floats) -> None:
    """Sets the weights of items; of an item named twice, the last one stays.

    Args:
      items: int64 [n], from 0 to n_items - 1.
      weights: float64 [n], finite, 0 or more.

    Raises:
      ConfigError: if one is out of range; nothing has changed then.
    """
    items, weights = _as_array('items', items, np.int64, 'iu'), as_floats('weights', weights)
    _check(items, weights, self.n_items)
    if not len(items):
      return
    self._sums[items + self._width] = weights
    nodes = np.unique(items + self._width) >> 1
    while nodes[0]:
      nodes = nodes[np.concatenate([[True], nodes[1:] != nodes[:-1]])]
      self._sums[nodes] = self._sums[2 * nodes] + self._sums[2 * nodes + 1]
      nodes = nodes >> 1

  def replace(self, weights: Floats) -> None:
    """Sets the weights of all items: float64 [n_items]; see `update`."""
    weights = as_floats('weights', weights)
    _check(np.arange(self.n_items), weights, self.n_items)
    self._leaves()[:] = weights
    self._add_up()

  def find(self, places: Floats) -> Ints:
    """Returns the items whose intervals of the running total hold the places: int64 [n].

    Args:
      places: float64 [n], 0 or more and below `total`.
    """
    left = np.array(places, np.float64)
    node = np.ones(len(left), np.int64)
    while node[0] < self._width:  # all are on one level
      node = 2 * node
      first = self._sums[node]
      right = (left >= first) & (self._sums[node + 1] > 0)
      left = np.where(right, left - first, left)
      node = node + right
    return np.minimum(node - self._width, self.n_items - 1)

  def _leaves(self) -> Floats:
    return self._sums[self._width : self._width + self.n_items]

  def _add_up(self) -> None:
    width = self._width
    while width > 1:
      pairs = self._sums[width : 2 * width].reshape(-1, 2)
      width //= 2
      self._sums[width : 2 * width] = pairs.sum(axis=1)


def as_floats(name: str, values: Any) -> Floats:
  """Returns numbers as float64 [n].

  Raises:
    ConfigError: if they are no numbers.
  """
  return _as_array(name, values, np.float64, 'fiu')


def _as_array(name: str, values: Any, dtype: Any, kinds: str) -> npt.NDArray[Any]:
  try:
    array = np.asarray(values)
  except (TypeError, ValueError):
    array = np.empty((), object)
  if array.ndim != 1 or (array.dtype.kind not in kinds and array.size):
    raise ConfigError(f'{name}={format_value(values)} must be a list of numbers; give one an item')
  return array.astype(dtype)


def _check(items: Ints, weights: Floats, n_items: int) -> None:
  if items.shape != weights.shape or items.ndim != 1:
    raise ConfigError(
      f'items have shape {items.shape} and weights {weights.shape}; give one weight an item'
    )
  wrong = np.flatnonzero((items < 0) | (items >= n_items))
  if len(wrong):
    raise ConfigError(f'item {items[wrong[0]]} is not in 0 to {n_items - 1}; give an index of it')
  wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
  if len(wrong):
    raise ConfigError(
      f'weight {weights[wrong[0]]} of item {items[wrong[0]]} must be finite and 0 or more; '
      f'check that the loss that it comes from is finite'
    )
