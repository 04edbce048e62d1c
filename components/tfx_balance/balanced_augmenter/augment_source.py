"""Where the augment function comes from, on its way from a pipeline's code to Beam's workers."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging
from tfx.components.util import udf_utils
from tfx.orchestration.data_types import RuntimeParameter
from tfx.utils import import_utils

from tfx_balance.augment import (
  ImageAugment,
  SmoothedBootstrap,
  Smote,
  load_augment_fn,
  source_hash,
)
from tfx_balance.errors import ConfigError, TfxBalanceError

READY = {kind.__name__: kind for kind in (ImageAugment, SmoothedBootstrap, Smote)}
"""Classes whose objects may be given as they are, by name."""
IN_MODULE_FILE = 'augment_fn'
"""What the function is called in a module file, where nobody says otherwise."""


def to_text(augment_fn: Any) -> Any:
  """Returns an augment function as a string: a dotted path, or the repr of a ready one.

  What is known only at run time comes back as it is.

  Raises:
    ConfigError: if it is neither.
  """
  if augment_fn is None:
    return ''
  if isinstance(augment_fn, (str, RuntimeParameter)):
    return augment_fn
  if type(augment_fn) in READY.values():  # itself: a class of a user's may have the same name
    return repr(augment_fn)
  kind = type(augment_fn)
  raise ConfigError(
    f'augment_fn={augment_fn!r} must be a dotted path such as "package.module.function", or an '
    f"object of tfx_balance.augment's {', '.join(READY)}, and is one of "
    f'{kind.__module__}.{kind.__qualname__}: workers import it anew'
  )


def from_text(text: str) -> Any:
  """Returns the augment function that `to_text` wrote.

  Raises:
    ConfigError: if there is none.
  """
  if '(' not in text:
    return load_augment_fn(text)
  try:
    call = ast.parse(text, mode='eval').body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
      raise ValueError('it is no call')
    arguments = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    if call.func.id not in READY or call.args:
      raise ValueError(f'it is not one of {list(READY)} with named arguments')
    return READY[call.func.id](**arguments)
  except (SyntaxError, ValueError, TypeError) as error:
    raise ConfigError(
      f'augment_fn={text!r} is no augment function ({error}); give a dotted path, or one such as '
      f'ImageAugment(rotation=10)'
    ) from error


def fingerprint(text: Any) -> str:
  """Returns a hash of the function's source for TFX's cache, '' for one that is not here.

  A module file needs none: TFX makes a wheel of it, whose name has a hash.
  """
  if not text or not isinstance(text, str):
    return ''
  try:
    return source_hash(from_text(text))
  except TfxBalanceError as error:
    logging.warning('BalancedAugmenter cannot see changes of augment_fn=%r: %s', text, error)
    return ''


def loader(properties: Mapping[str, Any]) -> Callable[[], Any] | None:
  """Returns what gives a worker the function; None where records are copied as they are.

  Args:
    properties: execution properties: augment_fn, and module_path or module_file.
  """
  text = properties.get('augment_fn') or ''
  if properties.get('module_path'):
    module, _ = udf_utils.decode_user_module_key(properties['module_path'])
    return functools.partial(load_augment_fn, f'{module}.{text or IN_MODULE_FILE}')
  if properties.get('module_file'):
    return functools.partial(
      import_utils.import_func_from_source, properties['module_file'], text or IN_MODULE_FILE
    )
  return functools.partial(from_text, text) if text else None
