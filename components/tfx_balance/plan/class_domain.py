"""Which classes a schema allows."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_balance.plan.class_value import ClassValue, Kind

MAX_LISTED = 100_000
"""A range of more integers than this is a range, not a list of classes."""


@dataclass(frozen=True)
class ClassDomain:
  """The classes that may occur: a range of numbers, or a set of values.

  Attributes:
    low: the smallest number; None for no bound.
    high: the largest one.
    values: bytes that may occur; None where numbers may.
    listed: whether each class of the domain is one to be expected, as a categorical domain says.
    min_mass: the least share of the records that must be of the domain.
  """

  low: float | None = None
  high: float | None = None
  values: frozenset[bytes] | None = None
  listed: bool = False
  min_mass: float = 1.0

  @property
  def max_outside(self) -> float:
    """The largest share of the records that may be of other classes.

    >>> ClassDomain(min_mass=0.9).max_outside
    0.1
    """
    return round(1 - self.min_mass, 12)

  def __contains__(self, value: ClassValue) -> bool:
    if self.values is not None:
      return value.value in self.values
    if isinstance(value.value, bytes) or value.value is None:
      return False
    return (self.low is None or value.value >= self.low) and (
      self.high is None or value.value <= self.high
    )

  def classes(self, kind: Kind) -> list[ClassValue]:
    """Returns all the classes of the domain, none where it does not list them.

    >>> [str(value) for value in ClassDomain(0, 2, listed=True).classes('int')]
    ['0', '1', '2']

    Args:
      kind: of the label's values.
    """
    if self.values is not None:
      return sorted(ClassValue('bytes', value) for value in self.values)
    if not self.listed or self.low is None or self.high is None or kind == 'bytes':
      return []
    if self.high - self.low >= MAX_LISTED:
      return []
    numbers = range(int(self.low), int(self.high) + 1)
    return [ClassValue(kind, float(n) if kind == 'float' else n) for n in numbers]
