"""The augment function, on its way from the code of a pipeline to the workers of Beam.

What is not an augment function, or cannot be found, raises a ConfigError.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging
from tfx.components.util import udf_utils
from tfx.utils import import_utils

from tfx_balance import augment
from tfx_balance.argument_readers import optional_path
from tfx_balance.arguments import format_value
from tfx_balance.augment import load_augment_fn, source_hash
from tfx_balance.augment.contract import check_dotted_path
from tfx_balance.declare import is_runtime
from tfx_balance.errors import ConfigError, TfxBalanceError
from tfx_balance.tfrecord.storage import exists

READY = {
  name: kind
  for name, kind in vars(augment).items()
  if inspect.isclass(kind)
  and kind not in (augment.VectorAugment, augment.PoolFn)
  and (issubclass(kind, augment.VectorAugment) or hasattr(kind, 'bind'))
}
"""Classes whose objects are taken for augment_fn, by name: those `tfx_balance.augment` exports."""
IN_MODULE_FILE = 'augment_fn'
"""Default name of the function in a module file."""


def to_text(augment_fn: Any, in_module_file: bool = False) -> Any:
  """Returns an augment function as a string: a dotted path, or the repr of a ready one.

  What is known only at run time comes back as it is.
  """
  if augment_fn is None:
    return ''
  if is_runtime(augment_fn):
    return augment_fn
  if isinstance(augment_fn, str):
    if '(' in augment_fn and not in_module_file:
      from_text(augment_fn)
    elif augment_fn:
      check_dotted_path(f'{IN_MODULE_FILE}.{augment_fn}' if in_module_file else augment_fn)
    return str(augment_fn)
  if type(augment_fn) in READY.values():  # itself: a class of a user's may have the same name
    return repr(augment_fn)
  kind = type(augment_fn)
  raise ConfigError(
    f'augment_fn={format_value(augment_fn)} must be a dotted path such as '
    f'"package.module.function", or '
    f"an object of tfx_balance.augment's {', '.join(READY)}, and is one of "
    f'{kind.__module__}.{kind.__qualname__}: workers import it anew'
  )


def check_module_file(path: Any) -> Any:
  """Returns the path of a module file that is there; None for none."""
  if is_runtime(path):
    return path
  path = optional_path('module_file', path)
  if path and udf_utils.should_package_user_modules() and not exists(path):
    raise ConfigError(f'module_file={path!r} does not exist; give the path of a Python file')
  return path


def from_text(text: str) -> Any:
  """Returns the augment function that `to_text` wrote."""
  if '(' not in text:
    return load_augment_fn(text)
  try:
    call = ast.parse(text, mode='eval').body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
      raise ValueError('it is not a call')
    arguments = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    if call.func.id not in READY or call.args:
      raise ValueError(f'it is not one of {list(READY)} with named arguments')
    return READY[call.func.id](**arguments)
  except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
    why = str(error) or 'it is nested too deeply'
    raise ConfigError(
      f'augment_fn={format_value(text)} is not an augment function ({why}); give a dotted '
      f'path, or one such as ImageAugment(rotation=10)'
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
  """Returns a function that loads the augment function on a worker; None for plain copies.

  Args:
    properties: Execution properties: augment_fn, and module_path or module_file.
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
