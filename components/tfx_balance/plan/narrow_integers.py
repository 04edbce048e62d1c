"""Columns of integers in few bytes: what workers send to each other of counts of many cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def narrow(values: Ints) -> npt.NDArray[Any]:
  """Returns the values as integers of the narrowest type that holds all.

  >>> narrow(np.array([3, 256])).dtype, narrow(np.array([3, -1])).dtype
  (dtype('uint16'), dtype('int16'))

  Args:
    values: int64, of any shape.
  """
  ends = (int(values.min(initial=0)), int(values.max(initial=0)))
  kind = np.promote_types(*map(np.min_scalar_type, ends))
  return values.astype(kind) if kind.itemsize < values.itemsize else values


def wide(values: npt.NDArray[Any]) -> Ints:
  """Returns the column from which `narrow` made another."""
  return values.astype(np.int64)


def narrow_fields(state: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
  """Returns the state of an object with the columns of these names narrow; None stays None."""
  found = {name: state[name] for name in names if state[name] is not None}
  return {**state, **{name: narrow(values) for name, values in found.items()}}


def wide_fields(state: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
  """Returns the fields from which `narrow_fields` made others."""
  found = {name: state[name] for name in names if state[name] is not None}
  return {**state, **{name: wide(values) for name, values in found.items()}}


def steps(ascending: Ints) -> npt.NDArray[Any]:
  """Returns ascending values of 0 or above, int64 [n], as their narrow differences."""
  return narrow(np.diff(ascending, prepend=0))


def from_steps(differences: npt.NDArray[Any]) -> Ints:
  """Returns the values from which `steps` made differences."""
  return np.cumsum(differences, dtype=np.int64)
