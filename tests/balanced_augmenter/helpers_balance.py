"""What balancing must come to, recounted without the package, and its steps without a runner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

from tfx_balance.augment import PoolFn
from tfx_balance.augment.contract import pool_request
from tfx_balance.balanced_augmenter.examples import FeatureShapes
from tfx_balance.balanced_augmenter.job import AugmentJob, AugmentRequest, plan_augment
from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
from tfx_balance.balanced_augmenter.pools import (
  NO_POOLS,
  ClassPools,
  collect_pool,
  join_pools,
  pool_selection,
  with_pools,
)
from tfx_balance.balanced_augmenter.transform import (
  CopyRecords,
  file_shapes,
  merge_file_shapes,
)
from tfx_balance.plan.balance_plan import BalanceRequest
from tfx_balance.scan.scan import InputFile, ScannedFile
from tfx_balance.tfrecord.reading import READ_DEFAULTS
from tfx_balance.writer import publish_outputs

from tests.helpers_checks import class_value, file_bytes, read_sidecar
from tests.helpers_examples import (
  Shards,
  example,
  read_splits,
  split_files,
  value_of,
  write_tfrecords,
)
from tests.helpers_split import gather, request_target, thresholds_of, totals_of


def tabular(counts: Mapping[str, int], start: int = 0) -> list[bytes]:
  """Returns records that all differ: label, id, and three floats x."""
  classes = [value for value, n in counts.items() for _ in range(n)]
  return [
    example(label=value, id=i, x=[i + 0.25, -float(i), 0.5])
    for i, value in enumerate(classes, start)
  ]


def expected_targets(
  counts: Mapping[Any, int],
  sampling_strategy: Any = 'auto',
  factors: Mapping[Any, int] | None = None,
  max_copies: int | None = None,
  undersample: bool = False,
) -> dict[Any, int]:
  """Returns the target of each class by imbalanced-learn's documented meaning, and the issue's.

  Of several largest (or smallest) classes the first one counts; all have the target's size anyway.
  """
  large, small = max(counts.values()), min(counts.values())
  if factors is not None:
    goals = {c: n * factors.get(c, 1) for c, n in counts.items()}
  elif isinstance(sampling_strategy, Mapping):
    goals = {c: sampling_strategy.get(c, n) for c, n in counts.items()}
  else:
    goal = _goal_of(sampling_strategy, counts, large, small, undersample)
    goals = {c: goal(c, n) for c, n in counts.items()}
    if not undersample:
      goals = {c: max(counts[c], g) for c, g in goals.items()}
  if max_copies is not None:
    goals = {c: min(g, counts[c] * max_copies) for c, g in goals.items()}
  return goals


def _goal_of(
  strategy: Any, counts: Mapping[Any, int], large: int, small: int, undersample: bool
) -> Callable[[Any, int], int]:
  """Returns what a class of n records is to be brought to."""
  extreme = small if undersample else large
  if strategy == 'auto':
    strategy = 'not minority' if undersample else 'not majority'
  words = {
    'all': lambda n: True,
    'majority': lambda n: n == large,
    'minority': lambda n: n == small,
    'not majority': lambda n: n != large,
    'not minority': lambda n: n != small,
  }
  if strategy in words:
    return lambda c, n: extreme if words[strategy](n) else n
  ordered = sorted(counts.values())
  middle = len(ordered) // 2
  if strategy == 'median':
    pair = ordered[middle] + ordered[middle - (len(ordered) % 2 == 0)]
    return lambda c, n: pair // 2
  if strategy == 'mean':
    return lambda c, n: sum(ordered) // len(ordered)
  if isinstance(strategy, str):  # 'power:q', by logarithms of fifty digits
    return lambda c, n: _power(n, large, Decimal(strategy.removeprefix('power:')))
  ratio = Fraction(str(strategy))
  if undersample:
    return lambda c, n: min(n, small * ratio.denominator // ratio.numerator)
  return lambda c, n: large * ratio.numerator // ratio.denominator


def _power(n: int, large: int, q: Decimal) -> int:
  with localcontext() as context:
    context.prec = 50
    exact = Decimal(large) * (Decimal(n) / Decimal(large)) ** q
    near = exact.to_integral_value()
    return int(near if abs(exact - near) < Decimal('1e-40') else exact // 1)


def class_counts(records: Sequence[bytes], label: str = 'label') -> Counter[Any]:
  """Returns the records of each class."""
  return Counter(value_of(record, label) for record in records)


def assert_balanced(
  before: Sequence[bytes],
  after: Sequence[bytes],
  targets: Mapping[Any, int],
  label: str = 'label',
  plain: bool = True,
) -> None:
  """Checks the counts, and that every original is there, as often as its class allows.

  Args:
    before: the originals.
    after: of the balanced split.
    targets: of each class.
    label: the feature that holds the class.
    plain: whether copies are duplicates; then each record is there floor or ceil(target / n) times.
  """
  assert class_counts(after, label) == {c: n for c, n in targets.items() if n}
  sizes, old, new = class_counts(before, label), Counter(before), Counter(after)
  for record, n in old.items():
    value = value_of(record, label)
    times, extra = divmod(targets[value], sizes[value])
    if plain:
      assert n * times <= new[record] <= n * (times + bool(extra)), f'{new[record]} of {value!r}'
    elif times:
      assert new[record] >= n, f'an original of {value!r} is lost'
  if plain:
    assert set(new) <= set(old)


def assert_balance_sidecar(
  uri: Path | str,
  before: Mapping[str, Sequence[bytes]],
  targets: Mapping[str, Mapping[Any, int]],
  augmented_split: str | None = None,
  label: str = 'label',
) -> dict[str, Any]:
  """Checks the counts of a sidecar against the artifact's files, and returns the sidecar."""
  sidecar, held = read_sidecar(uri), read_splits(uri)
  names = [*before, *([augmented_split] if augmented_split else [])]
  counts = {name: class_counts(held[name], label) for name in names}
  assert set(sidecar['splits']) == set(names)
  assert sidecar['component'] == 'BalancedAugmenter'
  for name in names:
    told = sidecar['splits'][name]
    assert told['records'] == len(held[name])
    assert told['files'] == len(split_files(uri, name))
    assert told['file_bytes'] == file_bytes(uri, name)
    by_class = [counts[name][c] for c in set().union(*targets.values())]
    ratio = max(by_class) / min(by_class) if min(by_class) else None
    assert told['imbalance_ratio'] == ratio
  rows = {class_value(row['stratum'][0]): row for row in sidecar['strata']}
  assert set(rows) == set().union(*targets.values())
  for name, records in before.items():
    sizes = class_counts(records, label)
    for value, n in sizes.items():
      cell = {
        'records': counts[name][value],
        'records_before': n,
        'target': targets[name][value],
      }
      told = dict(rows[value]['splits'][name])
      assert 1 <= told.pop('pool', n) <= n  # where copies are made from other records of the class
      assert told == cell
      if augmented_split:
        assert rows[value]['splits'][augmented_split]['records'] == counts[augmented_split][value]
    source = sidecar['input'][name]
    assert source['records'] - source['dropped'] == sizes.total()
    assert len(source['fingerprint']) == 16
  return sidecar


def augment_request(folder: Path, **arguments: Any) -> AugmentRequest:
  """Returns a request whose output and work files are in a folder."""
  words = ('sampling_strategy', 'factors', 'max_copies', 'undersample')
  balance = {name: arguments.pop(name) for name in words if name in arguments}
  defaults = {
    'label': 'label',
    'balance': BalanceRequest.parse(**balance),
    'augmented_split': None,
    'seed': 0,
    'missing': 'error',
    'splits': (),
    'reading': READ_DEFAULTS,
    'missing_is_class': False,
    'provenance': False,
    'augment_timeout': None,
    'shown': {'max_copies': balance.get('max_copies')},
  }
  target = request_target(folder, arguments)
  return AugmentRequest(AugmenterParameters(**{**defaults, **arguments}), **target)


def scan_splits(
  folder: Path, splits: Mapping[str, Shards], request: AugmentRequest
) -> list[ScannedFile]:
  """Writes shards of splits, and returns them scanned, in order."""
  scan = request.new_scan()
  parts = [(name, shard) for name, shards in splits.items() for shard in shards]
  files = [
    InputFile(write_tfrecords(folder / f'in-{rank}', shard), rank, name)
    for rank, (name, shard) in enumerate(parts)
  ]
  return [found for file in files for found in scan.process(file)]


def plan_of(scanned: Sequence[ScannedFile], request: AugmentRequest) -> AugmentJob:
  """Returns the job that the scanned files and the request make."""
  names = {found.file.group for found in scanned}
  totals = {name: totals_of(s for s in scanned if s.file.group == name) for name in names}
  return plan_augment(totals, request)


def shapes_of(scanned: Sequence[ScannedFile]) -> FeatureShapes:
  """Returns the shapes of the features of all the files."""
  return merge_file_shapes([file_shapes(found) for found in scanned])[0]


def pools_of(scanned: Sequence[ScannedFile], job: AugmentJob, shapes: FeatureShapes) -> ClassPools:
  """Returns the pools of the job, from all the files."""
  thresholds = thresholds_of(scanned, pool_selection(job))
  return join_pools(collect_pool(s, job, thresholds, shapes) for s in scanned).in_order()


def balance(
  folder: Path,
  splits: Mapping[str, Shards],
  augment_fn: Any = None,
  dofn: Callable[..., CopyRecords] = CopyRecords,
  **arguments: Any,
) -> dict[str, list[bytes]]:
  """Returns the records of each split that is written, without a runner."""
  request = augment_request(folder, **arguments)
  scanned = scan_splits(folder, splits, request)
  job = plan_of(scanned, request)
  thresholds = thresholds_of(scanned, job.selection)
  shapes = {} if augment_fn is None else shapes_of(scanned)
  pools = NO_POOLS
  if isinstance(augment_fn, PoolFn):
    job = with_pools(job, shapes, pool_request(augment_fn))
    pools = pools_of(scanned, job, shapes)
  load = None if augment_fn is None else lambda: augment_fn
  copy = dofn(load, request.parameters.label)
  copy.setup()
  copied = [copy.process(found, job, thresholds, shapes, pools) for found in scanned]
  publish_outputs(job, *gather(job, copied, repeats=True))
  return read_splits(request.output_uri)
