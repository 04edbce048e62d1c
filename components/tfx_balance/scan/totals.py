"""Counts of scanned files, each declared once, and their sums: of all files, or split by split."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import summed
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import FILL_HINT
from tfx_balance.plan.number_keys import NumberSample
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.scan.stratum_counts import StratumCounts, sum_by_kinds, sum_counts
from tfx_balance.sizes import Workspace
from tfx_balance.tfrecord.reading import too_many

if TYPE_CHECKING:
  from tfx_balance.scan.scan import ScannedFile


def _merged(a: Any, b: Any) -> Any:
  """Returns the sum of numbers, what is in either of sets, and of other values the first in order.

  Dicts are merged name by name; None is no value.
  """
  if isinstance(a, dict):
    return {**a, **b, **{name: _merged(a[name], b[name]) for name in a.keys() & b.keys()}}
  if isinstance(a, NumberSample):
    return NumberSample.merge([a, b])
  if isinstance(a, int):
    return a + b
  if isinstance(a, set):
    return a | b
  return min((value for value in (a, b) if value is not None), default=None)


@dataclass
class ScanCounts:
  """Counts of one scanned file or of several.

  Attributes:
    dropped: Number of records without a class that were left out.
    n_bytes: Bytes of all frames.
    n_files: Number of files.
    fingerprint: Sum of the mixed hashes of the records, modulo 2**64: the same in any order.
    feature_names: Features of the first records of each file.
    missing_in: File and position of a record without a feature, by feature.
    bad: Number of records that cannot be used and were skipped.
    first_bad: Number of the first file with bad records, and fault of its first one; None for none.
    in_base: Number of records that were left out because another artifact holds them.
    without_group: Number of records without a group, where records are in groups.
    numbers: Samples of the keys of the numbers in further columns of the index, by column; and of
      the hashes that identify records, 'hash', where they are not those of bytes.
    edges: Edges of the bins that a feature's numbers are put into; None where they are not.
    kinds: Types of the features that are read, by feature, each with a file that has values of it.
  """

  dropped: int = 0
  n_bytes: int = 0
  n_files: int = 0
  fingerprint: int = 0
  feature_names: set[str] = field(default_factory=set)
  missing_in: dict[str, tuple[str, int]] = field(default_factory=dict)
  bad: int = 0
  first_bad: tuple[int, str] | None = None
  in_base: int = 0
  without_group: int = 0
  numbers: dict[str, NumberSample] = field(default_factory=dict)
  edges: tuple[float, ...] | None = None
  kinds: dict[str, dict[str, str]] = field(default_factory=dict)

  def add(self, other: ScanCounts) -> None:
    """Merges the counts of other files into these."""
    for each in fields(ScanCounts):
      setattr(self, each.name, _merged(getattr(self, each.name), getattr(other, each.name)))
    self.fingerprint %= 2**64


BATCH_ROWS = 1 << 18
"""Rows of counts that are held until they are summed: each row takes 24 bytes and its values."""


def check_features(
  totals: Totals,
  features: Sequence[str],
  missing: MissingLabel,
  argument: str,
  optional: Mapping[str, str] = MappingProxyType({}),
) -> None:
  """Checks that the features can be classes.

  Args:
    totals: Totals of the input.
    features: Features that strata are made of.
    missing: Treatment of records without a class.
    argument: Argument that names the features.
    optional: Features that may be missing in records, with the argument that names each.

  Raises:
    DataError: if there are no records, or if a feature does not exist, is missing in records and
      must not be, or has several types, as other features that are read may not have either.
  """
  read = totals.n_records + totals.dropped
  if not read:
    raise DataError('the input holds no records; give at least one')
  for i, feature in enumerate(features):
    columns = [(counts.strata.columns[i], counts.records) for counts in totals.counts]
    absent = sum(int(n[column.is_null().to_numpy(False)].sum()) for column, n in columns)
    if absent == totals.n_records and feature not in totals.feature_names:
      names = ', '.join(sorted(totals.feature_names)) or 'none'
      named_by = optional.get(feature, argument)
      raise DataError(
        f'feature {feature!r} is in none of the {read} records; {named_by}= takes one of: {names}'
      )
    if absent and missing not in ('own_stratum', 'drop') and feature not in optional:
      path, position = totals.missing_in[feature]
      raise DataError(
        f'feature {feature!r} has no value in {absent} of {read} records, the first of them record '
        f"{position} of {path}; pass missing_label='own' or 'drop', or fill it in"
        f'{_fill_hint(totals, feature, i)}'
      )
  for feature, kinds in sorted(totals.kinds.items()):
    if len(kinds) > 1:
      found = ', '.join(f'{kind} in {path}' for kind, path in sorted(kinds.items()))
      raise DataError(
        f'feature {feature!r} has values of types {sorted(kinds)} ({found}); give it one type in '
        f'all files'
      )
  if not totals.n_records:
    raise DataError(f'all {read} records lack a class and missing_label drops them; fill it in')


def _fill_hint(totals: Totals, feature: str, place: int) -> str:
  """Returns a hint at zeros that were written as no value, if no number of a feature is 0."""
  seen = {n for counts in totals.counts for n in counts.strata.columns[place].unique().to_pylist()}
  numbers = totals.kinds.get(feature, {}).keys() & {'int', 'float'}
  return f'; {FILL_HINT}' if numbers and 0 not in seen else ''


@dataclass
class Totals(ScanCounts):
  """Sums of the counts of several files.

  Attributes:
    counts: Counts of the strata: one of each combination of features' types once they are summed,
      as many as files before.
  """

  counts: list[StratumCounts] = field(default_factory=list)

  def __post_init__(self) -> None:
    self._waiting = sum(map(len, self.counts))  # rows that are not summed yet

  @property
  def n_records(self) -> int:
    """The records that have a stratum."""
    return sum(int(counts.records.sum()) for counts in self.counts)

  def strata(self) -> StratumCounts:
    """Returns the counts of all the strata, in canonical order; each feature is of one type."""
    if len(self.counts) != 1 or self._waiting:
      self.counts, self._waiting = [sum_counts(self.counts)], 0
    return self.counts[0]

  def describe(self) -> InputRecords:
    """Returns the counts of the input, as the sidecar shows them."""
    return InputRecords(
      self.n_records + self.dropped,
      self.dropped,
      self.n_files,
      f'{self.fingerprint:016x}',
      self.bad if self.first_bad else None,
      self.first_bad[1] if self.first_bad else None,
      self.in_base or None,
    )

  def check_bad(self, most: int) -> None:
    """Raises DataError if more than `most` records were skipped."""
    if self.first_bad and self.bad > most:
      raise too_many(self.bad, most, self.first_bad[1])

  @classmethod
  def of(cls, scanned: ScannedFile) -> Totals:
    """Returns the totals of one file."""
    counts = StratumCounts(scanned.strata, scanned.records, scanned.stratum_bytes)
    if scanned.counts.without_group:  # of some strata all records may be dropped
      filled = np.flatnonzero(scanned.records)
      columns = (scanned.records[filled], scanned.stratum_bytes[filled])
      counts = StratumCounts(scanned.strata.take(filled), *columns)
    totals = cls(counts=[counts])
    totals.add(scanned.counts)
    return totals

  def merge(self, other: Totals, batch_rows: int = BATCH_ROWS) -> Totals:
    """Returns these totals with others added."""
    self.counts += other.counts
    self._waiting += sum(map(len, other.counts))
    # What is summed already is summed again once as much has come.
    if self._waiting > batch_rows and 2 * self._waiting > sum(map(len, self.counts)):
      self.sum_up()
    self.add(other)
    return self

  def sum_up(self) -> Totals:
    """Sums the counts that were added, and returns these totals."""
    self.counts, self._waiting = sum_by_kinds(self.counts), 0
    return self


class SumBySplit(beam.CombineFn):
  """Adds up the totals of input splits."""

  def __init__(self, batch_rows: int = BATCH_ROWS) -> None:
    """Takes the number of rows of counts that are kept until they are summed."""
    self._batch_rows = batch_rows

  def create_accumulator(self) -> dict[str, Totals]:
    return {}

  def add_input(self, by_split: dict[str, Totals], more: dict[str, Totals]) -> dict[str, Totals]:
    for name, totals in more.items():
      by_split.setdefault(name, Totals()).merge(totals, self._batch_rows)
    return by_split

  def merge_accumulators(self, several: Iterable[dict[str, Totals]]) -> dict[str, Totals]:
    return functools.reduce(self.add_input, several, self.create_accumulator())

  def compact(self, by_split: dict[str, Totals]) -> dict[str, Totals]:
    return {name: totals.sum_up() for name, totals in by_split.items()}

  extract_output = compact


def sum_by_split(
  scanned: beam.PCollection[ScannedFile], then: Callable[[dict[str, Totals]], Any], work: Workspace
) -> beam.PCollection:
  """Returns one element: the result of `then` for the totals by input split."""
  return summed(
    scanned,
    'Total',
    lambda file: {file.file.input_split: Totals.of(file)},
    SumBySplit(),
    then,
    file_number=attrgetter('file.file_number'),
    work=work,
  )
