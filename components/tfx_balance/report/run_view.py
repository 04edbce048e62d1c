"""What a run did to each class: the values that the report is a function of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tfx_balance.documents.class_checks import ClassChecks
from tfx_balance.documents.recall import ModelRecall
from tfx_balance.plan.checks import Check, failed
from tfx_balance.plan.class_value import ClassValue

StageKind = Literal['raw', 'split', 'balanced', 'fed']
KINDS: tuple[StageKind, ...] = ('raw', 'split', 'balanced', 'fed')
"""The stages in the order that data passes them."""

WHOLE = 'all'
"""The name of a column that is the whole data, not one of its splits."""

TRAIN = 'train'


@dataclass(frozen=True)
class SplitCounts:
  """The classes of one split.

  Attributes:
    name: of the split.
    counts: records by class; a class that is not named has none.
    before: the same, before the stage changed the split; None where it is new.
    unlabelled: records without a class that the split has besides.
  """

  name: str
  counts: Mapping[ClassValue, int]
  before: Mapping[ClassValue, int] | None = None
  unlabelled: int = 0

  @property
  def records(self) -> int:
    """Records of the split, those without a class included."""
    return sum(self.counts.values()) + self.unlabelled

  def column(self, classes: Sequence[ClassValue]) -> list[int]:
    """Returns the records of each of the classes, in their order."""
    return [self.counts.get(value, 0) for value in classes]


@dataclass(frozen=True)
class Fit:
  """How near one cell came to its ideal.

  Attributes:
    name: of the class or stratum.
    split: the split.
    ideal: records that its share comes to.
    actual: records that it has.
  """

  name: str
  split: str
  ideal: float
  actual: int

  @property
  def deviation(self) -> float:
    """Records above the ideal; negative below."""
    return self.actual - self.ideal


@dataclass(frozen=True)
class Stage:
  """The classes at one point of the pipeline.

  Attributes:
    title: as it is shown.
    kind: where in the pipeline.
    splits: counts by class, one a split.
    training: names of the splits that a Trainer reads, together, at this stage.
    fits: cells with their ideals; empty where the stage has none.
    passed_through: names of splits that are as they were.
    parameters: of the component.
    warnings: of the component, sentences.
    confirmed_by: titles of what counted the same.
    uri: where it was read.
  """

  title: str
  kind: StageKind
  splits: tuple[SplitCounts, ...]
  training: tuple[str, ...] = ()
  fits: tuple[Fit, ...] = ()
  passed_through: tuple[str, ...] = ()
  parameters: Mapping[str, Any] = field(default_factory=dict)
  warnings: tuple[str, ...] = ()
  confirmed_by: tuple[str, ...] = ()
  uri: str = ''

  @cached_property
  def total(self) -> dict[ClassValue, int]:
    """Records by class in all its splits."""
    return _sum(split.counts for split in self.splits)

  @cached_property
  def trained(self) -> dict[ClassValue, int]:
    """Records by class that a Trainer reads at this stage; of all splits where none is named."""
    if not self.training:
      return self.total
    return _sum(split.counts for split in self.splits if split.name in self.training)


@dataclass(frozen=True)
class CheckSet:
  """What one validator found, how it is titled, and where it was read."""

  title: str
  found: ClassChecks
  uri: str = ''

  @property
  def failed(self) -> list[Check]:
    """The checks whose rule is broken."""
    return failed(self.found.checks)


@dataclass(frozen=True)
class RunView:
  """A run as the report shows it.

  Attributes:
    label: name of the feature that holds the class; '' if nothing says it.
    classes: the largest first by the first stage, equal ones in canonical order. Those of a stage
      that shares no class with it (Transform made them ids, say) are not among them.
    stages: in the order that data passes them.
    check_sets: of the validators, in the order given.
    models: in the order given.
    model_uris: Name of each model and where it was read.
    notes: what could not be shown, sentences.
  """

  label: str
  classes: tuple[ClassValue, ...]
  stages: tuple[Stage, ...]
  check_sets: tuple[CheckSet, ...] = ()
  models: tuple[ModelRecall, ...] = ()
  model_uris: tuple[tuple[str, str], ...] = ()
  notes: tuple[str, ...] = ()

  @property
  def passed(self) -> bool | None:
    """Whether every validator blessed the data; None where none looked at it."""
    return all(checks.found.blessed for checks in self.check_sets) if self.check_sets else None

  @cached_property
  def comparable(self) -> tuple[Stage, ...]:
    """The stages whose classes are among those of the run, so that they stand side by side."""
    known = set(self.classes)
    return tuple(stage for stage in self.stages if known & stage.total.keys())

  def key(self, stage: Stage) -> str:
    """Returns what a stage's pictures and tables are called: its kind, numbered from the second."""
    alike = [other for other in self.stages if other.kind == stage.kind]
    number = alike.index(stage) + 1
    return stage.kind if number == 1 else f'{stage.kind}-{number}'

  @cached_property
  def split_names(self) -> tuple[str, ...]:
    """The names of all splits, in order of appearance; the whole is not one."""
    names = (split.name for stage in self.stages for split in stage.splits)
    return tuple(dict.fromkeys(name for name in names if name != WHOLE))


def _sum(columns: Any) -> dict[ClassValue, int]:
  """Returns the sum of counts by class."""
  total: dict[ClassValue, int] = {}
  for counts in columns:
    for value, n in counts.items():
      total[value] = total.get(value, 0) + n
  return total
