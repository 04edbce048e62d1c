"""Arguments of components on their way through TFX: str, int and float only, and back."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args

import numpy as np

from tfx_balance.errors import ConfigError
from tfx_balance.transforms.labels import MissingLabel
from tfx_balance.transforms.read_options import ReadOptions


def is_runtime(value: Any) -> bool:
  """Tells whether a value is known only when the pipeline runs."""
  plain = (str, numbers.Number, Mapping, Sequence, np.generic)
  return value is not None and not isinstance(value, plain)


def to_json(value: Any) -> Any:
  """Returns a mapping or a sequence as a JSON string, None as '', and any other value as it is."""
  if value is None:
    return ''
  if isinstance(value, Mapping):
    return json.dumps({_plain(key): _plain(content) for key, content in value.items()})
  if isinstance(value, Sequence) and not isinstance(value, str):
    return json.dumps(list(value))
  return _plain(value)


def encoded(arguments: Mapping[str, Any]) -> dict[str, Any]:
  """Returns arguments as execution properties; what is known only at run time stays as it is."""
  return {name: value if is_runtime(value) else to_json(value) for name, value in arguments.items()}


def known(properties: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the properties that are known before the pipeline runs."""
  return {name: value for name, value in properties.items() if not is_runtime(value)}


def from_json(name: str, value: Any, kinds: type | tuple[type, ...]) -> Any:
  """Returns what a JSON string holds; None for an empty one; what is no string as it is.

  Args:
    name: of the argument, for messages.
    value: a JSON string or a value.
    kinds: what it may be.

  Raises:
    ConfigError: if it is no JSON, names a key twice, or is of another kind.
  """
  if isinstance(value, str):
    if not value.strip():
      return None
    try:
      value = json.loads(value, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
      raise ConfigError(
        f'{name}={value!r} is no JSON ({error}); give it as in {{"train": 8}}'
      ) from error
  if value is not None and not isinstance(value, kinds):
    raise ConfigError(
      f'{name}={value!r} has the wrong type; give a value as the documentation says'
    )
  return value


def names(argument: str, value: Any) -> tuple[str, ...]:
  """Returns names from one name, a sequence of names, or a JSON list of them.

  Raises:
    ConfigError: if one is no string, empty, or there twice.
  """
  if isinstance(value, str):
    value = from_json(argument, value, list) if value.lstrip().startswith('[') else [value]
  found = tuple(value)
  for name in found:
    if not isinstance(name, str) or not name:
      raise ConfigError(f'{argument}={value!r} must hold names; {name!r} is none')
    if found.count(name) > 1:
      raise ConfigError(f'{argument}={list(found)} names {name!r} twice; name it once')
  if not found:
    raise ConfigError(f'{argument}=[] names nothing; give at least one name')
  return found


def _plain(value: Any) -> Any:
  """Returns a value as JSON has it: bytes as text in UTF-8, NumPy's numbers as Python's."""
  if isinstance(value, bytes):
    return value.decode('utf-8', 'surrogateescape')
  return value.item() if isinstance(value, np.generic) else value


def label(value: Any) -> str:
  """Returns the name of the feature that holds the class.

  Raises:
    ConfigError: if it is none.
  """
  if not isinstance(value, str) or not value:
    raise ConfigError(f'label={value!r} must be the name of the feature that holds the class')
  return value


def seed(value: Any) -> int:
  """Returns a seed.

  Raises:
    ConfigError: if it is no whole number.
  """
  if isinstance(value, bool) or not isinstance(value, int):
    raise ConfigError(f'seed={value!r} must be a whole number; give one such as 0')
  return value


def flag(argument: str, value: Any) -> bool:
  """Returns a yes or no, which TFX carries as 1 or 0.

  Raises:
    ConfigError: if it is neither.
  """
  if not isinstance(value, int) or value not in (0, 1):
    raise ConfigError(f'{argument}={value!r} must be True or False')
  return bool(value)


def missing_label(value: Any, *others: str) -> MissingLabel:
  """Returns what becomes of records without a class.

  Args:
    value: of the argument.
    others: words that the component knows besides, for the message.

  Raises:
    ConfigError: if it is no such choice.
  """
  for choice in get_args(MissingLabel):
    if value == choice:
      return choice
  choices = [*get_args(MissingLabel), *others]
  raise ConfigError(f'missing_label={value!r} is not one of {choices}')


def read_options(properties: Mapping[str, Any]) -> ReadOptions:
  """Returns how records are read, as execution properties say.

  Raises:
    ConfigError: if a value breaks a rule.
  """
  names = [field.name for field in fields(ReadOptions)]
  return ReadOptions(**{name: properties[name] for name in names if name in properties})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  keys = [key for key, _ in pairs]
  for key in keys:
    if keys.count(key) > 1:
      raise ConfigError(f'{key!r} is there twice in {dict(pairs)}; name it once')
  return dict(pairs)
