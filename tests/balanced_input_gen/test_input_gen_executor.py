"""What BalancedInputGen makes of artifacts, one run of its executor each."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance import BalancedInputGen
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.sizes import Sizes

from tests.balanced_input_gen.helpers_input_gen import assert_laid_out, read_plan
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  example,
  in_shards,
  labelled,
  read_splits,
  sequence_example,
  value_of,
)
from tests.helpers_pipeline import in_new_folders, input_artifact

RECORDS = labelled({'b': 30, 'a': 11, 'c': 2})[::-1]
MORE = [example(label='cd'[i % 2], id=1000 + i) for i in range(9)]
OTHERS = {'eval': [[b'no example at all'], [b'', b'x' * 99]], 'serving': [[]]}


@pytest.fixture
def lay_out(tmp_path):
  """Returns a function that lays out artifacts, or split name to shards, into a new folder."""
  return in_new_folders(BalancedInputGen, tmp_path)


# Files so small that a few records fill them.
SMALL = Sizes(class_file_bytes=2000, shared_file_bytes=1000, gather_bytes=500)


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


def test_a_large_class_has_several_files_and_small_ones_share(lay_out):
  records = labelled({'big': 300, 'own': 20, 'x': 2, 'y': 7, 'z': 1})
  out = lay_out({'train': in_shards(records, 3)}, sizes=SMALL)
  plan = assert_laid_out(out.uri, {'train': records})
  classes_of_files = [[i for i, _ in file['segments']] for file in plan['files']]
  assert classes_of_files == [[0]] * (len(classes_of_files) - 2) + [[1], [2, 3, 4]]
  assert len(classes_of_files) > 5
  assert max(file['bytes'] for file in plan['files']) < 1.5 * 2000


def test_a_class_larger_than_a_file_is_dealt_over_several_and_shuffled(lay_out):
  sizes = replace(SMALL, class_file_bytes=50_000, gather_bytes=10_000)
  records = [example(label=0, id=i) for i in range(6000)]
  out = lay_out({'train': in_shards(records, 2)}, sizes=sizes)
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


def test_the_plan_is_text_that_people_can_read(lay_out):
  out = lay_out({'train': [RECORDS]})
  text = (Path(out.uri) / 'balanced_input.json').read_text()
  assert '    {"type": "bytes", "value": "a", "records": 11},\n' in text
  assert json.loads(text) == read_plan(out.uri)
  assert all_bytes(f'{out.uri}.hyperparameters') == {'best_hyperparameters.txt': text.encode()}
