"""Compiled tasks of real components with what KFP hands over, by our entrypoint and by TFX's."""

import json
import sys
from pathlib import Path

import pytest
import tfx.v1 as tfx
from tfx_balance import StratifiedSplitter
from tfx_balance.kubeflow import compile_pipeline
from tfx_balance.kubeflow.entrypoint import DRIVER, OUTPUTS_SPEC, TFX_MODULE, run_module

from tests.helpers_examples import cells, labelled, read_splits, write_tfrecords
from tests.helpers_pipeline import IN_MEMORY
from tests.kubeflow.helpers_compile import load_package
from tests.kubeflow.launcher_double import Launcher, MemoryBucket
from tests.kubeflow.launcher_versions import KFP_2_14, KFP_2_17, KFP_LOCAL, KFP_NEXT
from tests.kubeflow.pods import run_here

TASKS = ['ImportExampleGen', 'StratifiedSplitter', 'StatisticsGen']
CELLS = {(0, 'train'): 30, (0, 'test'): 10, (1, 'train'): 6, (1, 'test'): 2}


@pytest.fixture(scope='module')
def spec(tmp_path_factory):
  """A compiled pipeline of a file-based ExampleGen, ours, and a stock consumer of ours."""
  folder = tmp_path_factory.mktemp('compiled')
  write_tfrecords(folder / 'in' / 'span-3' / 'a.tfrecord.gz', labelled({0: 40, 1: 8}))
  one_split = tfx.proto.Input(splits=[tfx.proto.Input.Split(name='all', pattern='span-{SPAN}/*')])
  same_split = tfx.proto.Output(
    split_config=tfx.proto.SplitConfig(
      splits=[tfx.proto.SplitConfig.Split(name='all', hash_buckets=1)]
    )
  )
  example_gen = tfx.components.ImportExampleGen(
    input_base=str(folder / 'in'), input_config=one_split, output_config=same_split
  )
  splitter = StratifiedSplitter(
    examples=example_gen.outputs['examples'], splits={'train': 3, 'test': 1}
  )
  statistics_gen = tfx.components.StatisticsGen(examples=splitter.outputs['examples'])
  pipeline = tfx.dsl.Pipeline(
    pipeline_name='small',
    pipeline_root='',
    components=[example_gen, splitter, statistics_gen],
    beam_pipeline_args=list(IN_MEMORY),
  )
  return load_package(compile_pipeline(pipeline, str(folder / 'small.yaml'), 'image'))[0]


def by_tfx(arguments):
  """Runs a task by TFX's own entrypoint, without the arguments that it does not have."""
  arguments = list(arguments)
  for name in (OUTPUTS_SPEC, DRIVER):
    if name in arguments:
      del arguments[arguments.index(name) : arguments.index(name) + 2]
  run_module(TFX_MODULE, arguments)


RUNS = [
  pytest.param(KFP_2_14, 'minio://bucket/runs', id='in a cluster'),
  pytest.param(KFP_LOCAL, '', id='kfp.local'),
]


def start(spec, version, root, folder):
  """Returns a launcher and its bucket, or a folder as the root where the root is empty."""
  bucket = MemoryBucket()
  buckets = {root.rpartition('/')[0]: bucket}
  return Launcher(spec, version, root or str(folder / 'root'), buckets, folder / 'pods'), bucket


@pytest.mark.parametrize(('version', 'root'), RUNS)
def test_a_pipeline_runs(version, root, spec, tmp_path):
  launcher, bucket = start(spec, version, root, tmp_path)
  launcher.run(run_here)

  for name, data in bucket.objects.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(data)

  def uri(artifact):
    return Path(artifact['uri'].replace(root, str(tmp_path / 'runs')) if root else artifact['uri'])

  assert list(launcher.messages) == TASKS
  examples = launcher.published['ImportExampleGen', 'examples']
  assert examples['metadata']['custom:span'] == 3
  assert examples['metadata']['input_fingerprint'].startswith('split:all,num_files:1')
  split = launcher.published['StratifiedSplitter', 'examples']
  assert json.loads(split['metadata']['split_names']) == ['train', 'test']
  for name in ('custom:span', 'payload_format', 'file_format'):
    assert split['metadata'][name] == examples['metadata'][name]
  assert cells(read_splits(uri(split))) == CELLS
  statistics = launcher.published['StatisticsGen', 'statistics']
  assert json.loads(statistics['metadata']['split_names']) == ['train', 'test']
  assert sorted(p.name for p in uri(statistics).iterdir()) == ['Split-test', 'Split-train']


@pytest.mark.parametrize(
  ('version', 'error', 'message'),
  [
    pytest.param(KFP_2_17, AttributeError, "'NoneType' object has no attribute 'get'", id='2.17.0'),
    pytest.param(KFP_NEXT, ImportError, 'Could not import title: tfx.Examples', id='next'),
    pytest.param(KFP_LOCAL, ImportError, r'Could not import system\.Artifact', id='kfp.local'),
  ],
)
def test_by_tfxs_own_entrypoint_a_task_with_an_input_fails(version, error, message, spec, tmp_path):
  root = 's3://bucket/runs' if version.has_launcher else ''
  launcher, _ = start(spec, version, root, tmp_path)
  first = launcher.executor_input('ImportExampleGen')
  (examples,) = first['outputs']['artifacts']['examples']['artifacts']
  launcher.publish('ImportExampleGen', {'examples': examples})
  with pytest.raises(error, match=message):
    launcher.run_task('StratifiedSplitter', lambda pod: by_tfx(pod.arguments))


def test_a_modules_exit_code_is_not_lost(tmp_path, monkeypatch):
  (tmp_path / 'ends_badly.py').write_text('import sys; sys.exit(int(sys.argv[1]))\n')
  monkeypatch.syspath_prepend(tmp_path)
  before = list(sys.argv)
  run_module('ends_badly', ['0'])
  with pytest.raises(SystemExit, match='3'):
    run_module('ends_badly', ['3'])
  assert sys.argv == before
