"""What the JSON files of ours say: sidecars, plans of balanced input, checks, recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_balance.documents.balanced_input import PLAN, PLAN_FORMAT, InputPlan
from tfx_balance.documents.class_checks import CHECKS, CHECKS_FORMAT
from tfx_balance.documents.class_distribution import SIDECAR, SIDECAR_FORMAT, parse_sidecar
from tfx_balance.documents.json_document import REMEDY, Document, Maybe, check_document, parse_json
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue, stratum_name
from tfx_balance.report.findings import Findings, training_splits
from tfx_balance.report.run_view import (
  Check,
  CheckSet,
  CommonRecords,
  Fit,
  Leakage,
  ModelRecall,
  Recall,
  SplitCounts,
  Stage,
)

RECALL = Document(
  None,
  1,
  {
    'models': [
      {
        'name': str,
        'recall': [{'class': 'class', 'recall': Maybe('number'), 'tested': 'count'}],
      }
    ],
    'label': Maybe(str),
  },
)
DOCUMENTS = (SIDECAR, CHECKS, PLAN, RECALL)


def findings_of(data: Any, source: str, title: str | None = None) -> Findings:
  """Returns what a JSON file of ours says.

  Args:
    data: JSON data, or its text.
    source: where it is from.
    title: how to show it; where None, by the component that wrote it.

  Raises:
    DataError: if it is no JSON, none of ours, of a newer version, or not whole.
  """
  if isinstance(data, (str, bytes)):
    data = parse_json(data, source)
  kind: Any = data.get('format') if isinstance(data, Mapping) else None
  if kind == SIDECAR_FORMAT:
    data = parse_sidecar(data, source)
  else:
    check_document(data, source, *DOCUMENTS)
  read = {SIDECAR_FORMAT: _sidecar, CHECKS_FORMAT: _checks, PLAN_FORMAT: _plan}.get(kind, _recall)
  try:
    return read(_characters(data), source, title)
  except (KeyError, TypeError) as error:  # what must be there in some files only
    raise DataError(f'{source} is not whole ({type(error).__name__}: {error}); {REMEDY}') from error


def _characters(data: Any) -> Any:
  """Returns JSON data in whose texts what is no character (half of a surrogate pair) is escaped."""
  if isinstance(data, str):
    return data if data.isascii() else data.encode('utf-8', 'backslashreplace').decode('utf-8')
  if isinstance(data, list):
    return [_characters(item) for item in data]
  if isinstance(data, Mapping):
    return {_characters(key): _characters(value) for key, value in data.items()}
  return data


def _sidecar(data: Any, source: str, title: str | None) -> Findings:
  if data['component'] == 'BalancedInputGen':
    return _input_sidecar(data, source, title)
  is_balance = any(
    'records_before' in cell for row in data['strata'] for cell in row['splits'].values()
  )
  return (_balance_sidecar if is_balance else _split_sidecar)(data, source, title)


def _split_sidecar(data: Any, source: str, title: str | None) -> Findings:
  """Returns the stage of a split; joint strata are summed up by class, which comes first."""
  names = list(data['splits'])
  counts: dict[str, dict[ClassValue, int]] = {name: {} for name in names}
  fits = []
  for row in data['strata']:
    stratum = _stratum(row)
    for name, cell in row['splits'].items():
      counts[name][stratum[0]] = counts[name].get(stratum[0], 0) + cell['records']
      fits.append(Fit(stratum_name(stratum), name, cell['ideal'], cell['records']))
  parameters = data['parameters']
  keys = parameters.get('stratify_by') or [None]
  stage = Stage(
    title=title or 'Split',
    kind='split',
    splits=tuple(SplitCounts(name, counts[name]) for name in names),
    training=training_splits(names),
    fits=tuple(fits),
    passed_through=tuple(data['passed_through']),
    parameters={'component': data['component'], **parameters},
    warnings=tuple(data['warnings']),
    uri=source,
  )
  return Findings(keys if isinstance(keys, str) else keys[0], (stage,))


def _balance_sidecar(data: Any, source: str, title: str | None) -> Findings:
  """Returns the stage of balanced splits; their ideal is the target of each class."""
  names = list(data['splits'])
  counts: dict[str, dict[ClassValue, int]] = {name: {} for name in names}
  before: dict[str, dict[ClassValue, int]] = {}
  fits = []
  apart = data['parameters'].get('augmented_split')
  for row in data['strata']:
    stratum = _stratum(row)
    for name, cell in row['splits'].items():
      counts[name][stratum[0]] = cell['records']
      if 'records_before' in cell:
        before.setdefault(name, {})[stratum[0]] = cell['records_before']
      if 'target' in cell:
        made = row['splits'][apart]['records'] if apart else 0
        split = f'{name} + {apart}' if apart else name
        fits.append(Fit(stratum_name(stratum), split, cell['target'], cell['records'] + made))
  splits = tuple(
    SplitCounts(
      name, counts[name], before.get(name), data['splits'][name]['records'] - _n(counts[name])
    )
    for name in names
  )
  training = training_splits(list(before)) + ((apart,) if apart else ())
  stage = Stage(
    title=title or 'Balanced',
    kind='balanced',
    splits=splits,
    training=training,
    fits=tuple(fits) if not apart or len(before) == 1 else (),
    passed_through=tuple(data['passed_through']),
    parameters={'component': data['component'], **data['parameters']},
    warnings=tuple(data['warnings']),
    uri=source,
  )
  return Findings(data['parameters'].get('label'), (stage,))


def _input_sidecar(data: Any, source: str, title: str | None) -> Findings:
  """Returns what a Trainer is fed, from the sidecar that lies beside its plan."""
  counts: dict[str, dict[ClassValue, int]] = {name: {} for name in data['splits']}
  for row in data['strata']:
    for name, cell in row['splits'].items():
      counts[name][_stratum(row)[0]] = cell['records']
  stage = Stage(
    title=title or 'Fed to the Trainer',
    kind='fed',
    splits=tuple(SplitCounts(name, column) for name, column in counts.items()),
    training=tuple(counts),
    passed_through=tuple(data['passed_through']),
    parameters={'component': data['component'], **data['parameters']},
    warnings=tuple(data['warnings']),
    uri=source,
  )
  return Findings(data['parameters'].get('label'), (stage,))


def _plan(data: Any, source: str, title: str | None) -> Findings:
  """Returns what a Trainer is fed, and what it was made of."""
  plan = InputPlan.from_json(data, source)
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


def _checks(data: Any, source: str, title: str | None) -> Findings:
  """Returns what a validator found, and the counts that it found it in."""
  counts: dict[str, dict[ClassValue, int]] = {}
  for row in data['counts']:
    for name, n in row['splits'].items():
      counts.setdefault(name, {})[ClassValue.from_json(row['class'])] = n
  missing = data.get('missing') or {}
  splits = tuple(
    SplitCounts(name, column, unlabelled=missing.get(name, 0)) for name, column in counts.items()
  )
  title = title or 'Validator'
  found = CheckSet(
    title=title,
    counts_from=data['counts_from'],
    checks=tuple(_check(row) for row in data['checks']),
    missing=missing,
    leakage=_leakage(data['leakage']) if data.get('leakage') else None,
    passed=bool(data['blessed']),
    uri=source,
  )
  counted = Stage(title, 'raw', splits, training_splits(list(counts)), uri=source)
  return Findings(data['label'], counted=(counted,) if splits else (), check_sets=(found,))


def _check(row: Mapping[str, Any]) -> Check:
  value = row.get('class')
  return Check(
    rule=row['rule'],
    split=row['split'],
    other=row.get('other'),
    name=str(ClassValue.from_json(value)) if value else row.get('name'),
    measured=row.get('measured'),
    limit=row.get('limit'),
    passed=bool(row['passed']),
    message=row['message'],
  )


def _leakage(data: Mapping[str, Any]) -> Leakage:
  """Returns what a validator found in pairs of splits."""
  pairs = tuple(
    CommonRecords(
      split=row['split'],
      other=row['other'],
      records=row['records'],
      share=row['share'],
      examples=tuple(str(example['text']) for example in row['examples']),
    )
    for row in data['pairs']
  )
  key = data['key']
  return Leakage('records' if key == 'records' else f'values of {key}', pairs)


def _recall(data: Any, source: str, title: str | None) -> Findings:
  """Returns the models of a file of recalls; a title goes before their names."""
  models = []
  for model in data['models']:
    name = ' '.join(filter(None, (title, model['name'])))
    models.append(
      ModelRecall(
        title=name or 'model',
        recall={
          ClassValue.from_json(row['class']): Recall(float(row['recall']), int(row['tested']))
          for row in model['recall']
          if row['recall'] is not None
        },
        uri=source,
      )
    )
  return Findings(data.get('label'), models=tuple(models))


def _stratum(row: Mapping[str, Any]) -> tuple[ClassValue, ...]:
  return tuple(ClassValue.from_json(value) for value in row['stratum'])


def _n(counts: Mapping[ClassValue, int]) -> int:
  return sum(counts.values())
