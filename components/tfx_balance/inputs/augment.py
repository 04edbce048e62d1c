"""An augment function, applied to some of a batch's records on their way to the model.

What such a function is, `tfx_balance.augment.contract` says. Its seed is a function of the record
and of how often its class was drawn before: no two repeats are alike, and a run that is done again
is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.augment import (
  Applier,
  AugmentFn,
  PoolFn,
  augment_batch,
  augment_by_class,
  check_augment_fn,
  checked_batch,
  function_name,
)
from tfx_balance.augment.contract import Features, Pool
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.source import Ints, Reader
from tfx_balance.plan.class_value import match_class
from tfx_balance.plan.sampling import ClassCounts

Applies = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Graph code: classes int64 [B] and repeats bool [B] to which records are augmented, bool [B]."""

_TRIED = 4  # records on which a function is tried before the first batch
_READ_AT_A_TIME = 4096


def which_records(augment: str | Sequence[Any], counts: ClassCounts) -> tuple[Applies, list[int]]:
  """Returns what tells the records to augment, and the classes that they may be of.

  Args:
    augment: 'repeats' (records drawn after their class was gone through once in the epoch), 'all',
      or a list of classes.
    counts: the classes.

  Raises:
    ConfigError: if it is none of these.
  """
  everyone = list(range(len(counts.classes)))
  if augment == 'repeats':
    return lambda classes, repeats: repeats, everyone
  if augment == 'all':
    return lambda classes, repeats: tf.ones_like(repeats), everyone
  if isinstance(augment, str) or not isinstance(augment, Sequence):
    raise ConfigError(f"augment={augment!r} must be 'repeats', 'all' or a list of classes")
  chosen = {match_class(key, counts.classes) for key in augment}
  flags = np.array([value in chosen for value in counts.classes])
  table = tf.constant(flags)
  return lambda classes, repeats: tf.gather(table, classes), np.flatnonzero(flags).tolist()


@dataclass(frozen=True)
class BatchAugment:
  """Graph code that augments the records of a batch that are to be.

  Attributes:
    name: what messages call the function.
    applies: which records are augmented.
    functions: one for all classes, or one for each class that may be augmented, bound to its pool.
    of_class: int64 [n_classes], which of the functions is a class's.
  """

  name: str
  applies: Applies
  functions: tuple[AugmentFn, ...]
  of_class: Ints

  @classmethod
  def of(
    cls, augment_fn: Any, augment: str | Sequence[Any], reader: Reader, counts: ClassCounts
  ) -> BatchAugment:
    """Returns the code, with the function bound to pools if it needs them, and tried on records.

    Args:
      augment_fn: an augment function, or a `PoolFn`.
      augment: see `which_records`.
      reader: of the records.
      counts: the classes.

    Raises:
      AugmentError: if the function breaks a rule on records that are held in memory.
      ConfigError: if the features are no dict, or something given is not what it must be.
      DataError: if records cannot be read.
    """
    name = function_name(augment_fn)
    check_augment_fn(augment_fn, name)
    applies, chosen = which_records(augment, counts)
    of_class = np.zeros(len(counts.classes), np.int64)
    functions: tuple[AugmentFn, ...] = (augment_fn,)
    if isinstance(augment_fn, PoolFn):
      pools = class_pools(reader, counts, chosen, augment_fn.pool_size)
      functions = tuple(augment_fn.bind(pool) for pool in pools)
      of_class[chosen] = np.arange(len(chosen))
    made = cls(name, applies, functions, of_class)
    made._try_out(reader, counts, chosen)
    return made

  def __call__(
    self, features: Any, classes: tf.Tensor, repeats: tf.Tensor, seeds: tf.Tensor
  ) -> Any:
    """Returns a batch's features with some records augmented.

    Args:
      features: name to tensor [B, ...]; sparse and ragged ones stay as they are.
      classes: int64 [B].
      repeats: bool [B].
      seeds: [B, 2], integers.

    Raises:
      AugmentError: while the graph is built, if the function drops a feature or changes a shape.
      ConfigError: while the graph is built, if the features are no dict.
    """
    dense = _dense(features)
    rows = tf.where(self.applies(classes, repeats))[:, 0]

    def changed() -> Features:
      own = {name: tf.gather(value, rows) for name, value in dense.items()}
      which = tf.gather(tf.constant(self.of_class), tf.gather(classes, rows))
      made = self._batch(own, tf.cast(tf.gather(seeds, rows), tf.int64), which)
      at = rows[:, tf.newaxis]
      return {n: tf.tensor_scatter_nd_update(v, at, made[n]) for n, v in dense.items()}

    return {**features, **tf.cond(tf.size(rows) > 0, changed, lambda: dense)}

  def _batch(self, features: Features, seeds: tf.Tensor, which: tf.Tensor) -> Features:
    """Returns a batch whose records are all augmented: graph code."""
    if len(self.functions) == 1:
      (function,) = self.functions
      return checked_batch(partial(augment_batch, function), features, self.name, seeds)
    step = partial(augment_by_class, self.functions)
    return checked_batch(step, features, self.name, seeds, which)

  def _try_out(self, reader: Reader, counts: ClassCounts, chosen: list[int]) -> None:
    """Runs a function on a few records of a class that is held in memory, if there is one."""
    for c in sorted(chosen, key=lambda c: -counts.records[c]):
      numbers = _start(counts, c) + np.arange(min(counts.records[c], _TRIED))
      if (reader.rows(numbers) >= 0).all():
        features = _dense(_read(reader, numbers, np.full(len(numbers), c)))
        seeds = tf.reshape(tf.range(2 * len(numbers), dtype=tf.int64), [-1, 2])
        Applier(self.functions[self.of_class[c]], name=self.name)(features, seeds)
        return


def class_pools(
  reader: Reader, counts: ClassCounts, classes: Sequence[int], pool_size: int
) -> Iterator[Pool]:
  """Yields up to pool_size records of each class, in the order of the classes.

  They are spread evenly over the class, or are its first ones where it is streamed.

  Args:
    reader: of the records.
    counts: the classes.
    classes: indices.
    pool_size: 1 or more.
  """
  numbers = [_pool_numbers(reader, counts, c, pool_size) for c in classes]
  ends = np.cumsum([len(own) for own in numbers])
  groups = np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(ends // _READ_AT_A_TIME)) + 1)
  for group in groups:  # of classes, whose records are read at once
    sizes = [len(numbers[i]) for i in group]
    of = np.repeat(np.array(classes, np.int64)[group], sizes)
    features = _dense(_read(reader, np.concatenate([numbers[i] for i in group]), of))
    columns = {name: value.numpy() for name, value in features.items()}
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
      yield {name: column[end - size : end] for name, column in columns.items()}


def _pool_numbers(reader: Reader, counts: ClassCounts, c: int, pool_size: int) -> Ints:
  """Returns the numbers of the records of a class's pool."""
  n, k = counts.records[c], min(counts.records[c], pool_size)
  spread = _start(counts, c) + np.arange(k) * n // k
  return spread if (reader.rows(spread) >= 0).all() else _start(counts, c) + np.arange(k)


def _start(counts: ClassCounts, c: int) -> int:
  """Returns the number of a class's first record."""
  return sum(counts.records[:c])


def _read(reader: Reader, numbers: Ints, classes: Ints) -> Any:
  """Returns the features of records, now.

  Raises:
    DataError: if they cannot be read.
  """
  with tf.init_scope():
    fetched = (
      None if reader.fetch is None else tf.constant(reader.fetch.records(numbers), tf.string)
    )
    try:
      return reader.read(tf.constant(reader.rows(numbers)), tf.constant(classes), fetched)[0]
    except tf.errors.InvalidArgumentError as error:
      raise DataError(error.message) from error


def _dense(features: Any) -> Features:
  """Returns the features that are neither sparse nor ragged.

  Raises:
    ConfigError: if the features are no dict.
  """
  if not isinstance(features, dict):
    raise ConfigError(
      f'augment_fn= takes a dict of features, and these are a {type(features).__name__}; '
      f"give the features as a dict, as in {{'image': images}}"
    )
  return {name: value for name, value in features.items() if isinstance(value, tf.Tensor)}
