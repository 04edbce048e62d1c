"""The sample pipeline, its real components in processes of their own, as KFP runs it on storage."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest
from obstore.store import GCSStore, S3Store
from tfx_balance.documents.class_distribution import SIDECAR_NAME

from pipelines.digits import write_digits
from tests.kubeflow.helpers_recorded import normalised, recorded_tasks, without_the_runs_own
from tests.kubeflow.helpers_sample import compile_sample
from tests.kubeflow.launcher_double import LOGS, Launcher
from tests.kubeflow.launcher_versions import KFP_2_17, KFP_NEXT
from tests.kubeflow.pods import ForkedPods

PROJECT = Path(__file__).parent.parent.parent
RUNS = [
  pytest.param(KFP_2_17, 's3', id='2.17.0-s3'),
  pytest.param(KFP_NEXT, 'gs', id='next-gs'),
]
WRITERS = ('StratifiedSplitter', 'BalancedAugmenter', 'BalancedInputGen')


class LauncherBucket:
  """A bucket as the launcher reaches it, with a client and credentials of its own."""

  def __init__(self, bucket) -> None:
    address = f'http://{bucket.server.address}'
    options = {'allow_http': True}
    self._store = (
      GCSStore(bucket.name, base_url=address, bearer_token='launcher', client_options=options)
      if bucket.scheme == 'gs'
      else S3Store(
        bucket.name,
        endpoint=address,
        access_key_id='launcher',
        secret_access_key='secret',
        client_options=options,
      )
    )

  def keys(self, prefix=''):
    folder, _, _ = prefix.rpartition('/')  # obstore takes whole names of folders only
    pages = obstore.list(self._store, folder or None)
    return sorted(
      found['path'] for page in pages for found in page if found['path'].startswith(prefix)
    )

  def read(self, key):
    return bytes(obstore.get(self._store, key).bytes())

  def write(self, key, data):
    obstore.put(self._store, key, data)


@pytest.fixture(scope='module')
def runs(new_bucket, tmp_path_factory):
  """Returns (version, scheme) to the launcher and the bucket of a run that has ended."""
  folder = tmp_path_factory.mktemp('sample')
  write_digits(folder / 'data' / 'digits')
  (folder / 'schemas').symlink_to(PROJECT / 'schemas')
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('TF_USE_LEGACY_KERAS', '1')  # as the image does
    patch.setenv('PYTHONPATH', str(PROJECT))
    spec = compile_sample(folder, train_steps=20)
    container = ForkedPods()

    def run(version, scheme):
      bucket = new_bucket(scheme)
      launcher = Launcher(
        spec,
        version,
        f'{bucket.uri}/runs',
        {bucket.uri: LauncherBucket(bucket)},
        folder / f'{version.name}-{scheme}',
      )
      launcher.run(container)
      return launcher, bucket

    with ThreadPoolExecutor() as threads:
      started = {param.values: threads.submit(run, *param.values) for param in RUNS}
  return started


@pytest.mark.parametrize(('version', 'scheme'), RUNS)
def test_the_sample_runs(runs, version, scheme):
  launcher, bucket = runs[version, scheme].result()

  assert launcher.warnings == []  # of an output without a folder, for one
  outputs = {(name, key) for name in launcher.messages for key in declared(launcher, name)}
  assert len(launcher.messages) == 14
  assert {output for output in launcher.published if output[1] != LOGS} == outputs
  keys = bucket.keys()
  assert [key for key in keys if key.endswith('/')] == []  # directory markers
  written = {(task, key) for *_, task, _, key in (name.split('/')[:6] for name in keys)}
  logs = {(name, f'{LOGS}-0') for name in launcher.messages}
  assert written - logs <= outputs
  assert written >= logs | {(name, 'examples') for name in WRITERS} | {('Evaluator', 'evaluation')}
  model = key_of(launcher, 'Trainer', 'model')
  assert f'{model}/Format-Serving/saved_model.pb' in keys


def test_all_runs_have_split_and_balanced_the_same(runs):
  found = [
    [
      json.loads(bucket.read(f'{key_of(launcher, name, "examples")}/{SIDECAR_NAME}'))['strata']
      for name in WRITERS[:2]
    ]
    for launcher, bucket in (started.result() for started in runs.values())
  ]
  assert found == [found[0]] * len(RUNS)
  assert all(len(strata) == 10 for strata in found[0])


def test_messages_of_a_run_are_those_that_kfp_2_17_0_handed_out(runs):
  recorded = recorded_tasks()
  launcher, bucket = runs[KFP_2_17, 's3'].result()
  assert set(launcher.messages) == set(recorded)
  for name, message in launcher.messages.items():
    expected = without_the_runs_own(normalised(recorded[name]['executor_input']))
    outputs = expected['outputs']['artifacts']
    for key in set(outputs) - {LOGS, *declared(launcher, name)}:
      del outputs[key]  # Transform's cache, which the sample no longer writes
    assert without_the_runs_own(normalised(message, f'{bucket.uri}/runs')) == expected, name


def declared(launcher, name):
  """Returns the keys of a task's outputs."""
  return launcher.component(name)['outputDefinitions']['artifacts']


def key_of(launcher, name, key):
  """Returns the folder of an output in its bucket."""
  return launcher.published[name, key]['uri'].split('/', 3)[3]
