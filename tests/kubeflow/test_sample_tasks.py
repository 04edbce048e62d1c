"""Every task of the sample, with what each version of KFP hands it on each kind of storage.

Executors are stubs: what is seen is what arrives through our entrypoint, and what comes back.
"""

import json

import pytest
import yaml

from tests.kubeflow.helpers_sample import compile_sample, with_executor
from tests.kubeflow.launcher_double import Launcher, MemoryBucket
from tests.kubeflow.launcher_versions import KFP_NEXT, LAUNCHERS
from tests.kubeflow.pods import run_here
from tests.kubeflow.stub_executor import LEFT_OUT, TOLD, StubExecutor

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
      told = json.loads(bucket.read(f'{given["uri"].removeprefix(f"{root}/")}/{TOLD}'))
      inputs = component.get('inputDefinitions', {}).get('artifacts', {})
      assert {k: v['type'] for k, v in told.items()} == {k: title(v) for k, v in inputs.items()}
      assert len({v['id'] for v in told.values()}) == len(inputs)  # each its own
      for key_in, seen in told.items():
        origin = launcher.spec['root']['dag']['tasks'][name]['inputs']['artifacts'][key_in]
        left_out = origin['taskOutputArtifact']['outputArtifactKey'] == LEFT_OUT
        assert seen['files'] == ([] if left_out else [TOLD])
        assert seen['span'] == (7 if seen['type'] == 'Examples' else None)
