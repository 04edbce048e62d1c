"""Documents: dataclasses that are written as JSON and read back; damage is named by its place.

The fields of a document's dataclass say what must be in the file, in the order of the file. One
that has a default, or may be None, may be absent or null; keys that are no fields are left alone,
so that readers of a version take what later releases add. A field whose default is None or empty is
not written where it has that value. A field's metadata may have

- `key`: its key in the file,
- `null`: the value that null stands for; the field is then always written,
- `name`: a function of its value; what it returns is written under the key 'name', for people,
- `write`: a function that makes JSON data of its value.

A document has the checksum of its values, not of its text: whoever hands it on as JSON data may
write it in another form. Documents of version 1 have none.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue

REMEDY = 'run the component that wrote it again, or copy the file again'
Count = Annotated[int, '0 or more']
_SHOWN = 60  # characters of a value
_SHOWN_DIGITS = 12  # of a checksum
_END = 2**63  # of whole numbers, which are int64 in use
_LARGEST = 1e100  # sums and squares of such numbers are finite
_CHECKSUM = 'checksum'  # key of the SHA-256 of all that is under the others
_CLASS_TYPES = {'int': int, 'float': float, 'bytes': bytes, 'missing': type(None), 'set': tuple}

_EMPTY: tuple[Any, ...] = (
  None,
  (),
  {},
)  # which a field whose default is one of them does not write

T = TypeVar('T')
D = TypeVar('D', bound='Document')
_Read = Callable[[Any], Any]


class Document:
  """A JSON file of this package. A subclass is a dataclass of what the file holds.

  Attributes:
    FORMAT: Value of the key 'format' of the file; None for files that have none, which people write
      too, without a checksum.
    VERSION: Newest version of the format that is read, the one that is written.
    NAME: Name of the document in messages, where it is from no file.
  """

  FORMAT: ClassVar[str | None]
  VERSION: ClassVar[int]
  NAME: ClassVar[str] = 'the document'

  def to_json(self) -> dict[str, Any]:
    """Returns JSON data with its checksum; `from_json` reads it back."""
    named = {} if self.FORMAT is None else {'format': self.FORMAT, 'version': self.VERSION}
    return sealed({**named, **self.values_json()})

  def values_json(self) -> dict[str, Any]:
    """Returns the fields as JSON data."""
    return fields_json(self)

  def dumps(self) -> str:
    """Returns the document as text: equal documents give equal text, a line an item."""
    with without_gc():  # of a million items
      return document_text(self.to_json())

  @classmethod
  def from_json(cls: type[D], data: Any, source: str | None = None) -> D:
    """Reads the document from JSON data, or from its text.

    Args:
      data: JSON data, or its text.
      source: Path of the file, for messages.

    Raises:
      DataError: if it is none, of a newer version, not whole, or contradicts itself.
    """
    source = source or cls.NAME
    return parsed_document(parse_json(data, source), source, cls)


def fields_json(part: Any) -> dict[str, Any]:
  """Returns the fields of a dataclass as JSON data."""
  data: dict[str, Any] = {}
  kind: Any = type(part)
  for name, key, is_optional, name_of, write_field in _written_fields(kind):
    value = getattr(part, name)
    if is_optional and not value and value in _EMPTY:
      continue
    data[key] = (write_field or _as_json)(value)
    if name_of is not None:
      data['name'] = name_of(value)
  return data


@functools.cache
def _written_fields(kind: Any) -> list[tuple[str, str, bool, _Read | None, _Read | None]]:
  """Returns name, key, whether it is left out where empty, name's and value's writer of fields."""
  rows = []
  for field in filter(lambda field: field.init, fields(kind)):
    has = field.metadata
    default = field.default if field.default_factory is MISSING else field.default_factory()
    is_optional = 'null' not in has and default in _EMPTY
    rows.append(
      (field.name, has.get('key', field.name), is_optional, has.get('name'), has.get('write'))
    )
  return rows


def _as_json(value: Any) -> Any:
  kind: Any = type(value)
  write = _writer(kind)
  return value if write is None else write(value)


@functools.cache
def _writer(kind: Any) -> _Read | None:
  """Returns the function that makes JSON data of values of a type; None if they are JSON data."""
  if hasattr(kind, 'to_json'):
    return kind.to_json
  if is_dataclass(kind):
    return fields_json
  if issubclass(kind, Mapping):
    return lambda value: {key: _as_json(item) for key, item in value.items()}
  return (lambda value: list(map(_as_json, value))) if issubclass(kind, tuple) else None


def parsed_document(data: Any, source: str, *kinds: type[T]) -> T:
  """Reads a document from JSON data.

  Args:
    data: JSON data.
    source: Path of the file, for messages.
    kinds: Documents that it may be.

  Raises:
    DataError: if it is none of the documents, of a newer version, damaged, or not whole.
  """
  with without_gc():
    kind = _kind_of(data, source, kinds)
    check_checksum(data, source)
    try:
      found: T = _reader(kind)(data)
    except _Fault as fault:
      raise DataError(f'{source} is not whole: {fault}; {REMEDY}') from fault
  return found


def read_part(data: Any, kind: Any) -> Any:
  """Returns the dataclass that `fields_json` wrote, of JSON data that this run wrote itself."""
  return _reader(kind)(data)


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
  """Stops the garbage collector in a `with`: documents have no cycles, and it takes half."""
  was_enabled = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if was_enabled:
      gc.enable()


def parse_json(data: Any, source: str) -> Any:
  """Returns the JSON data of a text; what is no text is returned as it is.

  Raises:
    DataError: if the text is not JSON.
  """
  if not isinstance(data, (str, bytes)):
    return data
  try:
    with without_gc():
      return json.loads(data, parse_constant=_no_number)
  except (ValueError, RecursionError) as error:
    raise DataError(f'{source} is not JSON ({error}); {REMEDY}') from error


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
  """Returns JSON data with its checksum, in the place of one that it may have."""
  rest = {key: value for key, value in data.items() if key != _CHECKSUM}
  return {**rest, _CHECKSUM: _checksum(rest)}


def document_text(data: Mapping[str, Any]) -> str:
  """Returns JSON data as text, the same for the same data: a line a value, or an item of one."""
  with without_gc():
    lines = [f'  {_encode(key)}: {_item_lines(value)}' for key, value in data.items()]
  return '{\n' + ',\n'.join(lines) + '\n}\n'


def _item_lines(value: Any) -> str:
  """Returns a mapping, or a list of anything but numbers, with a line for each item."""
  if isinstance(value, Mapping) and value:
    items, (start, end) = [f'{_encode(key)}: {_encode(item)}' for key, item in value.items()], '{}'
  elif isinstance(value, (list, tuple)) and value and not isinstance(value[0], (int, float)):
    items, (start, end) = list(map(_encode, value)), '[]'
  else:
    return _encode(value)
  return start + '\n    ' + ',\n    '.join(items) + f'\n  {end}'


def _checksum(data: Mapping[str, Any]) -> str:
  """Returns the SHA-256 of the canonical JSON of data: sorted keys, no spaces, in UTF-8."""
  digest = hashlib.sha256()
  for i, key in enumerate(sorted(data)):
    field = f'{"," if i else "{"}{_canonical(key)}:{_canonical(data[key])}'
    digest.update(field.encode('utf-8', 'surrogatepass'))
  digest.update(b'}')
  return digest.hexdigest()


def _canonical(value: Any) -> str:
  text = _encode_sorted(value)
  if '.0' in text:  # what rewrites JSON may write 3.0 as 3
    text = _encode_sorted(json.loads(text, parse_float=_without_zero))
  return text


def _without_zero(number: str) -> float:
  return int(number[:-2]) if number.endswith('.0') else float(number)


def check_checksum(data: Mapping[str, Any], source: str) -> None:
  """Checks that the checksum of a document is that of its values; raises DataError if not."""
  stated, version = data.get(_CHECKSUM), data.get('version', 1)
  if stated is None and version == 1:
    return
  try:
    found = _checksum({key: value for key, value in data.items() if key != _CHECKSUM})
  except (TypeError, ValueError, RecursionError) as error:
    found = f'none, {error}'
  if stated != found:
    has = 'no checksum' if stated is None else f'the checksum {str(stated)[:_SHOWN_DIGITS]}…'
    raise DataError(
      f'{source} has {has}, and its values come to {found[:_SHOWN_DIGITS]}…: it was damaged or '
      f'edited; {REMEDY}, or after an edit on purpose run `tfx_balance.seal_document(path)`'
    )


def is_document(data: Any, kind: Any) -> bool:
  """Returns whether JSON data says that it is a document of a kind."""
  return isinstance(data, Mapping) and data.get('format') == kind.FORMAT


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_encode_sorted = json.JSONEncoder(
  ensure_ascii=False, sort_keys=True, separators=(',', ':'), default=dict
).encode


def _no_number(text: str) -> Any:
  raise ValueError(f'{text} is not a number in JSON')


def _kind_of(data: Any, source: str, kinds: tuple[Any, ...]) -> Any:
  found = data.get('format') if isinstance(data, Mapping) else None
  for kind in kinds:
    if kind.FORMAT is None and found is None and isinstance(data, Mapping):
      if {field.name for field in fields(kind)} & set(data):
        return kind
    elif found == kind.FORMAT and found is not None:
      version = data.get('version')
      if isinstance(version, int) and 1 <= version <= kind.VERSION:
        return kind
      raise DataError(
        f'{source} has version {_shown(version)} of {found}, and this tfx-balance reads versions '
        f'up to {kind.VERSION}; upgrade tfx-balance, or {REMEDY}'
      )
  formats = sorted(kind.FORMAT for kind in kinds if kind.FORMAT)
  raise DataError(
    f'{source} has the format {_shown(found)}, which is not one of {formats}; give the file that a '
    f'component of tfx-balance wrote'
  )


class _Fault(Exception):
  """Fault of a value. Each reader on the way out adds its part of the place."""

  def __init__(self, text: str, names_place: bool = False) -> None:
    super().__init__(text)
    self.text, self.names_place, self.place = text, names_place, ''

  def inside(self, place: str) -> _Fault:
    """Returns the fault, seen from what holds the value at a place."""
    self.place = place + self.place
    return self

  def __str__(self) -> str:
    place = self.place.removeprefix('.')
    if self.names_place:
      return f'{place}: {self.text}' if place else self.text
    return f'{place or "it"} {self.text}'


def _wrong(value: Any, wanted: str) -> _Fault:
  return _Fault(f'is {_shown(value)}, and must be {wanted}')


@functools.cache
def _reader(kind: Any) -> _Read:
  """Returns the function that makes a value of a type from JSON data, or raises a fault."""
  if kind in _SCALARS:
    return _SCALARS[kind]
  origin, arguments = get_origin(kind), get_args(kind)
  if origin in (Union, types.UnionType):
    return _first_of([_reader(inner) for inner in arguments if inner is not type(None)])
  if origin is tuple:
    return _items(_reader(arguments[0]))
  if origin is Mapping:
    return _values(_reader(arguments[1]))
  return _row(kind) if issubclass(kind, tuple) else _record(kind)


def _scalar(wanted: str, is_right: Callable[[Any], bool]) -> _Read:
  def read(value: Any) -> Any:
    if is_right(value):
      return value
    raise _wrong(value, wanted)

  return read


def _first_of(readers: list[_Read]) -> _Read:
  def read(value: Any) -> Any:
    for attempt in readers[:-1]:
      with contextlib.suppress(_Fault):
        return attempt(value)
    return readers[-1](value)

  return read


def _items(read_item: _Read) -> _Read:
  def read(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
      raise _wrong(value, 'a list')
    found: list[Any] = []
    try:
      for item in value:
        found.append(read_item(item))
    except _Fault as fault:
      raise fault.inside(f'[{len(found)}]') from None
    return tuple(found)

  return read


def _values(read_value: _Read) -> _Read:
  def read(value: Any) -> Any:
    if not isinstance(value, (dict, Mapping)):
      raise _wrong(value, 'a mapping')
    found, name = {}, None
    try:
      for name, inner in value.items():
        found[name] = read_value(inner)
    except _Fault as fault:
      raise fault.inside(f'[{name!r}]') from None
    return found

  return read


def _row(kind: Any) -> _Read:
  """Returns the reader of a NamedTuple, which is a list in JSON."""
  readers = [_reader(hint) for hint in get_type_hints(kind, include_extras=True).values()]

  def read(value: Any) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != len(readers):
      raise _wrong(value, f'a list of {len(readers)}')
    return kind(*(read_item(item) for read_item, item in zip(readers, value, strict=True)))

  return read


def _record(kind: Any) -> _Read:
  """Returns the reader of a dataclass, which is a mapping in JSON."""
  hints = get_type_hints(kind, include_extras=True)
  keys, absent, needed = {}, {}, []  # by key, by name, keys
  for field in fields(kind):
    if field.init:
      key, hint = field.metadata.get('key', field.name), hints[field.name]
      keys[key] = field.name, _reader(hint)
      if type(None) in get_args(hint) or 'null' in field.metadata:
        absent[field.name] = field.metadata.get('null')
      elif field.default is field.default_factory is MISSING:
        needed.append(key)
  nullable = {key for key in keys if key not in needed}

  def read(value: Any) -> Any:
    if not isinstance(value, (dict, Mapping)):
      raise _wrong(value, 'a mapping')
    for key in needed:
      if key not in value:
        raise _Fault(f'has no {key!r}')
    found, key = absent.copy(), ''
    try:
      for key, item in value.items():
        if key in keys and not (item is None and key in nullable):
          name, read_field = keys[key]
          found[name] = read_field(item)
      return kind(**found)
    except _Fault as fault:
      raise fault.inside(f'.{key}') from None
    except ValueError as error:  # of a dataclass that checks itself
      raise _Fault(str(error), names_place=True) from error

  return read


def _read_class(value: Any) -> ClassValue:
  with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):
    found = ClassValue.from_json(value)
    labels = found.value if isinstance(found.value, tuple) else (found,)
    if all(type(label.value) is _CLASS_TYPES.get(label.kind) for label in (found, *labels)):
      return found
  raise _wrong(value, 'a class, with its type and value')


_read_flag = _scalar('true or false', lambda value: isinstance(value, int) and value in (0, 1))
_SCALARS: dict[Any, _Read] = {
  str: _scalar('a text', lambda value: type(value) is str),
  int: _scalar(
    'a whole number of 64 bits', lambda value: type(value) is int and -_END <= value < _END
  ),
  bool: lambda value: bool(_read_flag(value)),
  Count: _scalar(
    'a whole number, 0 or more and below 2**63',
    lambda value: type(value) is int and 0 <= value < _END,
  ),
  float: _scalar(
    f'a number between -{_LARGEST:g} and {_LARGEST:g}',
    lambda value: type(value) in (int, float) and -_LARGEST < value < _LARGEST,
  ),
  ClassValue: _read_class,
  Any: lambda value: value,
}


def _shown(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'
