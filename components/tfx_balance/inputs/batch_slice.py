"""The slice of every global batch that one input pipeline gives its replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import format_value
from tfx_balance.errors import ConfigError
from tfx_balance.plan.ranks import Ints


@dataclass(frozen=True)
class BatchSlice:
  """The records of every global batch that one input pipeline gives.

  Attributes:
    batch_size: Records of a global batch.
    index: Index of the pipeline, from 0.
    count: Number of pipelines.
    replicas: Number of replicas that a pipeline feeds, each with a batch of its own.
  """

  batch_size: int
  index: int = 0
  count: int = 1
  replicas: int = 1

  @classmethod
  def of(
    cls, context: tf.distribute.InputContext | None, batch_size: int, pad: bool = False
  ) -> BatchSlice:
    """Returns the slice that `tf.distribute` asks an input pipeline for; all of it for None.

    Args:
      context: Context of the pipeline.
      batch_size: Records of a global batch.
      pad: Whether replicas that do not divide the batch get padded parts of it.

    Raises:
      ConfigError: if there is no global batch, or replicas do not divide it and pad is False.
    """
    # In a function that a ClusterCoordinator traces for its workers, nothing else shows this.
    if any('/job:ps/' in device.name for device in tf.config.list_logical_devices()):
      raise ConfigError(
        'the workers of a ParameterServerStrategy train each at its own pace and run no Python of '
        'this process, so that they share no batches; use MultiWorkerMirroredStrategy, or read '
        'the files of the artifact with tf.data, each worker its own'
      )
    if context is None:
      return cls(batch_size)
    if not isinstance(context, tf.distribute.InputContext):
      raise ConfigError(
        f'input_context={format_value(context)} must be a tf.distribute.InputContext; leave it '
        f'out, or '
        f"call train in strategy.distribute_datasets_from_function's function"
      )
    count, n = context.num_input_pipelines, context.num_replicas_in_sync
    replicas = max(n // count, 1)
    if n > count and n % count:
      raise ConfigError(
        f'input_context= has {n} replicas in {count} pipelines, and each pipeline must feed as '
        f'many; give {n // count * count} replicas, or a pipeline for each'
      )
    made = cls(batch_size, context.input_pipeline_id, count, replicas)
    if batch_size % made.in_all and not pad:
      made._refuse()
    return made

  def check_groups(self, records: int) -> None:
    """Checks that the records of a class stay together on a replica.

    Raises:
      ConfigError: if the classes of a batch do not divide by the replicas.
    """
    if self.batch_size // records % self.in_all:
      raise ConfigError(
        f'classes={self.batch_size // records} of a batch must be a multiple of {self.in_all} '
        f'replicas, so that the records of a class stay together; give such a number'
      )

  @property
  def in_all(self) -> int:
    """The replicas of all pipelines."""
    return self.count * self.replicas

  @property
  def size(self) -> int:
    """The rows that one replica gets of a batch, padding included."""
    return -(-self.batch_size // self.in_all)

  def take(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns [n_batches, batch_size, ...] as [n_batches * replicas, size, ...].

    A padding row repeats another one.
    """
    start, _ = self._bounds()
    rows = np.minimum(start[:, None] + np.arange(self.size), self.batch_size - 1)
    return np.take(array, rows, axis=1).reshape(-1, self.size, *array.shape[2:])

  def row_weights(self) -> npt.NDArray[np.float32] | None:
    """Returns the weight of each row, float32 [replicas, size]; None where no row is padding.

    Padding has 0. The mean of all rows of all replicas is that of the batch's records.
    """
    if self.batch_size % self.in_all == 0:
      return None
    start, end = self._bounds()
    real = np.arange(self.size) < (end - start)[:, None]
    return real.astype(np.float32) * np.float32(self.in_all * self.size / self.batch_size)

  def _bounds(self) -> tuple[Ints, Ints]:
    """Returns the first record of each replica's part of a batch, and the one after its last."""
    replica = self.index * self.replicas + np.arange(self.replicas + 1)
    edges = replica * self.batch_size // self.in_all
    return edges[:-1], edges[1:]

  def _refuse(self) -> None:
    size, n = self.batch_size, self.in_all
    below = max((k for k in range(1, n) if size % k == 0), default=1)
    above = min((k for k in range(n + 1, size + 1) if size % k == 0), default=None)
    numbers = f'{below} or {above}' if above else str(below)
    sizes = f'{size // n * n} or {(size // n + 1) * n}' if size > n else str(n)
    raise ConfigError(
      f'batch_size={size} is that of all {n} replicas together and must be a multiple of {n}; '
      f'give {sizes}, or pad_batches=True, or train on {numbers} replicas'
    )
