"""Weights and priors of classes: what a loss needs to know of how records are sampled.

A class's emphasis is its share of the samples times its weight. Each scheme says what emphasis the
classes should have; the weight is that over the share that they are sampled with. So a weight is
1 throughout where sampling alone has done the work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfx_balance.arguments import check_choice, check_number

SCHEMES = ('balanced', 'effective')


def class_weights(
  records: Sequence[int], sampling: Sequence[int], scheme: str = 'balanced', beta: float = 0.999
) -> list[float]:
  """Returns the weight of each class in the loss, given how the classes are sampled.

  'balanced' gives all classes equal emphasis. On natural samples it is scikit-learn's
  n_samples / (n_classes * n_c):

  >>> class_weights([3, 1], sampling=[3, 1])
  [0.6666666666666666, 2.0]
  >>> class_weights([3, 1], sampling=[1, 1])
  [1.0, 1.0]

  'effective' is (1 - beta) / (1 - beta^n_c) on natural samples (Cui et al. 2019, "Class-balanced
  loss based on effective number of samples"). Both are scaled to a mean of 1 over the samples, so
  that the loss keeps its scale; Cui et al. scale to a mean of 1 over the classes.

  Args:
    records: Natural count of each class, 1 or more.
    sampling: Weight with which each class is sampled; a class of weight 0 gets weight 0.
    scheme: 'balanced' or 'effective'.
    beta: Parameter of 'effective', 0 or more and below 1.

  Raises:
    ConfigError: if the scheme is unknown or beta out of range.
  """
  total = sum(records)
  check_choice('scheme', scheme, SCHEMES)
  if scheme == 'balanced':
    natural = [total / (len(records) * n) for n in records]
  else:
    natural = _effective(records, beta)
  sampled = sum(sampling)
  return [
    (n / total / (drawn / sampled)) * weight if drawn else 0.0
    for n, drawn, weight in zip(records, sampling, natural, strict=True)
  ]


def _effective(records: Sequence[int], beta: float) -> list[float]:
  beta = check_number('beta', beta, 0, 1, below=True, fix='0.9 to 0.9999 are usual')
  if beta == 0:
    return [1.0] * len(records)
  raw = [(1 - beta) / -math.expm1(n * math.log(beta)) for n in records]
  scale = sum(records) / sum(n * weight for n, weight in zip(records, raw, strict=True))
  return [weight * scale for weight in raw]


def log_shares(counts: Sequence[int]) -> list[float]:
  """Returns the natural logarithm of each class's share; -inf for a class without any.

  >>> log_shares([1, 1, 0])
  [-0.6931471805599453, -0.6931471805599453, -inf]
  """
  total = math.log(sum(counts))
  return [math.log(count) - total if count else -math.inf for count in counts]


def all_equal(values: Sequence[float]) -> bool:
  """Returns whether weights are all equal: then they change only the scale of a loss."""
  return max(values) - min(values) <= 1e-9 * max(abs(value) for value in values)
