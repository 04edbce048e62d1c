"""Numbers as classes: bins between edges, which are given or are quantiles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_number, check_whole, shown
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.number_keys import keys_of, numbers_of
from tfx_balance.plan.ranks import Ints, UInts

MOST_BINS = 10_000
_INT64 = 1 << 63


@dataclass(frozen=True)
class NumberBins:
  """How the numbers of a feature are made classes.

  Attributes:
    feature: Name of the feature.
    n: Number of quantile bins; 0 where edges are given.
    edges: Limits between bins, ascending; a limit is in the bin above it.
  """

  feature: str
  n: int
  edges: tuple[float, ...] = ()

  @classmethod
  def parse(cls, bins: Any, features: Sequence[str]) -> NumberBins | None:
    """Returns the checked argument; None for None.

    >>> NumberBins.parse([10, 100], ['price'])
    NumberBins(feature='price', n=0, edges=(10, 100))

    Args:
      bins: Number of quantile bins, or edges, or a mapping of one feature to either.
      features: Features that strata are made of.

    Raises:
      ConfigError: if it breaks a rule.
    """
    if bins is None:
      return None
    if isinstance(bins, Mapping):
      if len(bins) != 1 or not set(bins) <= set(features):
        raise ConfigError(
          f'bins={shown(dict(bins))} must name one feature among those of stratify_by='
          f'{list(features)}; give one such as {{"{features[0]}": 10}}'
        )
      ((feature, given),) = bins.items()
    elif len(features) > 1:
      raise ConfigError(
        f'bins={shown(bins)} is of one of the features {list(features)}; name it, as in '
        f'{{"{features[0]}": 10}}'
      )
    else:
      feature, given = features[0], bins
    if isinstance(given, np.ndarray):
      given = given.tolist()
    if isinstance(given, Sequence) and not isinstance(given, str):
      return cls(feature, 0, _edges(given))
    fix = 'give a number of bins such as 10, or their edges such as [0, 100]'
    return cls(feature, check_whole('bins', given, 2, MOST_BINS, fix=fix))

  def describe(self) -> dict[str, Any]:
    """Returns the argument as the sidecar shows it."""
    return {'bins': {self.feature: self.n or list(self.edges)}}

  def quotas(self, n: int) -> Ints:
    """Returns the records of quantile bins before equal numbers are put together: int64 [bins].

    >>> NumberBins('price', 3).quotas(10).tolist()
    [3, 3, 4]
    """
    ends = [i * n // self.n for i in range(self.n + 1)]
    return np.diff(np.array(ends, np.int64))


def _edges(given: Sequence[Any]) -> tuple[float, ...]:
  edges = tuple(check_number(f'bins[{i}]', edge) for i, edge in enumerate(given))
  if not edges or any(a >= b for a, b in itertools.pairwise(edges)) or len(edges) >= MOST_BINS:
    raise ConfigError(
      f'bins={shown(list(given))} must be 1 to {MOST_BINS - 1} edges in ascending order, each '
      f'once; give some such as [0, 100]'
    )
  return edges


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
  """Returns an edge as short as tells it: of a 32-bit float as such."""
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


def binned_labels(labels: npt.ArrayLike, bins: int | Sequence[float]) -> npt.NDArray[np.bytes_]:
  """Returns the name of the bin of each number: [n].

  Args:
    labels: [n], integers or floats.
    bins: Number of quantile bins, or edges.

  Raises:
    ConfigError: if `bins` breaks a rule.
    DataError: if the labels are not numbers, or NaN.
  """
  if isinstance(bins, Mapping):
    raise ConfigError(
      f'bins={shown(dict(bins))} must be a number of bins or their edges; give one such as 10'
    )
  values, plan = np.asarray(labels), NumberBins.parse(bins, ['labels'])
  assert plan is not None
  if (
    values.ndim != 1 or not len(values) or values.dtype.kind not in 'iuf' or np.isnan(values).any()
  ):
    raise DataError(
      f'labels of type {values.dtype} and shape {values.shape} must be [n] numbers, none NaN, as '
      f'bins= is given; fill them in'
    )
  kind = 'float' if values.dtype.kind == 'f' else 'int'
  keys, edges = keys_of(values), plan.edges
  if plan.n:
    first = np.cumsum(plan.quotas(len(keys))) - plan.quotas(len(keys))
    edges = quantile_edges(np.sort(keys)[first], kind)
  names = np.array([name.encode() for name in bin_names(edges)])
  found: npt.NDArray[np.bytes_] = names[bins_of(keys, edge_keys(edges, kind))]
  return found
