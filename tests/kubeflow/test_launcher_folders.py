"""Object stores that KFP's launcher mirrors in local folders."""

import pytest
from tfx_balance.kubeflow import task_artifacts
from tfx_balance.kubeflow.task_artifacts import launcher_is_here, local_path, to_local, to_remote

KEY = 'mlpipeline/v2/artifacts/digits/1/StratifiedSplitter/examples'


def artifacts(*uris, **more):
  return {'artifacts': [{'uri': uri, **more} for uri in uris]}


def message(scheme='minio://'):
  return {
    'inputs': {
      'parameterValues': {'input_base': 'minio://bucket/data'},
      'artifacts': {'a': artifacts(f'{scheme}{KEY}/a1', f'{scheme}{KEY}/a2')},
    },
    'outputs': {
      'outputFile': '/tmp/kfp_outputs/output_metadata.json',
      'artifacts': {'b': artifacts(f'{scheme}{KEY}/b', metadata={'x': 1.0})},
    },
  }


def uris(side):
  return [a['uri'] for named in side['artifacts'].values() for a in named['artifacts']]


@pytest.mark.parametrize(
  ('uri', 'path'),
  [
    (f'minio://{KEY}', f'/minio/{KEY}'),
    (f's3://{KEY}', f'/s3/{KEY}'),
    (f'gs://{KEY}', f'gs://{KEY}'),
    (f'/data/{KEY}', f'/data/{KEY}'),
    ('my-minio://x', 'my-minio://x'),
  ],
)
def test_local_path(uri, path):
  assert local_path(uri) == path


@pytest.mark.parametrize('scheme', ['minio://', 's3://'])
def test_artifacts_go_to_the_folders_and_come_back(scheme):
  given = message(scheme)
  local = to_local(given)
  folder = scheme.replace('://', '/')
  assert uris(local['inputs']) == [f'/{folder}{KEY}/a1', f'/{folder}{KEY}/a2']
  assert uris(local['outputs']) == [f'/{folder}{KEY}/b']
  assert local['inputs']['parameterValues'] == given['inputs']['parameterValues']
  assert local['outputs']['outputFile'] == given['outputs']['outputFile']

  written = {
    'artifacts': {
      'b': artifacts(
        f'/{folder}{KEY}/b', name='b', metadata={'model': f'/{folder}{KEY}/a2', 'n': 1.0}
      )
    },
    'parameterValues': {'span': 0.0},
  }
  assert to_remote(written, given) == {
    'artifacts': {
      'b': artifacts(
        f'{scheme}{KEY}/b', name='b', metadata={'model': f'{scheme}{KEY}/a2', 'n': 1.0}
      )
    },
    'parameterValues': {'span': 0.0},
  }


def test_the_launcher_is_where_its_folders_are(tmp_path, monkeypatch):
  monkeypatch.setattr(task_artifacts, 'FOLDERS', {'minio://': f'{tmp_path}/'})
  assert not launcher_is_here(message())
  (tmp_path / KEY).mkdir(parents=True)
  assert launcher_is_here(message())
  assert not launcher_is_here(message('gs://'))
  assert not launcher_is_here({'outputs': {'outputFile': 'x'}})
  assert not launcher_is_here({})
