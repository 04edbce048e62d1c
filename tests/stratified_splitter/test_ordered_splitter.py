"""order_by=: splits that follow each other in time, with an embargo between them."""

import math
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import DataError
from tfx_balance.modes.folds import fold_splits

from tests.helpers_checks import assert_conserved, read_sidecar
from tests.helpers_examples import as_sets, example, in_shards, read_splits, value_of
from tests.helpers_pipeline import execute, input_artifact
from tests.helpers_split import run_split
from tests.plan.test_time_order import lost_of

SPLITS = {'train': 7, 'eval': 2, 'test': 1}
NAMES = list(SPLITS)
SECONDS = 1_700_000_000
# Few times, many times, and one far from the others.
TIMES = (
  st.integers(SECONDS, SECONDS + 3)
  | st.integers(SECONDS, SECONDS + 10**9)
  | st.sampled_from([0, -(2**63), 2**63 - 1])
)
ROWS = st.lists(st.tuples(st.integers(0, 3), TIMES), min_size=12, max_size=60)


def times_of(splits):
  return {name: [value_of(r, 'time') for r in held] for name, held in splits.items()}


def made(rows):
  return [example(label=a, time=t, id=i) for i, (a, t) in enumerate(rows)]


def run_in_order(shards, splits=SPLITS, seed=0, **arguments):
  """Returns the records of the splits that some shards make."""
  with tempfile.TemporaryDirectory() as folder:
    return run_split(Path(folder), shards, splits, order_by='time', seed=seed, **arguments)


@settings(max_examples=20, deadline=None)
@given(rows=ROWS, n=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_totals_are_exact_and_no_record_is_later_than_one_of_a_later_split(rows, n, seed, data):
  records = made(rows)
  one = run_in_order([records], seed=seed)
  shuffled = data.draw(st.permutations(records))
  two = run_in_order(in_shards(shuffled, n), seed=seed)
  assert_conserved(one, records)
  assert as_sets(one) == as_sets(two)
  times = [times_of(one)[name] for name in NAMES]
  together = [t for held in times for t in sorted(held)]
  assert together == sorted(together)
  for name, weight in SPLITS.items():
    share = Fraction(weight * len(records), 10)
    assert len(one[name]) in (math.floor(share), math.ceil(share))


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, n=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_each_stratum_is_in_order_with_exact_cells(rows, n, seed, data):
  records = made(rows)
  one = run_in_order([records], seed=seed, within='strata')
  shuffled = data.draw(st.permutations(records))
  two = run_in_order(in_shards(shuffled, n), seed=seed, within='strata')
  assert_conserved(one, records)
  assert as_sets(one) == as_sets(two)
  sizes = Counter(a for a, _ in rows)
  for label, size in sizes.items():
    held = {name: [r for r in one[name] if value_of(r, 'label') == label] for name in NAMES}
    together = [t for name in NAMES for t in sorted(times_of(held)[name])]
    assert together == sorted(together)
    for name, weight in SPLITS.items():
      share = Fraction(weight * size, 10)
      assert len(held[name]) in (math.floor(share), math.ceil(share))


@settings(max_examples=20, deadline=None)
@given(
  times=st.lists(st.integers(0, 60), min_size=40, max_size=60),
  embargo=st.sampled_from([0, 1, 2, 0.5, 3.5]),
  lost=st.integers(0, 3),
  n=st.integers(1, 3),
  seed=st.integers(0, 9),
)
def test_the_embargo_leaves_out_what_is_close_before_a_later_split(times, embargo, lost, n, seed):
  labels = [i % 2 for i in range(len(times))]
  records = made(list(zip(labels, times, strict=True)))
  arguments = {'embargo': embargo, 'embargo_records': lost}
  whole = run_in_order([records], seed=seed)
  before = [times_of(whole)[name] for name in NAMES]
  gone = [lost_of(i, before, embargo, lost) for i in range(3)]
  if any(n_lost == len(held) for n_lost, held in zip(gone, before, strict=True)):
    with pytest.raises(DataError, match='leave none of the'):
      run_in_order([records], seed=seed, **arguments)
    return
  apart = run_in_order(in_shards(records[::-1], n), seed=seed, **arguments)
  for name, n_lost in zip(NAMES, gone, strict=True):
    left = set(whole[name]) - set(apart[name])
    assert set(apart[name]) <= set(whole[name])
    assert len(left) == n_lost
    kept = times_of(apart)[name]
    assert not left or max(kept) <= min(value_of(r, 'time') for r in left)


@settings(max_examples=12, deadline=None)
@given(
  times=st.lists(st.integers(0, 500), min_size=60, max_size=90),
  embargo=st.sampled_from([0, 1, 3]),
  n=st.integers(1, 3),
  seed=st.integers(0, 99),
)
def test_forward_rounds_train_on_what_is_earlier_by_the_embargo(times, embargo, n, seed):
  records = made([(i % 3, t) for i, t in enumerate(times)])
  folds = {'splits': {'train': 4, 'test': 1}, 'folds': 4}
  whole = run_in_order(in_shards(records, n), seed=seed, **folds)
  assert_conserved(whole, records)
  assert list(whole) == ['fold-0', 'fold-1', 'fold-2', 'fold-3', 'test']
  sizes = [len(held) for held in whole.values()]
  assert max(sizes) - min(sizes) <= 1
  before = [times_of(whole)[name] for name in whole]
  gone = [lost_of(i, before, embargo, 0) for i in range(5)]
  if any(n_lost == len(held) for n_lost, held in zip(gone, before, strict=True)):
    return
  splits = run_in_order([records], seed=seed, **folds, embargo=embargo)
  held = times_of(splits)
  for fold in range(1, 4):
    taken = fold_splits(fold, 4, forward=True)
    earlier = [t for name in taken.train for t in held[name]]
    assert max(earlier) + embargo <= min(held[taken.eval[0]])
    assert max(held[taken.eval[0]]) + embargo <= min(held['test'])
  assert [len(whole[name]) - len(splits[name]) for name in whole] == gone


@pytest.mark.parametrize(
  'time',
  [
    pytest.param(lambda i: SECONDS + i % 1000, id='few-times'),
    pytest.param(lambda i: SECONDS * 10**9 + i * 7919 % 3001, id='nanoseconds'),
    pytest.param(lambda i: 0 if i < 2 else 2**62 + i // 500, id='one-far-from-the-others'),
    pytest.param(lambda i: 0.1 * (i % 777) - 3, id='floats'),
    pytest.param(lambda i: -5, id='one-time'),
  ],
)
@pytest.mark.parametrize('within', ['all', 'strata'])
def test_many_records_are_as_a_sort_has_them(time, within):
  records = [example(label=i % 7 // 3, time=time(i), id=i) for i in range(6000)]
  splits = run_in_order(in_shards(records[::-1], 5), within=within, seed=3)
  assert_conserved(splits, records)
  for label in (None,) if within == 'all' else (0, 1, 2):
    held = {n: [r for r in splits[n] if label in (None, value_of(r, 'label'))] for n in NAMES}
    together = [t for name in NAMES for t in sorted(times_of(held)[name])]
    assert together == sorted(together)
    size = sum(map(len, held.values()))
    assert [len(held[name]) for name in NAMES[1:]] == pytest.approx([size * 0.2, size * 0.1], abs=1)


def test_counts_folds_and_keys_combine_with_an_order():
  records = made([(i % 3, SECONDS + i * 31 % 97) for i in range(400)])
  splits = run_in_order(in_shards(records, 3), None, counts={'test': 40}, folds=4, key='id')
  assert list(splits) == ['fold-0', 'fold-1', 'fold-2', 'fold-3', 'test']
  assert {name: len(held) for name, held in splits.items()} == dict.fromkeys(splits, 90) | {
    'test': 40
  }
  together = [t for held in times_of(splits).values() for t in sorted(held)]
  assert together == sorted(together)


def test_the_component_reports_what_an_order_costs(tmp_path):
  # The classes change in time: b is seldom early and a seldom late.
  records = [example(label='ab'[i * i % 400 < i], time=SECONDS + i, id=i) for i in range(400)]
  artifact = input_artifact(tmp_path / 'in', {'all': in_shards(records[::-1], 3)})
  arguments = {'order_by': 'time', 'splits': SPLITS, 'embargo': 10, 'embargo_records': 4}
  found = execute(StratifiedSplitter, [artifact], tmp_path / 'out', **arguments)
  splits = read_splits(found.uri)
  sidecar = read_sidecar(found.uri)
  # 280, 80 and 40 are in order; 9 s before a cut are within 10 s of it.
  assert {name: sorted(set(held)) for name, held in times_of(splits).items()} == {
    'train': list(range(SECONDS, SECONDS + 271)),
    'eval': list(range(SECONDS + 280, SECONDS + 351)),
    'test': list(range(SECONDS + 360, SECONDS + 400)),
  }
  assert {name: split['embargoed'] for name, split in sidecar['splits'].items()} == {
    'train': 9,
    'eval': 9,
    'test': 0,
  }
  assert [split['ideal'] for split in sidecar['splits'].values()] == [280, 80, 40]
  assert sidecar['parameters']['order_by'] == 'time'
  assert sidecar['parameters']['embargo'] == 10
  first, second = sidecar['warnings']
  assert first.startswith("order_by='time' cuts all records by time, so counts of classes are not ")
  assert second == "the embargo left out 18 records, of 'train' 9, 'eval' 9"


def faulty(kind):
  features = {'missing': {}, 'two': {'time': [1, 2]}, 'nan': {'time': math.nan}}[kind]
  return example(label=1, id=-1, **features)


@pytest.mark.parametrize(
  ('kind', 'has'), [('missing', 'no value'), ('two', '2 values'), ('nan', 'the value nan')]
)
def test_a_record_without_a_time_is_an_error_or_skipped(kind, has):
  time = (lambda i: float(i)) if kind == 'nan' else (lambda i: i)
  records = [example(label=i % 2, time=time(i), id=i) for i in range(30)]
  mixed = [*records[:7], faulty(kind), *records[7:]]
  match = rf"'time' has {has} in record 7 of .*fill it in, or skip such records with bad_records="
  with pytest.raises(DataError, match=match):
    run_in_order([mixed])
  skip = {'bad_records': 'skip', 'max_bad_records': 1}
  assert_conserved(run_in_order([mixed], **skip), records)


def test_times_must_be_numbers_of_one_type():
  text = [example(label=1, time='2024-01-01', id=i) for i in range(9)]
  with pytest.raises(DataError, match=r"'time' holds text in .*write times as int64 before"):
    run_in_order([text])
  ints, floats = ([example(label=1, time=t(i), id=i) for i in range(9)] for t in (int, float))
  with pytest.raises(DataError, match=r'types .* \(float in .*in-1, int in .*in-0\)'):
    run_in_order([ints, floats])


def test_an_embargo_larger_than_a_split_is_an_error():
  records = made([(0, t) for t in range(100)])
  match = r"embargo=0 and embargo_records=20 leave none of the 20 records of split 'eval'; make"
  with pytest.raises(DataError, match=match):
    run_in_order([records], embargo_records=20)
  with pytest.raises(DataError, match=r'embargo=1e\+300 before the time 70 is below the least'):
    run_in_order([records], embargo=1e300)
