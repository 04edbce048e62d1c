"""How a failing test tells what differs."""

from tests.conftest import pytest_assertrepr_compare


def test_files_that_differ_are_named_and_not_compared_by_lines():
  same, one, two = b'same', b'\0' * 400_000, b'\0' * 300_000 + b'\1' * 99_998
  message = pytest_assertrepr_compare('==', {'a': same, 'b': one}, {'a': same, 'b': two, 'c': same})
  assert message == [
    'the files differ',
    'b: 400000 bytes, 399998 bytes; they differ from byte 300000 on',
    'c: only right',
  ]


def test_what_is_not_files_is_told_by_pytest():
  assert pytest_assertrepr_compare('==', {'a': 1}, {'a': 2}) is None
  assert pytest_assertrepr_compare('!=', {'a': b''}, {'a': b''}) is None
