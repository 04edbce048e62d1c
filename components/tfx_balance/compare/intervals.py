"""The interval of a difference over repeated folds, and its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

NO_DIFFERENCE, HELPS, HARMS, CANNOT_TELL = (
  'no practical difference',
  'helps',
  'harms',
  'cannot tell',
)
"""The verdicts."""

FEWEST_RECORDS = 30
"""With fewer records of the rarest class nothing can be told."""
CONFIDENCE = 0.95
"""Of all verdicts of a comparison together."""


@dataclass(frozen=True)
class Interval:
  """A mean difference with its interval; the ends are nan where it is the same in all folds."""

  mean: float
  low: float
  high: float

  def verdict(self, equivalence: float) -> str:
    """Returns the verdict; differences up to `equivalence` do not matter in practice."""
    if math.isnan(self.low):
      return NO_DIFFERENCE if self.mean == 0 else CANNOT_TELL
    if -equivalence <= self.low and self.high <= equivalence:
      return NO_DIFFERENCE
    if self.low > 0:
      return HELPS
    return HARMS if self.high < 0 else CANNOT_TELL


def corrected_interval(
  differences: Any,
  test_share: float,
  comparisons: int = 1,
  mean: float | None = None,
  least_variance: float = 0.0,
) -> Interval:
  """Returns the mean of differences over repeated folds, with its corrected resampled interval.

  Training sets overlap, so that the plain variance of a mean is too small: it is (1 / J + n2 / n1)
  times that of the differences (Nadeau and Bengio 2003, "Inference for the generalization error";
  for repeated folds Bouckaert and Frank 2004, "Evaluating the replicability of significance tests
  for comparing learning algorithms"), with J - 1 degrees of freedom.

  Args:
    differences: One for each of J folds, [J].
    test_share: Records tested over records trained on, n2 / n1.
    comparisons: Number of intervals that shall hold together, at 95 % (Bonferroni).
    mean: Estimate of the difference where another than the mean over the folds is better.
    least_variance: Least variance of the mean: stratified folds have equal shares of the classes,
      so that their differences lack the variance of these shares.
  """
  differences = np.asarray(differences, np.float64)
  n, mean = len(differences), float(np.mean(differences)) if mean is None else mean
  if n < 2 or np.ptp(differences) <= 1e-12:
    return Interval(mean, math.nan, math.nan)
  variance = (1 / n + test_share) * float(np.var(differences, ddof=1))
  error = math.sqrt(max(variance, least_variance))
  half = float(stats.t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), n - 1)) * error
  return Interval(mean, mean - half, mean + half)
