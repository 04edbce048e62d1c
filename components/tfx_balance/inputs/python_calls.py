"""Python functions called from graph code, all of which end before the interpreter does.

The threads of tf.data run on while the interpreter ends. One that calls Python then waits for ever
for the GIL, or is killed inside TensorFlow: the process hangs, or aborts. So calls are counted by
TensorFlow, which the threads outlive: each before it asks for the GIL, and again when it has
released it. At the interpreter's end the counter is shut, so that later calls fail in TensorFlow,
and those that have begun are waited for.

A lock of TensorFlow's own does not do: one that a cancelled iterator waits for is opened, though
another call holds it.

TensorFlow keeps every function that it calls for the rest of the process, and with it all that the
function refers to. So what it keeps is a small function that looks the real one up by its key. The
key is a tensor in the memory of a NumPy array, and the datasets, iterators and graphs that make the
call hold it: when the last of them is gone, so is the array, and the function is removed. Whatever
way somebody holds a dataset, as an object of Python, in a graph or as a variant, holds the key.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import signal
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.errors import DataError

_MAKING = threading.Lock()
_ONE_AT_A_TIME = threading.Lock()
_FUNCTIONS: dict[int, Callable[..., Any]] = {}
_ARRAYS: list[npt.NDArray[np.int64]] = []  # the one that `_shared` takes
_NUMBERS = itertools.count()
_KEY_SIZE = 256  # elements; up to 128 would be copied into each graph
_ALIGNMENT = 64  # bytes; TensorFlow copies an array that is not aligned
_SHUT = 1 << 62
_LONGEST_WAIT = 60.0  # seconds; only a function that hangs takes as long


def call_python(
  function: Callable[..., Any] | tf.Tensor,
  inputs: Sequence[tf.Tensor],
  dtypes: Sequence[tf.DType],
) -> list[tf.Tensor]:
  """Calls a function of arrays from graph code, as `tf.numpy_function` does.

  Calls are made one after another in the whole process. The counters make the op stateful, so a
  dataset that is saved must ignore external state: see `options_of_calls`.

  Args:
    function: Pure function of arrays that returns arrays, or its key. An error that it raises comes
      as tf.errors.InvalidArgumentError with its text.
    inputs: Arguments of the function.
    dtypes: Dtypes of the returned arrays.
  """

  def call(key: Any, *arrays: Any) -> tuple[Any, ...]:
    # Errors are values until the call is counted as ended.
    try:
      with _ONE_AT_A_TIME:
        found = _function_of(key)(*arrays)
    except Exception as error:
      return f'{type(error).__name__}: {error}', *(np.empty(0, t.as_numpy_dtype) for t in dtypes)
    return '', *(found if isinstance(found, tuple) else (found,))

  with _MAKING:
    _make_counters()
  key = key_of(function) if callable(function) else function
  begun, ended = _counter('begun'), _counter('ended')
  text = 'the interpreter ends, and reads no more batches'
  check = tf.raw_ops.Assert(condition=_value(begun) < _SHUT, data=[text])
  with tf.control_dependencies([check]):
    # Compares and adds in one step: fails if the counter was shut since it was checked.
    number = tf.raw_ops.ResourceCountUpTo(resource=begun, limit=_SHUT, T=tf.int64)
  with tf.control_dependencies([number]):
    fault, *results = tf.numpy_function(call, [key, *inputs], [tf.string, *dtypes], stateful=False)
  with tf.control_dependencies([fault, *results]):
    counted = _add(ended, 1)
  with tf.control_dependencies([counted]):
    fine = tf.raw_ops.Assert(condition=tf.equal(fault, ''), data=[fault])
  with tf.control_dependencies([fine]):
    return [tf.identity(result) for result in results]


def key_of(function: Callable[..., Any]) -> tf.Tensor:
  """Returns a key that keeps a function as long as a graph, dataset or iterator holds the key.

  `Dataset.scan` never frees what its graph captures: have the dataset yield the key to it.
  """
  number = next(_NUMBERS)
  memory = np.empty(_KEY_SIZE + _ALIGNMENT // 8, np.int64)
  start = -memory.ctypes.data % _ALIGNMENT // 8
  array = memory[start : start + _KEY_SIZE]
  array[:] = number
  _FUNCTIONS[number] = function
  weakref.finalize(array, _FUNCTIONS.pop, number).atexit = False
  with _MAKING, tf.init_scope(), tf.device('/CPU:0'):
    _ARRAYS.append(array)
    return _shared()


@tf.function(autograph=False)
def _shared() -> tf.Tensor:
  """Returns a tensor in the memory of the array of _ARRAYS, which it keeps."""
  return tf.ensure_shape(tf.numpy_function(_ARRAYS.pop, [], tf.int64), [_KEY_SIZE])


def _function_of(key: npt.NDArray[np.int64]) -> Callable[..., Any]:
  """Returns the function of a key."""
  found = _FUNCTIONS.get(int(key[0]))
  if found is None:
    raise DataError(
      'the dataset that is read here was deleted; keep what train() or eval() returned for as long '
      'as it is read'
    )
  return found


def options_of_calls() -> tf.data.Options:
  """Returns options under which an iterator that calls Python can be saved and deleted at once."""
  options = tf.data.Options()
  options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
  # Its thread may sleep through a cancellation: deleting an iterator then took half a minute.
  options.autotune.enabled = False
  # Batches are no files to share out: under tf.distribute every worker would read the same ones.
  options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
  return options


@functools.cache
def _make_counters() -> None:
  """Makes the counters, once, and has them shut at the interpreter's end."""
  with tf.init_scope(), tf.device('/CPU:0'):
    for name in ('begun', 'ended'):
      zero = tf.constant(0, tf.int64)
      tf.raw_ops.AssignVariableOp(resource=_counter(name), value=zero)
  atexit.register(_shut)


def _counter(name: str) -> tf.Tensor:
  """Returns the resource of a variable, found by its name: strategies would copy a tf.Variable."""
  shared = f'tfx_balance_python_calls_{name}'
  with tf.device('/CPU:0'):
    return tf.raw_ops.VarHandleOp(dtype=tf.int64, shape=[], shared_name=shared)


def _value(counter: tf.Tensor) -> tf.Tensor:
  return tf.raw_ops.ReadVariableOp(resource=counter, dtype=tf.int64)


def _add(counter: tf.Tensor, n: int) -> tf.Operation:
  return tf.raw_ops.AssignAddVariableOp(resource=counter, value=tf.constant(n, tf.int64))


def _shut() -> None:
  """Lets no other call begin, and waits for those that have begun."""
  # A second Ctrl-C would end the wait, and what it waits for would keep the process for ever.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  with tf.init_scope(), tf.device('/CPU:0'):
    begun, ended = _counter('begun'), _counter('ended')
    _add(begun, _SHUT)
    until = time.monotonic() + _LONGEST_WAIT
    while _value(ended) < _value(begun) - _SHUT and time.monotonic() < until:
      time.sleep(0.005)
