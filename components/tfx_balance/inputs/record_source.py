"""Sources of batches: records numbered class by class, and the sources that are in memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import (
  check_flag,
  check_labels,
  check_seed,
  check_text,
  check_whole,
  format_value,
)
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.array_nests import as_nest, check_rows
from tfx_balance.inputs.outputs import Output, check_outputs, other_outputs, with_output
from tfx_balance.inputs.parsing import (
  FeatureSpec,
  RecordForm,
  TensorColumns,
  batch_reader,
  check_sequences,
  example_parser,
  flat_label,
  label_rows,
  needed_feature_spec,
)
from tfx_balance.inputs.record_files import (
  batches_of,
  check_promised,
  checked_batches,
  promised_records,
  record_place,
)
from tfx_balance.inputs.sample_weights import check_weights
from tfx_balance.plan.arrays import read_column
from tfx_balance.plan.label_sets import count_label_sets
from tfx_balance.plan.labels import LabelRows, are_no_labels, as_flags, count_labels
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import TrainingCounts
from tfx_balance.tfrecord.reading import FileVersions

DEFAULT_MEMORY_BUDGET = 1 << 30
"""Bytes of records to hold in memory."""


@dataclass(frozen=True)
class Reader:
  """Reads batches: in Python for many batches at a time, then in graph code for each.

  Attributes:
    rows: Function of record numbers int64 [n] that returns their places in memory, int64 [n], or
      -1 - number for a record that is not held.
    read: Graph code from rows int64 [B], classes int64 [B] and fetched records, tensors [B, ...] as
      in `fetched` (none without `fetch`), to (features, label) of the batch.
    fetch: Function of record numbers int64 [n] that reads those which are not held in memory, and
      returns arrays [n, ...] as in `fetched`, of any values for the others; None where all are
      held.
    fetched: Shape and dtype of each array for one record.
    mean_bytes: Mean size of a record that is fetched.
    read_ahead: Function of record numbers int64 [n] that will be due, which begins to read their
      files; None where all are held.
    spare_bytes: Bytes of the memory budget that records do not take.
    weights: Weights of the records by row, float32 [n]; None where they have none of their own.
    place: Function of a row, from `rows`, that says in messages where the record is.
  """

  rows: Callable[[Ints], Ints]
  read: Callable[[tf.Tensor, tf.Tensor, TensorColumns], tuple[Any, tf.Tensor]]
  fetch: Callable[[Ints], list[npt.NDArray[Any]]] | None = None
  fetched: Sequence[tf.TensorSpec] = ()
  mean_bytes: int = 0
  read_ahead: Callable[[Ints], None] | None = None
  spare_bytes: int = 0
  place: Callable[[int], str] = 'row {}'.format
  weights: tf.Tensor | None = None


def first_number(counts: TrainingCounts, c: int) -> int:
  """Returns the number of a class's first record."""
  return sum(counts.records[:c])


def read_now(reader: Reader, numbers: Ints, classes: Ints) -> Any:
  """Returns the features of records, now.

  Raises:
    DataError: if they cannot be read.
  """
  with tf.init_scope():
    found = [] if reader.fetch is None else reader.fetch(numbers)
    fetched = [tf.constant(a, spec.dtype) for a, spec in zip(found, reader.fetched, strict=True)]
    try:
      return reader.read(tf.constant(reader.rows(numbers)), tf.constant(classes), fetched)[0]
    except tf.errors.InvalidArgumentError as error:
      raise DataError(error.message) from error


def dense_features(features: Any, argument: str) -> dict[str, tf.Tensor]:
  """Returns the features that are neither sparse nor ragged.

  Args:
    features: Features of a batch.
    argument: Argument that takes them, for messages.

  Raises:
    ConfigError: if the features are no dict.
  """
  if not isinstance(features, dict):
    raise ConfigError(
      f'{argument}= takes a dict of features, and these are a {type(features).__name__}; '
      f"give the features as a dict, as in {{'image': images}}"
    )
  return {name: value for name, value in features.items() if isinstance(value, tf.Tensor)}


class RecordSource:
  """Records numbered class by class, in the canonical order of the classes.

  Attributes:
    counts: Classes and their records.
    natural: Records per class of each input split before splits were merged.
    seed: Default seed of the draws.
    output: Output of labels that the classes are of; None where labels are of one output.
  """

  counts: TrainingCounts
  natural: Mapping[str, tuple[int, ...]]
  seed: int
  output: Output | None = None

  def windows(self) -> tuple[tuple[int, ...], ...]:
    """Returns, for each class, the sizes of the runs of records that are shuffled together."""
    return tuple((n,) for n in self.counts.records)

  def reader(self, feature_spec: FeatureSpec | None, spare: bool = False) -> Reader:
    """Returns the reader of batches.

    Args:
      feature_spec: Feature spec of the records, None for arrays.
      spare: Whether to leave memory for decoded records: see `Reader.spare_bytes`.

    Raises:
      ConfigError: if the feature spec does not fit.
      DataError: if the data does not fit.
    """
    raise NotImplementedError

  def check_spec(self, feature_spec: FeatureSpec) -> None:
    """Checks that features are where a feature spec says; see `check_sequences`."""

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the records in the order of the data: batches of (features, label)."""
    raise NotImplementedError

  def natural_counts(self, split: str | None) -> tuple[int, ...]:
    """Returns the natural counts of an input split, each above 0.

    Args:
      split: Name of the split; None where there was only one.

    Raises:
      ConfigError: if several splits were merged and none is named, or there is no such split.
      DataError: if a class has no record in it.
    """
    if split is not None:
      check_text('split', split)
    elif len(self.natural) > 1:
      raise ConfigError(
        f'splits {list(self.natural)} were merged, and with copies among them the prior would be '
        f'flattened; name the one that is natural in split='
      )
    name = next(iter(self.natural)) if split is None else split
    if name not in self.natural:
      raise ConfigError(
        f'split {name!r} is not in {list(self.natural)}; pass one of these in split='
      )
    for value, n in zip(self.counts.classes, self.natural[name], strict=True):
      if not n:
        raise DataError(
          f'class {value} has 0 records in split {name!r}, so it has no prior there; name a split '
          f'in split= that has all classes'
        )
    return self.natural[name]

  def _keep(self, counts: TrainingCounts, seed: int) -> None:
    """Sets the attributes of a source whose labels are in memory."""
    self.counts, self.natural, self.seed = counts, {'train': counts.records}, seed


class ArraySource(RecordSource):
  """Rows of arrays in memory.

  Attributes:
    weights: Weight of each row in the loss, float32 [n]; None for no weights.
  """

  weights: tf.Tensor | None

  def __init__(
    self,
    features: Any,
    labels: Any,
    seed: int = 0,
    multilabel: bool = False,
    spare_bytes: int = 0,
    paths: Sequence[str] = (),
    sample_weight: Any = None,
    balance_by: Output | None = None,
  ) -> None:
    """Checks the arrays.

    Args:
      features: Array, or nest of arrays, as `as_nest` takes them, each [n, ...].
      labels: [n] or [n, 1]; of several labels a record as `LabelRows.of` takes them; or by output.
      seed: Default seed of the draws.
      multilabel: Whether a record has several labels, or none.
      spare_bytes: Bytes of memory that decoded rows may take.
      paths: File that each row is of, for messages; none for arrays.
      sample_weight: Weights, [n], or None.
      balance_by: Output whose labels have the classes; None where there is one output.

    Raises:
      ConfigError: if there are several outputs and none of them is named, or the reverse.
      DataError: if the labels are no classes, lengths differ, or a weight is no number of 0 or
        more.
    """
    outputs: Any = check_outputs(labels, balance_by, multilabel)
    labels = labels if outputs is None else outputs[balance_by]
    self._spare_bytes, self._paths = spare_bytes, paths
    of_tensor = isinstance(labels, (tf.RaggedTensor, tf.SparseTensor))
    decode = label_rows if of_tensor else LabelRows.of
    sets = decode(labels) if check_flag('multilabel', multilabel) else None
    counts, self._rows = count_labels(labels) if sets is None else count_label_sets(sets)
    if sets is None or sets.row_splits is None:
      self._labels = tf.convert_to_tensor(read_column(labels, 'labels').values)
    else:
      self._labels = tf.RaggedTensor.from_row_splits(sets.values, sets.row_splits)
    self._keep(counts, check_seed(seed))
    self.weights = None
    if sample_weight is not None:
      self.weights = tf.constant(check_weights(sample_weight, len(self._rows)))
    if balance_by is not None:
      self.output, own = balance_by, self._labels
      others = other_outputs(outputs, balance_by, len(self._rows))
      self._labels = with_output(others, balance_by, lambda _: own)
    features = as_nest(features)
    check_rows(features, len(self._rows), 'labels')
    self._features = tf.nest.map_structure(_as_tensor, features)

  def reader(self, feature_spec: FeatureSpec | None, spare: bool = False) -> Reader:
    """Returns the reader of batches; see `RecordSource`."""
    _refuse(feature_spec)

    def read(rows: tf.Tensor, classes: tf.Tensor, _: TensorColumns) -> Any:
      return tf.nest.map_structure(
        lambda array: tf.gather(array, rows), (self._features, self._labels)
      )

    place = self._paths.__getitem__ if self._paths else Reader.place
    return Reader(
      self._rows.__getitem__,
      read,
      spare_bytes=self._spare_bytes,
      place=place,
      weights=self.weights,
    )

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the rows in their order; see `RecordSource`."""
    _refuse(feature_spec)
    return tf.data.Dataset.from_tensor_slices((self._features, self._labels)).batch(batch_size)


def _as_tensor(array: Any) -> tf.Tensor:
  try:
    return tf.convert_to_tensor(array)
  except (TypeError, ValueError) as error:
    raise DataError(
      f'feature {format_value(array)} is not an array ({error}); give numbers or text of one shape '
      f'a row'
    ) from error


def _refuse(feature_spec: FeatureSpec | None) -> None:
  if feature_spec is not None:
    raise ConfigError('feature_spec= is given, and arrays are not parsed; leave it out')


class ExampleSource(RecordSource):
  """The records of TFRecord files in any order, read into memory and counted by label."""

  def __init__(
    self,
    paths: Sequence[str],
    label: str | Sequence[str],
    feature_spec: FeatureSpec,
    seed: int = 0,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    multilabel: bool = False,
  ) -> None:
    """Reads the files.

    Args:
      paths: Paths of the files; those that end in .gz are decompressed.
      label: Name of the feature that the classes are values of; of several labels a record, also
        the names of features of 0 and 1.
      feature_spec: Default feature spec, the label included.
      seed: Default seed of the draws.
      memory_budget: Bytes of records to hold.
      multilabel: Whether a record has several labels, or none: a FixedLenFeature([n_labels]) of 0
        and 1, or a VarLenFeature or RaggedFeature of the labels' values.

    Raises:
      ConfigError: if an argument breaks a rule.
      DataError: if a file is damaged, a record has no label, or the budget is too small.
    """
    seed, budget = check_seed(seed), check_whole('memory_budget', memory_budget, 0)
    multilabel = check_flag('multilabel', multilabel)
    self._names = check_labels(label, multilabel)
    self._label = self._names if len(self._names) > 1 else self._names[0]
    self._paths, self._spec = paths, feature_spec
    example_parser(self._label, feature_spec)  # which checks the feature spec
    self._file_records: list[int] = []
    self._firsts: list[bytes] = []  # the first record of each file
    self._versions = FileVersions()
    self._records, labels, used = self._read(budget, multilabel)
    self._spare_bytes = budget - used
    counts, self._rows = (count_label_sets if multilabel else count_labels)(labels)
    self._keep(counts, seed)
    self.check_spec(feature_spec)

  def check_spec(self, feature_spec: FeatureSpec) -> None:
    """Compares a feature spec with the first record of each file; see `RecordSource`."""
    check_sequences(feature_spec, self._firsts)

  def reader(self, feature_spec: FeatureSpec | None, spare: bool = False) -> Reader:
    """Returns the reader of batches; see `RecordSource`."""
    form = RecordForm(needed_feature_spec(feature_spec or self._spec))

    def gather(rows: tf.Tensor, _: TensorColumns) -> TensorColumns:
      return [tf.gather(self._records, rows)]

    read = batch_reader(gather, self._label, self.counts, form, check_sets=False)
    place = functools.partial(record_place, self._paths, self._file_records)
    return Reader(self._rows.__getitem__, read, spare_bytes=self._spare_bytes, place=place)

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the files in order; see `RecordSource`."""
    parse = example_parser(self._label, feature_spec or self._spec)
    n_records = sum(self.counts.records)
    records = checked_batches(self._paths, batch_size, n_records, self._versions)
    return records.map(parse, tf.data.AUTOTUNE)

  def _read(self, memory_budget: int, multilabel: bool) -> tuple[tf.Tensor, Any, int]:
    """Returns all the records, string [n], their labels, and their bytes."""
    if isinstance(self._label, str) and self._label not in self._spec:
      raise DataError(
        f'label {self._label!r} is not in the feature spec, which has {sorted(self._spec)}; '
        f'feature_spec= must hold the label too'
      )
    parse = example_parser(self._label, {name: self._spec[name] for name in self._names})
    batches: list[tf.Tensor] = []
    labels: list[Any] = []
    used = 0
    for path in self._paths:
      read = 0
      with self._versions.reading(path):
        for batch in batches_of(path):
          label = parse(batch)[1]
          found = label_rows(label) if multilabel else flat_label(label).numpy()
          if len(found) != len(batch):
            raise DataError(
              f'{len(batch)} records of {path} have {len(found)} labels {self._label!r}; every '
              f'record needs one: leave the others out'
            )
          if not read:
            self._firsts.append(batch[0].numpy())
          read += len(batch)
          used += int(tf.reduce_sum(tf.strings.length(batch)))
          if used > memory_budget:
            raise DataError(
              f'the files hold more than memory_budget={memory_budget} bytes; raise it, or let '
              f'BalancedInputGen lay them out by class'
            )
          batches.append(batch)
          labels.append(found)
      self._file_records.append(read)
    check_promised(self._paths, sum(map(len, labels)), promised_records(self._paths))
    if not labels:
      raise DataError(
        f'the files {list(self._paths)[:5]} hold 0 records; give files that have some'
      )
    records = tf.concat(batches, 0)
    found = self._label_rows(labels) if multilabel else np.concatenate(labels)
    return records, found, used

  def _label_rows(self, parts: Sequence[LabelRows]) -> LabelRows:
    """Returns the labels of batches as those of one; refuses rows of 0 and 1 that are no matrix."""
    values = np.concatenate([part.values for part in parts])
    splits = [part.row_splits for part in parts if part.row_splits is not None]
    if not splits:
      return LabelRows(values)
    lengths = np.concatenate([np.diff(ends) for ends in splits])
    flags = as_flags(values, lengths)
    if flags is not None and are_no_labels(flags):
      raise DataError(
        f'label {self._label!r} has {flags.shape[1]} values in each record, all 0 or 1, some '
        f'twice, which are not labels; give tf.io.FixedLenFeature([{flags.shape[1]}]) in '
        f'feature_spec='
      )
    return LabelRows(values, np.append(0, np.cumsum(lengths)))
