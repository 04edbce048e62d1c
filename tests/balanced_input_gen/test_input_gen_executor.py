"""What BalancedInputGen makes of artifacts, one run of its executor each."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils
from tfx_balance import BalancedInputGen
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.plan import class_files
from tfx_balance.shuffle import output_layout
from tfx_balance.shuffle.ranges import GatherRanges

from tests.balanced_input_gen.helpers_input_gen import assert_laid_out, read_plan, runs
from tests.helpers_changes import stop_moves
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  example,
  examples_artifact,
  in_shards,
  labelled,
  read_splits,
  sequence_example,
  split_files,
  value_of,
  write_splits,
  write_tfrecords,
)
from tests.helpers_pipeline import IN_MEMORY, in_new_folders, input_artifact

RECORDS = labelled({'b': 30, 'a': 11, 'c': 2})[::-1]
MORE = [example(label='cd'[i % 2], id=1000 + i) for i in range(9)]
OTHERS = {'eval': [[b'no example at all'], [b'', b'x' * 99]], 'serving': [[]]}


@pytest.fixture
def lay_out(tmp_path):
  """Returns a function that lays out artifacts, or split name to shards, into a new folder."""
  return in_new_folders(BalancedInputGen, tmp_path)


def small_files(monkeypatch, most=2000, shared=1000):
  """Makes files so small that a few records fill them."""
  monkeypatch.setattr(class_files, 'MAX_FILE_BYTES', most)
  monkeypatch.setattr(class_files, 'SHARED_FILE_BYTES', shared)


def everything(out):
  """Returns the bytes of all the files of both artifacts."""
  return all_bytes(out.uri), all_bytes(f'{out.uri}.hyperparameters')


@pytest.mark.parametrize('suffix', ['', '.gz'], ids=['plain', 'gzip'])
def test_records_are_laid_out_by_class_and_other_splits_pass_through(lay_out, tmp_path, suffix):
  out = lay_out({'train': in_shards(RECORDS, 3), **OTHERS}, suffix=suffix, name='out')
  assert artifact_utils.decode_split_names(out.split_names) == ['train', 'eval', 'serving']
  assert_laid_out(out.uri, {'train': RECORDS})
  assert runs(read_splits(out.uri)['train']) == [b'a', b'b', b'c']
  for name in OTHERS:
    before = all_bytes(tmp_path / 'out-in0' / f'Split-{name}')
    assert all_bytes(Path(out.uri) / f'Split-{name}') == before
  assert [p.name for p in split_files(out.uri, 'train')] == [
    f'data_tfrecord-00000-of-00001{suffix}'
  ]
  assert sorted(path.name for path in Path(out.uri).iterdir()) == [
    'Split-eval',
    'Split-serving',
    'Split-train',
    'balanced_input.json',
    'class_distribution.json',
  ]
  assert read_sidecar(out.uri)['passed_through'] == ['eval', 'serving']
  assert read_sidecar(out.uri)['warnings'] == []
  plan = all_bytes(out.uri)['balanced_input.json']
  assert everything(out)[1] == {'best_hyperparameters.txt': plan}


def test_several_splits_are_merged_and_their_counts_kept(lay_out):
  splits = {'train': in_shards(RECORDS, 2), 'train_augmented': [MORE], 'eval': [[b'?']]}
  out = lay_out(splits, train_splits=('train', 'train_augmented'), seed=7)
  plan = assert_laid_out(out.uri, {'train': RECORDS, 'train_augmented': MORE})
  assert plan['natural'] == {'train': [11, 30, 2, 0], 'train_augmented': [0, 0, 5, 4]}
  assert plan['seed'] == 7
  assert sorted(read_splits(out.uri)) == ['eval', 'train']


def test_a_split_by_another_name_becomes_train(lay_out):
  out = lay_out({'practice': [RECORDS]}, train_splits='practice')
  assert_laid_out(out.uri, {'practice': RECORDS})


def test_a_split_without_records_merges_as_nothing(lay_out):
  out = lay_out({'train': [RECORDS], 'more': [[]]}, train_splits=['train', 'more'])
  assert_laid_out(out.uri, {'train': RECORDS, 'more': []})


def test_a_large_class_has_several_files_and_small_ones_share(lay_out, monkeypatch):
  small_files(monkeypatch)
  monkeypatch.setattr(output_layout, 'GATHER_BYTES', 500)
  records = labelled({'big': 300, 'own': 20, 'x': 2, 'y': 7, 'z': 1})
  out = lay_out({'train': in_shards(records, 3)})
  plan = assert_laid_out(out.uri, {'train': records})
  held = [[i for i, _ in file['segments']] for file in plan['files']]
  assert held == [[0]] * (len(held) - 2) + [[1], [2, 3, 4]]
  assert len(held) > 5
  assert max(file['bytes'] for file in plan['files']) < 1.5 * 2000


def test_a_class_larger_than_a_file_is_dealt_over_several_and_shuffled(lay_out, monkeypatch):
  small_files(monkeypatch, most=50_000)
  monkeypatch.setattr(output_layout, 'GATHER_BYTES', 10_000)
  records = [example(label=0, id=i) for i in range(6000)]
  out = lay_out({'train': in_shards(records, 2)})
  plan = assert_laid_out(out.uri, {'train': records})
  assert len(plan['files']) == -(-sum(len(record) + 16 for record in records) // 50_000) == 6
  ids = [value_of(record, 'id') for record in read_splits(out.uri)['train']]
  assert abs(np.corrcoef(ids, np.arange(6000))[0, 1]) < 5 / np.sqrt(6000)
  steps = np.abs(np.diff(ids))  # of two random ones, a third of all apart on average
  assert abs(steps.mean() / 6000 - 1 / 3) < 5 * np.sqrt(1 / 18 / 6000)


def test_ten_thousand_classes_share_few_files_and_are_read_in_exact_batches(lay_out):
  n_classes = 10_000
  counts = {i: 1 + (i * 7919) % 3 for i in range(n_classes)}
  records = labelled(counts)
  out = lay_out({'train': in_shards(records[::-1], 3)})
  plan = assert_laid_out(out.uri, {'train': records})
  assert len(plan['files']) == 1
  spec = {name: tf.io.FixedLenFeature([], tf.int64) for name in ('label', 'id')}
  batches = BalancedInputs.load(out.uri, spec).train(n_classes // 4)
  drawn = Counter(n for _, label in batches.take(8) for n in label.numpy().tolist())
  assert drawn == dict.fromkeys(range(n_classes), 2)


def test_the_same_files_and_seed_give_the_same_bytes_and_another_seed_others(lay_out):
  shards = {'train': in_shards(RECORDS, 3), **OTHERS}
  first, again, other = (lay_out(shards, seed=seed) for seed in (7, 7, 8))
  assert everything(first) == everything(again)
  one, two = (read_splits(out.uri)['train'] for out in (first, other))
  assert one != two
  assert Counter(one) == Counter(two)
  assert runs(one) == runs(two)


def test_every_bundle_may_run_twice(lay_out, monkeypatch):
  # Beam runs every bundle once more and throws the first result away, as where a worker is lost.
  small_files(monkeypatch)
  shards = {'train': in_shards(RECORDS, 3), 'more': [MORE], **OTHERS}
  expected = lay_out(shards, train_splits=['train', 'more'])
  monkeypatch.setattr(
    'tests.helpers_pipeline.IN_MEMORY', (*IN_MEMORY, '--direct_runner_bundle_repeat=1')
  )
  gathered, gather = [], GatherRanges.process
  monkeypatch.setattr(
    GatherRanges, 'process', lambda *args: gathered.append(args[1][0]) or gather(*args)
  )
  out = lay_out(shards, train_splits=['train', 'more'])
  assert len(gathered) == 2 * len(set(gathered))  # each was gathered twice
  assert everything(out) == everything(expected)
  assert not [path for path in Path(out.uri).iterdir() if path.name.startswith('.')]


@pytest.mark.parametrize('moved', [0, 1])
def test_a_worker_that_dies_leaves_no_half_file(lay_out, tmp_path, monkeypatch, moved):
  stop_moves(monkeypatch, moved)
  with pytest.raises(Exception, match='the worker was killed'):
    lay_out({'train': [RECORDS], **OTHERS}, name='out')
  left = all_bytes(tmp_path / 'out')
  assert len(left) == moved
  assert all_bytes(tmp_path / 'out.hyperparameters') == {}
  monkeypatch.undo()
  out = lay_out({'train': [RECORDS], **OTHERS}, name='out')
  assert left.items() <= all_bytes(out.uri).items()  # what the first one left was whole
  assert_laid_out(out.uri, {'train': RECORDS})


def test_records_without_a_class_are_dropped_or_a_class(lay_out):
  bare = [example(id=900 + i) for i in range(4)]
  shards = {'train': in_shards([*RECORDS, *bare], 2), 'more': [[example(id=999), *MORE]]}
  splits = ['train', 'more']
  out = lay_out(shards, train_splits=splits, missing_label='drop')
  assert_laid_out(out.uri, {'train': RECORDS, 'more': MORE})
  assert read_sidecar(out.uri)['warnings'] == ['5 records without a class were dropped']
  assert read_sidecar(out.uri)['input']['train']['dropped'] == 4
  out = lay_out(shards, train_splits=splits, missing_label='own_stratum')
  plan = assert_laid_out(out.uri, {'train': [*RECORDS, *bare], 'more': [example(id=999), *MORE]})
  assert plan['classes'][-1] == {'type': 'missing', 'value': None, 'records': 5}


def context_value(record, name):
  return tf.train.SequenceExample.FromString(record).context.feature[name].bytes_list.value[0]


def test_sequence_examples_are_laid_out(lay_out, tmp_path):
  records = [sequence_example(steps=1 + i % 3, label='aab'[i % 3], id=i) for i in range(9)]
  artifact = input_artifact(
    tmp_path / 'in', {'train': [records]}, custom={'payload_format': 'FORMAT_TF_SEQUENCE_EXAMPLE'}
  )
  out = lay_out(artifact)
  assert_laid_out(out.uri, {'train': records}, value=context_value)
  assert out.get_string_custom_property('payload_format') == 'FORMAT_TF_SEQUENCE_EXAMPLE'
  assert read_plan(out.uri)['payload_format'] == 'FORMAT_TF_SEQUENCE_EXAMPLE'


@pytest.mark.parametrize('newest_first', [False, True])
def test_several_artifacts_are_merged_and_the_newest_gives_its_properties(
  lay_out, tmp_path, newest_first
):
  parts = in_shards(RECORDS, 2)
  artifacts = [
    input_artifact(
      tmp_path / f'span{span}',
      {'train': in_shards(part, 2), 'extra': [[b'extra %d' % span]]},
      span=span,
      version=9 - span,
      custom={'span': str(span), 'payload_format': 'FORMAT_TF_EXAMPLE', 'name': 'dropped'},
    )
    for span, part in zip((2, 10), parts, strict=True)
  ]
  out = lay_out(*(artifacts[::-1] if newest_first else artifacts))
  assert_laid_out(out.uri, {'train': RECORDS})
  assert sorted(read_splits(out.uri)['extra']) == [b'extra 10', b'extra 2']
  assert (out.span, out.version) == (10, -1)
  assert out.get_string_custom_property('span') == '10'
  assert not out.has_custom_property('name')


def test_the_order_of_the_arguments_files_does_not_change_what_is_where(lay_out):
  # Which class is in which file follows from the records alone.
  one = lay_out({'train': in_shards(RECORDS, 3)})
  two = lay_out({'train': in_shards(RECORDS[::-1], 5)})
  assert read_plan(one.uri) == read_plan(two.uri)
  assert Counter(read_splits(one.uri)['train']) == Counter(read_splits(two.uri)['train'])


ASKED = {
  'unknown split': (
    {'train_splits': ['train', 'trian']},
    ConfigError,
    r"split 'trian' is not in \['eval', 'serving', 'train'\]; pass one of these in train_splits=",
  ),
  'train is in the way': (
    {'train_splits': 'serving'},
    ConfigError,
    r"split 'train' of the input passes through, and is what train_splits=\['serving'\] are "
    r'merged into; name it in train_splits= too',
  ),
  'no such label': ({'label': 'lable'}, DataError, "'lable' is in none .*label= takes one of: id,"),
}


@pytest.mark.parametrize(('arguments', 'kind', 'fault'), ASKED.values(), ids=ASKED)
def test_what_does_not_fit_the_data_is_refused(lay_out, tmp_path, arguments, kind, fault):
  with pytest.raises(kind, match=fault):
    lay_out({'train': [RECORDS], **OTHERS}, name='out', **arguments)
  assert all_bytes(tmp_path / 'out') == all_bytes(tmp_path / 'out.hyperparameters') == {}


RECORD_FAULTS = {
  'one-hot': (example(label=[0, 1, 0]), 'has 3 values in record 0 of .*one-hot .*argmax'),
  'fraction': (example(label=0.5), 'has the value 0.5 .*a float is a class when it is integral'),
  'missing': (example(id=1), r"no value in 1 of 44 .*missing_label='own_stratum' or 'drop'"),
  'type': (example(label=3), "feature 'label' has values of types .*; give it one type"),
  'no example': (b'\x99' * 9, 'holds records that are no FORMAT_TF_EXAMPLE'),
}


@pytest.mark.parametrize(('record', 'fault'), RECORD_FAULTS.values(), ids=RECORD_FAULTS)
def test_a_record_that_has_no_class_is_refused(lay_out, tmp_path, record, fault):
  with pytest.raises(DataError, match=fault):
    lay_out({'train': [RECORDS, [record]], **OTHERS}, name='out')
  assert all_bytes(tmp_path / 'out') == all_bytes(tmp_path / 'out.hyperparameters') == {}


def test_no_records_at_all_are_refused(lay_out, tmp_path):
  with pytest.raises(DataError, match='the input holds no records; give at least one'):
    lay_out({'train': [[]], **OTHERS}, name='out')
  with pytest.raises(DataError, match=r"splits \['train'\] of the input hold no files"):
    lay_out(examples_artifact(write_splits(tmp_path / 'in', OTHERS), ['train', *OTHERS]))
  assert all_bytes(tmp_path / 'out') == all_bytes(tmp_path / 'out.hyperparameters') == {}


def test_mixed_and_broken_files_are_refused(lay_out, tmp_path):
  artifact = input_artifact(tmp_path / 'in', {'train': [RECORDS, RECORDS], **OTHERS})
  plain = write_tfrecords(tmp_path / 'in' / 'Split-train' / 'data_tfrecord-00002-of-00003', RECORDS)
  with pytest.raises(DataError, match=r'has both \.gz files and plain ones'):
    lay_out(artifact, name='out')
  Path(plain).unlink()
  path = split_files(tmp_path / 'in', 'train')[1]
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(DataError, match=r'00001-of-00002\.gz is not a whole gzip file'):
    lay_out(artifact, name='out')
  assert all_bytes(tmp_path / 'out') == all_bytes(tmp_path / 'out.hyperparameters') == {}


def test_the_plan_is_text_that_people_can_read(lay_out):
  out = lay_out({'train': [RECORDS]})
  text = (Path(out.uri) / 'balanced_input.json').read_text()
  assert '    {"type": "bytes", "value": "a", "records": 11},\n' in text
  assert json.loads(text) == read_plan(out.uri)
