"""mode='stable': records keep their splits when data is added, and nothing is lost."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import StratifiedSplitter

from tests.helpers_checks import assert_conserved, assert_sidecar
from tests.helpers_examples import as_sets, example, in_shards, labelled, read_splits, value_of
from tests.helpers_pipeline import execute, input_artifact
from tests.helpers_split import run_split

SPLITS = {'train': 7, 'eval': 2, 'test': 1}
ROWS = st.lists(
  st.tuples(st.integers(0, 3), st.sampled_from([0, 1]) | st.integers(0, 999)),
  min_size=1,
  max_size=40,
)


@settings(max_examples=12)
@given(rows=ROWS, more=ROWS, n=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_records_stay_when_others_come_in_any_order(rows, more, n, seed, data):
  old, new = ([example(label=a, id=b) for a, b in each] for each in (rows, more))
  shuffled = data.draw(st.permutations([*old, *new]))
  with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
    before = run_split(Path(one), [old], SPLITS, mode='stable', seed=seed)
    after = run_split(Path(two), in_shards(shuffled, n), SPLITS, mode='stable', seed=seed)
  assert_conserved(before, old)
  assert_conserved(after, [*old, *new])
  for name in SPLITS:
    assert set(before[name]) <= set(after[name])
  assert sum(len(set(held)) for held in after.values()) == len({*old, *new})  # none in two


def test_equal_keys_share_a_split_whatever_else_they_hold(tmp_path):
  records = [example(label=i % 4, id=i % 50, x=i) for i in range(400)]
  splits = run_split(tmp_path, in_shards(records, 3), SPLITS, mode='stable', key=('id',))
  assert_conserved(splits, records)
  ids = [{value_of(record, 'id') for record in held} for held in splits.values()]
  assert sum(map(len, ids)) == len(set.union(*ids)) == 50


def test_predefined_records_go_where_they_are_told_and_folds_share_the_others(tmp_path):
  records = [example(label=i % 3, set='held' if i % 5 == 0 else 'x', id=i) for i in range(300)]
  splits = run_split(
    tmp_path,
    in_shards(records, 2),
    mode='stable',
    splits={'train': 1},
    folds=3,
    split_by='set',
    split_values={'held': 'test'},
  )
  assert_conserved(splits, records)
  assert set(splits) == {'fold-0', 'fold-1', 'fold-2', 'test'}
  assert set(splits['test']) == {record for i, record in enumerate(records) if i % 5 == 0}
  assert min(len(splits[f'fold-{i}']) for i in range(3)) > 50  # of 80 in the mean; 3.9 deviations


def test_the_sidecar_tells_how_far_a_stable_split_is_from_its_shares(tmp_path):
  records = labelled({'a': 160, 'b': 40})
  artifact = input_artifact(tmp_path / 'in', {'all': in_shards(records, 2)})
  arguments = {'splits': SPLITS, 'mode': 'stable', 'seed': 2}
  found = execute(StratifiedSplitter, [artifact], tmp_path / 'out', **arguments)
  splits = read_splits(found.uri)
  assert_conserved(splits, records)
  sidecar = assert_sidecar(found.uri, SPLITS)
  assert sidecar['parameters']['mode'] == 'stable'
  assert sidecar['warnings'][0] == (
    "mode='stable' deals records by chance, so counts are not exact: "
    f"'train' has {len(splits['train'])} of ideally 140 (standard deviation 6.48), "
    f"'eval' has {len(splits['eval'])} of ideally 40 (standard deviation 5.66), "
    f"'test' has {len(splits['test'])} of ideally 20 (standard deviation 4.24)"
  )
  alone = run_split(tmp_path / 'alone', [records], SPLITS, mode='stable', seed=2)
  assert as_sets(alone) == as_sets(splits)
