"""Columns of a pool of one class, as the tabular functions use them."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.augment.contract import Features, Pool, PoolFn, function_name
from tfx_balance.errors import ConfigError
from tfx_balance.plan.pool_plan import DEFAULT_MAX_POOL_BYTES, PoolRequest

Floats = npt.NDArray[np.float64]


def pool_request(augment_fn: PoolFn) -> PoolRequest:
  """Returns what a function wants to see; it need not say more than its pool_size.

  Raises:
    ConfigError: if that is no number of records or bytes from 1.
  """
  max_bytes = getattr(augment_fn, 'max_pool_bytes', DEFAULT_MAX_POOL_BYTES)
  features = getattr(augment_fn, 'pool_features', None)
  owner = function_name(augment_fn)
  for name, value in (('pool_size', augment_fn.pool_size), ('max_pool_bytes', max_bytes)):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
      raise ConfigError(f'{owner}: {name} {value!r} must be a whole number from 1')
  names = None if features is None else tuple(features)
  return PoolRequest(owner, int(augment_fn.pool_size), names, int(max_bytes))


def numeric_names(pool: Pool, features: Sequence[str] | None, owner: str) -> tuple[str, ...]:
  """Returns the numeric features to work on: those named, or all floats of fixed length.

  Args:
    pool: records of one class.
    features: names, or None for every float feature.
    owner: whose parameter it is, for messages.

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


def check_column(pool: Mapping[str, Any], name: str, owner: str) -> None:
  """Raises a ConfigError if there is no such feature in a pool, or a layout."""
  if name not in pool:
    raise ConfigError(f'{owner}: feature {name!r} is not in {sorted(pool)}; name one of these')


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
    features: of a batch.
    names: features that the columns of the steps belong to, in order.
    steps: float64 [n, d].
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
