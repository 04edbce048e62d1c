"""StratifiedSplitter with group_by: whole groups, whatever the order, the files and the runner."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.sizes import Sizes

from tests.helpers_checks import assert_conserved, read_sidecar
from tests.helpers_examples import as_sets, example, in_shards, value_of
from tests.helpers_split import run_split

BY_PATIENT = {'group_by': 'patient'}
WEIGHTS = {'train': 8, 'eval': 1, 'test': 1}


def patients(n_groups, seed=0, n_classes=2, **features):
  """Returns records of patients, of several classes each."""
  rng = np.random.default_rng(seed)
  of_record = np.repeat(np.arange(n_groups), rng.poisson(4, n_groups) + 1)
  labels = (rng.random(len(of_record)) ** 2 * n_classes).astype(int)
  order = rng.permutation(len(of_record))
  return [
    example(label=int(labels[i]), patient=f'p{of_record[i]}', id=int(i), **features) for i in order
  ]


def groups_of(splits, name='patient'):
  return {split: {value_of(record, name) for record in found} for split, found in splits.items()}


def assert_whole(splits, name='patient'):
  found = list(groups_of(splits, name).values())
  assert sum(map(len, found)) == len(set().union(*found))


@settings(max_examples=15, deadline=None)
@given(
  data=st.data(),
  rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=1, max_size=40),
  seed=st.integers(0, 9),
)
def test_no_group_is_in_two_splits_whatever_order_and_files(data, rows, seed):
  records = [example(label=label, patient=group) for label, group in rows]
  found = []
  for _ in range(2):
    edges = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=3)))
    shards = [records[low:high] for low, high in pairwise([0, *edges, len(records)])]
    with tempfile.TemporaryDirectory() as folder:
      splits = run_split(Path(folder), shards, {'a': 3, 'b': 1}, seed=seed, **BY_PATIENT)
    assert_conserved(splits, records)
    assert_whole(splits)
    found.append(as_sets(splits))
    records = data.draw(st.permutations(records))
  assert found[0] == found[1]


GROUPS = st.integers(0, 3) | st.integers(0, 12)
PRICES = st.sampled_from([-1.5, 0.0, 2.0]) | st.floats(-100, 100, width=32)
OTHER_MODES = {
  'bins': (
    PRICES,
    lambda price, group: example(price=price, patient=group),
    {'stratify_by': ('price',), 'bins': 3},
  ),
  'edges': (
    PRICES,
    lambda price, group: example(price=price, patient=group),
    {'stratify_by': ('price',), 'bins': [0, 1]},
  ),
  'labels': (
    st.sets(st.sampled_from('abcd')),
    lambda tags, group: example(patient=group, **({'tags': sorted(tags)} if tags else {})),
    {'stratify_by': ('tags',), 'multilabel': True},
  ),
}
"""Of a mode: values of a record, the record of a value and a group, and the arguments."""


@pytest.mark.parametrize('mode', OTHER_MODES)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), seed=st.integers(0, 9), n=st.integers(1, 4))
def test_groups_of_other_modes_are_whole_whatever_order_and_files(mode, data, seed, n):
  values, made, arguments = OTHER_MODES[mode]
  rows = data.draw(st.lists(st.tuples(values, GROUPS), max_size=40))
  rows.append((data.draw(values.filter(bool)), 0))  # a value that is there
  records = [made(*row) for row in rows]
  shuffled = data.draw(st.permutations(records))
  found = []
  for shards in ([records], in_shards(shuffled, n)):
    with tempfile.TemporaryDirectory() as folder:
      splits = run_split(
        Path(folder), shards, {'a': 3, 'b': 1}, seed=seed, **BY_PATIENT, **arguments
      )
    assert_conserved(splits, records)
    assert_whole(splits)
    found.append(as_sets(splits))
  assert found[0] == found[1]


def test_parts_and_blocks_and_histograms_that_are_too_many(tmp_path):
  records = patients(500, n_classes=3)

  def split(name, n_files, **sizes):
    shards = in_shards(records, n_files)
    return run_split(tmp_path / name, shards, WEIGHTS, sizes=Sizes(**sizes), **BY_PATIENT)

  whole = split('whole', 3)
  assert as_sets(whole) == as_sets(split('blocks', 3, block_bytes=5_000))
  small = {'block_bytes': 5_000, 'group_records': 300}
  assert as_sets(whole) == as_sets(split('parts', 2, **small))
  few = [split(f'few{n}', n, histograms=30, **small) for n in (1, 4)]
  assert as_sets(few[0]) == as_sets(few[1])
  assert_whole(few[0])
  assert_conserved(few[0], records)


def test_files_may_have_few_of_many_parts(tmp_path):
  shards = in_shards(patients(30), 30)
  splits = run_split(tmp_path, shards, WEIGHTS, sizes=Sizes(group_records=4), **BY_PATIENT)
  assert_conserved(splits, [record for shard in shards for record in shard])
  assert_whole(splits)


def test_the_sidecar_tells_counts_and_what_groups_prevent(tmp_path):
  records = [example(label=0, patient='large', id=i) for i in range(90)]
  records += [example(label=1, patient=f'p{i}', id=i) for i in range(10)]
  splits = run_split(tmp_path, [records], {'train': 1, 'test': 1}, **BY_PATIENT)
  assert sorted(map(len, splits.values())) == [10, 90]
  sidecar = read_sidecar(tmp_path / 'out')
  assert sidecar['parameters']['group_by'] == ['patient']
  warned = '; '.join(sidecar['warnings'])
  assert 'records of class 0, ideally 45' in warned
  assert 'has 90 records, more than any split should have' in warned
  assert 'the group of record ' in warned


def test_several_hundred_groups_are_within_one_record_and_nothing_is_told(tmp_path):
  splits = run_split(tmp_path, [patients(400)], WEIGHTS, **BY_PATIENT)
  assert_whole(splits)
  assert read_sidecar(tmp_path / 'out')['warnings'] == []


@pytest.mark.parametrize('missing', ['own', 'drop'])
def test_records_without_a_group(tmp_path, missing):
  lone = [example(label=1, id=i) for i in range(20)] + [example(label=7, id=1)]
  grouped = patients(50)
  groups = {'group_by': 'patient', 'missing_group': missing}
  splits = run_split(tmp_path, in_shards(grouped + lone, 2), WEIGHTS, **groups)
  assert_conserved(splits, grouped + lone if missing == 'own' else grouped)
  sidecar = read_sidecar(tmp_path / 'out')
  verb = 'make groups of their own' if missing == 'own' else 'were dropped'
  assert f'21 records without a group {verb}' in sidecar['warnings']
  assert not any('without a class' in warning for warning in sidecar['warnings'])
  classes = [row['stratum'][0]['value'] for row in sidecar['strata']]
  assert classes == ([0, 1, 7] if missing == 'own' else [0, 1])


@pytest.mark.parametrize(
  ('groups', 'message'),
  [
    (BY_PATIENT, "feature 'patient' has no value in record 3 of .*missing_group='own'"),
    (
      {'group_by': 'patiant', 'missing_group': 'own'},
      "feature 'patiant' is in none of the 8 records; group_by=",
    ),
    (
      {'group_by': 'patiant', 'missing_group': 'drop'},
      "feature 'patiant' is in none of the 8 records; group_by=",
    ),
  ],
)
def test_groups_that_are_not_there(tmp_path, groups, message):
  records = [example(label=i % 2, patient='p') for i in range(8)]
  records[3] = example(label=1)
  with pytest.raises(DataError, match=message):
    run_split(tmp_path, [records], WEIGHTS, **groups)


@pytest.mark.parametrize('missing', ['own', 'drop', 'error'])
@pytest.mark.parametrize(
  'absent',
  [float('nan'), [1.0, float('nan')], None],
  ids=['nan', 'nan among several', 'none'],
)
def test_a_group_of_nan_is_a_missing_one(tmp_path, missing, absent):
  lone = [example(label=i % 2, patient=absent, id=i) for i in range(20)]
  records = [example(label=i % 2, patient=i // 4 + 0.5, id=100 + i) for i in range(80)]
  groups = {'group_by': 'patient', 'missing_group': missing}
  if missing == 'error':
    with pytest.raises(DataError, match=r'no value in record 80 of .*missing_group='):
      run_split(tmp_path, [records + lone], WEIGHTS, **groups)
    return
  splits = run_split(tmp_path, [lone, records], {'train': 1, 'eval': 1}, **groups)
  assert_conserved(splits, records + lone if missing == 'own' else records)
  assert all(len(set(lone) & set(found)) <= 12 for found in splits.values())
  warnings = read_sidecar(tmp_path / 'out')['warnings']
  assert any(text.startswith('20 records without a group') for text in warnings)


@pytest.mark.parametrize('arguments', [{**BY_PATIENT}, {'key': ('patient',)}])
def test_groups_and_keys_are_of_one_type_in_all_files(tmp_path, arguments):
  ints, texts = (
    [example(label=i % 2, patient=convert(i // 4 % 10), id=i) for i in range(200)]
    for convert in (int, str)
  )
  kinds = r"types \['bytes', 'int'\] \(bytes in .*in-1, int in .*in-0\)"
  with pytest.raises(DataError, match=f"feature 'patient' has values of {kinds}"):
    run_split(tmp_path, [ints, texts], WEIGHTS, **arguments)
  assert not (tmp_path / 'out').exists()


def test_several_features_make_a_group_and_the_fingerprint_is_of_records(tmp_path):
  records = [example(label=i % 2, site=i % 5, patient=i % 12, id=i) for i in range(240)]
  splits = run_split(tmp_path / 'a', [records], WEIGHTS, group_by=['site', 'patient'])
  pairs = [
    {(value_of(r, 'site'), value_of(r, 'patient')) for r in found} for found in splits.values()
  ]
  assert sum(map(len, pairs)) == 60
  run_split(tmp_path / 'b', [records], WEIGHTS)
  one, two = (read_sidecar(tmp_path / name / 'out')['input'] for name in 'ab')
  assert one == two


def test_labels_are_near_their_shares_where_groups_are_whole(tmp_path):
  rng = np.random.default_rng(0)
  chances = 0.8 / np.arange(1, 9)
  records = [
    example(id=i, patient=f'p{i // 3}', tags=np.flatnonzero(rng.random(8) < chances).tolist())
    for i in range(1500)
  ]
  tags = {'stratify_by': 'tags', 'multilabel': True, **BY_PATIENT}
  splits = run_split(tmp_path, in_shards(records, 3), WEIGHTS, **tags)
  assert_whole(splits)
  assert_conserved(splits, records)
  sidecar = read_sidecar(tmp_path / 'out')
  cells = [cell for row in sidecar['labels'] for cell in row['splits'].values()]
  cells += sidecar['splits'].values()
  assert len(cells) == 9 * 3
  assert max(abs(cell['records'] - cell['ideal']) for cell in cells) <= 1.5


def test_a_label_that_groups_keep_from_its_share_is_told(tmp_path):
  records = [example(id=i, patient='large', tags=[1, 2]) for i in range(50)]
  records += [example(id=i, patient=f'p{i}', tags=[1]) for i in range(50)]
  tags = {'stratify_by': 'tags', 'multilabel': True, **BY_PATIENT}
  run_split(tmp_path, [records], {'train': 1, 'test': 1}, **tags)
  (warning,) = read_sidecar(tmp_path / 'out')['warnings'][:1]
  assert 'records of label 2, ideally 25' in warning


def test_bins_are_near_their_shares_where_groups_are_whole(tmp_path):
  rng = np.random.default_rng(0)
  records = [
    example(price=float(np.float32(price)), patient=f'p{i // 3}')
    for i, price in enumerate(rng.lognormal(size=1500))
  ]
  found = [
    run_split(
      tmp_path / str(n),
      in_shards(records, n),
      WEIGHTS,
      stratify_by='price',
      bins=4,
      **BY_PATIENT,
    )
    for n in (1, 4)
  ]
  assert as_sets(found[0]) == as_sets(found[1])
  assert_whole(found[0])
  assert_conserved(found[0], records)
  rows = read_sidecar(tmp_path / '4' / 'out')['strata']
  assert [row['records'] for row in rows] == [375] * 4
  assert max(abs(c['records'] - c['ideal']) for row in rows for c in row['splits'].values()) <= 1.5


def test_predefined_splits_take_whole_groups_and_two_are_refused(tmp_path):
  predefined = [example(label=i % 2, patient=f't{i % 9}', set='test', id=i) for i in range(40)]
  mixed = [example(label=0, patient=f't{i}', set='none', id=i) for i in range(9)]
  others = patients(200, set='none')
  arguments = {
    'split_by': 'set',
    'split_values': {'test': 'test'},
    **BY_PATIENT,
  }
  records = predefined + mixed + others
  splits = run_split(tmp_path / 'one', in_shards(records, 3), WEIGHTS, **arguments)
  assert_whole(splits)
  assert_conserved(splits, records)
  assert {f't{i}'.encode() for i in range(9)} <= groups_of(splits)['test']
  arguments['split_values'] = {'test': 'test', 'none': 'train'}
  with pytest.raises(DataError, match='9 groups have records with different predefined splits'):
    run_split(tmp_path / 'two', [records], WEIGHTS, **arguments)
