"""Putting scanned numbers into bins in Beam: quantiles are found as thresholds of ranks are.

    scanned files ── counts and a sample ── first number of each bin ── files with bins for classes

With given edges the last step is the only one. Records stay where they are: a file's index gives
other codes from then on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import apache_beam as beam
import numpy as np

from tfx_balance.errors import DataError
from tfx_balance.modes.bins import NumberBins
from tfx_balance.plan.number_bins import edge_keys, quantile_edges
from tfx_balance.plan.ranks import Ints, Thresholds
from tfx_balance.scan.binned_reader import bin_counts, recoding_of
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.totals import Totals, sum_by_split
from tfx_balance.shuffle.select import Selection, find_file_thresholds
from tfx_balance.stratified_splitter.output_plan import SplitContext, check_totals


@dataclass(frozen=True, eq=False)
class NumberSelection(Selection):
  """Numbers of records in bins that follow each other, of all records that have a number.

  Attributes are as in `Selection`, with one row, and:
    place: Place of the feature among those that strata are made of.
    kind: Type of the numbers, 'int' or 'float'.
  """

  place: int = field(kw_only=True)
  kind: str = field(kw_only=True)

  def rows_of(self, scanned: ScannedFile) -> Ints:
    """Returns the one row for the codes that have a number, -1 for others."""
    return scanned.strata.columns[self.place].is_valid().to_numpy(False) - np.int64(1)


def select_numbers(totals: Totals, bins: NumberBins, place: int) -> NumberSelection:
  """Returns the selection of quantile bins, whose thresholds are the first number of each.

  Raises:
    DataError: if no record has a number.
  """
  strata = totals.strata()
  known = strata.strata.columns[place].is_valid().to_numpy(False)
  n = int(strata.records[known].sum())
  if not n:
    raise DataError(f'feature {bins.feature!r} has no number in any record; bins= needs some')
  kind, pivots = strata.strata.kinds[place], totals.numbers['number'].pivots()
  return NumberSelection(
    {},
    np.append(0, bins.quotas(n))[np.newaxis],
    seed=0,
    purpose='',
    column='number',
    pivots=pivots,
    at_first=True,
    place=place,
    kind=kind,
  )


def bin_file(
  scanned: ScannedFile,
  bins: NumberBins,
  place: int,
  selection: NumberSelection | None = None,
  found: Thresholds | None = None,
) -> ScannedFile:
  """Returns a file with bins for classes.

  Args:
    scanned: File, in which all numbers are one class.
    bins: How numbers are made classes.
    place: Place of the feature among those that strata are made of.
    selection: Selection of quantiles; None where edges are given.
    found: Its thresholds.
  """
  kind = 'int' if scanned.strata.kinds[place] == 'int' else 'float'
  edges = bins.edges
  if selection is not None and found is not None:
    edges = quantile_edges(found.orders[0], selection.kind)
  limits = edge_keys(edges, kind)
  counts = np.zeros((2, len(scanned.strata), len(limits) + 1), np.int64)
  for index in scanned.spill.index('code', 'size', 'number'):
    counts += bin_counts(index, limits, len(scanned.strata))
  strata, recoding = recoding_of(counts[0], scanned.strata, place, edges, kind)
  records, n_bytes = counts[:, counts[0] > 0]
  kinds = {name: kinds for name, kinds in scanned.counts.kinds.items() if name != bins.feature}
  return replace(
    scanned,
    strata=strata,
    records=records,
    stratum_bytes=n_bytes,
    spill=replace(scanned.spill, recoding=recoding),
    counts=replace(scanned.counts, edges=edges, kinds=kinds),
  )


@dataclass
class BinNumbers(beam.PTransform):
  """Turns `ScannedFile`s into those with bins for the classes of a feature.

  Attributes:
    bins: How numbers are made classes.
    context: The arguments of the run.
  """

  bins: NumberBins
  context: SplitContext

  def expand(self, scanned: beam.PCollection[ScannedFile]) -> beam.PCollection[ScannedFile]:
    bins, context, side = self.bins, self.context, []
    place = context.parameters.features.index(bins.feature)
    if bins.n:

      def select(groups: dict[str, Totals]) -> NumberSelection:
        check_totals(groups[''], context)
        return select_numbers(groups[''], bins, place)

      selection = sum_by_split(scanned, select, context)
      found = find_file_thresholds(scanned, selection, context)
      side = [beam.pvalue.AsSingleton(selection), beam.pvalue.AsSingleton(found)]
    return scanned | 'BinFile' >> beam.Map(bin_file, bins, place, *side)
