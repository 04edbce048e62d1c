"""Calls in several threads give what calls in one give."""

import threading
import time

import pytest
from tfx_balance.beam.parallel import MAX_THREADS, map_in_order, n_threads


@pytest.mark.parametrize('threads', [1, 2, 4])
@pytest.mark.parametrize('n', [0, 1, 3, 20])
def test_results_are_in_the_order_of_the_items(threads, n):
  def slow_at_first(i):
    time.sleep(0.002 * (i % 3 == 0))
    return i * i

  assert list(map_in_order(slow_at_first, range(n), threads)) == [i * i for i in range(n)]


def test_calls_run_at_the_same_time():
  both = threading.Barrier(2, timeout=30)
  assert list(map_in_order(lambda i: both.wait() < 2 and i, [1, 2], 2)) == [1, 2]


def test_few_items_are_taken_ahead():
  taken = []
  results = map_in_order(lambda i: i, (taken.append(i) or i for i in range(100)), 2)
  assert next(results) == 0
  assert len(taken) == 3
  results.close()
  assert len(taken) == 3


@pytest.mark.parametrize('threads', [1, 2])
def test_the_first_failure_in_order_is_raised(threads):
  results = map_in_order(lambda i: 1 // (i % 2), [1, 2, 3, 4], threads)
  assert next(results) == 1
  with pytest.raises(ZeroDivisionError, match='division'):
    next(results)


def test_threads_are_bounded():
  assert 1 <= n_threads() <= MAX_THREADS
