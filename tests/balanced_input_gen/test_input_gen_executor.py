"""What BalancedInputGen makes of artifacts, one run of its executor each."""

from pathlib import Path

import pytest
from tfx.types import artifact_utils
from tfx_balance import BalancedInputGen
from tfx_balance.plan import input_plan
from tfx_balance.transforms import shuffle

from tests.balanced_input_gen.helpers_input_gen import assert_laid_out, runs
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  example,
  in_shards,
  labelled,
  read_splits,
  split_files,
)
from tests.helpers_pipeline import execute, input_artifact

RECORDS = labelled({'b': 30, 'a': 11, 'c': 2})[::-1]
MORE = [example(label='cd'[i % 2], id=1000 + i) for i in range(9)]
OTHERS = {'eval': [[b'no example at all'], [b'', b'x' * 99]], 'serving': [[]]}


@pytest.fixture
def lay_out(tmp_path):
  """Returns a function that lays out artifacts, or split name to shards, into a new folder."""
  made = []

  def run(*inputs, suffix='.gz', name=None, **arguments):
    made.append(name or f'out{len(made)}')
    artifacts = [
      input_artifact(tmp_path / f'{made[-1]}-in{i}', each, suffix)
      if isinstance(each, dict)
      else each
      for i, each in enumerate(inputs)
    ]
    return execute(BalancedInputGen, artifacts, tmp_path / made[-1], **arguments)

  return run


def small_files(monkeypatch, most=2000, shared=1000):
  """Makes files so small that a few records fill them."""
  monkeypatch.setattr(input_plan, 'MAX_FILE_BYTES', most)
  monkeypatch.setattr(input_plan, 'SHARED_FILE_BYTES', shared)


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
  monkeypatch.setattr(shuffle, 'BUCKET_BYTES', 500)
  records = labelled({'big': 300, 'own': 20, 'x': 2, 'y': 7, 'z': 1})
  out = lay_out({'train': in_shards(records, 3)})
  plan = assert_laid_out(out.uri, {'train': records})
  held = [[i for i, _ in file['segments']] for file in plan['files']]
  assert held == [[0]] * (len(held) - 2) + [[1], [2, 3, 4]]
  assert len(held) > 5
  sizes = [sum(map(len, r)) for r in ([v] for v in ())]
  assert max(file['bytes'] for file in plan['files']) < 1.5 * 2000, sizes
