"""Ready augment functions for tables: `Smote` and `SmoothedBootstrap`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_flag, check_names, check_number, check_whole
from tfx_balance.augment.contract import Features, Pool, VectorAugment, check_column, function_name
from tfx_balance.augment.random import normal, uniform
from tfx_balance.errors import ConfigError
from tfx_balance.plan.pool_plan import DEFAULT_MAX_POOL_BYTES

Floats = npt.NDArray[np.float64]
_EXACT_BITS = 53


@dataclass(frozen=True)
class Smote:
  """Moves each record's numbers towards one of its k nearest of the same class.

  Chawla, Bowyer, Hall and Kegelmeyer, "SMOTE: synthetic minority over-sampling technique", 2002:
  x + u (x' - x), with u uniform in [0, 1) and the same for all numbers, x' drawn from the k
  nearest. Categorical features, as in its SMOTE-NC, count in the distance with the median of the
  numbers' standard deviations wherever they differ, and take the value that most of the k nearest
  have (of several, the nearest one's). Other features keep the record's own values.

  Neighbours come from a pool of the record's class: in `BalancedAugmenter` its first pool_size
  records by hash rank over all files, the same for any sharding. A record of a class of k or fewer
  has all the others for neighbours; in a pool of one, copies are duplicates.

  Attributes:
    features: Numeric features; integers are rounded.
    categorical: Features that are taken over whole, of any type, one value a record.
    k: Number of neighbours.
    standardize: Whether distances are in the class's standard deviations, since features before
      Transform differ in unit; False is the paper's plain distance.
    pool_size: Number of records of the class among which neighbours are sought.
    max_pool_bytes: Bytes of the pools of all classes together, for each worker;
      beyond it pools are smaller, and a warning says so. A bound function takes some five times
      its pool, as float64.
  """

  features: Sequence[str]
  categorical: Sequence[str] = ()
  k: int = 5
  standardize: bool = True
  pool_size: int = 2000
  max_pool_bytes: int = DEFAULT_MAX_POOL_BYTES

  def __post_init__(self) -> None:
    checked: dict[str, Any] = {'features': check_names('features', self.features)}
    given = self.categorical
    empty = isinstance(given, Sequence) and not isinstance(given, (str, bytes)) and not given
    checked['categorical'] = () if empty else check_names('categorical', given)
    for name in ('k', 'pool_size', 'max_pool_bytes'):
      checked[name] = check_whole(name, getattr(self, name))
    checked['standardize'] = check_flag('standardize', self.standardize)
    for name, value in checked.items():
      object.__setattr__(self, name, value)
    both = sorted(set(self.features) & set(self.categorical))
    if both:
      raise ConfigError(f'{both} are in features= and in categorical=; name each once')

  @property
  def pool_features(self) -> tuple[str, ...]:
    """The features that a pool must hold."""
    return (*self.features, *self.categorical)

  def bind(self, pool: Pool) -> BoundSmote:
    """Returns the augment function for records of the pool's class.

    Args:
      pool: Arrays by feature: [p] or [p, k].

    Raises:
      ConfigError: if a feature is not there, a numeric one holds no numbers, or a categorical one
        holds several values a record.
    """
    numeric_names(pool, self.features, 'Smote')
    for name in self.categorical:
      check_column(pool, name, 'Smote')
      if pool[name].size != len(pool[name]):
        raise ConfigError(f'Smote: categorical feature {name!r} must hold one value a record')
    return BoundSmote(self, pool)


class BoundSmote(VectorAugment):
  """SMOTE for one class.

  Distances are sums of products of whole numbers below 2**53, which are exact in float64 in any
  order: so the neighbours do not depend on the batch, the number of threads or the processor.
  """

  repeatable = True
  traced = False

  def __init__(self, smote: Smote, pool: Pool):
    self._smote = smote
    rows = matrix([pool[name] for name in smote.features])
    deviations = spread(rows)
    units = np.where(deviations > 0, deviations, 1.0)
    units = units if smote.standardize else np.ones_like(units)
    seen = ~np.isnan(rows)
    middle = np.nansum(rows, axis=0) / np.maximum(seen.sum(axis=0), 1)
    # |x - p|**2 of so many differences below 2**(bits + 2), and the terms it is made of.
    dimensions = rows.shape[1] + len(smote.categorical)
    bits = (_EXACT_BITS - 6 - int(np.ceil(np.log2(dimensions)))) // 2
    farthest = np.nanmax(np.abs((rows - middle) / units), initial=0.0)
    scale = 2.0**bits / (farthest or 1.0)
    unlike = float(round((float(np.median(deviations / units)) * scale) ** 2))
    self.arrays = arrays = {
      'rows': tf.constant(rows),
      'units': units,
      'middle': middle,
      'scale': np.array([scale]),
      'limit': np.array([2.0 ** (bits + 1)]),
      'unlike': np.array([unlike]),
      **{f'category/{name}': tf.constant(pool[name].reshape(-1)) for name in smote.categorical},
    }
    arrays['whole'] = whole = self._whole(arrays['rows'])
    arrays['squares'] = tf.reduce_sum(whole * whole, axis=1)

  def __repr__(self) -> str:
    return function_name(self._smote)

  @tf.autograph.experimental.do_not_convert
  def batch(self, features: Features, seeds: tf.Tensor) -> Features:
    """Returns a batch moved towards neighbours; see `VectorAugment`."""
    rows = batch_matrix(features, self._smote.features)
    if rows.shape[1] != self.arrays['rows'].shape[1]:
      raise ConfigError(f'{self!r}: a batch has other numbers of values than the pool')
    nearest, found = self.neighbours(features)
    drawn = tf.cast(uniform(seeds, 'smote/neighbour') * tf.cast(found, tf.float64), tf.int32)
    neighbour = tf.gather(nearest, drawn, batch_dims=1)
    share = uniform(seeds, 'smote/share')
    steps = (tf.gather(self.arrays['rows'], neighbour) - rows) * share[:, tf.newaxis]
    steps = tf.where((found > 0)[:, tf.newaxis], steps, tf.zeros_like(steps))
    out = add_steps(features, self._smote.features, steps)
    for name in self._smote.categorical:
      values = self.arrays[f'category/{name}']
      own = tf.convert_to_tensor(features[name])
      made = _majority(tf.reshape(own, [-1]), tf.gather(values, nearest), found)
      out[name] = tf.reshape(made, tf.shape(own))
    return out

  def _whole(self, rows: tf.Tensor) -> tf.Tensor:
    """Returns rows on a grid of whole numbers: float64 [n, d]; NaN is the middle."""
    middle, units, scale, limit = (self.arrays[n] for n in ('middle', 'units', 'scale', 'limit'))
    grid = tf.round((rows - middle) / units * scale)
    grid = tf.clip_by_value(grid, -limit, limit)
    return tf.where(tf.math.is_nan(grid), tf.zeros_like(grid), grid)

  def neighbours(self, features: Features) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the nearest of the pool, int32 [n, K], and how many of these count, int32 [n].

    One pool record at distance 0 is the record itself and is left out.
    """
    whole = self._whole(batch_matrix(features, self._smote.features))
    squares = tf.reduce_sum(whole * whole, axis=1)[:, tf.newaxis] + self.arrays['squares']
    distance = squares - 2.0 * tf.matmul(whole, self.arrays['whole'], transpose_b=True)
    for name in self._smote.categorical:
      unlike = tf.reshape(features[name], [-1, 1]) != self.arrays[f'category/{name}']
      distance += tf.cast(unlike, tf.float64) * self.arrays['unlike']
    size = tf.shape(self.arrays['whole'])[0]
    itself = tf.argmin(distance, axis=1, output_type=tf.int32)
    in_pool = tf.reduce_min(distance, axis=1) == 0
    masked = in_pool[:, tf.newaxis] & (tf.range(size) == itself[:, tf.newaxis])
    distance = tf.where(masked, tf.constant(np.inf, tf.float64), distance)
    most = tf.minimum(self._smote.k, size)
    _, nearest = tf.math.top_k(-distance, most)
    return nearest, tf.minimum(most, size - tf.cast(in_pool, tf.int32))


def _majority(own: tf.Tensor, values: tf.Tensor, n_neighbours: tf.Tensor) -> tf.Tensor:
  """Returns the value that most neighbours have, of several the nearest one's, or `own`: [n].

  The values [n, K] are the neighbours', nearest first; the first `n_neighbours` [n] of them count.
  """
  counts = tf.range(tf.shape(values)[1]) < n_neighbours[:, tf.newaxis]
  same = (values[:, :, tf.newaxis] == values[:, tf.newaxis, :]) & counts[:, tf.newaxis, :]
  votes = tf.where(counts, tf.reduce_sum(tf.cast(same, tf.int32), axis=2), -1)
  winner = tf.argmax(votes, axis=1, output_type=tf.int32)
  return tf.where(n_neighbours > 0, tf.gather(values, winner, batch_dims=1), own)


@dataclass(frozen=True)
class SmoothedBootstrap:
  """Adds Gaussian noise to numbers, as wide as the class's own density estimate (ROSE).

  Menardi and Torelli, "Training and assessing classification rules with imbalanced data", 2014: for
  n records and d numbers the noise of number q has the standard deviation
  shrink * (4 / ((d + 2) n))**(1 / (d + 4)) * s_q, with s_q the class's. Other features keep the
  record's values. A pool of one record has no spread, so its copies are duplicates.

  Attributes:
    features: Numeric features, integers rounded; None for every float feature.
    shrink: Factor on the noise; 0 gives duplicates.
    pool_size: Number of records of the class from which its spread is estimated.
    max_pool_bytes: Bytes of the pools of all classes together, for each worker; beyond it pools
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
      pool: Arrays by feature: [p] or [p, k].
      n_records: Number of records of the whole class, if known; the bandwidth falls with it.

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
  """
  return (4 / ((d + 2) * n)) ** (1 / (d + 4))


class BoundBootstrap(VectorAugment):
  """A smoothed bootstrap for one class.

  Args:
    names: Features to add noise to.
    deviations: Standard deviations of the noise, float64 [d], of the features side by side.
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


def numeric_names(pool: Pool, features: Sequence[str] | None, owner: str) -> tuple[str, ...]:
  """Returns the numeric features to work on: those named, or all floats of fixed length.

  Raises:
    ConfigError: if a feature is not there, is not a number, or varies in length.
  """
  if features is None:
    return tuple(name for name in sorted(pool) if pool[name].dtype.kind == 'f')
  for name in features:
    check_column(pool, name, owner)
    if pool[name].dtype.kind not in 'fiu':
      raise ConfigError(
        f'{owner}: feature {name!r} holds no numbers of a fixed count; '
        'name it in categorical=, or leave it out of features='
      )
  return tuple(features)


def matrix(columns: Sequence[npt.NDArray[Any]]) -> Floats:
  """Returns the columns side by side: float64 [p, d] from [p] or [p, k] each."""
  flat = [np.asarray(column, np.float64).reshape(len(column), -1) for column in columns]
  return np.concatenate(flat, axis=1) if flat else np.empty((0, 0))


def batch_matrix(features: Features, names: Sequence[str]) -> tf.Tensor:
  """Returns a batch's columns side by side: float64 [n, d]."""
  columns = [tf.cast(features[name], tf.float64) for name in names]
  widths = [int(np.prod(column.shape[1:].as_list(), dtype=int)) for column in columns]
  flat = [tf.reshape(c, [tf.shape(c)[0], width]) for c, width in zip(columns, widths, strict=True)]
  return tf.concat(flat, 1)


def spread(rows: Floats) -> Floats:
  """Returns each column's sample standard deviation, 0 for fewer than two: float64 [d]; no NaN."""
  counts = np.sum(~np.isnan(rows), axis=0)
  means = np.nansum(rows, axis=0) / np.maximum(counts, 1)
  squares = np.nansum((rows - means) ** 2, axis=0)
  return np.sqrt(squares / np.maximum(counts - 1, 1))


def add_steps(features: Features, names: Sequence[str], steps: tf.Tensor) -> Features:
  """Returns the features moved by steps, integers by rounded ones; a NaN step moves nothing.

  Args:
    features: Tensors of a batch, by feature.
    names: Features that the columns of the steps belong to, in order.
    steps: Changes of the values: float64 [n, d].
  """
  out = dict(features)
  steps = tf.where(tf.math.is_nan(steps), tf.zeros_like(steps), steps)
  at = 0
  for name in names:
    value = tf.convert_to_tensor(features[name])
    width = int(np.prod(value.shape[1:].as_list(), dtype=int))
    step = tf.reshape(steps[:, at : at + width], tf.shape(value))
    if value.dtype.is_integer:  # apart, so that large integers keep their last digits
      out[name] = value + tf.cast(tf.round(step), value.dtype)
    else:
      out[name] = tf.cast(tf.cast(value, tf.float64) + step, value.dtype)
    at += width
  return out
