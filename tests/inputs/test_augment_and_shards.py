"""Augmentation on the fly, and the parts that workers of tf.distribute get."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.inputs import BalancedInputs

COUNTS = (60, 20, 7, 1)
LABELS = np.repeat(np.arange(4), COUNTS)


def inputs():
  features = {'id': np.arange(88), 'x': np.zeros((88, 2), np.float32)}
  return BalancedInputs.from_arrays(features, LABELS)


def noisy(features, seed):
  return {**features, 'x': tf.random.stateless_uniform([2], seed, 1.0, 2.0)}


def take(n, **arguments):
  dataset = inputs().train(12, augment_fn=noisy, **arguments)
  return [(f['id'].numpy(), f['x'].numpy(), y.numpy()) for f, y in dataset.take(n)]


def test_repeats_alone_are_augmented():
  for epoch in range(2):
    batches = take(40)[epoch * 20 : epoch * 20 + 20]  # an epoch is 20 batches of 3 a class
    labels = np.concatenate([y for _, _, y in batches])
    changed = np.concatenate([x[:, 0] > 0 for _, x, _ in batches])
    assert [int(changed[labels == c].sum()) for c in range(4)] == [0, 40, 53, 59]


def test_no_two_repeats_are_alike_and_a_run_is_repeatable():
  first, second = take(30, seed=3), take(30, seed=3)
  for a, b in zip(first, second, strict=True):
    assert np.array_equal(a[1], b[1])
  rare = np.concatenate([x[y == 3][:, 0] for _, x, y in first])
  shown = rare[rare > 0]
  assert len(shown) > 80
  assert len(set(shown.tolist())) == len(shown)


@pytest.mark.parametrize(('augment', 'classes'), [('all', {0, 1, 2, 3}), ([3, '1'], {1, 3})])
def test_named_classes_are_augmented(augment, classes):
  for _, x, y in take(5, augment=augment):
    assert ((x[:, 0] > 0) == np.isin(y, list(classes))).all()


def shard(index, count, replicas, **arguments):
  context = tf.distribute.InputContext(count, index, replicas)
  return inputs().train(24, input_context=context, **arguments)


@pytest.mark.parametrize(('count', 'replicas'), [(3, 3), (2, 4)])
def test_the_workers_parts_are_the_whole_batch(count, replicas):
  whole = [f['id'].numpy() for f, _ in inputs().train(24).take(100)]
  pieces = replicas // count
  parts = [
    [f['id'].numpy() for f, _ in shard(i, count, replicas).take(100 * pieces)] for i in range(count)
  ]
  for t, batch in enumerate(whole):
    mine = [p for part in parts for p in part[t * pieces : (t + 1) * pieces]]
    assert all(len(p) == 24 // replicas for p in mine)
    assert np.concatenate(mine).tolist() == batch.tolist()
