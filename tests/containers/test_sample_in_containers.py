"""The sample pipeline on the newest TFX: one container a task, none of them with a network."""

import json
import re
from pathlib import Path

import pytest
import yaml
from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.kubeflow.entrypoint import DRIVER, OUTPUTS_SPEC, TFX_MODULE

from tests.helpers_examples import all_bytes

pytestmark = pytest.mark.containers

RUN_LOCALLY = Path(__file__).parent / 'run_locally.py'
KILLED = 'StratifiedSplitter'
STEPS = ('--train_steps', '20')
COLOUR = re.compile(r'\x1b\[\d*m')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A folder that every user may write to."""
  folder = tmp_path_factory.mktemp('containers')
  folder.chmod(0o777)
  return folder


@pytest.fixture(scope='module')
def package(run_in_image, image, folder):
  """The sample pipeline, compiled in the image."""
  path = folder / 'digits.yaml'
  run_in_image(
    *('python', '-m', 'pipelines.kubeflow_runner', '--image', image, '--output', str(path), *STEPS),
    options=('--volume', f'{folder}:{folder}'),
  )
  return path


def run_package(engine, image, path, root, *killed):
  """Runs a compiled pipeline by kfp.local; returns its exit code and what it printed.

  Args:
    engine: Engine that runs the containers.
    image: Image of the container that runs kfp.local.
    path: Path of the compiled pipeline.
    root: Folder that becomes the pipeline's root.
    killed: Names of tasks that are killed at their first attempt, one at most.
  """
  root.mkdir()
  root.chmod(0o777)
  command = ['run', '--name', 'runner', '--network', 'none', '--user', '0']
  for name in (root, path, RUN_LOCALLY):
    command += ['--volume', f'{name}:{name}']
  command += ['--volume', f'{engine.socket}:/var/run/docker.sock', image]
  command += ['python', str(RUN_LOCALLY), str(path), str(root), *killed]
  engine.docker('run', '--detach', *command[1:])
  code = int(engine.docker('wait', 'runner'))
  printed = COLOUR.sub('', engine.docker('logs', 'runner'))
  engine.docker('rm', 'runner')
  return code, printed


def statuses(printed):
  """Returns tasks and how they ended, in order."""
  return re.findall(r"Task '(\w+)' finished with status (\w+)", printed)


def counts(root):
  """Returns node to class to split to records, for each node whose artifact has a sidecar."""
  found = {}
  for path in sorted(root.rglob(SIDECAR_NAME)):
    strata = json.loads(path.read_text())['strata']
    found[node_of(path.relative_to(root))] = {
      stratum['name']: {name: cell['records'] for name, cell in stratum['splits'].items()}
      for stratum in strata
    }
  return found


def node_of(path):
  """Returns the node in a path of LocalDagRunner, node/key/id, or of kfp.local, run/node/key."""
  parts = path.parts
  return parts[0] if parts[2].isdigit() else parts[1]


def changed(package, path, change):
  """Writes a compiled pipeline with a change to its specification; returns its path."""
  spec = yaml.safe_load(package.read_text())
  change(spec)
  path.write_text(yaml.safe_dump(spec))
  return path


@pytest.fixture(scope='module')
def run(engine, image, package, folder):
  """A run of the sample pipeline, one task killed: its exit code, what it printed, its root."""
  code, printed = run_package(engine, image, package, folder / 'run', KILLED)
  print(f'\n{printed[-6000:] if code else ""}')
  return code, printed, folder / 'run'


def test_every_task_succeeds(run, package):
  code, printed, root = run
  tasks = yaml.safe_load(package.read_text())['root']['dag']['tasks']
  assert code == 0
  assert sorted(statuses(printed)) == [(name, 'SUCCESS') for name in sorted(tasks)]
  assert "Pipeline 'digits' finished with status SUCCESS" in printed
  assert {path.parent.name for path in root.rglob('executor_output.json')} == set(tasks)
  assert list(root.rglob('saved_model.pb'))


def test_a_task_killed_at_its_first_attempt_writes_the_same_bytes_at_its_second(
  run, engine, image, folder
):
  _, printed, root = run
  assert f'{KILLED}: killed, exit code 137' in printed
  assert f'{KILLED}: retry 1 of 2' in printed
  assert f'{KILLED}: retry 2 of 2' not in printed
  (retried,) = root.glob(f'*/{KILLED}/examples')
  again = folder / 'again'
  again.mkdir()
  again.chmod(0o777)
  text = (root / 'killed.json').read_text().replace(str(retried.parent), str(again))
  volumes = [f'--volume={path}:{path}' for path in (root, again)]
  engine.docker('run', '--rm', '--network', 'none', *volumes, image, *json.loads(text))
  found = all_bytes(retried)
  assert found == all_bytes(again / 'examples')
  assert SIDECAR_NAME in found
  assert {name.partition('/')[0] for name in found} > {SIDECAR_NAME, 'Split-train'}


def test_the_splits_are_those_of_local_dag_runner(run, engine, test_image, folder):
  local = folder / 'local'
  local.mkdir()
  local.chmod(0o777)
  # In the image of the tests: a run on one machine draws a report, which no task in a cluster does.
  command = ['run', '--rm', '--network', 'none', '--volume', f'{local}:{local}', test_image]
  command += ['python', '-m', 'pipelines.local_runner', '--pipeline_root', str(local), *STEPS]
  engine.docker(*command)
  found = counts(run[2])
  assert found == counts(local)
  assert {'StratifiedSplitter', 'BalancedAugmenter'} <= set(found)
  assert list(found['StratifiedSplitter']) == [str(digit) for digit in range(10)]


def test_nothing_of_this_machine_and_no_secret_is_compiled(package, folder):
  text = package.read_text()
  for path in (folder, Path.home(), Path(__file__).parent.parent.parent):
    assert str(path) not in text
  assert not re.search(r'password|secret|token', text, re.IGNORECASE)


def test_a_task_that_fails_fails_the_run(engine, image, package, folder):
  def ask_for_nothing(spec):
    inputs = spec['root']['dag']['tasks']['StratifiedSplitter']['inputs']
    inputs['parameters']['stratify_by']['runtimeValue']['constant'] = 'nothing'

  path = changed(package, folder / 'fails.yaml', ask_for_nothing)
  code, printed = run_package(engine, image, path, folder / 'fails')
  assert code != 0
  assert statuses(printed)[-1] == ('StratifiedSplitter', 'FAILURE')
  assert re.search(r"DataError: feature 'nothing' is in none of the \d+ records", printed)
  assert "Pipeline 'digits' finished with status FAILURE" in printed


def test_by_tfxs_own_entrypoint_the_first_consumer_fails(engine, image, package, folder):
  def as_tfx_compiles(spec):
    for executor in spec['deploymentSpec']['executors'].values():
      container = executor['container']
      container['command'][-1] = TFX_MODULE
      for name in (OUTPUTS_SPEC, DRIVER):
        if name in container['args']:
          at = container['args'].index(name)
          del container['args'][at : at + 2]

  path = changed(package, folder / 'tfx.yaml', as_tfx_compiles)
  code, printed = run_package(engine, image, path, folder / 'tfx')
  assert code != 0
  assert 'ImportError: Could not import system.Artifact' in printed
  (failed,) = [name for name, status in statuses(printed) if status != 'SUCCESS']
  tasks = yaml.safe_load(path.read_text())['root']['dag']['tasks']
  assert tasks[failed]['inputs']['artifacts']
  succeeded = [name for name, status in statuses(printed) if status == 'SUCCESS']
  assert succeeded
  assert not any(tasks[name]['inputs'].get('artifacts') for name in succeeded)
