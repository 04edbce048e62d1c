"""The shift along the log prior, against its formula."""

import numpy as np
import pytest
from tfx_balance.compare.threshold import STEPS, find_threshold, shifted


def test_shift_is_menons_formula_and_a_threshold_on_the_odds():
  p = np.array([[0.9, 0.1], [0.97, 0.03], [0.4, 0.6]])
  prior = np.array([0.95, 0.05])
  moved = shifted(np.log(p), -np.log(prior))
  balanced = p / prior
  np.testing.assert_allclose(np.exp(moved), balanced / balanced.sum(axis=1, keepdims=True))
  t = 0.7
  decided = np.argmax(shifted(np.log(p), -t * np.log(prior)), axis=1)
  np.testing.assert_array_equal(decided, p[:, 1] / p[:, 0] > (prior[1] / prior[0]) ** t)


def test_logits_and_log_probabilities_are_the_same_to_it():
  logits = np.random.default_rng(0).normal(size=(5, 3))
  shift = [0.5, -1.0, 2.0]
  np.testing.assert_allclose(shifted(logits, shift), shifted(logits + 7, shift))


def test_best_step_is_found_and_the_middle_of_equal_ones():
  log_p = np.log([[0.8, 0.2]])
  log_prior = np.log([0.9, 0.1])
  flips = np.log(4) / np.log(9)  # where 0.2 / 0.8 is (0.1 / 0.9)^t
  found = find_threshold(log_p, log_prior, lambda moved: float(np.argmax(moved) == 1))
  over = STEPS[flips < STEPS]
  assert found == over[len(over) // 2]
  assert find_threshold(log_p, log_prior, lambda moved: moved[0, 0]) == 0
  assert find_threshold(log_p, log_prior, lambda moved: moved[0, 1]) == pytest.approx(2)
