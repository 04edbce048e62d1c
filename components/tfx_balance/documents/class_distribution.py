"""`class_distribution.json`: what a component did to each class, for people and for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tfx_balance.documents.json_document import REMEDY, Count, Document, fields_json
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING, ClassValue, stratum_name
from tfx_balance.plan.evidence import half_widths

SIDECAR_NAME = 'class_distribution.json'

FileSizes = Mapping[str, Mapping[str, int]]
"""Of each split, file name to bytes as stored (compressed)."""


@dataclass(frozen=True)
class InputRecords:
  """Records that were read of a split, or of all together.

  Attributes:
    records: Number of usable records.
    dropped: Number of those that have no class and were dropped.
    files: Number of files.
    fingerprint: Sum of the records' hashes, hexadecimal.
    bad_records: Number of records that could not be read and were skipped.
    first_bad_record: Description of the first of these.
    in_base: Number of further records that the artifact to extend holds, which were left out.
    extended: Number of the records that are from the artifact to extend.
  """

  records: Count
  dropped: Count
  files: Count = 0
  fingerprint: str = ''
  bad_records: Count | None = None
  first_bad_record: str | None = None
  in_base: Count | None = field(default=None, metadata={'key': 'held'})
  extended: Count | None = None


@dataclass(frozen=True)
class SplitRecords:
  """Records that were written of a split.

  Attributes:
    records: Number of records.
    ideal: Number of records that the split's share comes to, a fraction.
    imbalance_ratio: Largest class over smallest; None where a class is absent.
    file_bytes: File name to bytes as stored; None where it is not known.
    embargoed: Number of records left out because they are too close before a later split.
    unlabelled: Number of records without labels; None where classes are no sets of labels.
  """

  records: Count
  ideal: float | None = None
  imbalance_ratio: float | None = None
  file_bytes: Mapping[str, Count] | None = None
  embargoed: Count | None = None
  unlabelled: Count | None = None

  def to_json(self) -> dict[str, Any]:
    """Returns JSON data."""
    found = fields_json(self)
    bytes_of = found.pop('file_bytes', None)
    found['imbalance_ratio'] = self.imbalance_ratio
    return found if bytes_of is None else {**found, 'files': len(bytes_of), 'file_bytes': bytes_of}


@dataclass(frozen=True, slots=True)
class CellRecords:
  """Records that were written of a stratum in a split.

  Attributes:
    records: Number of records.
    ideal: Number of records that the split's share comes to, a fraction.
    records_before: Number of records before the split was balanced.
    target: Number of records, with copies, that balancing aimed at.
    pool: Number of records in the class's pool.
    merged: Number of records from each input split.
    recall_half_widths: Half-widths of the 95 % interval of a recall that these records measure, at
      a recall of 0.5 and of 0.9; see `tfx_balance.plan.evidence`.
  """

  records: Count
  ideal: float | None = None
  records_before: Count | None = None
  target: Count | None = None
  pool: Count | None = None
  merged: Mapping[str, Count] | None = None
  recall_half_widths: tuple[float, ...] = ()

  @classmethod
  def of_split(cls, records: int, ideal: float) -> CellRecords:
    """Returns a cell of a split, with the precision of a recall that it measures."""
    return cls(records, ideal, recall_half_widths=half_widths(records))


@dataclass(frozen=True, slots=True)
class StratumRecords:
  """Records that were written of a stratum, by split.

  Attributes:
    stratum: Class of each feature that the data is stratified by.
    records: Number of records that were read.
    splits: Number of records that were written, by split.
  """

  stratum: tuple[ClassValue, ...] = field(metadata={'name': stratum_name})
  records: Count
  splits: Mapping[str, CellRecords]

  @property
  def name(self) -> str:
    """The stratum, as it is shown to a person."""
    return stratum_name(self.stratum)


@dataclass(frozen=True)
class MarginRecords:
  """The cell of one feature alone, of several that strata are made of, furthest from its ideal.

  Attributes:
    feature: Name of the feature.
    value: Class of this feature.
    split: Name of the split.
    records: Number of records of the class in the split.
    ideal: Number of records that the split's share comes to, a fraction.
  """

  feature: str
  value: ClassValue
  split: str
  records: Count
  ideal: float


@dataclass(frozen=True)
class ClassDistribution(Document):
  """Records of each class that a component read and wrote.

  Attributes:
    component: Name of the component's class.
    parameters: Arguments of the component.
    input: What was read: together, or of each split.
    splits: What was written, by split.
    strata: What was written of each stratum, in canonical order.
    margins: Largest deviation of each feature but the first, where strata are made of several.
    labels: What was written of each label, in canonical order, where classes are sets of labels.
      Where these are many, they are not listed in `strata`.
    passed_through: Names of splits that were copied unread.
    warnings: Sentences for people.
    step: Number of the component in the chain of those that drew from the records, from 1.
  """

  FORMAT: ClassVar[str] = 'tfx_balance.class_distribution'
  VERSION: ClassVar[int] = 2

  component: str
  parameters: Mapping[str, Any]
  input: InputRecords | Mapping[str, InputRecords]
  splits: Mapping[str, SplitRecords]
  strata: tuple[StratumRecords, ...]
  margins: tuple[MarginRecords, ...] = field(default=(), kw_only=True)
  labels: tuple[StratumRecords, ...] = field(default=(), kw_only=True)
  passed_through: tuple[str, ...]
  warnings: tuple[str, ...]
  step: Count = field(default=1, kw_only=True)

  def __post_init__(self) -> None:
    """Checks that the strata add up to the numbers of the splits.

    Raises:
      DataError: if not.
    """
    for name in ('label', 'augmented_split'):
      if not isinstance(self.parameters.get(name), (str, type(None))):
        raise DataError(f'parameters.{name} is {self.parameters[name]!r}, and must be a text')
    names = self.parameters.get('stratify_by') or ['']
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
      raise DataError(f'parameters.stratify_by is {names!r}, and must be a list of texts')
    features = self.features
    if self.labels and not self.strata:
      return
    sums = dict.fromkeys(self.splits, 0)
    for i, row in enumerate(self.strata):
      if len(row.stratum) != len(features) or not row.splits.keys() <= sums.keys():
        raise DataError(
          f'strata[{i}] is of {len(row.stratum)} classes in splits {sorted(row.splits)}, and must '
          f'be of {len(features)}, in no split but {sorted(sums)}'
        )
      for name, cell in row.splits.items():
        sums[name] += cell.records
    for name, split in self.splits.items():
      # An augmenter leaves records without a class where they are.
      read = None if isinstance(self.input, InputRecords) else self.input.get(name)
      if split.records - sums[name] not in (0, read.dropped if read else 0):
        raise DataError(f'split {name!r} has {split.records} records, and its strata {sums[name]}')

  @property
  def features(self) -> tuple[str | None, ...]:
    """The names of the features that strata are made of, the class first; None if unknown.

    Features that make one label set are one name.
    """
    names = tuple(self.parameters.get('stratify_by') or [self.parameters.get('label')])
    if not self.parameters.get('multilabel'):
      return names
    others = tuple(name for name in names if name == self.parameters.get('split_by'))
    return (', '.join(names[: len(names) - len(others)]), *others)

  @property
  def sources(self) -> list[InputRecords]:
    """The records that were read, split by split where that is known."""
    return [self.input] if isinstance(self.input, InputRecords) else list(self.input.values())

  def tallies(self, label: str, splits: Collection[str]) -> dict[str, Counter[ClassValue]] | None:
    """Returns, by split, the records of each class; None where the sidecar lacks some of them.

    Args:
      label: Feature that holds the class; one of several that strata are made of will do.
      splits: Names of the splits to count.
    """
    if (self.labels and not self.strata) or not self.splits.keys() >= set(splits):
      return None
    if label not in self.features:
      return None
    at = self.features.index(label)
    tallies = {split: Counter[ClassValue]() for split in splits}
    for row in self.strata:
      for split, tally in tallies.items():
        tally[row.stratum[at]] += row.splits[split].records if split in row.splits else 0
    for split, tally in tallies.items():  # a split left as it was may hold records without a class
      tally[MISSING] += self.splits[split].records - tally.total()
    return tallies


def check_files(splits: Mapping[str, SplitRecords], present: FileSizes, source: str) -> None:
  """Checks the files of an artifact against the sizes in its sidecar.

  Args:
    splits: Splits of the sidecar; of those without the sizes of files nothing is checked.
    present: Files that are there.
    source: Path of the sidecar.

  Raises:
    DataError: if a file is gone, has come, or has another size; names it.
  """
  for split, records in splits.items():
    expected, sizes = records.file_bytes or {}, present.get(split, {})
    for name in sorted({*expected, *sizes}) if expected else ():
      if expected.get(name) != sizes.get(name):
        raise DataError(
          f'Split-{split}/{name} {_has(sizes.get(name))}, and {source} says that it '
          f'{_has(expected.get(name))}: the files are not those that were published with it; '
          f'{REMEDY}'
        )


@dataclass(frozen=True)
class WrittenSplits(Document):
  """The splits and the step of a sidecar, read without the rest of it."""

  FORMAT: ClassVar[str] = ClassDistribution.FORMAT
  VERSION: ClassVar[int] = ClassDistribution.VERSION

  splits: Mapping[str, SplitRecords]
  step: Count = 1


def _has(size: int | None) -> str:
  return 'is not there' if size is None else f'has {size} bytes'
