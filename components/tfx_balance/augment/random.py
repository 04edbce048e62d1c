"""Random numbers that are a function of a record's seed and of what they are drawn for.

`tf.random.stateless_uniform` takes one seed a call, so a batch of records would need one call a
record. Here a number is a hash: the finalizer of SplitMix64 (Steele, Lea and Flood 2014) over seed,
purpose and position, in integer operations that work on every element alone. A record's numbers are
therefore the same to the last bit whether it is drawn for alone or among thousands. No sine,
logarithm or exponential is used: vectorised ones differ in the last bit with their position.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.plan.apportion import tie_break

_GOLDEN = 0x9E3779B97F4A7C15
_NORMAL_CELLS_LOG2 = 12


def bits(seeds: tf.Tensor, purpose: str, shape: Sequence[int] = ()) -> tf.Tensor:
  """Returns uniform 64-bit integers: uint64 [..., *shape].

  Args:
    seeds: Seed of each record, int64 [..., 2]: [2] for one, [n, 2] for a batch.
    purpose: Name of the draw, such as 'image/rotation'; purposes are independent of each other.
    shape: Shape of the numbers of each record.
  """
  halves = tf.bitcast(tf.convert_to_tensor(seeds, tf.int64), tf.uint64)
  state = _mix(halves[..., 0] ^ _word(tie_break(0, 'augment', purpose)))
  state = _mix(state ^ halves[..., 1])
  if not shape:
    return state
  size = math.prod(shape)
  steps = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
  wide = _mix(state[..., tf.newaxis] + tf.constant(steps))
  return tf.reshape(wide, tf.concat([tf.shape(state), list(shape)], 0))


def uniform(
  seeds: tf.Tensor,
  purpose: str,
  low: float = 0.0,
  high: float = 1.0,
  shape: Sequence[int] = (),
) -> tf.Tensor:
  """Returns numbers uniform in [low, high): float64 [..., *shape], multiples of 2**-53 scaled."""
  whole = tf.bitwise.right_shift(bits(seeds, purpose, shape), _word(11))
  unit = tf.cast(tf.bitcast(whole, tf.int64), tf.float64) * 2.0**-53
  return unit * (high - low) + low if (low, high) != (0.0, 1.0) else unit


def normal(seeds: tf.Tensor, purpose: str, shape: Sequence[int] = ()) -> tf.Tensor:
  """Returns standard normal numbers: float64 [..., *shape], mean 0, variance 1, within 4 of 0.

  The density is constant in each of 4,096 cells of equal probability. The outermost two end where
  the variance comes to 1 exactly.
  """
  drawn = bits(seeds, purpose, shape)
  cell = tf.cast(tf.bitwise.right_shift(drawn, _word(64 - _NORMAL_CELLS_LOG2)), tf.int32)
  rest = tf.bitwise.right_shift(tf.bitwise.left_shift(drawn, _word(_NORMAL_CELLS_LOG2)), _word(12))
  fraction = tf.cast(tf.bitcast(rest, tf.int64), tf.float64) * 2.0**-52
  edges = normal_edges()
  low = tf.gather(tf.constant(edges[:-1]), cell)
  width = tf.gather(tf.constant(np.diff(edges)), cell)
  return low + width * fraction


@functools.cache
def normal_edges() -> npt.NDArray[np.float64]:
  """Returns the ends of the cells of `normal`: float64 [4097], ascending and symmetric."""
  cells = 1 << _NORMAL_CELLS_LOG2
  upper = [NormalDist().inv_cdf(i / cells) for i in range(cells // 2 + 1, cells)]
  edges = np.array([0.0, *upper])
  square = 2 * float(np.sum(edges[:-1] ** 2 + edges[:-1] * edges[1:] + edges[1:] ** 2)) / 3
  inner, left = edges[-1], (cells - square) / 2  # of sum(E[x**2]) over cells, for each tail
  tail = (-inner + math.sqrt(inner**2 - 4 * (inner**2 - 3 * left))) / 2
  half = np.append(edges, tail)
  return np.concatenate([-half[:0:-1], half])


def _mix(values: tf.Tensor) -> tf.Tensor:
  """Returns the finalizer of SplitMix64 of uint64 values; they wrap around."""
  shift = tf.bitwise.right_shift
  z = values + _word(_GOLDEN)
  z = (z ^ shift(z, _word(30))) * _word(0xBF58476D1CE4E5B9)
  z = (z ^ shift(z, _word(27))) * _word(0x94D049BB133111EB)
  return z ^ shift(z, _word(31))


def _word(value: int) -> tf.Tensor:
  """Returns a uint64 constant; Python integers above 2**63 do not convert by themselves."""
  return tf.constant(np.uint64(value))
