"""Files of an Examples artifact are those of its folder, whatever characters its path has."""

import contextlib
import json
import re
import shutil
from pathlib import Path

import pytest
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import DataError
from tfx_balance.examples_artifact import ExamplesInput, logging

from tests.helpers_examples import examples_artifact, labelled, write_splits
from tests.helpers_pipeline import execute, input_artifact


@pytest.mark.parametrize('name', ['plain', 'run [1]', 'a*', 'b?'])
def test_files_of_a_split_are_listed_in_order(tmp_path, name):
  uri = write_splits(tmp_path / name, {'train': [labelled({'a': 2})] * 3, 'eval': [[]]})
  artifact = examples_artifact(uri, ['train', 'eval', 'gone'])
  found = ExamplesInput.of([artifact])
  assert [path.rsplit('/', 1)[1] for path in found.files('train')] == [
    f'data_tfrecord-{i:05d}-of-00003.gz' for i in range(3)
  ]
  assert found.files('train')[0].startswith(f'{uri}/Split-train/')
  assert len(found.files('eval')) == 1
  assert found.files('gone') == []


@pytest.fixture
def warned(monkeypatch):
  """Returns the warnings that are logged of files."""
  found = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: found.append(text))
  return found


def incomplete(folder):
  """Returns an artifact without shards 1 and 2 of 3, with an empty file, and without a split."""
  artifact = input_artifact(folder, {'train': [labelled({0: 9, 1: 9})] * 3, 'eval': [[]]})
  for i in (1, 2):
    Path(artifact.uri, f'Split-train/data_tfrecord-0000{i}-of-00003.gz').unlink()
  Path(artifact.uri, 'Split-eval/data_tfrecord-00000-of-00001.gz').write_bytes(b'')
  return examples_artifact(artifact.uri, ['train', 'eval', 'gone'])


def test_what_is_missing_is_told_once_with_its_number(tmp_path, warned):
  ExamplesInput.of([incomplete(tmp_path)]).check_files()
  assert warned == [
    f'the input is incomplete, 4 of its files are missing or empty: {tmp_path}/Split-train/'
    f'data_tfrecord-00001-of-00003.gz is not there, {tmp_path}/Split-train/data_tfrecord-00002-of-'
    f'00003.gz is not there, {tmp_path}/Split-eval/data_tfrecord-00000-of-00001.gz has 0 bytes and '
    f'1 more; the others are read: copy or write the files again'
  ]


@pytest.mark.parametrize('suffix', ['', '.gz'])
def test_nothing_is_said_of_empty_splits_of_ours(tmp_path, warned, suffix):
  artifact = input_artifact(tmp_path / 'in', {'all': [labelled({0: 1})]}, suffix)
  splits = {'train': 8, 'eval': 1, 'test': 1}
  found = execute(StratifiedSplitter, [artifact], tmp_path / 'out', splits=splits)
  warned.clear()
  ExamplesInput.of([found]).check_files()
  assert warned == []


@pytest.mark.parametrize('deleted', [False, True])
def test_splits_that_an_artifact_does_not_name_are_none_of_it(tmp_path, deleted):
  artifact = input_artifact(tmp_path / 'in', {'train': [labelled({0: 20, 1: 10})]})
  execute(StratifiedSplitter, [artifact], tmp_path / 'out', splits={'train': 1, 'test': 1})
  if deleted:
    shutil.rmtree(tmp_path / 'out' / 'Split-test')
  ExamplesInput.of([examples_artifact(tmp_path / 'out', ['train'])]).check_files()
  with pytest.raises(DataError) if deleted else contextlib.nullcontext():
    ExamplesInput.of([examples_artifact(tmp_path / 'out', ['train', 'test'])]).check_files()


@pytest.mark.parametrize(
  ('component', 'arguments'),
  [
    (StratifiedSplitter, {'splits': {'a': 1, 'b': 1}}),
    (BalancedAugmenter, {'label': 'label'}),
    (BalancedInputGen, {'label': 'label'}),
  ],
)
def test_components_tell_what_is_missing(tmp_path, warned, component, arguments):
  execute(component, [incomplete(tmp_path / 'in')], tmp_path / 'out', **arguments)
  assert [text for text in warned if 'incomplete, 4 of its files are missing or empty' in text]
  warned.clear()
  sidecar = tmp_path / 'in' / 'class_distribution.json'
  described = {
    'records': 18,
    'file_bytes': {f'data_tfrecord-0000{i}-of-00003.gz': 7 for i in range(3)},
  }
  kind = {'format': 'tfx_balance.class_distribution', 'version': 2}
  sidecar.write_text(json.dumps(sealed({**kind, 'splits': {'train': described}})))
  with pytest.raises(
    DataError, match=r'Split-train/\S+ has \d+ bytes, and .* says that it has 7 b'
  ):
    execute(component, [incomplete(tmp_path / 'in')], tmp_path / 'again', **arguments)
  assert not list(tmp_path.glob('again/**/Split-*'))


@pytest.mark.parametrize('suffix', ['', '.gz'])
@pytest.mark.parametrize('component', [StratifiedSplitter, BalancedAugmenter, BalancedInputGen])
def test_files_that_other_programs_leave_beside_the_data_are_none(tmp_path, component, suffix):
  records = {'train': [labelled({'a': 8, 'b': 4})], 'eval': [labelled({'a': 2})]}
  inputs = [input_artifact(tmp_path / name, records, suffix) for name in ('plain', 'foreign')]
  folder = Path(inputs[1].uri, 'Split-train')
  for name in ('.DS_Store', '_SUCCESS', '.data_tfrecord-00000-of-00001.crc', '_logs/1'):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b'no record')
  arguments = {'splits': {'a': 1, 'b': 1}} if component is StratifiedSplitter else {}
  written = []
  for artifact in inputs:
    out = tmp_path / f'{Path(artifact.uri).name}-out'
    execute(component, [artifact], out, **arguments)
    written.append({p.relative_to(out): p.read_bytes() for p in out.glob('Split-*/*')})
  assert written[0] == written[1]
  assert written[0]


def test_a_folder_in_a_split_is_named(tmp_path):
  artifact = input_artifact(tmp_path / 'in', {'train': [labelled({'a': 8})]})
  Path(artifact.uri, 'Split-train', 'old').mkdir()
  fault = rf'^{re.escape(artifact.uri)}/Split-train/old is a folder, and the data of a split are'
  with pytest.raises(DataError, match=fault):
    execute(StratifiedSplitter, [artifact], tmp_path / 'out', splits={'a': 1, 'b': 1})
  assert not list(tmp_path.glob('out/**/Split-*'))


@pytest.mark.parametrize('text', ['', '[]', 'train', '"train"', '{"train": 1}', '[1]'])
def test_an_artifact_without_names_of_splits_is_refused_with_what_sets_them(tmp_path, text):
  artifact = input_artifact(tmp_path / 'in', {'train': [labelled({'a': 8})]})
  artifact.split_names = text
  fault = (
    f'split_names={text!r} of the Examples in {artifact.uri} must be a JSON list of names of '
    'splits; an Importer sets it by properties='
  )
  with pytest.raises(DataError, match=re.escape(fault)):
    execute(StratifiedSplitter, [artifact], tmp_path / 'out', splits={'a': 1, 'b': 1})
  assert not list(tmp_path.glob('out/**/Split-*'))
