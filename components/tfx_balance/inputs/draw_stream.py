"""The draws of a strategy as an infinite dataset whose whole state is a few integers a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import shown
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.python_calls import call_python
from tfx_balance.inputs.source import Fetch, Reader
from tfx_balance.plan.batch_draws import BatchDraws, DrawState

_DRAWS_AT_A_TIME = 2048  # a call costs 0.3 ms of Python whatever it draws; more delays the start
_FETCHED_BYTES_AT_A_TIME = 4 << 20  # they are in memory a few times over, and in a checkpoint
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
    if not isinstance(context, tf.distribute.InputContext):
      raise ConfigError(
        f'input_context={shown(context)} must be a tf.distribute.InputContext; leave it out, or '
        f"call train in strategy.distribute_datasets_from_function's function"
      )
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


def draw_dataset(draws: BatchDraws, shard: Shard, reader: Reader) -> tf.data.Dataset:
  """Returns a dataset of one batch's draws an element.

  Args:
    draws: the strategy.
    shard: what part of each batch.
    reader: of the records.

  Returns:
    (classes int64 [B], rows int64 [B], seeds int32 [B, 2], repeats bool [B]), and where the reader
    fetches, records string [B].
  """
  size = shard.size(draws.batch_size)
  n_batches = _batches_at_a_time(draws.batch_size, reader.fetch)

  def advance(*state: Any) -> tuple[Any, ...]:
    batches, after = draws.next(DrawState(*state), n_batches)
    classes, records, seeds, repeats = (np.ascontiguousarray(shard.cut(x)) for x in batches)
    flat = records.reshape(-1)
    made = [classes, reader.rows(flat).reshape(records.shape), seeds, repeats]
    if reader.fetch is not None:
      made.append(reader.fetch.records(flat).reshape(records.shape))
    return (*(np.asarray(part, np.int64) for part in after), *made)

  start = tuple(tf.constant(part, tf.int64) for part in draws.start())
  dtypes = [*_OUTPUT, tf.string] if reader.fetch is not None else [*_OUTPUT]
  rows = [n_batches * shard.pieces, size]
  shapes = [*(part.shape for part in start), rows, rows, [*rows, 2], rows, rows]

  def scan(state: tuple[tf.Tensor, ...], _: tf.Tensor) -> tuple[Any, Any]:
    results = call_python(advance, state, [*_STATE, *dtypes])
    results = [tf.ensure_shape(x, s) for x, s in zip(results, shapes, strict=False)]
    return tuple(results[:4]), (tf.cast(results[4], tf.int64), *results[5:])

  # Draws of the next batches are made while these are parsed.
  return tf.data.Dataset.counter().scan(start, scan).prefetch(1).unbatch()


def _batches_at_a_time(batch_size: int, fetch: Fetch | None) -> int:
  """Returns how many batches to draw in one call."""
  records = _DRAWS_AT_A_TIME
  if fetch is not None:
    records = min(records, _FETCHED_BYTES_AT_A_TIME // max(fetch.mean_bytes, 1))
  return max(1, records // batch_size)
