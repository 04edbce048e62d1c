"""Records whose labels look wrong, by the scores of models that did not train on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tfx_balance.arguments import check_whole
from tfx_balance.compare.arms import Floats
from tfx_balance.plan.ranks import Ints


class Suspect(NamedTuple):
  """A record whose label looks wrong.

  Attributes:
    row: Its row.
    label: Class that it has: an index, or of `Answer.suspects` its value.
    likely: The other class that fits best, by its probability over that class's mean.
    score: How well its own class fits, divided by how well the likely one does; the lower the more
      suspect, and below 1 where the other fits better.
  """

  row: int
  label: Any
  likely: Any
  score: float


def suspects(log_p: Floats, labels: Ints, n: int) -> list[Suspect]:
  """Returns the records whose labels most look wrong, the most suspect first.

  A class fits a record by its probability, divided by the mean that records with that label have,
  the threshold of Northcutt, Jiang and Chuang 2021 ("Confident learning: estimating uncertainty in
  dataset labels"): so not each record of a class that models find hard is one. The quotient is
  taken, as the difference is large in common classes alone, whose mean is high.

  Args:
    log_p: Log probabilities of models that did not train on a record, [n_records, n_classes]; NaN
      for records without.
    labels: Index of each record's class, [n_records].
    n: Number of records to return, at most.

  Raises:
    ConfigError: if n is no whole number of 1 or more.
  """
  n = check_whole('n', n)
  rows = np.flatnonzero(~np.isnan(log_p).any(axis=1))
  p, own, each = np.exp(log_p[rows]), labels[rows], np.arange(len(rows))
  n_classes = log_p.shape[1]
  sums = np.bincount(own, p[each, own], minlength=n_classes)
  means = sums / np.maximum(np.bincount(own, minlength=n_classes), 1)
  fit = p / np.where(means > 0, means, 1)
  fit_own = fit[each, own]
  fit[each, own] = -1
  likely = np.argmax(fit, axis=1)
  fit_likely = fit[each, likely]
  with np.errstate(divide='ignore'):  # where no other class has a probability
    score = fit_own / fit_likely
  return [
    Suspect(int(rows[i]), int(own[i]), int(likely[i]), float(score[i]))
    for i in np.lexsort((-fit_likely, score))[:n]
  ]
