"""What the scanned files hold together: all of them, or group by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import apache_beam as beam

from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING, Stratum
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import too_many


def check_features(
  totals: Totals, features: Sequence[str], missing: MissingLabel, argument: str
) -> None:
  """Checks that the features can be classes.

  Raises:
    DataError: if there are no records, or if a feature does not exist, is missing in records and
      must not be, or has several types.
  """
  read = totals.n_records + totals.dropped
  if not read:
    raise DataError('the input holds no records; give at least one')
  for i, feature in enumerate(features):
    kinds = {stratum[i].kind for stratum in totals.records}
    absent = sum(n for stratum, n in totals.records.items() if stratum[i] == MISSING)
    if kinds <= {'missing'} and feature not in totals.feature_names:
      known = ', '.join(sorted(totals.feature_names)) or 'none'
      raise DataError(
        f'feature {feature!r} is in none of the {read} records; {argument}= takes one of: {known}'
      )
    if absent and missing == 'error':
      path, position = totals.missing_in[feature]
      raise DataError(
        f'feature {feature!r} has no value in {absent} of {read} records, the first of them record '
        f"{position} of {path}; pass missing_label='own_stratum' or 'drop', or fill it in"
      )
    if len(kinds - {'missing'}) > 1:
      raise DataError(
        f'feature {feature!r} has values of types {sorted(kinds - {"missing"})}; '
        f'give it one type in all files'
      )
  if not totals.n_records:
    raise DataError(f'all {read} records lack a class and missing_label drops them; fill it in')


@dataclass
class Totals:
  """What all the files hold together.

  Attributes are as in `ScannedFile`, and:
    missing_in: File and position of a record without a feature, by feature.
    first_bad: Rank of the first file with bad records, and fault of its first one.
  """

  records: dict[Stratum, int] = field(default_factory=dict)
  stratum_bytes: dict[Stratum, int] = field(default_factory=dict)
  dropped: int = 0
  n_bytes: int = 0
  n_files: int = 0
  fingerprint: int = 0
  feature_names: set[str] = field(default_factory=set)
  missing_in: dict[str, tuple[str, int]] = field(default_factory=dict)
  bad: int = 0
  first_bad: tuple[int, str] | None = None

  @property
  def n_records(self) -> int:
    """The records that have a stratum."""
    return sum(self.records.values())

  def describe(self) -> InputRecords:
    """Returns what was read, as the sidecar shows it."""
    return InputRecords(
      self.n_records + self.dropped,
      self.dropped,
      self.n_files,
      f'{self.fingerprint:016x}',
      *((self.bad, self.first_bad[1]) if self.first_bad else ()),
    )

  def check_bad(self, most: int) -> None:
    """Raises DataError if more than `most` records were skipped."""
    if self.first_bad and self.bad > most:
      raise too_many(self.bad, most, self.first_bad[1])

  def add(self, scanned: ScannedFile) -> Totals:
    """Returns these totals with a file added."""
    self._add(scanned.strata, scanned.records, scanned.stratum_bytes)
    missing = {name: (scanned.file.path, at) for name, at in scanned.first_missing.items()}
    return self.merge(
      Totals(
        dropped=scanned.dropped,
        n_bytes=scanned.n_bytes,
        n_files=1,
        fingerprint=scanned.fingerprint,
        feature_names=set(scanned.feature_names),
        missing_in=missing,
        bad=scanned.bad,
        first_bad=(scanned.file.rank, scanned.first_bad) if scanned.bad else None,
      )
    )

  def merge(self, other: Totals) -> Totals:
    """Returns these totals with others added."""
    self._add(other.records, other.records.values(), other.stratum_bytes.values())
    self.dropped += other.dropped
    self.bad += other.bad
    self.first_bad = min(filter(None, (self.first_bad, other.first_bad)), default=None)
    self.n_bytes += other.n_bytes
    self.n_files += other.n_files
    self.fingerprint = (self.fingerprint + other.fingerprint) % 2**64
    self.feature_names |= other.feature_names
    for name, place in other.missing_in.items():
      self.missing_in[name] = min(place, self.missing_in.get(name, place))
    return self

  def _add(self, strata: Iterable[Stratum], records: Iterable[int], n_bytes: Iterable[int]) -> None:
    for stratum, n, size in zip(strata, records, n_bytes, strict=True):
      self.records[stratum] = self.records.get(stratum, 0) + n
      self.stratum_bytes[stratum] = self.stratum_bytes.get(stratum, 0) + size


class SumTotals(beam.CombineFn):
  """Adds up scanned files to `Totals`."""

  def create_accumulator(self) -> Totals:
    return Totals()

  def add_input(self, totals: Totals, scanned: ScannedFile) -> Totals:
    return totals.add(scanned)

  def merge_accumulators(self, several: Iterable[Totals]) -> Totals:
    merged = Totals()
    for totals in several:
      merged.merge(totals)
    return merged

  def extract_output(self, totals: Totals) -> Totals:
    return totals


class SumGroups(beam.CombineFn):
  """Adds up scanned files to `Totals` of each group."""

  def create_accumulator(self) -> dict[str, Totals]:
    return {}

  def add_input(self, groups: dict[str, Totals], scanned: ScannedFile) -> dict[str, Totals]:
    groups.setdefault(scanned.file.group, Totals()).add(scanned)
    return groups

  def merge_accumulators(self, several: Iterable[dict[str, Totals]]) -> dict[str, Totals]:
    merged: dict[str, Totals] = {}
    for groups in several:
      for name, totals in groups.items():
        merged.setdefault(name, Totals()).merge(totals)
    return merged

  def extract_output(self, groups: dict[str, Totals]) -> dict[str, Totals]:
    return groups
