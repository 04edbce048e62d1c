"""A class: a value with its type, so that 1, '1' and b'1' stay three things.

Features hold int64, bytes or float32. A float is a class when it is integral. Text is bytes in
UTF-8. A record without a value is of the class `MISSING`.
"""

from __future__ import annotations

import base64
import json
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import shown
from tfx_balance.errors import ConfigError, DataError

Kind = Literal['int', 'bytes', 'float', 'missing']
_ORDER: dict[str, int] = {'int': 0, 'float': 1, 'bytes': 2, 'missing': 3}


class ClassValue(NamedTuple):
  """One class of one feature. There may be thousands in each of many files, hence no dataclass.

  Attributes:
    kind: the type of the feature's values; 'missing' where the record has none.
    value: int, float or bytes as kind says; None for 'missing'.
  """

  kind: Kind
  value: int | float | bytes | None

  def __str__(self) -> str:
    if self.kind == 'missing':
      return '(missing)'
    if isinstance(self.value, bytes):
      return _printable(self.value.decode('utf-8', 'backslashreplace'))
    return str(int(self.value or 0))

  def __lt__(self, other: ClassValue) -> bool:  # type: ignore[override]
    return self.sort_key() < other.sort_key()

  def __gt__(self, other: ClassValue) -> bool:  # type: ignore[override]
    return other < self

  def sort_key(self) -> tuple[int, Any]:
    """Returns what orders classes: by type, then by value."""
    return _ORDER[self.kind], 0 if self.value is None else self.value

  def to_json(self) -> dict[str, Any]:
    """Returns `{type, value}`; bytes that are not UTF-8 get `encoding: base64`."""
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
    if kind == 'bytes':
      value = base64.b64decode(value) if data.get('encoding') == 'base64' else value.encode('utf-8')
    return cls(kind, float(value) if kind == 'float' else value)


MISSING = ClassValue('missing', None)
_KEYS = json.JSONEncoder(sort_keys=True)  # json.dumps makes one for each call, which takes longer

Stratum = tuple[ClassValue, ...]
"""A class of each feature that the data is stratified by."""


def stratum_name(stratum: Stratum) -> str:
  """Returns how a stratum is shown to a person.

  >>> stratum_name((ClassValue('int', 3), ClassValue('bytes', b'left')))
  '3 / left'
  """
  return ' / '.join(str(value) for value in stratum)


def stratum_key(stratum: Stratum) -> str:
  """Returns a text that is equal for equal strata only: what ties are broken by."""
  return _KEYS.encode([value.to_json() for value in stratum])


def check_key(argument: str, key: Any) -> Any:
  """Returns the key of a dict, by which a person means a class.

  Raises:
    ConfigError: if it is of a type that names no class.
  """
  if isinstance(key, (str, bytes, numbers.Real, ClassValue)) and not isinstance(key, bool):
    return key
  raise ConfigError(f'{argument} has the key {shown(key)}; name a class by a number, text or bytes')


def as_labels(labels: Any) -> npt.NDArray[Any]:
  """Returns labels as an array.

  Raises:
    DataError: if rows differ in length, or text and numbers are mixed, which NumPy makes all text.
  """
  try:
    values = np.asarray(labels)
  except (TypeError, ValueError) as error:
    raise DataError(f'labels are no array ({error}); give one label an item') from error
  if values.dtype.kind in 'US' and values.ndim == 1 and not isinstance(labels, np.ndarray):
    for label in labels:
      if not isinstance(label, (str, bytes)):
        raise DataError(f'label {shown(label)} is no text, and others are; give labels of one type')
  return values


def match_class(key: Any, classes: Iterable[ClassValue]) -> ClassValue:
  """Returns the class that a person means by the key of a dict.

  An int means the int or the integral float of that value, a str or bytes the bytes; a str of
  digits (as dicts in JSON have them) also means the number, where only one of these is a class.

  Args:
    key: int, float, str, bytes or ClassValue.
    classes: the classes there are.

  Raises:
    ConfigError: if the key names no class, or more than one.
  """
  known = list(classes)
  if isinstance(key, ClassValue):
    found = [value for value in known if value == key]
  elif isinstance(key, bytes):
    found = [value for value in known if value.value == key]
  elif isinstance(key, str):
    raw = key.encode('utf-8', 'surrogateescape')
    found = [value for value in known if value.value == raw or key in _number_texts(value)]
  else:
    found = [value for value in known if value.kind in ('int', 'float') and value.value == key]
  if len(found) == 1:
    return found[0]
  names = ', '.join(str(value) for value in known)
  fault = 'is not a class' if not found else 'is the name of two classes of different type'
  raise ConfigError(f'{shown(key)} {fault}; the classes are: {names}')


def _number_texts(value: ClassValue) -> tuple[str, ...]:
  """Returns how JSON may write a number as the key of a dict: 1 or 1.0."""
  if value.kind not in ('int', 'float') or value.value is None:
    return ()
  return str(value), str(float(value.value))


def _printable(text: str) -> str:
  """Returns a text in which what a terminal would act on is escaped: line ends, colours, bidi."""
  return ''.join(
    char if char.isprintable() else char.encode('unicode_escape').decode('ascii') for char in text
  )
