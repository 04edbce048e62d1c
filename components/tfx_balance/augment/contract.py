"""Augment functions: the contract, loading by a dotted path, and a hash of the source for caches.

An augment function turns one example into another of the same class:

    def augment(features: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]

The same function makes copies in `BalancedAugmenter` and changes records in `BalancedInputs.train`.
It is graph code for one example. In the augmenter a feature with exactly one value in every record
is a scalar, one with k values in every record has shape [k], others are 1-D of varying length, and
the label is among them; in training features have the shapes that the feature spec or the arrays
give them, and the label, sparse and ragged features are not handed over. It returns every feature
with its dtype and a compatible shape (a varying length may change), and takes all its randomness
from the seed, int64 [2]: `tf.random.stateless_*(seed=seed)`. Two additions are optional:

  - `batch(features, seeds)`, the same for [n, ...] tensors (ragged where lengths vary) and seeds
    [n, 2], gives for each record exactly what the single call gives. The ready functions have it.
  - `pool_size` and `bind(pool)`, for a function that needs other records of the class, as SMOTE
    does: it is bound to a pool of them first, and what `bind` returns is the augment function.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import hashlib
import importlib
import inspect
import numbers
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import format_value
from tfx_balance.errors import ConfigError
from tfx_balance.plan.pool_plan import DEFAULT_MAX_POOL_BYTES, PoolRequest

Features = dict[str, tf.Tensor]
"""Tensors of one example, scalars or 1-D, or of a batch, [n], [n, k] or ragged [n, None]."""
Pool = dict[str, npt.NDArray[Any]]
"""Records of one class: feature to [p] or [p, k]; int64, float32, or object for bytes."""


class AugmentFn(Protocol):
  """A function from one example and a seed to another example of the same class."""

  def __call__(self, features: Features, seed: tf.Tensor) -> Features:
    """Returns the example's augmented features.

    Args:
      features: Tensors of one example, by feature.
      seed: Seed of the example: int64 [2].
    """
    ...


@runtime_checkable
class PoolFn(Protocol):
  """An augment function that needs other records of the class, and is bound to a pool of them.

  `BalancedAugmenter` hands over the first pool_size records of the class by hash rank, over all
  files: the same ones in the same order for any sharding. `BalancedInputs.train` spreads the pool
  evenly over the records of the class that it holds, or takes the first ones of a class that is
  streamed. Two more attributes are optional:

    pool_features: Features of the pool, each of a fixed number of values; by
      default, or None, all numeric ones are.
    max_pool_bytes: Bytes of the pools of all classes together; 100,000,000 by default.

  Attributes:
    pool_size: Largest number of records of the class in its pool.
  """

  pool_size: int

  def bind(self, pool: Pool) -> AugmentFn:
    """Returns the augment function for records of the pool's class."""
    ...


class VectorAugment:
  """Base of the ready functions: they are written for a batch, and one example is a batch of one.

  Attributes:
    repeatable: Whether its outcome is known to be a function of features and seed, so that it is
      not tried.
    traced: Whether to trace `batch`; False where it runs better eagerly, such as in a function that
      is bound to the pool of one class.
    graph_code: True: AutoGraph has nothing to convert.
    arrays: All that a bound function has from its pool, by name, each of one dimension
      or more; then one piece of graph code serves many classes. None for other functions.
  """

  repeatable = False
  traced = True
  graph_code = True
  arrays: Any = None

  def with_arrays(self, arrays: Mapping[str, Any]) -> Any:
    """Returns the same function with other arrays, which may be tensors of a graph."""
    other = copy.copy(self)
    other.arrays = arrays
    return other

  def batch(self, features: Features, seeds: tf.Tensor) -> Features:
    """Returns the augmented features of a batch.

    Args:
      features: Tensors by feature: [n], [n, k] or ragged [n, None].
      seeds: Seed of each record: int64 [n, 2].
    """
    raise NotImplementedError

  @tf.autograph.experimental.do_not_convert
  def __call__(self, features: Features, seed: tf.Tensor) -> Features:
    """Returns one example's augmented features; see `AugmentFn`."""
    one = {name: tf.expand_dims(value, 0) for name, value in features.items()}
    return {name: value[0] for name, value in self.batch(one, tf.expand_dims(seed, 0)).items()}


def load_augment_fn(path: str) -> Any:
  """Returns the augment function that a dotted path names.

  Args:
    path: 'package.module.name' of a function, or of an object such as an `ImageAugment`.

  Raises:
    ConfigError: if there is no such module or name, or it is not an augment function.
  """
  module_name, _, name = check_dotted_path(path).rpartition('.')
  try:
    module = importlib.import_module(module_name)
  except (ImportError, ValueError) as error:
    raise ConfigError(
      f'augment_fn {path!r}: module {module_name!r} does not import ({error}); '
      'install it where the component runs, or pass module_file='
    ) from error
  if not hasattr(module, name):
    near = difflib.get_close_matches(name, dir(module), n=3) or 'nothing like it'
    raise ConfigError(f'augment_fn {path!r}: {module_name!r} has no {name!r}; it has {near}')
  return check_augment_fn(getattr(module, name), path)


def check_dotted_path(path: Any) -> str:
  """Returns a dotted path of two names or more.

  Raises:
    ConfigError: if it is none.
  """
  if isinstance(path, str) and '.' in path and all(map(str.isidentifier, path.split('.'))):
    return path
  raise ConfigError(
    f"augment_fn {format_value(path)} is not a dotted path; pass 'package.module.function' or "
    f'module_file='
  )


def check_augment_fn(augment_fn: Any, name: str) -> Any:
  """Returns the function if it is one or can be bound to a pool.

  Raises:
    ConfigError: if it is neither, or is a class.
  """
  if inspect.isclass(augment_fn):
    raise ConfigError(f'augment_fn {name!r} is a class; make an object of it and name that')
  if not callable(augment_fn) and not isinstance(augment_fn, PoolFn):
    raise ConfigError(
      f'augment_fn {name!r} is a {type(augment_fn).__name__}; '
      'it must be a function of (features, seed)'
    )
  return augment_fn


def function_name(augment_fn: Any) -> str:
  """Returns the function's name in messages: its dotted name, or a ready one's parameters."""
  if isinstance(getattr(augment_fn, 'name', None), str):
    return augment_fn.name
  if isinstance(augment_fn, functools.partial):
    return function_name(augment_fn.func)
  if hasattr(augment_fn, '__qualname__'):
    return f'{augment_fn.__module__}.{augment_fn.__qualname__}'
  kind = type(augment_fn).__name__
  if not dataclasses.is_dataclass(augment_fn):
    return kind if ' at 0x' in repr(augment_fn) else repr(augment_fn)
  values = {field.name: getattr(augment_fn, field.name) for field in dataclasses.fields(augment_fn)}
  defaults = {field.name: field.default for field in dataclasses.fields(augment_fn)}
  changed = [f'{name}={value!r}' for name, value in values.items() if value != defaults[name]]
  return f'{kind}({", ".join(changed)})'


def pool_request(augment_fn: PoolFn) -> PoolRequest:
  """Returns the pool that a function asks for; only its pool_size is required.

  Raises:
    ConfigError: if that is no number of records or bytes from 1.
  """
  max_bytes = getattr(augment_fn, 'max_pool_bytes', DEFAULT_MAX_POOL_BYTES)
  features = getattr(augment_fn, 'pool_features', None)
  owner = function_name(augment_fn)
  for name, value in (('pool_size', augment_fn.pool_size), ('max_pool_bytes', max_bytes)):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
      raise ConfigError(f'{owner}: {name} {value!r} must be a whole number from 1; set it to one')
  names = None if features is None else tuple(features)
  return PoolRequest(owner, int(augment_fn.pool_size), names, int(max_bytes))


def check_feature(features: Features, name: str) -> None:
  """Raises a ConfigError if there is no such feature to augment."""
  if name not in features:
    raise ConfigError(
      f'feature {name!r} is not in {sorted(features)}; pass one of these in feature='
    )


def check_column(pool: Mapping[str, Any], name: str, owner: str) -> None:
  """Raises a ConfigError if there is no such feature in a pool, or a layout."""
  if name not in pool:
    raise ConfigError(f'{owner}: feature {name!r} is not in {sorted(pool)}; name one of these')


def source_hash(augment_fn: Any) -> str:
  """Returns a SHA-256, in hexadecimal, of all that the function's author can change.

  It covers the source of the module that defines it, its name, defaults and closure, and a ready
  object's parameters. It does not cover other modules that this one imports, nor versions.

  Args:
    augment_fn: Function, `functools.partial`, or object with a stable repr.

  Raises:
    ConfigError: if there is no source, or a repr holds an address and so differs in every run.
  """
  return hashlib.sha256(_identity(augment_fn).encode('utf-8', 'surrogatepass')).hexdigest()


def _identity(value: Any) -> str:
  """Returns a text that is the same in every process if and only if the value is the same."""
  if isinstance(value, functools.partial):
    return f'partial({_identity((value.func, value.args, sorted(value.keywords.items())))})'
  if isinstance(value, np.ndarray):  # whose repr leaves out the middle
    return f'array({value.dtype}, {value.shape}, {hashlib.sha256(value.tobytes()).hexdigest()})'
  if isinstance(value, (list, tuple)):
    return f'{type(value).__name__}({", ".join(map(_identity, value))})'
  if isinstance(value, ModuleType):
    return f'module({value.__name__})'
  if inspect.isfunction(value):
    cells = [cell.cell_contents for cell in value.__closure__ or ()]
    parts = [value.__defaults__, sorted((value.__kwdefaults__ or {}).items()), cells]
    line = value.__code__.co_firstlineno
    return f'{_source(value)}\n{value.__qualname__}:{line}({_identity(parts)})'
  if callable(value) or isinstance(value, PoolFn):
    return f'{_source(value if inspect.isclass(value) else type(value))}\n{_stable_repr(value)}'
  return _stable_repr(value)


def _source(value: Any) -> str:
  """Returns the source of the module that defines a function or class."""
  try:
    return inspect.getsource(inspect.getmodule(value) or value)
  except (OSError, TypeError) as error:
    raise ConfigError(
      f'augment function {function_name(value)!r} has no source to distinguish its versions by; '
      'put it into a module file'
    ) from error


def _stable_repr(value: Any) -> str:
  """Returns the repr of a value if it shows all of the value."""
  text = repr(value)
  if re.search(r' at 0x[0-9a-f]+', text):
    raise ConfigError(
      f'{text} differs in every run, so a cache cannot recognize the augment function; '
      'make its class a frozen dataclass, or give it a __repr__ of its parameters'
    )
  return text
