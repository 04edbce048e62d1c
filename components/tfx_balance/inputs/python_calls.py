"""Python functions called from graph code, none of which is left when the interpreter ends.

The threads of tf.data run on while the interpreter ends. One that calls Python then waits for ever
for the interpreter's lock, or is killed inside TensorFlow: the process hangs, or aborts. So each
call here is made under a lock of TensorFlow's own, and before the interpreter stops other threads
that lock is taken for good. Threads that come later wait for it in TensorFlow, which calls them
off when their iterator goes.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_MAKING = threading.Lock()


def call_python(
  function: Callable[..., Any], inputs: Sequence[tf.Tensor], dtypes: Sequence[tf.DType]
) -> list[tf.Tensor]:
  """Returns what a function of arrays returns, as `tf.numpy_function` does; for graph code.

  Calls are made one after another in the whole process. The lock makes the op stateful, so a
  dataset that is to be saved must ignore external state: see `ignoring_the_lock`.

  Args:
    function: gets and returns arrays; what it returns depends on them alone.
    inputs: its arguments.
    dtypes: of what it returns.
  """
  lock = tf.raw_ops.MutexLock(mutex=_mutex())
  with tf.control_dependencies([lock]):
    results = tf.numpy_function(function, inputs, dtypes, stateful=False)
  with tf.control_dependencies(results):
    tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
  return results


def ignoring_the_lock() -> tf.data.Options:
  """Returns options under which an iterator of a dataset that calls Python can be saved."""
  options = tf.data.Options()
  options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
  return options


@functools.cache
def _only_mutex() -> tf.Tensor:
  with tf.init_scope(), tf.device('/CPU:0'):
    mutex = tf.raw_ops.MutexV2(shared_name='tfx_balance_python_calls')
  atexit.register(_end_calls, mutex)
  return mutex


def _mutex() -> tf.Tensor:
  """Returns the process's lock; the first call sees to it that the interpreter's end takes it."""
  with _MAKING:  # the end may take it once only
    return _only_mutex()


def _end_calls(mutex: tf.Tensor) -> None:
  """Waits for the call that is being made, if any, and lets no other begin."""
  with tf.init_scope(), tf.device('/CPU:0'):
    lock = tf.raw_ops.MutexLock(mutex=mutex)
  # The lock is open again when this tensor goes, so it must outlive all of Python's objects.
  ctypes.pythonapi.Py_IncRef(ctypes.py_object(lock))
