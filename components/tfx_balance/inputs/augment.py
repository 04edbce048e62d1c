"""A user's augment function, applied to some of a batch's records on their way to the model.

The contract: `augment_fn(features: dict[str, tf.Tensor], seed: tf.Tensor[2]) -> dict`, graph code
on one record without its label, giving the same names, shapes and dtypes. All its randomness is to
come from the seed (`tf.image.stateless_*`), a function of the record and of how often its class was
drawn before: no two repeats are alike, and a run that is done again is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import match_class
from tfx_balance.plan.sampling import ClassCounts

AugmentFn = Callable[[dict[str, tf.Tensor], tf.Tensor], dict[str, tf.Tensor]]
Applies = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Graph code: classes int64 [B] and repeats bool [B] to which records are augmented, bool [B]."""


def which_records(augment: str | Sequence[Any], counts: ClassCounts) -> Applies:
  """Returns what tells the records to augment.

  Args:
    augment: 'repeats' (records drawn after their class was gone through once in the epoch), 'all',
      or a list of classes.
    counts: the classes.

  Raises:
    ConfigError: if it is none of these.
  """
  if augment == 'repeats':
    return lambda classes, repeats: repeats
  if augment == 'all':
    return lambda classes, repeats: tf.ones_like(repeats)
  if isinstance(augment, str) or not isinstance(augment, Sequence):
    raise ConfigError(f"augment={augment!r} must be 'repeats', 'all' or a list of classes")
  chosen = {match_class(key, counts.classes) for key in augment}
  flags = tf.constant(np.array([value in chosen for value in counts.classes]))
  return lambda classes, repeats: tf.gather(flags, classes)


def augmented(features: Any, flags: tf.Tensor, seeds: tf.Tensor, augment_fn: AugmentFn) -> Any:
  """Returns a batch's features with the flagged records augmented.

  Sparse and ragged features are not given to the function and stay as they are.

  Args:
    features: name to tensor [B, ...].
    flags: bool [B].
    seeds: int32 [B, 2].
    augment_fn: see above.

  Raises:
    ConfigError: while the graph is built, if the features are no dict or the function breaks the
      contract.
  """
  if not isinstance(features, dict):
    raise ConfigError(
      f'augment_fn= takes a dict of features, and these are a {type(features).__name__}; '
      f"give the features as a dict, as in {{'image': images}}"
    )
  dense = {name: value for name, value in features.items() if isinstance(value, tf.Tensor)}
  specs = {name: tf.TensorSpec(value.shape[1:], value.dtype) for name, value in dense.items()}
  function = tf.function(augment_fn)
  # Checked before map_fn: an error inside it leaves TensorFlow unable to enter a strategy's scope.
  traced = function.get_concrete_function(specs, tf.TensorSpec([2], tf.int32))
  _check_contract(traced.structured_outputs, specs)
  rows = tf.where(flags)[:, 0]
  chosen = {name: tf.gather(value, rows) for name, value in dense.items()}
  result = tf.map_fn(
    lambda args: function(*args), (chosen, tf.gather(seeds, rows)), fn_output_signature=specs
  )
  at = rows[:, tf.newaxis]
  new = {n: tf.tensor_scatter_nd_update(v, at, result[n]) for n, v in dense.items()}
  return {**features, **new}


def _check_contract(result: Any, given: dict[str, tf.TensorSpec]) -> None:
  """Checks the names, dtypes and shapes that an augment function returns.

  Raises:
    ConfigError: if they are not those that it is given.
  """
  if not isinstance(result, dict) or set(result) != set(given):
    found = sorted(result) if isinstance(result, dict) else type(result).__name__
    raise ConfigError(
      f'augment_fn returns {found}; it must return a dict of {sorted(given)}, the features that it '
      f'is given'
    )
  for name, wanted in given.items():
    made = result[name]
    if made.dtype != wanted.dtype or not made.shape.is_compatible_with(wanted.shape):
      raise ConfigError(
        f'augment_fn returns feature {name!r} as {made.dtype.name} {made.shape}; it must stay '
        f'{wanted.dtype.name} {wanted.shape}: cast or reshape it'
      )
