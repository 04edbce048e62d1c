"""Checks of augment functions: they keep features, dtypes, shapes and labels, and draw by seed."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.augment.contract import Features
from tfx_balance.errors import ConfigError, DataError

_STATEFUL = re.compile(
  r'(Random|Stateful(?!PartitionedCall)|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial|Rng|'
  r'SampleDistortedBoundingBox|Assign\w*VariableOp|ResourceScatter)'
)


class AugmentError(DataError):
  """An augment function raised, or broke a rule.

  Attributes:
    reason: Rule that it broke.
    function: Name of the function.
    index: Index of the record in the batch; None where no record fails alone.
  """

  def __init__(self, reason: str, function: str = '', index: int | None = None):
    super().__init__(reason, function, index)
    self.reason = reason
    self.function = function
    self.index = index

  def __str__(self) -> str:
    if not self.function:
      return self.reason
    where = '' if self.index is None else f' at record {self.index} of the batch'
    return f'augment function {self.function}{where}: {self.reason}'

  @classmethod
  def of_faults(cls, function: str, faults: Mapping[str, npt.NDArray[np.bool_]]) -> AugmentError:
    """Returns the error for the first record with a fault."""
    first = {reason: int(np.argmax(mask)) for reason, mask in faults.items() if mask.any()}
    reason = min(first, key=lambda reason: first[reason])
    return cls(reason, function, first[reason])


def check_structure(before: Features, after: Any, function: str, records: bool) -> None:
  """Raises if features, dtypes or shapes differ.

  Args:
    before: Features that the function was given.
    after: Features that it returned, as tensors or what converts to them.
    function: Name of the function.
    records: Whether these are batches; a shape known at run time only is then checked at run time.

  Raises:
    AugmentError: at record 0, since every record is treated the same.
    tf.errors.InvalidArgumentError: at run time, for a batch whose shape has changed.
  """
  dropped, added = sorted(set(before) - set(after)), sorted(set(after) - set(before))
  if dropped:
    raise AugmentError(f'dropped {dropped}; return every feature that it is given', function, 0)
  if added:
    raise AugmentError(f'added {added}; return only the features that it is given', function, 0)
  for name, old in before.items():
    if after[name] is old:
      continue
    new = as_tensor(after[name])
    if new.dtype != old.dtype:
      reason = f'changed feature {name!r} from {old.dtype.name} to {new.dtype.name}; cast it back'
      raise AugmentError(reason, function, 0)
    if not old.shape.is_compatible_with(new.shape) or new.shape.rank != old.shape.rank:
      reason = f'changed feature {name!r} from shape {old.shape} to {new.shape}; keep its shape'
      raise AugmentError(reason, function, 0)
    after[name] = _keep_rows(old, new, name) if records else new


def value_faults(before: Features, after: Features, label: str | None) -> Features:
  """Checks the values of each record: returns reason to bool [n], True where a rule is broken."""
  faults = {}
  if label is not None and label in before and after[label] is not before[label]:
    faults[f'changed the label {label!r}; leave it as it is'] = _differs(
      before[label], after[label]
    )
  for name, old in before.items():
    if old.dtype.is_floating and after[name] is not old:
      for what, test in (('NaN', tf.math.is_nan), ('infinity', tf.math.is_inf)):
        new, there = _any_of_record(after[name], test), _any_of_record(old, test)
        faults[f'gave {what} in feature {name!r}, which had none'] = new & ~there
  return faults


def fail_on_faults(before: Features, after: Features, function: str) -> Features:
  """Returns the augmented batch, bound to fail at run time if a value breaks a rule: graph code."""
  checks = []
  for reason, fault in value_faults(before, after, None).items():
    text = [f'augment function {function}: {reason}; of the records augmented together, in number']
    checks.append(tf.debugging.Assert(~tf.reduce_any(fault), [*text, tf.argmax(fault)]))
  with tf.control_dependencies(checks):
    return {name: tf.identity(value) for name, value in after.items()}


def same_values(first: Features, second: Features) -> bool:
  """Returns whether two batches hold the same bytes, NaN and the sign of 0 included."""
  return _contents(first) == _contents(second)


def _contents(features: Features) -> list[Any]:
  """Returns values that are equal for equal shapes and bytes of tensors, and for these alone."""
  arrays = [value.numpy() for value in tf.nest.flatten(features, expand_composites=True)]
  return [(a.shape, a.ravel().tolist() if a.dtype == object else a.tobytes()) for a in arrays]


def as_tensor(value: Any) -> Any:
  """Returns a tensor, or a ragged one as it is."""
  return value if isinstance(value, tf.RaggedTensor) else tf.convert_to_tensor(value)


def _keep_rows(old: Any, new: Any, name: str) -> Any:
  """Returns the new batch, bound to fail if it runs with another shape than the old."""
  static = new.shape.is_fully_defined() and old.shape.is_fully_defined()
  if static or isinstance(old, tf.RaggedTensor):
    return new
  same = tf.debugging.assert_equal(
    tf.shape(new), tf.shape(old), f'changed the shape of feature {name}; keep its shape'
  )
  with tf.control_dependencies([same] if same is not None else []):
    return tf.ensure_shape(tf.identity(new), old.shape)


def _differs(old: Any, new: Any) -> tf.Tensor:
  """Returns whether each record's values differ: bool [n]; NaN equals NaN."""
  if isinstance(old, tf.RaggedTensor):
    padded = tf.ragged.stack([old, new]).to_tensor()
    return _differs(padded[0], padded[1]) | (old.row_lengths() != new.row_lengths())
  unequal = old != new
  if old.dtype.is_floating:
    unequal &= ~(tf.math.is_nan(old) & tf.math.is_nan(new))
  return tf.reduce_any(tf.reshape(unequal, [tf.shape(unequal)[0], -1]), axis=1)


def _any_of_record(values: Any, test: Any) -> tf.Tensor:
  """Returns whether any of a record's values passes the test: bool [n]."""
  if isinstance(values, tf.RaggedTensor):
    return tf.reduce_any(values.with_flat_values(test(values.flat_values)), axis=-1)
  return tf.reduce_any(tf.reshape(test(values), [tf.shape(values)[0], -1]), axis=1)


def stateful_ops(graph: Any) -> list[str]:
  """Returns 'operation (name)' for all in a graph that draw from, or write to, a state.

  Functions that the graph calls, loops and conditions among them, are looked into as well.
  `StatelessRandom*` operations are not among them: they are a function of their seed.
  """
  definition = graph.as_graph_def()
  nodes = itertools.chain(definition.node, *(f.node_def for f in definition.library.function))
  return [f'{node.op} ({node.name})' for node in nodes if _STATEFUL.match(node.op)]


def refuse_state(graph: Any, function: str) -> None:
  """Raises a ConfigError if a graph draws from a state."""
  found = stateful_ops(graph)
  if found:
    raise ConfigError(
      f'augment function {function} uses {", ".join(found[:3])}, whose outcome differs between '
      'runs; use tf.random.stateless_* with the seed that it is given'
    )


def untraced(augment_fn: Any) -> Any:
  """Returns the function without what it has traced, so that its Python code runs again.

  Args:
    augment_fn: Object with `untraced()`, `tf.function`, or any other, which is returned.
  """
  if hasattr(augment_fn, 'untraced'):
    return augment_fn.untraced()
  clone = getattr(augment_fn, '_clone', None) if hasattr(augment_fn, 'python_function') else None
  return augment_fn if clone is None else clone(None)


def python_generators() -> tuple[Any, ...]:
  """Returns the state of the generators that Python and NumPy keep: another after each draw."""
  state: Any = np.random.get_state()
  kind, keys, *rest = state
  return random.getstate(), kind, keys.tobytes(), *rest
