"""The doubles of KFP's launchers: messages as recorded, rules as read in KFP's source."""

import copy
import json
from dataclasses import fields
from pathlib import Path

import pytest

from tests.kubeflow.helpers_recorded import normalised, recorded_tasks
from tests.kubeflow.launcher_double import LOGS, Launcher, MemoryBucket, TaskFailed
from tests.kubeflow.launcher_versions import (
  KFP_2_17,
  KFP_NEXT,
  LAUNCHERS,
)

SCHEMA = 'title: tfx.Examples\ntype: object\n'
BY_NAME = pytest.mark.parametrize('version', LAUNCHERS, ids=lambda version: version.name)


def spec_of(tasks):
  """Returns a PipelineSpec from task to (ComponentSpec, parameters, inputs as (task, output))."""
  return {
    'pipelineInfo': {'name': 'digits'},
    'root': {
      'dag': {
        'tasks': {
          name: {
            'componentRef': {'name': f'comp-{name}'},
            'dependentTasks': sorted({task for task, _ in inputs.values()}),
            'inputs': {
              'parameters': {k: {'runtimeValue': {'constant': v}} for k, v in parameters.items()},
              'artifacts': {
                key: {'taskOutputArtifact': {'producerTask': task, 'outputArtifactKey': output}}
                for key, (task, output) in inputs.items()
              },
            },
          }
          for name, (_, parameters, inputs) in tasks.items()
        }
      }
    },
    'components': {f'comp-{name}': component for name, (component, *_) in tasks.items()},
    'deploymentSpec': {
      'executors': {
        component['executorLabel']: {
          'container': {'command': ['python', '-m', 'module'], 'args': ['--input', '{{$}}']}
        }
        for component, *_ in tasks.values()
      }
    },
  }


def component(label, *outputs):
  declared = {'artifactType': {'instanceSchema': SCHEMA}}
  return {
    'executorLabel': label,
    'outputDefinitions': {'artifacts': dict.fromkeys(outputs, declared)},
  }


@pytest.fixture
def start(tmp_path):
  """Returns a function from a version to a launcher of `first`, and `second` that reads it."""

  def make(version, scheme='s3', **options):
    spec = spec_of(
      {
        'first': (component('a', 'model', 'model_run'), {'seed': 3}, {}),
        'second': (component('b', 'report'), {}, {'model': ('first', 'model')}),
      }
    )
    root = f'{scheme}://bucket'
    return Launcher(spec, version, f'{root}/runs', {root: MemoryBucket()}, tmp_path, **options)

  return make


def only(side, key):
  (artifact,) = side['artifacts'][key]['artifacts']
  return artifact


def output_path(pod, key):
  return pod.local_path(only(pod.executor_input['outputs'], key)['uri'])


def describe(pod, key, **artifact):
  """Writes what a task says of one of its outputs."""
  path = Path(pod.executor_input['outputs']['outputFile'])
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps({'artifacts': {key: {'artifacts': [artifact]}}}))


def write_all(pod):
  """Writes a file into each output."""
  for key in pod.executor_input['outputs']['artifacts']:
    if key != LOGS:
      folder = output_path(pod, key)
      (folder / 'inside').mkdir(parents=True)
      (folder / 'inside' / 'data').write_text(key)
  return 0


ADDED = ('display_name', 'store_session_info')  # by KFP; the rest is what tasks said


def test_messages_are_those_that_kfp_2_17_0_handed_out(tmp_path):
  recorded = recorded_tasks()
  assert len(recorded) == 14
  tasks, said = {}, {}
  for name, task in recorded.items():
    component_spec = copy.deepcopy(task['component_spec'])
    del component_spec['outputDefinitions']['artifacts'][LOGS]  # added by the driver
    given = task['executor_input']['inputs']
    inputs = {}
    for key, artifacts in given.get('artifacts', {}).items():
      (artifact,) = artifacts['artifacts']
      *_, producer, _, output = artifact['uri'].split('/')
      inputs[key] = producer, output
      metadata = {k: v for k, v in artifact['metadata'].items() if k not in ADDED}
      said[producer, output] = metadata
    tasks[name] = component_spec, given.get('parameterValues', {}), inputs
  root = 's3://bucket/runs'
  launcher = Launcher(spec_of(tasks), KFP_2_17, root, {'s3://bucket': MemoryBucket()}, tmp_path)

  def say(pod):
    name = pod.folder.name.removesuffix('-0')
    written = {
      key: {'artifacts': [{'metadata': said.get((name, key), {})}]}
      for key in pod.executor_input['outputs']['artifacts']
    }
    Path(pod.executor_input['outputs']['outputFile']).write_text(json.dumps({'artifacts': written}))
    return 0

  launcher.run(say)
  assert list(launcher.messages) == sorted(recorded, key=list(launcher.messages).index)
  for name, message in launcher.messages.items():
    assert normalised(message, root) == normalised(recorded[name]['executor_input']), name


@BY_NAME
def test_a_run(start, version):
  launcher, seen = start(version), {}

  def task(pod):
    name, outputs = pod.folder.name, pod.executor_input['outputs']
    seen[name] = sorted(p.name for p in pod.folder.rglob('data'))
    for key in outputs['artifacts']:
      assert output_path(pod, key).parent.is_dir()
      assert output_path(pod, key).exists() == (key == LOGS)
    assert Path(outputs['outputFile']).parent.is_dir() == version.output_in_task_root
    assert json.loads(pod.command[-1]) == pod.executor_input
    pod.log.write_text(f'{name} ran')
    if name == 'first-0':
      metadata = {'n': 3.0, 'b': True, 'l': [1], 'd': {'a': 'b'}}
      describe(pod, 'model', metadata=metadata, name='nothing to KFP')
    return write_all(pod)

  launcher.run(task)
  assert seen == {
    'first-0': [],
    'second-0': ['data', 'data'] if version.takes_neighbours else ['data'],
  }
  told = launcher.messages['second']
  model = only(told['inputs'], 'model')
  by_metadata = version is not KFP_NEXT
  assert model['uri'] == only(launcher.messages['first']['outputs'], 'model')['uri']
  assert model['type'] == ({'instanceSchema': ''} if by_metadata else {'schemaTitle': SCHEMA})
  assert model['name'].isdecimal() == by_metadata
  assert ('artifactId' in model, model['name'] == 'model') == (not by_metadata,) * 2
  assert {k: model['metadata'][k] for k in ('n', 'b', 'l', 'd')} == (
    {'n': 3, 'b': 1, 'l': {'list': [1]}, 'd': {'struct': {'a': 'b'}}}
    if by_metadata
    else {'n': 3, 'b': True, 'l': [1], 'd': {'a': 'b'}}
  )
  assert model['metadata'].get('display_name') == ('model' if by_metadata else None)
  report = only(told['outputs'], 'report')
  assert report['type'] == {'instanceSchema': SCHEMA}
  assert report.get('name') == ('report' if version.names_outputs else None)
  (bucket,) = launcher.buckets.values()
  names = [key.split('/')[4:] for key in sorted(bucket.objects)]
  logs = f'{LOGS}-0' if version.numbers_logs else LOGS
  assert sorted(name[-1] for name in names if len(name) == 2) == [logs, logs]
  assert sum(name[-1] == 'data' for name in names) == 3


@BY_NAME
@pytest.mark.parametrize('scheme', ['gs', 'minio', 's3'])
def test_files_are_where_the_version_puts_them(start, version, scheme):
  launcher = start(version, scheme)
  launcher.run_task('first', write_all)
  message = launcher.messages['first']
  folder = {'gs': 'gcs', 'minio': 'minio', 's3': 's3'}[scheme]
  expected = (
    f'/{folder}/bucket/runs/digits/' if version.output_in_task_root else '/tmp/kfp_outputs/'
  )
  assert message['outputs']['outputFile'].startswith(expected)
  assert (launcher.folder / 'first-0' / folder / 'bucket').is_dir()
  assert sorted(p.name for p in (launcher.folder / 'first-0').iterdir()) == ['gcs', 'minio', 's3']


@BY_NAME
def test_a_missing_output(start, version):
  launcher = start(version)

  def leave_out(pod):
    output_path(pod, 'model').mkdir()  # a folder without files
    return 0

  if version is KFP_NEXT:
    with pytest.raises(TaskFailed, match="declared output artifact 'model_run' is missing at"):
      launcher.run_task('first', leave_out)
    return
  launcher.run(lambda pod: leave_out(pod) if pod.folder.name == 'first-0' else write_all(pod))
  assert [w for w in launcher.warnings if w.endswith('model_run does not exist')]
  assert not list((launcher.folder / 'second-0').rglob('model'))  # nothing to download


@BY_NAME
def test_no_output_file_is_an_empty_one(start, version):
  launcher = start(version)
  launcher.run_task('first', write_all)
  stored = launcher.published['first', 'model']
  assert stored['uri'].endswith('/model')
  assert set(stored.get('metadata', {})) == (set() if version is KFP_NEXT else set(ADDED))


WRONG_OUTPUTS = [
  pytest.param('no JSON', 'failed to unmarshall ExecutorOutput', id='text'),
  pytest.param('{"artefacts": {}}', 'failed to unmarshall ExecutorOutput', id='unknown field'),
]


@BY_NAME
@pytest.mark.parametrize(('text', 'error'), WRONG_OUTPUTS)
def test_a_wrong_output_file(start, version, text, error):
  def task(pod):
    path = Path(pod.executor_input['outputs']['outputFile'])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return write_all(pod)

  with pytest.raises(TaskFailed, match=error):
    start(version).run_task('first', task)


@BY_NAME
@pytest.mark.parametrize('uri', ['s3://bucket/elsewhere', '/s3/bucket/runs/x/model'])
def test_an_output_that_says_to_be_elsewhere(start, version, uri):
  def task(pod):
    describe(pod, 'model', uri=uri)
    write_all(pod)
    if uri.startswith('s3') and version is KFP_NEXT:
      pod.local_path(uri).mkdir()
    return 0

  launcher = start(version, configured=('s3://bucket/',))
  if uri.startswith('s3') and version is not KFP_NEXT:
    with pytest.raises(TaskFailed, match='does not have expected bucket prefix'):
      launcher.run_task('first', task)
    return
  launcher.run_task('first', task)
  if uri.startswith('s3'):
    assert launcher.published['first', 'model']['uri'] == uri
    return
  assert [w for w in launcher.warnings if 'recognized storage URI' in w]
  if version is KFP_NEXT:
    with pytest.raises(TaskFailed, match=r'model.* not found'):
      launcher.run_task('second', task)
  else:
    assert launcher.published['first', 'model']['uri'] == uri


@BY_NAME
def test_null_in_metadata(start, version):
  def task(pod):
    describe(pod, 'model', metadata={'n': None})
    return write_all(pod)

  launcher = start(version)
  if version is KFP_NEXT:
    launcher.run_task('first', task)
  else:
    with pytest.raises(TaskFailed, match='unsupported value type of n'):
      launcher.run_task('first', task)


@BY_NAME
def test_a_failed_task_leaves_its_logs_at_most_and_is_repeated_at_the_same_uris(start, version):
  launcher, told = start(version), []

  def task(pod):
    told.append(pod)
    write_all(pod)
    pod.log.write_text('what went wrong')
    return 1 if len(told) < 3 else 0

  launcher.run_task('first', task, retries=2)
  uris = [only(pod.executor_input['outputs'], 'model')['uri'] for pod in told]
  assert len(set(uris)) == 1
  logs = [only(pod.executor_input['outputs'], LOGS)['uri'] for pod in told]
  if version.numbers_logs:
    assert [uri.rpartition('-')[2] for uri in logs] == ['0', '1', '2']
  else:
    assert len(set(logs)) == 1

  def fail(pod):
    write_all(pod)
    pod.log.write_text('what went wrong')
    return 3

  failing = start(version)
  failing.folder /= 'failing'
  with pytest.raises(TaskFailed, match='exit code 3: what went wrong'):
    failing.run_task('first', fail)
  (bucket,) = failing.buckets.values()
  assert [key.split('/')[-1] for key in bucket.objects] == (
    [f'{LOGS}-0'] if version.logs_of_failed else []
  )
  assert not failing.published


@pytest.mark.parametrize('marker', ['', 'inside/'], ids=['of its own', 'inside'])
@BY_NAME
def test_directory_markers(start, version, marker):
  launcher = start(version, 'gs')
  launcher.run_task('first', write_all)
  (bucket,) = launcher.buckets.values()
  uri = launcher.published['first', 'model']['uri']
  bucket.write(f'{uri.removeprefix("gs://bucket/")}/{marker}', b'')
  if version.skips_marker and not marker:
    launcher.run_task('second', write_all)
  else:
    with pytest.raises(TaskFailed, match="failed to download input artifact 'model'"):
      launcher.run_task('second', write_all)


def test_without_logs(start):
  launcher = start(KFP_2_17, keeps_logs=False)
  launcher.run_task('first', lambda pod: write_all(pod) or (pod.log is not None))
  assert LOGS not in launcher.messages['first']['outputs']['artifacts']


def test_every_rule_tells_versions_apart():
  for rule in {field.name for field in fields(KFP_2_17)} - {'has_launcher'}:
    assert len({getattr(version, rule) for version in LAUNCHERS}) > 1, rule
