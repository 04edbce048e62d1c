"""What tasks are given: checked when it is said."""

import pytest
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow import SecretKey, TaskOptions


def test_nothing_is_asked_for_unless_said():
  options = TaskOptions()
  assert options.resources() == {}
  assert options.container_environment() == []
  assert options.kubernetes() == {}


def test_everything():
  options = TaskOptions(
    cpu=2,
    cpu_limit=4,
    memory_gb=8,
    memory_limit_gb=16.5,
    environment={'B': '2', 'A': '1'},
    secrets={
      'AWS_SECRET_ACCESS_KEY': SecretKey('store', 'secret-key'),
      'AWS_ACCESS_KEY_ID': SecretKey('store', 'access-key'),
    },
    secret_files={'/var/secrets/google': 'gcs.reader'},
  )
  assert options.resources() == {
    'cpuRequest': 2.0,
    'cpuLimit': 4.0,
    'memoryRequest': 8.0,
    'memoryLimit': 16.5,
  }
  assert options.container_environment() == [
    {'name': 'A', 'value': '1'},
    {'name': 'B', 'value': '2'},
  ]
  assert options.kubernetes() == {
    'secretAsEnv': [
      {
        'secretName': 'store',
        'keyToEnv': [{'secretKey': 'access-key', 'envVar': 'AWS_ACCESS_KEY_ID'}],
        'optional': False,
      },
      {
        'secretName': 'store',
        'keyToEnv': [{'secretKey': 'secret-key', 'envVar': 'AWS_SECRET_ACCESS_KEY'}],
        'optional': False,
      },
    ],
    'secretAsVolume': [
      {'secretName': 'gcs.reader', 'mountPath': '/var/secrets/google', 'optional': False}
    ],
  }


def test_a_tasks_own_options_go_before_those_of_all():
  mine = TaskOptions(cpu=8, environment={'A': 'mine'}, secret_files={'/a': 'one'})
  everywhere = TaskOptions(
    cpu=1, memory_gb=2, environment={'A': 'all', 'B': 'all'}, secrets={'C': SecretKey('s', 'k')}
  )
  assert mine.over(everywhere) == TaskOptions(
    cpu=8,
    memory_gb=2,
    environment={'A': 'mine', 'B': 'all'},
    secrets={'C': SecretKey('s', 'k')},
    secret_files={'/a': 'one'},
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
    pytest.param({'secret_files': {'/a': 'One'}}, "'One' is no name of a Kubern", id='secret'),
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
  with pytest.raises(ConfigError, match="'Store_1' is no name of a Kubernetes Secret"):
    SecretKey('Store_1', 'key')
