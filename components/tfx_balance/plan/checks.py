"""A check: a rule, what was measured, the limit, and a sentence for a person."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx_balance.plan.class_value import ClassValue

NAME_WIDTH = 60
"""Characters of a class's name that a table or a sentence shows."""


@dataclass(frozen=True)
class Check:
  """What came of one rule in one place.

  Attributes:
    rule: Name of the argument that sets its limit; 'domain' or 'schema' for a schema's rules.
    split: Name of the split that was checked.
    other: Name of what it was compared with: a split, or one of the baseline; None for nothing.
    value: Class that it is about; None for the split as a whole.
    measured: Value that was measured; inf is null in JSON.
    limit: Least or largest value that is allowed.
    passed: Whether the rule holds.
    message: Sentence for a person.
  """

  rule: str
  split: str
  other: str | None
  value: ClassValue | None = field(metadata={'key': 'class'})
  measured: float = field(metadata={'null': math.inf})
  limit: float
  passed: bool
  message: str

  def to_json(self) -> dict[str, Any]:
    """Returns JSON data; a measured inf is null."""
    return {
      'rule': self.rule,
      'split': self.split,
      'other': self.other,
      'class': None if self.value is None else self.value.to_json(),
      'name': None if self.value is None else str(self.value),
      'measured': self.measured if math.isfinite(self.measured) else None,
      'limit': self.limit,
      'passed': self.passed,
      'message': self.message,
    }


def failed(checks: Iterable[Check]) -> list[Check]:
  """Returns the checks that did not pass."""
  return [check for check in checks if not check.passed]


def violated_and_worst(checks: Sequence[Check]) -> Iterator[Check]:
  """Yields the checks of one rule and split that did not pass, worst first, and one that did.

  The one is what came closest to its limit: of 10,000 classes it tells what the others are like.
  """
  by_distance = sorted(checks, key=lambda check: abs(check.measured - check.limit))
  yield from reversed([check for check in by_distance if not check.passed])
  yield from [check for check in by_distance if check.passed][:1]


def short_name(value: ClassValue) -> str:
  """Returns a class's name for a sentence; of a long one the beginning and the end.

  >>> short_name(ClassValue('bytes', b'x' * 50 + b'y' * 50))
  'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…yyyyyyyyyyyyyy'
  """
  return cut(str(value), NAME_WIDTH)


def cut(text: str, width: int) -> str:
  """Returns a text of at most so many characters, the middle of a longer one left out."""
  if len(text) <= width:
    return text
  end = width // 4 - 1
  return f'{text[: width - end - 1]}…{text[-end:]}'


def number(value: float) -> str:
  """Returns a number as a person reads it: six digits, no exponent for whole ones.

  >>> number(0.4), number(1250000), number(math.inf)
  ('0.4', '1250000', 'infinite')
  """
  if math.isinf(value):
    return 'infinite'
  return str(int(value)) if value == int(value) else f'{value:.6g}'


def percent(share: float) -> str:
  """Returns a share in percent.

  >>> percent(0.125)
  '12.5 %'
  """
  return f'{number(round(share * 100, 10))} %'
