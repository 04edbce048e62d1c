"""What one artifact says of the classes, and how several make a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tfx_balance.documents.recall import ModelRecall
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report.run_view import (
  KINDS,
  TRAIN,
  WHOLE,
  CheckSet,
  RunView,
  SplitCounts,
  Stage,
)

RAW_TITLE, BEFORE_TITLE = 'Raw data', 'Before balancing'


@dataclass(frozen=True)
class Findings:
  """What was read of one artifact.

  Attributes:
    label: name of the feature that holds the class; None if it does not say.
    stages: of a component of ours.
    counted: stages that were only counted, by statistics or a validator: shown where no component
      of ours says the same.
    inputs: what a component says that it read: shown where nothing else comes before it.
    check_sets: of a validator.
    models: of an evaluation.
    uri: Where the models were read.
    notes: what could not be used, sentences.
  """

  label: str | None = None
  stages: tuple[Stage, ...] = ()
  counted: tuple[Stage, ...] = ()
  inputs: tuple[Stage, ...] = ()
  check_sets: tuple[CheckSet, ...] = ()
  models: tuple[ModelRecall, ...] = ()
  uri: str = ''
  notes: tuple[str, ...] = ()


def merge(findings: Sequence[Findings], label: str | None = None) -> RunView:
  """Returns the run that findings are of.

  Args:
    findings: of its artifacts.
    label: the feature that holds the class; where None, the first that an artifact names.
  """
  known = [stage for found in findings for stage in found.stages]
  counted = [stage for found in findings for stage in found.counted]
  inputs = [stage for found in findings for stage in found.inputs]
  stages = arrange(known, counted, inputs)
  models = tuple(model for found in findings for model in found.models)
  view = RunView(
    label=label or next((f.label for f in findings if f.label), ''),
    classes=order_classes(stages, models),
    stages=stages,
    check_sets=tuple(checks for found in findings for checks in found.check_sets),
    models=models,
    model_uris=tuple((model.name, f.uri) for f in findings for model in f.models),
  )
  notes = [note for found in findings for note in found.notes]
  notes += [_apart(stage) for stage in stages if stage not in view.comparable]
  return replace(view, notes=tuple(dict.fromkeys(notes)))


def arrange(
  known: Sequence[Stage], counted: Sequence[Stage], inputs: Sequence[Stage] = ()
) -> tuple[Stage, ...]:
  """Returns the stages in order: what is counted twice once, and what came before the first."""
  stages = list(known)
  for stage in (*counted, *inputs):
    same = [i for i, other in enumerate(stages) if other.uri != stage.uri]
    same = [i for i in same if is_same(stage, stages[i])]
    for i in same:
      stages[i] = replace(stages[i], confirmed_by=(*stages[i].confirmed_by, stage.title))
    if not same and (stage in counted or all(other.kind == 'fed' for other in stages)):
      stages.append(stage)
  if not any(stage.kind == 'raw' for stage in stages):
    stages += before(stages)
  return numbered(sorted(stages, key=lambda stage: KINDS.index(stage.kind)))


def numbered(stages: Sequence[Stage]) -> tuple[Stage, ...]:
  """Returns the stages with titles that differ: the second of the same title gets a 2."""
  found: list[Stage] = []
  seen: dict[str, int] = {}
  for stage in stages:
    seen[stage.title] = seen.get(stage.title, 0) + 1
    number = seen[stage.title]
    found.append(stage if number == 1 else replace(stage, title=f'{stage.title} {number}'))
  return tuple(found)


def is_same(counted: Stage, known: Stage) -> bool:
  """Returns whether what was counted is the data of a stage, as far as both tell."""
  theirs = {split.name: _there(split.counts) for split in known.splits}
  shared = [split for split in counted.splits if split.name in theirs]
  others = [split.name for split in counted.splits if split.name not in theirs]
  if not shared or any(name not in known.passed_through for name in others):
    return False
  return all(_there(split.counts) == theirs[split.name] for split in shared)


def before(stages: Iterable[Stage]) -> list[Stage]:
  """Returns what the first stage started from, as far as it says so; at most one stage."""
  for kind in KINDS:
    for stage in stages:
      if stage.kind != kind:
        continue
      if kind == 'split':
        return [Stage(RAW_TITLE, 'raw', (SplitCounts(WHOLE, stage.total),))]
      splits = [SplitCounts(s.name, s.before) for s in stage.splits if s.before is not None]
      training = tuple(split.name for split in splits if split.name in stage.training)
      return [Stage(BEFORE_TITLE, 'raw', tuple(splits), training)] if splits else []
  return []


def order_classes(stages: Sequence[Stage], models: Sequence[ModelRecall]) -> tuple[ClassValue, ...]:
  """Returns the classes, the largest first by the first stage, equal ones in canonical order."""
  totals = [stage.total for stage in stages]
  if totals:
    totals = [total for total in totals if total.keys() & totals[0].keys()]
  classes = {value for total in totals for value in total}
  classes |= {value for model in models for value in model.by_class}
  first = totals[0] if totals else {}
  return tuple(sorted(classes, key=lambda value: (-first.get(value, 0), value.sort_key())))


def training_splits(names: Sequence[str]) -> tuple[str, ...]:
  """Returns which of an artifact's splits a Trainer reads: 'train', or the only one."""
  return (TRAIN,) if TRAIN in names else tuple(names) if len(names) == 1 else ()


def _apart(stage: Stage) -> str:
  values = ', '.join(str(value) for value in sorted(stage.total)[:3])
  return (
    f'The classes of {stage.title!r} ({values}, …) are other values than those of the first stage, '
    f'perhaps ids that Transform gave them: they are summed up, and not shown class by class.'
  )


def _there(counts: Mapping[ClassValue, int]) -> dict[ClassValue, int]:
  return {value: n for value, n in counts.items() if n}
