"""What would not run in the cluster is an error when it is compiled, or a warning."""

import re

import pytest
import tfx.v1 as tfx
from absl import logging
from tfx.dsl.experimental.conditionals import conditional
from tfx_balance import ClassDistributionValidator
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow import SecretKey, TaskOptions, compile_pipeline
from tfx_balance.kubeflow.spec_checks import check_values, has_moving_tag

from tests.kubeflow.helpers_compile import load_package, make_pipeline

MODEL, SCHEMA = tfx.types.standard_artifacts.Model, tfx.types.standard_artifacts.Schema


def compiled(tmp_path, pipeline, *arguments, image='image:1', **options):
  path = compile_pipeline(pipeline, str(tmp_path / 'x.yaml'), image, *arguments, **options)
  return load_package(path)


def importer(uri, node_id='Schemas'):
  return tfx.dsl.Importer(source_uri=uri, artifact_type=SCHEMA).with_id(node_id)


@pytest.mark.parametrize('root', ['', '{tmp_path}/root'])
def test_a_module_file_without_a_bucket_is_an_error(tmp_path, monkeypatch, root):
  monkeypatch.chdir(tmp_path)
  module = tmp_path / 'module.py'
  module.write_text('def run_fn(fn_args):\n  pass\n')
  root = root.format(tmp_path=tmp_path)
  pipeline = make_pipeline(root, {'module_file': str(module)})
  message = f'Trainer has a module_file=.*{re.escape(repr(root))}.*give functions by their dotted'
  with pytest.raises(ConfigError, match=message):
    compiled(tmp_path, pipeline)
  assert [path.name for path in tmp_path.iterdir()] == ['module.py']


@pytest.mark.parametrize('name', ['root', 'größe'])
def test_a_folder_below_a_local_root_is_an_error(tmp_path, name):
  root = str(tmp_path / name)
  run_fn = {'run_fn': 'my.run_fn', 'custom_config': {'vocabulary': f'{root}/words.txt'}}
  with pytest.raises(ConfigError, match=f"Trainer has {re.escape(root)} in 'custom_config'"):
    compiled(tmp_path, make_pipeline(root, run_fn))


def test_an_importer_of_a_path_in_the_image_is_an_error_but_on_vertex_ai(tmp_path):
  for uri in ('/app/schemas', 'oci://registry/model'):
    with pytest.raises(ConfigError, match=rf"Schemas imports '{uri}', and KFP imports from gs://"):
      compiled(tmp_path, make_pipeline(more=[importer(uri)]))
  assert compiled(tmp_path, make_pipeline(more=[importer('/app/schemas')]), vertex_ai=True)
  for scheme in ('gs', 's3', 'minio'):
    assert compiled(tmp_path, make_pipeline(more=[importer(f'{scheme}://bucket/schemas')]))


def test_a_resolver_is_an_error_but_on_vertex_ai(tmp_path):
  resolver = tfx.dsl.Resolver(
    strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
    model=tfx.dsl.Channel(type=MODEL),
  ).with_id('Latest')
  with pytest.raises(ConfigError, match=r'Latest is a Resolver, .*vertex_ai=True'):
    compiled(tmp_path, make_pipeline(more=[resolver]))
  assert compiled(tmp_path, make_pipeline(more=[resolver]), vertex_ai=True)


def test_an_importer_under_a_condition_is_an_error(tmp_path):
  first = importer('gs://bucket/schemas', 'First')
  with conditional.Cond(first.outputs['result'].future()[0].property('fresh') == 1):
    second = importer('gs://bucket/schemas', 'Second')
  with pytest.raises(ConfigError, match='Second is an Importer under a condition'):
    compiled(tmp_path, make_pipeline(more=[first, second]))


def test_what_tfx_does_not_compile_is_an_error_of_ours(tmp_path):
  model = tfx.dsl.Importer(source_uri='gs://bucket/model', artifact_type=MODEL)
  infra_validator = tfx.components.InfraValidator(
    model=model.outputs['result'], serving_spec=tfx.proto.ServingSpec()
  )
  with pytest.raises(ConfigError, match=r'TFX does not compile .*InfraValidator.*leave out what'):
    compiled(tmp_path, make_pipeline(more=[model, infra_validator]))


def test_the_value_of_an_artifact_as_an_argument_is_an_error():
  # As TFX 1.16 to 1.21 compile `channel.future()[0].value`, by the name of a task with a suffix.
  source = {'taskOutputParameter': {'producerTask': 'Count_task', 'outputParameterKey': 'n'}}
  tasks = {'Count': {}, 'Use': {'inputs': {'parameters': {'limit': source}}}}
  with pytest.raises(ConfigError, match=r"Use takes 'limit' from .*'Count_task', which is none"):
    check_values({'root': {'dag': {'tasks': tasks}}})


def test_vertex_ai_gets_no_platform_specification(tmp_path):
  options = TaskOptions(labels={'team': 'a'}, secrets={'KEY_ID': SecretKey('store', 'key-id')})
  with pytest.raises(ConfigError, match='options ask for podMetadata, secretAsEnv of Kubernetes'):
    compiled(tmp_path, make_pipeline(), options, vertex_ai=True)
  (spec,) = compiled(tmp_path, make_pipeline(), TaskOptions(cpu=1), vertex_ai=True)
  assert spec['root']['dag']['tasks']['StratifiedSplitter']['retryPolicy']['maxRetryCount'] == 2


@pytest.mark.parametrize(
  ('arguments', 'warned'),
  [
    pytest.param({}, ['new files in the same folder'], id='versioned image'),
    pytest.param({'image': 'image'}, ['new files', 'an older image are'], id='image without tag'),
    pytest.param(
      {'image': {'default_image_path': 'a:1', 'StratifiedSplitter': 'b:latest'}},
      ['new files', 'an older b:latest are'],
      id='image of one task',
    ),
    pytest.param(
      {'task_options': {'StratifiedSplitter': TaskOptions(environment={'LEVEL': '2'})}},
      ['new files', 'after a change of LEVEL'],
      id='environment',
    ),
    pytest.param({'image': 'image', 'vertex_ai': True}, [], id='vertex ai'),
  ],
)
def test_what_the_cache_does_not_notice_is_warned_of(tmp_path, monkeypatch, arguments, warned):
  found = []
  monkeypatch.setattr(logging, 'warning', lambda text, *arguments: found.append(text))
  compiled(tmp_path, make_pipeline(enable_cache=True), **arguments)
  ours = [text for text in found if text.startswith('Caching is on')]
  assert len(ours) == len(warned)
  assert all(part in text for part, text in zip(warned, ours, strict=True))
  found.clear()
  compiled(tmp_path, make_pipeline(), **arguments)
  assert not any('Caching is on' in text for text in found)


def test_a_report_that_is_lost_with_its_container_is_warned_of(tmp_path, monkeypatch):
  found = []
  monkeypatch.setattr(logging, 'warning', lambda text, *arguments: found.append(text))
  statistics = tfx.dsl.Importer(
    source_uri='gs://bucket/statistics',
    artifact_type=tfx.types.standard_artifacts.ExampleStatistics,
  ).with_id('Statistics')
  folders = {'A': '/database/r', 'B': '/report', 'Bucket': 's3://b/report', 'Kept': '/data/r'}
  validators = [
    ClassDistributionValidator(statistics.outputs['result'], report_dir=folder).with_id(name)
    for name, folder in folders.items()
  ]
  pipeline = make_pipeline(more=[statistics, *validators])
  compiled(tmp_path, pipeline, TaskOptions(pvcs={'/data': 'reports'}))
  first, second = sorted(text for text in found if 'report_dir' in text)
  assert first.startswith("report_dir='/database/r' of A is a folder of its container")
  assert second.startswith("report_dir='/report' of B is a folder of its container")


@pytest.mark.parametrize(
  ('image', 'moves'),
  [
    ('localhost:5000/image', True),
    ('localhost:5000/image:1', False),
    ('registry/image@sha256:0123', False),
    ('registry/image:latest', True),
  ],
)
def test_an_images_tag_moves_or_not(image, moves):
  assert has_moving_tag(image) == moves
