"""The draws of a strategy as an infinite dataset whose whole state is a few integers a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.errors import ConfigError
from tfx_balance.plan.batch_draws import BatchDraws, DrawState

_DRAWS_AT_A_TIME = 2048  # a call costs 0.3 ms of Python whatever it draws; more delays the start
_STATE = (tf.int64,) * 4
_OUTPUT = (tf.int32, tf.int64, tf.int32, tf.bool)


@dataclass(frozen=True)
class Shard:
  """The part of every global batch that one input pipeline gives.

  Attributes:
    index: of the pipeline, from 0.
    count: of pipelines.
    pieces: batches that a pipeline's part is given in: one a replica that it feeds.
  """

  index: int = 0
  count: int = 1
  pieces: int = 1

  @classmethod
  def of(cls, context: tf.distribute.InputContext | None) -> Shard:
    """Returns the part that `tf.distribute` asks an input pipeline for; all of it for None."""
    if context is None:
      return cls()
    replicas = context.num_replicas_in_sync // context.num_input_pipelines
    return cls(context.input_pipeline_id, context.num_input_pipelines, max(replicas, 1))

  def size(self, batch_size: int) -> int:
    """Returns the records of one batch that this pipeline gives.

    Raises:
      ConfigError: if the global batch does not divide by the replicas.
    """
    parts = self.count * self.pieces
    if batch_size % parts:
      raise ConfigError(
        f'batch_size={batch_size} is that of all {parts} replicas together and must be a multiple '
        f'of {parts}; give {batch_size // parts * parts or parts}'
      )
    return batch_size // parts

  def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns [n_batches, batch_size, ...] as [n_batches * pieces, size, ...]."""
    size = array.shape[1] // self.count
    own = array[:, self.index * size : (self.index + 1) * size]
    return own.reshape(-1, size // self.pieces, *array.shape[2:])


def draw_dataset(draws: BatchDraws, shard: Shard) -> tf.data.Dataset:
  """Returns a dataset of one batch's draws an element.

  Args:
    draws: the strategy.
    shard: what part of each batch.

  Returns:
    (classes int64 [B], records int64 [B], seeds int32 [B, 2], repeats bool [B]).
  """
  size = shard.size(draws.batch_size)
  n_batches = max(1, _DRAWS_AT_A_TIME // draws.batch_size)

  def advance(*state: Any) -> tuple[Any, ...]:
    batches, after = draws.next(DrawState(*state), n_batches)
    cut = [np.ascontiguousarray(shard.cut(array)) for array in batches]
    return (*(np.asarray(part, np.int64) for part in after), *cut)

  start = tuple(tf.constant(part, tf.int64) for part in draws.start())
  shapes = [part.shape for part in start]

  def scan(state: tuple[tf.Tensor, ...], _: tf.Tensor) -> tuple[Any, Any]:
    results = tf.numpy_function(advance, state, [*_STATE, *_OUTPUT], stateful=False)
    after = tuple(tf.ensure_shape(x, shape) for x, shape in zip(results[:4], shapes, strict=True))
    classes, records, seeds, repeats = results[4:]
    rows = [n_batches * shard.pieces, size]
    return after, (
      tf.cast(tf.ensure_shape(classes, rows), tf.int64),
      tf.ensure_shape(records, rows),
      tf.ensure_shape(seeds, [*rows, 2]),
      tf.ensure_shape(repeats, rows),
    )

  return tf.data.Dataset.counter().scan(start, scan).unbatch()
