"""Parts of the sentences in documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NAME_LENGTH = 36
_SHOWN = 5  # the cells of a document have them all
EXAMPLES = 3  # of sentences of one kind


def some_of(names: Sequence[str], most: int = _SHOWN, separator: str = ', ') -> str:
  """Returns the first names, and how many there are more.

  >>> some_of(list('abcdefg'))
  'a, b, c, d, e, and 2 more'
  """
  more = len(names) - most
  return separator.join([*names[:most], *([f'and {more} more'] if more > 0 else [])])


def gathered(what: str, sentences: Sequence[str]) -> list[str]:
  """Returns warnings of one kind; more than three as one, with their number and three examples.

  >>> gathered('4 are small', ['a is', 'b is', 'c is', 'd is'])
  ['4 are small: a is; b is; c is; and 1 more']

  Args:
    what: What there are so many of, for the one.
    sentences: The warnings.
  """
  if len(sentences) <= EXAMPLES:
    return list(sentences)
  return [f'{what}: {some_of(sentences, EXAMPLES, "; ")}']


def short(name: str, length: int = NAME_LENGTH) -> str:
  """Returns a name that fits, shortened in the middle: names often differ at one of their ends.

  >>> short('a' * 30 + 'b' * 30, 11)
  'aaaaa…bbbbb'
  """
  if len(name) <= length:
    return name
  keep = length - 1
  return f'{name[: keep - keep // 2]}…{name[len(name) - keep // 2 :]}'


def signed_difference(value: float) -> str:
  """Returns a difference of a metric with its sign, which is a plus for what is rounded to 0.

  >>> signed_difference(0.0321), signed_difference(-0.0001)
  ('+0.032', '+0.000')
  """
  return f'{round(value, 3) + 0.0:+.3f}'


def plain_number(value: Any) -> float | int:
  """Returns a fraction as JSON has it: whole numbers as such."""
  return int(value) if value == int(value) else float(value)
