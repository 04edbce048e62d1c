"""Python functions called from graph code, none of which is left when the interpreter ends.

The threads of tf.data run on while the interpreter ends. One that calls Python then waits for ever
for the interpreter's lock, or is killed inside TensorFlow: the process hangs, or aborts. So each
call here is made under a lock of TensorFlow's own, and only as long as a variable says that the
interpreter is there. At its end that variable changes, under the same lock: calls that come later
fail in TensorFlow, which the threads outlive.
"""

from __future__ import annotations

import atexit
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

_MAKING = threading.Lock()


class _Gate(NamedTuple):
  """What each call passes.

  Attributes:
    mutex: resource, held during a call.
    is_open: resource of a bool variable. Of the raw kind: strategies would copy a tf.Variable.
  """

  mutex: tf.Tensor
  is_open: tf.Tensor


def call_python(
  function: Callable[..., Any], inputs: Sequence[tf.Tensor], dtypes: Sequence[tf.DType]
) -> list[tf.Tensor]:
  """Returns what a function of arrays returns, as `tf.numpy_function` does; for graph code.

  Calls are made one after another in the whole process. The gate makes the op stateful, so a
  dataset that is to be saved must ignore external state: see `options_of_calls`.

  Args:
    function: gets and returns arrays; what it returns depends on them alone.
    inputs: its arguments.
    dtypes: of what it returns.
  """
  gate = _gate()
  lock = tf.raw_ops.MutexLock(mutex=gate.mutex)
  with tf.control_dependencies([lock]):
    is_open = tf.raw_ops.ReadVariableOp(resource=gate.is_open, dtype=tf.bool)
  text = 'the interpreter ends, and reads no more batches'
  with tf.control_dependencies([tf.raw_ops.Assert(condition=is_open, data=[text])]):
    results = tf.numpy_function(function, inputs, dtypes, stateful=False)
  with tf.control_dependencies(results):
    tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
  return results


def options_of_calls() -> tf.data.Options:
  """Returns options under which an iterator that calls Python can be saved, and goes at once."""
  options = tf.data.Options()
  options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
  # Its thread may sleep through its cancellation: an iterator then took up to half a minute to go.
  options.autotune.enabled = False
  # Batches are no files to share out: under tf.distribute every worker would read the same ones.
  options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
  return options


def _gate() -> _Gate:
  """Returns the process's gate; the first call sees to it that the interpreter's end shuts it."""
  with _MAKING:
    return _made_gate()


@functools.cache
def _made_gate() -> _Gate:
  name = 'tfx_balance_python_calls'
  with tf.init_scope(), tf.device('/CPU:0'):
    mutex = tf.raw_ops.MutexV2(shared_name=name)
    is_open = tf.raw_ops.VarHandleOp(dtype=tf.bool, shape=[], shared_name=name)
    tf.raw_ops.AssignVariableOp(resource=is_open, value=tf.constant(True))
  gate = _Gate(mutex, is_open)
  atexit.register(_shut, gate)
  return gate


def _shut(gate: _Gate) -> None:
  """Waits for the call that is being made, if any, and lets no other begin."""
  with tf.init_scope(), tf.device('/CPU:0'):
    lock = tf.raw_ops.MutexLock(mutex=gate.mutex)
    tf.raw_ops.AssignVariableOp(resource=gate.is_open, value=tf.constant(False))
    tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
    del lock  # which opens it
