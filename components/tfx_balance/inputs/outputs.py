"""Labels of several outputs of a model: one has the classes that batches are balanced by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from tfx_balance.arguments import format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.array_nests import collect
from tfx_balance.plan.arrays import is_column, read_column, table_columns

Output = str | int
"""Name of an output in a dict or a table of labels, or its place in a tuple."""


def check_outputs(
  labels: Any, balance_by: Output | None, multilabel: bool = False
) -> dict[Any, Any] | tuple[Any, ...] | None:
  """Returns labels by output, a dict or a tuple; None where they are those of one output.

  Args:
    labels: Labels, or a dict, a table, a tuple or a list of those of each output.
    balance_by: Output whose classes batches are balanced by; None where there is one output.
    multilabel: Whether a tuple of lists may be the labels of records.

  Raises:
    ConfigError: if there are several outputs and none of them is named, or the reverse.
  """
  outputs: Any = labels if isinstance(labels, Mapping) else None
  if isinstance(labels, (tuple, list)) and all(map(is_column, labels)):
    outputs = tuple(labels)
  if balance_by is None:
    is_tuple = isinstance(labels, tuple) and outputs and len(outputs[0]) > 1 and not multilabel
    if not is_tuple and not isinstance(labels, Mapping):
      return None
  elif outputs is None:
    outputs = table_columns(labels)
  if outputs is None:
    raise ConfigError(
      f'balance_by={format_value(balance_by)} names one of several outputs, and labels= are those '
      f"of one; leave it out, or give a dict such as labels={{'kind': kinds, 'size': sizes}}"
    )
  names = list(range(len(outputs)) if isinstance(outputs, tuple) else outputs)
  if isinstance(balance_by, bool) or balance_by not in names:
    raise ConfigError(
      f'balance_by={format_value(balance_by)} is not one of the outputs of labels=, '
      f'{format_value(names)}; name the one whose classes batches are to be balanced by'
    )
  return outputs if isinstance(outputs, tuple) else dict(outputs)


def other_outputs(outputs: Any, balance_by: Output, n: int) -> Any:
  """Returns the arrays of the outputs that are not balanced by, None in place of the one that is.

  Args:
    outputs: Labels by output, as of `check_outputs`.
    balance_by: Output that batches are balanced by.
    n: Number of records.

  Raises:
    DataError: if an output has another number of rows, a missing value, or texts.
  """

  def read(name: Output, own: Any) -> Any:
    if name == balance_by:
      return None
    column = read_column(own, f'output {name!r} of labels=')
    values = column.check_whole('give a number that the loss leaves out, such as -1').values
    if values.shape[:1] != (n,):
      raise DataError(
        f'{column.name} is of shape {values.shape}, and there are {n} records; give one row '
        f'for each'
      )
    if values.dtype.kind not in 'biuf':
      raise DataError(
        f'{column.name} holds {format_value(values.flat[0])}, and must be numbers, as label_as= is '
        f'of {balance_by!r} alone; give class numbers, as np.unique(values, return_inverse=True)[1]'
      )
    return tf.convert_to_tensor(values)

  return map_outputs(outputs, read)


def map_outputs(outputs: Any, function: Callable[[Any, Any], Any]) -> Any:
  """Returns the same nest with a function's result for each output, by its name or place."""
  if isinstance(outputs, Mapping):
    return {name: function(name, own) for name, own in outputs.items()}
  return tuple(function(i, own) for i, own in enumerate(outputs))


def with_output(labels: Any, output: Output | None, encode: Callable[[Any], Any]) -> Any:
  """Returns labels with those of an output encoded; all of them where there is one output."""
  if output is None:
    return encode(labels)
  return map_outputs(labels, lambda name, own: encode(own) if name == output else own)


def collect_outputs(
  generator: Callable[[], Iterable[tuple[Any, Any]]],
  memory_budget: int,
  multilabel: bool,
  balance_by: Output | None,
) -> tuple[Any, Any]:
  """Reads a generator to its end, as `collect` does; labels are by output where it yields them so.

  Raises:
    ConfigError: if a record has no output of that name or place.
  """
  if balance_by is None:
    return collect(generator, memory_budget, multilabel)

  def split(i: int, features: Any, outputs: Any) -> tuple[Any, Any]:
    names = list(outputs) if isinstance(outputs, Mapping) else None
    if isinstance(outputs, (tuple, list)):
      names = list(range(len(outputs)))
    if names is None or balance_by not in names:
      raise ConfigError(
        f'balance_by={format_value(balance_by)}, and record {i} of the generator has '
        f'{format_value(names) if names else "no outputs but a label"}; name one of its outputs'
      )
    return (features, with_output(outputs, balance_by, lambda _: 0)), outputs[balance_by]

  (features, outputs), own = collect(generator, memory_budget, multilabel, split)
  return features, with_output(outputs, balance_by, lambda _: own)
