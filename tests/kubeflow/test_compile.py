"""What a pipeline is compiled to, and that kfp's own client reads it."""

import json

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.protobuf import json_format
from kfp import components
from kfp.client.client import _extract_pipeline_yaml
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow import SecretKey, TaskOptions, compile_pipeline
from tfx_balance.kubeflow.entrypoint import TFX_MODULE

from tests.kubeflow.helpers_compile import load_package, make_pipeline

BEAM_ARGS = ['--runner=FnApiRunner', '--direct_num_workers=1']
RUN_FN = 'pipelines.digits_model.run_fn'


@pytest.fixture(scope='module')
def package(tmp_path_factory):
  """A pipeline compiled with all there is to say."""
  path = tmp_path_factory.mktemp('package') / 'small.yaml'
  pipeline = make_pipeline(
    'gs://bucket/root', {'run_fn': RUN_FN}, beam_pipeline_args=BEAM_ARGS, enable_cache=True
  )
  resources = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec
  pipeline.components[2].with_platform_config(resources(cpu_limit=3.0, memory_limit=5.0))
  everywhere = TaskOptions(memory_gb=2, secrets={'KEY_ID': SecretKey('store', 'key-id')})
  trainer = TaskOptions(
    cpu=1.5,
    memory_limit_gb=9,
    accelerator='nvidia.com/gpu',
    environment={'LEVEL': '2'},
    retries=1,
    backoff=5,
    timeout=3600,
  )
  written = compile_pipeline(
    pipeline, str(path), 'registry/image:1', everywhere, {'Trainer': trainer}
  )
  assert written == str(path)
  return path


def container(spec, task):
  component = spec['components'][spec['root']['dag']['tasks'][task]['componentRef']['name']]
  return spec['deploymentSpec']['executors'][component['executorLabel']]['container']


def option(arguments, name):
  return arguments[arguments.index(name) + 1]


def test_kfps_client_and_its_local_runner_read_it(package):
  spec, platform = load_package(package)
  document = _extract_pipeline_yaml(str(package))
  assert json_format.MessageToDict(document.pipeline_spec) == spec
  assert json_format.MessageToDict(document.platform_spec) == platform
  component = components.load_component_from_file(str(package))
  assert list(component.component_spec.inputs) == ['seed']


def test_vertex_ais_client_reads_it(tmp_path):
  path = compile_pipeline(make_pipeline('gs://bucket/root'), str(tmp_path / 'small.yaml'), 'image')
  job = aiplatform.PipelineJob(
    display_name='small',
    template_path=path,
    pipeline_root='gs://bucket/root',
    parameter_values={'seed': 3},
    project='project',
    location='us-central1',
    credentials=AnonymousCredentials(),
  )
  spec = json_format.MessageToDict(job._gca_resource._pb)
  assert spec['pipelineSpec'] == load_package(path)[0]
  assert spec['runtimeConfig']['parameterValues'] == {'seed': 3.0}


def test_every_task_calls_the_entrypoint_with_what_the_component_declares(package):
  spec = load_package(package)[0]
  assert list(spec['root']['dag']['tasks']) == ['ImportExampleGen', 'StratifiedSplitter', 'Trainer']
  for name in spec['root']['dag']['tasks']:
    component = spec['components'][f'comp-{name}']
    found = container(spec, name)
    assert found['image'] == 'registry/image:1'
    assert found['command'] == ['python', '-m', 'tfx_balance.kubeflow.entrypoint']
    arguments = found['args']
    assert option(arguments, '--json_serialized_invocation_args') == '{{$}}'
    inputs = json.loads(option(arguments, '--json_serialized_inputs_spec_args'))
    assert inputs == component['inputDefinitions']
    outputs = json.loads(option(arguments, '--json_serialized_outputs_spec_args'))
    assert outputs == component['outputDefinitions']


def test_a_file_based_example_gen_names_its_driver(package):
  spec = load_package(package)[0]
  arguments = container(spec, 'ImportExampleGen')['args']
  driver = option(arguments, '--pre_cache_check')
  assert driver == 'tfx.orchestration.kubeflow.v2.file_based_example_gen.driver'
  assert '--pre_cache_check' not in container(spec, 'StratifiedSplitter')['args']
  assert 'lifecycle' in container(spec, 'ImportExampleGen')  # Vertex AI runs it from there


def test_beam_arguments_caching_parameters_and_the_root_pass_through(package):
  spec = load_package(package)[0]
  for name, task in spec['root']['dag']['tasks'].items():
    beam = [a for a in container(spec, name)['args'] if a in BEAM_ARGS]
    assert beam == BEAM_ARGS
    assert task['cachingOptions'] == {'enableCache': True}
  assert spec['root']['inputDefinitions']['parameters'] == {
    'seed': {'parameterType': 'NUMBER_INTEGER', 'defaultValue': 7, 'isOptional': True}
  }
  seed = spec['root']['dag']['tasks']['StratifiedSplitter']['inputs']['parameters']['seed']
  assert seed == {'componentInputParameter': 'seed'}
  assert spec['defaultPipelineRoot'] == 'gs://bucket/root'


def test_resources_environment_and_secrets(package):
  spec, platform = load_package(package)
  assert container(spec, 'StratifiedSplitter')['resources'] == {'memoryRequest': 2.0}
  assert container(spec, 'Trainer')['resources'] == {
    'cpuRequest': 1.5,
    'cpuLimit': 3.0,  # from the pipeline
    'memoryRequest': 2.0,
    'memoryLimit': 9.0,
    'accelerator': {'type': 'nvidia.com/gpu', 'count': '1'},
  }
  assert container(spec, 'Trainer')['env'] == [{'name': 'LEVEL', 'value': '2'}]
  assert 'env' not in container(spec, 'StratifiedSplitter')
  executors = platform['platforms']['kubernetes']['deploymentSpec']['executors']
  assert set(executors) == set(spec['deploymentSpec']['executors'])
  (secret,) = executors['Trainer_executor']['secretAsEnv']
  assert secret['secretName'] == 'store'
  assert secret['keyToEnv'] == [{'secretKey': 'key-id', 'envVar': 'KEY_ID'}]
  assert executors['Trainer_executor']['activeDeadlineSeconds'] == '3600'


def test_components_of_this_package_are_retried_and_others_where_it_is_asked_for(package):
  tasks = load_package(package)[0]['root']['dag']['tasks']
  found = {name: task.get('retryPolicy') for name, task in tasks.items()}
  within = {'backoffFactor': 2.0, 'backoffMaxDuration': '2592000s'}
  assert found == {
    'ImportExampleGen': None,
    'StratifiedSplitter': {'maxRetryCount': 2, 'backoffDuration': '60s', **within},
    'Trainer': {'maxRetryCount': 1, 'backoffDuration': '5s', **within},
  }


def test_without_secrets_there_is_one_document_and_no_root(tmp_path):
  path = tmp_path / 'folder' / 'small.yaml'
  compile_pipeline(make_pipeline(str(tmp_path)), str(path), 'image')
  (spec,) = load_package(path)
  assert 'defaultPipelineRoot' not in spec
  assert str(tmp_path) not in path.read_text()
  compile_pipeline(make_pipeline(str(tmp_path)), str(tmp_path / 'again.yaml'), 'image')
  assert (tmp_path / 'again.yaml').read_text() == path.read_text()


def test_images_by_task(tmp_path):
  path = str(tmp_path / 'small.yaml')
  images = {'default_image_path': 'image:1', 'StratifiedSplitter': 'image:2'}
  compile_pipeline(make_pipeline(), path, images)
  spec = load_package(path)[0]
  assert container(spec, 'ImportExampleGen')['image'] == 'image:1'
  assert container(spec, 'StratifiedSplitter')['image'] == 'image:2'


@pytest.mark.parametrize('output', ['small.json', 'small', 'yaml'])
def test_only_the_form_that_kfp_runs_is_written(tmp_path, output):
  with pytest.raises(ConfigError, match=r'must end in \.yaml'):
    compile_pipeline(make_pipeline(), str(tmp_path / output), 'image')


def test_options_of_a_task_that_is_not_there_are_an_error(tmp_path):
  with pytest.raises(
    ConfigError, match=r"names 'Splitter', which is not a task; there are \['Import"
  ):
    compile_pipeline(
      make_pipeline(), str(tmp_path / 'x.yaml'), 'image', task_options={'Splitter': TaskOptions()}
    )


def test_tfxs_entrypoint_is_where_we_look_for_it():
  assert kubeflow_v2_run_executor.__name__ == TFX_MODULE
