"""Corrected intervals, against the formula, and the verdicts that they give."""

import math

import numpy as np
import pytest
from scipy import stats
from tfx_balance.compare.intervals import (
  CANNOT_TELL,
  HARMS,
  HELPS,
  NO_DIFFERENCE,
  Interval,
  corrected_interval,
)


def test_interval_is_the_corrected_resampled_one():
  differences = np.random.default_rng(0).normal(0.1, 0.05, 25)
  found = corrected_interval(differences, test_share=1 / 4, comparisons=7)
  error = np.sqrt((1 / 25 + 1 / 4) * differences.var(ddof=1))
  half = stats.t.ppf(1 - 0.05 / 14, 24) * error
  expected = (differences.mean(), differences.mean() - half, differences.mean() + half)
  assert (found.mean, found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize(
  ('low', 'high', 'verdict'),
  [
    (0.01, 0.05, HELPS),
    (-0.05, -0.01, HARMS),
    (-0.01, 0.05, CANNOT_TELL),
    (-0.02, 0.02, NO_DIFFERENCE),
    (0.001, 0.019, NO_DIFFERENCE),  # above 0, and still nothing in practice
    (-0.021, 0.02, CANNOT_TELL),
  ],
)
def test_verdicts(low, high, verdict):
  assert Interval((low + high) / 2, low, high).verdict(0.02) == verdict


def test_differences_that_do_not_vary_have_no_interval():
  always = corrected_interval([0.5] * 25, 0.25)
  assert math.isnan(always.low)
  assert always.verdict(0.02) == CANNOT_TELL
  assert corrected_interval([0.0] * 25, 0.25).verdict(0.02) == NO_DIFFERENCE
