"""One pass over the records to evaluate on, with the classes of the training data."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfx_balance.arguments import check_text, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.decoding import DecodeFn, check_decode_fn, decode_batch, decoded_pass
from tfx_balance.inputs.file_names import matching_files
from tfx_balance.inputs.outputs import with_output
from tfx_balance.inputs.parsing import FeatureSpec, example_parser, label_encoder
from tfx_balance.inputs.python_calls import options_of_calls
from tfx_balance.inputs.record_files import checked_batches, promised_records
from tfx_balance.inputs.record_source import ArraySource
from tfx_balance.inputs.training import check_label_form
from tfx_balance.plan.batch_quota import check_batch_size
from tfx_balance.plan.label_sets import LabelSetCounts

if TYPE_CHECKING:
  from tfx_balance.inputs.balanced_inputs import BalancedInputs

_TRAINED = (
  'eval without data= gives the records that train draws, on which a score says little of new '
  'ones; give others, as in inputs.eval(64, data=(x_test, y_test)), or data=inputs where those are '
  'meant'
)


def check_pair(data: Any) -> tuple[Any, Any]:
  """Returns features and labels; raises ConfigError if there are not these two."""
  if not isinstance(data, tuple) or len(data) != 2:
    raise ConfigError(
      f'data={format_value(data)} must be features and labels, or BalancedInputs; give for example '
      f'data=(x_test, y_test)'
    )
  return data


def evaluation_pass(
  inputs: BalancedInputs,
  data: BalancedInputs | None,
  batch_size: int,
  spec: FeatureSpec | None,
  split: str | None,
  label_as: str,
  decode_fn: DecodeFn | None,
) -> tf.data.Dataset:
  """Returns one pass over data, or the inputs' own records; see `BalancedInputs.eval`.

  Args:
    inputs: Inputs that have the classes.
    data: Inputs that have the records; None for the same.
    batch_size: Records in a batch.
    spec: Feature spec of the records.
    split: Name of the split.
    label_as: Form of the labels.
    decode_fn: Function that decodes one record, or None.
  """
  counts, own = inputs.source.counts, data or inputs
  batch_size, decode = check_batch_size(batch_size), check_decode_fn(decode_fn)
  check_label_form(label_as, counts)
  if data is not None:
    _check_classes(inputs, data)
  if own.eval_files is None and split is not None:
    raise ConfigError(
      f'split={format_value(split)}, and arrays, a generator and from_files have no splits; give '
      f'the records of a split in data=, as in inputs.eval({batch_size}, data=(x_test, y_test))'
    )
  if own.eval_files is None and data is None:
    warnings.warn(_TRAINED, stacklevel=3)
  if decode is not None and isinstance(own.source, ArraySource):
    batches, decode = decoded_pass(own.source, decode, batch_size, spec), None
  elif own.eval_files is None:
    batches = own.source.ordered(batch_size, spec)
  else:
    batches = _split_batches(own, split, batch_size, spec)
  label, output = batches.element_spec[1], inputs.source.output
  label = label if output is None else label[output]
  rows = isinstance(counts, LabelSetCounts) and isinstance(label, tf.TensorSpec)
  if rows and label.shape[-1] not in (None, len(inputs.labels)):
    raise DataError(
      f'rows of {label.shape[-1]} labels are to be evaluated, and these inputs have '
      f'{len(inputs.labels)} labels; give rows with a column for each, in their order'
    )
  if label_as != 'parsed':
    encode = label_encoder(label_as, inputs.labels)
    batches = batches.map(lambda features, label: (features, with_output(label, output, encode)))
  if decode is not None:
    batches = batches.map(
      lambda features, label: (decode_batch(decode, features), label),
      num_parallel_calls=tf.data.AUTOTUNE,
    )
  if isinstance(own.source, ArraySource) and own.source.weights is not None:
    weights = tf.data.Dataset.from_tensor_slices(own.source.weights).batch(batch_size)
    batches = tf.data.Dataset.zip((batches, weights)).map(lambda pair, weight: (*pair, weight))
  return batches.with_options(options_of_calls()).prefetch(tf.data.AUTOTUNE)


def _check_classes(inputs: BalancedInputs, data: BalancedInputs) -> None:
  """Checks that records have the classes of the inputs alone; files of splits when they are read.

  Raises:
    ConfigError: if records have several labels or outputs, and those of the inputs one, or the
      reverse.
    DataError: if they have a class that the inputs have not.
  """
  sets, others = (isinstance(own.source.counts, LabelSetCounts) for own in (inputs, data))
  if sets != others:
    raise ConfigError(
      f'multilabel={others} in data=, and these inputs have multilabel={sets}; make both equal'
    )
  by, other = inputs.source.output, data.source.output
  if by != other:
    raise ConfigError(
      f'data= is balanced by {other!r}, and these inputs have balance_by={by!r}; make both equal'
    )
  unknown = sorted(set(data.labels) - set(inputs.labels))
  if unknown and data.eval_files is None:
    of_type = {'int': 'an integer', 'float': 'a float', 'bytes': 'a text'}
    kind, own = unknown[0].kind, inputs.labels[0].kind
    fix = 'leave its records out, or train on records that have it'
    if kind != own:
      fix = f'of these {inputs.labels[0]} is {of_type[own]}; give both one type'
    raise DataError(
      f'class {unknown[0]} of data=, {of_type[kind]}, is not in '
      f'{list(map(str, inputs.labels[:20]))}, the classes of these inputs; {fix}'
    )


def _split_batches(
  inputs: BalancedInputs, split: str | None, batch_size: int, spec: FeatureSpec | None
) -> tf.data.Dataset:
  """Returns one pass over the files of a split; raises DataError if there is no such split."""
  name, splits = check_text('split', 'eval' if split is None else split), inputs.eval_files or {}
  if name not in splits or inputs.label is None:
    other = 'pass one of these in split=' if splits else 'give records in data='
    raise DataError(
      f"split {name!r} is not in {sorted(splits)}; {other}, or name it in the Trainer's eval_args"
    )
  paths = matching_files(splits[name])
  parse = example_parser(inputs.label, spec)
  records = checked_batches(paths, batch_size, promised_records(paths))
  return records.map(parse, tf.data.AUTOTUNE)
