"""Smoothed bootstrap and SMOTE: where their points lie, and what their sources say."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.augment import Applier, SmoothedBootstrap, Smote
from tfx_balance.augment.tabular import bandwidth
from tfx_balance.errors import ConfigError

from tests.augment.helpers_augment import make_seeds


def make_pool(n=60):
  rng = np.random.default_rng(3)
  return {
    'a': rng.normal(5, 2, n).astype(np.float32),
    'b': rng.normal(0, 100, (n, 3)).astype(np.float32),
    'count': rng.integers(0, 1000, n),
    'color': rng.choice(np.array([b'red', b'blue', b'green'], object), n),
    'kind': rng.integers(0, 3, n),
    'label': np.full(n, b'rare', object),
  }


def batch_of(pool, rows):
  return {name: tf.constant(values[rows]) for name, values in pool.items()}


FUNCTIONS = {
  'bootstrap': SmoothedBootstrap(),
  'bootstrap of named': SmoothedBootstrap(['a', 'count'], shrink=0.5),
  'smote': Smote(['a', 'b']),
  'smote-nc': Smote(['a', 'b', 'count'], categorical=['color', 'kind']),
  'smote plain distance': Smote(['a', 'b', 'count'], standardize=False, k=2),
}


@pytest.mark.parametrize('function', FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_alone_is_bit_for_bit_as_in_a_batch_and_as_in_a_graph(function):
  pool, seeds = make_pool(), make_seeds(40)
  bound = function.bind(pool)
  features = batch_of(pool, np.arange(40))
  many = Applier(bound, label='label')(features, seeds)
  graph = tf.function(bound.batch)(features, seeds)
  for i in range(40):
    alone = bound({name: value[i] for name, value in features.items()}, seeds[i])
    for name, value in many.items():
      np.testing.assert_array_equal(alone[name], value[i], err_msg=name)
  for name, value in many.items():
    assert value.dtype == features[name].dtype
    assert value.shape == features[name].shape
    np.testing.assert_array_equal(graph[name], value, err_msg=name)
  assert (many['label'] == features['label']).numpy().all()


def test_bootstrap_noise_has_the_bandwidth_of_its_paper():
  pool = make_pool(500)
  rows = np.zeros(4000, int)
  out = SmoothedBootstrap(['a', 'b'], shrink=0.7).bind(pool)
  moved = out.batch(batch_of(pool, rows), make_seeds(4000))
  factor = 0.7 * (4 / (6 * 500)) ** (1 / 8)
  assert bandwidth(500, 4) * 0.7 == pytest.approx(factor)
  for name in ('a', 'b'):
    noise = moved[name].numpy() - pool[name][0]
    wanted = factor * pool[name].std(axis=0, ddof=1)
    np.testing.assert_allclose(noise.std(axis=0), wanted, rtol=0.04)
    assert (np.abs(noise.mean(axis=0)) < 4 * wanted / np.sqrt(4000)).all()
  noise = np.column_stack([moved['a'].numpy(), moved['b'].numpy()])
  assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 0.06


def test_bootstrap_knows_the_size_of_the_class_when_told():
  pool = make_pool()
  features, seeds = batch_of(pool, np.arange(60)), make_seeds(60)
  step = {
    n: (SmoothedBootstrap(['a']).bind(pool, n_records=n).batch(features, seeds)['a'] - pool['a'])
    for n in (60, 60 * 32)
  }
  np.testing.assert_allclose(step[60 * 32] * 2, step[60], rtol=1e-3, atol=1e-5)


def test_bootstrap_takes_floats_alone_unless_told():
  pool = make_pool()
  out = SmoothedBootstrap().bind(pool).batch(batch_of(pool, np.arange(60)), make_seeds(60))
  assert (out['count'].numpy() == pool['count']).all()
  assert (out['a'].numpy() != pool['a']).all()
  assert (out['b'].numpy() != pool['b']).all()
  named = SmoothedBootstrap(['count']).bind(pool)
  named = named.batch(batch_of(pool, np.arange(60)), make_seeds(60))
  assert (named['count'].numpy() != pool['count']).any()
  assert (named['a'].numpy() == pool['a']).all()


@pytest.mark.parametrize('function', [SmoothedBootstrap(shrink=0), SmoothedBootstrap(['a'])])
def test_bootstrap_without_strength_or_spread_is_a_duplicate(function):
  pool = make_pool() if function.shrink == 0 else make_pool(1)
  rows = np.zeros(5, int)
  out = function.bind(pool).batch(batch_of(pool, rows), make_seeds(5))
  np.testing.assert_array_equal(out['a'], pool['a'][rows])


@pytest.mark.parametrize('standardize', [True, False])
def test_smote_points_lie_on_segments_to_the_k_nearest(standardize):
  pool, k = make_pool(), 4
  points = np.column_stack([pool['a'], pool['b']]).astype(np.float64)
  unit = points.std(axis=0, ddof=1) if standardize else 1.0
  distance = np.linalg.norm((points[:, None] - points[None]) / unit, axis=2)
  nearest = np.argsort(distance, axis=1)[:, 1 : k + 1]
  rows = np.repeat(np.arange(60), 50)
  bound = Smote(['a', 'b'], k=k, standardize=standardize).bind(pool)
  out = bound.batch(batch_of(pool, rows), make_seeds(len(rows)))
  new = np.column_stack([out['a'], out['b']]).astype(np.float64)
  used, shares = set(), []
  for row, point in zip(rows, new, strict=True):
    ends = points[nearest[row]] - points[row]
    share = np.clip(((point - points[row]) * ends).sum(1) / (ends**2).sum(1), 0, 1)
    off = np.linalg.norm(points[row] + share[:, None] * ends - point, axis=1)
    best = off.argmin()
    assert off[best] < 1e-4
    used.add((row, best))
    shares.append(share[best])
  assert len(used) == 60 * k
  assert np.abs(np.quantile(shares, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.04


def test_smote_of_a_record_outside_its_pool_uses_all_k():
  pool = {'a': np.array([0.0, 1.0, 10.0], np.float32)}
  out = Smote(['a'], k=2, standardize=False).bind(pool)
  moved = out.batch({'a': tf.zeros([500]) - 1}, make_seeds(500))['a'].numpy()
  assert (moved >= -1).all()
  assert 0 < moved.max() < 1  # never towards 10, the third nearest
  assert (moved < 0).sum() > 300


def test_smote_of_one_record_is_a_duplicate_and_of_equal_ones_too():
  one = make_pool(1)
  smote = Smote(['a', 'b', 'count'], categorical=['color'])
  for pool in (one, {name: np.repeat(values, 3, axis=0) for name, values in one.items()}):
    rows = np.zeros(4, int)
    out = smote.bind(pool).batch(batch_of(pool, rows), make_seeds(4))
    for name, value in out.items():
      np.testing.assert_array_equal(value, pool[name][rows])


def test_smote_keeps_integers_whole_and_within_the_segment():
  pool = {'n': np.array([2**53, 2**53 + 10])}
  out = (
    Smote(['n'], k=1).bind(pool).batch({'n': tf.constant(pool['n'][[0] * 400])}, make_seeds(400))
  )
  moved = out['n'].numpy() - 2**53
  assert out['n'].dtype == tf.int64
  assert set(moved) == set(range(11))


def test_smote_nc_takes_the_majority_and_of_a_tie_the_nearest():
  pool = {
    'x': np.array([0.0, 1.0, 2.0, 3.0, 100.0], np.float32),
    'most': np.array([b'own', b'p', b'q', b'q', b'far'], object),
    'tie': np.array([9, 7, 8, 6, 5]),
  }
  bound = Smote(['x'], categorical=['most', 'tie'], k=3, standardize=False).bind(pool)
  out = bound.batch(batch_of(pool, np.zeros(5, int)), make_seeds(5))
  assert set(out['most'].numpy()) == {b'q'}
  assert set(out['tie'].numpy()) == {7}


def test_smote_nc_counts_a_difference_as_the_median_deviation():
  # 9 records in a row; unlike ones are as far as the deviation, 2.7, says: 3 steps outdo it.
  x = np.arange(9, dtype=np.float32)
  pool = {'x': x, 'c': np.array([0, 1, 1, 0, 0, 1, 1, 1, 1])}
  bound = Smote(['x'], categorical=['c'], k=3, standardize=False).bind(pool)
  own = batch_of(pool, np.zeros(600, int))
  moved = bound.batch(own, make_seeds(600))['x'].numpy()
  unlike = x.var(ddof=1) * (pool['c'] != 0) + x**2
  farthest = np.sort(np.argsort(unlike[1:])[:3] + 1)[-1]
  assert farthest - 0.2 < moved.max() <= farthest


def test_smote_distances_do_not_break_on_nan():
  pool = make_pool()
  pool['a'][3] = np.nan
  features = batch_of(pool, np.arange(60))
  out = Applier(Smote(['a', 'b']).bind(pool))(features, make_seeds(60))
  assert np.isnan(out['a'].numpy()).sum() == 1
  assert not np.isnan(out['b'].numpy()).any()


@pytest.mark.parametrize(
  ('make', 'says'),
  [
    (lambda: Smote('a'), r"features='a' must be a list of names"),
    (lambda: Smote([]), r'features=\[\] names nothing'),
    (lambda: Smote(['a'], ['a']), r"\['a'\] are in features= and in categorical="),
    (lambda: Smote(['a'], k=0), 'k=0 must be a whole number from 1'),
    (lambda: Smote(['z']).bind(make_pool()), r"Smote: feature 'z' is not in \['a', 'b'"),
    (lambda: Smote(['color']).bind(make_pool()), r"'color' holds no numbers"),
    (lambda: Smote(['a'], ['b']).bind(make_pool()), r"'b' must hold one value a record"),
    (lambda: Smote(['a'], max_pool_bytes=0), 'max_pool_bytes=0 must be a whole number from 1'),
    (
      lambda: SmoothedBootstrap(max_pool_bytes=-1),
      'max_pool_bytes=-1 must be a whole number from 1',
    ),
    (lambda: SmoothedBootstrap('a'), "features='a' must be a list of names"),
    (lambda: SmoothedBootstrap(shrink=-1), 'shrink=-1 must be a finite number from 0'),
    (lambda: SmoothedBootstrap(pool_size=0), 'pool_size=0 must be a whole number from 1'),
    (lambda: SmoothedBootstrap(['label']).bind(make_pool()), r"'label' holds no numbers"),
  ],
)
def test_bad_parameters_are_refused(make, says):
  with pytest.raises(ConfigError, match=says):
    make()
