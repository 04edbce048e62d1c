"""extend=: an earlier output's records stay where they are, and new ones restore the shares."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import StratifiedSplitter
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.scan.scan import InputFile
from tfx_balance.scan.spill import SpillWriter
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_checks import assert_conserved, assert_exact, assert_sidecar, read_sidecar
from tests.helpers_examples import (
  as_sets,
  example,
  examples_artifact,
  in_shards,
  labelled,
  read_splits,
  write_tfrecords,
)
from tests.helpers_pipeline import execute, importer, input_artifact, run_pipeline
from tests.helpers_split import input_files, run_split, split_context
from tests.list_runner import write_on_lists

SPLITS = {'train': 7, 'eval': 2, 'test': 1}
ROWS = st.lists(
  st.tuples(st.integers(0, 3), st.sampled_from([0, 1]) | st.integers(0, 999)),
  min_size=1,
  max_size=40,
)


def extend_without_runner(folder, earlier, shards, splits, **arguments):
  """Returns the splits that extend those of an earlier output folder by some shards."""
  sidecar = f'{earlier}/class_distribution.json'
  context = split_context(folder, splits, extend=sidecar, **arguments)
  files = input_files(folder, shards)
  for path in sorted(Path(earlier).glob('Split-*/*')):
    files.append(InputFile(str(path), len(files), path.parent.name.removeprefix('Split-')))
  write_on_lists(StratifiedSplit(context), files)
  return read_splits(context.output_uri)


@settings(max_examples=15)
@given(
  rows=ROWS,
  more=ROWS,
  n=st.integers(1, 4),
  seed=st.integers(0, 99),
  whole=st.booleans(),
  data=st.data(),
)
def test_old_records_stay_new_ones_are_added_whatever_their_order(rows, more, n, seed, whole, data):
  old, given_ = ([example(label=a, id=b) for a, b in each] for each in (rows, more))
  new = [record for record in given_ if record not in set(old)]
  given_ = data.draw(st.permutations([*given_, *old] if whole else given_))
  folders = [Path(tempfile.mkdtemp()) for _ in range(3)]
  try:
    first = run_split(folders[0], [old], SPLITS, seed=seed)
    found = extend_without_runner(
      folders[1], folders[0] / 'out', in_shards(given_, n), SPLITS, seed=seed
    )
    again = extend_without_runner(
      folders[2], folders[0] / 'out', [sorted(given_)], SPLITS, seed=seed
    )
    described = read_sidecar(folders[1] / 'out')['input']
  finally:
    for folder in folders:
      shutil.rmtree(folder)
  assert_conserved(found, [*old, *new])
  for name in SPLITS:
    assert not as_sets(first)[name] - as_sets(found)[name]
  assert as_sets(found) == as_sets(again)
  assert described['records'] == len(old) + len(new)
  assert described['extended'] == len(old)
  assert described.get('held', 0) == len(given_) - len(new)


def test_ten_percent_more_move_none_and_counts_are_exact_again(tmp_path):
  records = labelled({0: 800, 1: 200})
  first = run_split(tmp_path / 'first', in_shards(records, 2), SPLITS)
  new = [example(label=i % 2, id=1000 + i) for i in range(100)]
  found = extend_without_runner(
    tmp_path / 'more', tmp_path / 'first/out', [[*new, *records]], SPLITS
  )
  assert_conserved(found, [*records, *new])
  assert sum(len(set(first[name]) - set(found[name])) for name in SPLITS) == 0
  assert_exact(found, SPLITS)


def test_records_are_held_by_their_key(tmp_path):
  old = [example(label=i % 2, id=i, x=0) for i in range(40)]
  run_split(tmp_path / 'first', [old], SPLITS, key=('id',))
  changed = [example(label=1, id=i, x=1) for i in range(60)]
  found = extend_without_runner(
    tmp_path / 'more', tmp_path / 'first/out', [changed], SPLITS, key=('id',)
  )
  assert_conserved(found, [*old, *changed[40:]])


def test_keys_of_another_type_than_before_are_refused(tmp_path):
  old, new = ([example(label=i % 2, id=convert(i)) for i in range(40)] for convert in (int, str))
  run_split(tmp_path / 'first', [old], SPLITS, key=('id',))
  with pytest.raises(DataError, match=r"feature 'id' has values of types \['bytes', 'int'\]"):
    extend_without_runner(tmp_path / 'more', tmp_path / 'first/out', [new], SPLITS, key=('id',))


def test_all_that_is_given_is_held(tmp_path):
  old = labelled({0: 30, 1: 9})
  first = run_split(tmp_path / 'first', [old], SPLITS)
  found = extend_without_runner(
    tmp_path / 'more', tmp_path / 'first/out', [old[:20], old[20:]], SPLITS
  )
  assert as_sets(found) == as_sets(first)
  assert read_sidecar(tmp_path / 'more' / 'out')['warnings'][0] == (
    '39 records of the artifact to extend stay in their splits, 0 are new; 39 more were there '
    'already and are not taken again'
  )


def test_what_is_written_again_is_only_what_has_held_records(tmp_path, monkeypatch):
  written = []
  init = SpillWriter.__init__
  monkeypatch.setattr(
    SpillWriter,
    '__init__',
    lambda self, folder, name, *rest: (
      written.append((name, rest[0])) or init(self, folder, name, *rest)
    ),
  )
  old = labelled({0: 30, 1: 9})
  new = [example(label=0, id=i) for i in range(100, 120)]
  run_split(tmp_path / 'first', [old], SPLITS)
  written.clear()
  extend_without_runner(
    tmp_path / 'more', tmp_path / 'first/out', [[*old, *new[:10]], new[10:]], SPLITS
  )
  assert [file_number for name, file_number in written if name == 'new'] == [0]


def test_a_pipeline_extends_its_own_output(tmp_path):
  records, new = labelled({'a': 160, 'b': 40}), labelled({'c': 21})
  source = importer(input_artifact(tmp_path / 'in', {'all': in_shards(records, 2)}))
  more = importer(
    input_artifact(tmp_path / 'more', {'all': in_shards([*new, *records], 3)}), 'More'
  )
  first = StratifiedSplitter(examples=source.outputs['result'], splits=SPLITS)
  second = StratifiedSplitter(
    examples=more.outputs['result'], splits=SPLITS, seed=5, extend=first.outputs['examples']
  ).with_id('Extended')
  published = run_pipeline(tmp_path, [source, more, first, second])
  (before,), (after,) = (published.of_node(name) for name in ('StratifiedSplitter', 'Extended'))
  old, splits = read_splits(before.uri), read_splits(after.uri)
  assert_conserved(splits, [*records, *new])
  for name in SPLITS:
    assert not as_sets(old)[name] - as_sets(splits)[name]
  assert_exact(splits, SPLITS)
  sidecar = assert_sidecar(after.uri, SPLITS)
  assert sidecar['input']['held'] == sidecar['input']['extended'] == 200
  alone = extend_without_runner(tmp_path / 'alone', before.uri, [new], SPLITS, seed=5)
  assert as_sets(alone) == as_sets(splits)
  fingerprint = read_sidecar(tmp_path / 'alone' / 'out')['input']['fingerprint']
  assert fingerprint == sidecar['input']['fingerprint']


def test_folds_with_counts_are_extended(tmp_path):
  records = labelled({0: 90, 1: 30})
  arguments = {'splits': {'train': 1}, 'counts': {'test': 12}, 'folds': 3}
  artifact = input_artifact(tmp_path / 'in', {'all': [records[::2]]})
  first = execute(StratifiedSplitter, [artifact], tmp_path / 'first', **arguments)
  more = input_artifact(tmp_path / 'more', {'all': in_shards(records, 2)})
  after = execute(StratifiedSplitter, [more], tmp_path / 'after', extend=[first], **arguments)
  old, splits = read_splits(first.uri), read_splits(after.uri)
  assert_conserved(splits, records)
  assert as_sets(old)['test'] == as_sets(splits)['test']
  assert sorted(len(splits[f'fold-{i}']) for i in range(3)) == [36, 36, 36]


def earlier(tmp_path, name='first', **arguments):
  artifact = input_artifact(tmp_path / f'{name}-in', {'all': [labelled({0: 20, 1: 10})]})
  found = execute(StratifiedSplitter, [artifact], tmp_path / name, **arguments)
  return artifact, found


def test_without_an_earlier_artifact_the_split_is_new(tmp_path):
  artifact, first = earlier(tmp_path)
  found = execute(StratifiedSplitter, [artifact], tmp_path / 'new', extend=[])
  assert as_sets(read_splits(found.uri)) == as_sets(read_splits(first.uri))
  assert 'extended' not in read_sidecar(found.uri)['input']


def test_what_cannot_be_extended_is_an_error(tmp_path):
  artifact, first = earlier(tmp_path)
  with pytest.raises(
    ConfigError,
    match=r"has the splits \['eval', 'test', 'train'\], and those to make are \['train'",
  ):
    execute(StratifiedSplitter, [artifact], tmp_path / 'a', splits={'train': 1}, extend=[first])
  with pytest.raises(ConfigError, match='extend= holds 2 artifacts, and takes one; resolve'):
    execute(StratifiedSplitter, [artifact], tmp_path / 'e', extend=[first, first])
  with pytest.raises(DataError, match=r'class_distribution.json is not there; extend= takes'):
    execute(StratifiedSplitter, [artifact], tmp_path / 'b', extend=[artifact])
  path = Path(first.uri) / 'class_distribution.json'
  sidecar = json.loads(path.read_text())
  path.write_text(json.dumps(sealed({**sidecar, 'component': 'BalancedAugmenter'})))
  with pytest.raises(DataError, match='is of BalancedAugmenter; extend= takes an output of Strat'):
    execute(StratifiedSplitter, [artifact], tmp_path / 'c', extend=[first])
  path.write_text(json.dumps(sidecar))
  other = examples_artifact(
    first.uri, SPLITS, custom={'payload_format': 'FORMAT_TF_SEQUENCE_EXAMPLE'}
  )
  with pytest.raises(DataError, match='to extend holds FORMAT_TF_SEQUENCE_EXAMPLE, and examples='):
    execute(StratifiedSplitter, [artifact], tmp_path / 'd', extend=[other])


def delete_one(train, test):
  train[0].unlink()


def delete_all(train, test):
  for file in train:
    file.unlink()


def delete_folder(train, test):
  shutil.rmtree(train[0].parent)


def copy_over(train, test):
  shutil.copy(train[0], test[0])


def add_one(train, test):
  shutil.copy(train[0], train[0].with_name('more.gz'))


@pytest.mark.parametrize(
  ('damage', 'fault'),
  [
    (
      delete_one,
      'Split-train/data_tfrecord-00000-of-00002.gz is not there, and .* says that it has',
    ),
    (
      delete_all,
      'Split-train/data_tfrecord-00000-of-00002.gz is not there, and .* says that it has',
    ),
    (delete_folder, 'Split-train/data_tfrecord-00000-of-00002.gz is not there, and'),
    (
      copy_over,
      r'Split-test/\S+ has \d+ bytes, and .*class_distribution.json says that it has \d+ ',
    ),
    (add_one, r'Split-train/more.gz has \d+ bytes, and .* says that it is not there: the files'),
  ],
)
def test_a_damaged_artifact_is_not_extended(tmp_path, damage, fault):
  artifact, first = earlier(tmp_path, output_files=2)
  damage(*(sorted(Path(first.uri, f'Split-{name}').iterdir()) for name in ('train', 'test')))
  with pytest.raises(DataError, match=fault):
    execute(StratifiedSplitter, [artifact], tmp_path / 'a', extend=[first])
  assert not list(tmp_path.glob('a/**/Split-*'))


@pytest.mark.parametrize('has_sizes', [True, False])
def test_other_records_in_files_of_the_same_size_are_not_extended(tmp_path, has_sizes):
  artifact, first = earlier(tmp_path)
  path = Path(first.uri) / 'class_distribution.json'
  sidecar = json.loads(path.read_text())
  train = Path(first.uri, 'Split-train/data_tfrecord-00000-of-00001.gz')
  others = labelled({0: 21 * 7 // 10, 1: 21 - 21 * 7 // 10})
  write_tfrecords(train, others)
  for name, sizes in (
    ('train', {train.name: train.stat().st_size}),
    ('eval', None),
    ('test', None),
  ):
    sidecar['splits'][name]['file_bytes'] = sizes if has_sizes else None
  path.write_text(json.dumps(sealed(sidecar)))
  message = (
    r"split 'train' of the artifact to extend holds \d+ records of class 0 of 'label', and "
    r'.*class_distribution\.json tells \d+: the files are not those that were published'
  )
  with pytest.raises(DataError, match=message):
    execute(StratifiedSplitter, [artifact], tmp_path / 'a', extend=[first])
  assert not list(tmp_path.glob('a/**/Split-*'))


def test_what_cannot_come_back_to_its_share_is_told(tmp_path):
  run_split(tmp_path / 'first', [labelled({0: 50})], {'eval': 1})
  new = [example(label=0, id=100 + i) for i in range(16)]
  found = extend_without_runner(tmp_path, tmp_path / 'first/out', [new], SPLITS)
  assert {name: len(records) for name, records in found.items()} == {
    'train': 14,
    'eval': 50,
    'test': 2,
  }
  assert read_sidecar(tmp_path / 'out')['warnings'][1] == (
    'extend= cannot bring all counts to their ideals (in brackets): '
    "class 0 has 50 in 'eval' (13.2), all classes have 50 in 'eval' (13.2), "
    "class 0 has 14 in 'train' (46.2), all classes have 14 in 'train' (46.2), "
    "class 0 has 2 in 'test' (6.6), and 1 more"
  )
