"""Object stores that KFP's launcher mirrors in local folders."""

import json

import pytest
from tfx_balance.kubeflow import entrypoint, task_artifacts
from tfx_balance.kubeflow.entrypoint import INVOCATION, Invocation, run_task
from tfx_balance.kubeflow.task_artifacts import (
  FOLDERS,
  launcher_is_here,
  make_output_folders,
  task_folders,
  to_remote,
)

from tests.kubeflow.pods import folders_in

KEY = 'mlpipeline/v2/artifacts/digits/1/StratifiedSplitter/examples'


def artifacts(*uris, **more):
  return {'artifacts': [{'uri': uri, **more} for uri in uris]}


def uris(side):
  return [a['uri'] for named in side['artifacts'].values() for a in named['artifacts']]


def test_what_is_inside_an_artifact_comes_back_too():
  given = {
    'inputs': {'artifacts': {'a': artifacts(f's3://{KEY}/a1', f's3://{KEY}/a2')}},
    'outputs': {'artifacts': {'b': artifacts(f's3://{KEY}/b')}},
  }
  metadata = {
    'of': f'/s3/{KEY}/a2',
    'inside': f'/s3/{KEY}/b/Format-Serving',
    'beside': f'/s3/{KEY}/b_2/Format-Serving',
    'elsewhere': '/s3/other',
    'null': None,
  }
  written = {'artifacts': {'b': artifacts(f'/s3/{KEY}/b/part', metadata=metadata)}}
  assert to_remote(written, given, FOLDERS) == {
    'artifacts': {
      'b': artifacts(
        f's3://{KEY}/b/part',
        metadata={
          'of': f's3://{KEY}/a2',
          'inside': f's3://{KEY}/b/Format-Serving',
          'beside': f'/s3/{KEY}/b_2/Format-Serving',
          'elsewhere': '/s3/other',
        },
      )
    }
  }


@pytest.fixture
def pod(monkeypatch):
  monkeypatch.setenv(task_artifacts.POD_NAME, 'digits-1-system-container-impl-123')


def test_a_task_works_in_folders_where_a_launcher_is(pod):
  assert launcher_is_here()
  assert task_folders(workers_are_here=True) == FOLDERS
  assert list(task_folders(workers_are_here=False)) == ['minio://', 's3://']


@pytest.mark.parametrize('name', [None, ''])
def test_without_a_pod_of_kfp_there_is_no_launcher(name, monkeypatch):
  monkeypatch.delenv(task_artifacts.POD_NAME, raising=False)
  if name is not None:
    monkeypatch.setenv(task_artifacts.POD_NAME, name)
  assert not launcher_is_here()
  assert task_folders(workers_are_here=True) == {}


def test_each_output_has_a_folder_in_the_end(tmp_path):
  scheme = 's3://'
  names = ['written', 'empty', 'a_value', 'missing']
  given = {
    'inputs': {'artifacts': {'a': artifacts(f'{scheme}{KEY}/never_downloaded')}},
    'outputs': {'artifacts': {name: artifacts(f'{scheme}{KEY}/{name}') for name in names}},
  }
  for name in ('written', 'empty'):
    (tmp_path / KEY / name).mkdir(parents=True)
  (tmp_path / KEY / 'written' / 'file').write_text('x')
  (tmp_path / KEY / 'a_value').write_text('3')
  for _ in range(2):
    make_output_folders(given, {scheme: f'{tmp_path}/'})
    assert sorted(str(p.relative_to(tmp_path / KEY)) for p in tmp_path.rglob(f'{KEY}/**/*')) == [
      'a_value',
      'empty',
      'missing',
      'written',
      'written/file',
    ]
    assert (tmp_path / KEY / 'missing').is_dir()
    assert (tmp_path / KEY / 'a_value').read_text() == '3'


def test_no_folder_is_made_for_what_a_launcher_does_not_store(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  make_output_folders({'outputs': {'artifacts': {'b': artifacts('mem://b/x', 'b/x')}}}, FOLDERS)
  make_output_folders({'outputs': {'outputFile': 'x'}}, FOLDERS)
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
  ('beam_args', 'direct'),
  [
    pytest.param(['--runner=FnApiRunner'], [], id='in the pod'),
    pytest.param(['--runner', 'apache_beam.runners.DirectRunner'], [], id='by its path'),
    pytest.param([], [], id="Beam's default"),
    pytest.param(['--runner=DataflowRunner', '--project=p'], ['gs://'], id='Dataflow'),
    pytest.param(['--runner', 'FlinkRunner'], ['gs://'], id='Flink'),
  ],
)
@pytest.mark.parametrize('scheme', FOLDERS)
def test_a_task_runs_where_all_workers_reach_its_files(
  beam_args, direct, scheme, pod, tmp_path, monkeypatch
):
  monkeypatch.setattr(entrypoint, 'task_folders', folders_in(tmp_path))
  model, log = {'schemaTitle': 'tfx.Model'}, {'schemaTitle': 'system.Artifact'}
  given = {
    'inputs': {'artifacts': {'a': artifacts(f'{scheme}{KEY}/a', type=model)}},
    'outputs': {
      'outputFile': str(tmp_path / 'output.json'),
      'artifacts': {
        'b': artifacts(f'{scheme}{KEY}/b', type=model),
        'executor-logs': artifacts(f'{scheme}{KEY}/executor-logs', type=log),
      },
    },
  }
  seen = []

  def executor(_, arguments):
    (tmp_path / 'output.json').write_text(json.dumps({'artifacts': {'b': artifacts(f'{root}/b')}}))
    seen.append(Invocation.parse(arguments))

  monkeypatch.setattr(entrypoint, 'run_module', executor)
  root = (scheme if scheme in direct else f'{tmp_path}{FOLDERS[scheme]}') + KEY
  run_task([*beam_args, INVOCATION, json.dumps(given)])
  (call,) = seen
  assert uris(call.executor_input['inputs']) == [f'{root}/a']
  assert uris(call.executor_input['outputs']) == [f'{root}/b']
  assert call.others == tuple(beam_args)
  assert uris(json.loads((tmp_path / 'output.json').read_text())) == [f'{scheme}{KEY}/b']
  assert [p.name for p in tmp_path.glob(f'*/{KEY}/*')] == ['b']  # the launcher writes the log


def test_a_task_that_fails_leaves_no_folder_behind(pod, tmp_path, monkeypatch):
  monkeypatch.setattr(entrypoint, 'task_folders', folders_in(tmp_path))

  def executor(*_):
    raise SystemExit(3)

  monkeypatch.setattr(entrypoint, 'run_module', executor)
  given = {
    'outputs': {
      'outputFile': 'x',
      'artifacts': {'b': artifacts('s3://b/x', type={'schemaTitle': 'tfx.Model'})},
    }
  }
  with pytest.raises(SystemExit, match='3'):
    run_task([INVOCATION, json.dumps(given)])
  assert list(tmp_path.iterdir()) == []
