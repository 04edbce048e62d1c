"""A process is killed in the middle of a run: the result is the right one, or there is none."""

import pytest
from tfx_balance import StratifiedSplitter

from tests.flink.helpers_flink import PORTABLE, Accident, import_files, make_files
from tests.helpers_examples import all_bytes
from tests.helpers_pipeline import IN_MEMORY, Published, run_pipeline

RECORDS = 200_000
# Of a run's work files, what the first and the last pass begin with.
EARLY, LATE = 'scan-rows', 'out'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  return make_files(tmp_path_factory.mktemp('files'), RECORDS, 4)


def split(folder, files, beam_args):
  """Runs a splitter and returns what was published; each split gets four files."""
  source = import_files(files)
  splitter = StratifiedSplitter(
    source.outputs['result'], seed=3, output_files={'train': 4, 'eval': 4, 'test': 4}
  )
  return run_pipeline(folder, [source, splitter], beam_args)


@pytest.fixture(scope='module')
def expected(files, tmp_path_factory):
  """Returns the bytes of the artifact as one process writes it, undisturbed."""
  (artifact,) = split(tmp_path_factory.mktemp('expected'), files, IN_MEMORY).of_node(
    'StratifiedSplitter'
  )
  return all_bytes(artifact.uri)


def test_a_run_whose_workers_keep_dying_fails_and_publishes_nothing(flink, files, tmp_path):
  with (
    pytest.raises(RuntimeError, match='failed in state FAILED'),
    Accident(tmp_path, EARLY, flink.kill_workers, again=True) as accident,
  ):
    split(tmp_path, files, [*PORTABLE, *flink.beam_args])

  assert accident.times > 1
  published = Published(tmp_path)
  assert published.states() == ['COMPLETE', 'FAILED']
  assert published.of_node('StratifiedSplitter') == []
  assert list(tmp_path.rglob('Split-*')) == []
  assert published.files('StratifiedSplitter') == []


def test_a_lost_task_manager_is_replaced(flink, files, expected, tmp_path):
  with Accident(tmp_path, LATE, lambda: flink.kill_task_manager(0)):
    published = split(tmp_path, files, [*PORTABLE, *flink.beam_args])

  (artifact,) = published.of_node('StratifiedSplitter')
  assert all_bytes(artifact.uri) == expected


def test_killed_workers_are_replaced_also_by_a_job_server_of_flink_runners_own(
  flink, files, expected, tmp_path
):
  with Accident(tmp_path, EARLY, flink.kill_workers) as accident:
    published = split(tmp_path, files, [*PORTABLE, *flink.flink_runner_args])

  assert accident.outcome, 'no worker was there to be killed'
  assert published.states() == ['COMPLETE'] * 2
  (artifact,) = published.of_node('StratifiedSplitter')
  assert all_bytes(artifact.uri) == expected
