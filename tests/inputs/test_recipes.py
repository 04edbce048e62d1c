"""What the recipes that circulate really give, beside ours, on the same 950 + 40 + 10 records."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.inputs import BalancedInputs

COUNTS = (950, 40, 10)
LABELS = np.repeat(np.arange(3), COUNTS)
SHUFFLED = np.random.default_rng(0).permutation(LABELS)


def histograms(batches):
  return np.array([np.bincount(batch, minlength=3) for batch in batches])


def test_ours_is_balanced_in_every_batch():
  made = BalancedInputs.from_arrays(np.arange(1000), LABELS).train(30)
  assert (histograms([y.numpy() for _, y in made.take(100)]) == 10).all()


def test_group_by_window_alone_gives_batches_of_one_class():
  grouped = tf.data.Dataset.from_tensor_slices(SHUFFLED).group_by_window(
    key_func=lambda y: y, reduce_func=lambda _, window: window.batch(30), window_size=30
  )
  counts = histograms([y.numpy() for y in grouped])
  assert ((counts > 0).sum(axis=1) == 1).all()
  assert counts.sum(axis=0).tolist() == list(COUNTS)  # and nothing is over-sampled


def test_weighted_choice_without_replacement_is_a_permutation():
  p = 1 / (3 * np.array(COUNTS)[LABELS])
  rng = np.random.default_rng(0)
  chosen = LABELS[rng.choice(1000, size=1000, replace=False, p=p / p.sum())]
  assert np.bincount(chosen).tolist() == list(COUNTS)  # exactly as imbalanced as before
  counts = histograms(chosen[:990].reshape(-1, 30))
  assert counts[0, 1:].sum() > 10  # the minorities all come first ...
  assert (counts[len(counts) // 2 :, 1:].sum(axis=0) == 0).any()  # ... and are used up


def test_concatenate_without_an_argument_is_an_error_and_with_one_balances_nothing():
  parts = [tf.data.Dataset.from_tensors(i).repeat(n) for i, n in enumerate(COUNTS)]
  with pytest.raises(TypeError, match="missing 1 required positional argument: 'dataset'"):
    parts[0].concatenate()
  joined = parts[0].concatenate(parts[1]).concatenate(parts[2])
  counts = histograms([y.numpy() for y in joined.batch(30)])
  assert counts.sum(axis=0).tolist() == list(COUNTS)
  assert ((counts > 0).sum(axis=1) > 1).sum() == 1  # one class after another, but for a seam


def test_sample_from_datasets_goes_on_without_an_exhausted_minority():
  parts = [tf.data.Dataset.from_tensors(i).repeat(n) for i, n in enumerate(COUNTS)]
  mixed = tf.data.Dataset.sample_from_datasets(parts, seed=0)
  counts = histograms([y.numpy() for y in mixed.batch(30)])
  assert counts.sum(axis=0).tolist() == list(COUNTS)
  assert (counts[10:, 1:] == 0).all()


def test_a_share_of_each_class_taken_after_truncation_loses_records():
  per_class = [int(30 * n / 1000) for n in COUNTS]
  assert per_class == [28, 1, 0]  # 29 of 30 slots, and none for the rarest class
  made = BalancedInputs.from_arrays(np.arange(1000), LABELS).train(30, q=1)
  counts = histograms([y.numpy() for _, y in made.take(100)])
  assert counts.sum(axis=0).tolist() == [2850, 120, 30]
