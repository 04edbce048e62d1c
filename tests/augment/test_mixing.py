"""MixUp, CutMix and Remix are what their papers say, with partners of balanced classes."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.augment import CutMix, MixUp
from tfx_balance.augment.mixing import balanced_partners, beta, soft_targets
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import BalancedInputs

CLASSES = np.repeat(np.arange(4), (40, 20, 7, 1))
RECORDS = (400, 200, 70, 10)
SEED = tf.constant([3, 5], tf.int64)


def images(n, channels=2):
  """Returns images of which every pixel is the number of the image."""
  return tf.reshape(tf.range(n, dtype=tf.float32), [n, 1, 1, 1]) + tf.zeros([n, 9, 13, channels])


@pytest.mark.parametrize('sizes', [(40, 20, 7, 1), (5, 5), (1,), (3, 1, 1, 1, 1, 1, 1)])
def test_each_class_is_the_partner_equally_often_and_its_records_take_turns(sizes):
  classes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
  for seed in range(20):
    partners = balanced_partners(tf.constant(classes), tf.constant([seed, 1])).numpy()
    of_class = np.bincount(classes[partners], minlength=len(sizes))
    assert of_class.max() - of_class.min() <= 1
    for c in range(len(sizes)):
      times = np.bincount(partners, minlength=len(classes))[classes == c]
      assert times.max() - times.min() <= 1


def test_partners_are_matched_by_chance():
  found = [balanced_partners(CLASSES, tf.constant([seed, 0])).numpy() for seed in range(300)]
  of_first = np.bincount([CLASSES[partners[0]] for partners in found], minlength=4)
  assert (np.abs(of_first - 75) < 5 * np.sqrt(75)).all()


def test_mixup_is_its_formula():
  n = len(CLASSES)
  x = tf.random.stateless_normal([n, 3, 2], [0, 0])
  mixed, targets = MixUp(alpha=0.4)(x, tf.constant(CLASSES), SEED, RECORDS)
  seeds = tf.random.split(SEED, 2)
  j = balanced_partners(CLASSES, seeds[0]).numpy()
  lam = beta(0.4, [n], seeds[1]).numpy()
  np.testing.assert_allclose(
    mixed, lam[:, None, None] * x + (1 - lam)[:, None, None] * x.numpy()[j], rtol=1e-4, atol=1e-5
  )
  hot = np.eye(4)
  expected = lam[:, None] * hot[CLASSES] + (1 - lam)[:, None] * hot[CLASSES[j]]
  np.testing.assert_allclose(targets, expected, atol=1e-6)


@pytest.mark.parametrize('alpha', [0.05, 0.2, 1, 8])
def test_weights_are_of_the_beta_distribution(alpha):
  drawn = beta(alpha, [40_000], SEED).numpy()
  assert np.isfinite(drawn).all()
  assert drawn.mean() == pytest.approx(0.5, abs=0.01)
  assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_cutmix_is_a_box_and_labels_follow_its_area():
  n = len(CLASSES)
  x = images(n)
  cut, targets = CutMix()(x, tf.constant(CLASSES), SEED, RECORDS)
  j = balanced_partners(CLASSES, tf.random.split(SEED, 3)[0]).numpy()
  hot = np.eye(4)
  areas = []
  for i in range(n):
    other = cut.numpy()[i] != i
    if j[i] == i:
      assert not other.any()
      continue
    assert (cut.numpy()[i][other] == j[i]).all()
    inside = other[..., 0]
    rows, columns = inside.any(axis=1), inside.any(axis=0)
    np.testing.assert_array_equal(inside, rows[:, None] & columns)  # a box
    for side in (rows, columns):
      assert np.count_nonzero(np.diff(side.astype(int))) <= 2  # without gaps
    areas.append(inside.mean())
    expected = (1 - areas[-1]) * hot[CLASSES[i]] + areas[-1] * hot[CLASSES[j[i]]]
    np.testing.assert_allclose(targets[i], expected, atol=1e-6)
  assert min(areas) < 0.1
  assert max(areas) > 0.5


@pytest.mark.parametrize(
  ('own', 'other', 'weight', 'expected'),
  [
    (0, 3, 0.4, 0.0),  # commoner by kappa and below tau: the rarer partner's label alone
    (0, 3, 0.5, 0.5),  # not below tau
    (3, 0, 0.6, 1.0),  # rarer, and the partner weighs below tau
    (3, 0, 0.5, 0.5),
    (0, 1, 0.1, 0.1),  # twice as many records, not three times
    (2, 2, 0.2, 0.2),
  ],
)
def test_remix_gives_the_rarer_label(own, other, weight, expected):
  lam = tf.constant([weight, 0.5], tf.float64)
  targets = soft_targets(tf.constant([own, other]), tf.constant([1, 1]), lam, RECORDS, 3, 0.5)
  wanted = np.zeros(4)
  wanted[own] += expected
  wanted[other] += 1 - expected
  np.testing.assert_allclose(targets[0], wanted, atol=1e-6)


@pytest.mark.parametrize('mix', [MixUp(features=['x']), CutMix(feature='x', kappa=3)])
def test_a_batch_of_training_is_mixed(mix):
  x = images(len(CLASSES)).numpy()
  made = BalancedInputs.from_arrays({'x': x, 'id': np.arange(len(x))}, CLASSES)
  batches = list(made.train(16, mix=mix, sample_weight='effective').take(30))
  again = list(made.train(16, mix=mix).take(30))
  total = np.zeros(4)
  changed = 0
  for (features, targets, weights), (same, _) in zip(batches, again, strict=True):
    np.testing.assert_array_equal(features['x'], same['x'])
    np.testing.assert_allclose(targets.numpy().sum(axis=1), 1, rtol=1e-6)
    assert weights.shape == [16]
    own = CLASSES[features['id'].numpy()]
    assert np.bincount(own, minlength=4).tolist() == [4, 4, 4, 4]
    changed += (features['x'].numpy()[:, 0, 0, 0] != features['id'].numpy()).sum()
    total += targets.numpy().sum(axis=0)
  assert changed > 50
  assert (np.abs(total / total.sum() - 0.25) < 0.08).all()


def test_keras_trains_on_soft_targets():
  import keras

  made = BalancedInputs.from_arrays(np.eye(4)[CLASSES].astype('float32'), CLASSES)
  model = keras.Sequential([keras.layers.Dense(4)])
  model.compile('adam', keras.losses.CategoricalCrossentropy(from_logits=True))
  history = model.fit(made.train(16, mix=MixUp()), steps_per_epoch=3, verbose=0)
  assert len(history.history['loss']) == 1


def test_it_is_a_batch_function_after_decoding_too():
  made = BalancedInputs.from_arrays(np.arange(len(CLASSES)), CLASSES)
  mix = MixUp()

  def decode_and_mix(step, batch):
    ids, classes = batch
    x = tf.cast(ids, tf.float32)[:, tf.newaxis]
    return mix(x, classes, tf.stack([tf.constant(7, tf.int64), step]), RECORDS)

  batches = made.train(8, label_as='index').enumerate().map(decode_and_mix)
  x, targets = next(iter(batches))
  assert (x.shape, targets.shape) == ([8, 1], [8, 4])


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda: MixUp(alpha=0), 'alpha=0 must be'),
    (lambda: CutMix(kappa=0.5), 'kappa=0.5 must be'),
    (lambda: MixUp(tau=2), 'tau=2 must be'),
    (lambda: MixUp()({'x': tf.zeros([2], tf.int64)}, CLASSES[:2], SEED, RECORDS), 'of floats'),
    (
      lambda: MixUp(features=['y'])({'x': tf.zeros([2])}, CLASSES[:2], SEED, RECORDS),
      "feature 'y'",
    ),
    (lambda: CutMix()(tf.zeros([2, 3]), CLASSES[:2], SEED, RECORDS), 'takes images'),
  ],
)
def test_what_breaks_a_rule_is_refused(make, message):
  with pytest.raises(ConfigError, match=message):
    make()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'mix': 'mixup'}, "mix='mixup' must be"),
    ({'mix': MixUp(), 'label_as': 'index'}, 'with mix= labels are soft targets'),
  ],
)
def test_training_refuses_what_cannot_be_mixed(arguments, message):
  made = BalancedInputs.from_arrays(np.eye(4)[CLASSES], CLASSES)
  with pytest.raises(ConfigError, match=message):
    made.train(8, **arguments)
  sets = BalancedInputs.from_arrays(np.eye(4), np.eye(4), multilabel=True)
  with pytest.raises(ConfigError, match='mix= takes one label a record'):
    sets.train(8, mix=MixUp())
