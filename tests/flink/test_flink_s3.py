"""Artifacts and work files in S3, with workers on several machines: the bytes are the same."""

import os
from pathlib import Path
from unittest import mock

import pytest
import tfx.v1 as tfx
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.augment import SmoothedBootstrap
from tfx_balance.tfrecord.storage import copy

from benchmarks.data import SPLIT
from tests.flink.helpers_flink import PORTABLE, import_files, make_files
from tests.helpers_examples import all_bytes, examples_artifact
from tests.helpers_pipeline import IN_MEMORY, Published, importer, run_pipeline
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


@pytest.fixture(scope='module')
def runs(cluster, tmp_path_factory):
  """Returns what was written in memory, by component; what is in S3; and the jobs of Flink."""
  folder = tmp_path_factory.mktemp('s3')
  cluster.restore()
  files = make_files(folder / 'cache', RECORDS, 4)
  in_memory = run_pipeline(folder / 'memory', components(import_files(files)), IN_MEMORY)
  before = len(cluster.jobs())
  with ObjectServer() as server:
    server.make_bucket('bucket')
    settings = {**KEYS, 'endpoint_url': f'http://{server.address}', 'region_name': 'us-east-1'}
    options = [f'--s3_{name}={value}' for name, value in settings.items()]
    known = {'AWS_ENDPOINT_URL': settings['endpoint_url'], 'AWS_REGION': 'us-east-1'}
    known |= {f'AWS_{name.upper()}': value for name, value in KEYS.items()}
    with mock.patch.dict(os.environ, known):  # of this process; workers have Beam's options alone
      for path in Path(files.folder).glob('Split-*/*.gz'):
        copy(str(path), f's3://bucket/in/Split-{SPLIT}/{path.name}')
      custom = {'payload_format': 'FORMAT_TF_EXAMPLE', 'tfx_version': '1.16.0'}
      source = importer(examples_artifact('s3://bucket/in', [SPLIT], custom))
      published = Published(folder)
      pipeline = tfx.dsl.Pipeline(
        pipeline_name='test',
        pipeline_root='s3://bucket/root',
        components=components(source),
        metadata_connection_config=published.config,
        beam_pipeline_args=[*PORTABLE, *cluster.beam_args, *options],
      )
      tfx.orchestration.LocalDagRunner().run(pipeline)
    found = {key: server.read('bucket', key) for key in server.keys('bucket', 'root/')}
    assert server.uploads('bucket') == []
  expected = {
    node: all_bytes(artifact.uri) for node in OURS for artifact in in_memory.of_node(node)
  }
  return expected, found, cluster.jobs()[before:]


def test_all_components_ran_on_both_task_managers(runs):
  *_, jobs = runs
  assert [(job['state'], job['hosts']) for job in jobs] == [('FINISHED', 2)] * len(OURS)


@pytest.mark.parametrize('node', OURS)
def test_the_bytes_in_s3_are_those_of_a_run_in_memory(runs, node):
  expected, found, _ = runs
  root = f'root/{node}/examples/'
  mine = {
    key.removeprefix(root).partition('/')[2]: data
    for key, data in found.items()
    if key.startswith(root)
  }
  assert mine == expected[node]


def test_no_work_file_is_left(runs):
  _, found, _ = runs
  assert [key for key in found if '.work-' in key] == []
