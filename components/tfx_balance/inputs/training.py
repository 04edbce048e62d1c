"""The infinite dataset of training batches: draws, records, augmentation, labels.

The whole state of an iterator is a few integers a class, so that a checkpoint is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_callable, check_choice, shown
from tfx_balance.augment import AugmentFn, MixFn, PoolFn
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.online_augment import BatchAugment, augment_mask
from tfx_balance.inputs.parsing import multi_hot
from tfx_balance.inputs.python_calls import call_python
from tfx_balance.inputs.record_source import Reader
from tfx_balance.plan.batch_draws import BatchDraws, DrawState
from tfx_balance.plan.label_sets import LabelSetCounts
from tfx_balance.plan.sampling import TrainingCounts

_DRAWS_AT_A_TIME = 2048  # a call costs 0.3 ms of Python whatever it draws; more delays the start
_FETCHED_BYTES_AT_A_TIME = 4 << 20  # they are in memory a few times over, and in a checkpoint
_STATE = (tf.int64,) * 4
_OUTPUT = (tf.int32, tf.int64, tf.int32, tf.bool)
LABEL_FORMS = ('parsed', 'index', 'multi_hot')


def check_label_form(label_as: str, counts: TrainingCounts) -> None:
  """Checks the form in which labels are given.

  Raises:
    ConfigError: if it is none of LABEL_FORMS, or does not fit the number of labels of a record.
  """
  check_choice('label_as', label_as, LABEL_FORMS)
  sets = isinstance(counts, LabelSetCounts)
  if label_as == ('index' if sets else 'multi_hot'):
    has, other = ('several labels', 'multi_hot') if sets else ('one label', 'index')
    raise ConfigError(
      f"label_as={label_as!r}, and a record has {has}; give label_as={other!r} or 'parsed'"
    )


def check_mix(mix: MixFn | None, label_as: str, counts: TrainingCounts) -> None:
  """Checks that records can be mixed; raises ConfigError if not."""
  if mix is None:
    return
  check_callable('mix', mix, 'MixUp()')
  if isinstance(counts, LabelSetCounts):
    raise ConfigError('mix= takes one label a record, and these have several; leave it out')
  if label_as != 'parsed':
    raise ConfigError(
      f'label_as={label_as!r}, and with mix= labels are soft targets by class; leave label_as= out'
    )


@dataclass(frozen=True)
class BatchSlice:
  """The records of every global batch that one input pipeline gives.

  Attributes:
    index: Index of the pipeline, from 0.
    count: Number of pipelines.
    replicas: Number of replicas that a pipeline feeds, each with a batch of its own.
  """

  index: int = 0
  count: int = 1
  replicas: int = 1

  @classmethod
  def of(cls, context: tf.distribute.InputContext | None) -> BatchSlice:
    """Returns the slice that `tf.distribute` asks an input pipeline for; all of it for None."""
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
    """Returns the records that one replica gets of a batch.

    Raises:
      ConfigError: if the global batch does not divide by the replicas.
    """
    n = self.count * self.replicas
    if batch_size % n:
      raise ConfigError(
        f'batch_size={batch_size} is that of all {n} replicas together and must be a multiple '
        f'of {n}; give {batch_size // n * n or n}'
      )
    return batch_size // n

  def check_groups(self, batch_size: int, records: int) -> None:
    """Checks that the records of a class stay together on a replica.

    Raises:
      ConfigError: if the classes of a batch do not divide by the replicas.
    """
    if self.size(batch_size) % records:
      n = self.count * self.replicas
      raise ConfigError(
        f'classes={batch_size // records} of a batch must be a multiple of {n} replicas, so that '
        f'the records of a class stay together; give such a number'
      )

  def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns [n_batches, batch_size, ...] as [n_batches * replicas, size, ...]."""
    size = array.shape[1] // self.count
    own = array[:, self.index * size : (self.index + 1) * size]
    return own.reshape(-1, size // self.replicas, *array.shape[2:])


def draw_dataset(draws: BatchDraws, batch_slice: BatchSlice, reader: Reader) -> tf.data.Dataset:
  """Returns an infinite dataset whose element is the draws of one batch.

  Args:
    draws: Draws of a strategy.
    batch_slice: Slice of each batch that is given.
    reader: Reader of the records.

  Returns:
    (classes int64 [B], rows int64 [B], seeds int32 [B, 2], repeats bool [B]), and where the reader
    fetches, records string [B].
  """
  size = batch_slice.size(draws.batch_size)
  n_batches = _batches_at_a_time(draws.batch_size, reader)

  def advance(*state: Any) -> tuple[Any, ...]:
    batches, after = draws.next(DrawState(*state), n_batches)
    classes, records, seeds, repeats = (np.ascontiguousarray(batch_slice.cut(x)) for x in batches)
    flat = records.reshape(-1)
    made = [classes, reader.rows(flat).reshape(records.shape), seeds, repeats]
    if reader.fetch is not None:
      made.append(reader.fetch(flat).reshape(records.shape))
    return (*(np.asarray(value, np.int64) for value in after), *made)

  start = tuple(tf.constant(value, tf.int64) for value in draws.start())
  dtypes = [*_OUTPUT, tf.string] if reader.fetch is not None else [*_OUTPUT]
  rows = [n_batches * batch_slice.replicas, size]
  shapes = [*(value.shape for value in start), rows, rows, [*rows, 2], rows, rows]

  def scan(state: tuple[tf.Tensor, ...], _: tf.Tensor) -> tuple[Any, Any]:
    results = call_python(advance, state, [*_STATE, *dtypes])
    results = [tf.ensure_shape(x, s) for x, s in zip(results, shapes, strict=False)]
    return tuple(results[:4]), (tf.cast(results[4], tf.int64), *results[5:])

  # Draws of the next batches are made while these are parsed.
  return tf.data.Dataset.counter().scan(start, scan).prefetch(1).unbatch()


def _batches_at_a_time(batch_size: int, reader: Reader) -> int:
  """Returns the number of batches to draw in one call."""
  records = _DRAWS_AT_A_TIME
  if reader.fetch is not None:
    records = min(records, _FETCHED_BYTES_AT_A_TIME // max(reader.mean_bytes, 1))
  return max(1, records // batch_size)


def batch_maker(
  reader: Reader,
  counts: TrainingCounts,
  label_as: str,
  class_weights: Sequence[float] | None,
  augment_fn: AugmentFn | PoolFn | None,
  augment: str | Sequence[Any],
  mix: MixFn | None,
) -> Callable[..., tuple[Any, ...]]:
  """Returns graph code from an element of `draw_dataset` to (features, label, ...).

  Args:
    reader: Reader of the records.
    counts: Classes and their records.
    label_as: One of LABEL_FORMS.
    class_weights: float [n_classes], weights to give as sample weights, or None.
    augment_fn: Augment function (see `tfx_balance.augment.contract`), or None.
    augment: Records to augment; see `augment_mask`.
    mix: Batch function that makes soft targets, or None.
  """
  augment_mask(augment, counts)  # which is checked without a function too
  augmented = None
  if augment_fn is not None:
    augmented = BatchAugment.of(augment_fn, augment, reader, counts)
  encode = multi_hot(counts.labels) if isinstance(counts, LabelSetCounts) else None
  weights = None if class_weights is None else tf.constant(class_weights, tf.float32)

  def make(
    classes: Any, rows: Any, seeds: Any, repeats: Any, fetched: Any = None
  ) -> tuple[Any, ...]:
    features, label = reader.read(rows, classes, fetched)
    if augmented is not None:
      features = augmented(features, classes, repeats, seeds)
    if label_as != 'parsed':
      label = classes if encode is None else encode(label)
    if mix is not None:
      features, label = mix(features, classes, tf.cast(seeds[0], tf.int64), counts.records)
    batch = (features, label)
    if weights is None:
      return batch
    of_record = tf.gather(weights, classes) if mix is None else tf.linalg.matvec(label, weights)
    return *batch, of_record

  return tf.autograph.experimental.do_not_convert(make)
