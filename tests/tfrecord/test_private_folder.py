"""Folders of this machine: deleted at their end or after a kill, by their user alone."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from obstore.store import LocalStore
from tfx_balance.errors import DataError
from tfx_balance.inputs import staging
from tfx_balance.tfrecord import object_store
from tfx_balance.tfrecord import private_folder as module
from tfx_balance.tfrecord.private_folder import LOCK, PREFIX, private_folder


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
  """Returns the temporary folder of the machine."""
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  return tmp_path


KILLED = """
import os
from tfx_balance.tfrecord.private_folder import private_folder
with private_folder() as folder:
  open(f'{folder}/spill', 'w').close()
  os._exit(9)
"""
# The bucket is a folder.
KILLED_WITH_COPIES = """
import os
from obstore.store import LocalStore
from tfx_balance.inputs.staging import staged
from tfx_balance.tfrecord import object_store
object_store._bucket = lambda *_: LocalStore(os.environ['TMPDIR'] + '/bucket')
if not os.fork():
  print(staged('s3://bucket/in'))
  raise SystemExit
os.wait()
print(os.listdir(os.environ['TMPDIR']))
print(staged('s3://bucket/in'), flush=True)
os._exit(9)
"""


def run(script, folder):
  environment = {**os.environ, 'TMPDIR': str(folder)}
  command = [sys.executable, '-c', script]
  return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize('fails', [False, True])
def test_it_is_for_one_user_and_goes_whatever_happens(machine, fails):
  with contextlib.suppress(ZeroDivisionError), private_folder() as folder:
    Path(folder, 'file').write_text('half')
    (made,) = machine.iterdir()
    assert made.stat().st_mode & 0o777 == 0o700
    assert Path(folder).is_relative_to(made)
    assert os.listdir(folder) == ['file']
    _ = 1 / (1 - fails)
  assert list(machine.iterdir()) == []


def test_that_of_a_killed_process_is_deleted_at_once_and_that_of_a_living_one_stays(machine):
  with private_folder() as living:
    assert run(KILLED, machine).returncode == 9
    assert len(list(machine.iterdir())) == 2
    with private_folder():
      assert os.path.isdir(living)
      assert len(list(machine.iterdir())) == 2
  assert list(machine.iterdir()) == []


def test_copies_for_training_are_deleted_even_of_a_killed_process(machine):
  (machine / 'bucket' / 'in').mkdir(parents=True)
  (machine / 'bucket' / 'in' / 'a').write_text('data')
  ended = run(KILLED_WITH_COPIES, machine)
  of_a_process_that_ended, remaining, of_a_killed_one = ended.stdout.splitlines()
  for path in (of_a_process_that_ended, of_a_killed_one):
    assert path.startswith(str(machine / PREFIX)), ended.stderr
  assert remaining == "['bucket']"
  (left,) = (path for path in machine.iterdir() if path.name != 'bucket')
  with private_folder():
    assert not left.exists()


@pytest.mark.parametrize(
  ('fault', 'fix'),
  [
    (FileNotFoundError(errno.ENOENT, 'No such file'), 'check that it exists'),
    (OSError(errno.ENOSPC, 'No space left'), 'set TMPDIR to a folder with room for it'),
  ],
)
def test_copies_that_fail_leave_nothing(machine, monkeypatch, fault, fix):
  store = LocalStore(machine / 'bucket', mkdir=True)
  monkeypatch.setattr(object_store, '_bucket', lambda *_: store)
  monkeypatch.setattr(staging, 'copy', mock.Mock(side_effect=fault))
  with pytest.raises(DataError, match=rf'^s3://bucket/in cannot be read \(.*\); {fix}$'):
    staging.staged('s3://bucket/in')
  assert os.listdir(machine) == ['bucket']


def left(machine, letter):
  """Makes a folder as one that was left."""
  folder = machine / f'{PREFIX}{letter * 32}'
  folder.mkdir()
  (folder / LOCK).touch()
  return folder


@pytest.mark.skipif(os.getuid() != 0, reason='only root can make a folder of another user')
def test_what_is_anothers_or_a_link_stays(machine):
  gone, others, no_lock, linked = (left(machine, letter) for letter in 'abcd')
  os.chown(others, 65534, 65534)
  (no_lock / LOCK).rename(no_lock / 'notes.txt')
  linked = linked.rename(machine / 'linked')
  (machine / f'{PREFIX}{"d" * 32}').symlink_to(linked)
  (machine / f'{PREFIX}{"e" * 32}').touch()
  with private_folder():
    assert not gone.exists()
  assert [path for path in (others, no_lock, linked / LOCK) if not path.exists()] == []
  assert len(list(machine.iterdir())) == 5


def test_a_deletion_that_was_interrupted_is_ended_later(machine, monkeypatch):
  (left(machine, 'a') / 'files').mkdir()
  with monkeypatch.context() as patch:
    patch.setattr(module.shutil, 'rmtree', interrupt)
    with pytest.raises(KeyboardInterrupt), private_folder():
      pass
  with private_folder():
    pass
  assert list(machine.iterdir()) == []


def interrupt(folder, **_):
  """Stops as Ctrl+C does, when a folder is half deleted."""
  os.rmdir(folder)
  raise KeyboardInterrupt


def test_a_temporary_folder_without_locks_does(machine, monkeypatch):
  def flock(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

  other = left(machine, 'a')
  monkeypatch.setattr(fcntl, 'flock', flock)
  with private_folder() as folder:
    assert os.path.isdir(folder)
  assert list(machine.iterdir()) == [other]
