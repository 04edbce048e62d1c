"""The components that write `Examples` in one pipeline: any engine writes the bytes of memory.

On Flink, artifacts and work files are in S3, and workers on several machines.
"""

from pathlib import Path

import pytest
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.augment import SmoothedBootstrap

from benchmarks.data import SPLIT
from tests.flink.helpers_flink import PORTABLE, import_files, make_files
from tests.helpers_examples import all_bytes, examples_artifact
from tests.helpers_pipeline import IN_MEMORY, importer, run_pipeline
from tests.objectstore.buckets import set_address
from tests.objectstore.helpers_objects import CUSTOM
from tests.objectstore.object_server import ObjectServer

RECORDS = 20_000
OURS = ['StratifiedSplitter', 'BalancedAugmenter', 'BalancedInputGen']
KEYS = {'access_key_id': 'test-access-key', 'secret_access_key': 'test-secret-key'}


def components(source):
  """Returns the nodes of a pipeline whose every component runs on Beam and is ours."""
  splitter = StratifiedSplitter(source.outputs['result'], seed=3, output_files={'train': 3})
  augmenter = BalancedAugmenter(
    splitter.outputs['examples'],
    augment_fn=SmoothedBootstrap(features=('x',)),
    augmented_split='augmented',
    seed=3,
  )
  input_gen = BalancedInputGen(
    augmenter.outputs['examples'], train_splits=('train', 'augmented'), seed=3
  )
  return [source, splitter, augmenter, input_gen]


def run(folder, files, beam_args):
  """Runs the pipeline in a folder; returns the bytes of each component's artifact."""
  published = run_pipeline(folder, components(import_files(files)), beam_args)
  return {node: all_bytes(artifact.uri) for node in OURS for artifact in published.of_node(node)}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  return make_files(tmp_path_factory.mktemp('files'), RECORDS, 4)


@pytest.fixture(scope='module')
def expected(files, tmp_path_factory):
  return run(tmp_path_factory.mktemp('memory'), files, IN_MEMORY)


@pytest.fixture(scope='module')
def on_flink(cluster, files, tmp_path_factory):
  """Returns what is in S3 after a run on Flink, and the jobs of Flink."""
  cluster.restore()
  before = len(cluster.jobs())
  with ObjectServer() as server:
    server.make_bucket('bucket')
    for path in Path(files.folder).glob('Split-*/*.gz'):
      server.write('bucket', f'in/Split-{SPLIT}/{path.name}', path.read_bytes())
    settings = {**KEYS, 'endpoint_url': f'http://{server.address}', 'region_name': 'us-east-1'}
    options = [f'--s3_{name}={value}' for name, value in settings.items()]
    beam_args = [*PORTABLE, *cluster.beam_args, *options]
    source = importer(examples_artifact('s3://bucket/in', [SPLIT], CUSTOM))
    folder = tmp_path_factory.mktemp('s3')
    with pytest.MonkeyPatch.context() as patch:
      set_address(patch, server.address)  # for this process; workers have Beam's options alone
      run_pipeline(folder, components(source), beam_args, 's3://bucket/root')
    found = {key: server.read('bucket', key) for key in server.keys('bucket', 'root/')}
    assert server.uploads('bucket') == []
  return found, cluster.jobs()[before:]


def test_all_components_ran_on_both_task_managers_of_flink(on_flink):
  _, jobs = on_flink
  assert [(job['state'], job['hosts']) for job in jobs] == [('FINISHED', 2)] * len(OURS)


@pytest.mark.parametrize('node', OURS)
def test_the_bytes_in_s3_by_flink_are_those_of_a_run_in_memory(on_flink, expected, node):
  found, _ = on_flink
  root = f'root/{node}/examples/'
  mine = {
    key.removeprefix(root).partition('/')[2]: data
    for key, data in found.items()
    if key.startswith(root)
  }
  assert mine == expected[node]


def test_no_work_file_is_left_in_s3(on_flink):
  found, _ = on_flink
  assert [key for key in found if '.work-' in key] == []


# Workers in this process complain of the end of each job: Beam's runner hangs up on them.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_the_bytes_by_spark_are_those_of_a_run_in_memory(spark_args, files, expected, tmp_path):
  assert run(tmp_path, files, [*PORTABLE, *spark_args]) == expected
