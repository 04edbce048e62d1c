"""Readers of arguments' values, as a person gives them or as TFX carries them.

Every function that reads a value raises a ConfigError for one that breaks a rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tfx_balance.arguments import check_choice, check_names, check_path, check_text, format_value
from tfx_balance.errors import ConfigError

Read = Callable[[str, Any], Any]
"""Function of an argument's name and its value to the value that it means."""


@dataclass(frozen=True)
class Argument:
  """Declaration of one argument of a component.

  Attributes:
    kind: Type of its execution property: str, int or float, which are what TFX carries.
    read: Function of its name and its value, either as a person gives it or as TFX carries it, to
      the value that it means; raises a ConfigError for a value that breaks a rule.
    default: Value where there is none.
    stand_in: Value that takes the place of one which is known only when the pipeline runs, while
      the other arguments are checked; None for the default.
  """

  kind: type
  read: Read
  default: Any = None
  stand_in: Any = None


Arguments = Mapping[str, Argument]
"""The arguments of a component, by name."""


def read_all(declared: Arguments, properties: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the values of all arguments by name, read from arguments or execution properties."""
  return {
    name: each.read(name, properties.get(name, each.default)) for name, each in declared.items()
  }


def from_json(name: str, value: Any, kinds: type | tuple[type, ...]) -> Any:
  """Returns the value in a JSON string, None for an empty one; any other value as it is.

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
        f'{name}={format_value(value)} is not valid JSON ({error}); give it as in {{"train": 8}}'
      ) from error
  if value is not None and (not isinstance(value, kinds) or isinstance(value, (bool, bytes))):
    raise ConfigError(
      f'{name}={format_value(value)} has the wrong type; give a value as the documentation says'
    )
  return value


def as_given(_: str, value: Any) -> Any:
  """Returns a value that is checked together with others."""
  return value


def json_of(*kinds: type) -> Read:
  """Returns a function that reads a value of some types, also from JSON text; None for none."""
  return lambda name, value: from_json(name, value, kinds)


def one_of(*choices: str) -> Read:
  """Returns a function that reads one of some words."""
  return lambda name, value: check_choice(name, value, choices)


def optional(read: Read) -> Read:
  """Returns a function that reads a value as another does; None for None and for TFX's ''."""
  return lambda name, value: (
    None if value is None or (isinstance(value, str) and not value) else read(name, value)
  )


def names(argument: str, value: Any) -> tuple[str, ...]:
  """Returns names from one name, a sequence of names, or a JSON list of them."""
  if isinstance(value, str):
    value = from_json(argument, value, list) if value.lstrip().startswith('[') else [value]
  return check_names(argument, value)


optional_names = optional(names)
optional_text = optional(check_text)
optional_path = optional(check_path)


def set_features(features: tuple[str, ...], multilabel: bool, missing: Any) -> tuple[str, ...]:
  """Returns the features whose labels make a set, which is the class; none without multilabel.

  Raises:
    ConfigError: if records without a value make a stratum, and several features are 0 or 1; if
      they are given a value, and the one feature has any number of them.
  """
  if multilabel and len(features) > 1 and missing == 'own_stratum':
    raise ConfigError(
      f"missing_label='own' does not combine with multilabel=True and the features "
      f'{list(features)}, each of which is 0 or 1; fill values in, or drop records without them'
    )
  if multilabel and len(features) == 1 and not isinstance(missing, str):
    raise ConfigError(
      f'missing_label={format_value(asdict(missing))} does not combine with multilabel=True and '
      f'the one feature {features[0]!r}, of which no value is the empty set; leave it out'
    )
  return features if multilabel else ()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  keys = [key for key, _ in pairs]
  for key in keys:
    if keys.count(key) > 1:
      raise ConfigError(f'{key!r} is there twice in {dict(pairs)}; name it once')
  return dict(pairs)
