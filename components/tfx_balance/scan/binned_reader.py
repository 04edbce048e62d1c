"""Numbers of a feature as one class while a file is scanned, and as bins once these have edges."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tfx_balance.errors import DataError
from tfx_balance.plan.number_bins import Recoding, bin_names, bins_of, edge_keys
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.scan.record_reader import FeatureValues
from tfx_balance.scan.spill import Rows
from tfx_balance.scan.strata import FeatureReader
from tfx_balance.scan.stratum_counts import StratumColumns


class BinnedReader(FeatureReader):
  """Reads all numbers of a feature as the class 0; null is a missing number, or NaN."""

  def _as_classes(self, column: FeatureValues, position: int) -> pa.Array:
    """Returns the class of each value, after checking that they are numbers."""
    self.kind, values = column.kind or self.kind, column.values
    if self.kind == 'bytes':
      raise DataError(
        f'feature {self.name!r} holds text in {self.path}, and bins= takes numbers; leave bins= '
        f'out, or name a feature that holds numbers'
      )
    zeros = np.zeros(len(values), np.int64 if self.kind == 'int' else np.float32)
    return pa.array(zeros, mask=np.isnan(values.astype(np.float64)))


def recoding_of(
  counts: Ints, strata: StratumColumns, place: int, edges: tuple[float, ...], kind: str
) -> tuple[StratumColumns, Recoding]:
  """Returns a file's strata with bins as classes, and the new code of each old code and bin.

  Args:
    counts: Number of records by stratum before and bin: int64 [strata, bins].
    strata: Strata before.
    place: Place of the feature among those that strata are made of.
    edges: Edges of the bins.
    kind: Type of the numbers, 'int' or 'float'.
  """
  before, bins = np.nonzero(counts)
  codes = np.zeros(counts.shape, np.int64)
  codes[before, bins] = np.arange(len(before))
  present = strata.columns[place].is_valid().to_numpy(False)[before]
  names = pa.array(bin_names(edges), pa.large_string()).cast(pa.large_binary())
  binned = names.take(pa.array(bins, mask=~present))
  kept = strata.take(before)
  columns, kinds = list(kept.columns), list(kept.kinds)
  columns[place], kinds[place] = binned, 'bytes'
  return StratumColumns.of(kinds, columns), Recoding(edge_keys(edges, kind), codes)


def bin_counts(index: Rows, edges: UInts, n: int) -> Ints:
  """Returns the records and bytes of some records by code and bin: int64 [2, n, bins].

  Args:
    index: Codes, below n, sizes and numbers of the records.
    edges: Keys of the edges.
    n: Number of codes.
  """
  n_bins = len(edges) + 1
  cells = index['code'].astype(np.int64) * n_bins + bins_of(index['number'], edges)
  records = np.bincount(cells, minlength=n * n_bins)
  n_bytes = np.bincount(cells, index['size'], minlength=n * n_bins).astype(np.int64)
  return np.stack([records, n_bytes]).reshape(2, n, n_bins)
