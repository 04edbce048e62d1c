"""Features that make groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class GroupBy:
  """Features whose values make groups, each of which is in one split.

  Attributes:
    features: Names of the features; records with equal values of all of them are a group.
    missing: Treatment of a record without a value of one of them: 'error', 'own' for a group of its
      own, together with records that are equal to it, or 'drop'.
  """

  features: tuple[str, ...]
  missing: str = 'error'

  def parts_of(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns the values that make groups, given values of a feature: [m], here these values.

    A mode may have a subclass whose groups are of ranges of values.
    """
    return values
