"""Passes over few records: every order is as likely, wherever an order is drawn."""

import itertools

import numpy as np
import pytest
from scipy.stats import chi2
from tfx_balance.inputs.selection.selectors import UniformSelector
from tfx_balance.plan.record_order import RecordOrder, keyed_hash, permuted


def numbers_of(orders):
  """Returns the number of each order of few items among all of them: int64 [n_orders]."""
  n = orders.shape[1]
  base = n ** np.arange(n)
  codes = np.array(list(itertools.permutations(range(n)))) @ base
  order = np.argsort(codes)
  return order[np.searchsorted(codes, orders @ base, sorter=order)]


def of_passes(n, passes):
  draws = np.arange(n * passes)
  return RecordOrder(((n,),), seed=1).record(np.zeros_like(draws), draws).reshape(passes, n)


def of_seeds(n, passes):
  seeds = np.repeat(np.arange(passes), n)
  keys = keyed_hash(seeds, 5)
  return permuted(np.tile(np.arange(n), passes), np.full(n * passes, n), keys).reshape(passes, n)


def of_windows(n, passes):
  """Two records a window, so that the windows' order shows in that of the records."""
  draws = np.arange(2 * n * passes)
  found = RecordOrder(((2,) * n,), seed=2).record(np.zeros_like(draws), draws)
  return found.reshape(passes, n, 2)[:, :, 0] // 2


def of_selector(n, passes):
  return UniformSelector(n, seed=3).select(0, n * passes).items.reshape(passes, n)


@pytest.mark.parametrize('orders', [of_passes, of_seeds, of_windows, of_selector])
@pytest.mark.parametrize('n', [3, 4, 5])
def test_every_order_of_few_records_is_as_likely(orders, n):
  n_orders = len(list(itertools.permutations(range(n))))
  each = 20 if orders is of_windows else 200  # of windows a pass is a call
  found = np.bincount(numbers_of(orders(n, each * n_orders)), minlength=n_orders)
  statistic = float(((found - each) ** 2 / each).sum())
  assert chi2.sf(statistic, len(found) - 1) > 1e-4  # of fixed seeds: it passes always, or never


@pytest.mark.parametrize('n', [9, 25, 81])
def test_half_of_the_orders_are_odd(n):
  orders = of_passes(n, 400)
  odd = sum(_inversions(order) % 2 for order in orders)
  assert 150 < odd < 250


def _inversions(order):
  return int(sum((order[:i] > order[i]).sum() for i in range(len(order))))


def test_classes_of_any_sizes_are_permuted_together_as_alone():
  sizes = [1, 2, 9, 255, 256, 257, 5000]
  together = RecordOrder(tuple((n,) for n in sizes), seed=4)
  classes = np.repeat(np.arange(len(sizes)), 600)
  draws = np.tile(np.arange(600), len(sizes))
  by_chance = np.random.default_rng(0).permutation(len(draws))
  found = np.empty_like(draws)
  found[by_chance] = together.record(classes[by_chance], draws[by_chance])
  for i, n in enumerate(sizes):
    own = found[classes == i] - together.starts[i]
    alone = [together.record(np.array([i]), np.array([d]))[0] for d in range(600)]
    assert (own + together.starts[i]).tolist() == alone
    for first in range(0, 600 - n + 1, n):
      assert sorted(own[first : first + n].tolist()) == list(range(n))


def test_kept_passes_are_those_that_are_sorted_anew():
  windows = tuple((n,) for n in [1, 2, 9, 40, 255, 256])
  kept = RecordOrder(windows, seed=6)
  anew = RecordOrder(windows, seed=6, kept_bytes=0)
  rng = np.random.default_rng(0)
  for last in (10, 1000, 700, 3, 10**9):  # forwards and backwards, passes mixed in one call
    classes, draws = rng.integers(0, len(windows), 500), rng.integers(0, last, 500)
    np.testing.assert_array_equal(kept.record(classes, draws), anew.record(classes, draws))
