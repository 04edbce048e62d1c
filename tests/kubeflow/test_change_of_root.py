"""A pipeline with a new root, whose inputs come from the cache and lie below the old one."""

import re
import tempfile
from pathlib import Path
from unittest import mock

import pytest
import tfx.v1 as tfx
from tfx_balance.kubeflow import SecretKey, TaskOptions, compile_pipeline

from tests.kubeflow.helpers_compile import load_package
from tests.kubeflow.launcher_double import LOGS, S3_VARIABLES, Launcher, MemoryBucket, TaskFailed
from tests.kubeflow.launcher_versions import KFP_2_17, KFP_NEXT

# As in docs/kubeflow.md.
OLD_STORE = TaskOptions(
  environment={'AWS_REGION': 'us-east-1', 'AWS_ENDPOINT_URL_S3': 'https://old-store.example.com'},
  secrets={
    'AWS_ACCESS_KEY_ID': SecretKey('old-store', 'access-key'),
    'AWS_SECRET_ACCESS_KEY': SecretKey('old-store', 'secret-key'),
  },
)
OLD = 's3://old/runs/examples'


@pytest.fixture
def start(tmp_path):
  """Returns a function from a version and options to the launcher of a compiled pipeline."""

  def make(version, options=None, root='gs://new/root', **arguments):
    path = tmp_path / 'small.yaml'
    example_gen = tfx.components.ImportExampleGen(input_base='gs://data/in')
    statistics_gen = tfx.components.StatisticsGen(examples=example_gen.outputs['examples'])
    pipeline = tfx.dsl.Pipeline('small', root, components=[example_gen, statistics_gen])
    compile_pipeline(pipeline, str(path), 'registry/image:1', options)
    spec, *platform = load_package(path)
    buckets = {'gs://new': MemoryBucket(), 's3://old': MemoryBucket()}
    buckets['s3://old'].write('runs/examples/data', b'cached')
    arguments['platform'] = platform[0] if platform else None
    return Launcher(spec, version, root, buckets, Path(tempfile.mkdtemp(dir=tmp_path)), **arguments)

  return make


def run_on_cached(launcher, ran):
  """Runs StatisticsGen on examples of an earlier run; appends the pods that ran."""

  def task(pod):
    ran.append(pod)
    for key, listed in pod.executor_input['outputs']['artifacts'].items():
      if key != LOGS:
        folder = pod.local_path(listed['artifacts'][0]['uri'])
        folder.mkdir(parents=True)
        (folder / 'data').write_bytes(b'new')
    return 0

  launcher.run_task('ImportExampleGen', task)
  launcher.published['ImportExampleGen', 'examples']['uri'] = OLD
  launcher.run_task('StatisticsGen', task)


def test_the_page_names_these_options():
  page = (Path(__file__).parents[2] / 'docs' / 'kubeflow.md').read_text()
  (example,) = re.findall(r'```python\n([^`]*?old_store[^`]*)```', page)
  with mock.patch('tfx_balance.kubeflow.compile_pipeline') as compiled:
    exec(example, {})
  assert compiled.call_args.kwargs == {'options': OLD_STORE}
  assert {*OLD_STORE.environment, *OLD_STORE.secrets} == S3_VARIABLES


def test_a_cached_input_of_another_bucket_needs_variables_of_the_pod(start):
  ran = []
  with pytest.raises(TaskFailed, match=r"failed to open bucket of 's3://old/.*: Invalid region"):
    run_on_cached(start(KFP_2_17), ran)
  assert len(ran) == 1  # StatisticsGen did not start


def test_options_of_the_tasks_set_these_variables(start):
  ran = []
  run_on_cached(start(KFP_2_17, OLD_STORE), ran)
  assert (ran[1].local_path(OLD) / 'data').read_bytes() == b'cached'


def test_the_next_release_fails_after_the_task_unless_its_configuration_names_the_root(start):
  ran = []
  outside = 'is outside the configured pipeline root and has no explicit provider override'
  with pytest.raises(TaskFailed, match=f"'gs://new/root/.* {outside}"):
    run_on_cached(start(KFP_NEXT, OLD_STORE, configured=('s3://default',)), ran)
  assert len(ran) == 1  # it ran for nothing


def test_the_next_release_reads_no_cached_input_outside_either(start):
  ran = []
  with pytest.raises(TaskFailed, match=f"'{OLD}' is outside the configured pipeline root"):
    run_on_cached(start(KFP_NEXT, OLD_STORE), ran)
  assert len(ran) == 1
  run_on_cached(start(KFP_NEXT, configured=('gs://new/root', 's3://old/')), ran := [])
  assert len(ran) == 2
