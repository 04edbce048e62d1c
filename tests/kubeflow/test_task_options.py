"""What tasks are given: checked when it is said."""

import dataclasses

import pytest
from google.protobuf import json_format
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow import SecretKey, TaskOptions

GPU_NODES = {'key': 'gpu', 'operator': 'Exists', 'effect': 'NoSchedule'}

EVERYTHING = TaskOptions(
  cpu=2,
  cpu_limit=4,
  memory_gb=8,
  memory_limit_gb=16.5,
  accelerator='nvidia.com/gpu',
  accelerator_count=2,
  retries=3,
  backoff=10,
  timeout=7200,
  environment={'B': '2', 'A': '1'},
  secrets={
    'AWS_SECRET_ACCESS_KEY': SecretKey('store.keys', 'secret-key'),
    'AWS_ACCESS_KEY_ID': SecretKey('store.keys', 'access-key'),
  },
  secret_files={'/var/secrets/google': 'gcs-reader'},
  image_pull_secrets=['registry.one', 'registry-two'],
  pvcs={'/data': 'records'},
  ephemeral_storage_gb={'/scratch': 200, '/cache': 0.5},
  node_selector={'example.com/pool': 'big'},
  tolerations=[
    GPU_NODES,
    {'key': 'spot', 'value': 'yes', 'effect': 'NoExecute', 'tolerationSeconds': 60},
  ],
  labels={'team': 'a'},
)


def test_nothing_is_asked_for_unless_said():
  options = TaskOptions()
  assert options.retry_policy(0) == {}
  assert options.resources() == {}
  assert options.container_environment() == []
  assert options.kubernetes() == {}


def test_resources_environment_and_retries():
  assert EVERYTHING.resources() == {
    'cpuRequest': 2.0,
    'cpuLimit': 4.0,
    'memoryRequest': 8.0,
    'memoryLimit': 16.5,
    'accelerator': {'type': 'nvidia.com/gpu', 'count': '2'},
  }
  assert TaskOptions(accelerator='NVIDIA_TESLA_T4').resources()['accelerator']['count'] == '1'
  assert EVERYTHING.container_environment() == [
    {'name': 'A', 'value': '1'},
    {'name': 'B', 'value': '2'},
  ]
  assert EVERYTHING.retry_policy(2)['maxRetryCount'] == 3
  assert EVERYTHING.retry_policy(2)['backoffDuration'] == '10s'
  assert TaskOptions(retries=0).retry_policy(2) == {}


def test_what_argo_makes_of_a_retry_policy_is_a_retry():
  """As KFP's compiler hands it on, and Argo's controller reads it.

  backend/src/v2/compiler/argocompiler/container.go of 2.14.0 to 2.17.0: a field that is missing is
  '0', and a factor is written as it is; processNodeRetries of Argo Workflows parses the factor as a
  whole number, and retries only until the longest duration after the first attempt's start.
  """
  policy = TaskOptions().retry_policy(2)
  assert set(policy) == {'maxRetryCount', 'backoffDuration', 'backoffFactor', 'backoffMaxDuration'}
  assert policy['backoffFactor'] == int(policy['backoffFactor']) > 0
  day = 24 * 3600
  assert int(policy['backoffMaxDuration'].removesuffix('s')) > 7 * day


def test_the_platform_specification():
  assert EVERYTHING.kubernetes() == {
    'secretAsEnv': [
      {
        'secretName': 'store.keys',
        'keyToEnv': [{'secretKey': 'access-key', 'envVar': 'AWS_ACCESS_KEY_ID'}],
      },
      {
        'secretName': 'store.keys',
        'keyToEnv': [{'secretKey': 'secret-key', 'envVar': 'AWS_SECRET_ACCESS_KEY'}],
      },
    ],
    'secretAsVolume': [{'secretName': 'gcs-reader', 'mountPath': '/var/secrets/google'}],
    'imagePullSecret': [{'secretName': 'registry.one'}, {'secretName': 'registry-two'}],
    'pvcMount': [{'constant': 'records', 'mountPath': '/data'}],
    'genericEphemeralVolume': [
      {
        'volumeName': 'ephemeral-storage-0',
        'mountPath': '/cache',
        'accessModes': ['ReadWriteOnce'],
        'size': '500000000',
        'defaultStorageClass': True,
      },
      {
        'volumeName': 'ephemeral-storage-1',
        'mountPath': '/scratch',
        'accessModes': ['ReadWriteOnce'],
        'size': '200000000000',
        'defaultStorageClass': True,
      },
    ],
    'nodeSelector': {'labels': {'example.com/pool': 'big'}},
    'tolerations': [
      GPU_NODES,
      {'key': 'spot', 'value': 'yes', 'effect': 'NoExecute', 'tolerationSeconds': '60'},
    ],
    'podMetadata': {'labels': {'team': 'a'}},
    'activeDeadlineSeconds': '7200',
  }


@pytest.mark.parametrize('storage_class', [None, 'fast'])
def test_kfps_protobuf_has_every_field(storage_class):
  executor_config = pytest.importorskip(
    'kfp.kubernetes.kubernetes_executor_config_pb2',
    reason='kfp-kubernetes is not in the lock of TFX 1.16 on Python 3.10',
  )
  options = dataclasses.replace(EVERYTHING, storage_class=storage_class)
  written = options.kubernetes()
  read = json_format.ParseDict(written, executor_config.KubernetesExecutorConfig())
  # Back again it is the same: no field was unknown, none of another type.
  assert json_format.MessageToDict(read) == written


def test_a_tasks_own_options_go_before_those_of_all():
  mine = TaskOptions(cpu=8, environment={'A': 'mine'}, secret_files={'/a': 'one'}, retries=0)
  everywhere = TaskOptions(
    cpu=1,
    memory_gb=2,
    retries=5,
    environment={'A': 'all', 'B': 'all'},
    secrets={'C': SecretKey('s', 'k')},
    tolerations=[GPU_NODES],
  )
  assert mine.over(everywhere) == TaskOptions(
    cpu=8,
    memory_gb=2,
    environment={'A': 'mine', 'B': 'all'},
    secrets={'C': SecretKey('s', 'k')},
    secret_files={'/a': 'one'},
    retries=0,
    tolerations=[GPU_NODES],
  )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    pytest.param({'cpu': 0}, 'cpu=0 must be a finite number above 0', id='cpu'),
    pytest.param({'memory_limit_gb': -1}, 'memory_limit_gb=-1 must be', id='memory'),
    pytest.param({'memory_gb': float('nan')}, 'memory_gb=nan must be', id='nan'),
    pytest.param({'environment': {'A B': '1'}}, "'A B' names no environment", id='variable'),
    pytest.param({'secrets': {'1A': SecretKey('s', 'k')}}, "'1A' names no", id='secret variable'),
    pytest.param({'secret_files': {'a': 'one'}}, "'a' in secret_files is no", id='folder'),
    pytest.param(
      {'secret_files': {'/a': 'One'}}, "'One' is not a valid name of a Kubern", id='secret'
    ),
    pytest.param(
      {'accelerator': 'a gpu'}, "accelerator='a gpu' is not a valid name in", id='accelerator'
    ),
    pytest.param({'accelerator_count': 0}, 'accelerator_count=0 must be a whole', id='count'),
    pytest.param({'retries': -1}, 'retries=-1 must be a whole number from 0', id='retries'),
    pytest.param({'retries': 1 << 31}, 'must be a whole number from 0 to 2147483647', id='many'),
    pytest.param({'backoff': 0.5}, 'backoff=0.5 must be a whole number', id='backoff'),
    pytest.param({'timeout': 0}, 'timeout=0 must be a whole number from 1', id='timeout'),
    pytest.param({'secret_files': {'/a': 'a.b'}}, "'a.b' cannot be mounted: KFP names", id='dot'),
    pytest.param({'secret_files': {'/a': 'a' * 64}}, 'cannot be mounted', id='long'),
    pytest.param({'pvcs': {'/a': 'a.b'}}, "'a.b' cannot be mounted: .*Persistent", id='claim'),
    pytest.param({'pvcs': {'a': 'b'}}, "'a' in pvcs is not an absolute path", id='claim folder'),
    pytest.param(
      {'pvcs': {'/a': 'b'}, 'secret_files': {'/a': 'c'}},
      "'/a' is in secret_files and in pvcs; mount one",
      id='folder twice',
    ),
    pytest.param(
      {'pvcs': {'/a': 'b'}, 'secret_files': {'/c': 'b'}},
      "'b' names a Secret and a Persist",
      id='volume twice',
    ),
    pytest.param({'ephemeral_storage_gb': {'/a': 0}}, r"_gb\['/a'\]=0 must be", id='size'),
    pytest.param({'storage_class': 'Fast'}, 'not a valid name of a Kubernetes Stor', id='class'),
    pytest.param({'image_pull_secrets': 'one'}, "secrets='one' must be a list", id='pull list'),
    pytest.param(
      {'image_pull_secrets': ['a..b']}, "'a..b' is not a valid name of a", id='pull secret'
    ),
    pytest.param(
      {'node_selector': {'a/b/c': '1'}}, "key='a/b/c' is not a valid name", id='selector'
    ),
    pytest.param(
      {'labels': {'a': '-'}}, r"labels\['a'\]='-' is not a valid value of a", id='label'
    ),
    pytest.param({'tolerations': ['gpu']}, "each='gpu' must be a dict", id='toleration'),
    pytest.param({'tolerations': [{'kind': 'a'}]}, "field='kind' is not one of", id='field'),
    pytest.param({'tolerations': [{'key': 'a'}]}, "'Equal' takes a key and a value", id='equal'),
    pytest.param(
      {'tolerations': [{'operator': 'Exists', 'value': 'a'}]}, "'Exists' no value", id='exists'
    ),
    pytest.param({'tolerations': [{**GPU_NODES, 'effect': 'No'}]}, "effect='No' is", id='effect'),
    pytest.param(
      {'tolerations': [{**GPU_NODES, 'tolerationSeconds': 1}]},
      "tolerationSeconds='NoSchedule' is not one of",
      id='seconds',
    ),
  ],
)
def test_options_that_make_no_sense(arguments, message):
  with pytest.raises(ConfigError, match=message):
    TaskOptions(**arguments)


@pytest.mark.parametrize(
  'variable',
  ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID', 'DB_PASSWORD', 'GITHUB_TOKEN', 'my_api_key'],
)
def test_what_sounds_like_a_secret_does_not_go_into_the_pipeline(variable):
  with pytest.raises(ConfigError, match=f'the value of {variable} would be in the compiled'):
    TaskOptions(environment={variable: 'abc'})


def test_a_path_to_credentials_is_no_secret():
  path = {'GOOGLE_APPLICATION_CREDENTIALS': '/var/secrets/google/key.json'}
  assert TaskOptions(environment=path).container_environment()


def test_the_name_of_a_secret_is_checked():
  with pytest.raises(ConfigError, match="'Store_1' is not a valid name of a Kubernetes Secret"):
    SecretKey('Store_1', 'key')


def test_accelerators_of_no_kind_are_an_error():
  with pytest.raises(ConfigError, match='accelerator_count=2 is of no kind of accelerator; give'):
    TaskOptions(accelerator_count=2).resources()
