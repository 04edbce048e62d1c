"""Numbers from seeds: uniform, normal, independent, and the same alone as in a batch."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tfx_balance.augment.random import bits, normal, normal_edges, uniform
from tfx_balance.plan.ranks import mix

from tests.augment.helpers_augment import make_seeds

N = 20_000


@pytest.fixture(scope='module')
def seeds():
  return make_seeds(N)


@pytest.mark.parametrize('draw', [bits, uniform, normal])
@pytest.mark.parametrize('shape', [(), (3,), (2, 5)])
def test_one_seed_draws_the_same_as_in_a_batch(draw, shape):
  seeds = make_seeds(9)
  many = draw(seeds, 'a', shape=shape).numpy()
  assert many.shape == (9, *shape)
  for i in range(9):
    np.testing.assert_array_equal(draw(seeds[i], 'a', shape=shape).numpy(), many[i])


def test_mixing_is_that_of_the_plan():
  values = np.arange(5, dtype=np.uint64) * np.uint64(12345678901234567)
  from tfx_balance.augment.random import _mix

  np.testing.assert_array_equal(_mix(tf.constant(values)).numpy(), mix(values, 0))


def test_uniform_is_uniform_for_seeds_that_count_up():
  counting = np.stack([np.zeros(N, np.int64), np.arange(N)], -1)
  for purpose in ('a', 'b'):
    drawn = uniform(tf.constant(counting), purpose).numpy()
    assert stats.kstest(drawn, 'uniform').pvalue > 1e-3
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.03


def test_normal_has_mean_0_variance_1_and_its_shape(seeds):
  drawn = normal(seeds, 'a').numpy()
  assert stats.kstest(drawn, 'norm').pvalue > 1e-3
  edges = normal_edges()
  variance = np.mean((edges[:-1] ** 2 + edges[:-1] * edges[1:] + edges[1:] ** 2) / 3)
  assert variance == pytest.approx(1, abs=1e-12)
  assert np.abs(drawn).max() <= edges[-1] < 4
  assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize('other', [('b', 0), ('a', 1)], ids=['purpose', 'lane'])
def test_draws_are_independent_between_purposes_and_lanes(seeds, other):
  purpose, lane = other
  first = uniform(seeds, 'a', shape=(2,)).numpy()[:, 0]
  second = uniform(seeds, purpose, shape=(2,)).numpy()[:, lane]
  assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


@pytest.mark.parametrize('half', [0, 1])
def test_both_halves_of_a_seed_count(half):
  seed = np.array([5, 9])
  changed = seed.copy()
  changed[half] += 1
  assert bits(tf.constant(seed), 'a') != bits(tf.constant(changed), 'a')
