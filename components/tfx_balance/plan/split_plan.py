"""From counts per stratum and weights per split to the number of records in each cell."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import DataError
from tfx_balance.plan.apportion import controlled_rounding, tie_break
from tfx_balance.plan.cell_bounds import raise_cells
from tfx_balance.plan.class_value import ClassValue, Stratum, stratum_key
from tfx_balance.plan.distinct_sets import DistinctSets, HasLabelSets
from tfx_balance.plan.label_exchange import exchange_records
from tfx_balance.plan.narrow_integers import NarrowColumns
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.split_shares import SplitShares


class LabelCounts(NamedTuple):
  """The records of one label, where classes are sets of labels.

  Attributes:
    label: Label.
    records: Number of records that have it.
    quotas: Number of these in each split.
    ideals: Number of records that each split's share comes to.
  """

  label: ClassValue
  records: int
  quotas: tuple[int, ...]
  ideals: tuple[Fraction, ...]


class Placed(NamedTuple):
  """The places of records, or of groups of them, in the output.

  Attributes:
    split: Number of the split of each: int64 [n].
    embargoed: Whether each is left out, as it is too close before a later split: bool [n].
  """

  split: Ints
  embargoed: npt.NDArray[np.bool_]

  @classmethod
  def in_splits(cls, split: Ints) -> Placed:
    """Returns places in these splits, without an embargo."""
    return cls(split, np.zeros(len(split), bool))

  def counts(self, n_splits: int) -> Ints:
    """Returns the numbers of those kept and embargoed in each split: int64 [n_splits, 2]."""
    found = np.bincount(2 * self.split + self.embargoed, minlength=2 * n_splits)
    return found.reshape(n_splits, 2).astype(np.int64)


@dataclass(frozen=True, order=True)
class NamedGroup:
  """A group of records, as people find it.

  Attributes:
    records: Number of its records.
    where: A record of it.
  """

  records: int
  where: str


@dataclass(frozen=True)
class GroupSummary:
  """Summary of the groups of a split.

  Attributes:
    n_groups: Number of groups.
    without: Number of records without a group.
    too_large: Groups with more records than the ideal of any split, the largest ones.
  """

  n_groups: int
  without: int
  too_large: tuple[NamedGroup, ...]


class Deviation(NamedTuple):
  """A count of records and its ideal, of a class in a split or of a whole split.

  Attributes:
    stratum: Classes of the first features, or of all, of one feature whatever the others are, or a
      label; () for the whole split.
    split: Name of the split.
    records: Number of records.
    ideal: Number of records that the split's share comes to.
  """

  stratum: Stratum
  split: str
  records: int
  ideal: Fraction


@dataclass(frozen=True, eq=False)
class SplitPlan(NarrowColumns):
  """The number of records of each stratum in each split.

  Attributes:
    strata: Strata in canonical order; the rows of `quotas`.
    records: Records of each stratum: int64 [strata].
    splits: Names of the splits; the columns of `quotas`.
    quotas: Records per stratum and split: int64 [strata, splits]; every row sums to the stratum's
      records.
    shares: Exact share of each split in every stratum that is stratified.
    predefined: Whether the split of a stratum is predefined: bool [strata].
    embargoed: Records left out of each cell because they are too close before a later split: int64
      [strata, splits]; None where splits are not in the order of time.
    groups: Groups, each of which is in one split; None where records are split one by one.
  """

  strata: Sequence[Stratum]
  records: Ints
  splits: tuple[str, ...]
  quotas: Ints
  shares: tuple[Fraction, ...]
  predefined: npt.NDArray[np.bool_]
  embargoed: Ints | None = None
  groups: GroupSummary | None = None

  narrow_columns = ('records', 'quotas', 'embargoed')

  def __getstate__(self) -> dict[str, Any]:
    """Returns the state to send to workers, with columns in few bytes."""
    state = super().__getstate__()
    return {name: value for name, value in state.items() if name != '_label_sets'}

  def out_of_reach(self) -> list[int]:
    """Returns the rows of the strata too small to have a record in every split that has any.

    Of those that are stratified, and of the splits that have a share.
    """
    filled = self.quotas[:, self.quotas.any(axis=0) & np.array([s > 0 for s in self.shares])]
    return [int(row) for row in np.flatnonzero((filled == 0).any(axis=1) & ~self.predefined)]

  def totals(self) -> list[int]:
    """Returns the records of each split."""
    return [int(total) for total in self.quotas.sum(axis=0)]

  def furthest(self) -> Deviation:
    """Returns the count that is furthest from its ideal.

    Of strata and the classes of the first features together, or of labels, and of splits; records
    of strata whose split is predefined do not count. In the order of time, where classes are as
    they come, of splits alone, before the embargo.
    """
    if self.embargoed is not None:
      n = int(self.records.sum())
      found = [
        Deviation((), name, total, share * n)
        for name, total, share in zip(
          self.splits, (self.quotas + self.embargoed).sum(axis=0).tolist(), self.shares, strict=True
        )
      ]
      return max(found, key=lambda one: abs(one.records - one.ideal))
    numbers = [np.zeros(len(self.strata), np.int64)]
    if self._label_sets is None:
      numbers += [np.array(level, np.int64) for level in prefixes(self.strata)]
      numbers.append(np.arange(len(self.strata)))
    quotas = np.where(self.predefined[:, None], 0, self.quotas)
    shares = np.array([float(share) for share in self.shares])
    found = [
      Deviation((one.label,), *cell)
      for one in self.labels()
      for cell in zip(self.splits, one.quotas, one.ideals, strict=True)
    ]
    for depth, of_stratum in enumerate(numbers):
      sums = np.zeros((int(of_stratum.max()) + 1, len(self.splits)), np.int64)
      np.add.at(sums, of_stratum, quotas)
      records = sums.sum(axis=1)
      at, split = divmod(int(np.abs(sums - records[:, None] * shares).argmax()), len(self.splits))
      stratum = self.strata[int(np.argmax(of_stratum == at))][:depth]
      ideal = self.shares[split] * int(records[at])
      found.append(Deviation(stratum, self.splits[split], int(sums[at, split]), ideal))
    return max(found, key=lambda one: abs(one.records - one.ideal))

  def margins(self) -> list[Deviation]:
    """Returns the cell of each feature but the first that is furthest from its ideal, in order.

    The features together are within one record of it, each alone need not be. Strata whose split is
    predefined do not count.
    """
    if len(self.strata[0]) == 1 or self.predefined.all():
      return []
    return [self._furthest(column) for column in list(zip(*self.strata, strict=True))[1:]]

  def labels(self) -> list[LabelCounts]:
    """Returns the counts of each label, in canonical order; none where classes are no sets."""
    sets = self._label_sets
    if sets is None:
      return []
    fixed = np.where(self.predefined[:, None], self.quotas, 0)
    of_label = (sets.sums(x).tolist() for x in (self.records[:, None], self.quotas, fixed))
    return [
      LabelCounts(
        label,
        n,
        tuple(row),
        tuple((n - sum(found)) * p + at for p, at in zip(self.shares, found, strict=True)),
      )
      for label, (n,), row, found in zip(sets.labels, *of_label, strict=True)
    ]

  def unlabelled(self) -> list[int] | None:
    """Returns the records without labels of each split; None where classes are no sets."""
    sets = self._label_sets
    if sets is None:
      return None
    empty = np.diff(sets.row_splits) == 0
    return [int(n) for n in self.quotas[empty].sum(axis=0)]

  @functools.cached_property
  def _label_sets(self) -> DistinctSets | None:
    return label_sets(self.strata)

  def _furthest(self, column: Sequence[ClassValue]) -> Deviation:
    classes = sorted(set(column))
    number = {value: i for i, value in enumerate(classes)}
    of_stratum = np.array([number[value] for value in column], np.int64)
    quotas = np.zeros((len(classes), len(self.splits)), np.int64)
    np.add.at(quotas, of_stratum, np.where(self.predefined[:, None], 0, self.quotas))
    records = quotas.sum(axis=1).tolist()
    cells = [
      Deviation((classes[row],), split, n, share * records[row])
      for row, counts in enumerate(quotas.tolist())
      for split, n, share in zip(self.splits, counts, self.shares, strict=True)
    ]
    return max(cells, key=lambda cell: abs(cell.records - cell.ideal))


class SplitFinder(Protocol):
  """Finds the predefined splits of records by a value of each."""

  def split_names(self, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of all the splits, given those that have shares, which come first."""

  def find(
    self, records: Iterable[tuple[ClassValue, int]], splits: Iterable[str]
  ) -> Mapping[ClassValue, str]:
    """Returns the split of each value that has one, given values, numbers of records and splits."""


def plan_splits(
  strata: Sequence[Stratum],
  records: Sequence[int] | Ints,
  shares: SplitShares,
  seed: int = 0,
  predefined: SplitFinder | None = None,
  stable: bool = False,
) -> SplitPlan:
  """Returns quotas within one record of ideal in every cell, class and split.

  A cell is a stratum in a split. With several features, the bound also holds for the classes of
  the first one, for those of the first two together, and so on. Which strata are rounded up depends
  on the seed and not on their order or name. Where classes are label sets, those are rounded up
  that bring labels, and pairs of labels, near to their shares.

  Args:
    strata: Strata in canonical order.
    records: Records of each stratum: integers [strata].
    shares: Shares of the splits, in which strata that are not predefined are split.
    seed: Seed of the rounding.
    predefined: Splits of strata by their last feature; None where there are none.
    stable: Whether quotas of strata that are stratified are left 0, for hashes to tell.

  Raises:
    ConfigError: if `predefined` maps a value that there is not.
    DataError: if there are no records, the counts ask for more than there are, or records have no
      split and must have one; if label sets are too many, or of labels of several types.
  """
  sizes = np.asarray(records, np.int64)
  if predefined is None:
    quotas, exact = _stratify(strata, sizes, shares, seed, stable)
    return SplitPlan(strata, sizes, shares.names, quotas, exact, np.zeros(len(sizes), bool))
  if not sizes.any():
    raise _no_records()
  values = [stratum[-1] for stratum in strata]
  split_of = predefined.find(zip(values, sizes.tolist(), strict=True), shares.names)
  names = predefined.split_names(shares.names)
  column = np.array([names.index(split_of[v]) if v in split_of else -1 for v in values], np.int64)
  is_predefined, quotas = column >= 0, np.zeros((len(sizes), len(names)), np.int64)
  quotas[is_predefined, column[is_predefined]] = sizes[is_predefined]
  exact = (Fraction(0),) * len(names)
  if sizes[~is_predefined].any():
    rest = list(itertools.compress(strata, ~is_predefined))
    quotas[~is_predefined, : len(shares.names)], of_rest = _stratify(
      rest, sizes[~is_predefined], shares, seed, stable
    )
    exact = (*of_rest, *exact[len(of_rest) :])
  return SplitPlan(strata, sizes, names, quotas, exact, is_predefined)


def _stratify(
  strata: Sequence[Stratum], records: Ints, shares: SplitShares, seed: int, stable: bool
) -> tuple[Ints, tuple[Fraction, ...]]:
  """Returns the quotas of strata, int64 [strata, splits], and the exact share of each split."""
  numerators, denominator = exact_shares(int(records.sum()), shares)
  exact = tuple(Fraction(numerator, denominator) for numerator in numerators)
  if stable:
    return np.zeros((len(strata), len(exact)), np.int64), exact
  sets = label_sets(strata)
  if sets:
    sets.check_number()
  key: Callable[[int], str]
  levels: list[list[int]] = []
  if sets and len(strata[0]) == 1:
    key = sets.stratum_key
  else:
    strata = list(strata)  # made into objects once
    key, levels = [stratum_key(stratum) for stratum in strata].__getitem__, list(prefixes(strata))
  distinct, which = np.unique(records, return_inverse=True)
  which = which.reshape(-1)
  rows = [[n * numerator for numerator in numerators] for n in distinct.tolist()]
  quotas = controlled_rounding(
    np.array(rows, object)[which],
    denominator,
    levels=levels,
    key=key,
    seed=seed,
    # Unbiased where labels, or features of several, are sums of strata.
    nearest=sets is None and not levels,
  )
  if any(shares.at_least.values()):
    quotas = _raise_classes(quotas, strata, levels, exact, shares, seed)
  if sets:
    parts = [[divmod(numerator, denominator) for numerator in row] for row in rows]
    floors = np.array([[floor for floor, _ in row] for row in parts], np.int64)
    movable = np.array([[part > 0 for _, part in row] for row in parts])[which]
    quotas = exchange_records(quotas, movable, quotas > floors[which], sets, seed)
  return quotas, exact


def _raise_classes(
  quotas: Ints,
  strata: Sequence[Stratum],
  levels: Sequence[Sequence[int]],
  exact: Sequence[Fraction],
  shares: SplitShares,
  seed: int,
) -> Ints:
  """Returns quotas with the least records of each class, that of the first feature, in each split.

  Strata of a class whose quotas change are split by what the class has in each split.

  Args:
    quotas: Quotas without these bounds: int64 [strata, splits].
    strata: Strata.
    levels: See `prefixes`.
    exact: Share of each split.
    shares: Shares of the splits, with the bounds.
    seed: Seed of the rounding.

  Raises:
    DataError: if the bounds and the counts of splits cannot both hold.
  """
  names = shares.names
  of = np.array(levels[0] if levels else range(len(strata)), np.int64)
  _, first = np.unique(of, return_index=True)
  ties = [tie_break(seed, 'least', stratum_key(strata[row][:1])) for row in first]
  before = np.zeros((len(first), len(names)), np.int64)
  np.add.at(before, of, quotas)
  least = [shares.at_least.get(name, 0) for name in names]
  fixed = [names.index(name) for name in shares.counts]
  order = np.argsort(np.array(ties, np.uint64), kind='stable')
  classes = raise_cells(before, least, exact, fixed, order)
  for split in fixed:
    total = int(classes[:, split].sum())
    if total != shares.counts[names[split]]:
      raise DataError(
        f'counts={dict(shares.counts)} and at_least={dict(shares.at_least)} cannot both hold: '
        f'the bounds of {len(classes)} classes bring split {names[split]!r} to {total} records; '
        f'ask for {total} there, or for fewer of each class'
      )
  if not levels:
    return classes
  found = quotas.copy()
  by_class = np.split(np.argsort(of, kind='stable'), np.cumsum(np.bincount(of))[:-1])
  for changed in np.flatnonzero((classes != before).any(axis=1)).tolist():
    rows = by_class[changed]
    sizes = quotas[rows].sum(axis=1)
    found[rows] = controlled_rounding(
      sizes[:, None] * classes[changed],
      int(sizes.sum()),
      levels=[[level[row] for row in rows] for level in levels[1:]],
      key=[stratum_key(strata[row]) for row in rows].__getitem__,
      seed=seed,
    )
  return found


def label_sets(strata: Sequence[Stratum]) -> DistinctSets | None:
  """Returns the label set of each stratum; None where classes are no sets."""
  if isinstance(strata, HasLabelSets):
    return strata.label_sets()
  if all(stratum[0].kind != 'set' for stratum in strata):
    return None
  return DistinctSets.of(stratum[0] for stratum in strata)


def prefixes(strata: Sequence[Stratum]) -> Iterator[list[int]]:
  """Yields a number of each stratum's class of the first feature, of the first two, and so on."""
  numbers = [0] * len(strata)
  for classes in list(zip(*strata, strict=True))[:-1]:
    seen: dict[tuple[int, ClassValue], int] = {}
    pairs = zip(numbers, classes, strict=True)
    numbers = [seen.setdefault(pair, len(seen)) for pair in pairs]
    yield numbers


def exact_shares(total: int, shares: SplitShares) -> tuple[list[int], int]:
  """Returns each split's share of all records, as numerators and denominator.

  Of N records, C of them taken by counts, and weights w that sum to W: c / N of a counted split,
  (N - C) / N * w / W of the others.
  """
  weights = shares.divided.values()
  taken, whole = sum(shares.counts.values()), sum(weights)
  if not total:
    raise _no_records()
  if taken > total:
    raise DataError(
      f'counts={dict(shares.counts)} ask for {taken} records, there are {total}; ask for fewer'
    )
  if not whole and taken < total:
    raise DataError(
      f'counts={dict(shares.counts)} take {taken} of {total} records; name the split that gets the '
      f'other {total - taken} with rest='
    )
  whole = whole or 1
  numerators = [w * (total - taken) for w in weights]
  numerators += [count * whole for count in shares.counts.values()]
  divisor = math.gcd(total * whole, *numerators)
  return [numerator // divisor for numerator in numerators], total * whole // divisor


def _no_records() -> DataError:
  return DataError('the input holds no records; give at least one')
