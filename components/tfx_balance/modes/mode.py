"""The base class of split modes, and the modes of one run together."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from tfx_balance.argument_readers import Arguments
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.group_by import GroupBy
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.split_plan import SplitPlan, plan_splits
from tfx_balance.plan.split_shares import SplitShares

if TYPE_CHECKING:
  from tfx_balance.modes.array_items import ArrayItems
  from tfx_balance.modes.bins import NumberBins
  from tfx_balance.modes.predefined import PredefinedSplits
  from tfx_balance.modes.time import TimeOrder

M = TypeVar('M', bound='Mode')


class ScanTotals(Protocol):
  """The totals of the scan that a mode checks; see `tfx_balance.scan.totals.Totals`."""

  feature_names: set[str]
  without_group: int

  @property
  def n_records(self) -> int:
    """The records that have a stratum."""


class Mode:
  """A way to split that some arguments of `StratifiedSplitter` ask for, as a frozen dataclass.

  A mode takes part in each step of a run by the methods that it overrides. `StratifiedSplit` has
  three ways to find where a record goes: by thresholds over ranks, by thresholds over times and
  ranks (`order` of a mode), and by whole groups (`groups` of a mode).

  Attributes:
    ARGUMENTS: Declarations of its arguments, the one that asks for it first.
    TOGETHER: Arguments, and those that cannot be checked where one of the former is not known.
    APART: Pairs of arguments that do not combine, each in alphabetical order, with the reason and
      what to do.
  """

  ARGUMENTS: ClassVar[Arguments] = {}
  TOGETHER: ClassVar[Sequence[tuple[Sequence[str], Sequence[str]]]] = ()
  APART: ClassVar[Mapping[tuple[str, str], str]] = {}

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

  def check_totals(self, totals: ScanTotals) -> None:
    """Checks the totals of the scan; raises DataError if the mode cannot split such data."""

  # --- where a record goes

  def check_plan(self, plan: SplitPlan) -> None:
    """Checks the records of the splits; raises DataError if the mode cannot do with them."""

  @property
  def waits(self) -> bool:
    """Whether the records of each split are known only once records are assigned."""
    return False

  @property
  def groups(self) -> GroupBy | None:
    """The groups that are kept whole; None if the mode does not ask for such."""
    return None

  @property
  def order(self) -> TimeOrder | None:
    """The order of the splits in time, if this mode gives one."""
    return None

  @property
  def bins(self) -> NumberBins | None:
    """The bins of a feature's numbers, which are classes, if this mode gives such."""
    return None

  @property
  def predefined(self) -> PredefinedSplits | None:
    """The splits that values of a feature predefine, if this mode gives such."""
    return None

  def split_items(self, items: ArrayItems) -> Ints | None:
    """Returns the split of each item of an array, -1 for none: int64 [n].

    None where the mode does not decide it.
    """
    return None

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
  def bins(self) -> NumberBins | None:
    """See `Mode.bins`."""
    return next(filter(None, (mode.bins for mode in self)), None)

  @property
  def predefined(self) -> PredefinedSplits | None:
    """See `Mode.predefined`."""
    return next(filter(None, (mode.predefined for mode in self)), None)

  @property
  def waits(self) -> bool:
    """See `Mode.waits`; the totals of splits in time are known."""
    return not self.order and any(mode.waits for mode in self)

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
    self, strata: Sequence[Stratum], records: Ints, shares: SplitShares, seed: int
  ) -> SplitPlan:
    """Returns the records of each stratum in each split, as far as counts tell them."""
    return plan_splits(strata, records, shares, seed, self.predefined, self.waits)
