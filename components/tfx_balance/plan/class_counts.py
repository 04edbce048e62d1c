"""Counts of the records of each class in each split, and the classes that a schema allows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from tfx_balance.plan.class_value import MISSING, ClassValue, Kind

BASELINE = 'baseline:'
"""What stands before the name of a split of the baseline."""


@dataclass(frozen=True)
class CountsBySplit:
  """Exact counts of classes by split.

  Attributes:
    records: Number of records by split and class; a class that a split lacks may be left out.
    missing: Number of records without a class, by split.
    labelled: Number of records that have a class, by split, where records have several: those of
      a class are the records that have the label then. Empty where each has one.
  """

  records: Mapping[str, Mapping[ClassValue, int]]
  missing: Mapping[str, int]
  labelled: Mapping[str, int] = field(default_factory=dict)

  @classmethod
  def of_labels(
    cls, tallies: Mapping[str, Mapping[ClassValue, int]], n_records: Mapping[str, int]
  ) -> CountsBySplit:
    """Counts labels from tallies of label sets or of labels.

    >>> one, two = ClassValue('int', 1), ClassValue('int', 2)
    >>> sets = {ClassValue('set', (one, two)): 3, ClassValue('set', (one,)): 1, MISSING: 2}
    >>> counts = CountsBySplit.of_labels({'train': sets}, {})
    >>> counts.count('train', one), counts.total('train'), counts.missing['train']
    (4, 4, 2)

    Args:
      tallies: Of each split, label set to records; in splits that `n_records` has, label to
        records. The key `MISSING` has records without any label.
      n_records: Number of records of splits.
    """
    found: dict[str, dict[ClassValue, int]] = {}
    labelled = {}
    for split, tally in tallies.items():
      counts = found[split] = {MISSING: 0}
      for value, n in tally.items():
        several = value.value if isinstance(value.value, tuple) else (value,)
        for label in several or (MISSING,):
          counts[label] = counts.get(label, 0) + n
      labelled[split] = n_records.get(split, sum(tally.values())) - counts[MISSING]
    return replace(cls.of(found), labelled=labelled)

  @classmethod
  def of(cls, tallies: Mapping[str, Mapping[ClassValue, int]]) -> CountsBySplit:
    """Counts classes from tallies, in which `MISSING` may be a class.

    >>> one = ClassValue('int', 1)
    >>> counts = CountsBySplit.of({'train': {one: 5, MISSING: 2}})
    >>> counts.total('train'), counts.missing['train']
    (5, 2)
    """
    return cls(
      {
        split: {value: n for value, n in tally.items() if value != MISSING and n}
        for split, tally in tallies.items()
      },
      {split: tally.get(MISSING, 0) for split, tally in tallies.items()},
    )

  @property
  def splits(self) -> tuple[str, ...]:
    """The names of the splits, sorted; those of the baseline begin with `BASELINE`."""
    return tuple(sorted(self.records))

  def count(self, split: str, value: ClassValue) -> int:
    """Returns the records of a class in a split."""
    return self.records[split].get(value, 0)

  def total(self, split: str) -> int:
    """Returns the records of a split that have a class."""
    return self.labelled.get(split, self._totals[split])

  def share(self, split: str, value: ClassValue) -> float:
    """Returns the share of a class in a split's records that have a class; 0 in an empty split."""
    total = self.total(split)
    return self.count(split, value) / total if total else 0.0

  def classes(self, splits: Iterable[str]) -> list[ClassValue]:
    """Returns the classes that at least one of the splits holds, in canonical order."""
    found = {value for split in splits for value in self.records[split]}
    return sorted(found, key=ClassValue.sort_key)

  def column(self, split: str, classes: Collection[ClassValue]) -> list[int]:
    """Returns a split's records of each class."""
    tally = self.records[split]
    return [tally.get(value, 0) for value in classes]

  @cached_property
  def _totals(self) -> dict[str, int]:
    return {split: sum(tally.values()) for split, tally in self.records.items()}


MAX_LISTED = 100_000
"""A range of more integers than this is a range, not a list of classes."""


@dataclass(frozen=True)
class ClassDomain:
  """The classes that may occur: a range of numbers, or a set of values.

  Attributes:
    low: Smallest number; None for no bound.
    high: Largest number; None for no bound.
    values: Bytes that may occur; None where numbers may.
    listed: Whether each class of the domain is to be expected, as a categorical domain says.
    min_mass: Least share of the records that must be of the domain.
  """

  low: float | None = None
  high: float | None = None
  values: frozenset[bytes] | None = None
  listed: bool = False
  min_mass: float = 1.0

  def __contains__(self, value: ClassValue) -> bool:
    if self.values is not None:
      return value.value in self.values
    if not isinstance(value.value, (int, float)):
      return False
    return (self.low is None or value.value >= self.low) and (
      self.high is None or value.value <= self.high
    )

  def classes(self, kind: Kind) -> list[ClassValue]:
    """Returns all the classes of the domain, none where it does not list them.

    >>> [str(value) for value in ClassDomain(0, 2, listed=True).classes('int')]
    ['0', '1', '2']

    Args:
      kind: Type of the label's values.
    """
    if self.values is not None:
      return sorted(ClassValue('bytes', value) for value in self.values)
    if not self.listed or self.low is None or self.high is None or kind == 'bytes':
      return []
    if self.high - self.low >= MAX_LISTED:
      return []
    numbers = range(int(self.low), int(self.high) + 1)
    return [ClassValue(kind, float(n) if kind == 'float' else n) for n in numbers]
