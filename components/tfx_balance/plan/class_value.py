"""A class: a value with its type, so that 1, '1' and b'1' stay three things.

Features hold int64, bytes or float32. A float is a class when it is integral. Text is bytes in
UTF-8. A record without a value is of the class `MISSING`. In multi-label data the class of a record
is the set of its labels, each of which is a class value.
"""

from __future__ import annotations

import base64
import json
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from tfx_balance.arguments import format_value
from tfx_balance.errors import ConfigError

Kind = Literal['int', 'bytes', 'float', 'set', 'missing']
_ORDER: dict[str, int] = {'int': 0, 'float': 1, 'bytes': 2, 'set': 3, 'missing': 4}


class ClassValue(NamedTuple):
  """One class of one feature. There may be thousands in each of many files, hence no dataclass.

  Attributes:
    kind: Type of the feature's values; 'missing' where the record has none.
    value: int, float or bytes according to kind; of a 'set' its labels, ascending and each once;
      None for 'missing'.
  """

  kind: Kind
  value: int | float | bytes | tuple[ClassValue, ...] | None

  def __str__(self) -> str:
    if self.kind == 'missing':
      return '(missing)'
    if isinstance(self.value, bytes):
      text = self.value.decode('utf-8', 'backslashreplace')
      # What a terminal would act on is escaped: line ends, colours, bidirectional controls.
      return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
    if isinstance(self.value, tuple):
      return f'{{{", ".join(map(str, self.value))}}}'
    return str(int(self.value or 0))

  def __repr__(self) -> str:
    value = str(self) if isinstance(self.value, tuple) else repr(self.value)
    return f'ClassValue({value})'

  def __lt__(self, other: ClassValue) -> bool:  # type: ignore[override]
    return self.sort_key() < other.sort_key()

  def __gt__(self, other: ClassValue) -> bool:  # type: ignore[override]
    return other < self

  def sort_key(self) -> tuple[int, Any]:
    """Returns the key of the canonical order: by type, then by value."""
    if isinstance(self.value, tuple):
      return _ORDER[self.kind], [label.sort_key() for label in self.value]
    return _ORDER[self.kind], 0 if self.value is None else self.value

  def to_json(self) -> dict[str, Any]:
    """Returns `{type, value}`; bytes that are not UTF-8 get `encoding: base64`.

    The value of a set is a list of its labels, written likewise.
    """
    if isinstance(self.value, tuple):
      return {'type': 'set', 'value': [label.to_json() for label in self.value]}
    if not isinstance(self.value, bytes):
      return {'type': self.kind, 'value': self.value}
    try:
      return {'type': 'bytes', 'value': self.value.decode('utf-8')}
    except UnicodeDecodeError:
      text = base64.b64encode(self.value).decode('ascii')
      return {'type': 'bytes', 'value': text, 'encoding': 'base64'}

  @classmethod
  def from_json(cls, data: Mapping[str, Any]) -> ClassValue:
    """Returns the class that `to_json` wrote."""
    kind, value = data['type'], data['value']
    if kind == 'set':
      return cls(kind, tuple(map(cls.from_json, value)))
    if kind == 'bytes':
      value = base64.b64decode(value) if data.get('encoding') == 'base64' else value.encode('utf-8')
    return cls(kind, float(value) if kind == 'float' else value)


MISSING = ClassValue('missing', None)
FILL_HINT = (
  "missing_label={'fill': 0} takes no value as 0, which TFX's reader of Parquet writes in that way"
)
"""What to do where records seem to lack a class, and it is 0."""
_KEYS = json.JSONEncoder(sort_keys=True)  # json.dumps makes one for each call, which takes longer

Stratum = tuple[ClassValue, ...]
"""A class of each feature that the data is stratified by."""


def stratum_name(stratum: Stratum) -> str:
  """Returns a stratum as text for people.

  >>> stratum_name((ClassValue('int', 3), ClassValue('bytes', b'left')))
  '3 / left'
  """
  return ' / '.join(str(value) for value in stratum)


def stratum_key(stratum: Stratum) -> str:
  """Returns a text that is equal for equal strata only, which ties are broken by."""
  return f'[{", ".join(map(class_key, stratum))}]'


def class_key(value: ClassValue) -> str:
  """Returns the JSON text of a class; an integer does without the encoder, five times slower."""
  if value.kind == 'int' and not isinstance(value.value, (bytes, tuple)):
    return f'{{"type": "int", "value": {value.value}}}'
  if isinstance(value.value, tuple):
    return set_key(map(class_key, value.value))
  return _KEYS.encode(value.to_json())


def set_key(keys: Iterable[str]) -> str:
  """Returns the key of a set of labels that have these keys."""
  return f'{{"type": "set", "value": [{", ".join(keys)}]}}'


def check_key(argument: str, key: Any) -> Any:
  """Returns the key of a person's dict by class.

  Raises:
    ConfigError: if it is of a type that names no class.
  """
  if isinstance(key, (str, bytes, numbers.Real, ClassValue)):
    return int(key) if isinstance(key, bool) else key
  raise ConfigError(
    f'{argument} has the key {format_value(key)}; name a class by a number, text or bytes'
  )


def match_class(key: Any, classes: Iterable[ClassValue]) -> ClassValue:
  """Returns the class that the key of a person's dict names.

  An int means the int or the integral float of that value, a str or bytes the bytes; a str of
  digits (as dicts in JSON have them) also means the number, where only one of these is a class.

  Args:
    key: int, float, str, bytes or ClassValue.
    classes: Known classes.

  Raises:
    ConfigError: if the key names no class, or more than one.
  """
  listed = list(classes)
  if isinstance(key, ClassValue):
    found = [value for value in listed if value == key]
  elif isinstance(key, bytes):
    found = [value for value in listed if value.value == key]
  elif isinstance(key, str):
    raw = key.encode('utf-8', 'surrogateescape')
    found = [value for value in listed if value.value == raw or key in _number_texts(value)]
  else:
    found = [value for value in listed if value.kind in ('int', 'float') and value.value == key]
  if len(found) == 1:
    return found[0]
  names = ', '.join(str(value) for value in listed)
  fault = 'is not a class' if not found else 'is the name of two classes of different type'
  raise ConfigError(f'{format_value(key)} {fault}; the classes are: {names}')


def match_classes(
  argument: str, by_key: Mapping[Any, Any], classes: Iterable[ClassValue]
) -> dict[ClassValue, Any]:
  """Returns a person's dict with classes as keys; see `match_class`.

  Raises:
    ConfigError: if a key names no class or more than one, or two keys name one.
  """
  listed = list(classes)
  found: dict[ClassValue, Any] = {}
  for key, item in by_key.items():
    value = match_class(key, listed)
    if value in found:
      raise ConfigError(f'{argument}= names class {value} twice; name it once')
    found[value] = item
  return found


def _number_texts(value: ClassValue) -> tuple[str, ...]:
  """Returns the texts of a number as the key of a dict in JSON: 1 or 1.0."""
  if not isinstance(value.value, (int, float)):
    return ()
  return str(value), str(float(value.value))
