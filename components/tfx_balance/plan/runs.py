"""Runs: neighbours in sorted columns that are equal, and ranges of places."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def starts_of_runs(*columns: npt.NDArray[Any]) -> Ints:
  """Returns the place of the first of each run of rows that are equal in all columns: int64 [runs].

  >>> starts_of_runs(np.array([3, 3, 5, 5]), np.array([1, 1, 1, 2])).tolist()
  [0, 2, 3]

  Args:
    *columns: Columns of equal length, one at least: [n].
  """
  new = np.zeros(len(columns[0]), np.bool_)
  new[:1] = True
  for column in columns:
    new[1:] |= column[1:] != column[:-1]
  return np.flatnonzero(new)


def places_of_runs(starts: Ints, lengths: Ints) -> Ints:
  """Returns the places in runs, one run after another: int64 [sum of lengths].

  >>> places_of_runs(np.array([7, 2]), np.array([2, 3])).tolist()
  [7, 8, 2, 3, 4]
  """
  ends = np.cumsum(lengths)
  places: Ints = np.arange(int(lengths.sum())) + np.repeat(starts - ends + lengths, lengths)
  return places


def sums_of_runs(values: npt.NDArray[Any], starts: Ints) -> npt.NDArray[Any]:
  """Returns the sum of each run of values, of the runs' first places and the end: [n]."""
  return np.add.reduceat(values, starts[:-1]) if len(starts) > 1 else values[:0]


def places_in_runs(starts: Ints, n: int) -> Ints:
  """Returns the place of each of n rows in its run, from 0, given the first place of each run.

  >>> places_in_runs(np.array([0, 3]), 5).tolist()
  [0, 1, 2, 0, 1]
  """
  lengths = np.diff(np.append(starts, n))
  return np.arange(n) - np.repeat(starts, lengths)


def numbers_of_equal(values: npt.NDArray[Any]) -> Ints:
  """Returns the number of equal values before each value: int64 [n].

  >>> numbers_of_equal(np.array([7, 5, 7, 7, 5])).tolist()
  [0, 0, 1, 2, 1]
  """
  order = np.argsort(values, kind='stable')
  numbers = np.empty(len(values), np.int64)
  numbers[order] = places_in_runs(starts_of_runs(values[order]), len(values))
  return numbers


def concatenated(several: Iterable[Any], *names: str) -> list[npt.NDArray[Any]]:
  """Returns attributes of these names, arrays, each of several objects one after another."""
  parts = list(several)
  return [np.concatenate([getattr(one, name) for one in parts]) for name in names]
