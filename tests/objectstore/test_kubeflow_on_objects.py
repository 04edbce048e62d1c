"""The sample pipeline, its real components in processes of their own, as KFP runs it on storage."""

import json
from pathlib import Path

import pytest
from tfx_balance.documents.class_distribution import SIDECAR_NAME

from pipelines.digits import write_digits
from tests.kubeflow.helpers_recorded import normalised, recorded_tasks, without_the_runs_own
from tests.kubeflow.helpers_sample import compile_sample
from tests.kubeflow.launcher_double import LOGS, Launcher
from tests.kubeflow.launcher_versions import KFP_2_17
from tests.kubeflow.pods import ForkedPods

PROJECT = Path(__file__).parent.parent.parent
WRITERS = ('StratifiedSplitter', 'BalancedAugmenter', 'BalancedInputGen')


@pytest.fixture(scope='module')
def run(new_bucket, tmp_path_factory):
  """Returns the launcher and the bucket of a run that has ended."""
  folder, bucket = tmp_path_factory.mktemp('sample'), new_bucket('s3')
  write_digits(folder / 'data' / 'digits')
  (folder / 'schemas').symlink_to(PROJECT / 'schemas')
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('TF_USE_LEGACY_KERAS', '1')  # as the image does
    patch.setenv('PYTHONPATH', str(PROJECT))
    spec = compile_sample(folder, train_steps=20)
    buckets = {bucket.uri: bucket}
    launcher = Launcher(spec, KFP_2_17, f'{bucket.uri}/runs', buckets, folder / 'pods')
    launcher.run(ForkedPods())
  return launcher, bucket


def test_the_sample_runs(run):
  launcher, bucket = run

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
  for name in WRITERS[:2]:
    sidecar = json.loads(bucket.read(f'{key_of(launcher, name, "examples")}/{SIDECAR_NAME}'))
    assert len(sidecar['strata']) == 10


def test_messages_of_a_run_are_those_that_kfp_2_17_0_handed_out(run):
  recorded = recorded_tasks()
  launcher, bucket = run
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
