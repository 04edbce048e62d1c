"""Types and names of artifacts: from the component's specification, whatever KFP hands over."""

import copy

import pytest
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow.task_artifacts import resolve_types

EXAMPLES = {'instanceSchema': 'title: tfx.Examples\ntype: object\n'}
MODEL = {'instanceSchema': 'title: tfx.Model\ntype: object\n'}
SPEC = {
  'artifacts': {'examples': {'artifactType': EXAMPLES}, 'model': {'artifactType': MODEL}},
  'parameters': {'seed': {'parameterType': 'NUMBER_INTEGER'}},
}
HINTS = [
  pytest.param({'instanceSchema': ''}, id='KFP up to 2.17'),
  pytest.param({'schemaTitle': 'system.Artifact', 'schemaVersion': '0.0.1'}, id='kfp.local'),
  pytest.param({'schemaTitle': 'Artifact'}, id='mlmd-removal'),
  pytest.param({'schemaTitle': 'TYPE_UNSPECIFIED'}, id='mlmd-removal, no type'),
  pytest.param({'schemaTitle': 'Dataset'}, id='mlmd-removal, of an importer'),
  pytest.param({'schemaTitle': 'system.Dataset'}, id='of a KFP component'),
  pytest.param({'schemaTitle': 'google.VertexDataset'}, id='of a Google component'),
  pytest.param({'instanceSchema': 'type: object\n'}, id='schema without a title'),
  pytest.param({'instanceSchema': 'title: tfx.Artifact\ntype: object\n'}, id='general'),
  pytest.param({'instanceSchema': 'not a mapping'}, id='text'),
  pytest.param({'schemaTitle': '{no: [YAML'}, id='no YAML'),
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


@pytest.mark.parametrize('type_schema', HINTS)
def test_the_type_is_the_declared_one(type_schema):
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
    pytest.param({'schemaTitle': 'title: tfx.Model\ntype: object\n'}, id='schema as a title'),
  ],
)
def test_a_type_that_came_is_checked(type_schema):
  given = message(type_schema)
  before = copy.deepcopy(given)
  both_models = {'artifacts': {'examples': {'artifactType': MODEL}}}
  assert only(resolve_types(given, both_models, SPEC), 'inputs', 'examples')['type'] == MODEL
  with pytest.raises(
    ConfigError,
    match=r"input 'examples' is of the type tfx\.Model, .* declares tfx\.Examples; connect it",
  ):
    resolve_types(given, SPEC, SPEC)
  swapped = {'artifacts': {'model': {'artifactType': EXAMPLES}}}
  with pytest.raises(ConfigError, match=r"output 'model' .* tfx\.Model, .* compile .* again"):
    resolve_types({'outputs': given['outputs']}, SPEC, swapped)
  assert given == before


GENERAL = {'artifactType': {'instanceSchema': 'title: tfx.Artifact\ntype: object\n'}}


@pytest.mark.parametrize(
  'spec',
  [
    pytest.param({}, id='nothing'),
    pytest.param({'artifacts': dict.fromkeys(('examples', 'model'), GENERAL)}, id='general type'),
  ],
)
@pytest.mark.parametrize(
  ('type_schema', 'title'),
  [
    ({'schemaTitle': 'tfx.Model'}, 'tfx.Model'),
    ({'instanceSchema': 'title: tfx.Model\n'}, 'tfx.Model'),
    ({'schemaTitle': 'title: tfx.Model\ntype: object\n'}, 'tfx.Model'),
    ({'schemaTitle': 'my_package.MyArtifact'}, 'my_package.MyArtifact'),
  ],
)
def test_the_type_that_came_serves_where_the_component_declares(spec, type_schema, title):
  resolved = resolve_types(message(type_schema), spec, spec)
  for side, name in (('inputs', 'examples'), ('outputs', 'model')):
    assert only(resolved, side, name)['type'] == {'schemaTitle': title}


@pytest.mark.parametrize('side', ['inputs', 'outputs'])
def test_a_type_that_nobody_knows_is_an_error(side):
  given = message({'schemaTitle': 'tfx.Model'})
  (artifacts,) = given[side]['artifacts'].values()
  artifacts['artifacts'][0]['type'] = {'instanceSchema': ''}
  (name,) = given[side]['artifacts']
  with pytest.raises(ConfigError, match=f'{side[:-1]} {name!r} .* compile the pipeline with'):
    resolve_types(given, {}, {})


def test_a_log_that_kfp_publishes_is_left_to_it():
  given = message({'instanceSchema': ''})
  log = {'artifacts': [{'uri': 'minio://b/log', 'type': {'schemaTitle': 'system.Artifact'}}]}
  given['outputs']['artifacts']['executor-logs'] = log
  assert list(resolve_types(given, SPEC, SPEC)['outputs']['artifacts']) == ['model']


def test_tasks_without_artifacts_are_left_alone():
  given = {'inputs': {'parameterValues': {'seed': 3}}, 'outputs': {'outputFile': '/tmp/x'}}
  assert resolve_types(given, SPEC, SPEC) == given
  assert resolve_types({}, SPEC, SPEC) == {'inputs': {}, 'outputs': {}}


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


def runtime(uri, **artifact):
  return {'uri': uri, 'type': {'schemaTitle': 'title: tfx.Model\ntype: object\n'}, **artifact}


def names_and_metadata(inputs, outputs=()):
  """Returns what becomes of the names and the metadata of input models, in order."""
  spec = {'artifacts': {key: {'artifactType': MODEL} for key in (*inputs, *outputs)}}
  given = {
    'inputs': {'artifacts': {key: {'artifacts': artifacts} for key, artifacts in inputs.items()}},
    'outputs': {'artifacts': {key: {'artifacts': [outputs[key]]} for key in outputs}},
  }
  resolved = resolve_types(given, spec, spec)
  for key in outputs:
    assert only(resolved, 'outputs', key)['name'] == outputs[key]['name']
  return [
    (artifact['name'], artifact.get('metadata'))
    for key in inputs
    for artifact in resolved['inputs']['artifacts'][key]['artifacts']
  ]


@pytest.mark.parametrize(
  ('first', 'second', 'names'),
  [
    pytest.param({'name': '42'}, {'name': '43'}, ['42', '43'], id='KFP up to 2.17'),
    pytest.param(
      {'name': 'model', 'artifactId': 'a-1'},
      {'name': 'model', 'artifactId': 'b-2'},
      ['a-1', 'b-2'],
      id='mlmd-removal',
    ),
    pytest.param({'name': 'model'}, {'name': 'model'}, ['s3://b/1', 's3://b/2'], id='kfp.local'),
    pytest.param({'name': ''}, {}, ['s3://b/1', 's3://b/2'], id='no name'),
  ],
)
@pytest.mark.parametrize('one_input', [False, True])
def test_two_inputs_keep_their_own_names_and_metadata(first, second, names, one_input):
  both = [
    runtime('s3://b/1', metadata={'a': 1.0}, **first),
    runtime('s3://b/2', metadata={'a': 2.0}, **second),
  ]
  inputs = {'model': both} if one_input else {'model': both[:1], 'baseline_model': both[1:]}
  expected = list(zip(names, [{'a': 1.0}, {'a': 2.0}], strict=True))
  assert names_and_metadata(inputs) == expected


def test_an_input_is_told_from_an_output_of_its_name():
  inputs = {'base_model': [runtime('s3://b/1', name='model')]}
  outputs = {'model': runtime('s3://b/2', name='model')}
  assert names_and_metadata(inputs, outputs) == [('s3://b/1', None)]


def test_one_artifact_under_two_keys_stays_one():
  model = runtime('s3://b/1', name='42')
  assert names_and_metadata({'model': [model], 'baseline_model': [model]}) == [('42', None)] * 2
