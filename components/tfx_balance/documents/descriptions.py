"""Class distributions that components made, as `ClassDistribution`, with warnings for people.

`parameters` are the arguments of the component, `sources` what was read of each split, `files` the
files of the splits, and `passed_through` the splits that were copied unread.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.documents.class_distribution import (
  CellRecords,
  ClassDistribution,
  FileSizes,
  InputRecords,
  MarginRecords,
  SplitRecords,
  StratumRecords,
)
from tfx_balance.documents.sentences import gathered, plain_number, some_of
from tfx_balance.plan.balance_plan import BalancePlan
from tfx_balance.plan.class_value import FILL_HINT, ClassValue, Stratum, stratum_name
from tfx_balance.plan.distribution import imbalance_ratio
from tfx_balance.plan.pool_plan import PoolPlan
from tfx_balance.plan.split_plan import SplitPlan


def label_rows(plan: SplitPlan) -> tuple[StratumRecords, ...]:
  """Returns the records of each label in each split, and their ideal number.

  None where classes are no sets.
  """
  return tuple(
    StratumRecords(
      (found.label,),
      found.records,
      {
        split: CellRecords.of_split(n, plain_number(ideal))
        for split, n, ideal in zip(plan.splits, found.quotas, found.ideals, strict=True)
      },
    )
    for found in plan.labels()
  )


def label_warnings(rows: Sequence[StratumRecords], plan: SplitPlan) -> list[str]:
  """Returns warnings of labels that are not in every split; see `label_rows`."""
  filled = [name for name, n in zip(plan.splits, plan.totals(), strict=True) if n]
  warnings = []
  for row in rows:
    absent = [name for name in filled if row.splits[name].ideal and not row.splits[name].records]
    if absent:
      count = f'{row.records} record{"s" if row.records != 1 else ""}'
      warnings.append(f'label {row.name} has {count}, none in {", ".join(absent)}')
  return warnings


_MOST_LISTED_SETS = 10_000  # of labels, in a sidecar: 200,000 would take 120 MB


def describe_split(
  plan: SplitPlan,
  parameters: Mapping[str, Any],
  source: InputRecords,
  files: FileSizes,
  passed_through: Sequence[str],
  warnings: Sequence[str] = (),
  notes: Sequence[str] = (),
) -> ClassDistribution:
  """Returns the distribution of StratifiedSplitter: records of each cell, and their ideal number.

  `warnings` are of the split's modes, and so are `notes`, which come behind all other warnings.
  """
  cell = functools.cache(CellRecords.of_split)  # of many strata, few cells differ
  labels = label_rows(plan)
  n_strata = len(plan.records)
  listed = n_strata if not labels or n_strata <= _MOST_LISTED_SETS else 0
  rows_of = (plan.records, plan.quotas, plan.predefined)
  records, quotas, predefined = (column[:listed].tolist() for column in rows_of)
  shares = {n: [plain_number(n * share) for share in plan.shares] for n in set(records)}
  rows = zip(records, quotas, predefined, strict=True)
  ideals = [row if is_predefined else shares[n] for n, row, is_predefined in rows]
  stratified = int(plan.records[~plan.predefined].sum())
  predefined_sums = plan.quotas[plan.predefined].sum(axis=0).tolist()
  nones = [None] * len(plan.splits)
  lost = nones if plan.embargoed is None else plan.embargoed.sum(axis=0).tolist()
  unlabelled: Sequence[int | None] = plan.unlabelled() or nones
  columns = (
    [[row.splits[name].records for row in labels] for name in plan.splits]
    if labels
    else plan.quotas.T.tolist()
  )
  splits = map(
    SplitRecords,
    plan.totals(),
    [plain_number(stratified * s + n) for s, n in zip(plan.shares, predefined_sums, strict=True)],
    [_finite(imbalance_ratio(column)) for column in columns],
    map(files.get, plan.splits),
    lost,
    unlabelled,
  )
  drops = parameters.get('missing_group') == 'drop'
  groupless = plan.groups.without if plan.groups and drops else 0
  return ClassDistribution(
    'StratifiedSplitter',
    parameters,
    source,
    dict(zip(plan.splits, splits, strict=True)),
    tuple(
      StratumRecords(stratum, n, dict(zip(plan.splits, map(cell, row, ideal), strict=True)))
      for stratum, n, row, ideal in zip(plan.strata[:listed], records, quotas, ideals, strict=True)
    ),
    tuple(passed_through),
    (
      *([] if listed else [f'{n_strata} label sets are too many to be listed one by one']),
      *warnings,
      *split_warnings(plan, source.dropped - groupless, labels),
      *notes,
      *_skipped([source]),
    ),
    margins=tuple(
      MarginRecords(parameters['stratify_by'][at], value, split, n, plain_number(ideal))
      for at, ((value,), split, n, ideal) in enumerate([] if labels else plan.margins(), 1)
      if parameters['stratify_by'][at] != parameters.get('split_by')
    ),
    labels=labels,
  )


def describe_balance(
  plans: Mapping[str, BalancePlan],
  augmented_split: str | None,
  parameters: Mapping[str, Any],
  sources: Mapping[str, InputRecords],
  files: FileSizes,
  passed_through: Sequence[str],
  pools: PoolPlan | None = None,
) -> ClassDistribution:
  """Returns the sidecar of BalancedAugmenter: of each balanced cell also the records before.

  The copies are in `augmented_split`, or where it is None with the originals. `pools` are those of
  the classes of each split, in order.
  """
  sizes = iter(pools.sizes) if pools else itertools.repeat(0)
  cells: dict[ClassValue, dict[str, CellRecords]] = {}
  for name, plan in plans.items():
    pairs = zip(plan.records.tolist(), plan.targets.tolist(), strict=True)
    for value, (n, target) in zip(plan.classes, pairs, strict=True):
      written = n if augmented_split else target
      cell = CellRecords(written, None, n, target, pool=next(sizes) or None)
      cells.setdefault(value, {})[name] = cell
  strata = []
  for value in sorted(cells):
    row = cells[value]
    before = sum(cell.records_before or 0 for cell in row.values())
    if augmented_split:
      added = sum((cell.target or 0) - cell.records for cell in row.values())
      row[augmented_split] = CellRecords(added)
    strata.append(StratumRecords((value,), before, row))
  passed = {value for plan in plans.values() for value in plan.passed}
  balanced = [row for row in strata if row.stratum[0] not in passed]
  # Of a split that is as it was, records without a class are still there.
  kept = {name: sources[name].dropped for name in plans} if augmented_split else {}
  return ClassDistribution(
    'BalancedAugmenter',
    parameters,
    sources,
    {
      name: _split_records(strata, name, files, balanced, kept.get(name, 0))
      for name in (*plans, *filter(None, [augmented_split]))
    },
    tuple(strata),
    tuple(passed_through),
    (
      *_dropped_warnings(sources, plans, augmented_split),
      *_balance_warnings(plans, parameters),
      *_pool_warnings(plans, pools),
      *_skipped(sources.values()),
    ),
  )


def describe_input(
  plan: InputPlan,
  parameters: Mapping[str, Any],
  sources: Mapping[str, InputRecords],
  files: FileSizes,
  passed_through: Sequence[str],
) -> ClassDistribution:
  """Returns the sidecar of BalancedInputGen: of each cell also the records of each input split."""
  strata = []
  for i, (value, n) in enumerate(zip(plan.classes, plan.records, strict=True)):
    merged = {name: counts[i] for name, counts in plan.natural.items()}
    strata.append(StratumRecords((value,), n, {plan.split: CellRecords(n, merged=merged)}))
  dropped = sum(source.dropped for source in sources.values())
  return ClassDistribution(
    'BalancedInputGen',
    parameters,
    sources,
    {plan.split: _split_records(strata, plan.split, files, strata)},
    tuple(strata),
    tuple(passed_through),
    (
      *([_dropped(dropped, [(c,) for c in plan.classes])] if dropped else []),
      *_skipped(sources.values()),
    ),
  )


def _split_records(
  strata: Sequence[StratumRecords],
  name: str,
  files: FileSizes,
  balanced: Sequence[StratumRecords],
  unlabelled: int = 0,
) -> SplitRecords:
  """Returns a split with its unlabelled records, and the imbalance ratio of the balanced strata."""

  def column(rows: Sequence[StratumRecords]) -> list[int]:
    return [row.splits[name].records if name in row.splits else 0 for row in rows]

  ratio = _finite(imbalance_ratio(column(balanced)))
  return SplitRecords(sum(column(strata)) + unlabelled, None, ratio, files.get(name))


def _dropped_warnings(
  sources: Mapping[str, InputRecords],
  plans: Mapping[str, BalancePlan],
  augmented_split: str | None,
) -> list[str]:
  """Returns warnings of splits that have records without a class, with what became of these.

  Where copies have a split of their own, the records stay with the originals.
  """
  became = 'were dropped' if augmented_split is None else f'have no copies in {augmented_split!r}'
  dropped = [
    _dropped(source.dropped, [(c,) for c in plans[name].classes], name, became)
    for name, source in sources.items()
    if source.dropped
  ]
  return gathered(f'{len(dropped)} splits have records without a class', dropped)


def _balance_warnings(plans: Mapping[str, BalancePlan], parameters: Mapping[str, Any]) -> list[str]:
  """Returns warnings of splits that stay imbalanced, and of classes that `max_copies` limits."""
  warnings = []
  for name, plan in plans.items():
    if not plan.helps():
      warnings.append(_no_help(plan, name, parameters))
    targets = dict(zip(plan.classes, plan.targets.tolist(), strict=True))
    limit = f'max_copies={parameters.get("max_copies")} keeps'
    limited = [
      f'class {value} of split {name!r} has {targets[value]} records: {limit} it below its target'
      for value in plan.held_back
    ]
    warnings += gathered(f'{limit} {len(limited)} classes below their targets', limited)
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
  """Returns warnings of classes whose pool is smaller than wanted, or holds no other record."""
  if pools is None:
    return []
  names = [f'{value} of {name!r}' for name, plan in plans.items() for value in plan.classes]
  counts = [n for plan in plans.values() for n in plan.records.tolist()]
  sizes = list(zip(names, pools.sizes, pools.wanted, strict=True))
  owner = pools.request.owner
  warnings = []
  smaller = [f'{name}: {size} of {wanted}' for name, size, wanted in sizes if size < wanted]
  if smaller:
    warnings.append(
      f'max_pool_bytes={pools.request.max_pool_bytes} of {owner} makes pools smaller, in records: '
      f'{some_of(smaller)}; raise it, or name fewer features'
    )
  alone = [name for (name, size, _), n in zip(sizes, counts, strict=True) if size and n == 1]
  if alone:
    warnings.append(
      f'{owner} has no other record of a class of one, whose copies are duplicates: '
      f'{some_of(alone)}'
    )
  return warnings


def split_warnings(
  plan: SplitPlan, dropped: int, labels: Sequence[StratumRecords] = ()
) -> list[str]:
  """Returns warnings about the split, a sentence each.

  Of small strata, or of small labels where classes are sets of these.
  """
  empty = [
    f'split {name!r} is empty: it gets none of {plan.records.sum()} records; '
    f'SchemaGen needs exclude_splits=[{name!r}]'
    for name, total in zip(plan.splits, plan.totals(), strict=True)
    if not total
  ]
  warnings = gathered(f'{len(empty)} splits are empty', empty)
  kind = 'labels' if labels else 'classes'
  absent = (
    label_warnings(labels, plan) if labels else [_reach(plan, i) for i in plan.out_of_reach()]
  )
  warnings += gathered(f'{len(absent)} {kind} are not in every split', absent)
  if dropped:
    warnings.append(_dropped(dropped, plan.strata))
  return warnings


def _skipped(sources: Iterable[InputRecords]) -> list[str]:
  """Returns warnings of bad records that were skipped, one for each source that has such."""
  bad = [
    f'{source.bad_records} bad records were skipped, the first is {source.first_bad_record}'
    for source in sources
    if source.bad_records
  ]
  return gathered(f'{len(bad)} splits have bad records', bad)


def _dropped(
  n: int, strata: Sequence[Stratum], split: str = '', became: str = 'were dropped'
) -> str:
  of_split = f' of split {split!r}' if split else ''
  text = f'{n} records{of_split} without a class {became}'
  if len(strata) == 1:
    text += f', and class {stratum_name(strata[0])} alone is left'
    if any(value.kind in ('int', 'float') and value.value for value in strata[0]):
      text += f'; {FILL_HINT}'
  return text


def _reach(plan: SplitPlan, i: int) -> str:
  """Returns the sentence about a stratum that is too small to reach every split."""
  absent = [name for name, n in zip(plan.splits, plan.quotas[i], strict=True) if not n]
  n = int(plan.records[i])
  count = f'{n} record{"s" if n != 1 else ""}'
  why = ', too few for every split:' if plan.embargoed is None else ' and, in the order of time,'
  if plan.groups:
    why = ' in groups that do not reach every split:'
  return f'class {stratum_name(plan.strata[i])} has {count}{why} none in {", ".join(absent)}'


def _finite(ratio: float) -> float | None:
  """Returns a ratio as JSON has it: none where a class is absent."""
  return ratio if math.isfinite(ratio) else None
