"""Checks of arguments: the value as Python has it, or an error with value, rule and fix.

NumPy's numbers and texts are taken wherever Python's are, and come back as Python's. Every check
raises a ConfigError for a value that it does not return.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_balance.errors import ConfigError

LARGEST = (1 << 63) - 1
"""The largest whole number: TFX, TensorFlow and NumPy keep them in 64 bits."""
_LONGEST_PATH = 4096  # of Linux


def format_value(value: Any) -> str:
  """Returns a value as a message shows it, truncated; scalars of NumPy as those of Python."""
  kind = getattr(getattr(value, 'dtype', None), 'kind', '')
  try:
    if kind in ('b', 'i', 'u', 'f', 'S', 'U') and value.ndim == 0:  # NumPy 2 adds the type's name
      text = repr(value.item()) if kind in 'SU' else str(value)
    else:
      text = repr(value)
  except ValueError:  # Python writes no int of 5,000 digits
    text = f'<{type(value).__name__}>'
  return text if len(text) <= 200 else f'{text[:200]}...'


def check_whole(
  name: str, value: Any, least: int = 1, most: int = LARGEST, fix: str | None = None
) -> int:
  """Returns a whole number.

  Args:
    name: Name of the argument, or of what the number is.
    value: Value to check.
    least: Least value that is allowed.
    most: Largest value that is allowed.
    fix: Remedy, for the message.
  """
  whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
  if whole and least <= value <= most:
    return int(value)
  bounds = f' from {least}' if least > -LARGEST or whole else ''
  if most < LARGEST or (whole and value > most):
    bounds += f' to {most}'
  raise ConfigError(
    f'{name}={format_value(value)} must be a whole number{bounds}; '
    f'{fix or f"give one such as {max(least, 1)}"}'
  )


def check_seed(value: Any) -> int:
  """Returns a seed."""
  return check_whole('seed', value, -LARGEST - 1, fix='give one such as 0')


def check_number(
  name: str,
  value: Any,
  low: float = -math.inf,
  high: float = math.inf,
  *,
  above: bool = False,
  below: bool = False,
  fix: str | None = None,
) -> float:
  """Returns a finite number: an int stays one.

  Args:
    name: Name of the argument.
    value: Value to check.
    low: Lower bound.
    high: Upper bound.
    above: Whether the lower bound itself is not allowed.
    below: Whether the upper bound itself is not allowed.
    fix: Remedy, for the message.
  """
  if isinstance(value, numbers.Real) and not isinstance(value, bool):
    try:
      found = float(value)
    except (OverflowError, TypeError):  # of NumPy's timedelta64
      found = math.nan
    inside = low < found if above else low <= found
    if math.isfinite(found) and inside and (found < high if below else found <= high):
      return int(value) if isinstance(value, numbers.Integral) else found
  bounds = [f'{"above" if above else "from"} {low}'] if low > -math.inf else []
  bounds += [f'{"to below" if below else "to"} {high}'] if high < math.inf else []
  kind = 'a number' if len(bounds) == 2 else 'a finite number'
  raise ConfigError(
    f'{name}={format_value(value)} must be {" ".join([kind, *bounds])}; '
    f'{fix or f"give one such as {_example(low, high)}"}'
  )


def check_flag(name: str, value: Any) -> bool:
  """Returns a yes or no, which may also be 1 or 0, as TFX carries it."""
  # NumPy's bool is no number to Python; its name is 'bool' since NumPy 2.
  is_number = isinstance(value, numbers.Integral) or type(value).__name__ in ('bool', 'bool_')
  if is_number and value in (0, 1):
    return bool(value)
  raise ConfigError(f'{name}={format_value(value)} must be True or False; give one of them')


def check_choice(name: str, value: Any, choices: Sequence[str]) -> Any:
  """Returns one of some words."""
  if isinstance(value, str) and value in choices:
    return str(value)
  raise ConfigError(
    f'{name}={format_value(value)} is not one of {list(choices)}; pass one of these in {name}='
  )


def check_text(name: str, value: Any, what: str = 'a text', fix: str | None = None) -> str:
  """Returns a text that is not empty.

  Args:
    name: Name of the argument.
    value: Value to check.
    what: Kind of text, for the message.
    fix: Remedy, for the message.
  """
  if isinstance(value, str) and value and value == value.encode('utf-8', 'ignore').decode('utf-8'):
    return str(value)
  raise ConfigError(
    f'{name}={format_value(value)} must be {what}; {fix or "give one, not empty, in UTF-8"}'
  )


def check_label(value: Any, name: str = 'label') -> str:
  """Returns the name of the feature that holds the class."""
  return check_text(
    name, value, 'the name of the feature that holds the class', "give one such as 'label'"
  )


def check_labels(value: Any, multilabel: bool) -> tuple[str, ...]:
  """Returns the feature that `label` names, or several of 0 and 1 that each are a label.

  Args:
    value: Value of the argument: a name, or a list of names.
    multilabel: Whether a record has several labels.

  Raises:
    ConfigError: if they are no names, or several where a record has one class.
  """
  if isinstance(value, str) or not isinstance(value, Sequence):
    return (check_label(value),)
  found = check_names('label', value)
  if len(found) > 1 and not multilabel:
    raise ConfigError(
      f'label={format_value(value)} names several features, and a class is a value of one; name '
      f'one, or pass multilabel=True where each is 0 or 1 and a label of its own'
    )
  return found


def check_path(name: str, value: Any) -> str:
  """Returns a path, given as text or as what `open` takes for one."""
  path = os.fspath(value) if isinstance(value, os.PathLike) else value
  if isinstance(path, str) and '\0' not in path and len(path) <= _LONGEST_PATH:
    return check_text(name, path, 'a path')
  raise ConfigError(f'{name}={format_value(value)} must be a path; give it as a text')


def check_names(name: str, value: Any) -> tuple[str, ...]:
  """Returns a list of at least one name."""
  if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
    raise ConfigError(
      f"{name}={format_value(value)} must be a list of names; give one such as ['a']"
    )
  for each in value:
    if not isinstance(each, str) or not each:
      raise ConfigError(
        f'{name}={format_value(value)} must hold names; {format_value(each)} is none: leave it out'
      )
    if value.count(each) > 1:
      raise ConfigError(f'{name}={format_value(value)} names {each!r} twice; name it once')
  if not value:
    raise ConfigError(f'{name}=[] names nothing; give at least one name')
  return tuple(check_text(name, each, 'names') for each in value)


def check_mapping(name: str, value: Any, example: str) -> Mapping[Any, Any]:
  """Returns a mapping."""
  if isinstance(value, Mapping):
    return value
  raise ConfigError(f'{name}={format_value(value)} must be a dict; give one such as {example}')


def check_callable(name: str, value: Any, example: str) -> Any:
  """Returns a callable."""
  if callable(value):
    return value
  raise ConfigError(f'{name}={format_value(value)} must be a function; give one such as {example}')


def _example(low: float, high: float) -> float:
  """Returns a number that is within bounds."""
  if high < math.inf:
    return (low + high) / 2
  return max(low, 0) + 1
