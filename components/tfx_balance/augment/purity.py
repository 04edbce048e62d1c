"""Finds what would make an augment function's outcome depend on more than its seed."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np

from tfx_balance.errors import ConfigError

_STATEFUL = re.compile(
  r'(Random|Stateful(?!PartitionedCall)|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial|Rng|'
  r'SampleDistortedBoundingBox|Assign\w*VariableOp|ResourceScatter)'
)


def stateful_ops(graph: Any) -> list[str]:
  """Returns 'operation (name)' for all in a graph that draw from, or write to, a state.

  Functions that the graph calls, loops and conditions among them, are looked into as well.
  `StatelessRandom*` operations are not among them: they are a function of their seed.

  Args:
    graph: a `tf.Graph`, such as a concrete function's.
  """
  definition = graph.as_graph_def()
  nodes = list(definition.node)
  for function in definition.library.function:
    nodes.extend(function.node_def)
  return [f'{node.op} ({node.name})' for node in nodes if _STATEFUL.match(node.op)]


def refuse_state(graph: Any, function: str) -> None:
  """Raises a ConfigError if a graph draws from a state.

  Args:
    graph: of the traced function.
    function: its name.
  """
  found = stateful_ops(graph)
  if found:
    raise ConfigError(
      f'augment function {function} uses {", ".join(found[:3])}, whose outcome differs between '
      'runs; use tf.random.stateless_* with the seed that it is given'
    )


def untraced(augment_fn: Any) -> Any:
  """Returns the function without what it has traced, so that its Python code runs again.

  Args:
    augment_fn: with an `untraced()` of its own, a `tf.function`, or any other, which is returned.
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
