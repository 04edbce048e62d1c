"""Every task of the sample, with what each version of KFP hands it on each kind of storage.

Executors are stubs: what is seen is what arrives through our entrypoint, and what comes back.
"""

import copy
import json

import pytest
import yaml
from tfx_balance.kubeflow import entrypoint
from tfx_balance.kubeflow.entrypoint import INPUTS_SPEC, TFX_MODULE, Invocation

from tests.kubeflow.helpers_sample import compile_sample, with_executor
from tests.kubeflow.launcher_double import S3_VARIABLES, Launcher, MemoryBucket, TaskFailed
from tests.kubeflow.launcher_versions import KFP_2_17, KFP_NEXT, LAUNCHERS, VERTEX
from tests.kubeflow.pods import run_here
from tests.kubeflow.stub_executor import LEFT_OUT, SEEN, StubExecutor

N_TASKS = 14


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
  """The PipelineSpec of the sample."""
  folder = tmp_path_factory.mktemp('sample')
  for name in ('long-tail', 'held-out'):
    path = folder / 'data' / 'digits' / name / 'a.gz'
    path.parent.mkdir(parents=True)
    path.write_bytes(b'')
  return with_executor(compile_sample(folder), f'{StubExecutor.__module__}.StubExecutor')


def title(declared):
  return yaml.safe_load(declared['artifactType']['instanceSchema'])['title'].removeprefix('tfx.')


@pytest.mark.parametrize('scheme', ['gs', 'minio', 's3'])
@pytest.mark.parametrize('version', LAUNCHERS, ids=lambda version: version.name)
def test_every_task_passes(sample, version, scheme, tmp_path):
  root = f'{scheme}://bucket'
  bucket = MemoryBucket()
  launcher = Launcher(sample, version, f'{root}/runs', {root: bucket}, tmp_path)

  launcher.run(run_here)

  assert len(launcher.messages) == N_TASKS
  assert not [w for w in launcher.warnings if 'recognized storage URI' in w]
  for name, message in launcher.messages.items():
    component = launcher.component(name)
    for key in component['outputDefinitions']['artifacts']:
      stored = launcher.published[name, key]
      (given,) = message['outputs']['artifacts'][key]['artifacts']
      assert stored['uri'] == given['uri']
      assert str(tmp_path) not in json.dumps(stored)
      names = stored['metadata']['names']
      assert names == (['a', key] if version is KFP_NEXT else {'list': ['a', key]})
      if key == LEFT_OUT:
        continue
      seen = json.loads(bucket.read(f'{given["uri"].removeprefix(f"{root}/")}/{SEEN}'))
      inputs = component.get('inputDefinitions', {}).get('artifacts', {})
      assert {k: v['type'] for k, v in seen.items()} == {k: title(v) for k, v in inputs.items()}
      assert len({v['id'] for v in seen.values()}) == len(inputs)  # each its own
      for key_in, artifact in seen.items():
        origin = launcher.spec['root']['dag']['tasks'][name]['inputs']['artifacts'][key_in]
        output = origin['taskOutputArtifact']['outputArtifactKey']
        assert artifact['files'] == ([] if output == LEFT_OUT else [SEEN])
        assert artifact['names'] == ['a', output]
        assert artifact['span'] == (7 if artifact['type'] == 'Examples' else None)


@pytest.mark.parametrize('version', LAUNCHERS, ids=lambda version: version.name)
def test_without_our_entrypoints_folders_a_missing_output_fails_the_next_release(
  sample, version, tmp_path, monkeypatch
):
  monkeypatch.setattr(entrypoint, 'make_output_folders', lambda *_: None)
  launcher = Launcher(sample, version, 's3://bucket', {'s3://bucket': MemoryBucket()}, tmp_path)
  if version is KFP_NEXT:
    with pytest.raises(TaskFailed, match=f"declared output artifact '{LEFT_OUT}' is missing at"):
      launcher.run(run_here)
  else:
    launcher.run(run_here)
    assert [text for text in launcher.warnings if text.endswith(f'{LEFT_OUT} does not exist')]


def test_two_inputs_of_one_name_are_two(sample, tmp_path):
  spec = copy.deepcopy(sample)
  root = 's3://bucket'
  bucket = MemoryBucket()
  launcher = Launcher(spec, KFP_NEXT, root, {root: bucket}, tmp_path)
  task, component = spec['root']['dag']['tasks']['Evaluator'], launcher.component('Evaluator')
  source = {'producerTask': 'StratifiedSplitter', 'outputArtifactKey': 'examples'}
  task['inputs']['artifacts']['more'] = {'taskOutputArtifact': source}
  declared = component['inputDefinitions']['artifacts']
  declared['more'] = declared['examples']
  arguments = launcher.container_spec('Evaluator')['args']
  place = arguments.index(INPUTS_SPEC) + 1
  arguments[place] = json.dumps(component['inputDefinitions'])

  launcher.run(run_here)

  inputs = launcher.messages['Evaluator']['inputs']['artifacts']
  assert inputs['examples']['artifacts'][0]['name'] == inputs['more']['artifacts'][0]['name']
  (name,) = [name for name in bucket.objects if name.endswith(f'/evaluation/{SEEN}')]
  seen = json.loads(bucket.read(name))
  assert seen['examples']['id'] != seen['more']['id']


def test_inputs_of_another_scheme_than_the_root(sample, tmp_path):
  buckets = {'minio://old': MemoryBucket(), 'gs://new': MemoryBucket()}
  before = Launcher(sample, KFP_2_17, 'minio://old/runs', buckets, tmp_path / 'before')
  before.run_task('ImportExampleGen', run_here)
  after = copy.deepcopy(sample)
  for executor in after['deploymentSpec']['executors'].values():
    executor['container']['env'] = [{'name': name, 'value': '1'} for name in sorted(S3_VARIABLES)]
  launcher = Launcher(after, KFP_2_17, 'gs://new/runs', buckets, tmp_path / 'after')
  launcher.published |= before.published  # the root was changed, and this task is in the cache

  launcher.run_task('StratifiedSplitter', run_here)

  (name,) = [name for name in buckets['gs://new'].objects if name.endswith(SEEN)]
  seen = json.loads(buckets['gs://new'].read(name))
  assert seen['input_examples']['files'] == [SEEN]
  assert before.published['ImportExampleGen', 'examples']['uri'].startswith('minio://old/')
  assert launcher.published['StratifiedSplitter', 'examples']['uri'].startswith('gs://new/')


def test_on_vertex_ai_tfxs_entrypoint_gets_what_ours_got(sample, tmp_path, monkeypatch):
  called = []
  monkeypatch.setattr(entrypoint, 'run_module', lambda name, args: called.append((name, args)))
  monkeypatch.setattr(entrypoint, 'exists', lambda path: True)  # the driver has run before

  def task(pod):
    run_here(pod)
    ((module, passed),) = called
    called.clear()
    assert module == TFX_MODULE
    given, found = Invocation.parse(pod.arguments), Invocation.parse(passed)
    assert found.executor_input == given.executor_input == pod.executor_input
    assert found.inputs_spec == given.inputs_spec
    assert (found.outputs_spec, found.driver) == ({}, None)
    assert found.others == given.others
    return 0

  launcher = Launcher(sample, VERTEX, 'gs://bucket/runs', {}, tmp_path)
  launcher.run(task)
  assert len(launcher.messages) == N_TASKS
