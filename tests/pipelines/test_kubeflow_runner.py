"""The sample pipeline compiled for Kubeflow, as a person does it."""

import json
import os
from pathlib import Path
from unittest import mock

import pytest
import yaml

from pipelines import kubeflow_runner

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _environment_as_before():
  with mock.patch.dict(os.environ):
    yield


def compiled(tmp_path, *arguments):
  output = tmp_path / 'digits.yaml'
  command = ['--image', 'registry/tfx-balance:1', '--output', str(output), *arguments]
  assert kubeflow_runner.main(command) == 0
  return output.read_text()


def tasks(spec):
  return spec['root']['dag']['tasks']


def parameters(spec):
  """Returns (task, parameter) to its constant."""
  return {
    (name, key): value['runtimeValue']['constant']
    for name, task in tasks(spec).items()
    for key, value in task['inputs']['parameters'].items()
  }


def test_the_digits_are_in_the_image(tmp_path, capsys):
  text = compiled(tmp_path)
  (spec,) = yaml.safe_load_all(text)
  found = parameters(spec)
  assert found['ImportExampleGen', 'input_base'] == '/app/data/digits/long-tail'
  assert found['ImportSchemaGen', 'schema_file'] == '/app/schemas/digits/schema.pbtxt'
  assert 'defaultPipelineRoot' not in spec
  for path in (ROOT, tmp_path, Path.home()):
    assert str(path) not in text
  for executor in spec['deploymentSpec']['executors'].values():
    assert '--runner=FnApiRunner' in executor['container']['args']
    assert 'resources' not in executor['container']
  assert {name for name, task in tasks(spec).items() if 'retryPolicy' in task} == {
    'StratifiedSplitter',
    'BalancedAugmenter',
    'BalancedInputGen',
    'BalanceValidator',
    'ClassDistributionValidator',
  }
  assert capsys.readouterr().out == f'{tmp_path}/digits.yaml\n'


def test_each_fold_has_tasks_of_its_own(tmp_path):
  (spec,) = yaml.safe_load_all(compiled(tmp_path, '--folds', '2'))
  for kind in ('Transform', 'BalancedInputGen', 'Trainer', 'Evaluator'):
    assert {f'{kind}_0', f'{kind}_1'} <= set(tasks(spec))
    assert kind not in tasks(spec)
  assert parameters(spec)['StratifiedSplitter', 'folds'] == 2


def test_own_data_in_a_bucket_with_secrets(tmp_path):
  text = compiled(
    tmp_path,
    *('--name', 'flowers', '--examples', 'gs://bucket/flowers', '--file_kind', 'csv'),
    *('--label', 'species', '--pipeline_root', 'gs://bucket/root', '--seed', '7'),
    *('--cpu', '2', '--memory_gb', '8', '--secret', 'KEY_ID=store/key-id'),
    *('--secret_file', '/var/secrets/google=gcs', '--image_pull_secret', 'registry'),
    *('--ignore', 'id', '--ignore', 'day'),
    *('--retries', '1', '--runner=DataflowRunner', '--project=mine'),
  )
  spec, platform = yaml.safe_load_all(text)
  found = parameters(spec)
  assert spec['pipelineInfo']['name'] == 'flowers'
  assert spec['defaultPipelineRoot'] == 'gs://bucket/root'
  assert found['CsvExampleGen', 'input_base'] == 'gs://bucket/flowers'
  assert found['StratifiedSplitter', 'stratify_by'] == 'species'
  assert found['StratifiedSplitter', 'seed'] == 7
  assert json.loads(found['Transform', 'custom_config'])['ignore'] == ['id', 'day']
  container = spec['deploymentSpec']['executors']['StratifiedSplitter_executor']['container']
  assert container['resources'] == {'cpuRequest': 2.0, 'memoryRequest': 8.0}
  assert {'--runner=DataflowRunner', '--project=mine'} <= set(container['args'])
  assert '--runner=FnApiRunner' not in container['args']
  config = platform['platforms']['kubernetes']['deploymentSpec']['executors']['Trainer_executor']
  assert {task['retryPolicy']['maxRetryCount'] for task in tasks(spec).values()} == {1}
  assert config['imagePullSecret'] == [{'secretName': 'registry'}]
  assert config['secretAsEnv'][0]['secretName'] == 'store'
  assert config['secretAsVolume'][0] == {
    'secretName': 'gcs',
    'mountPath': '/var/secrets/google',
  }


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--examples', 'gs://bucket/data'], '--examples is given without --label'),
    (['--output', 'digits.json'], 'must end in .yaml'),
    (['--memory_gb', '-1'], 'memory_gb=-1.0 must be'),
    (['--secret', 'KEY_ID'], 'write it as VARIABLE=NAME/KEY'),
    (['--secret', 'KEY_ID=store'], 'write it as VARIABLE=NAME/KEY'),
    (['--secret_file', '/var/secrets'], 'write it as FOLDER=NAME'),
  ],
)
def test_arguments_that_make_no_sense(arguments, message, capsys):
  with pytest.raises(SystemExit, match='2'):
    kubeflow_runner.main(['--image', 'image', *arguments])
  assert message in capsys.readouterr().err


def test_the_image_has_what_the_runner_names():
  dockerfile = (ROOT / 'docker' / 'Dockerfile').read_text()
  assert f"write_digits(Path('{Path(kubeflow_runner.IMAGE_DIGITS).parent}'))" in dockerfile
  assert 'COPY schemas /app/schemas' in dockerfile
  schema = Path(kubeflow_runner.IMAGE_SCHEMA).relative_to('/app')
  assert (ROOT / schema).is_file()
