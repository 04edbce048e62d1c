"""What the executor makes of artifacts: which splits, files, properties and counts come out."""

from collections import Counter
from pathlib import Path

import pytest
from tfx.types import artifact_utils
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.shuffle import output_layout
from tfx_balance.shuffle.ranges import GatherRanges

from tests.helpers_changes import stop_moves
from tests.helpers_checks import assert_conserved, assert_exact, assert_sidecar, read_sidecar
from tests.helpers_examples import (
  all_bytes,
  as_sets,
  cells,
  example,
  in_shards,
  labelled,
  read_splits,
  read_tfrecords,
  sequence_example,
  split_files,
  value_of,
)
from tests.helpers_pipeline import IN_MEMORY, in_new_folders, input_artifact

SPLITS = {'train': 8, 'eval': 1, 'test': 1}


@pytest.fixture
def split(tmp_path):
  """Returns a function that splits artifacts, or split name to shards, into a new folder."""
  return in_new_folders(StratifiedSplitter, tmp_path)


def names_of(artifact):
  return artifact_utils.decode_split_names(artifact.split_names)


@pytest.mark.parametrize('suffix', ['', '.gz'], ids=['plain', 'gzip'])
def test_shards_of_several_splits_become_one_exact_split(split, suffix):
  old = labelled({0: 157, 1: 31, 2: 8, 3: 1})
  new = [example(label=i % 5, id=1000 + i) for i in range(83)]
  out = split({'old': in_shards(old, 7), 'new': in_shards(new, 2)}, suffix=suffix)
  splits = read_splits(out.uri)
  assert_conserved(splits, old + new)
  assert_exact(splits, SPLITS)
  assert names_of(out) == ['train', 'eval', 'test']
  file = f'data_tfrecord-00000-of-00001{suffix}'  # few records, however many files came in
  assert sorted(all_bytes(out.uri)) == sorted(
    ['class_distribution.json', *(f'Split-{name}/{file}' for name in SPLITS)]
  )
  assert not [path for path in Path(out.uri).iterdir() if path.name.startswith('.')]
  sidecar = assert_sidecar(out.uri, SPLITS)
  assert (sidecar['component'], sidecar['passed_through']) == ('StratifiedSplitter', [])
  assert sidecar['input']['files'] == 9
  assert sidecar['parameters']['seed'] == 0
  assert [row['stratum'] for row in sidecar['strata']] == [
    [{'type': 'int', 'value': value}] for value in range(5)
  ]
  assert [row['name'] for row in sidecar['strata']] == list('01234')
  warnings = '\n'.join(sidecar['warnings'])
  assert 'class 3 has 17 records' not in warnings


def test_the_same_files_and_seed_give_the_same_bytes_and_the_same_set_the_same_splits(split):
  records = labelled({0: 300, 1: 40, 2: 3, **dict.fromkeys(range(10, 40), 1)})
  first = split({'all': in_shards(records, 3)}, seed=7, output_files={'train': 3})
  again = split({'all': in_shards(records, 3)}, seed=7, output_files={'train': 3})
  assert all_bytes(first.uri) == all_bytes(again.uri)
  mixed = records[1::2] + records[::-2]
  other = split({'b': in_shards(mixed[:90], 5), 'a': [mixed[90:]]}, seed=7, suffix='')
  assert as_sets(read_splits(other.uri)) == as_sets(read_splits(first.uri))
  assert read_sidecar(other.uri)['strata'] == read_sidecar(first.uri)['strata']
  fingerprints = {read_sidecar(out.uri)['input']['fingerprint'] for out in (first, other)}
  assert len(fingerprints) == 1

  seed = read_splits(split({'all': in_shards(records, 3)}, seed=8).uri)
  before = read_splits(first.uri)
  assert set(seed['test']) != set(before['test'])
  alone = [  # the classes of one record that are held out
    {value_of(r) for r in splits['test'] + splits['eval'] if value_of(r) >= 10}
    for splits in (before, seed)
  ]
  assert alone[0] != alone[1]
  assert all(len(found) in (5, 6, 7) for found in alone)  # a fifth of 30


def test_a_thousand_classes_some_of_one_record_are_exact(split):
  records = labelled({value: 1 if value % 2 else 1 + value % 13 for value in range(1000)})
  out = split({'all': in_shards(records, 4)}, splits={'train': 0.7, 'eval': 0.2, 'test': 0.1})
  splits = read_splits(out.uri)
  assert_conserved(splits, records)
  assert_exact(splits, {'train': 7, 'eval': 2, 'test': 1})
  sidecar = assert_sidecar(out.uri, {'train': 7, 'eval': 2, 'test': 1})
  assert len(sidecar['strata']) == 1000
  assert any('has 1 record, too few for every split' in text for text in sidecar['warnings'])


def test_splits_that_are_not_named_pass_through_as_they_are(split):
  records, other = labelled({0: 50, 1: 9}), [[b'no example at all'], [b'', b'x' * 99]]
  out = split(
    {'all': in_shards(records, 2), 'unlabelled': other, 'serving': [[]]},
    input_splits=['all'],
    splits={'train': 4, 'test': 1},
    name='out',
  )
  assert names_of(out) == ['train', 'test', 'serving', 'unlabelled']
  splits = read_splits(out.uri)
  assert_exact({name: splits[name] for name in ('train', 'test')}, {'train': 4, 'test': 1})
  for name in ('unlabelled', 'serving'):
    folder = Path(f'{out.uri}-in0') / f'Split-{name}'
    assert all_bytes(Path(out.uri) / f'Split-{name}') == all_bytes(folder)
  sidecar = assert_sidecar(out.uri, {'train': 4, 'test': 1})
  assert sidecar['passed_through'] == ['serving', 'unlabelled']
  assert sidecar['parameters']['input_splits'] == ['all']


def test_the_splits_that_are_named_may_keep_their_names(split):
  shards = {name: [labelled({0: 20, 1: 10})] for name in ('train', 'eval')}
  out = split(shards, input_splits=['train'], splits={'train': 9, 'test': 1})
  assert names_of(out) == ['train', 'test', 'eval']
  splits = read_splits(out.uri)
  assert {name: len(held) for name, held in splits.items()} == {'train': 27, 'test': 3, 'eval': 30}


@pytest.mark.parametrize('newest_first', [False, True])
def test_several_artifacts_are_merged_and_the_newest_gives_its_properties(
  split, tmp_path, newest_first
):
  old, new = labelled({0: 40, 1: 11}), [example(label=i % 3, id=900 + i) for i in range(29)]
  artifacts = [
    input_artifact(
      tmp_path / f'span{span}',
      {'train': in_shards(records, 2), 'extra': [[b'extra %d' % span]], f's{span}': [[b'only']]},
      span=span,
      version=version,
      custom={'payload_format': 'FORMAT_TF_EXAMPLE', 'file_format': 'tfrecords_gzip'},
    )
    for span, version, records in ((9, 4, old), (10, 2, new))
  ]
  artifacts = artifacts[::-1] if newest_first else artifacts
  out = split(*artifacts, input_splits='train', splits={'a': 3, 'b': 1})
  splits = read_splits(out.uri)
  assert_exact({name: splits[name] for name in 'ab'}, {'a': 3, 'b': 1})
  assert_conserved({name: splits[name] for name in 'ab'}, old + new)
  assert (out.span, out.version) == (10, 2)
  assert out.get_string_custom_property('file_format') == 'tfrecords_gzip'
  assert names_of(out) == ['a', 'b', 'extra', 's10', 's9']
  assert [path.name for path in split_files(out.uri, 'extra')] == [
    'data_tfrecord-00000-of-00002.gz',
    'data_tfrecord-00001-of-00002.gz',
  ]
  assert splits['extra'] == [b'extra 9', b'extra 10']


def test_the_order_of_the_artifacts_does_not_matter(split, tmp_path):
  records = labelled({0: 60, 1: 13})
  artifacts = [
    input_artifact(tmp_path / f'part{i}', {'all': [part]}, span=i)
    for i, part in enumerate(in_shards(records, 3))
  ]
  one, two = split(*artifacts), split(*artifacts[::-1])
  assert all_bytes(one.uri) == all_bytes(two.uri)


def test_artifacts_of_two_payloads_are_not_merged(split, tmp_path):
  artifacts = [
    input_artifact(tmp_path / name, {'all': [labelled({0: 3})]}, custom={'payload_format': name})
    for name in ('FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE')
  ]
  fault = r"payload formats \['FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE'\]; merge only"
  with pytest.raises(DataError, match=fault):
    split(*artifacts)


def test_no_artifact_is_an_error():
  with pytest.raises(ConfigError, match='examples= holds no artifact; connect an Examples output'):
    ExamplesInput.of([])


WITHOUT = [example(id=10_000 + i) for i in range(10)]


def test_records_without_a_label_can_be_a_stratum(split):
  records = labelled({0: 30, 1: 20})
  out = split({'all': [records + WITHOUT[:4], WITHOUT[4:]]}, missing_label='own_stratum')
  splits = read_splits(out.uri)
  assert_conserved(splits, records + WITHOUT)
  assert_exact(splits, SPLITS)
  assert {name: cells(splits)[None, name] for name in SPLITS} == {'train': 8, 'eval': 1, 'test': 1}
  sidecar = assert_sidecar(out.uri, SPLITS)
  assert sidecar['strata'][-1]['stratum'] == [{'type': 'missing', 'value': None}]
  assert sidecar['strata'][-1]['name'] == '(missing)'


def test_records_without_a_label_can_be_dropped_and_are_counted(split):
  records = labelled({0: 30, 1: 20})
  out = split({'all': [records + WITHOUT[:4], WITHOUT[4:]]}, missing_label='drop')
  splits = read_splits(out.uri)
  assert_conserved(splits, records)
  assert_exact(splits, SPLITS)
  sidecar = assert_sidecar(out.uri, SPLITS)
  assert (sidecar['input']['records'], sidecar['input']['dropped']) == (60, 10)
  assert '10 records without a class were dropped' in sidecar['warnings']


def test_several_features_make_joint_strata(split):
  records = [example(label=i * i % 7 % 3, site=f's{i % 4}', id=i) for i in range(200)]
  out = split({'all': in_shards(records, 3)}, stratify_by=['label', 'site'], seed=3)
  splits = read_splits(out.uri)
  assert_conserved(splits, records)
  assert_exact(splits, SPLITS)
  sidecar = assert_sidecar(out.uri, SPLITS, ['label', 'site'])
  for row in sidecar['strata']:
    for name in SPLITS:
      assert abs(row['splits'][name]['records'] - row['splits'][name]['ideal']) < 1
  assert sidecar['strata'][0]['name'] == '0 / s0'
  assert sidecar['parameters']['stratify_by'] == ['label', 'site']


def test_a_record_stays_in_its_split_by_its_key_when_others_of_its_features_change(split):
  def records(score):
    return [example(label=i % 3, id=i, score=score + i) for i in range(90)]

  first, second = (
    read_splits(split({'all': in_shards(records(score), 2)}, key='id').uri) for score in (0, 1000)
  )
  for name, found in first.items():
    assert {value_of(r, 'id') for r in found} == {value_of(r, 'id') for r in second[name]}


def test_a_bad_record_has_no_key(split):
  records = [example(label=i % 3, id=i) for i in range(40)]
  out = split({'all': [[*records, b'no example']]}, key='id', bad_records='skip')
  assert_conserved(read_splits(out.uri), records)


def test_folds_are_splits_of_one_artifact(split):
  records = labelled({0: 120, 1: 30})
  out = split({'all': in_shards(records, 3)}, folds=3, splits={'train': 4, 'test': 1})
  splits = read_splits(out.uri)
  assert names_of(out) == ['fold-0', 'fold-1', 'fold-2', 'test']
  assert_conserved(splits, records)
  expected = {key: {0: 32, 1: 8} for key in ['fold-0', 'fold-1', 'fold-2']} | {
    'test': {0: 24, 1: 6}
  }
  assert {
    name: Counter(value_of(record) for record in found) for name, found in splits.items()
  } == expected
  assert read_sidecar(out.uri)['parameters']['folds'] == 3


@pytest.mark.parametrize('missing', ['error', 'drop', 'own_stratum'])
def test_a_feature_tells_the_split_and_records_without_it_are_stratified(split, missing):
  told = [example(label=i % 3, set=b'test', id=i) for i in range(30)]
  rest = [example(label=i % 2, id=100 + i) for i in range(40)]
  out = split(
    {'all': in_shards(told + rest, 3)},
    splits={'train': 3, 'eval': 1},
    split_by='set',
    split_values={'test': 'test'},
    missing_label=missing,
  )
  splits = read_splits(out.uri)
  assert_conserved(splits, told + rest)
  assert sorted(splits['test']) == sorted(told)
  assert Counter(value_of(record, 'label') for record in splits['eval']) == {0: 5, 1: 5}
  sidecar = read_sidecar(out.uri)
  assert sidecar['parameters']['stratify_by'] == ['label', 'set']
  assert sidecar['splits']['test']['ideal'] == 30
  assert sidecar['warnings'] == [
    "40 records have no split by 'set' (values: (missing)) and were stratified"
  ]


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    pytest.param(
      {'counts': {'test': 33, 'eval': 7}, 'rest': 'train'},
      {'train': 160, 'eval': 7, 'test': 33},
      id='counts and rest',
    ),
    pytest.param(
      {'counts': {'test': 20}, 'splits': {'train': 3, 'eval': 1}},
      {'train': 135, 'eval': 45, 'test': 20},
      id='counts and weights',
    ),
    pytest.param(
      {'counts': {'a': 150, 'b': 50}, 'splits': {}}, {'a': 150, 'b': 50}, id='counts of all'
    ),
  ],
)
def test_counts_are_met_and_stratified(split, arguments, expected):
  records = labelled({0: 150, 1: 40, 2: 10})
  out = split({'all': in_shards(records, 2)}, **arguments)
  splits = read_splits(out.uri)
  assert {name: len(held) for name, held in splits.items()} == expected
  assert_conserved(splits, records)
  assert_exact(splits, expected)
  assert sorted(names_of(out)) == sorted(expected)
  assert read_sidecar(out.uri)['parameters']['counts'] == arguments['counts']


def test_a_split_is_written_in_as_many_files_as_asked_for(split):
  records = labelled({0: 400, 1: 50})
  out = split({'all': [records]}, output_files={'train': 4, 'eval': 2})
  sizes = {
    name: [len(read_tfrecords(path)) for path in split_files(out.uri, name)] for name in SPLITS
  }
  assert [len(sizes[name]) for name in SPLITS] == [4, 2, 1]
  assert min(sizes['train']) > 50  # of 90
  assert [path.name for path in split_files(out.uri, 'eval')] == [
    'data_tfrecord-00000-of-00002.gz',
    'data_tfrecord-00001-of-00002.gz',
  ]
  assert_conserved(read_splits(out.uri), records)
  assert_sidecar(out.uri, SPLITS)


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    pytest.param(
      [b'cat', 'Größe', b'\xff\xfe', b''],
      [
        {'type': 'bytes', 'value': ''},
        {'type': 'bytes', 'value': 'Größe'},
        {'type': 'bytes', 'value': 'cat'},
        {'type': 'bytes', 'value': '//4=', 'encoding': 'base64'},
      ],
      id='bytes',
    ),
    pytest.param(
      [2.0, -1.0, 10.0],
      [{'type': 'float', 'value': value} for value in (-1.0, 2.0, 10.0)],
      id='integral floats',
    ),
    pytest.param(
      [2**63 - 1, -5, 10, 9],
      [{'type': 'int', 'value': value} for value in (-5, 9, 10, 2**63 - 1)],
      id='int64',
    ),
  ],
)
def test_classes_of_every_type_are_split_and_told_with_their_type(split, values, expected):
  records = labelled({value: 7 * i + 1 for i, value in enumerate(values)}, label='kind')
  out = split({'all': in_shards(records, 2)}, stratify_by='kind')
  splits = read_splits(out.uri)
  assert_conserved(splits, records)
  assert_exact(splits, SPLITS, 'kind')
  sidecar = assert_sidecar(out.uri, SPLITS, ['kind'])
  told = [row['stratum'] for row in sidecar['strata']]
  key = {str(value): i for i, value in enumerate(expected)}
  assert sorted(told, key=lambda row: key[str(row[0])]) == [[value] for value in expected]
  if expected[0]['type'] != 'bytes':
    assert told == [[value] for value in expected]  # numbers in the order of their values


def test_sequence_examples_are_split_by_their_context(split, tmp_path):
  records = [sequence_example(steps=i % 4, label=f'c{i % 3}', id=i) for i in range(60)]
  artifact = input_artifact(
    tmp_path / 'in',
    {'all': in_shards(records, 2)},
    custom={'payload_format': 'FORMAT_TF_SEQUENCE_EXAMPLE'},
  )
  out = split(artifact)
  splits = read_splits(out.uri)
  assert_conserved(splits, records)
  assert Counter(row['records'] for row in read_sidecar(out.uri)['strata']) == {20: 3}
  assert {name: len(held) for name, held in splits.items()} == {'train': 48, 'eval': 6, 'test': 6}
  assert out.get_string_custom_property('payload_format') == 'FORMAT_TF_SEQUENCE_EXAMPLE'


def test_every_bundle_may_run_twice(split, monkeypatch):
  # Beam runs every bundle once more and throws the first result away, as where a worker is lost.
  records = labelled({0: 80, 1: 20})
  shards = {'all': in_shards(records, 3), 'more': [[b'as it is']]}
  expected = split(shards, input_splits='all', output_files=2)
  monkeypatch.setattr(
    'tests.helpers_pipeline.IN_MEMORY', (*IN_MEMORY, '--direct_runner_bundle_repeat=1')
  )
  gathered = []
  gather = GatherRanges.process

  def counted(step, element):
    gathered.append(element[0])
    yield from gather(step, element)

  monkeypatch.setattr(GatherRanges, 'process', counted)
  out = split(shards, input_splits='all', output_files=2)
  assert len(gathered) == 2 * len(set(gathered)) == 2  # both files of a split, twice
  assert all_bytes(out.uri) == all_bytes(expected.uri)
  assert not [path for path in Path(out.uri).iterdir() if path.name.startswith('.')]


@pytest.mark.parametrize('moved', [0, 2])
def test_a_worker_that_dies_leaves_no_half_file(split, tmp_path, monkeypatch, moved):
  stop_moves(monkeypatch, moved)
  records = labelled({0: 50, 1: 30})
  with pytest.raises(Exception, match='the worker was killed'):
    split({'all': [records]}, name='out')
  left = all_bytes(tmp_path / 'out')
  assert len(left) == moved
  assert not (tmp_path / 'out' / 'class_distribution.json').exists()
  monkeypatch.undo()
  out = split({'all': [records]}, name='out')  # a second attempt in that folder is right
  assert left.items() <= all_bytes(out.uri).items()  # and what the first one left was whole
  assert_conserved(read_splits(out.uri), records)
  assert_exact(read_splits(out.uri), SPLITS)


def test_a_class_sorted_input_comes_out_mixed(split, monkeypatch):
  monkeypatch.setattr(output_layout, 'GATHER_BYTES', 4000)
  monkeypatch.setattr('tfx_balance.scan.scan.BLOCK_BYTES', 4000)
  out = split({'all': [labelled({0: 2000, 1: 2000})]}, splits={'train': 1})
  order = [value_of(record) for record in read_splits(out.uri)['train']]
  for part in in_shards(order, 10):
    assert 130 < sum(part) < 270  # 200 of 400, within seven standard deviations
