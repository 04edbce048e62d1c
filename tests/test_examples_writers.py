"""The components that write Examples, by what a user sees: bytes, counts, sidecar, errors."""

from pathlib import Path

import pytest
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.augment import Smote
from tfx_balance.errors import DataError
from tfx_balance.shuffle.ranges import GatherRanges

from tests.balanced_augmenter.helpers_balance import (
  assert_balance_sidecar,
  assert_balanced,
  class_counts,
  tabular,
)
from tests.balanced_input_gen.helpers_input_gen import assert_laid_out
from tests.helpers_changes import stop_moves
from tests.helpers_checks import assert_conserved, assert_exact, assert_sidecar, read_sidecar
from tests.helpers_examples import (
  all_bytes,
  example,
  examples_artifact,
  in_shards,
  read_splits,
  split_files,
  write_splits,
  write_tfrecords,
)
from tests.helpers_pipeline import BUNDLES_TWICE, in_new_folders, input_artifact

RECORDS = tabular({'a': 30, 'b': 11, 'c': 2})
OTHERS = {'extra': [[b'no example at all'], [b'', b'x' * 99]], 'serving': [[]]}
WEIGHTS = {'p': 3, 'q': 1}
TARGETS = {b'a': 30, b'b': 30, b'c': 30}


def check_split(uri, records):
  splits = {name: read_splits(uri)[name] for name in WEIGHTS}
  assert_conserved(splits, records)
  assert_exact(splits, WEIGHTS)
  assert_sidecar(uri, WEIGHTS)


def check_balance(uri, records):
  assert_balanced(records, read_splits(uri)['train'], TARGETS)
  assert_balance_sidecar(uri, {'train': records}, {'train': TARGETS})


def check_pool(uri, records):
  assert class_counts(read_splits(uri)['train']) == TARGETS


def check_input(uri, records):
  assert_laid_out(uri, {'train': records})


WRITERS = {
  'split': (
    StratifiedSplitter,
    {'input_splits': 'train', 'splits': WEIGHTS},
    check_split,
  ),
  'balance': (BalancedAugmenter, {}, check_balance),
  'pool': (BalancedAugmenter, {'augment_fn': Smote(['x'])}, check_pool),
  'input': (BalancedInputGen, {}, check_input),
}


@pytest.fixture(params=WRITERS)
def writer(request, tmp_path):
  """Returns a function that runs a component into a new folder, and one that checks its output."""
  component, arguments, check = WRITERS[request.param]
  run = in_new_folders(component, tmp_path)
  return lambda *inputs, **more: run(*inputs, **{**arguments, **more}), check


def written(uri):
  """Returns the bytes of all the files that a component wrote, of both outputs."""
  more = all_bytes(f'{uri}.hyperparameters')
  return {**all_bytes(uri), **{f'hyperparameters/{name}': data for name, data in more.items()}}


def of_splits(uri):
  """Returns the bytes of the files of splits."""
  return {name: data for name, data in all_bytes(uri).items() if name.startswith('Split-')}


@pytest.mark.parametrize('suffix', ['', '.gz'], ids=['plain', 'gzip'])
def test_counts_are_right_and_other_splits_pass_through(writer, tmp_path, suffix):
  run, check = writer
  out = run({'train': in_shards(RECORDS, 3), **OTHERS}, suffix=suffix, name='out')
  check(out.uri, RECORDS)
  for name in OTHERS:
    before = all_bytes(tmp_path / 'out-in0' / f'Split-{name}')
    assert all_bytes(Path(out.uri) / f'Split-{name}') == before
  made = [
    path.name
    for name in set(read_splits(out.uri)) - {*OTHERS}
    for path in split_files(out.uri, name)
  ]
  assert {*made} == {f'data_tfrecord-00000-of-00001{suffix}'}
  sidecar = read_sidecar(out.uri)
  assert sidecar['passed_through'] == ['extra', 'serving']
  assert sidecar['format'] == 'tfx_balance.class_distribution'


def test_the_seed_and_the_set_of_records_make_the_bytes(writer):
  run, check = writer
  shards = {'train': in_shards(RECORDS, 3), **OTHERS}
  one, again, other = (run(shards, seed=seed) for seed in (7, 7, 8))
  assert written(one.uri) == written(again.uri)
  shuffled = run({'train': in_shards(RECORDS[::-1], 5), **OTHERS}, seed=7)
  assert of_splits(shuffled.uri) == of_splits(one.uri)
  assert of_splits(other.uri) != of_splits(one.uri)
  check(other.uri, RECORDS)


def test_every_bundle_may_run_twice(writer, monkeypatch):
  run, _ = writer
  shards = {'train': in_shards(RECORDS, 3), **OTHERS}
  expected = run(shards)
  gathered, gather = [], GatherRanges.process
  monkeypatch.setattr(
    GatherRanges, 'process', lambda *args: gathered.append(args[1][0]) or gather(*args)
  )
  out = run(shards, beam_args=BUNDLES_TWICE)
  assert len(gathered) == 2 * len(set(gathered)) > 0
  assert written(out.uri) == written(expected.uri)
  assert not [path for path in Path(out.uri).iterdir() if path.name.startswith('.')]


@pytest.mark.parametrize('moved', [0, 1])
def test_a_worker_that_dies_leaves_no_half_file(writer, tmp_path, monkeypatch, moved):
  run, check = writer
  shards = {'train': [RECORDS], **OTHERS}
  stop_moves(monkeypatch, moved)
  with pytest.raises(Exception, match='the worker was killed'):
    run(shards, name='out')
  left = written(tmp_path / 'out')
  assert len(left) == moved
  assert 'class_distribution.json' not in left
  monkeypatch.undo()
  out = run(shards, name='out')  # a second attempt in that folder is right
  assert left.items() <= written(out.uri).items()  # and what the first one left was whole
  check(out.uri, RECORDS)


@pytest.mark.parametrize('newest_first', [False, True])
def test_several_artifacts_are_merged_and_the_newest_gives_its_properties(
  writer, tmp_path, newest_first
):
  run, check = writer
  custom = {'payload_format': 'FORMAT_TF_EXAMPLE', 'file_format': 'tfrecords_gzip'}
  artifacts = [
    input_artifact(
      tmp_path / f'span{span}',
      {'train': in_shards(part, 2), 'extra': [[b'extra %d' % span]], f's{span}': [[b'only']]},
      span=span,
      version=9 - span,
      custom={'span': str(span), 'version': str(9 - span), 'name': 'dropped', **custom},
    )
    for span, part in zip((2, 10), in_shards(RECORDS, 2), strict=True)
  ]
  out = run(*(artifacts[::-1] if newest_first else artifacts))
  check(out.uri, RECORDS)
  assert read_splits(out.uri)['extra'] == [b'extra 2', b'extra 10']
  assert {'s2', 's10'} <= set(read_splits(out.uri))
  assert (out.span, out.version) == (10, -1)
  for name, text in (('span', '10'), ('version', '-1'), *custom.items()):
    assert out.get_string_custom_property(name) == text
  assert not out.has_custom_property('name')


def cut_short(path):
  path.write_bytes(path.read_bytes()[:-7])


def flip_bit(path):
  data = bytearray(path.read_bytes())
  data[-30] ^= 4
  path.write_bytes(bytes(data))


def add_plain_file(path):
  write_tfrecords(path.with_name('data_tfrecord-00003-of-00004'), RECORDS)


@pytest.mark.parametrize(
  ('suffix', 'damage', 'fault'),
  [
    ('.gz', cut_short, '^{path} is not a whole gzip file .*truncated.*copy or write it again'),
    ('', cut_short, '^{path} .*truncated.*copy or write it again'),
    ('', flip_bit, '^{path} is corrupted, .*: a record does not match its checksum at byte'),
    ('.gz', add_plain_file, r"^split 'train' has both \.gz files and plain ones, such as .*; comp"),
  ],
  ids=['truncated gzip', 'truncated', 'corrupted', 'gzip and plain'],
)
def test_damaged_files_are_named(writer, tmp_path, suffix, damage, fault):
  run, _ = writer
  artifact = input_artifact(tmp_path / 'in', {'train': in_shards(RECORDS, 3), **OTHERS}, suffix)
  path = split_files(tmp_path / 'in', 'train')[1]
  damage(path)
  with pytest.raises(DataError, match=fault.replace('{path}', str(path))):
    run(artifact, name='out')
  assert written(tmp_path / 'out') == {}


@pytest.mark.parametrize(
  ('shards', 'fault'),
  [
    ([[]], '^the input holds no records; give at least one$'),
    ([RECORDS, [example(label=[0, 1, 0])]], 'has 3 values in record 0 of .*one-hot .*argmax'),
    ([RECORDS, [example(label=0.5)]], 'has the value 0.5 .*a float is a class when it is integral'),
    ([RECORDS, [example(label=float('nan'))]], 'nan in .*write no value where it is missing'),
    ([RECORDS, [example(label=3)]], "^feature 'label' has values of .*types .*; give it one"),
    (
      [RECORDS, [example(id=1)]],
      r"^feature 'label' has no value in 1 of 44 records, the first of them record 0 of "
      r".*data_tfrecord-00001-of-00002.gz; pass missing_label='own' or 'drop', or fill",
    ),
    ([RECORDS, [b'\x99' * 9]], 'holds records that are not FORMAT_TF_EXAMPLE; give the artifact'),
  ],
  ids=['none', 'one-hot', 'fraction', 'nan', 'types', 'missing', 'no example'],
)
def test_records_that_have_no_class_are_refused(writer, tmp_path, shards, fault):
  run, _ = writer
  with pytest.raises(DataError, match=fault):
    run({'train': shards, **OTHERS}, name='out')
  assert written(tmp_path / 'out') == {}


def test_a_split_without_files_and_other_payloads_are_refused(writer, tmp_path):
  run, _ = writer
  uri = write_splits(tmp_path / 'in', OTHERS)
  with pytest.raises(DataError, match=r"^splits \['train'\] of the input hold no files; give"):
    run(examples_artifact(uri, ['train', *OTHERS]), name='out')
  for payload in ('FORMAT_PARQUET', 'FORMAT_PROTO'):
    custom = {'payload_format': payload}
    artifact = input_artifact(tmp_path / payload, {'train': [RECORDS]}, custom=custom)
    with pytest.raises(DataError, match=f'^payload format {payload} is not one of .*; let Example'):
      run(artifact, name='out')
  several = [
    input_artifact(tmp_path / name, {'train': [RECORDS]}, custom={'payload_format': name})
    for name in ('FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE')
  ]
  with pytest.raises(DataError, match=r"payload formats \['FORMAT_TF_EXAMPLE', .*; merge only"):
    run(*several, name='out')
  assert written(tmp_path / 'out') == {}


def test_a_fault_in_what_passes_through_is_none(writer, tmp_path):
  run, check = writer
  artifact = input_artifact(tmp_path / 'in', {'train': [RECORDS], 'extra': [RECORDS]})
  path = split_files(tmp_path / 'in', 'extra')[0]
  cut_short(path)
  out = run(artifact)
  assert split_files(out.uri, 'extra')[0].read_bytes() == path.read_bytes()
  check(out.uri, RECORDS)


def test_these_checks_can_fail(tmp_path):
  out = in_new_folders(StratifiedSplitter, tmp_path)({'train': [RECORDS]}, splits=WEIGHTS)
  with pytest.raises(AssertionError, match='1 records are lost'):
    check_split(out.uri, [*RECORDS, example(label='a', id=-1)])
  assert written(out.uri)
