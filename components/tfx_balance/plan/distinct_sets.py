"""The label sets of multi-label data: which labels each distinct set has, as flat arrays."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue, class_key, set_key
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.runs import places_of_runs

MOST_LABEL_SETS = 200_000
"""Distinct sets that a split is planned for."""
MOST_PAIRS = 1 << 22
"""Pairs of labels, counted in every distinct set, that are looked at: 40 bytes each."""
_ID_BITS = 32  # of a number of a label, in a word with that of a record


@dataclass(frozen=True, eq=False)
class DistinctSets:
  """Distinct sets of labels, each in ascending order.

  Attributes:
    labels: Labels in canonical order.
    members: Numbers of the labels of the first set, of the next, and so on: int64 [members].
    row_splits: Where the members of each set begin, and of the last one end: int64 [sets + 1].
  """

  labels: tuple[ClassValue, ...]
  members: Ints
  row_splits: Ints

  @classmethod
  def of(cls, classes: Iterable[ClassValue]) -> DistinctSets:
    """Returns the sets that classes of the kind 'set' are; one that is missing has no labels.

    >>> one, two = ClassValue('int', 1), ClassValue('int', 2)
    >>> sets = DistinctSets.of([ClassValue('set', (one, two)), ClassValue('set', (two,))])
    >>> sets.members.tolist(), sets.row_splits.tolist()
    ([0, 1, 1], [0, 2, 3])

    Raises:
      DataError: if labels are of several types.
    """
    rows = [value.value if isinstance(value.value, tuple) else () for value in classes]
    numbers: dict[ClassValue, int] = {}
    members = [numbers.setdefault(label, len(numbers)) for row in rows for label in row]
    lengths = np.array([len(row) for row in rows], np.int64)
    return cls.numbered(list(numbers), np.array(members, np.int64), lengths)

  @classmethod
  def numbered(cls, labels: Sequence[ClassValue], members: Ints, lengths: Ints) -> DistinctSets:
    """Returns sets of labels that are numbered in any order.

    Args:
      labels: Distinct labels.
      members: Numbers of the labels of each set, in ascending order of the labels: int64 [members].
      lengths: Number of labels of each set: int64 [sets].

    Raises:
      DataError: if labels are of several types.
    """
    kinds = sorted({label.kind for label in labels})
    if len(kinds) > 1:
      raise DataError(f'labels are of types {kinds}; give them one type in all records')
    order = sorted(range(len(labels)), key=labels.__getitem__)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    row_splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return cls(tuple(labels[i] for i in order), rank[members], row_splits)

  @property
  def classes(self) -> tuple[ClassValue, ...]:
    """The sets as classes."""
    flat, bounds = self.members.tolist(), itertools.pairwise(self.row_splits.tolist())
    return tuple(
      ClassValue('set', tuple(self.labels[i] for i in flat[low:high])) for low, high in bounds
    )

  @functools.cached_property
  def _texts(self) -> list[str]:
    return [class_key(label) for label in self.labels]

  def stratum_key(self, row: int) -> str:
    """Returns the `stratum_key` of a set, one at a time: all would take 300 bytes each.

    >>> DistinctSets.of([ClassValue('set', (ClassValue('int', 1),))]).stratum_key(0)
    '[{"type": "set", "value": [{"type": "int", "value": 1}]}]'
    """
    members = self.members[self.row_splits[row] : self.row_splits[row + 1]].tolist()
    return f'[{set_key(self._texts[i] for i in members)}]'

  def take(self, which: Ints) -> DistinctSets:
    """Returns these sets, in this order."""
    lengths = np.diff(self.row_splits)[which]
    members = self.members[places_of_runs(self.row_splits[which], lengths)]
    return DistinctSets(self.labels, members, np.append(0, np.cumsum(lengths)))

  def check_number(self, most: int = MOST_LABEL_SETS) -> None:
    """Raises DataError if there are more sets than a split is planned for."""
    n = len(self.row_splits) - 1
    if n > most:
      raise DataError(
        f'{n} distinct label sets are more than the {most} that a split is planned for; '
        f'leave out labels that few records have, or stratify by one class'
      )

  @property
  def owners(self) -> Ints:
    """The set of each member: int64 [members]."""
    return np.repeat(np.arange(len(self.row_splits) - 1), np.diff(self.row_splits))

  def sums(self, counts: Ints) -> Ints:
    """Returns the sum of counts over the sets that have a label: int64 [labels, columns].

    Args:
      counts: int64 [sets, columns].
    """
    found = np.zeros((len(self.labels), counts.shape[1]), np.int64)
    owners = self.owners
    for i, column in enumerate(counts.T):  # one at a time: no [members, columns] array
      np.add.at(found[:, i], self.members, column[owners])
    return found

  def pairs(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Returns the pairs of labels of each set, as numbers of pairs from 0 on, and their sets.

    Returns:
      int32 [pairs] and int32 [pairs], none where all sets have more than MOST_PAIRS together.
    """
    lengths = np.diff(self.row_splits)
    if (lengths * (lengths - 1)).sum() > 2 * MOST_PAIRS:
      return np.zeros(0, np.int32), np.zeros(0, np.int32)
    n = len(self.labels)
    members, owners = self.members.astype(np.min_scalar_type(n * n)), self.owners.astype(np.int32)
    first = np.arange(len(members))
    later = self.row_splits[1:][owners] - first - 1  # members of the set that follow
    keys, owners_of_pairs = [members[:0]], [owners[:0]]
    for distance in range(1, int(lengths.max(initial=1))):
      first = first[later[first] >= distance]
      keys.append(members[first] * members.dtype.type(n) + members[first + distance])
      owners_of_pairs.append(owners[first])
    found = np.concatenate(keys)
    numbers = np.searchsorted(np.unique(found), found).astype(np.int32)
    return numbers, np.concatenate(owners_of_pairs)


@runtime_checkable
class HasLabelSets(Protocol):
  """Strata in columns, which give their label sets without an object for each."""

  def label_sets(self) -> DistinctSets | None:
    """Returns the label sets of the first feature; None where its classes are no sets."""


def distinct_members(numbers: Ints, row_splits: Ints) -> tuple[Ints, Ints]:
  """Returns the labels of each record in ascending order, each once.

  >>> members, row_splits = distinct_members(np.array([5, 2, 5, 1]), np.array([0, 3, 3, 4]))
  >>> members.tolist(), row_splits.tolist()
  ([2, 5, 1], [0, 2, 2, 3])

  Args:
    numbers: Numbers of labels, 0 or above and below 2**32: int64 [m].
    row_splits: Where those of each record begin, and of the last one end: int64 [n + 1].

  Returns:
    members: int64 [m or fewer].
    row_splits: int64 [n + 1].
  """
  n = len(row_splits) - 1
  words = np.repeat(np.arange(n), np.diff(row_splits)) << _ID_BITS | numbers
  words.sort()
  if (words[1:] == words[:-1]).any():
    words = np.unique(words)
  members = words & ((1 << _ID_BITS) - 1)
  return members, np.searchsorted(words >> _ID_BITS, np.arange(n + 1)).astype(np.int64)


def count_sets(members: Ints, row_splits: Ints) -> tuple[Ints, Ints, Ints]:
  """Returns the distinct sets of records, in ascending order, and the number of each record's.

  >>> found = count_sets(np.array([2, 5, 1, 2, 5]), np.array([0, 2, 2, 3, 5]))
  >>> [part.tolist() for part in found]
  [[1, 2, 5], [0, 0, 1, 3], [2, 0, 1, 2]]

  Args:
    members: Labels of each record, as `distinct_members` returns them: int64 [m].
    row_splits: Where those of each record begin, and of the last one end: int64 [n + 1].

  Returns:
    members: Labels of the distinct sets: int64.
    row_splits: Where those of each set begin, and of the last one end: int64 [sets + 1].
    which: Number of the set of each record: int64 [n].
  """
  starts, lengths = row_splits[:-1], np.diff(row_splits)
  codes = np.zeros(len(lengths), np.int64)  # tells apart the records of one length
  for at in range(int(lengths.max(initial=0))):
    longer = np.flatnonzero(lengths > at)
    words = codes[longer] << _ID_BITS | members[starts[longer] + at]
    codes[longer] = np.unique(words, return_inverse=True)[1].reshape(-1)
  words = codes << _ID_BITS | lengths
  first, which = np.unique(words, return_index=True, return_inverse=True)[1:]
  sets = [
    tuple(members[low : low + n].tolist())
    for low, n in zip(starts[first], lengths[first], strict=True)
  ]
  order = sorted(range(len(sets)), key=sets.__getitem__)
  flat = np.fromiter(itertools.chain.from_iterable(sets[i] for i in order), np.int64)
  ends = np.cumsum([0, *(len(sets[i]) for i in order)], dtype=np.int64)
  return flat, ends, np.argsort(order)[which.reshape(-1)].astype(np.int64)
