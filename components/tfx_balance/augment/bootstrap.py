"""The smoothed bootstrap: a copy is its record and a little Gaussian noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_names, check_number, check_whole
from tfx_balance.augment.contract import Features, Pool, VectorAugment
from tfx_balance.augment.pool import Floats, add_steps, batch_matrix, matrix, numeric_names, spread
from tfx_balance.augment.random import normal
from tfx_balance.errors import ConfigError
from tfx_balance.plan.pool_plan import DEFAULT_MAX_POOL_BYTES


@dataclass(frozen=True)
class SmoothedBootstrap:
  """Adds Gaussian noise to numbers, as wide as the class's own density estimate (ROSE).

  Menardi and Torelli, "Training and assessing classification rules with imbalanced data", 2014: for
  n records and d numbers the noise of number q has the standard deviation
  shrink * (4 / ((d + 2) n))**(1 / (d + 4)) * s_q, with s_q the class's. Other features keep the
  record's values. A pool of one record has no spread, so its copies are duplicates.

  Attributes:
    features: numeric features, integers rounded; None means every float feature.
    shrink: factor on the noise; 0 gives duplicates.
    pool_size: records of the class from which its spread is estimated.
    max_pool_bytes: numbers of the pools of all classes together, for each worker; beyond it pools
      are smaller, and a warning says so.
  """

  features: Sequence[str] | None = None
  shrink: float = 1.0
  pool_size: int = 2000
  max_pool_bytes: int = DEFAULT_MAX_POOL_BYTES

  def __post_init__(self) -> None:
    if self.features is not None:
      object.__setattr__(self, 'features', check_names('features', self.features))
    object.__setattr__(self, 'shrink', check_number('shrink', self.shrink, 0))
    for name in ('pool_size', 'max_pool_bytes'):
      object.__setattr__(self, name, check_whole(name, getattr(self, name)))

  @property
  def pool_features(self) -> tuple[str, ...] | None:
    """The features that a pool must hold; None for all numeric ones."""
    return None if self.features is None else tuple(self.features)

  def bind(self, pool: Pool, n_records: int | None = None) -> BoundBootstrap:
    """Returns the augment function for records of the pool's class.

    Args:
      pool: feature to [p] or [p, k].
      n_records: of the whole class, where that is known; the bandwidth falls with it.

    Raises:
      ConfigError: if a feature is not there or is not a number.
    """
    names = numeric_names(pool, self.features, 'SmoothedBootstrap')
    rows = matrix([pool[name] for name in names])
    n, d = n_records or len(rows), rows.shape[1]
    factor = self.shrink * bandwidth(max(n, 1), max(d, 1))
    return BoundBootstrap(names, spread(rows) * factor if d else np.empty(0))


def bandwidth(n: int, d: int) -> float:
  """Returns the factor on standard deviations that is best for a normal density.

  Menardi and Torelli 2014, after Bowman and Azzalini 1997.

  >>> round(bandwidth(100, 2), 4)
  0.4642

  Args:
    n: records, 1 or more.
    d: numbers a record, 1 or more.
  """
  return (4 / ((d + 2) * n)) ** (1 / (d + 4))


class BoundBootstrap(VectorAugment):
  """A smoothed bootstrap for one class.

  Args:
    names: features to add noise to.
    deviations: float64 [d], the noise's, over the features' values side by side.
  """

  repeatable = True
  traced = False

  def __init__(self, names: Sequence[str], deviations: Floats):
    self._names = tuple(names)
    self.arrays = {'deviations': deviations}

  def __repr__(self) -> str:
    return f'SmoothedBootstrap({list(self._names)})'

  @tf.autograph.experimental.do_not_convert
  def batch(self, features: Features, seeds: tf.Tensor) -> Features:
    """Returns a batch with noise added; see `VectorAugment`."""
    deviations = self.arrays['deviations']
    if isinstance(deviations, np.ndarray) and not deviations.any():
      return features
    width = batch_matrix(features, self._names).shape[1]
    if deviations.shape[0] not in (width, None):  # None in graph code for many classes
      raise ConfigError(f'{self!r}: a batch has other numbers of values than the pool')
    noise = normal(seeds, 'bootstrap/noise', (width,))
    return add_steps(features, self._names, noise * tf.convert_to_tensor(deviations))
