"""Types of artifacts, from the component's specification where KFP hands over none."""

import copy

import pytest
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow.task_artifacts import has_type, resolve_types

EXAMPLES = {'instanceSchema': 'title: tfx.Examples\ntype: object\n'}
MODEL = {'instanceSchema': 'title: tfx.Model\ntype: object\n'}
SPEC = {
  'artifacts': {'examples': {'artifactType': EXAMPLES}, 'model': {'artifactType': MODEL}},
  'parameters': {'seed': {'parameterType': 'NUMBER_INTEGER'}},
}
MISSING = [
  pytest.param({'instanceSchema': ''}, id='in a cluster'),
  pytest.param({'schemaTitle': 'system.Artifact', 'schemaVersion': '0.0.1'}, id='kfp.local'),
  pytest.param({'schemaTitle': 'system.Dataset'}, id='of a KFP component'),
  pytest.param({}, id='empty'),
  pytest.param(None, id='none'),
]


def message(type_schema, **artifact):
  """Returns an ExecutorInput with one artifact on each side."""
  given = {'uri': 'gs://bucket/x', 'type': type_schema, **artifact}
  if type_schema is None:
    del given['type']
  return {
    'inputs': {
      'parameterValues': {'seed': 3},
      'artifacts': {'examples': {'artifacts': [dict(given)]}},
    },
    'outputs': {'outputFile': '/tmp/x.json', 'artifacts': {'model': {'artifacts': [dict(given)]}}},
  }


def only(executor_input, side, name):
  (artifact,) = executor_input[side]['artifacts'][name]['artifacts']
  return artifact


@pytest.mark.parametrize('type_schema', MISSING)
def test_a_missing_type_is_the_declared_one(type_schema):
  resolved = resolve_types(message(type_schema), SPEC, SPEC)
  assert only(resolved, 'inputs', 'examples')['type'] == EXAMPLES
  assert only(resolved, 'outputs', 'model')['type'] == MODEL
  assert resolved['inputs']['parameterValues'] == {'seed': 3}
  assert resolved['outputs']['outputFile'] == '/tmp/x.json'


@pytest.mark.parametrize(
  'type_schema',
  [
    pytest.param({'schemaTitle': 'tfx.Model'}, id='title'),
    pytest.param({'instanceSchema': 'title: tfx.Model\n'}, id='schema'),
    pytest.param({'schemaTitle': 'my.package.Artifact'}, id="somebody's own"),
    pytest.param({'instanceSchema': 'type: object\n'}, id='schema without a title'),
  ],
)
@pytest.mark.parametrize('spec', [pytest.param(SPEC, id='declared'), pytest.param({}, id='not')])
def test_a_type_that_is_there_stays(type_schema, spec):
  given = message(type_schema, name='7', metadata={'a': {'list': [1]}})
  before = copy.deepcopy(given)
  assert resolve_types(given, spec, spec) == before
  assert given == before


@pytest.mark.parametrize('side', ['inputs', 'outputs'])
def test_a_type_that_nobody_knows_is_an_error(side):
  given = message({'schemaTitle': 'tfx.Model'})
  (artifacts,) = given[side]['artifacts'].values()
  artifacts['artifacts'][0]['type'] = {'instanceSchema': ''}
  (name,) = given[side]['artifacts']
  with pytest.raises(ConfigError, match=f'{side[:-1]} {name!r} .* compile the pipeline with'):
    resolve_types(given, {}, {})


def test_a_log_that_kfp_publishes_is_left_to_it():
  given = message(EXAMPLES)
  log = {'artifacts': [{'uri': 'minio://b/log', 'type': {'schemaTitle': 'system.Artifact'}}]}
  given['outputs']['artifacts']['executor-logs'] = log
  assert list(resolve_types(given, SPEC, SPEC)['outputs']['artifacts']) == ['model']


def test_tasks_without_artifacts_are_left_alone():
  given = {'inputs': {'parameterValues': {'seed': 3}}, 'outputs': {'outputFile': '/tmp/x'}}
  assert resolve_types(given, SPEC, SPEC) == given
  assert resolve_types({}, SPEC, SPEC) == {'inputs': {}, 'outputs': {}}


def test_several_artifacts_of_one_input_are_all_typed():
  given = message({'instanceSchema': ''})
  given['inputs']['artifacts']['examples']['artifacts'] *= 3
  resolved = resolve_types(given, SPEC, SPEC)['inputs']['artifacts']['examples']['artifacts']
  assert [artifact['type'] for artifact in resolved] == [EXAMPLES] * 3


METADATA = {
  'split_names': '["train"]',
  'span': 3.0,
  'names': {'list': ['a', 'b']},
  'nested': {'struct': {'list': [1.0]}},
  'looks so': {'list': 'no list'},
  'two': {'list': [], 'struct': {}},
}
UNWRAPPED = {
  **METADATA,
  'names': ['a', 'b'],
  'nested': {'list': [1.0]},
}


def test_the_wrapping_of_kfps_metadata_store_is_taken_off():
  given = message({'instanceSchema': ''}, metadata=METADATA)
  resolved = resolve_types(given, SPEC, SPEC)
  assert only(resolved, 'inputs', 'examples')['metadata'] == UNWRAPPED
  assert only(resolved, 'outputs', 'model')['metadata'] == METADATA  # has not been there


def test_kfp_local_wraps_nothing():
  given = message({'schemaTitle': 'system.Artifact'}, metadata=METADATA)
  assert only(resolve_types(given, SPEC, SPEC), 'inputs', 'examples')['metadata'] == METADATA


@pytest.mark.parametrize(
  ('name', 'expected'), [('42', '42'), ('', 'gs://bucket/x'), (None, 'gs://bucket/x')]
)
def test_an_input_has_a_name(name, expected):
  given = message({'instanceSchema': ''}, name=name)
  assert only(resolve_types(given, SPEC, SPEC), 'inputs', 'examples')['name'] == expected


def test_what_has_a_type():
  assert has_type({'type': EXAMPLES})
  assert not has_type({'type': {'instanceSchema': 'not a mapping'}})
