"""Numbers as classes: bins between edges, which are given or are quantiles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfx_balance.errors import DataError
from tfx_balance.plan.number_keys import keys_of, numbers_of
from tfx_balance.plan.ranks import Ints, UInts

_INT64 = 1 << 63


def edge_keys(edges: Sequence[float], kind: str) -> UInts:
  """Returns the keys of edges among numbers of a type, 'int' or 'float': uint64 [edges].

  Raises:
    DataError: if an edge is beyond 64-bit integers, and these are of such.
  """
  if kind == 'float':
    return keys_of(np.array(edges, np.float64))
  for edge in edges:
    if not -_INT64 <= edge <= _INT64 - 1:
      raise DataError(f'the edge {edge} of bins= is beyond 64-bit integers; leave it out')
  return keys_of(np.array([math.ceil(edge) for edge in edges], np.int64))


def bins_of(keys: UInts, edges: UInts) -> Ints:
  """Returns the bin of each number, 0 below the first edge: int64 [n], of keys and edges' keys."""
  return np.searchsorted(edges, keys, side='right').astype(np.int64)


def quantile_edges(lowest: UInts, kind: str) -> tuple[float, ...]:
  """Returns the edges between quantile bins, fewer than bins where many numbers are equal.

  Infinity is no edge: it is in the last bin.

  Args:
    lowest: Key of the first number of each bin: uint64 [bins].
    kind: Type of the numbers, 'int' or 'float'.
  """
  found = numbers_of(np.unique(lowest)[1:], kind).tolist()
  return tuple(edge for edge in found if math.isfinite(edge))


def bin_names(edges: Sequence[float]) -> list[str]:
  """Returns the name of each bin.

  >>> bin_names([0, 1.5])
  ['(-inf, 0)', '[0, 1.5)', '[1.5, inf)']
  """
  texts = [_text(edge) for edge in edges]
  inner = [f'[{low}, {high})' for low, high in itertools.pairwise(texts)]
  return [f'(-inf, {texts[0]})', *inner, f'[{texts[-1]}, inf)'] if edges else ['(-inf, inf)']


def _text(edge: float) -> str:
  """Returns the shortest text that reads back as the edge; 32-bit floats are read as such."""
  narrow = np.float32(edge) if abs(edge) < np.finfo(np.float32).max else np.float32(0)
  text = str(narrow) if isinstance(edge, float) and float(narrow) == edge else repr(edge)
  return text.removesuffix('.0')


@dataclass(frozen=True, eq=False)
class Recoding:
  """Codes of strata after numbers were put into bins.

  Attributes:
    edges: Keys of the edges: uint64 [edges].
    codes: Code of what is of a code and in a bin, 0 where nothing is: int64 [codes, bins].
  """

  edges: UInts
  codes: Ints

  def recoded(self, codes: Ints, keys: UInts) -> Ints:
    """Returns the code of each record, given that before and the key of its number: int64 [n]."""
    return self.codes[codes, bins_of(keys, self.edges)]
