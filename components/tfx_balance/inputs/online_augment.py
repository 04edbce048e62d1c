"""An augment function, applied to some records of each batch in graph code.

`tfx_balance.augment.contract` defines such functions. The seed is a function of the record and of
how often its class was drawn before: no two repeats are equal, and runs are reproducible.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import format_value
from tfx_balance.augment import (
  Applier,
  AugmentFn,
  ByClass,
  PoolFn,
  augment_batch,
  checked_batch,
  function_name,
)
from tfx_balance.augment.contract import Features, Pool, pool_request
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.array_nests import n_bytes
from tfx_balance.inputs.record_source import Reader, dense_features, first_number, read_now
from tfx_balance.plan.batch_draws import Draws
from tfx_balance.plan.class_value import match_class
from tfx_balance.plan.pool_plan import PoolRequest, plan_pools
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import TrainingCounts

ARRAY = 'x'
"""Name of features that are one array, in a function's dict."""
_TRIED = 4  # records on which a function is tried before the first batch
_READ_AT_A_TIME = 4096


def augmented_classes(
  augment: str | Sequence[Any], counts: TrainingCounts
) -> npt.NDArray[np.bool_] | None:
  """Returns a mask of the classes to augment: bool [n_classes]; None for repeats of all classes.

  Args:
    augment: 'repeats' (records drawn after all of their class were drawn in the epoch), 'all', or a
      list of classes.
    counts: Classes and their records.

  Raises:
    ConfigError: if augment is none of these.
  """
  if isinstance(augment, str) and augment == 'repeats':
    return None
  if isinstance(augment, str) and augment == 'all':
    return np.ones(len(counts.classes), np.bool_)
  if isinstance(augment, (str, bytes)) or not isinstance(augment, Sequence):
    raise ConfigError(
      f"augment={format_value(augment)} must be 'repeats', 'all' or a list of classes"
    )
  chosen = {match_class(key, counts.classes) for key in augment}
  if not chosen:
    raise ConfigError('augment=[] names no class; name one, or leave augment_fn= out')
  return np.array([value in chosen for value in counts.classes])


def augmented_draws(
  augment_fn: Any, augment: str | Sequence[Any], counts: TrainingCounts
) -> Callable[[Draws], npt.NDArray[np.bool_]]:
  """Returns a function from draws to a mask of those to augment: bool [n_batches, batch_size]."""
  if augment_fn is None:
    return lambda draws: np.zeros_like(draws.repeats)
  flags = augmented_classes(augment, counts)
  return lambda draws: draws.repeats if flags is None else flags[draws.classes]


@dataclass(frozen=True)
class BatchAugment:
  """Graph code that augments some records of a batch.

  Attributes:
    name: Name of the function in messages.
    classes: bool [n_classes], classes whose records are augmented; None for repeats of all.
    functions: One function for all classes, or one for each class that may be augmented, bound to
      its pool.
    of_class: int64 [n_classes], index of each class's function.
  """

  name: str
  classes: npt.NDArray[np.bool_] | None
  functions: tuple[AugmentFn, ...]
  of_class: Ints

  @classmethod
  def of(
    cls, augment_fn: Any, augment: str | Sequence[Any], reader: Reader, counts: TrainingCounts
  ) -> BatchAugment:
    """Returns the code, with the function bound to pools if it needs them, and tried on records.

    Args:
      augment_fn: Augment function, or a `PoolFn`.
      augment: Records to augment; see `augmented_classes`.
      reader: Reader of the records.
      counts: Classes and their records.

    Raises:
      AugmentError: if the function breaks a rule on records that are held in memory.
      ConfigError: if the features are no dict, or `augment` breaks a rule.
      DataError: if records cannot be read.
    """
    name = function_name(augment_fn)
    flags = augmented_classes(augment, counts)
    of_class = np.zeros(len(counts.classes), np.int64)
    chosen = np.flatnonzero(np.ones_like(of_class) if flags is None else flags).tolist()
    functions: tuple[AugmentFn, ...] = (augment_fn,)
    if isinstance(augment_fn, PoolFn):
      pools = class_pools(reader, counts, chosen, pool_request(augment_fn))
      functions = tuple(augment_fn.bind(pool) for pool in pools)
      of_class[chosen] = np.arange(len(chosen))
    made = cls(name, flags, functions, of_class)
    made._try_out(reader, counts, chosen)
    return made

  def __call__(
    self, features: Any, classes: tf.Tensor, repeats: tf.Tensor, seeds: tf.Tensor
  ) -> Any:
    """Returns a batch's features with some records augmented.

    Args:
      features: Tensor [B, ...] by name; sparse and ragged ones stay as they are.
      classes: int64 [B].
      repeats: bool [B].
      seeds: [B, 2], integers.

    Raises:
      AugmentError: while the graph is built, if the function drops a feature or changes a shape.
      ConfigError: while the graph is built, if the features are no dict.
    """
    named = _named(features)
    dense = dense_features(named, 'augment_fn')
    mask = repeats if self.classes is None else tf.gather(self.classes, classes)
    rows = tf.where(mask)[:, 0]

    def changed() -> Features:
      own = {name: tf.gather(value, rows) for name, value in dense.items()}
      which = tf.gather(tf.constant(self.of_class), tf.gather(classes, rows))
      made = self._batch(own, tf.cast(tf.gather(seeds, rows), tf.int64), which)
      at = rows[:, tf.newaxis]
      return {n: tf.tensor_scatter_nd_update(v, at, made[n]) for n, v in dense.items()}

    made = {**named, **tf.cond(tf.size(rows) > 0, changed, lambda: dense)}
    return made if named is features else made[ARRAY]

  def _batch(self, features: Features, seeds: tf.Tensor, which: tf.Tensor) -> Features:
    """Returns a batch whose records are all augmented: graph code."""
    if len(self.functions) == 1:
      (function,) = self.functions
      return checked_batch(partial(augment_batch, function), features, self.name, seeds)
    return checked_batch(ByClass(self.functions).batch, features, self.name, seeds, which)

  def _try_out(self, reader: Reader, counts: TrainingCounts, chosen: list[int]) -> None:
    """Runs a function on a few records of a class that is in memory, if there is one."""
    for c in sorted(chosen, key=lambda c: -counts.records[c]):
      numbers = first_number(counts, c) + np.arange(min(counts.records[c], _TRIED))
      if (reader.rows(numbers) >= 0).all():
        read = _named(read_now(reader, numbers, np.full(len(numbers), c)))
        features = dense_features(read, 'augment_fn')
        seeds = tf.reshape(tf.range(2 * len(numbers), dtype=tf.int64), [-1, 2])
        Applier(self.functions[self.of_class[c]], name=self.name)(features, seeds)
        return


def class_pools(
  reader: Reader, counts: TrainingCounts, classes: Sequence[int], request: PoolRequest
) -> Iterator[Pool]:
  """Yields a pool of each class, in the order of the classes.

  Its records are spread evenly over the class, or are the first ones where it is streamed.

  Args:
    reader: Reader of the records.
    counts: Classes and their records.
    classes: Class indices, one at least.
    request: Request of the function. A record is taken to be as large as the first one.
  """
  first = _columns(
    reader, np.array([first_number(counts, classes[0])]), np.array(classes[:1]), request
  )
  size = sum(map(n_bytes, first.values()))
  plan = plan_pools([counts.records[c] for c in classes], [max(size, 1)] * len(classes), request)
  if plan.sizes != plan.wanted:
    warnings.warn(
      f'max_pool_bytes={request.max_pool_bytes} of {request.owner} makes pools of '
      f'{min(plan.sizes)} to {max(plan.sizes)} records where up to {max(plan.wanted)} are wanted; '
      'raise it, or name fewer features',
      stacklevel=6,
    )
  numbers = [_pool_numbers(reader, counts, *of) for of in zip(classes, plan.sizes, strict=True)]
  ends = np.cumsum([len(own) for own in numbers])
  groups = np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(ends // _READ_AT_A_TIME)) + 1)
  for group in groups:  # of classes, whose records are read at once
    sizes = [len(numbers[i]) for i in group]
    of_record = np.repeat(np.array(classes, np.int64)[group], sizes)
    columns = _columns(reader, np.concatenate([numbers[i] for i in group]), of_record, request)
    for end, n in zip(np.cumsum(sizes), sizes, strict=True):
      yield {name: column[end - n : end] for name, column in columns.items()}


def _pool_numbers(reader: Reader, counts: TrainingCounts, c: int, size: int) -> Ints:
  """Returns the numbers of the records of a class's pool."""
  spread = first_number(counts, c) + np.arange(size) * counts.records[c] // size
  return spread if (reader.rows(spread) >= 0).all() else first_number(counts, c) + np.arange(size)


def _columns(
  reader: Reader, numbers: Ints, classes: Ints, request: PoolRequest
) -> dict[str, npt.NDArray[Any]]:
  """Returns the features of records that a pool holds."""
  wanted = request.features
  read = _named(read_now(reader, numbers, classes))
  return {
    name: value.numpy()
    for name, value in dense_features(read, 'augment_fn').items()
    if (value.dtype != tf.string if wanted is None else name in wanted)
  }


def _named(features: Any) -> Any:
  """Returns features as a dict where they are one array, or as they are."""
  return {ARRAY: features} if isinstance(features, tf.Tensor) else features
