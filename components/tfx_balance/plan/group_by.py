"""What groups are made of."""

from __future__ import annotations

from collections.abc import Callable
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
    key_of: Function of values of a feature, [m], to what groups are made of, [m]; None for the
      values themselves.
  """

  features: tuple[str, ...]
  missing: str = 'error'
  key_of: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None
