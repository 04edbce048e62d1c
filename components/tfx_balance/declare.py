"""Arguments of components, each declared once: its type in TFX, its check, its default.

TFX carries str, int and float only. Every function that reads a value raises a ConfigError for one
that breaks a rule.
"""

from __future__ import annotations

import json
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tfx_balance.argument_readers import (
  Argument,
  Arguments,
  Read,
  as_given,
  from_json,
  one_of,
)
from tfx_balance.arguments import check_labels, check_seed, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.scan.strata import OWN_STRATUM, Fill
from tfx_balance.tfrecord.reading import ReadOptions

if TYPE_CHECKING:
  from tfx import types


def kinds(declared: Arguments) -> dict[str, type]:
  """Returns the types of a component's execution properties, by name."""
  return {**{name: each.kind for name, each in declared.items()}, 'algorithm_version': int}


def encode(
  declared: Arguments,
  arguments: Mapping[str, Any],
  decode: Callable[[Mapping[str, Any]], Any],
  version: int,
  together: Sequence[tuple[Sequence[str], Sequence[str]]] = (),
) -> dict[str, Any]:
  """Returns checked arguments as execution properties.

  What is known only when the pipeline runs stays as it is: the executor checks it.

  Args:
    declared: Declarations of the arguments.
    arguments: Value of each, by name.
    decode: Function that checks all arguments, those that are not there by their defaults.
    version: Algorithm version of the component.
    together: Arguments, and those that cannot be checked where one of the former is not known.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  late = {name for name, value in arguments.items() if is_runtime(value)}
  unchecked = late.union(*(others for names, others in together if late.intersection(names)))
  stand_ins = {
    name: declared[name].stand_in for name in late if declared[name].stand_in is not None
  }

  def check(values: Mapping[str, Any]) -> None:
    decode({**stand_ins, **{name: values[name] for name in values if name not in unchecked}})

  check(arguments)
  properties = {
    name: value if name in late else carried(value, declared[name].kind)
    for name, value in arguments.items()
  }
  # Again as TFX carries them, where a class may be there as 1 and '1'.
  check(properties)
  return {**properties, 'algorithm_version': version}


def carried(value: Any, kind: type) -> Any:
  """Returns a value as an execution property of a type has it, if it can be one.

  Mappings and sequences are JSON text; None is '' or 0.

  >>> carried({'train': 8}, str), carried(None, str), carried(0.5, str), carried(True, int)
  ('{"train": 8}', '', '0.5', 1)
  """
  if value is None:
    return kind()
  if isinstance(value, (Mapping, Sequence)) and not isinstance(value, (str, bytes)):
    return json.dumps(_plain(value))
  if isinstance(value, os.PathLike):
    return os.fspath(value)
  if isinstance(value, numbers.Real):
    return kind(int(value) if isinstance(value, numbers.Integral) else float(value))
  return _plain(value)


def with_defaults(properties: Mapping[str, Any]) -> dict[str, Any]:
  """Returns execution properties with the defaults of RuntimeParameters that nobody set.

  InteractiveContext passes such parameters to executors as they are.

  Raises:
    ConfigError: if one has no default.
  """
  from tfx.orchestration.data_types import RuntimeParameter

  found = dict(properties)
  for name, value in properties.items():
    if isinstance(value, RuntimeParameter):
      found[name] = value.default
      if value.default is None:
        raise ConfigError(
          f'{name}= is the RuntimeParameter {value.name!r}, which has neither a value here nor a '
          'default; give it a default, or pass the value (InteractiveContext sets none)'
        )
  return found


def is_runtime(value: Any) -> bool:
  """Returns whether a value is known only when the pipeline runs."""
  # Imported here: Beam's workers decode arguments too, and need no TFX, which takes 10 s.
  from tfx.dsl.placeholder.placeholder import Placeholder
  from tfx.orchestration.data_types import RuntimeParameter

  return isinstance(value, (RuntimeParameter, Placeholder))


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
        f'{argument}={format_value(value)} has the wrong type ({str(error)[:200]}); give {what}'
      ) from error
  return kind(**arguments)


def _plain(value: Any) -> Any:
  """Returns a value as JSON has it: bytes as text in UTF-8, NumPy's numbers as Python's."""
  if isinstance(value, Mapping):
    return {_plain(key): _plain(content) for key, content in value.items()}
  if isinstance(value, bytes):
    return value.decode('utf-8', 'surrogateescape')
  if isinstance(value, Sequence) and not isinstance(value, str):
    return [_plain(each) for each in value]
  return value.item() if isinstance(value, np.generic) else value


def missing_label(*others: str) -> Read:
  """Returns a function that reads the treatment of records without a class.

  Args:
    *others: Further words that the component knows.
  """
  word = one_of('error', 'own', 'drop', *others)

  def read(name: str, value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith('{'):
      value = from_json(name, value, Mapping)
    if not isinstance(value, Mapping):
      is_own = isinstance(value, str) and value in ('own', OWN_STRATUM)
      return OWN_STRATUM if is_own else word(name, value)
    fill = value.get('fill')
    if [*value] != ['fill'] or isinstance(fill, bool) or fill not in (0, ''):
      raise ConfigError(
        f"{name}={format_value(value)} must be {{'fill': 0}}, {{'fill': 0.0}} or {{'fill': ''}}, "
        f"the values that TFX's reader of Parquet leaves out; fill in others before this component"
      )
    return Fill(fill)

  return read


def label_features(value: Any, multilabel: bool) -> tuple[str, ...]:
  """Returns the features that `label` names, also as a JSON list; see `check_labels`."""
  if isinstance(value, str) and value.lstrip().startswith('['):
    value = from_json('label', value, list)
  return check_labels(value, multilabel)


def read_options(values: Mapping[str, Any]) -> ReadOptions:
  """Returns the options of reading that the arguments give."""
  return ReadOptions(**{field.name: values[field.name] for field in fields(ReadOptions)})


COMMON: dict[str, Argument] = {
  'seed': Argument(int, lambda _, value: check_seed(value), 0),
  **{
    field.name: Argument(type(field.default), as_given, field.default)
    for field in fields(ReadOptions)
  },
}
"""Arguments that all components have which write `Examples`, beside `missing_label`."""
