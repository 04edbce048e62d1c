"""What balancing must come to, recounted without the package, and its steps without a runner."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from tfx_balance.balanced_augmenter import transform
from tfx_balance.balanced_augmenter.examples import FeatureShapes
from tfx_balance.balanced_augmenter.output_plan import AugmentContext, AugmentOutputPlan
from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
from tfx_balance.balanced_augmenter.pools import ClassPools
from tfx_balance.balanced_augmenter.transform import BalancedAugment, CopyRecords
from tfx_balance.plan.balance_plan import BalanceRequest
from tfx_balance.plan.ranks import Thresholds
from tfx_balance.scan.scan import InputFile, ScannedFile
from tfx_balance.shuffle.frequent import FrequentKeys
from tfx_balance.tfrecord.reading import READ_DEFAULTS

from tests.helpers_checks import class_value, file_bytes, read_sidecar
from tests.helpers_examples import (
  Shards,
  example,
  read_splits,
  split_files,
  value_of,
  write_tfrecords,
)
from tests.helpers_split import request_target
from tests.list_runner import ListPipeline, write_on_lists


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
  sidecar, records_of = read_sidecar(uri), read_splits(uri)
  names = [*before, *([augmented_split] if augmented_split else [])]
  counts = {name: class_counts(records_of[name], label) for name in names}
  assert set(sidecar['splits']) == set(names)
  assert sidecar['component'] == 'BalancedAugmenter'
  for name in names:
    described = sidecar['splits'][name]
    assert described['records'] == len(records_of[name])
    assert described['files'] == len(split_files(uri, name))
    assert described['file_bytes'] == file_bytes(uri, name)
    by_class = [counts[name][c] for c in set().union(*targets.values())]
    ratio = max(by_class) / min(by_class) if min(by_class) else None
    assert described['imbalance_ratio'] == ratio
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
      described = dict(rows[value]['splits'][name])
      # There is a pool where copies are made from other records of the class.
      assert 1 <= described.pop('pool', n) <= n
      assert described == cell
      if augmented_split:
        assert rows[value]['splits'][augmented_split]['records'] == counts[augmented_split][value]
    source = sidecar['input'][name]
    assert source['records'] - source['dropped'] == sizes.total()
    assert len(source['fingerprint']) == 16
  return sidecar


def augment_context(folder: Path, **arguments: Any) -> AugmentContext:
  """Returns a context whose output and work files are in a folder."""
  words = ('sampling_strategy', 'factors', 'max_copies', 'undersample')
  balance = {name: arguments.pop(name) for name in words if name in arguments}
  defaults = {
    'label': 'label',
    'balance': BalanceRequest(**balance),
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
  return AugmentContext(AugmenterParameters(**{**defaults, **arguments}), **target)


def input_files(folder: Path, splits: Mapping[str, Shards]) -> list[InputFile]:
  """Writes shards of splits, and returns them in order."""
  parts = [(name, shard) for name, shards in splits.items() for shard in shards]
  return [
    InputFile(write_tfrecords(folder / f'in-{number}', shard), number, name)
    for number, (name, shard) in enumerate(parts)
  ]


@contextlib.contextmanager
def balancing(
  folder: Path,
  splits: Mapping[str, Shards],
  augment_fn: Any,
  dofn: type[CopyRecords],
  arguments: dict[str, Any],
) -> Iterator[tuple[BalancedAugment, list[InputFile]]]:
  """Gives the transform that balances splits by a step of one's own, and the files it takes."""
  files = input_files(folder, splits)
  context = augment_context(folder, n_files=len(files), **arguments)
  load = None if augment_fn is None else lambda: augment_fn
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(transform, 'CopyRecords', dofn)
    yield BalancedAugment(context, load), files


def balance(
  folder: Path,
  splits: Mapping[str, Shards],
  augment_fn: Any = None,
  dofn: type[CopyRecords] = CopyRecords,
  **arguments: Any,
) -> dict[str, list[bytes]]:
  """Returns the records of each split that is written, without a runner."""
  with balancing(folder, splits, augment_fn, dofn, arguments) as (balanced, files):
    write_on_lists(balanced, files)
  return read_splits(balanced.context.output_uri)


class Planned(NamedTuple):
  """What copies of a file's records are made from."""

  scanned: ScannedFile
  output_plan: AugmentOutputPlan
  thresholds: Thresholds
  frequent: FrequentKeys
  shapes: FeatureShapes
  pools: ClassPools


class NoCopies(CopyRecords):
  """Keeps what each call of the step is given; a class of a module, which Beam does not copy."""

  planned: ClassVar[list[Planned]] = []

  def process(self, *args: Any) -> Iterator[Any]:
    self.planned.append(Planned(*args))
    return iter([])


def plan_copies(
  folder: Path, splits: Mapping[str, Shards], augment_fn: Any, **arguments: Any
) -> list[Planned]:
  """Returns what is known of each file when its copies are to be made."""
  NoCopies.planned.clear()
  with balancing(folder, splits, augment_fn, NoCopies, arguments) as (balanced, files):
    _ = ListPipeline().elements(files) | balanced
  return list(NoCopies.planned)
