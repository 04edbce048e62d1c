"""Records whose labels look wrong, by the scores of models that did not train on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfx_balance.compare.arms import Floats
from tfx_balance.plan.ranks import Ints


class Suspect(NamedTuple):
  """A record whose label looks wrong.

  Attributes:
    row: Its row.
    label: Index of the class that it has.
    likely: Index of the class that the models find most probable of the others.
    score: Probability of its own class less the mean of that class, the lower the more suspect.
  """

  row: int
  label: int
  likely: int
  score: float


def suspects(log_p: Floats, labels: Ints, n: int) -> list[Suspect]:
  """Returns the records whose labels most look wrong, the most suspect first.

  A record is suspect where the probability of its own class is far below that class's mean, so that
  not each record of a class that models find hard is one (Northcutt, Jiang and Chuang 2021,
  "Confident learning: estimating uncertainty in dataset labels").

  Args:
    log_p: Log probabilities of models that did not train on a record, [n_records, n_classes]; NaN
      for records without.
    labels: Index of each record's class, [n_records].
    n: Number of records.
  """
  p = np.exp(log_p)
  own = p[np.arange(len(labels)), labels]
  known = ~np.isnan(own)
  sums = np.bincount(labels[known], own[known], minlength=p.shape[1])
  counts = np.bincount(labels[known], minlength=p.shape[1])
  score = np.where(known, own - (sums / np.maximum(counts, 1))[labels], np.inf)
  others = p.copy()
  others[np.arange(len(labels)), labels] = -1
  order = np.argsort(score, kind='stable')[: min(n, int(np.count_nonzero(known)))]
  return [
    Suspect(int(row), int(labels[row]), int(np.argmax(others[row])), float(score[row]))
    for row in order
  ]
