"""The infinite dataset of training batches: draws, then records, then what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfx_balance.arguments import check_callable, check_choice, shown
from tfx_balance.augment import AugmentFn, PoolFn, check_augment_fn
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.draw_stream import Shard, draw_dataset
from tfx_balance.inputs.online_augment import BatchAugment, which_records
from tfx_balance.inputs.python_calls import options_of_calls
from tfx_balance.inputs.source import Reader, Source
from tfx_balance.plan.batch_draws import BatchDraws
from tfx_balance.plan.batch_quota import check_batch_size
from tfx_balance.plan.class_order import ClassOrder
from tfx_balance.plan.sampling import (
  ClassCounts,
  Epoch,
  Weights,
  check_epoch,
  check_strategy,
  epoch_steps,
)
from tfx_balance.plan.schedules import Schedule, ScheduledWeights

_LONGEST_SEARCH = 1_000_000  # batches


@dataclass(frozen=True)
class Sampling:
  """How classes are sampled.

  Attributes:
    strategy: 'exact', 'weighted' or 'natural'.
    q: weights are records^q.
    ratios: class to weight.
    schedule: step to q, ratios or Mixture.
  """

  strategy: str = 'exact'
  q: float | None = None
  ratios: Mapping[Any, Any] | None = None
  schedule: Schedule | None = None

  def __post_init__(self) -> None:
    check_strategy(self.strategy)
    if self.schedule is not None:
      check_callable('schedule', self.schedule, 'progressive(steps=10_000)')
    given = [n for n in ('q', 'ratios', 'schedule') if getattr(self, n) is not None]
    if self.strategy == 'natural' and given:
      raise ConfigError(
        f"strategy='natural' takes the data as it is, and {given[0]}= is given; "
        f"leave it out, or pass strategy='exact' or 'weighted'"
      )
    if len(given) > 1:
      raise ConfigError(f'{given[0]}= and {given[1]}= are both given; give one of them')

  def weights(self, counts: ClassCounts) -> ScheduledWeights:
    """Returns the weights at each step; the schedule's first is tried at once.

    Raises:
      ConfigError: if they break a rule.
    """
    if self.schedule is None:
      return ScheduledWeights(counts, self.constant(counts))
    scheduled = ScheduledWeights(counts, schedule=self.schedule)
    scheduled.at(0)
    return scheduled

  def constant(self, counts: ClassCounts) -> Weights:
    """Returns the weights that each batch is sampled with.

    Raises:
      ConfigError: if they change with the step.
    """
    if self.schedule is not None:
      raise ConfigError(
        'a schedule has other weights at each step, and one weight a class is asked for; '
        'pass the q= or ratios= of one stage'
      )
    if self.strategy == 'natural':
      return counts.records
    return counts.weights(self.q, self.ratios)


def count_steps(sampling: Sampling, counts: ClassCounts, batch_size: int, epoch: Epoch) -> int:
  """Returns the batches of an epoch; of the first one, where a schedule changes the shares.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  check_batch_size(batch_size)
  epoch = check_epoch(epoch)
  if sampling.strategy == 'natural' and not isinstance(epoch, int):
    return -(-sum(counts.records) // batch_size)
  if sampling.schedule is None or isinstance(epoch, int):
    weights = (1,) if isinstance(epoch, int) else sampling.constant(counts)
    return epoch_steps(counts.records, weights, batch_size, epoch)
  return _scheduled_steps(sampling.weights(counts), counts, batch_size, epoch)


def _scheduled_steps(
  weights: ScheduledWeights, counts: ClassCounts, batch_size: int, epoch: str
) -> int:
  """Returns the first step by which the named class's shares add up to its records."""
  size = (max if epoch == 'largest' else min)(counts.records)
  at, left = counts.records.index(size), float(size)
  for step in range(_LONGEST_SEARCH):
    now = weights.at(step)
    left -= batch_size * now[at] / sum(now)
    if left <= 0:
      return step + 1
  raise ConfigError(
    f'under this schedule the {epoch} class is not gone through in {_LONGEST_SEARCH} batches; '
    f'give epoch= as a number of batches'
  )


@dataclass(frozen=True)
class BatchWork:
  """What is done to the records of a batch.

  Attributes:
    label_as: 'parsed' or 'index'.
    class_weights: float [n_classes] to give as sample weights, or None.
    augment_fn: see `tfx_balance.augment.contract`, or None.
    augment: which records it is for.
  """

  label_as: str = 'parsed'
  class_weights: Sequence[float] | None = None
  augment_fn: AugmentFn | PoolFn | None = None
  augment: str | Sequence[Any] = 'repeats'

  def __post_init__(self) -> None:
    check_label_as(self.label_as)
    if self.augment_fn is not None:
      check_augment_fn(self.augment_fn, shown(self.augment_fn))

  def maker(self, reader: Reader, counts: ClassCounts) -> Callable[..., tuple[Any, ...]]:
    """Returns graph code from the draws of a batch to the batch."""
    augmented = None
    which_records(self.augment, counts)  # which is checked without a function too
    if self.augment_fn is not None:
      augmented = BatchAugment.of(self.augment_fn, self.augment, reader, counts)
    weights = None if self.class_weights is None else tf.constant(self.class_weights, tf.float32)

    def make(
      classes: Any, rows: Any, seeds: Any, repeats: Any, fetched: Any = None
    ) -> tuple[Any, ...]:
      features, label = reader.read(rows, classes, fetched)
      if augmented is not None:
        features = augmented(features, classes, repeats, seeds)
      batch = (features, classes if self.label_as == 'index' else label)
      return batch if weights is None else (*batch, tf.gather(weights, classes))

    return tf.autograph.experimental.do_not_convert(make)


def check_label_as(label_as: str) -> None:
  """Checks how labels are asked for.

  Raises:
    ConfigError: if it is neither 'parsed' nor 'index'.
  """
  check_choice('label_as', label_as, ('parsed', 'index'))


def training_dataset(
  source: Source,
  reader: Reader,
  sampling: Sampling,
  work: BatchWork,
  batch_size: int,
  epoch: Epoch,
  seed: int,
  context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
  """Returns the infinite, prefetched dataset.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  shard, make = Shard.of(context), work.maker(reader, source.counts)
  draws = BatchDraws(
    ClassOrder(source.windows(), seed),
    check_strategy(sampling.strategy),
    sampling.weights(source.counts),
    batch_size,
    count_steps(sampling, source.counts, batch_size, epoch),
  )
  batches = draw_dataset(draws, shard, reader).map(
    make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
  )
  return batches.with_options(options_of_calls()).prefetch(tf.data.AUTOTUNE)
