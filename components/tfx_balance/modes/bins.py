"""Numbers as classes: in bins between edges, which are given or are quantiles."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.argument_readers import Argument, json_of
from tfx_balance.arguments import check_number, check_whole, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.mode import FileRounds, Mode
from tfx_balance.plan.arrays import ArrayColumn
from tfx_balance.plan.number_bins import bin_names, bins_of, edge_keys, quantile_edges
from tfx_balance.plan.number_keys import keys_of
from tfx_balance.plan.ranks import Ints

MOST_BINS = 10_000


@dataclass(frozen=True)
class NumberBins(Mode):
  """Bins of a feature's numbers, which are classes.

  Attributes:
    feature: Name of the feature.
    n: Number of quantile bins; 0 where edges are given.
    edges: Limits between bins, ascending; a limit is in the bin above it.
  """

  feature: str
  n: int
  edges: tuple[float, ...] = ()

  ARGUMENTS = {'bins': Argument(str, json_of(numbers.Integral, Mapping, Sequence))}
  TOGETHER = ((('stratify_by',), ('bins',)),)
  APART = {
    ('bins', 'multilabel'): (
      'bins are of one number a record, and labels are several; leave one of them out'
    ),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> NumberBins | None:
    bins = given['bins']
    return None if bins is None else cls.of(bins, given['stratify_by'])

  @classmethod
  def of(cls, bins: Any, features: Sequence[str]) -> NumberBins:
    """Returns the checked argument.

    >>> NumberBins.of([10, 100], ['price'])
    NumberBins(feature='price', n=0, edges=(10, 100))

    Args:
      bins: Number of quantile bins, or edges, or a mapping of one feature to either.
      features: Features that strata are made of.

    Raises:
      ConfigError: if it breaks a rule.
    """
    if isinstance(bins, Mapping):
      if len(bins) != 1 or not set(bins) <= set(features):
        raise ConfigError(
          f'bins={format_value(dict(bins))} must name one feature among those of stratify_by='
          f'{list(features)}; give one such as {{"{features[0]}": 10}}'
        )
      ((feature, given),) = bins.items()
    elif len(features) > 1:
      raise ConfigError(
        f'bins={format_value(bins)} is of one of the features {list(features)}; name it, as in '
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
    return {'bins': {self.feature: self.n or list(self.edges)}}

  def scan_options(self) -> dict[str, Any]:
    return {'binned': self.feature, 'purpose': ''}

  def revise(self, rounds: FileRounds) -> None:
    place = rounds.features.index(self.feature)
    edges = rounds.search_edges(place, self.quotas) if self.n else None
    rounds.revise('Bins', partial(self.binned_file, place), edges)

  def binned_file(self, place: int, scanned: Any, edges: tuple[float, ...] | None = None) -> Any:
    """Returns a scanned file with bins for classes.

    Args:
      place: Place of the feature among those that strata are made of.
      scanned: `ScannedFile` in which all numbers are one class.
      edges: The edges between quantile bins; None where edges are given.
    """
    return scanned.in_bins(self.feature, place, self.edges if edges is None else edges)

  def quotas(self, n: int) -> Ints:
    """Returns the records of quantile bins before equal numbers are put together: int64 [bins].

    >>> NumberBins('price', 3).quotas(10).tolist()
    [3, 3, 4]

    Raises:
      DataError: if there are none.
    """
    if not n:
      raise DataError(f'feature {self.feature!r} has no number in any record; bins= needs some')
    ends = [i * n // self.n for i in range(self.n + 1)]
    return np.diff(np.array(ends, np.int64))

  def label_items(self, numbers: ArrayColumn) -> npt.NDArray[np.bytes_]:
    """Returns the name of the bin of each number of an array: [n].

    Args:
      numbers: [n], integers or floats.

    Raises:
      DataError: if they are not numbers, or NaN.
    """
    values = numbers.check_items(None, 'numbers, as bins= is given').check_whole().values
    if not len(values) or values.dtype.kind not in 'iuf' or values.dtype == np.uint64:
      raise DataError(
        f'{numbers.name} of type {values.dtype} and shape {values.shape} must be [n] numbers, '
        f'none NaN, as bins= is given, integers below 2**63; give numbers'
      )
    kind = 'float' if values.dtype.kind == 'f' else 'int'
    keys, edges = keys_of(values), self.edges
    if self.n:
      quotas = self.quotas(len(keys))
      edges = quantile_edges(np.sort(keys)[np.cumsum(quotas) - quotas], kind)
    names = np.array([name.encode() for name in bin_names(edges)])
    found: npt.NDArray[np.bytes_] = names[bins_of(keys, edge_keys(edges, kind))]
    return found


def _edges(given: Sequence[Any]) -> tuple[float, ...]:
  edges = tuple(check_number(f'bins[{i}]', edge) for i, edge in enumerate(given))
  if not edges or any(a >= b for a, b in itertools.pairwise(edges)) or len(edges) >= MOST_BINS:
    raise ConfigError(
      f'bins={format_value(list(given))} must be 1 to {MOST_BINS - 1} edges in ascending order, '
      f'each once; give some such as [0, 100]'
    )
  return edges


def inner_edges(bins: Any) -> Any:
  """Returns `bins` without infinite ends, beyond which nothing is, as other libraries have them.

  >>> inner_edges([-math.inf, 6, math.inf]), inner_edges(10)
  ([6], 10)
  """
  if isinstance(bins, Mapping):
    return {name: inner_edges(given) for name, given in bins.items()}
  if isinstance(bins, np.ndarray):
    bins = bins.tolist()
  if not isinstance(bins, (list, tuple)) or not bins:
    return bins
  edges = list(bins)[bins[0] == -math.inf :]
  return edges[:-1] if edges[-1:] == [math.inf] else edges
