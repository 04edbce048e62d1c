"""Runs an augment function over batches: `Applier` at once, `checked_batch` in a training graph.

`Applier` names the record on which a function fails. `ByClass` makes one function of those of
several classes that a batch mixes.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # another one in Python 3.10
from functools import partial
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_label, check_text, format_value
from tfx_balance.augment.contract import (
  AugmentFn,
  Features,
  PoolFn,
  check_augment_fn,
  function_name,
)
from tfx_balance.augment.contract_checks import (
  AugmentError,
  as_tensor,
  check_structure,
  fail_on_faults,
  python_generators,
  refuse_state,
  same_values,
  untraced,
  value_faults,
)
from tfx_balance.errors import ConfigError, TfxBalanceError

Result = TypeVar('Result')
_PARALLEL = 8
_TRIED = 16
"""Records that a function is given again to see whether it repeats."""
_TRACES_OF_DRAWS = 10
"""Traces of a function that draws in Python: one draw a trace may well be the same twice."""


def augment_batch(augment_fn: AugmentFn, features: Features, seeds: tf.Tensor) -> Features:
  """Returns the augmented batch: graph code, as in a tf.data map, and without checks of values.

  Args:
    augment_fn: Function; with `batch`, called once; without, called for each record by
      `tf.map_fn`, in C++ and several at a time once it is traced.
    features: Tensors by feature: [n], [n, k] or ragged [n, None].
    seeds: Seed of each record: int64 [n, 2].

  Raises:
    AugmentError: if a feature is dropped, added, or has another dtype or shape.
  """
  batch = getattr(augment_fn, 'batch', None)
  if batch is not None:
    out = dict(batch(dict(features), seeds))
    check_structure(features, out, function_name(augment_fn), records=True)
    return out
  return _map_records(augment_fn, features, seeds)


def checked_batch(
  step: Callable[..., Features], features: Features, name: str, *inputs: tf.Tensor
) -> Features:
  """Returns the augmented batch, bound to fail where a value breaks a rule: graph code.

  Raises:
    ConfigError: if the step draws from a state.
    tf.errors.InvalidArgumentError: at run time, if a value breaks a rule.
  """
  return fail_on_faults(features, _traced(step, name, features, *inputs)(features, *inputs), name)


def _traced(step: Callable[..., Any], name: str, features: Features, *inputs: tf.Tensor) -> Any:
  """Returns a step traced for batches of any size; raises ConfigError if it draws from a state."""
  signature = [{key: _spec(value) for key, value in features.items()}, *map(_spec, inputs)]
  traced = tf.function(step, input_signature=signature, autograph=False)
  refuse_state(traced.get_concrete_function().graph, name)
  return traced


class Applier:
  """Applies one augment function to batches, in any thread; it traces once for each signature.

  Args:
    augment_fn: Function, bound to its pool if it needs one.
    label: Feature that must not change; None checks none.
    name: Name of the function in messages; its own by default.
  """

  def __init__(self, augment_fn: Any, label: str | None = None, name: str | None = None):
    if not hasattr(augment_fn, 'batch'):
      check_augment_fn(augment_fn, format_value(augment_fn))
    self._name = function_name(augment_fn) if name is None else check_text('name', name)
    if label is not None:
      check_label(label)
    if isinstance(augment_fn, PoolFn):
      raise ConfigError(f'{self._name} needs other records of the class; call its bind(pool) first')
    self._fn = augment_fn
    self._label = label
    self._traced: dict[tuple[Any, ...], Any] = {}
    self._tracing = threading.Lock()
    self._tried = getattr(augment_fn, 'repeatable', False)

  def __call__(
    self, features: Features, seeds: tf.Tensor, timeout: float | None = None
  ) -> Features:
    """Returns the augmented batch, which has passed every check.

    Args:
      features: Tensors or arrays by feature: [n], [n, k] or ragged [n, None].
      seeds: Seed of each record: int64 [n, 2].
      timeout: Seconds for the batch, tracing included; None for no limit.

    Raises:
      AugmentError: if the function raises or breaks a rule; it carries the record's index.
      ConfigError: if the function's outcome depends on more than features and seed.
    """
    features = {name: as_tensor(value) for name, value in features.items()}
    seeds = tf.convert_to_tensor(seeds, tf.int64)
    if seeds.shape[0] == 0:
      return features
    try:
      return call_within(timeout, lambda: self._checked(features, seeds))
    except FutureTimeoutError as error:
      raise AugmentError(
        f'did not end within augment_timeout={timeout:g} seconds; fix a loop that has no end, or '
        'raise augment_timeout=',
        self._name,
      ) from error

  def _checked(self, features: Features, seeds: tf.Tensor) -> Features:
    """Returns the batch, or raises an error that names the record."""
    try:
      return self._run(features, seeds)
    except (ConfigError, AugmentError):
      raise
    except Exception as error:
      raise self._blame(features, seeds, error) from error

  def _run(self, features: Features, seeds: tf.Tensor) -> Features:
    """Returns the batch, or raises the first broken rule; traces what has not been traced yet."""
    key = tuple((name, _spec(value)) for name, value in sorted(features.items()))
    with self._tracing:
      if key not in self._traced:
        self._traced[key] = self._new_step(features, seeds, self._fn)
      step = self._traced[key]
      if not self._tried:
        self._try_again(step, features, seeds)
        self._tried = True
    out, faulty, faults = step(features, seeds)
    if faulty:
      raise AugmentError.of_faults(self._name, {k: v.numpy() for k, v in faults.items()})
    return out

  def _try_again(self, step: Any, features: Features, seeds: tf.Tensor) -> None:
    """Raises a ConfigError if a few records come out otherwise when they are given again.

    They are, by the same trace and by others: what a function draws in Python, it draws when it is
    traced, and all batches of that trace get the same.
    """
    few, few_seeds = {name: value[:_TRIED] for name, value in features.items()}, seeds[:_TRIED]
    first = step(few, few_seeds)[0]
    for again in itertools.chain([step], self._traced_anew(features, seeds)):
      if not same_values(first, again(few, few_seeds)[0]):
        raise ConfigError(
          f'augment function {self._name} gives other values for the same record and seed; it '
          'must give the same in every run: take all randomness from the seed, by '
          'tf.random.stateless_*, and none from numpy.random, random, time or its own state'
        )

  def _traced_anew(self, features: Features, seeds: tf.Tensor) -> Iterator[Any]:
    """Yields the step traced twice more, or often where Python's generators were drawn from."""
    before = python_generators()
    yield self._new_step(features, seeds, untraced(self._fn))
    drew = python_generators() != before
    for _ in range(_TRACES_OF_DRAWS if drew else 1):
      yield self._new_step(features, seeds, untraced(self._fn))

  def _new_step(self, features: Features, seeds: tf.Tensor, augment_fn: Any) -> Any:
    """Returns the step for features of this signature, traced anew."""
    step = partial(self._step, augment_fn)
    if not getattr(augment_fn, 'traced', True):
      return step
    return _traced(step, self._name, features, seeds)

  def _step(
    self, augment_fn: AugmentFn, features: Features, seeds: tf.Tensor
  ) -> tuple[Features, tf.Tensor, Features]:
    """Returns the batch, whether a value breaks a rule, and which: fault to bool [n]."""
    out = augment_batch(augment_fn, features, seeds)
    faults = value_faults(features, out, self._label)
    found = [tf.reduce_any(fault) for fault in faults.values()]
    return out, tf.reduce_any(tf.stack(found)) if found else tf.constant(False), faults

  def _blame(self, features: Features, seeds: tf.Tensor, error: Exception) -> AugmentError:
    """Returns the error of the first record that fails by itself."""
    for index in range(int(seeds.shape[0])):
      one = {name: value[index : index + 1] for name, value in features.items()}
      try:
        self._run(one, seeds[index : index + 1])
      except AugmentError as broken:
        return AugmentError(broken.reason, self._name, index)
      except Exception as raised:
        return AugmentError(f'raised {_summary(raised)}', self._name, index)
    return AugmentError(f'raised {_summary(error)} on a batch, on no record alone', self._name)


def apply(
  augment_fn: AugmentFn, features: Features, seeds: tf.Tensor, label: str | None = None
) -> Features:
  """Returns the augmented batch; for many batches keep one `Applier`, which traces once.

  Args:
    augment_fn: Function, bound to its pool if it needs one.
    features: Tensors by feature: [n], [n, k] or ragged [n, None].
    seeds: Seed of each record: int64 [n, 2].
    label: Feature that must not change; None checks none.
  """
  return Applier(augment_fn, label)(features, seeds)


def _map_records(augment_fn: AugmentFn, features: Features, seeds: tf.Tensor) -> Features:
  """Returns the batch from one call a record."""
  name = function_name(augment_fn)
  # AutoGraph, which lets a user write `if` on tensors, hides the type of our errors.
  ready = getattr(augment_fn, 'graph_code', False) or hasattr(augment_fn, 'python_function')
  call = augment_fn if ready else tf.function(augment_fn)

  @tf.autograph.experimental.do_not_convert
  def one(record: tuple[Features, tf.Tensor]) -> Features:
    given, seed = record
    out = call(dict(given), seed)
    if not isinstance(out, dict):
      raise AugmentError(f'returned a {type(out).__name__}; return a dict of features', name, 0)
    check_structure(given, out, name, records=False)
    return {key: tf.ensure_shape(value, given[key].shape) for key, value in out.items()}

  specs = {key: _record_spec(value) for key, value in features.items()}
  with _kept_caching_device():
    return tf.map_fn(
      one, (features, seeds), fn_output_signature=specs, parallel_iterations=_PARALLEL
    )


@contextlib.contextmanager
def _kept_caching_device() -> Iterator[None]:
  """Puts back what `tf.map_fn` sets in the variable scope, and leaves there if its function raises.

  With it, `tf.distribute` and Keras fail in this process: "Caching devices is not yet supported".
  """
  scope = tf.compat.v1.get_variable_scope()
  before = scope.caching_device
  try:
    yield
  finally:
    if scope.caching_device is not before:
      scope.set_caching_device(before)


def _spec(value: Any) -> Any:
  """Returns the signature of a feature in batches of any size."""
  if isinstance(value, tf.RaggedTensor):
    shape = [None, *value.shape[1:]]
    return tf.RaggedTensorSpec(shape, value.dtype, value.ragged_rank, value.row_splits.dtype)
  return tf.TensorSpec([None, *value.shape[1:]], value.dtype)


def _record_spec(value: Any) -> Any:
  """Returns the signature of one record's feature."""
  if isinstance(value, tf.RaggedTensor):
    return tf.RaggedTensorSpec([None], value.dtype, 0, value.row_splits.dtype)
  return tf.TensorSpec(value.shape[1:], value.dtype)


def _summary(error: BaseException) -> str:
  """Returns an error's kind and what it says, in one line."""
  if isinstance(error, TfxBalanceError):
    return str(error)
  message = (getattr(error, 'message', None) or str(error)).replace('\\n', '\n')
  asserted = re.search(
    r'(?:assertion failed: \[|Summarized data: b[\'"])(.*?)[\'"]?(?:\]|$)', message
  )
  if asserted:
    return f'{type(error).__name__}: {asserted[1]}'
  at_node = message.partition('[[{{')[0]
  lines = [line.strip() for line in at_node.splitlines() if line.strip(' \t"')] or ['']
  # AutoGraph and the graph executor put the cause last, after where in the code it came from.
  traced = 'in user code' in lines[0] or 'Graph execution error' in lines[0] or at_node != message
  said = lines[-1] if traced else lines[0]
  return f'{type(error).__name__}: {said.removeprefix(f"{type(error).__name__}: ")}'


class ByClass:
  """Augments each record of a batch by its function; a function with no record there is not called.

  Functions with `arrays` (see `VectorAugment`) are one piece of graph code for any number of
  classes. Of others each is a piece of its own, which takes about 0.2 s to make.
  """

  def __init__(self, functions: Sequence[Any]):
    self._functions = functions
    self._tables: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
    if not all(getattr(function, 'arrays', None) for function in functions):
      return
    with tf.init_scope():  # so that a graph takes them as inputs, and holds no copy
      for name in functions[0].arrays:
        arrays = [function.arrays[name] for function in functions]
        ends = np.cumsum([0, *(len(array) for array in arrays)])
        self._tables[name] = tf.concat(arrays, 0), tf.constant(ends)

  def batch(self, features: Features, seeds: tf.Tensor, which: tf.Tensor) -> Features:
    """Returns the augmented batch: graph code.

    Args:
      features: Tensors by feature: [n, ...].
      seeds: Seed of each record: int64 [n, 2].
      which: Number of each record's function: int64 [n].
    """
    order = tf.argsort(which, stable=True)
    present, _, counts = tf.unique_with_counts(tf.gather(which, order))
    ends = tf.cumsum(counts)

    def step(i: tf.Tensor, done: Features) -> tuple[tf.Tensor, Features]:
      rows = order[ends[i] - counts[i] : ends[i]]
      own = {name: tf.gather(value, rows) for name, value in features.items()}
      made = self._call(tf.cast(present[i], tf.int32), own, tf.gather(seeds, rows))
      at = rows[:, tf.newaxis]
      return i + 1, {
        name: tf.tensor_scatter_nd_update(value, at, made[name]) for name, value in done.items()
      }

    _, out = tf.while_loop(lambda i, _: i < tf.size(present), step, (0, dict(features)))
    return out

  def _call(self, which: tf.Tensor, features: Features, seeds: tf.Tensor) -> Features:
    """Returns records augmented by one function: graph code."""
    if not self._tables:
      branches = [lambda f=f: augment_batch(f, features, seeds) for f in self._functions]
      return tf.switch_case(which, branches)
    own = {n: table[ends[which] : ends[which + 1]] for n, (table, ends) in self._tables.items()}
    return augment_batch(self._functions[0].with_arrays(own), features, seeds)


def call_within(seconds: float | None, call: Callable[[], Result]) -> Result:
  """Calls a function within a time limit; raises that TimeoutError of `Future` past it.

  A call that is given up goes on in a thread that the process does not wait for when it ends: what
  never ends cannot be stopped from outside.

  Args:
    seconds: Time limit, above 0; None calls in this thread, without a limit.
    call: Function without arguments.
  """
  if seconds is None:
    return call()
  outcome: Future[Result] = Future()

  def run() -> None:
    try:
      outcome.set_result(call())
    except BaseException as error:
      outcome.set_exception(error)

  threading.Thread(target=run, name='tfx-balance-augment', daemon=True).start()
  return outcome.result(seconds)
