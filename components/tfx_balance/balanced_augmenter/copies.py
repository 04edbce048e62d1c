"""Copies of records: plain ones, or new ones that an augment function makes.

The randomness of copy j of a record is a function of the seed, the record's bytes and j alone, so
that a bundle that is retried, or runs elsewhere, makes the same copies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfx_balance.augment import Applier, AugmentError, PoolFn, function_name
from tfx_balance.balanced_augmenter.examples import (
  FeatureShape,
  FeatureShapes,
  as_lists,
  decode,
  encode,
)
from tfx_balance.balanced_augmenter.output_plan import AugmentOutputPlan
from tfx_balance.balanced_augmenter.pools import NO_POOLS, ClassPools
from tfx_balance.beam.parallel import n_threads
from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.class_value import stratum_name
from tfx_balance.plan.ranks import Ints, UInts, mix
from tfx_balance.scan.fixed_layout import ValueKind
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.strata import BATCH_RECORDS
from tfx_balance.tfrecord.frames import Frames, frame

PROVENANCE = ('tfx_balance_source_file', 'tfx_balance_source_record', 'tfx_balance_copy')
"""Features of a copy, on request: number of the file of its original, place there, its number."""
_NAMED = 5  # classes in a message


class Originals(NamedTuple):
  """Records to copy, one entry for each copy.

  Attributes:
    frames: Frames of the originals, n of them; one with several copies is there several times.
    hashes: Hashes of their bytes: uint64 [n].
    positions: Positions in the file: int64 [n].
    numbers: Number of each copy among those of its original, from 1: int64 [n].
    rows: Rows of the plan: int64 [n].
  """

  frames: Frames
  hashes: UInts
  positions: Ints
  numbers: Ints
  rows: Ints

  def take(self, which: Ints) -> Originals:
    """Returns the entries at these places."""
    parts: tuple[Any, ...] = self
    return Originals(*(part.take(which) for part in parts))


class CopyMaker:
  """Makes the copies of one file's records.

  Args:
    scanned: File whose records are copied.
    output_plan: Plan of the run.
    shapes: Shapes of the features of all the records.
    augment: `Applier` of an augment function; or `PoolFn`, which is bound to the pool of each
      class first; None for plain copies.
    pools: Pools of the classes, for a `PoolFn`.
  """

  def __init__(
    self,
    scanned: ScannedFile,
    output_plan: AugmentOutputPlan,
    shapes: FeatureShapes,
    augment: Applier | PoolFn | None,
    pools: ClassPools = NO_POOLS,
  ) -> None:
    self._scanned = scanned
    self._parameters, self._seed = output_plan.context.parameters, output_plan.context.draw_seed
    self._shapes = shapes
    self._stratum = output_plan.selection.stratum
    self._augment_fn, self._pools = augment, pools
    self._augment_row: dict[int, Applier] = {}

  @property
  def makes_duplicates(self) -> bool:
    """Whether a copy is its original, so that none has to be made."""
    return not (self._augment_fn or self._parameters.provenance)

  @property
  def threads(self) -> int:
    """Number of batches to make at a time: augment functions run in C++."""
    return n_threads() if isinstance(self._augment_fn, Applier) else 1

  def make(self, originals: Originals) -> Frames:
    """Returns a new frame for each entry; may be called in several threads at a time.

    Raises:
      DataError: if the function fails or breaks a rule; names it, the class and the record.
    """
    if isinstance(self._augment_fn, PoolFn):
      records = self._augment_by_class(self._augment_fn, originals)
    elif self._augment_fn is not None:
      records = self._augment(self._augment_fn, originals)
    else:
      records = originals.frames.payloads()
    if self._parameters.provenance:
      records = with_provenance(records, originals, self._scanned.file.file_number)
    return frame(records)

  def _augment_by_class(self, pool_fn: PoolFn, originals: Originals) -> list[bytes]:
    """Returns the new records in order, each made by the function of its class."""
    records = [b''] * len(originals.rows)
    for row in np.unique(originals.rows).tolist():
      of_class = np.flatnonzero(originals.rows == row)
      for start in range(0, len(of_class), BATCH_RECORDS):  # a row of distances for each
        which = of_class[start : start + BATCH_RECORDS]
        made = self._augment(self._applier(pool_fn, row), originals.take(which))
        for i, record in zip(which.tolist(), made, strict=True):
          records[i] = record
    return records

  def _applier(self, pool_fn: PoolFn, row: int) -> Applier:
    """Returns the function of a class, bound to its pool at its first use."""
    if row not in self._augment_row:
      bound, name = pool_fn.bind(self._pools.of(row)), function_name(pool_fn)
      self._augment_row[row] = Applier(bound, self._parameters.label, name)
    return self._augment_row[row]

  def _augment(self, applier: Applier, originals: Originals) -> list[bytes]:
    columns = decode(originals.frames.payloads(), self._shapes, self._scanned.file.path)
    features = {name: to_tensor(column, self._shapes[name]) for name, column in columns.items()}
    seeds = copy_seeds(originals.hashes, originals.numbers, self._seed)
    try:
      made = applier(features, tf.constant(seeds), self._parameters.augment_timeout)
    except AugmentError as error:
      raise DataError(f'{error}; {self._blamed(originals, error.index)}') from error
    return encode({name: to_lists(value, self._shapes[name].kind) for name, value in made.items()})

  def _blamed(self, originals: Originals, at: int | None) -> str:
    """Describes the function's input: a record, or a batch in which no record fails alone."""
    path = self._scanned.file.path
    if at is None:
      rows, positions = np.unique(originals.rows).tolist(), np.unique(originals.positions)
      classes = [stratum_name(self._stratum(row)) for row in rows[:_NAMED]]
      classes += ['and more'] if len(rows) > _NAMED else []
      return (
        f'it was given {len(originals.rows)} copies of records {positions[0]} to {positions[-1]} '
        f'of {path}, of {len(rows)} classes: {", ".join(classes)}'
      )
    name = stratum_name(self._stratum(int(originals.rows[at])))
    return (
      f'it was given copy {originals.numbers[at]} of record {originals.positions[at]} of {path}, '
      f'of class {name}'
    )


def copy_seeds(hashes: UInts, numbers: Ints, seed: int) -> Ints:
  """Returns a seed for each copy, from the user's, the record and the copy: int64 [n, 2]."""
  key = tie_break(seed, 'copy')
  first = mix(mix(hashes, key) ^ numbers.astype(np.uint64), key)
  return np.stack([first, mix(first, key)], axis=1).view(np.int64)


def to_tensor(lists: pa.Array, shape: FeatureShape) -> tf.Tensor | tf.RaggedTensor:
  """Returns a feature as [n], as [n, k], or ragged, as its shape says."""
  flat = lists.flatten().to_numpy(zero_copy_only=False)
  values = tf.constant(flat, tf.string if shape.kind == 'bytes' else None)
  if not shape.is_fixed:
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return tf.RaggedTensor.from_row_splits(values, offsets, validate=False)
  return values if shape.most == 1 else tf.reshape(values, [-1, shape.most])


def to_lists(value: tf.Tensor | tf.RaggedTensor, kind: ValueKind) -> pa.Array:
  """Returns a batch of feature values as lists, one a record."""
  if isinstance(value, tf.RaggedTensor):
    return as_lists(value.values.numpy(), value.row_splits.numpy().astype(np.int64), kind)
  array = value.numpy()
  each = 1 if array.ndim == 1 else array.shape[1]
  return as_lists(array.reshape(-1), np.arange(len(array) + 1, dtype=np.int64) * each, kind)


def with_provenance(records: list[bytes], originals: Originals, file_number: int) -> list[bytes]:
  """Returns the records with features that say what they are copies of.

  They are appended: a message may be written in pieces, so what a record was stays as it is.
  """
  offsets = np.arange(len(records) + 1, dtype=np.int64)
  values = (np.full(len(records), file_number), originals.positions, originals.numbers)
  named = zip(PROVENANCE, values, strict=True)
  tails = encode({name: as_lists(value, offsets, 'int') for name, value in named})
  return [record + tail for record, tail in zip(records, tails, strict=True)]
