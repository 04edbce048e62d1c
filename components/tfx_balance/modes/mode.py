"""The base class of split modes, the modes of one run together, and the shares of its splits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from tfx_balance.argument_readers import Argument, Arguments, json_of, optional_text
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.group_table import GroupBy
from tfx_balance.plan.ranks import Ints, Thresholds, UInts
from tfx_balance.plan.split_plan import Placed, SplitPlan, plan_splits
from tfx_balance.plan.split_shares import DEFAULT_SPLITS, SplitShares

if TYPE_CHECKING:
  from tfx_balance.modes.array_items import ArrayItems
  from tfx_balance.modes.predefined import PredefinedSplits
  from tfx_balance.modes.time import TimeOrder

M = TypeVar('M', bound='Mode')
NEW = ''
"""Input split of the files to split; that of others is the split that they stay in."""


class ScanTotals(Protocol):
  """The totals of the scan that a mode checks; see `tfx_balance.scan.totals.Totals`."""

  feature_names: set[str]
  without_group: int
  counts: list[Any]

  @property
  def n_records(self) -> int:
    """The records that have a stratum."""


class FileRounds(Protocol):
  """Rounds over the scanned files of a run, for modes to compose; Beam runs them.

  Functions get `tfx_balance.scan.scan.ScannedFile`s, and run where these are. The first three are
  for `Mode.revise`, the others, of which one is used, for `Mode.place_files`.

  Attributes:
    features: Features that strata are made of.
  """

  features: Sequence[str]

  def search_edges(self, place: int, quotas: Callable[[int], Ints]) -> Any:
    """Returns the edges between bins of all records' numbers, tuple[float, ...], for `revise`.

    Args:
      place: Place of the feature of `ScanFile.binned` among `features`.
      quotas: Function from the number of records with a number to those of each bin.
    """

  def revise(self, name: str, call: Callable[..., Any], found: Any = None) -> None:
    """Replaces each file by a function of it, and of what was searched, if anything was."""

  def exchange(
    self,
    name: str,
    columns: Callable[..., Any],
    answer: Callable[..., Any],
    call: Callable[..., Any],
  ) -> None:
    """Replaces each file by a function of it and of what all files know together.

    Args:
      name: Name of the round.
      columns: Function from a file to pairs: the number of a part, and what the file has of it.
      answer: Function from what all files have of a part to pairs: the number of a file, and what
        it is to know.
      call: Function of a file, of what it is to know, of all parts, and of the run's workspace.
    """

  def search_thresholds(self) -> None:
    """Searches the ends of the parts that `Mode.parts` cuts rows into."""

  def use_thresholds(self, call: Callable[[SplitPlan], Thresholds]) -> None:
    """Takes the ends that a function of the plan gives."""

  def place_groups(self) -> None:
    """Places whole groups, in the rounds of `tfx_balance.modes.groups`."""


class Mode:
  """A way to split that some arguments of `StratifiedSplitter` ask for, as a frozen dataclass.

  A mode takes part in each step of a run by the methods that it overrides; no step knows a mode.
  Unless one `places` records, they go where their rank in their stratum is among the quotas.

  Attributes:
    ARGUMENTS: Declarations of its arguments, the one that asks for it first.
    TOGETHER: Arguments, and those that cannot be checked where one of the former is not known.
    APART: Pairs of arguments that do not combine, each in alphabetical order, with the reason and
      what to do.
    places: Whether the mode says where a record goes; of several modes, the last one does.
    recounts: Whether records of splits are counted again once they are assigned.
    waits: Whether the records of each split are known only once records, or groups, are placed.
    column: Column of the index whose numbers come before ranks; '' for none.
    is_joint: Whether all strata are cut as one.
  """

  ARGUMENTS: ClassVar[Arguments] = {}
  TOGETHER: ClassVar[Sequence[tuple[Sequence[str], Sequence[str]]]] = ()
  APART: ClassVar[Mapping[tuple[str, str], str]] = {}
  places: ClassVar[bool] = False
  recounts: ClassVar[bool] = False
  waits: ClassVar[bool] = False
  column: ClassVar[str] = ''

  # --- arguments

  @classmethod
  def parse(cls: type[M], given: Mapping[str, Any]) -> M | None:
    """Returns the mode that decoded arguments ask for; None if they do not.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    raise NotImplementedError

  def asked_by(self) -> Collection[str]:
    """Returns the arguments that ask for the mode, as named in `APART`."""
    return [next(iter(self.ARGUMENTS))]

  def describe(self) -> dict[str, Any]:
    """Returns the arguments as the sidecar shows them."""
    return {}

  # --- shares and features

  @property
  def default_splits(self) -> Mapping[str, int] | None:
    """The weights of splits where nobody gives any; None for the usual ones."""
    return None

  def divide(self, shares: SplitShares) -> SplitShares:
    """Returns the shares, with splits that the mode makes of others."""
    return shares

  def split_names(self, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the splits to make, given those that have shares."""
    return tuple(names)

  def strata_features(self, features: Sequence[str]) -> tuple[str, ...]:
    """Returns the features that strata are made of, given those of `stratify_by`."""
    return tuple(features)

  # --- scan

  def scan_options(self) -> dict[str, Any]:
    """Returns the options of `ScanFile` that make it read what the mode needs."""
    return {}

  def optional_features(self) -> Mapping[str, str]:
    """Returns the features that a record may lack, each with the argument that names it."""
    return {}

  def counted_features(self, features: Sequence[str]) -> tuple[str, ...]:
    """Returns the features that columns of strata are of, given those that strata are made of."""
    return tuple(features)

  def revise(self, rounds: FileRounds) -> None:
    """Runs the rounds that change what was scanned before it is counted."""

  def check_totals(
    self, totals: ScanTotals, by_split: Mapping[str, ScanTotals], features: Sequence[str]
  ) -> None:
    """Checks the totals of the scan; raises DataError if the mode cannot split such data.

    Args:
      totals: Totals of all files.
      by_split: Totals of the files to split, as NEW, and of the files that stay in a split, by its
        name.
      features: Features that strata are made of.
    """

  # --- the plan on counts

  def plan(
    self,
    strata: Sequence[Stratum],
    records: Ints,
    shares: SplitShares,
    seed: int,
    in_base: Ints | None,
  ) -> SplitPlan | None:
    """Returns the records of each stratum in each split; None where the mode does not say.

    The arguments are those of `SplitModes.plan`.
    """
    return None

  def check_plan(self, plan: SplitPlan) -> None:
    """Checks the records of the splits; raises DataError if the mode cannot do with them."""

  @property
  def groups(self) -> GroupBy | None:
    """The groups that are kept whole; None if the mode does not ask for such."""
    return None

  @property
  def order(self) -> TimeOrder | None:
    """The order of the splits in time, if this mode gives one."""
    return None

  @property
  def predefined(self) -> PredefinedSplits | None:
    """The splits that values of a feature predefine, if this mode gives such."""
    return None

  # --- where a record goes, of a mode that places them

  def place_files(self, rounds: FileRounds) -> None:
    """Runs the rounds that find where records go: by thresholds between the parts of rows."""
    rounds.search_thresholds()

  @property
  def is_joint(self) -> bool:
    return False

  def parts(self, quotas: Ints) -> Ints:
    """Returns the records of the parts that rows are cut into: int64 [rows, parts].

    Args:
      quotas: Records of each stratum in each split: int64 [strata, splits].
    """
    return quotas

  def bounds(self, parts: Ints, orders: UInts, kind: str) -> Any:
    """Returns bounds of the rows of a file, for `place`; None where it needs none.

    Args:
      parts: Records of each part: int64 [rows, parts].
      orders: Key of the first record behind each part: uint64 [rows, parts - 1].
      kind: Type of the numbers in `column`.
    """
    return None

  def place(self, rows: Ints, parts: npt.NDArray[Any], orders: UInts | None, bounds: Any) -> Placed:
    """Returns the places of records.

    Args:
      rows: Row of each record: int64 [n].
      parts: Its part: integers [n].
      orders: Key of its number in `column`: uint64 [n]; None for none.
      bounds: From `bounds`.
    """
    return Placed.in_splits(parts)

  def kept(self, placed: Placed, names: Sequence[str]) -> npt.NDArray[Any]:
    """Returns the split of each item of an array by its place, -1 for none: integers [n]."""
    return placed.split

  def numbers_of(self, items: ArrayItems) -> tuple[UInts | None, str]:
    """Returns the key of each item's number in `column`, uint64 [n], and their type."""
    return None, ''

  def split_items(self, items: ArrayItems) -> npt.NDArray[Any]:
    """Returns the split of each item of an array, -1 for none: integers [n]."""
    numbers, kind = self.numbers_of(items)
    plan, rows = items.plan(), items.strata_of
    parts, by_stratum = self.parts(plan.quotas), None
    if numbers is not None:  # equal numbers and ranks follow each other stratum by stratum
      by_stratum = np.argsort(rows, kind='stable')
    rows = np.zeros_like(rows) if self.is_joint else rows
    found, part = items.select(parts, rows, numbers, by_stratum)
    bounds = self.bounds(parts, found.orders, kind)
    if numbers is None or by_stratum is None:
      return self.kept(self.place(rows, part, None, bounds), plan.splits)
    placed = self.place(rows[by_stratum], part, numbers[by_stratum], bounds)
    split = np.empty(len(items), np.int64)
    split[by_stratum] = self.kept(placed, plan.splits)
    return split

  def cells(self, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of counts of assigned records, of that of quotas, where it `recounts`."""
    return shape

  def recount(self, plan: SplitPlan, planned: Ints, counts: Ints) -> SplitPlan:
    """Returns the plan with the counts of assigned records, of the shape `cells`.

    Raises:
      DataError: if the mode cannot do with them.
      RuntimeError: if counts differ from what was planned: a fault of this package, or changed
        data.
    """
    return replace(plan, quotas=counts)

  # --- sidecar

  def warnings(self, plan: SplitPlan, source: InputRecords) -> list[str]:
    """Returns warnings, a sentence each, such as counts that are not exact."""
    return []

  def notes(self, plan: SplitPlan) -> list[str]:
    """Returns further sentences, which follow those about small classes."""
    return []


@dataclass(frozen=True)
class SplitModes:
  """The modes that are asked for, which combine.

  Attributes:
    modes: The modes, in the order in which they are registered.
  """

  modes: tuple[Mode, ...] = ()

  def __iter__(self) -> Iterator[Mode]:
    return iter(self.modes)

  @property
  def groups(self) -> GroupBy | None:
    """See `Mode.groups`."""
    return next(filter(None, (mode.groups for mode in self)), None)

  @property
  def order(self) -> TimeOrder | None:
    """See `Mode.order`."""
    return next(filter(None, (mode.order for mode in self)), None)

  @property
  def predefined(self) -> PredefinedSplits | None:
    """See `Mode.predefined`."""
    return next(filter(None, (mode.predefined for mode in self)), None)

  @property
  def waits(self) -> bool:
    """See `Mode.waits`; the totals of splits in time are known."""
    return not self.order and any(mode.waits for mode in self)

  @property
  def placement(self) -> Mode:
    """The mode that says where a record goes."""
    return next((mode for mode in reversed(self.modes) if mode.places), Mode())

  @property
  def recounter(self) -> Mode | None:
    """The mode that counts records again once they are assigned; None if none does."""
    return next((mode for mode in self if mode.recounts), None)

  def split_names(self, names: Sequence[str]) -> tuple[str, ...]:
    """See `Mode.split_names`."""
    return functools.reduce(lambda found, mode: mode.split_names(found), self, tuple(names))

  def strata_features(self, features: Sequence[str]) -> tuple[str, ...]:
    """See `Mode.strata_features`."""
    return functools.reduce(lambda found, mode: mode.strata_features(found), self, tuple(features))

  def counted_features(self, features: Sequence[str]) -> tuple[str, ...]:
    """See `Mode.counted_features`."""
    return functools.reduce(lambda found, mode: mode.counted_features(found), self, tuple(features))

  def describe(self) -> dict[str, Any]:
    """See `Mode.describe`."""
    return {name: value for mode in self for name, value in mode.describe().items()}

  def scan_options(self) -> dict[str, Any]:
    """See `Mode.scan_options`."""
    return {name: value for mode in self for name, value in mode.scan_options().items()}

  def optional_features(self) -> dict[str, str]:
    """See `Mode.optional_features`."""
    return {name: by for mode in self for name, by in mode.optional_features().items()}

  def check_plan(self, plan: SplitPlan) -> None:
    """See `Mode.check_plan`."""
    for mode in self:
      mode.check_plan(plan)

  def plan(
    self,
    strata: Sequence[Stratum],
    records: Ints,
    shares: SplitShares,
    seed: int,
    in_base: Ints | None = None,
  ) -> SplitPlan:
    """Returns the records of each stratum in each split, as far as counts tell them.

    Args:
      strata: Strata in canonical order.
      records: Records of each stratum: int64 [strata].
      shares: Shares of the splits.
      seed: Seed of the rounding.
      in_base: Records among them that stay in their splits: int64 [strata, splits]; None for none.
    """
    for mode in self:
      found = mode.plan(strata, records, shares, seed, in_base)
      if found is not None:
        return found
    return plan_splits(strata, records, shares, seed, self.predefined, self.waits)


SHARE_ARGUMENTS = {
  'splits': Argument(str, json_of(Mapping)),
  'counts': Argument(str, json_of(Mapping)),
  'rest': Argument(str, optional_text),
}
SHARES = ('splits', 'counts', 'rest', 'split_by', 'split_values', 'folds', 'mode')
"""Arguments that are checked together, for each has a say in the shares of the splits."""


def parse_shares(given: Mapping[str, Any], modes: Iterable[Mode]) -> SplitShares:
  """Returns the checked shares of the splits, for those records whose split is not predefined.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  chosen = list(modes)
  defaults = [mode.default_splits for mode in chosen if mode.default_splits is not None]
  shares = SplitShares.parse(
    given['splits'], given['counts'], given['rest'], *(defaults or [DEFAULT_SPLITS])[:1]
  )
  for mode in chosen:
    shares = mode.divide(shares)
  return shares
