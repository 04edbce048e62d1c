"""What the JSON files of ours say: sidecars, plans of balanced input, checks, recall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.documents.class_checks import ClassChecks
from tfx_balance.documents.class_distribution import ClassDistribution
from tfx_balance.documents.json_document import is_document, parse_json, parsed_document
from tfx_balance.documents.recall import RecallDocument
from tfx_balance.plan.class_value import ClassValue, stratum_name
from tfx_balance.report.findings import Findings, training_splits
from tfx_balance.report.run_view import CheckSet, Fit, SplitCounts, Stage, StageKind


def findings_of(data: Any, source: str, title: str | None = None) -> Findings:
  """Returns what a JSON file of ours says.

  Args:
    data: JSON data, or its text.
    source: Path of the file.
    title: Title to show it by; where None, by the component that wrote it.

  Raises:
    DataError: if it is no JSON, none of ours, of a newer version, or not whole.
  """
  if isinstance(data, (str, bytes)):
    data = parse_json(data, source)
  data = _characters(data)
  if is_document(data, InputPlan):
    return _plan(InputPlan.from_json(data, source), source, title)
  kinds: tuple[Any, ...] = (ClassDistribution, ClassChecks, InputPlan, RecallDocument)
  found = parsed_document(data, source, *kinds)
  if isinstance(found, ClassDistribution):
    return _distribution(found, source, title)
  if isinstance(found, ClassChecks):
    return _checks(found, source, title or 'Validator')
  models = [
    replace(model, name=' '.join(filter(None, (title, model.name))) or 'model')
    for model in found.models
  ]
  return Findings(found.label, models=tuple(models), uri=source)


def _characters(data: Any) -> Any:
  """Returns JSON data in whose texts what is no character (half of a surrogate pair) is escaped."""
  if isinstance(data, str):
    return data if data.isascii() else data.encode('utf-8', 'backslashreplace').decode('utf-8')
  if isinstance(data, list):
    return [_characters(item) for item in data]
  if isinstance(data, Mapping):
    return {_characters(key): _characters(value) for key, value in data.items()}
  return data


def _distribution(found: ClassDistribution, source: str, title: str | None) -> Findings:
  """Returns the stage of a component; joint strata are summed up by class, which comes first.

  The ideal of a cell is what the splitter's shares come to, or what the augmenter aimed at.
  """
  counts: dict[str, dict[ClassValue, int]] = {name: {} for name in found.splits}
  before: dict[str, dict[ClassValue, int]] = {}
  fits = []
  apart = found.parameters.get('augmented_split')
  for row in found.strata:
    value, name = row.stratum[0], stratum_name(row.stratum)
    for split, cell in row.splits.items():
      counts[split][value] = counts[split].get(value, 0) + cell.records
      if cell.records_before is not None:
        before.setdefault(split, {})[value] = cell.records_before
      if cell.ideal is not None:
        fits.append(Fit(name, split, cell.ideal, cell.records))
      elif cell.target is not None:
        made = row.splits[apart].records if apart and apart in row.splits else 0
        fits.append(
          Fit(name, f'{split} + {apart}' if apart else split, cell.target, cell.records + made)
        )
  kind: StageKind = 'split'
  training = training_splits(list(counts))
  if found.component == 'BalancedInputGen':
    kind, training = 'fed', tuple(counts)
  elif before:
    kind, training = 'balanced', training_splits(list(before)) + ((apart,) if apart else ())
  stage = Stage(
    title or {'split': 'Split', 'balanced': 'Balanced', 'fed': 'Fed to the Trainer'}[kind],
    kind,
    tuple(
      SplitCounts(name, column, before.get(name), found.splits[name].records - sum(column.values()))
      for name, column in counts.items()
    ),
    training,
    fits=tuple(fits) if not apart or len(before) == 1 else (),
    passed_through=found.passed_through,
    parameters={'component': found.component, **found.parameters},
    warnings=found.warnings,
    uri=source,
  )
  return Findings(found.features[0], (stage,))


def _plan(plan: InputPlan, source: str, title: str | None) -> Findings:
  """Returns what a Trainer is fed, and what it was made of."""
  fed = dict(zip(plan.classes, plan.records, strict=True))
  stage = Stage(
    title=title or 'Fed to the Trainer',
    kind='fed',
    splits=(SplitCounts(plan.split, fed),),
    training=(plan.split,),
    parameters={
      'component': 'BalancedInputGen',
      'label': plan.label,
      'seed': plan.seed,
      'files': len(plan.files),
      'merged splits': list(plan.natural),
    },
    uri=source,
  )
  natural = Stage(
    title='Input of BalancedInputGen',
    kind='raw',
    splits=tuple(
      SplitCounts(name, dict(zip(plan.classes, counts, strict=True)))
      for name, counts in plan.natural.items()
    ),
    training=tuple(plan.natural),
    uri=source,
  )
  return Findings(plan.label, (stage,), inputs=(natural,))


def _checks(found: ClassChecks, source: str, title: str) -> Findings:
  """Returns what a validator found, and the counts that it found it in."""
  counts: dict[str, dict[ClassValue, int]] = {}
  for row in found.counts:
    for name, n in row.splits.items():
      counts.setdefault(name, {})[row.value] = n
  splits = tuple(
    SplitCounts(name, column, unlabelled=found.missing.get(name, 0))
    for name, column in counts.items()
  )
  counted = Stage(title, 'raw', splits, training_splits(list(counts)), uri=source)
  check_set = CheckSet(title, found, source)
  return Findings(found.label, counted=(counted,) if splits else (), check_sets=(check_set,))
