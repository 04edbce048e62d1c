"""`class_distribution.json`: what a component did to each class, for people and for the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.documents.json_document import REMEDY, Document, Maybe, parse_document
from tfx_balance.errors import DataError
from tfx_balance.plan.balance_plan import BalancePlan
from tfx_balance.plan.class_value import MISSING, ClassValue, stratum_name
from tfx_balance.plan.distribution import imbalance_ratio
from tfx_balance.plan.pool_plan import PoolPlan
from tfx_balance.plan.split_plan import SplitPlan


def tallies_from_sidecar(
  data: Mapping[str, Any], label: str, splits: Sequence[str]
) -> dict[str, dict[ClassValue, int]] | None:
  """Returns, of each split, class to records; None where the sidecar does not tell all of it.

  Args:
    data: the sidecar, whole.
    label: the feature that holds the class; one of several that strata are made of will do.
    splits: to have counts of.
  """
  parameters = data['parameters']
  features = list(parameters.get('stratify_by') or [parameters.get('label')])
  known = data['splits']
  if label not in features or any(split not in known for split in splits):
    return None
  at = features.index(label)
  tallies: dict[str, dict[ClassValue, int]] = {split: {} for split in splits}
  for row in data['strata']:
    value = ClassValue.from_json(row['stratum'][at])
    for split in splits:
      n = row['splits'].get(split, {}).get('records', 0)
      tallies[split][value] = tallies[split].get(value, 0) + n
  for split, tally in tallies.items():  # a split left as it was may hold records without a class
    rest = known[split]['records'] - sum(tally.values())
    tally[MISSING] = tally.get(MISSING, 0) + rest
  return tallies


def told_files(data: Mapping[str, Any], splits: Sequence[str]) -> FileSizes | None:
  """Returns the files that a sidecar tells of, with their sizes; None in one of an older version.

  Args:
    data: the sidecar.
    splits: that it tells the counts of.
  """
  sizes = {split: data['splits'][split].get('file_bytes') for split in splits}
  return None if None in sizes.values() else sizes


def check_files(told: FileSizes, found: FileSizes, source: str) -> None:
  """Checks that the files there are those that a sidecar describes.

  Args:
    told: by the sidecar.
    found: beside it.
    source: the path of the sidecar.

  Raises:
    DataError: if one is gone, has come, or has another size; names it.
  """
  for split in told:
    for name in sorted({*told[split], *found.get(split, {})}):
      size, is_there = told[split].get(name), found.get(split, {}).get(name)
      if size != is_there:
        raise DataError(
          f'Split-{split}/{name} {_has(is_there)}, and {source} tells that it {_has(size)}: the '
          f'files are not those that were published with it; {REMEDY}'
        )


def _has(size: int | None) -> str:
  return 'is not there' if size is None else f'has {size} bytes'


SIDECAR_NAME = 'class_distribution.json'
SIDECAR_FORMAT = 'tfx_balance.class_distribution'
SIDECAR_VERSION = 1
_SHOWN_CLASSES = 5  # in a warning; the cells have them all

FileSizes = Mapping[str, Mapping[str, int]]
"""Of each split, file name to bytes as stored (compressed)."""

_CELL = {
  'records': 'count',
  'ideal': Maybe('number', null=False),
  'records_before': Maybe('count', null=False),
  'target': Maybe('count', null=False),
}
SIDECAR = Document(
  SIDECAR_FORMAT,
  SIDECAR_VERSION,
  {
    'component': str,
    'parameters': {
      'stratify_by': Maybe([str]),
      'label': Maybe(str),
      'augmented_split': Maybe(str),
    },
    'input': {str: 'any'},
    'splits': {str: {'records': 'count', 'file_bytes': Maybe({str: 'count'}, null=False)}},
    'strata': [{'stratum': ['class'], 'name': str, 'records': 'count', 'splits': {str: _CELL}}],
    'passed_through': [str],
    'warnings': [str],
  },
)


def parse_sidecar(data: Any, source: str) -> dict[str, Any]:
  """Returns the JSON data of a sidecar, whose strata come to what it says of its splits.

  Args:
    data: JSON data, or its text.
    source: its path, for messages.

  Raises:
    DataError: if it is no sidecar, of a newer version, not whole, or contradicts itself.
  """
  found: dict[str, Any] = parse_document(data, source, SIDECAR)
  sums = dict.fromkeys(found['splits'], 0)
  n_classes = len(found['parameters'].get('stratify_by') or [0])
  for i, row in enumerate(found['strata']):
    if len(row['stratum']) != n_classes or not set(row['splits']) <= set(sums):
      raise DataError(
        f'{source} is not whole: strata[{i}] is of {len(row["stratum"])} classes in splits '
        f'{sorted(row["splits"])}, and must be of {n_classes}, in no split but {sorted(sums)}; '
        f'{REMEDY}'
      )
    for name, cell in row['splits'].items():
      sums[name] += cell['records']
  for name, told in found['splits'].items():
    read = found['input'].get(name)  # an augmenter leaves records without a class where they are
    dropped = read.get('dropped', 0) if isinstance(read, Mapping) else 0
    if told['records'] - sums[name] not in (0, dropped):
      raise DataError(
        f'{source} is not whole: split {name!r} has {told["records"]} records, and its strata '
        f'{sums[name]}; {REMEDY}'
      )
  return found


def split_sidecar(
  plan: SplitPlan,
  parameters: Mapping[str, Any],
  source: Mapping[str, Any],
  files: FileSizes,
  passed_through: Sequence[str],
) -> dict[str, Any]:
  """Returns the sidecar of a split artifact.

  Args:
    plan: what was done.
    parameters: of the component.
    source: what was read: records, dropped, files, fingerprint.
    files: of the splits.
    passed_through: splits that were copied unread.

  Returns:
    JSON data. `strata[i].splits[name]` holds the `records` written and their `ideal` number, a
    fraction; `splits[name]` the same of the whole split, its imbalance ratio, its number of `files`
    and `file_bytes`, the size in bytes of each by its name.
  """
  totals = plan.totals()
  n_records = sum(plan.records)
  ideals = [n_records * share for share in plan.shares]
  ideal_cells = {n: [_number(n * share) for share in plan.shares] for n in set(plan.records)}
  columns = [[row[j] for row in plan.quotas] for j in range(len(plan.splits))]
  return {
    'format': SIDECAR_FORMAT,
    'version': SIDECAR_VERSION,
    'component': 'StratifiedSplitter',
    'parameters': dict(parameters),
    'input': dict(source),
    'splits': {
      name: {
        'records': totals[j],
        'ideal': _number(ideals[j]),
        'imbalance_ratio': _finite(imbalance_ratio(columns[j])),
        **_files(files, name),
      }
      for j, name in enumerate(plan.splits)
    },
    'strata': [
      {
        'stratum': [value.to_json() for value in stratum],
        'name': stratum_name(stratum),
        'records': plan.records[i],
        'splits': {
          name: {'records': plan.quotas[i][j], 'ideal': ideal_cells[plan.records[i]][j]}
          for j, name in enumerate(plan.splits)
        },
      }
      for i, stratum in enumerate(plan.strata)
    ],
    'passed_through': list(passed_through),
    'warnings': [*split_warnings(plan, source.get('dropped', 0)), *_skipped([source])],
  }


def balance_sidecar(
  plans: Mapping[str, BalancePlan],
  augmented_split: str | None,
  parameters: Mapping[str, Any],
  sources: Mapping[str, Mapping[str, Any]],
  files: FileSizes,
  passed_through: Sequence[str],
  pools: PoolPlan | None = None,
) -> dict[str, Any]:
  """Returns the sidecar of a balanced artifact.

  Args:
    plans: of each split that was balanced.
    augmented_split: the split that has the copies; None where they are with their originals.
    parameters: of the component.
    sources: what was read of each split: records, dropped, files, fingerprint.
    files: of the splits, also of one that was copied as it was.
    passed_through: splits that were copied unread.
    pools: that copies were made with, of the classes of each split, in order.

  Returns:
    JSON data. `strata[i].splits[name]` holds the `records` written; those of a split that was
    balanced also `records_before`, and `pool`, the records in the class's pool, if it has one.
  """
  columns = {name: _balanced_column(plan, augmented_split) for name, plan in plans.items()}
  if pools is not None:
    cells_of = [cell for column in columns.values() for cell in column.values()]
    for cell, size in zip(cells_of, pools.sizes, strict=True):
      if size:
        cell['pool'] = size
  classes = sorted({value for plan in plans.values() for value in plan.classes})
  strata = []
  for value in classes:
    cells = {name: column[value] for name, column in columns.items() if value in column}
    if augmented_split:
      added = sum(cell['target'] - cell['records'] for cell in cells.values())
      cells[augmented_split] = {'records': added}
    strata.append(
      {
        'stratum': [value.to_json()],
        'name': str(value),
        'records': sum(cell.get('records_before', 0) for cell in cells.values()),
        'splits': cells,
      }
    )
  passed = {value for plan in plans.values() for value in plan.passed}
  balanced = [row for value, row in zip(classes, strata, strict=True) if value not in passed]
  splits = {name: _split_summary(strata, name, files, balanced) for name in plans}
  if augmented_split:
    splits[augmented_split] = _split_summary(strata, augmented_split, files, balanced)
    for name in plans:  # is as it was: records without a class are still there
      splits[name]['records'] += sources[name]['dropped']
  return {
    'format': SIDECAR_FORMAT,
    'version': SIDECAR_VERSION,
    'component': 'BalancedAugmenter',
    'parameters': dict(parameters),
    'input': {name: dict(source) for name, source in sources.items()},
    'splits': splits,
    'strata': strata,
    'passed_through': list(passed_through),
    'warnings': [
      *_dropped_warnings(sources, augmented_split),
      *_balance_warnings(plans, parameters),
      *_pool_warnings(plans, pools),
      *_skipped(sources.values()),
    ],
  }


def input_sidecar(
  plan: InputPlan,
  parameters: Mapping[str, Any],
  sources: Mapping[str, Mapping[str, Any]],
  files: FileSizes,
  passed_through: Sequence[str],
) -> dict[str, Any]:
  """Returns the sidecar of an artifact that is laid out by class.

  Args:
    plan: of what was written.
    parameters: of the component.
    sources: what was read of each input split: records, dropped, files, fingerprint.
    files: of the split.
    passed_through: splits that were copied unread.

  Returns:
    JSON data. `strata[i].splits[name]` holds the `records` written, and `merged`, how many of them
    each input split had.
  """
  strata = [
    {
      'stratum': [value.to_json()],
      'name': str(value),
      'records': n,
      'splits': {
        plan.split: {
          'records': n,
          'merged': {name: counts[i] for name, counts in plan.natural.items()},
        }
      },
    }
    for i, (value, n) in enumerate(zip(plan.classes, plan.records, strict=True))
  ]
  dropped = sum(source['dropped'] for source in sources.values())
  return {
    'format': SIDECAR_FORMAT,
    'version': SIDECAR_VERSION,
    'component': 'BalancedInputGen',
    'parameters': dict(parameters),
    'input': {name: dict(source) for name, source in sources.items()},
    'splits': {plan.split: _split_summary(strata, plan.split, files)},
    'strata': strata,
    'passed_through': list(passed_through),
    'warnings': [*([_dropped(dropped)] if dropped else []), *_skipped(sources.values())],
  }


def _balanced_column(
  plan: BalancePlan, augmented_split: str | None
) -> dict[ClassValue, dict[str, int]]:
  """Returns a split's cells: the records written, those before, and the target."""
  rows = zip(plan.classes, plan.records, plan.targets, strict=True)
  return {
    value: {'records': n if augmented_split else target, 'records_before': n, 'target': target}
    for value, n, target in rows
  }


def _split_summary(
  strata: Sequence[Mapping[str, Any]],
  name: str,
  files: FileSizes,
  balanced: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
  """Returns a split's records, imbalance ratio and files.

  Args:
    strata: all of them.
    name: of the split.
    files: split to its files' names and sizes.
    balanced: the strata that the ratio is of, or None for all.
  """
  ratio = imbalance_ratio(_column(strata if balanced is None else balanced, name))
  n = sum(_column(strata, name))
  return {'records': n, 'imbalance_ratio': _finite(ratio), **_files(files, name)}


def _files(files: FileSizes, name: str) -> dict[str, Any]:
  """Returns how many files a split has, and their sizes, where these are known."""
  if name not in files:
    return {}
  return {'files': len(files[name]), 'file_bytes': dict(files[name])}


def _dropped_warnings(
  sources: Mapping[str, Mapping[str, Any]], augmented_split: str | None
) -> list[str]:
  """Returns which splits have records without a class, and what became of these, a sentence each.

  Where copies have a split of their own, the records stay with the originals.
  """
  became = 'were dropped' if augmented_split is None else f'have no copies in {augmented_split!r}'
  return [
    f'{source["dropped"]} records of split {name!r} without a class {became}'
    for name, source in sources.items()
    if source['dropped']
  ]


def _column(strata: Sequence[Mapping[str, Any]], name: str) -> list[int]:
  """Returns a split's records of each stratum."""
  return [stratum['splits'].get(name, {}).get('records', 0) for stratum in strata]


def _balance_warnings(plans: Mapping[str, BalancePlan], parameters: Mapping[str, Any]) -> list[str]:
  """Returns where no balance comes about, and which classes `max_copies` held back."""
  warnings = []
  for name, plan in plans.items():
    if not plan.helps():
      warnings.append(_no_help(plan, name, parameters))
    targets = dict(zip(plan.classes, plan.targets, strict=True))
    warnings += [
      f'class {value} of split {name!r} has {targets[value]} records: '
      f'max_copies={parameters["max_copies"]} keeps it below its target'
      for value in plan.held_back
    ]
  return warnings


def _no_help(plan: BalancePlan, name: str, parameters: Mapping[str, Any]) -> str:
  """Returns the sentence about a strategy that leaves the imbalance as it is, or adds to it."""
  (large, small), (most, least) = plan.extremes()
  shown = [
    f'{argument}={True if argument == "undersample" else parameters[argument]!r}'
    for argument in ('sampling_strategy', 'factors', 'undersample', 'max_copies')
    if parameters.get(argument)
  ]
  verb = 'leaves' if most * small == large * least else 'raises'
  return (
    f'{", ".join(shown)} {verb} the imbalance ratio of split {name!r}: {large} to {small} records '
    f'({large / small:.4g}) before, {most} to {least} ({most / least:.4g}) after; '
    f"pass sampling_strategy='auto' to bring all classes to one count, or a target between"
  )


def _pool_warnings(plans: Mapping[str, BalancePlan], pools: PoolPlan | None) -> list[str]:
  """Returns which classes have a smaller pool than is wanted, or nobody else in it: a sentence."""
  if pools is None:
    return []
  names = [f'{value} of {name!r}' for name, plan in plans.items() for value in plan.classes]
  counts = [n for plan in plans.values() for n in plan.records]
  sizes = list(zip(names, pools.sizes, pools.wanted, strict=True))
  owner = pools.request.owner
  warnings = []
  cut = [f'{name}: {size} of {wanted}' for name, size, wanted in sizes if size < wanted]
  if cut:
    warnings.append(
      f'max_pool_bytes={pools.request.max_pool_bytes} of {owner} makes pools smaller, in records: '
      f'{_some(cut)}; raise it, or name fewer features'
    )
  alone = [name for (name, size, _), n in zip(sizes, counts, strict=True) if size and n == 1]
  if alone:
    warnings.append(
      f'{owner} has no other record of a class of one, whose copies are duplicates: {_some(alone)}'
    )
  return warnings


def _some(names: Sequence[str]) -> str:
  """Returns the first names, and how many there are more."""
  more = len(names) - _SHOWN_CLASSES
  return ', '.join(names[:_SHOWN_CLASSES]) + (f', and {more} more' if more > 0 else '')


def split_warnings(plan: SplitPlan, dropped: int) -> list[str]:
  """Returns what a person should know about the split, a sentence each."""
  warnings = [
    f'split {name!r} is empty: its share of {sum(plan.records)} records is below one; '
    f'SchemaGen needs exclude_splits=[{name!r}]'
    for name, total in zip(plan.splits, plan.totals(), strict=True)
    if not total
  ]
  warnings += [_reach(plan, row) for row in plan.out_of_reach()]
  if dropped:
    warnings.append(_dropped(dropped))
  return warnings


def _skipped(sources: Iterable[Mapping[str, Any]]) -> list[str]:
  """Returns how many bad records were skipped, a sentence for each source that has such."""
  return [
    f'{source["bad_records"]} bad records were skipped, the first is {source["first_bad_record"]}'
    for source in sources
    if source.get('bad_records')
  ]


def _dropped(n: int) -> str:
  return f'{n} records without a class were dropped'


def _reach(plan: SplitPlan, i: int) -> str:
  """Returns the sentence about a stratum that is too small to reach every split."""
  absent = [name for name, n in zip(plan.splits, plan.quotas[i], strict=True) if not n]
  n = plan.records[i]
  count = f'{n} record{"s" if n != 1 else ""}'
  return (
    f'class {stratum_name(plan.strata[i])} has {count}, too few for every split: '
    f'none in {", ".join(absent)}'
  )


def _number(value: Any) -> float | int:
  """Returns a fraction as JSON has it: whole numbers as such."""
  return int(value) if value == int(value) else float(value)


def _finite(ratio: float) -> float | None:
  """Returns a ratio as JSON has it: none where a class is absent."""
  return ratio if ratio not in (float('inf'),) and ratio == ratio else None
