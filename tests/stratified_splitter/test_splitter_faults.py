"""Bad input through LocalDagRunner: an error that helps, and no artifact."""

import pytest
import tfx.v1 as tfx
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import ConfigError, DataError, StorageError, plain_errors

from tests.helpers_examples import (
  labelled,
)
from tests.helpers_pipeline import (
  Published,
  importer,
  in_new_folders,
  input_artifact,
  run_pipeline,
)

GOOD = labelled({0: 20, 1: 10})


def fails_without_an_artifact(folder, artifact, kind, fault, **arguments):
  """Checks that the splitter fails with this error, and leaves neither file nor artifact."""
  source = importer(artifact)
  splitter = StratifiedSplitter(examples=source.outputs['result'], **arguments)
  with pytest.raises(kind, match=fault):
    run_pipeline(folder, [source, splitter])
  published = Published(folder)
  assert published.states() == ['COMPLETE', 'FAILED']
  assert published.of_node('StratifiedSplitter') == []
  assert published.files('StratifiedSplitter') == []
  assert len(published.store.get_artifacts()) == 1  # the input


def test_these_checks_can_fail(tmp_path):
  artifact = input_artifact(tmp_path / 'in', {'all': [GOOD]})
  source = importer(artifact)
  published = run_pipeline(
    tmp_path, [source, StratifiedSplitter(examples=source.outputs['result'])]
  )
  assert published.states() == ['COMPLETE', 'COMPLETE']
  assert len(published.of_node('StratifiedSplitter')) == 1
  assert len(published.files('StratifiedSplitter')) == 4


def later(value):
  return tfx.dsl.experimental.RuntimeParameter(name='later', ptype=str, default=value)


@pytest.mark.parametrize(
  ('shards', 'arguments', 'kind', 'fault'),
  [
    pytest.param(
      [GOOD],
      {'stratify_by': 'lable'},
      DataError,
      r"^feature 'lable' is in none of the 30 records; stratify_by= takes one of: id, label$",
      id='unknown feature',
    ),
    pytest.param(
      [GOOD],
      {'input_splits': ['tset']},
      ConfigError,
      r"^split 'tset' is not in \['all', 'more'\]; pass one of these in input_splits=$",
      id='unknown input split',
    ),
    pytest.param(
      [GOOD],
      {'input_splits': ['all'], 'splits': {'train': 1, 'more': 1}},
      ConfigError,
      r"^split 'more' of the input passes through, and is a split to make too; name it in "
      r'input_splits=, or give the new one another name$',
      id='clash of names',
    ),
    pytest.param(
      [GOOD],
      {'splits': later('{"train": 8, "train": 1}')},
      ConfigError,
      r"'train' is there twice .*; name it once",
      id='name twice at run time',
    ),
    pytest.param(
      [GOOD],
      {'counts': {'test': 31}, 'rest': 'train', 'input_splits': 'all'},
      DataError,
      r"^counts={'test': 31} ask for 31 records, there are 30; ask for fewer$",
      id='counts above what there is',
    ),
  ],
)
def test_faults_of_arguments_and_records(tmp_path, shards, arguments, kind, fault):
  artifact = input_artifact(tmp_path / 'in', {'all': shards, 'more': [[]]})
  fails_without_an_artifact(tmp_path, artifact, kind, fault, **arguments)


IN_A_WORKER = """Traceback (most recent call last):
  File "sdk_worker.py", line 1, in process
    raise DataError(
tfx_balance.errors.DataError: split 'tset' is not in ['a']; pass one of these

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
tfx_balance.errors.DataError: split 'tset' is not in ['a']; pass one of these [while running 'S-1']
"""


@pytest.mark.parametrize('kind', [ConfigError, DataError, StorageError])
def test_an_error_from_another_process_is_told_in_its_last_line(kind):
  fault = r"^split 'tset' is not in \['a'\]; pass one of these$"
  with pytest.raises(kind, match=fault), plain_errors():
    raise RuntimeError(IN_A_WORKER.replace('DataError', kind.__name__))


def test_an_interrupt_is_one_whatever_the_runner_makes_of_it(tmp_path, monkeypatch):
  def interrupted(*args, **options):
    raise KeyboardInterrupt

  monkeypatch.setattr('tfx_balance.scan.scan.read_frames', interrupted)
  split = in_new_folders(StratifiedSplitter, tmp_path)
  with pytest.raises(KeyboardInterrupt):
    split({'all': [labelled({'a': 10, 'b': 10})]})


def test_an_error_that_is_not_ours_stays_as_it_is():
  with pytest.raises(OSError, match=r'^the disk is full$'), plain_errors():
    raise OSError('the disk is full')
