"""A run as the report shows it: stages, checks and models, merged from its artifacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from tfx_balance.documents.class_checks import ClassChecks
from tfx_balance.documents.comparison import ComparisonDocument
from tfx_balance.documents.recall import ModelRecall
from tfx_balance.documents.training_log import TrainingLog
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
    name: Name of the split.
    counts: Number of records by class; a class that is not there has none.
    before: Counts before the stage changed the split; None where it is new.
    unlabelled: Number of records without a class that the split has besides.
    n_records: Number of records where one has any number of classes, its labels; None where it has
      one.
  """

  name: str
  counts: Mapping[ClassValue, int]
  before: Mapping[ClassValue, int] | None = None
  unlabelled: int = 0
  n_records: int | None = None

  @property
  def records(self) -> int:
    """Records of the split, those without a class included."""
    if self.n_records is not None:
      return self.n_records
    return sum(self.counts.values()) + self.unlabelled

  def column(self, classes: Sequence[ClassValue]) -> list[int]:
    """Returns the records of each of the classes, in their order."""
    return [self.counts.get(value, 0) for value in classes]


@dataclass(frozen=True)
class Fit:
  """Records of one class or stratum in a split beside their ideal number."""

  name: str
  split: str
  ideal: float
  actual: int

  @property
  def deviation(self) -> float:
    """Records above the ideal; negative below."""
    return self.actual - self.ideal


@dataclass(frozen=True)
class BinCounts:
  """The numbers of a feature that was put into bins.

  Attributes:
    feature: Name of the feature.
    names: Names of the bins, in ascending order.
    counts: Records in each bin, by split.
  """

  feature: str
  names: tuple[str, ...]
  counts: Mapping[str, tuple[int, ...]]

  @cached_property
  def places(self) -> dict[str, int]:
    """The place of each bin by its name."""
    return {name: i for i, name in enumerate(self.names)}


@dataclass(frozen=True)
class Stage:
  """The classes at one point of the pipeline.

  Attributes:
    title: Title, unique in the run.
    kind: Place in the pipeline.
    splits: Counts by class of each split.
    training: Names of the splits that a Trainer reads, together, at this stage.
    fits: Cells with their ideals; empty where the stage has none.
    passed_through: Names of splits that are as they were.
    parameters: Arguments of the component.
    warnings: Sentences of the component.
    confirmed_by: Titles of what counted the same.
    uri: Place that it was read from.
    bins: Records in the bins of a feature; None where none was put into bins.
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
  bins: BinCounts | None = None

  @cached_property
  def fits_by_split(self) -> dict[str, list[Fit]]:
    """Cells with their ideals, by split."""
    by_split: dict[str, list[Fit]] = {}
    for fit in self.fits:
      by_split.setdefault(fit.split, []).append(fit)
    return by_split

  @cached_property
  def total(self) -> Mapping[ClassValue, int]:
    """Records by class in all its splits."""
    return _sum(split.counts for split in self.splits)

  @cached_property
  def trained(self) -> Mapping[ClassValue, int]:
    """Records by class that a Trainer reads at this stage; of all splits where none is named."""
    named = self.training or [split.name for split in self.splits]
    return _sum(split.counts for split in self.splits if split.name in named)


@dataclass(frozen=True)
class CheckSet:
  """Checks of one validator, their title, and the place that they were read from."""

  title: str
  document: ClassChecks
  uri: str = ''

  @property
  def failed(self) -> list[Check]:
    """The checks whose rule is broken."""
    return failed(self.document.checks)

  @cached_property
  def rules(self) -> dict[tuple[str, str, str | None], list[Check]]:
    """The checks of each rule, split and what that was compared with."""
    by_rule: dict[tuple[str, str, str | None], list[Check]] = {}
    for check in self.document.checks:
      by_rule.setdefault((check.rule, check.split, check.other), []).append(check)
    return by_rule


@dataclass(frozen=True)
class RunView:
  """A run as the report shows it.

  Attributes:
    label: Name of the feature that holds the class; '' if nothing says it.
    classes: Classes, the largest first by the first stage, equal ones in canonical order; those
      that are bins of a number come first, in ascending order. Those of a stage that shares no
      class with it (Transform made them ids, say) are not among them.
    stages: Stages in the order that data passes them.
    check_sets: Results of the validators, in the order given.
    models: Recall of the models, in the order given.
    model_uris: Name of each model, log and comparison, and where it was read.
    notes: Sentences about what could not be shown.
    trainings: Title and log of what models were trained on, in the order given.
    comparisons: Title and content of comparisons of remedies, in the order given.
  """

  label: str
  classes: tuple[ClassValue, ...]
  stages: tuple[Stage, ...]
  check_sets: tuple[CheckSet, ...] = ()
  models: tuple[ModelRecall, ...] = ()
  model_uris: tuple[tuple[str, str], ...] = ()
  notes: tuple[str, ...] = ()
  trainings: tuple[tuple[str, TrainingLog], ...] = ()
  comparisons: tuple[tuple[str, ComparisonDocument], ...] = ()

  @property
  def passed(self) -> bool | None:
    """Whether every validator blessed the data; None where none looked at it."""
    return all(checks.document.blessed for checks in self.check_sets) if self.check_sets else None

  @cached_property
  def measured(self) -> tuple[ModelRecall, ...]:
    """The models whose recall was measured, in the order of their colours."""
    return tuple(model for model in self.models if model.by_class)

  @cached_property
  def comparable(self) -> tuple[Stage, ...]:
    """The stages whose classes are among those of the run, so that they stand side by side."""
    classes = set(self.classes)
    return tuple(stage for stage in self.stages if classes & stage.total.keys())

  def key(self, stage: Stage) -> str:
    """Returns the name of a stage's pictures and tables: its kind, numbered from the second."""
    of_kind = [other for other in self.stages if other.kind == stage.kind]
    return numbered_name(stage.kind, of_kind.index(stage))

  @cached_property
  def split_names(self) -> tuple[str, ...]:
    """The names of all splits, in order of appearance; the whole is not one."""
    names = (split.name for stage in self.stages for split in stage.splits)
    return tuple(dict.fromkeys(name for name in names if name != WHOLE))


def numbered_name(kind: str, index: int) -> str:
  """Returns the name of the picture or table of that kind and index, unique in the page.

  >>> numbered_name('training', 0), numbered_name('training', 1)
  ('training', 'training-2')
  """
  return kind if not index else f'{kind}-{index + 1}'


def _sum(columns: Iterable[Mapping[ClassValue, int]]) -> Mapping[ClassValue, int]:
  """Returns the sum of counts by class."""
  total = Counter[ClassValue]()
  for counts in columns:
    total.update(counts)
  return total


RAW_TITLE, BEFORE_TITLE = 'Raw data', 'Before balancing'


@dataclass(frozen=True)
class Findings:
  """The content of one artifact.

  Attributes:
    label: Name of the feature that holds the class; None if it does not say.
    stages: Stages of a component of this package.
    counted: Stages that were only counted, by statistics or a validator: shown where no component
      of this package says the same.
    inputs: Stages that a component says that it read: shown where nothing else comes before it.
    check_sets: Results of a validator.
    models: Recall of the models of an evaluation.
    uri: Place that the models were read from.
    notes: Sentences about what could not be used, and about names that were found.
    trainings: Title and log of what a model was trained on.
    comparisons: Title and content of a comparison of remedies.
    vocabularies: Lines of the vocabularies of Transform, by name.
  """

  label: str | None = None
  stages: tuple[Stage, ...] = ()
  counted: tuple[Stage, ...] = ()
  inputs: tuple[Stage, ...] = ()
  check_sets: tuple[CheckSet, ...] = ()
  models: tuple[ModelRecall, ...] = ()
  uri: str = ''
  notes: tuple[str, ...] = ()
  trainings: tuple[tuple[str, TrainingLog], ...] = ()
  comparisons: tuple[tuple[str, ComparisonDocument], ...] = ()
  vocabularies: Mapping[str, Sequence[bytes]] = field(default_factory=dict)


def merge(findings: Sequence[Findings], label: str | None = None) -> RunView:
  """Merges the findings of artifacts into the view of one run.

  Args:
    findings: Findings of its artifacts.
    label: Feature that holds the class; where None, the first that an artifact names.
  """

  def all_of(name: str) -> tuple[Any, ...]:
    return tuple(item for found in findings for item in getattr(found, name))

  stages = arrange(all_of('stages'), all_of('counted'), all_of('inputs'))
  models, trainings, comparisons = map(all_of, ('models', 'trainings', 'comparisons'))
  others = (document.classes for _, document in (*trainings, *comparisons))
  view = RunView(
    label=label or next((found.label for found in findings if found.label), ''),
    classes=order_classes(stages, models) or next(others, ()),
    stages=stages,
    check_sets=all_of('check_sets'),
    models=models,
    model_uris=tuple((name, found.uri) for found in findings for name in _titles(found)),
    trainings=trainings,
    comparisons=comparisons,
  )
  notes = list(all_of('notes'))
  notes += [_apart(stage) for stage in stages if stage not in view.comparable]
  return replace(view, notes=tuple(dict.fromkeys(notes)))


def _titles(findings: Findings) -> list[str]:
  """Returns the titles of models, of the training and of the comparison."""
  titled = (*findings.trainings, *findings.comparisons)
  return [*(model.name for model in findings.models), *(title for title, _ in titled)]


def arrange(
  described: Sequence[Stage], counted: Sequence[Stage], inputs: Sequence[Stage] = ()
) -> tuple[Stage, ...]:
  """Returns the stages in order, equal ones merged, with the one before the first."""
  stages = list(described)
  for stage in (*counted, *inputs):
    others = [(i, other) for i, other in enumerate(stages) if other.uri != stage.uri]
    same = [(i, other) for i, other in others if is_same(stage, other)]
    for i, other in same:
      stages[i] = replace(other, confirmed_by=(*other.confirmed_by, stage.title))
    if not same and (stage in counted or all(other.kind == 'fed' for other in stages)):
      stages.append(stage)
  if not any(stage.kind == 'raw' for stage in stages):
    stages += before(stages)
  return tuple(numbered(sorted(stages, key=_place)))


def numbered(stages: Iterable[Stage]) -> Iterator[Stage]:
  """Yields the stages with titles that differ: the second of the same title gets a 2."""
  seen = Counter[str]()
  for stage in stages:
    seen[stage.title] += 1
    n = seen[stage.title]
    yield stage if n == 1 else replace(stage, title=f'{stage.title} {n}')


def is_same(counted: Stage, described: Stage) -> bool:
  """Returns whether two stages have equal counts in the splits that both have."""
  # Equal counters have the same counts but for classes of none.
  theirs = {split.name: Counter(split.counts) for split in described.splits}
  shared = [split for split in counted.splits if split.name in theirs]
  others = [split.name for split in counted.splits if split.name not in theirs]
  if not shared or any(name not in described.passed_through for name in others):
    return False
  return all(Counter(split.counts) == theirs[split.name] for split in shared)


def before(stages: Iterable[Stage]) -> list[Stage]:
  """Returns the stage before the first one, if that says what it was made of; at most one."""
  stage = min(stages, key=_place, default=None)
  if stage is None:
    return []
  if stage.kind == 'split':
    found = [split.n_records for split in stage.splits if split.n_records is not None]
    n = sum(found) if found else None
    return [Stage(RAW_TITLE, 'raw', (SplitCounts(WHOLE, stage.total, n_records=n),))]
  splits = [SplitCounts(s.name, s.before) for s in stage.splits if s.before is not None]
  training = tuple(split.name for split in splits if split.name in stage.training)
  return [Stage(BEFORE_TITLE, 'raw', tuple(splits), training)] if splits else []


def _place(stage: Stage) -> int:
  """Returns the place of a stage in the order that data passes them."""
  return KINDS.index(stage.kind)


def order_classes(stages: Sequence[Stage], models: Sequence[ModelRecall]) -> tuple[ClassValue, ...]:
  """Returns the classes in the order of `RunView.classes`."""
  first = stages[0].total if stages else {}
  totals = [stage.total for stage in stages if stage.total.keys() & first.keys()]
  classes = {
    value for column in (*totals, *(model.by_class for model in models)) for value in column
  }
  places = next((stage.bins.places for stage in stages if stage.bins), {})

  def place(value: ClassValue) -> tuple[Any, ...]:
    return places.get(str(value), len(places)), -first.get(value, 0), value.sort_key()

  return tuple(sorted(classes, key=place))


def training_splits(names: Sequence[str]) -> tuple[str, ...]:
  """Returns the splits of an artifact that a Trainer reads: 'train', or the only one."""
  return (TRAIN,) if TRAIN in names else tuple(names) if len(names) == 1 else ()


def _apart(stage: Stage) -> str:
  values = ', '.join(str(value) for value in sorted(stage.total)[:3])
  return (
    f'The classes of {stage.title!r} ({values}, …) are other values than those of the first stage, '
    f'perhaps ids that Transform gave them: they are summed up, and not shown class by class.'
  )
