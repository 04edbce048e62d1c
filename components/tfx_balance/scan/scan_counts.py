"""Counts of scanned files, each declared once: its default, its meaning and its sum."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from tfx_balance.plan.number_keys import NumberSample

Merge = Callable[[Any, Any], Any]


def _by_name(merge: Merge) -> Merge:
  """Returns a function that merges the values of two dicts name by name."""
  return lambda a, b: {**a, **b, **{name: merge(a[name], b[name]) for name in a.keys() & b.keys()}}


def _first(a: Any, b: Any) -> Any:
  return min(filter(None, (a, b)), default=None)


_ADDED = {'merge': operator.add}


@dataclass
class ScanCounts:
  """Counts of one scanned file or of several; each field has the function that merges two values.

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

  dropped: int = field(default=0, metadata=_ADDED)
  n_bytes: int = field(default=0, metadata=_ADDED)
  n_files: int = field(default=0, metadata=_ADDED)
  fingerprint: int = field(default=0, metadata={'merge': lambda a, b: (a + b) % 2**64})
  feature_names: set[str] = field(default_factory=set, metadata={'merge': operator.or_})
  missing_in: dict[str, tuple[str, int]] = field(
    default_factory=dict, metadata={'merge': _by_name(min)}
  )
  bad: int = field(default=0, metadata=_ADDED)
  first_bad: tuple[int, str] | None = field(default=None, metadata={'merge': _first})
  in_base: int = field(default=0, metadata=_ADDED)
  without_group: int = field(default=0, metadata=_ADDED)
  numbers: dict[str, NumberSample] = field(
    default_factory=dict,
    metadata={'merge': _by_name(lambda a, b: NumberSample.merge([a, b]))},
  )
  edges: tuple[float, ...] | None = field(
    default=None, metadata={'merge': lambda a, b: a if b is None else b}
  )
  kinds: dict[str, dict[str, str]] = field(
    default_factory=dict, metadata={'merge': _by_name(_by_name(min))}
  )

  def add(self, other: ScanCounts) -> None:
    """Merges the counts of other files into these."""
    for each in fields(ScanCounts):
      values = getattr(self, each.name), getattr(other, each.name)
      setattr(self, each.name, each.metadata['merge'](*values))
