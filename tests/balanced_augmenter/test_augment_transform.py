"""Balancing's steps in their order, without a runner."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.augment import SmoothedBootstrap, Smote
from tfx_balance.balanced_augmenter.copies import PROVENANCE
from tfx_balance.balanced_augmenter.transform import CopyRecords, copy_batches
from tfx_balance.shuffle.ranges import RangeFinder
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.tfrecord.frames import frame

from tests.balanced_augmenter import functions
from tests.balanced_augmenter.helpers_balance import (
  assert_balance_sidecar,
  assert_balanced,
  balance,
  class_counts,
  expected_targets,
  tabular,
)
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  example,
  in_shards,
  read_tfrecords,
  value_of,
)

RECORDS = tabular({'a': 60, 'b': 17, 'c': 1})
COUNTS = class_counts(RECORDS)

STRATEGIES = {
  'not majority': {},
  'auto': {'sampling_strategy': 'auto'},
  'all': {'sampling_strategy': 'all'},
  'minority': {'sampling_strategy': 'minority'},
  'not minority': {'sampling_strategy': 'not minority'},
  'median': {'sampling_strategy': 'median'},
  'mean': {'sampling_strategy': 'mean'},
  'power': {'sampling_strategy': 'power:0.5'},
  'ratio': {'sampling_strategy': 0.6},
  'dict': {'sampling_strategy': {b'b': 100, b'c': 13}},
  'factors': {'factors': {b'b': 3, b'c': 5}},
  'max_copies': {'max_copies': 3},
  'auto down': {'sampling_strategy': 'auto', 'undersample': True},
  'majority down': {'sampling_strategy': 'majority', 'undersample': True},
  'median both ways': {'sampling_strategy': 'median', 'undersample': True},
  'mean both ways': {'sampling_strategy': 'mean', 'undersample': True},
  'ratio down': {'sampling_strategy': 0.1, 'undersample': True},
  'dict both ways': {'sampling_strategy': {b'a': 7, b'c': 13}, 'undersample': True},
}


@pytest.mark.parametrize('name', ['ratio', 'factors', 'max_copies', 'mean both ways', 'ratio down'])
def test_copies_of_a_function_meet_the_targets_of_strategies(tmp_path, name):
  arguments = STRATEGIES[name]
  found = balance(tmp_path, {'train': in_shards(RECORDS, 3)}, functions.same, **arguments)['train']
  targets = expected_targets(COUNTS, **arguments)
  assert_balanced(RECORDS, found, targets, plain=False)
  assert_balance_sidecar(tmp_path / 'out', {'train': RECORDS}, {'train': targets})


# Of several largest (or smallest) classes these words leave one alone, and which is not told.
WITHOUT_TIES = sorted({*STRATEGIES} - {'majority down', 'minority', 'not minority', 'factors'})


@settings(max_examples=20)
@given(
  st.dictionaries(st.integers(0, 9), st.integers(1, 12), min_size=1, max_size=4),
  st.lists(st.integers(0, 9), max_size=8),
  st.sampled_from(WITHOUT_TIES),
  st.integers(1, 4),
  st.integers(-3, 3),
)
def test_targets_are_met_whatever_the_classes(
  tmp_path_factory, counts, repeated, strategy, n_shards, seed
):
  # With records that are there several times, which no selection by hash can tell apart.
  arguments = dict(STRATEGIES[strategy])
  if isinstance(arguments.get('sampling_strategy'), dict):
    arguments['sampling_strategy'] = {min(counts): 40}
  records = [example(label=value, id=i) for value, n in counts.items() for i in range(n)]
  records += [example(label=value, id=0) for value in repeated if value in counts]
  folder = tmp_path_factory.mktemp('any')
  shards = in_shards(records, n_shards)
  found = balance(folder, {'train': shards}, seed=seed, **arguments)['train']
  assert class_counts(found) == expected_targets(class_counts(records), **arguments)
  assert set(found) <= set(records)
  if not arguments.get('undersample'):
    assert not Counter(records) - Counter(found)


def test_the_same_records_and_seed_copy_the_same_records_in_any_order(tmp_path):
  one = balance(tmp_path / 'one', {'train': in_shards(RECORDS, 2)}, functions.jitter)
  two = balance(tmp_path / 'two', {'train': in_shards(RECORDS[::-1], 5)}, functions.jitter)
  assert one == two
  seeded = balance(tmp_path / 'three', {'train': in_shards(RECORDS, 2)}, functions.jitter, seed=1)
  made = [set(out['train']) - set(RECORDS) for out in (one, seeded)]
  assert len(made[0]) == 60 * 3 - 78
  assert not made[0] & made[1]


def test_the_same_records_keep_the_same_ones_in_any_order(tmp_path):
  arguments = {'sampling_strategy': {b'a': 20}, 'undersample': True}
  one = balance(tmp_path / 'one', {'train': in_shards(RECORDS, 2)}, **arguments)['train']
  two = balance(tmp_path / 'two', {'train': in_shards(RECORDS[::-1], 5)}, **arguments)['train']
  assert Counter(one) == Counter(two)
  three = balance(tmp_path / 'three', {'train': [RECORDS]}, seed=1, **arguments)['train']
  assert Counter(three) != Counter(one)


@pytest.mark.parametrize(
  'augment_fn', [None, functions.jitter, Smote(['x'])], ids=['plain', 'function', 'pool']
)
def test_bytes_do_not_depend_on_batches(tmp_path, augment_fn):
  for name, sizes in (('one', SIZES), ('two', Sizes(chunk_bytes=200))):
    shards = {'train': in_shards(RECORDS, 2)}
    balance(tmp_path / name, shards, augment_fn, provenance=True, sizes=sizes)
  assert all_bytes(tmp_path / 'one/out') == all_bytes(tmp_path / 'two/out')


class FirstAttemptFails(CopyRecords):
  """Fails after it has written something; the bundle is then run again, by another worker."""

  def process(self, scanned, output_plan, *given):
    with pytest.MonkeyPatch.context() as patch:
      add = RangeFinder.add

      def breaks(self, *args, **more):
        add(self, *args, **more)
        raise OSError('the worker was lost')

      patch.setattr(RangeFinder, 'add', breaks)
      with pytest.raises(OSError, match='the worker was lost'):
        list(super().process(scanned, output_plan, *given))
    left = list(Path(output_plan.context.work_dir).glob('assigned-*'))
    assert len(left) == 2 * scanned.file.file_number + 1  # those of all the attempts so far
    second = CopyRecords(self._load_augment_fn, self._label)
    second.setup()
    yield from second.process(scanned, output_plan, *given)


@pytest.mark.parametrize(
  'augment_fn', [None, functions.jitter, Smote(['x'])], ids=['plain', 'function', 'pool']
)
def test_a_bundle_that_is_retried_gives_the_same_bytes(tmp_path, augment_fn):
  shards = {'train': in_shards(RECORDS, 3)}
  balance(tmp_path / 'once', shards, augment_fn, provenance=True)
  balance(tmp_path / 'again', shards, augment_fn, FirstAttemptFails, provenance=True)
  assert all_bytes(tmp_path / 'once/out') == all_bytes(tmp_path / 'again/out')
  assert sorted(all_bytes(tmp_path / 'again/out')) == [
    'Split-train/data_tfrecord-00000-of-00001',
    'class_distribution.json',
  ]


POOLED = {
  'Smote': Smote(['x'], k=3),
  'SMOTE-NC': Smote(['x'], ['note']),
  'SmoothedBootstrap': SmoothedBootstrap(),
}


@pytest.mark.parametrize('augment_fn', POOLED.values(), ids=POOLED)
def test_copies_have_their_whole_class_for_a_pool_whatever_the_files(tmp_path, augment_fn):
  records = [
    example(label='b' if i % 12 == 5 else 'a', id=i, x=[i**1.5, -float(i)], note=f'{i}')
    for i in range(72)
  ]
  made = {}
  for n in (1, 6, 64):
    found = balance(tmp_path / str(n), {'train': in_shards(records, n)}, augment_fn)['train']
    made[n] = Counter(found) - Counter(records)
    (row,) = [
      row for row in read_sidecar(tmp_path / str(n) / 'out')['strata'] if row['name'] == 'b'
    ]
    assert row['splits']['train']['pool'] == 6
  assert made[1].total() == len(made[1]) == 60  # all copies differ
  assert made[1] == made[6] == made[64]


def test_provenance_finds_the_original(tmp_path):
  shards = in_shards(RECORDS, 3)
  found = balance(tmp_path, {'train': shards}, functions.same, provenance=True)['train']
  copies = [record for record in found if value_of(record, PROVENANCE[2]) is not None]
  assert len(copies) == 180 - len(RECORDS)
  assert not Counter(RECORDS) - Counter(found)  # the originals have none
  numbers = Counter()
  for record in copies:
    file, at, number = (value_of(record, name) for name in PROVENANCE)
    numbers[file, at] += 1
    original = shards[file][at]
    assert [value_of(record, name) for name in ('label', 'id', 'x')] == [
      value_of(original, name) for name in ('label', 'id', 'x')
    ]
    assert number >= 1
  provenance = {tuple(value_of(record, name) for name in PROVENANCE) for record in copies}
  assert provenance == {(*place, i) for place, n in numbers.items() for i in range(1, n + 1)}


def test_a_balanced_split_of_copies_is_empty(tmp_path):
  records = tabular({'a': 3, 'b': 3})
  assert balance(tmp_path, {'train': [records]}, augmented_split='more') == {'more': []}


def test_copies_come_out_mixed(tmp_path):
  records = tabular({'a': 1000, 'b': 10})
  order = [value_of(r) for r in balance(tmp_path, {'train': in_shards(records, 2)})['train']]
  for part in in_shards(order, 10):
    assert 60 < part.count(b'b') < 140  # 100 of 200, within six standard deviations


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(-1, 6)), min_size=1, max_size=30))
def test_copies_are_asked_for_as_often_as_they_are_wanted(wanted):
  sizes, times = zip(*wanted, strict=True)
  records = [bytes([i]) * n for i, n in enumerate(sizes)]
  batches = list(copy_batches(frame(records), np.array(times), 100))
  made = [pair for which, numbers in batches for pair in zip(which, numbers, strict=True)]
  assert made == [(i, number) for i, n in enumerate(times) for number in range(1, n + 1)]
  for which, _ in batches:  # memory stays bounded: by a batch, and a record that is larger
    assert 0 < sum(sizes[i] + 16 for i in which) < 100 + 66 + 16


@pytest.mark.parametrize(
  'augment_fn', [None, functions.same, Smote(['x'])], ids=['plain', 'function', 'pool']
)
def test_the_input_is_read_once(tmp_path, augment_fn):
  class ReadNoMore(CopyRecords):
    def process(self, scanned, *planned):
      Path(scanned.file.path).unlink(missing_ok=True)
      return super().process(scanned, *planned)

  found = balance(tmp_path, {'train': [RECORDS]}, augment_fn, dofn=ReadNoMore)['train']
  assert class_counts(found) == expected_targets(COUNTS)


def test_originals_that_stay_where_they_are_are_not_assigned(tmp_path):
  balance(tmp_path, {'train': [RECORDS]}, functions.jitter, augmented_split='more')
  assert not list((tmp_path / 'work').glob('assigned-*'))


def test_copies_are_spread_over_the_files_wherever_their_original_is(tmp_path):
  records = tabular({'a': 600, 'b': 1})
  balance(tmp_path, {'train': [records]}, sizes=Sizes(shard_bytes=4000, gather_bytes=1000))
  files = sorted((tmp_path / 'out/Split-train').iterdir())
  assert len(files) > 8
  for path in files:
    order = [value_of(record) for record in read_tfrecords(str(path))]
    assert 0.2 < order.count(b'b') / len(order) < 0.8
    assert abs(np.corrcoef([v == b'b' for v in order], range(len(order)))[0, 1]) < 0.5
