"""JSON that a component wrote, read back: what is damaged is named by its file and its place.

A `Document` says what must be there, not all that may be: readers of a version take what later
releases add to it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue

REMEDY = 'run the component that wrote it again, or copy the file again'
_SHOWN = 60  # characters of a value


@dataclass(frozen=True)
class Maybe:
  """A part that may be absent, and where `null` says so, null."""

  shape: Shape
  null: bool = True


Shape = Any
"""What a value must be: 'count', 'int', 'number', 'flag', 'class' or 'any'; the type str; a list of
one shape, of all its items; a dict of key to shape, or of the type str to the shape of all values;
a `Maybe`."""


@dataclass(frozen=True)
class Document:
  """A kind of JSON file.

  Attributes:
    format: what its 'format' is; None for one that has none.
    version: the newest that is read.
    shape: a dict.
  """

  format: str | None
  version: int
  shape: Shape


def parse_document(data: Any, source: str, *documents: Document) -> Any:
  """Returns JSON data that is whole, as one of some documents says.

  Args:
    data: JSON data, or its text.
    source: its path, for messages.
    documents: that it may be.

  Raises:
    DataError: if it is no JSON, none of the documents, of a newer version, or not whole.
  """
  if isinstance(data, (str, bytes)):
    data = parse_json(data, source)
  return check_document(data, source, *documents)


def check_document(data: Any, source: str, *documents: Document) -> Any:
  """Returns JSON data, checked as `parse_document` does."""
  document = _document_of(data, source, documents)
  fault = _fault(data, document.shape, '')
  if fault:
    raise DataError(f'{source} is not whole: {fault}; {REMEDY}')
  return data


def parse_json(text: str | bytes, source: str) -> Any:
  """Returns the JSON data of a text.

  Raises:
    DataError: if it is none.
  """
  try:
    return json.loads(text, parse_constant=_no_number)
  except (ValueError, RecursionError) as error:
    raise DataError(f'{source} is not JSON ({error}); {REMEDY}') from error


def _no_number(text: str) -> Any:
  raise ValueError(f'{text} is not a number in JSON')


def _document_of(data: Any, source: str, documents: tuple[Document, ...]) -> Document:
  found = data.get('format') if isinstance(data, Mapping) else None
  for document in documents:
    if document.format is None and found is None and isinstance(data, Mapping):
      if set(document.shape) & set(data):
        return document
    elif document.format == found and found is not None:
      version = data.get('version')
      if isinstance(version, int) and 1 <= version <= document.version:
        return document
      raise DataError(
        f'{source} has version {_shown(version)} of {found}, and this tfx-balance reads versions '
        f'up to {document.version}; upgrade tfx-balance, or {REMEDY}'
      )
  known = sorted(document.format for document in documents if document.format)
  raise DataError(
    f'{source} has the format {_shown(found)}, which is not one of {known}; give the file that a '
    f'component of tfx-balance wrote'
  )


def _fault(value: Any, shape: Shape, place: str) -> str | None:
  """Returns what is wrong with a value, with its place; None if nothing is."""
  if isinstance(shape, Maybe):
    return None if value is None and shape.null else _fault(value, shape.shape, place)
  if isinstance(shape, dict):
    return _fault_in_dict(value, shape, place)
  if isinstance(shape, list):
    if not isinstance(value, list):
      return _told(value, place, 'a list')
    faults = (_fault(item, shape[0], f'{place}[{i}]') for i, item in enumerate(value))
    return next(filter(None, faults), None)
  wanted, is_right = _KINDS[shape]
  return None if is_right(value) else _told(value, place, wanted)


def _fault_in_dict(value: Any, shape: Mapping[Any, Shape], place: str) -> str | None:
  if not isinstance(value, Mapping):
    return _told(value, place, 'a mapping')
  for key, inner in shape.items():
    for name in value if key is str else [key]:
      if name not in value:
        if isinstance(inner, Maybe):
          continue
        return f'{place or "it"} has no {name!r}'
      at = f'{place}[{name!r}]' if key is str else f'{place}.{name}'.lstrip('.')
      fault = _fault(value[name], inner, at)
      if fault:
        return fault
  return None


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _is_class(value: Any) -> bool:
  try:
    found = ClassValue.from_json(value)
  except (KeyError, TypeError, AttributeError, ValueError):
    return False
  of_kind = {'int': int, 'float': float, 'bytes': bytes, 'missing': type(None)}
  return isinstance(found.kind, str) and type(found.value) is of_kind.get(found.kind)


_KINDS: dict[Any, Any] = {
  str: ('a text', lambda value: isinstance(value, str)),
  'any': ('anything', lambda value: True),
  'int': ('a whole number', _is_int),
  'count': ('a whole number, 0 or more', lambda value: _is_int(value) and value >= 0),
  'number': (
    'a finite number',
    lambda value: _is_int(value) or (isinstance(value, float) and math.isfinite(value)),
  ),
  'flag': ('true or false', lambda value: isinstance(value, int) and value in (0, 1)),
  'class': ('a class, with its type and value', _is_class),
}


def _told(value: Any, place: str, wanted: str) -> str:
  return f'{place or "it"} is {_shown(value)}, and must be {wanted}'


def _shown(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'
