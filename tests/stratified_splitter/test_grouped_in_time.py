"""group_by= with order_by=: whole groups that follow each other by their latest records."""

import tempfile
from collections import Counter
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import DataError
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.modes.folds import fold_splits
from tfx_balance.sizes import Sizes

from tests.helpers_checks import assert_conserved, read_sidecar
from tests.helpers_examples import (
  all_bytes,
  as_sets,
  example,
  in_shards,
  read_splits,
  value_of,
)
from tests.helpers_pipeline import WORKER_PROCESS, execute, importer, input_artifact, run_pipeline
from tests.helpers_split import run_split

SPLITS = {'train': 6, 'eval': 2, 'test': 2}
IN_TIME = {'group_by': 'patient', 'order_by': 'time'}
SECONDS = 1_700_000_000
TIMES = st.integers(SECONDS, SECONDS + 3) | st.sampled_from([0, -(2**63), 2**63 - 1])
ROWS = st.lists(st.tuples(st.integers(0, 9) | st.integers(0, 99), TIMES), min_size=12, max_size=60)


def made(rows):
  return [example(label=i % 3, patient=p, time=t, id=i) for i, (p, t) in enumerate(rows)]


def visits(n_groups, seed=0):
  """Returns records of patients who come several times; times of patients overlap."""
  rng = np.random.default_rng(seed)
  patients = np.repeat(np.arange(n_groups), rng.integers(1, 12, n_groups))
  times = SECONDS + 10 * patients + rng.integers(0, 60, len(patients))
  return made(zip(patients.tolist(), times.tolist(), strict=True))


def run_in_order(shards, splits=SPLITS, embargo=0, **arguments):
  """Returns the records of the splits that some shards make."""
  with tempfile.TemporaryDirectory() as folder:
    return run_split(Path(folder), shards, splits, **IN_TIME, embargo=embargo, **arguments)


def last_times(splits):
  """Returns the time of each group of each split; a group is in one of them."""
  found = {}
  for name, records in splits.items():
    found[name] = {}
    for record in records:
      group, time = value_of(record, 'patient'), value_of(record, 'time')
      found[name][group] = max(time, found[name].get(group, time))
  assert sum(map(len, found.values())) == len(set().union(*found.values()))
  return found


def assert_in_order(splits, weights=SPLITS):
  """Asserts that groups are whole and in order, and cuts as near as they can be between them."""
  splits = {name: splits[name] for name in weights}
  times = last_times(splits)
  together = [t for held in times.values() for t in sorted(held.values())]
  assert together == sorted(together)
  sizes = Counter(value_of(r, 'patient') for held in splits.values() for r in held)
  n = sum(sizes.values())
  ends = list(accumulate(len(held) for held in splits.values()))[:-1]
  ideals = [n * w / sum(weights.values()) for w in accumulate(weights.values())]
  for end, ideal, (before, behind) in zip(ends, ideals, pairwise(splits), strict=False):
    # The group on either side of the cut would not bring it nearer, whichever of a tie it is.
    latest = [g for g, t in times[before].items() if t == max(times[before].values())]
    first = [g for g, t in times[behind].items() if t == min(times[behind].values())]
    if end > ideal + 1 and latest:
      assert end - ideal <= max(sizes[g] for g in latest) / 2 + 1
    if end < ideal - 1 and first:
      assert ideal - end <= max(sizes[g] for g in first) / 2 + 1


@settings(max_examples=12, deadline=None)
@given(rows=ROWS, n=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_groups_are_whole_and_in_order_whatever_order_and_files(rows, n, seed, data):
  records = made(rows)
  one = run_in_order([records], seed=seed)
  shuffled = data.draw(st.permutations(records))
  two = run_in_order(in_shards(shuffled, n), seed=seed)
  assert_conserved(one, records)
  assert as_sets(one) == as_sets(two)
  assert_in_order(one)


@pytest.mark.parametrize('marks', [2, 7, 4096])
@pytest.mark.parametrize(
  'time',
  [
    pytest.param(lambda i: SECONDS + i % 1000, id='many-times'),
    pytest.param(lambda i: i // 400, id='few-times'),
    pytest.param(lambda i: 0.1 * (i % 777) - 3, id='floats'),
    pytest.param(lambda i: -5, id='one-time'),
  ],
)
def test_parts_and_blocks_and_few_marks_give_the_same_groups(time, marks):
  records = [example(label=i % 3, patient=i * 7 % 997, time=time(i), id=i) for i in range(4000)]
  whole = run_in_order([records], seed=3)
  assert_in_order(whole)
  sizes = Sizes(block_bytes=20_000, group_records=300, group_marks=marks)
  parts = run_in_order(in_shards(records[::-1], 3), seed=3, sizes=sizes)
  assert as_sets(parts) == as_sets(whole)


def test_an_embargo_leaves_out_whole_groups_by_their_latest_records():
  records = visits(200)
  whole, kept = (last_times(run_in_order([records], embargo=embargo)) for embargo in (0, 100))
  for before, behind in pairwise(SPLITS):
    cut = min(whole[behind].values())
    assert kept[before] == {g: t for g, t in whole[before].items() if t <= cut - 100}
    assert 0 < len(kept[before]) < len(whole[before])
  assert kept['test'] == whole['test']


def test_arrays_have_the_same_rules():
  rng = np.random.default_rng(1)
  groups = np.repeat(np.arange(300), rng.integers(1, 9, 300))
  times = groups + rng.integers(0, 20, len(groups))
  labels = rng.integers(0, 3, len(groups))
  rows = [example(patient=int(g), time=int(t)) for g, t in zip(groups, times, strict=True)]
  indices = stratified_indices(labels, SPLITS, groups=groups, order=times)
  assert sorted(np.concatenate(list(indices.values())).tolist()) == list(range(len(groups)))
  assert_in_order({name: [rows[i] for i in index] for name, index in indices.items()})
  gone = stratified_indices(labels, SPLITS, groups=groups, order=times, embargo=5)
  latest = np.array([times[groups == g].max() for g in groups])
  for before, behind in pairwise(SPLITS):
    kept = latest[indices[before]] <= latest[indices[behind]].min() - 5
    assert gone[before].tolist() == indices[before][kept].tolist()
    assert 0 < kept.sum() < len(kept)
  with pytest.raises(DataError, match=r"leave none of the \d+ records of split 'eval'"):
    stratified_indices(labels, SPLITS, groups=groups, order=times, embargo=100)


def test_folds_of_groups_for_forward_chaining():
  records = visits(300)
  splits = run_in_order(in_shards(records, 3), {'train': 8, 'test': 2}, folds=4)
  assert_in_order(splits, dict.fromkeys(splits, 2))
  taken, times = fold_splits(2, folds=4, forward=True), last_times(splits)
  trained = [t for name in taken.train for t in times[name].values()]
  assert max(trained) <= min(times[taken.eval[0]].values())


def test_a_group_that_is_larger_than_a_split_is_told(tmp_path):
  records = made([(0, 5)] * 80 + [(i, i) for i in range(1, 21)])
  splits = run_split(tmp_path, [records], SPLITS, **IN_TIME)
  assert [len(splits[name]) for name in SPLITS] == [84, 0, 16]
  warned = read_sidecar(tmp_path / 'out')['warnings']
  assert any('has 80 records, more than any split should have' in each for each in warned)
  assert any("split 'train' has 84 records of all classes before the embargo" in e for e in warned)
  assert not any("within='strata'" in each for each in warned)


def test_a_worker_process_splits_whole_groups_in_time_into_the_same_bytes(tmp_path):
  records = visits(300)
  artifact = input_artifact(tmp_path / 'in', {'all': in_shards(records[::-1], 3)})
  source = importer(artifact)
  arguments = {'order_by': 'time', 'group_by': 'patient', 'splits': SPLITS, 'embargo': 50}
  splitter = StratifiedSplitter(examples=source.outputs['result'], **arguments)
  published = run_pipeline(tmp_path / 'two', [source, splitter], WORKER_PROCESS)
  (found,) = published.of_node('StratifiedSplitter')
  splits = read_splits(found.uri)
  times = last_times(splits)
  for before, behind in pairwise(SPLITS):
    assert max(times[before].values()) + 50 <= min(times[behind].values())
  described = read_sidecar(found.uri)['splits']
  assert {name: split['records'] for name, split in described.items()} == {
    name: len(held) for name, held in splits.items()
  }
  lost = sum(split['embargoed'] for split in described.values())
  assert lost
  assert lost == len(records) - sum(map(len, splits.values()))
  for split in described.values():
    assert abs(split['records'] + split['embargoed'] - split['ideal']) < 12  # of the largest group
  alone = execute(StratifiedSplitter, [artifact], tmp_path / 'one', **arguments)
  assert all_bytes(alone.uri) == all_bytes(found.uri)
