"""Bad input through LocalDagRunner: an error that helps, and no artifact."""

import pytest
import tfx.v1 as tfx
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import ConfigError, DataError, StorageError, plain_errors

from tests.helpers_examples import (
  example,
  examples_artifact,
  in_shards,
  labelled,
  split_files,
  write_splits,
  write_tfrecords,
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
      [[*GOOD, example(label=[0, 0, 1])]],
      {},
      DataError,
      r"^feature 'label' has 3 values in record 30 of .*/Split-all/.*; a class is one value a "
      r'record: .*\(argmax\)',
      id='one-hot',
    ),
    pytest.param(
      [GOOD, [*GOOD, example(id=7)]],
      {},
      DataError,
      r"^feature 'label' has no value in 1 of 61 records, the first of them record 30 of "
      r".*data_tfrecord-00001-of-00002.gz; pass missing_label='own_stratum' or 'drop', or fill",
      id='missing label',
    ),
    pytest.param(
      [[example(label=float('nan')), example(label=1.0)]],
      {},
      DataError,
      r"^feature 'label' has the value nan in .* integral: write no value where it is missing",
      id='NaN',
    ),
    pytest.param(
      [[], []],
      {'input_splits': 'all'},
      DataError,
      r'^the input holds no records; give at least one$',
      id='no records',
    ),
    pytest.param(
      [GOOD],
      {'counts': {'test': 31}, 'rest': 'train', 'input_splits': 'all'},
      DataError,
      r"^counts={'test': 31} ask for 31 records, there are 30; ask for fewer$",
      id='counts above what there is',
    ),
    pytest.param(
      [[b'no protocol buffer']],
      {},
      DataError,
      r'^.*/Split-all/.* holds records that are no FORMAT_TF_EXAMPLE; give the artifact the',
      id='no examples',
    ),
  ],
)
def test_faults_of_arguments_and_records(tmp_path, shards, arguments, kind, fault):
  artifact = input_artifact(tmp_path / 'in', {'all': shards, 'more': [[]]})
  fails_without_an_artifact(tmp_path, artifact, kind, fault, **arguments)


@pytest.mark.parametrize('suffix', ['', '.gz'], ids=['plain', 'gzip'])
def test_a_truncated_file_is_named(tmp_path, suffix):
  artifact = input_artifact(tmp_path / 'in', {'all': in_shards(GOOD, 3)}, suffix)
  path = split_files(artifact.uri, 'all')[1]
  path.write_bytes(path.read_bytes()[:-7])
  fault = rf'^{path} .*truncated.*copy or write it again'
  fails_without_an_artifact(tmp_path, artifact, DataError, fault)


def test_a_corrupted_file_is_named(tmp_path):
  artifact = input_artifact(tmp_path / 'in', {'all': in_shards(GOOD, 3)}, '')
  path = split_files(artifact.uri, 'all')[2]
  data = bytearray(path.read_bytes())
  data[-30] ^= 4
  path.write_bytes(bytes(data))
  fault = (
    rf'^{path} is corrupted, or no TFRecord file: a record does not match its checksum at byte'
  )
  fails_without_an_artifact(tmp_path, artifact, DataError, fault)


@pytest.mark.parametrize('payload', ['FORMAT_PARQUET', 'FORMAT_PROTO'])
def test_other_payloads_are_refused(tmp_path, payload):
  artifact = input_artifact(tmp_path / 'in', {'all': [GOOD]}, custom={'payload_format': payload})
  fault = (
    rf"^payload format {payload} is not one of \['FORMAT_TF_EXAMPLE', "
    r"'FORMAT_TF_SEQUENCE_EXAMPLE'\]; let ExampleGen write tf.Example records$"
  )
  fails_without_an_artifact(tmp_path, artifact, DataError, fault)


def test_compressed_and_plain_files_in_one_split_are_refused(tmp_path):
  artifact = input_artifact(tmp_path / 'in', {'all': [GOOD]})
  write_tfrecords(tmp_path / 'in' / 'Split-all' / 'data_tfrecord-00001-of-00002', GOOD)
  fault = (
    r"^split 'all' has both .gz files and plain ones, such as .*; compress all of them or none$"
  )
  fails_without_an_artifact(tmp_path, artifact, DataError, fault)


def test_a_split_without_files_is_refused(tmp_path):
  (tmp_path / 'in' / 'Split-all').mkdir(parents=True)
  artifact = examples_artifact(tmp_path / 'in', ['all'])
  fault = r"^splits \['all'\] of the input hold no files; give at least one record$"
  fails_without_an_artifact(tmp_path, artifact, DataError, fault)


def test_a_fault_in_what_passes_through_is_none(tmp_path):
  # Splits that are not named are copied unread: a damaged file stays as it is.
  uri = write_splits(tmp_path / 'in', {'all': [GOOD], 'more': [GOOD]})
  path = split_files(uri, 'more')[0]
  path.write_bytes(path.read_bytes()[:-7])
  source = importer(examples_artifact(uri, ['all', 'more']))
  splitter = StratifiedSplitter(examples=source.outputs['result'], input_splits='all')
  (found,) = run_pipeline(tmp_path, [source, splitter]).of_node('StratifiedSplitter')
  assert split_files(found.uri, 'more')[0].read_bytes() == path.read_bytes()


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
