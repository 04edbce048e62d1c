"""Compiled tasks run with what each kind of Kubeflow hands over, by our entrypoint and by TFX's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tfx.v1 as tfx
from tfx_balance import StratifiedSplitter
from tfx_balance.kubeflow import compile_pipeline, entrypoint, task_artifacts
from tfx_balance.kubeflow.entrypoint import (
  DRIVER,
  OUTPUTS_SPEC,
  TFX_MODULE,
  Invocation,
  run_module,
  run_task,
)

from tests.helpers_examples import cells, labelled, read_splits, write_tfrecords
from tests.helpers_pipeline import IN_MEMORY
from tests.kubeflow.helpers_kubeflow import KfpLocal, OpenSourceKfp, VertexAi, load_package

ROOT = Path(__file__).parent.parent.parent
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


def assert_right(backend, uri):
  """Every task ran, and what they published is all there."""
  assert list(backend.told) == TASKS
  examples = backend.published['ImportExampleGen', 'examples']['metadata']
  assert examples['custom:span'] == 3
  assert examples['input_fingerprint'].startswith('split:all,num_files:1')
  split = backend.published['StratifiedSplitter', 'examples']
  assert json.loads(split['metadata']['split_names']) == ['train', 'test']
  for name in ('custom:span', 'payload_format', 'file_format'):
    assert split['metadata'][name] == examples[name]
  assert cells(read_splits(uri(split['uri']))) == CELLS
  statistics = backend.published['StatisticsGen', 'statistics']
  assert json.loads(statistics['metadata']['split_names']) == ['train', 'test']
  assert sorted(p.name for p in Path(uri(statistics['uri'])).iterdir()) == [
    'Split-test',
    'Split-train',
  ]


@pytest.mark.parametrize('backend_class', [OpenSourceKfp, KfpLocal])
def test_a_pipeline_runs(backend_class, spec, tmp_path):
  backend = backend_class(spec, str(tmp_path / 'root'), tmp_path)
  backend.run(run_task)
  assert_right(backend, str)


@pytest.mark.parametrize(
  ('backend_class', 'error', 'message'),
  [
    (OpenSourceKfp, AttributeError, "'NoneType' object has no attribute 'get'"),
    (KfpLocal, ImportError, r'Could not import system\.Artifact'),
  ],
)
def test_by_tfxs_own_entrypoint_the_first_consumer_fails(
  backend_class, error, message, spec, tmp_path
):
  spec = json.loads(json.dumps(spec).replace('span-{SPAN}', 'span-3'))  # nor does the driver run
  backend = backend_class(spec, str(tmp_path / 'root'), tmp_path)
  with pytest.raises(error, match=message):
    backend.run(by_tfx)
  assert list(backend.told) == TASKS[:2]
  assert list(backend.published) == [('ImportExampleGen', 'examples')]


def test_a_pipeline_runs_in_the_launchers_folders(spec, tmp_path, monkeypatch):
  folder = tmp_path / 'launcher'
  folders = {'minio://': f'{folder}/minio/', 'gs://': f'{folder}/gcs/'}
  monkeypatch.setattr(task_artifacts, 'FOLDERS', folders)
  monkeypatch.setenv(task_artifacts.POD_NAME, 'small-1')

  class InPod(OpenSourceKfp):
    def run_one(self, name, run):
      (folder / 'gcs' / 'bucket' / 'root' / name).mkdir(parents=True)  # as the launcher does
      super().run_one(name, run)
      self.root = 'gs://bucket/root'  # of the next run, which has the first task from the cache

  backend = InPod(spec, 'minio://bucket/root', tmp_path)
  backend.run(run_task)
  assert backend.published['ImportExampleGen', 'examples']['uri'].startswith('minio://bucket/root/')
  assert backend.published['StatisticsGen', 'statistics']['uri'].startswith('gs://bucket/root/')
  assert str(folder) not in json.dumps(list(backend.published.values()))
  assert_right(backend, lambda uri: uri.replace('gs://', folders['gs://']))


def test_on_vertex_ai_tfxs_entrypoint_gets_what_ours_got(spec, tmp_path, monkeypatch):
  called = []
  monkeypatch.setattr(entrypoint, 'run_module', lambda name, args: called.append((name, args)))
  backend = VertexAi(spec, 'gs://bucket/root', tmp_path)
  for name in TASKS:
    told = backend.executor_input(name)
    arguments = backend.arguments(name, told)
    Path(told['outputs']['outputFile']).parent.mkdir(parents=True)
    Path(told['outputs']['outputFile']).write_text('{}')  # the driver has run before
    run_task(arguments)
    (module, passed) = called.pop()
    assert not called
    assert module == TFX_MODULE
    given, found = Invocation.parse(arguments), Invocation.parse(passed)
    assert found.executor_input == given.executor_input == told
    assert found.inputs_spec == given.inputs_spec
    assert (found.outputs_spec, found.driver) == ({}, None)
    assert found.others == given.others
    assert set(IN_MEMORY) <= set(found.others)
    for key in backend.component(name)['outputDefinitions']['artifacts']:
      backend.published[name, key] = {'name': '9', 'uri': f'gs://bucket/{name}', 'metadata': {}}


def test_a_task_as_a_process(spec, tmp_path):
  backend = OpenSourceKfp(spec, str(tmp_path / 'root'), tmp_path)
  command = backend.container('ImportExampleGen')['command']
  environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3'}

  def run_process(arguments):
    subprocess.run(
      [sys.executable, *command[1:], *arguments],
      check=True,
      env=environment,
      cwd=tmp_path,
      capture_output=True,
      text=True,
    )

  backend.run_one('ImportExampleGen', run_process)
  assert backend.published['ImportExampleGen', 'examples']['metadata']['custom:span'] == 3

  backend.spec = json.loads(json.dumps(spec).replace('"label"', '"no such feature"'))
  with pytest.raises(subprocess.CalledProcessError) as failed:
    backend.run_one('StratifiedSplitter', run_process)
  assert "feature 'no such feature' is in none of the 48 records" in failed.value.stderr


def test_a_modules_exit_code_is_not_lost(tmp_path, monkeypatch):
  (tmp_path / 'ends_badly.py').write_text('import sys; sys.exit(int(sys.argv[1]))\n')
  monkeypatch.syspath_prepend(tmp_path)
  before = list(sys.argv)
  run_module('ends_badly', ['0'])
  with pytest.raises(SystemExit, match='3'):
    run_module('ends_badly', ['3'])
  assert sys.argv == before
