"""Arguments of components on their way through TFX: str, int and float only, and back.

Every function raises a ConfigError for a value that breaks a rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tfx_balance.arguments import check_labels, check_names, check_path, check_text, shown
from tfx_balance.errors import ConfigError
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import ReadOptions

if TYPE_CHECKING:
  from tfx import types

COMMON_TYPES: dict[str, type] = {
  'seed': int,
  'missing_label': str,
  'max_record_bytes': int,
  'bad_records': str,
  'max_bad_records': int,
  'algorithm_version': int,
}
"""Types of the execution properties that all components have which write `Examples`."""


def is_runtime(value: Any) -> bool:
  """Returns whether a value is known only when the pipeline runs."""
  # Imported here: Beam's workers decode arguments too, and need no TFX, which takes 10 s.
  from tfx.dsl.placeholder.placeholder import Placeholder
  from tfx.orchestration.data_types import RuntimeParameter

  return isinstance(value, (RuntimeParameter, Placeholder))


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
  """Returns checked arguments as execution properties; what is not known yet stays as it is."""
  return {name: value if is_runtime(value) else to_json(value) for name, value in arguments.items()}


def make_spec(kind: type[types.ComponentSpec], **arguments: Any) -> types.ComponentSpec:
  """Returns a component's specification of channels and checked execution properties."""
  for name, parameter in {**kind.INPUTS, **kind.PARAMETERS}.items():
    value = arguments[name]
    if value is None and parameter.optional:
      continue
    try:
      parameter.type_check(name, value)
    except (TypeError, ValueError) as error:
      argument = name.removeprefix('input_') if name in kind.INPUTS else name
      what = f'a channel of {parameter.type.TYPE_NAME}' if name in kind.INPUTS else 'of that type'
      raise ConfigError(
        f'{argument}={shown(value)} has the wrong type ({str(error)[:200]}); give {what}'
      ) from error
  return kind(**arguments)


def known(properties: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the properties that are known before the pipeline runs."""
  return {name: value for name, value in properties.items() if not is_runtime(value)}


def from_json(name: str, value: Any, kinds: type | tuple[type, ...]) -> Any:
  """Returns what a JSON string holds; None for an empty one; what is no string as it is.

  Args:
    name: Name of the argument, for messages.
    value: JSON string or value.
    kinds: Types that it may have.
  """
  if isinstance(value, str):
    if not value.strip():
      return None
    try:
      value = json.loads(value, object_pairs_hook=_once)
    except ConfigError:
      raise
    except (ValueError, RecursionError) as error:
      raise ConfigError(
        f'{name}={shown(value)} is no JSON ({error}); give it as in {{"train": 8}}'
      ) from error
  if value is not None and (not isinstance(value, kinds) or isinstance(value, (bool, bytes))):
    raise ConfigError(
      f'{name}={shown(value)} has the wrong type; give a value as the documentation says'
    )
  return value


def names(argument: str, value: Any) -> tuple[str, ...]:
  """Returns names from one name, a sequence of names, or a JSON list of them."""
  if isinstance(value, str):
    value = from_json(argument, value, list) if value.lstrip().startswith('[') else [value]
  return check_names(argument, value)


def optional_names(argument: str, value: Any) -> tuple[str, ...] | None:
  """Returns names as `names` does; None for None and ''."""
  return None if _is_absent(value) else names(argument, value)


def optional_text(argument: str, value: Any) -> str | None:
  """Returns a text; None for None and '', as which TFX carries it."""
  return None if _is_absent(value) else check_text(argument, value)


def optional_path(argument: str, value: Any) -> str | None:
  """Returns a path; None for None and ''; see `optional_text`."""
  return None if _is_absent(value) else check_path(argument, value)


def _is_absent(value: Any) -> bool:
  return value is None or (isinstance(value, str) and not value)


def _plain(value: Any) -> Any:
  """Returns a value as JSON has it: bytes as text in UTF-8, NumPy's numbers as Python's."""
  if isinstance(value, bytes):
    return value.decode('utf-8', 'surrogateescape')
  return value.item() if isinstance(value, np.generic) else value


def missing_label(value: Any, *others: str) -> MissingLabel:
  """Returns the treatment of records without a class.

  Args:
    value: Value of the argument.
    others: Further words that the component knows, for the message.
  """
  for choice in get_args(MissingLabel):
    if isinstance(value, str) and value == choice:
      return choice
  choices = [*get_args(MissingLabel), *others]
  raise ConfigError(f'missing_label={shown(value)} is not one of {choices}')


def label_features(value: Any, multilabel: bool) -> tuple[str, ...]:
  """Returns the features that `label` names, also as a JSON list; see `check_labels`."""
  if isinstance(value, str) and value.lstrip().startswith('['):
    value = from_json('label', value, list)
  return check_labels(value, multilabel)


def set_features(
  features: tuple[str, ...], multilabel: bool, missing: MissingLabel
) -> tuple[str, ...]:
  """Returns the features whose labels make a set, which is the class; none without multilabel.

  Raises:
    ConfigError: if records without a value make a stratum, and several features are 0 or 1.
  """
  if multilabel and len(features) > 1 and missing == 'own_stratum':
    raise ConfigError(
      f"missing_label='own_stratum' does not combine with multilabel=True and the features "
      f'{list(features)}, each of which is 0 or 1; fill values in, or drop records without them'
    )
  return features if multilabel else ()


def read_options(properties: Mapping[str, Any]) -> ReadOptions:
  """Returns how records are read, as execution properties say."""
  names = [field.name for field in fields(ReadOptions)]
  return ReadOptions(**{name: properties[name] for name in names if name in properties})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  keys = [key for key, _ in pairs]
  for key in keys:
    if keys.count(key) > 1:
      raise ConfigError(f'{key!r} is there twice in {dict(pairs)}; name it once')
  return dict(pairs)
