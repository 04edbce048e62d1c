"""The infinite dataset of training batches: draws, records, augmentation, labels.

The whole state of an iterator is a few integers a class, so that a checkpoint is small.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_callable, check_choice
from tfx_balance.augment import AugmentFn, MixFn, PoolFn
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.batch_log import BatchLog
from tfx_balance.inputs.batch_slice import BatchSlice
from tfx_balance.inputs.online_augment import BatchAugment, augmented_classes
from tfx_balance.inputs.outputs import Output, with_output
from tfx_balance.inputs.parsing import multi_hot
from tfx_balance.inputs.python_calls import call_python, key_of
from tfx_balance.inputs.record_source import Reader
from tfx_balance.inputs.resume import StartStep
from tfx_balance.inputs.sample_weights import take_weights
from tfx_balance.plan.adjustable_shares import AdjustableShares
from tfx_balance.plan.batch_draws import BatchDraws, DrawState
from tfx_balance.plan.label_sets import LabelSetCounts
from tfx_balance.plan.sampling import TrainingCounts

_DRAWS_AT_A_TIME = 1 << 14  # a call costs 0.3 ms of Python whatever it draws
_SET_DRAWS_AT_A_TIME = 1 << 11  # where shares are set, which changes what is not drawn yet
_FETCHED_BYTES_AT_A_TIME = 8 << 20  # they are in memory a few times over, and in a checkpoint
_STATE = (tf.int64,) * 4
_OUTPUT = (tf.int32, tf.int64, tf.int32, tf.bool)
LABEL_FORMS = ('parsed', 'index', 'one_hot', 'multi_hot')


def check_label_form(label_as: str, counts: TrainingCounts) -> None:
  """Checks the form in which labels are given.

  Raises:
    ConfigError: if it is none of LABEL_FORMS, or does not fit the number of labels of a record.
  """
  check_choice('label_as', label_as, LABEL_FORMS)
  sets = isinstance(counts, LabelSetCounts)
  if label_as in (('index', 'one_hot') if sets else ('multi_hot',)):
    has, other = ('several labels', 'multi_hot') if sets else ('one label', 'index')
    raise ConfigError(
      f"label_as={label_as!r}, and a record has {has}; give label_as={other!r} or 'parsed'"
    )


def warn_of_text(label_as: str, counts: TrainingCounts) -> None:
  """Warns of labels of text that stay as they are, at its caller's caller."""
  if label_as == 'parsed' and counts.classes[0].kind == 'bytes':
    warnings.warn(
      "labels are text, which fit of Keras cannot train on; pass label_as='index' for the numbers "
      "of the classes, or label_as='one_hot'",
      stacklevel=3,
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


def draw_dataset(
  draws: BatchDraws,
  batch_slice: BatchSlice,
  reader: Reader,
  first: Callable[[], DrawState],
  log: BatchLog | None = None,
) -> tf.data.Dataset:
  """Returns an infinite dataset whose element is the draws of one batch.

  Args:
    draws: Draws of a strategy.
    batch_slice: Slice of each batch that is given.
    reader: Reader of the records.
    first: Function that returns the state before the first batch, called when an iterator begins.
    log: Log that counts the classes of the batches.

  Returns:
    (classes int64 [B], rows int64 [B], seeds int32 [B, 2], repeats bool [B]), and where the reader
    fetches, records as in `Reader.fetched`.
  """
  n_batches = _batches_at_a_time(draws, reader)

  def advance(*state: Any) -> tuple[Any, ...]:
    at = first() if state[0] < 0 else DrawState(*state)
    batches, after = draws.next(at, n_batches)
    if log is not None:
      log.add(int(at.step), batches)
    classes, records, seeds, repeats = (batch_slice.take(x) for x in batches)
    flat = records.reshape(-1)
    made = [classes, reader.rows(flat).reshape(records.shape), seeds, repeats]
    if reader.fetch is not None:
      made += (array.reshape(*records.shape, *array.shape[1:]) for array in reader.fetch(flat))
    if reader.read_ahead is not None:
      reader.read_ahead(draws.order.record(*draws.due(at, after)))
    return (*(np.asarray(value, np.int64) for value in after), *made)

  unbegun = draws.start()._replace(step=np.int64(-1))
  start = tuple(tf.constant(value, tf.int64) for value in unbegun)
  dtypes = [*_OUTPUT, *(spec.dtype for spec in reader.fetched)]
  rows = [n_batches * batch_slice.replicas, batch_slice.size]
  shapes = [*(value.shape for value in start), rows, rows, [*rows, 2], rows]
  shapes += [[*rows, *spec.shape] for spec in reader.fetched]

  def scan(state: tuple[tf.Tensor, ...], key: tf.Tensor) -> tuple[Any, Any]:
    results = call_python(key, state, [*_STATE, *dtypes])
    results = [tf.ensure_shape(x, s) for x, s in zip(results, shapes, strict=True)]
    return tuple(results[:4]), (tf.cast(results[4], tf.int64), *results[5:])

  plain = tf.autograph.experimental.do_not_convert(scan)  # to convert it takes half a second
  # Draws of the next batches are made while these are parsed.
  keys = tf.data.Dataset.from_tensors(key_of(advance)).repeat()
  return keys.scan(start, plain).prefetch(1).unbatch()


def weighted_rows(batches: tf.data.Dataset, batch_slice: BatchSlice) -> tf.data.Dataset:
  """Returns batches of (features, label, sample weight float32 [B]), padding with weight 0.

  Batches stay as they are where no row is padding.
  """
  of_rows = batch_slice.row_weights()
  if of_rows is None:
    return batches

  def weighted(batch: tuple[Any, ...], weights: tf.Tensor) -> tuple[Any, ...]:
    features, label, *own = batch
    return features, label, weights * own[0] if own else weights

  each = tf.data.Dataset.from_tensor_slices(of_rows).repeat()
  return tf.data.Dataset.zip((batches, each)).map(weighted)


def ended(
  batches: tf.data.Dataset,
  stop: int,
  start_step: StartStep,
  first: Callable[[], DrawState],
  replicas: int,
) -> tf.data.Dataset:
  """Returns batches up to a step, in a dataset that knows its length.

  Args:
    batches: Infinite dataset, one element a replica and step.
    stop: Step before which the last batch is.
    start_step: Step of the first batch.
    first: Function that returns the state before the first batch.
    replicas: Replicas that the pipeline feeds.

  Raises:
    ConfigError: if the first batch is not before the end, or is not known yet.
  """
  if callable(start_step):
    raise ConfigError(
      f'stop={stop}, and start_step= is a function, so that the length is not known; give '
      f'start_step= as a number'
    )
  step = int(first().step)
  if step >= stop:
    raise ConfigError(f'the run begins at step {step} and stops at {stop}; give a later stop=')
  n = (stop - step) * replicas
  return batches.take(n).apply(tf.data.experimental.assert_cardinality(n))


def _batches_at_a_time(draws: BatchDraws, reader: Reader) -> int:
  """Returns the number of batches to draw in one call."""
  set_later = isinstance(draws.weights.schedule, AdjustableShares)
  records = _SET_DRAWS_AT_A_TIME if set_later else _DRAWS_AT_A_TIME
  if reader.fetch is not None:
    records = min(records, _FETCHED_BYTES_AT_A_TIME // max(reader.mean_bytes, 1))
  return max(1, records // draws.batch_size)


def batch_maker(
  reader: Reader,
  counts: TrainingCounts,
  label_as: str,
  class_weights: Sequence[float] | None,
  augment_fn: AugmentFn | PoolFn | None,
  augment: str | Sequence[Any],
  mix: MixFn | None,
  weight_name: str | None = None,
  output: Output | None = None,
) -> Callable[..., tuple[Any, ...]]:
  """Returns graph code from an element of `draw_dataset` to (features, label, ...).

  Args:
    reader: Reader of the records.
    counts: Classes and their records.
    label_as: One of LABEL_FORMS.
    class_weights: float [n_classes], weights to give as sample weights, or None.
    augment_fn: Augment function (see `tfx_balance.augment.contract`), or None.
    augment: Records to augment; see `augmented_classes`.
    mix: Batch function that makes soft targets, or None.
    weight_name: Feature that has a weight for each record, or None.
    output: Output of labels that the classes are of, or None.

  Raises:
    ConfigError: if records that have weights of their own, or several outputs, are to be mixed.
  """
  if mix is not None and output is not None:
    raise ConfigError(
      f'mix= makes soft targets of one output, and labels= are of several, balanced by {output!r}; '
      f'leave out mix= or the other outputs'
    )
  if mix is not None and (weight_name or reader.weights is not None):
    raise ConfigError(
      'mix= is given, and records have weights of their own, which mixed ones would not have; '
      'leave out mix= or the weights'
    )
  augmented_classes(augment, counts)  # which is checked without a function too
  augmented = None
  if augment_fn is not None:
    augmented = BatchAugment.of(augment_fn, augment, reader, counts)
  encode: Any = multi_hot(counts.labels) if isinstance(counts, LabelSetCounts) else None
  weights = None if class_weights is None else tf.constant(class_weights, tf.float32)

  def form(label: Any, classes: Any) -> Any:
    if label_as == 'multi_hot':
      return encode(label)
    return classes if label_as == 'index' else tf.one_hot(classes, len(counts.classes))

  def make(classes: Any, rows: Any, seeds: Any, repeats: Any, *fetched: Any) -> tuple[Any, ...]:
    features, label = reader.read(rows, classes, fetched)
    factors = [] if reader.weights is None else [tf.gather(reader.weights, rows)]
    if weight_name is not None:
      features, own = take_weights(features, weight_name)
      factors.append(own)
    if augmented is not None:
      features = augmented(features, classes, repeats, seeds)
    if label_as != 'parsed':
      label = with_output(label, output, lambda own: form(own, classes))
    if mix is not None:
      features, label = mix(features, classes, tf.cast(seeds[0], tf.int64), counts.records)
    if weights is not None:
      factors.append(
        tf.gather(weights, classes) if mix is None else tf.linalg.matvec(label, weights)
      )
    return (features, label, math.prod(factors)) if factors else (features, label)

  return tf.autograph.experimental.do_not_convert(make)
