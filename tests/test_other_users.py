"""Another user of the machine: reads no work file, and has nothing run by who runs a component."""

import os
import pickle
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from obstore.store import LocalStore
from tfx_balance import StratifiedSplitter
from tfx_balance.compare.processes import call_in_processes
from tfx_balance.shuffle.stored_values import StoredValue
from tfx_balance.tfrecord import object_store
from tfx_balance.tfrecord.work_folder import WORK_VARIABLE

from tests.helpers_examples import all_bytes
from tests.objectstore.helpers_objects import execute_at, input_examples, write_input
from tests.shuffle.test_stored_values import Evil

NOBODY = 65534
"""User id of the one who attacks."""

# What was found out of work files before: a folder of a known name, and one that looks left over.
PLANT = """
mkdir -m 777 tmp/tfx-balance-0 tmp/tfx-balance-work-{theirs}
touch tmp/tfx-balance-work-{theirs}/tfx-balance.lock
ln -s "$PWD/precious" tmp/tfx-balance-work-{link}
"""
# Reads what can be read, and replaces each folder that has a stored value by a copy with others.
ATTACK = """
find tmp given -type f -exec cat {} + >> theirs/loot
find tmp given -name 'store*-*' | xargs -r dirname | sort -u | while read folder; do
  cp -r "$folder" "$folder.copy" || continue
  for value in "$folder.copy"/store*-*; do cp theirs/evil "$value"; done
  mv "$folder" "$folder.old" && mv "$folder.copy" "$folder"
done
"""


# The same of the arrays that processes get, which joblib puts into /dev/shm by itself.
ATTACK_ARRAYS = """
find tmp /dev/shm -type f -size +9k -exec cat {} + >> theirs/loot
find tmp /dev/shm -type f -size +9k | while read file; do
  rm -f "$file" && cp theirs/evil "$file"
done
"""


def as_nobody(folder, script, group=NOBODY):
  """Runs a script of the shell as another user."""
  command = ['/bin/sh', '-c', script]
  subprocess.run(command, cwd=folder, user=NOBODY, group=group, extra_groups=[])


@pytest.fixture
def machine(tmp_path, monkeypatch):
  """Returns a folder with a temporary folder for all users, `tmp`, and another's, `given`."""
  if os.getuid():
    pytest.skip('only root can try what another user can do')
  folder = Path(tempfile.mkdtemp())
  folder.chmod(0o755)
  for name, mode in (('tmp', 0o1777), ('given', 0o777), ('theirs', 0o777), ('precious', 0o777)):
    (folder / name).mkdir()
    (folder / name).chmod(mode)
  (folder / 'theirs' / 'loot').touch()
  (folder / 'theirs' / 'evil').write_bytes(pickle.dumps(Evil(str(folder / 'pwned'))))
  (folder / 'precious' / 'tfx-balance.lock').write_text('')
  os.chown(folder / 'theirs' / 'loot', NOBODY, NOBODY)
  os.chown(folder / 'given', NOBODY, NOBODY)
  monkeypatch.setattr(tempfile, 'tempdir', str(folder / 'tmp'))
  yield folder
  shutil.rmtree(folder)


@pytest.mark.parametrize('given', [False, True], ids=['temporary folder', 'folder of another'])
def test_another_user_gets_nothing_of_a_run(machine, tmp_path, monkeypatch, given):
  if given:
    monkeypatch.setenv(WORK_VARIABLE, str(machine / 'given'))
  store = LocalStore(tmp_path / 'bucket', mkdir=True)
  monkeypatch.setattr(object_store, '_bucket', lambda *_: store)
  attacks = []

  def attack_and_load(value, load=StoredValue.load):
    attacks.append(value.path)
    as_nobody(machine, ATTACK)
    return load(value)

  monkeypatch.setattr(StoredValue, 'load', attack_and_load)
  as_nobody(machine, PLANT.format(theirs='a' * 32, link='b' * 32))
  source = input_examples(str(write_input(tmp_path / 'in')))
  splitter = {'stratify_by': 'label', 'splits': {'train': 8, 'eval': 2}}
  uri = 's3://bucket/out'
  execute_at(StratifiedSplitter, {'examples': source}, uri, tmp_path, **splitter)

  assert len(attacks) > 2
  assert all(path.startswith(str(machine / ('given' if given else 'tmp'))) for path in attacks)
  assert not (machine / 'pwned').exists()
  assert (machine / 'theirs' / 'loot').read_bytes() == b''
  assert 'class_distribution.json' in all_bytes(tmp_path / 'bucket' / 'out')
  assert os.listdir(machine / 'precious') == ['tfx-balance.lock']
  assert len(os.listdir(machine / 'tmp')) == 3  # what was planted: neither deleted nor used
  assert os.listdir(machine / 'given') == []


@pytest.mark.parametrize('mask', [0o002, 0o022], ids=oct)
def test_another_user_gets_nothing_of_what_processes_share(machine, monkeypatch, mask):
  # By itself joblib closes its folder, too late: what comes before is open to others.
  chmod, group = os.chmod, os.getgid()
  monkeypatch.setattr(
    os, 'chmod', lambda *args: (as_nobody(machine, ATTACK_ARRAYS, group), chmod(*args))
  )
  before = os.umask(mask)
  try:
    calls = call_in_processes(
      lambda array, more: array.sum() + more, np.ones(600_000), [1, 2, 3, 4], 2
    )
    sums = [next(calls)]
    as_nobody(machine, ATTACK_ARRAYS, group)
    sums += calls
  finally:
    os.umask(before)

  assert sums == [600_001, 600_002, 600_003, 600_004]
  assert not (machine / 'pwned').exists()
  assert (machine / 'theirs' / 'loot').read_bytes() == b''
  assert os.listdir(machine / 'tmp') == []
