"""What the executor makes of artifacts: which splits, files, properties and counts come out."""

from collections import Counter
from pathlib import Path

import pytest
from tfx.types import artifact_utils
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import ConfigError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.sizes import Sizes

from tests.helpers_checks import assert_conserved, assert_exact, assert_sidecar, read_sidecar
from tests.helpers_examples import (
  all_bytes,
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
from tests.helpers_pipeline import in_new_folders, input_artifact

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


def test_a_thousand_classes_some_of_one_record_are_exact(split):
  records = labelled({value: 1 if value % 2 else 1 + value % 13 for value in range(1000)})
  out = split({'all': in_shards(records, 4)}, splits={'train': 0.7, 'eval': 0.2, 'test': 0.1})
  splits = read_splits(out.uri)
  assert_conserved(splits, records)
  assert_exact(splits, {'train': 7, 'eval': 2, 'test': 1})
  sidecar = assert_sidecar(out.uri, {'train': 7, 'eval': 2, 'test': 1})
  assert len(sidecar['strata']) == 1000
  assert any('has 1 record, too few for every split' in text for text in sidecar['warnings'])


def test_the_splits_that_are_named_may_keep_their_names(split):
  shards = {name: [labelled({0: 20, 1: 10})] for name in ('train', 'eval')}
  out = split(shards, input_splits=['train'], splits={'train': 9, 'test': 1})
  assert names_of(out) == ['train', 'test', 'eval']
  splits = read_splits(out.uri)
  assert {name: len(held) for name, held in splits.items()} == {'train': 27, 'test': 3, 'eval': 30}


def test_no_artifact_is_an_error():
  with pytest.raises(ConfigError, match='examples= holds no artifact; connect an Examples output'):
    ExamplesInput.of([])


WITHOUT = [example(id=10_000 + i) for i in range(10)]


@pytest.mark.parametrize('word', ['own', 'own_stratum'])  # the second is the earlier one
def test_records_without_a_label_can_be_a_stratum(split, word):
  records = labelled({0: 30, 1: 20})
  out = split({'all': [records + WITHOUT[:4], WITHOUT[4:]]}, missing_label=word)
  splits = read_splits(out.uri)
  assert_conserved(splits, records + WITHOUT)
  assert_exact(splits, SPLITS)
  assert {name: cells(splits)[None, name] for name in SPLITS} == {'train': 8, 'eval': 1, 'test': 1}
  sidecar = assert_sidecar(out.uri, SPLITS)
  assert sidecar['strata'][-1]['stratum'] == [{'type': 'missing', 'value': None}]
  assert sidecar['strata'][-1]['name'] == '(missing)'
  assert sidecar['parameters']['missing_label'] == 'own_stratum'


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


@pytest.mark.parametrize('missing', ['error', 'drop', 'own'])
def test_a_feature_tells_the_split_and_records_without_it_are_stratified(split, missing):
  predefined = [example(label=i % 3, set=b'test', id=i) for i in range(30)]
  rest = [example(label=i % 2, id=100 + i) for i in range(40)]
  out = split(
    {'all': in_shards(predefined + rest, 3)},
    splits={'train': 3, 'eval': 1},
    split_by='set',
    split_values={'test': 'test'},
    missing_label=missing,
  )
  splits = read_splits(out.uri)
  assert_conserved(splits, predefined + rest)
  assert sorted(splits['test']) == sorted(predefined)
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
  listed = [row['stratum'] for row in sidecar['strata']]
  key = {str(value): i for i, value in enumerate(expected)}
  assert sorted(listed, key=lambda row: key[str(row[0])]) == [[value] for value in expected]
  if expected[0]['type'] != 'bytes':
    assert listed == [[value] for value in expected]  # numbers in the order of their values


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


def test_a_class_sorted_input_comes_out_mixed(split):
  sizes = Sizes(gather_bytes=4000, block_bytes=4000)
  out = split({'all': [labelled({0: 2000, 1: 2000})]}, splits={'train': 1}, sizes=sizes)
  order = [value_of(record) for record in read_splits(out.uri)['train']]
  for part in in_shards(order, 10):
    assert 130 < sum(part) < 270  # 200 of 400, within seven standard deviations
