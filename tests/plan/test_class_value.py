"""A class is a value with its type: 1, 1.0 and b'1' stay three things, in JSON too."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import (
  MISSING,
  ClassValue,
  match_class,
  stratum_key,
  stratum_name,
)

INTS = st.integers(-(2**63), 2**63 - 1).map(lambda value: ClassValue('int', value))
FLOATS = st.integers(-(2**53), 2**53).map(lambda value: ClassValue('float', float(value)))
TEXTS = st.text().map(lambda value: ClassValue('bytes', value.encode('utf-8')))
BYTES = st.binary().map(lambda value: ClassValue('bytes', value))
# Few values, so that two of another type but of one look are drawn together.
TWINS = st.sampled_from(
  [ClassValue('int', 1), ClassValue('float', 1.0), ClassValue('bytes', b'1'), MISSING]
)
CLASSES = INTS | FLOATS | TEXTS | BYTES | TWINS


def text(value):
  return ClassValue('bytes', value.encode('utf-8'))


# --- JSON


@given(CLASSES)
def test_json_holds_the_value_and_its_type(value):
  written = json.dumps(value.to_json(), allow_nan=False)
  read = ClassValue.from_json(json.loads(written))
  assert read == value
  assert type(read.value) is type(value.value)


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    pytest.param(ClassValue('int', -3), {'type': 'int', 'value': -3}, id='int'),
    pytest.param(ClassValue('float', 3.0), {'type': 'float', 'value': 3.0}, id='float'),
    pytest.param(ClassValue('bytes', b''), {'type': 'bytes', 'value': ''}, id='empty'),
    pytest.param(text('zwölf 🐈'), {'type': 'bytes', 'value': 'zwölf 🐈'}, id='UTF-8'),
    pytest.param(
      ClassValue('bytes', b'\xff\x00'),
      {'type': 'bytes', 'value': '/wA=', 'encoding': 'base64'},
      id='no UTF-8',
    ),
    pytest.param(
      ClassValue('bytes', b'\xed\xa0\x80'),
      {'type': 'bytes', 'value': '7aCA', 'encoding': 'base64'},
      id='a surrogate is no UTF-8',
    ),
    pytest.param(
      ClassValue('bytes', b'/wA='), {'type': 'bytes', 'value': '/wA='}, id='like base64'
    ),
    pytest.param(MISSING, {'type': 'missing', 'value': None}, id='missing'),
  ],
)
def test_json_as_documented(value, expected):
  assert value.to_json() == expected


def test_a_float_that_other_software_wrote_as_a_whole_number_is_a_float():
  read = ClassValue.from_json({'type': 'float', 'value': 3})
  assert type(read.value) is float
  assert read == ClassValue('float', 3.0)


# --- order


@given(st.lists(CLASSES), st.data())
def test_classes_have_one_order(values, data):
  assert sorted(data.draw(st.permutations(values))) == sorted(values)


def test_classes_are_ordered_by_type_then_by_value():
  ordered = [ClassValue('int', -1), ClassValue('int', 2), ClassValue('int', 10)]
  ordered += [ClassValue('float', -1.0), ClassValue('float', 3.0)]
  ordered += [ClassValue('bytes', b''), ClassValue('bytes', b'10'), ClassValue('bytes', b'9')]
  ordered += [ClassValue('bytes', b'\xff'), MISSING]
  assert sorted(reversed(ordered)) == ordered


# --- names and keys of strata


@pytest.mark.parametrize(
  ('stratum', 'name'),
  [
    pytest.param((ClassValue('int', 0),), '0', id='zero'),
    pytest.param((ClassValue('int', -(2**63)),), '-9223372036854775808', id='smallest int'),
    pytest.param((ClassValue('float', 3.0),), '3', id='float'),
    pytest.param((ClassValue('float', -0.0),), '0', id='negative zero'),
    pytest.param((text('zwölf 🐈'),), 'zwölf 🐈', id='emoji'),
    pytest.param((text("'it''s' \"quoted\""),), "'it''s' \"quoted\"", id='quotes'),
    pytest.param((text(''),), '', id='empty'),
    pytest.param((ClassValue('bytes', b'a\xff'),), 'a\\xff', id='no UTF-8'),
    pytest.param((MISSING,), '(missing)', id='missing'),
    pytest.param((ClassValue('int', 3), text('left'), MISSING), '3 / left / (missing)', id='joint'),
  ],
)
def test_how_a_stratum_is_shown(stratum, name):
  assert stratum_name(stratum) == name


@pytest.mark.parametrize('control', ['\n', '\r', '\0', '\x1b[2J', '\u2028', '\u202e'], ids=repr)
def test_a_name_stays_on_its_line(control):
  name = stratum_name((text(f'a{control}b'),))
  assert name.isprintable()
  assert name.startswith('a')
  assert name.endswith('b')


STRATA = st.lists(CLASSES, max_size=3).map(tuple)


@given(STRATA, STRATA)
def test_keys_are_equal_for_equal_strata_only(left, right):
  assert (stratum_key(left) == stratum_key(right)) == (left == right)
  # Splits that people have depend on the keys: a change must raise ALGORITHM_VERSION.
  assert stratum_key(left) == json.dumps([value.to_json() for value in left], sort_keys=True)


@pytest.mark.parametrize(
  ('left', 'right'),
  [
    pytest.param((ClassValue('int', 1),), (ClassValue('float', 1.0),), id='types'),
    pytest.param((ClassValue('int', 1),), (text('1'),), id='number and text'),
    pytest.param((text('a / b'),), (text('a'), text('b')), id='joint and single'),
    pytest.param((text('(missing)'),), (MISSING,), id='missing and its name'),
    pytest.param((text('\\xff'),), (ClassValue('bytes', b'\xff'),), id='escape and byte'),
  ],
)
def test_keys_tell_apart_what_looks_the_same(left, right):
  assert stratum_name(left) == stratum_name(right)
  assert stratum_key(left) != stratum_key(right)


# --- match_class

INT, FLOAT, TEXT = ClassValue('int', 1), ClassValue('float', 1.0), ClassValue('bytes', b'1')
OTHERS = [ClassValue('int', 2), ClassValue('float', 2.0), text('b'), MISSING]


@pytest.mark.parametrize(
  ('key', 'classes', 'expected'),
  [
    pytest.param(1, [INT], INT, id='int for int'),
    pytest.param(1, [FLOAT], FLOAT, id='int for float'),
    pytest.param(1.0, [INT], INT, id='float for int'),
    pytest.param(1, [INT, TEXT], INT, id='int, and text is no rival'),
    pytest.param('1', [TEXT], TEXT, id='str for bytes'),
    pytest.param(b'1', [TEXT], TEXT, id='bytes for bytes'),
    pytest.param('1', [INT], INT, id='str of digits for int, as in JSON'),
    pytest.param('-7', [ClassValue('int', -7)], ClassValue('int', -7), id='str for negative int'),
    pytest.param('1', [FLOAT], FLOAT, id='str of digits for float'),
    pytest.param(
      '1.0',
      [FLOAT],
      FLOAT,
      id='str of a float, as in JSON',
    ),
    pytest.param(
      b'1',
      [INT, TEXT],
      TEXT,
      id='bytes, and int is no rival',
    ),
    pytest.param('zwölf 🐈', [text('zwölf 🐈')], text('zwölf 🐈'), id='UTF-8'),
    pytest.param('', [text('')], text(''), id='empty'),
    pytest.param(
      b'\xff', [ClassValue('bytes', b'\xff')], ClassValue('bytes', b'\xff'), id='no UTF-8'
    ),
    pytest.param(FLOAT, [INT, FLOAT, TEXT], FLOAT, id='ClassValue among its likes'),
    pytest.param(MISSING, [INT], MISSING, id='missing'),
  ],
)
def test_what_a_key_means(key, classes, expected):
  assert match_class(key, [*classes, *OTHERS]) == expected


@pytest.mark.parametrize(
  ('key', 'classes'),
  [
    pytest.param(1, [INT, FLOAT], id='int for int and float'),
    pytest.param('1', [INT, TEXT], id='str of digits for int and bytes'),
    pytest.param('1', [INT, FLOAT], id='str of digits for int and float'),
  ],
)
def test_a_key_that_means_two_classes_is_an_error(key, classes):
  message = rf'^{key!r} is the name of two classes of different type; the classes are: 1, 1, b$'
  with pytest.raises(ConfigError, match=message):
    match_class(key, [*classes, text('b')])


@pytest.mark.parametrize(
  'key', [3, 3.5, '3', b'3', float('nan'), None, '', ClassValue('float', 2.5), (1,)], ids=repr
)
def test_a_key_that_means_no_class_is_an_error_that_lists_the_classes(key):
  with pytest.raises(ConfigError, match=r'is not a class; the classes are: 1, b, \(missing\)$'):
    match_class(key, [INT, text('b'), MISSING])


def test_bytes_are_never_a_number():
  with pytest.raises(ConfigError, match=r"^b'1' is not a class; the classes are: 1$"):
    match_class(b'1', [INT])


@given(st.lists(INTS | TEXTS | BYTES, min_size=1, unique_by=str))
def test_classes_of_different_looks_are_found_by_their_own_value(classes):
  for value in classes:
    assert match_class(value.value, classes) == value
    assert match_class(value, classes) == value
