"""The sample pipeline on the newest TFX: one container a task, none of them with a network."""

import json
import re
from pathlib import Path

import pytest
import yaml
from tfx_balance.documents.class_distribution import SIDECAR_NAME

from pipelines.digits import long_tail_counts
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
    found[path.relative_to(root).parts[1]] = {
      stratum['name']: {name: cell['records'] for name, cell in stratum['splits'].items()}
      for stratum in strata
    }
  return found


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


def test_every_digit_is_in_each_split_as_often_as_its_share_says(run):
  found = counts(run[2])
  assert {'StratifiedSplitter', 'BalancedAugmenter'} <= set(found)
  for digit, n in enumerate(long_tail_counts(160, 18)):
    in_splits = found['StratifiedSplitter'][str(digit)]
    assert sum(in_splits.values()) == n
    for name, share in {'train': 0.8, 'eval': 0.1, 'test': 0.1}.items():
      assert abs(in_splits[name] - share * n) < 1
  assert {splits['train'] for splits in found['BalancedAugmenter'].values()} == {128}


def test_a_task_that_fails_fails_the_run(engine, image, package, folder):
  spec = yaml.safe_load(package.read_text())
  inputs = spec['root']['dag']['tasks']['StratifiedSplitter']['inputs']
  inputs['parameters']['stratify_by']['runtimeValue']['constant'] = 'nothing'
  path = folder / 'fails.yaml'
  path.write_text(yaml.safe_dump(spec))
  code, printed = run_package(engine, image, path, folder / 'fails')
  assert code != 0
  assert statuses(printed)[-1] == ('StratifiedSplitter', 'FAILURE')
  assert re.search(r"DataError: feature 'nothing' is in none of the \d+ records", printed)
  assert "Pipeline 'digits' finished with status FAILURE" in printed
