"""The folder of work files: gone at the end of its run, or by the next run of one that is dead."""

import contextlib
import os
import pwd
import tempfile
import threading
from pathlib import Path
from unittest import mock

import pytest
from obstore.store import LocalStore
from tfx_balance.errors import ConfigError
from tfx_balance.tfrecord import object_store
from tfx_balance.tfrecord import work_folder as module
from tfx_balance.tfrecord.storage import BeamFiles, exists, storage_of, write_whole
from tfx_balance.tfrecord.work_folder import HEARTBEAT, STALE_VARIABLE, WORK_VARIABLE, work_folder

HOUR = 3600


@pytest.fixture(params=[True, False], ids=['local', 'by Beam'], autouse=True)
def _filesystem(request, monkeypatch):
  """Has all of it done as on this machine, then as on a filesystem that Beam alone knows."""
  if not request.param:
    monkeypatch.setattr(module, 'storage_of', lambda path: BeamFiles())


def left(artifact: Path, hours: float = 0, name: str = '.work-' + 'a' * 32) -> Path:
  """Makes the work folder of a run that was killed, silent for so many hours."""
  folder = artifact / name
  folder.mkdir(parents=True)
  for file in ('spill-0', HEARTBEAT):
    (folder / file).write_text('half')
    set_age(folder / file, hours)
  set_age(folder, hours)
  return folder


def set_age(path: Path, hours: float) -> None:
  now = path.stat().st_mtime
  os.utime(path, (now - hours * HOUR, now - hours * HOUR))


@pytest.mark.parametrize('fails', [False, True])
def test_it_goes_whatever_happens(tmp_path, fails):
  try:
    with work_folder(str(tmp_path)) as folder:
      assert Path(folder).parent == tmp_path
      assert not Path(folder).name.startswith('Split-')
      (Path(folder) / 'part').write_text('half')
      if fails:
        raise ValueError('some fault')
  except ValueError:
    assert fails
  assert list(tmp_path.iterdir()) == []


def test_a_path_that_looks_like_a_pattern_is_none(tmp_path, monkeypatch):
  monkeypatch.setattr(module, 'storage_of', storage_of)  # Beam takes it for a pattern
  dead = left(tmp_path / 'a[1]*?' / '1', 25)
  with work_folder(str(tmp_path / 'a[1]*?' / '2')):
    assert not dead.exists()
  assert list((tmp_path / 'a[1]*?' / '2').iterdir()) == []


def test_its_heartbeat_goes_on_until_the_end(tmp_path, monkeypatch):
  beat, written = module._heartbeat, module._write_heartbeat
  many, calls = threading.Event(), []

  def write(folder):
    calls.append(folder)
    if len(calls) == 3:
      raise OSError('the disk is full for a while')
    written(folder)
    if len(calls) > 6:
      many.set()

  monkeypatch.setattr(module, '_write_heartbeat', write)
  monkeypatch.setattr(module, '_heartbeat', lambda folder: beat(folder, 0.001))
  with work_folder(str(tmp_path)):
    assert many.wait(60)
  assert not [t for t in threading.enumerate() if t.name == 'tfx-balance-heartbeat']
  assert list(tmp_path.iterdir()) == []


def test_a_retry_deletes_what_its_own_execution_left_at_once(tmp_path):
  dead = left(tmp_path / '7')
  with work_folder(str(tmp_path / '7')) as folder:
    assert not dead.exists()
    assert Path(folder).exists()


@pytest.mark.parametrize('trailing', ['', '/'])
def test_what_is_silent_for_a_day_is_deleted_and_nothing_else(tmp_path, trailing):
  silent = left(tmp_path / '1', 24.1)
  kept = [
    left(tmp_path / '2', 23.9),
    left(tmp_path / '3'),
    left(tmp_path / '4', 99, '.work-of-somebody-else'),
    left(tmp_path / '5', 99, 'Split-train'),
    left(tmp_path / 'deeper' / '6', 99),
  ]
  (tmp_path / '1' / 'Split-train').mkdir()
  (tmp_path / '8').mkdir()
  with work_folder(f'{tmp_path}/8{trailing}'):
    assert not silent.exists()
  assert [path for path in kept if not path.exists()] == []
  assert (tmp_path / '1' / 'Split-train').exists()


def test_a_live_run_is_one_that_writes_anything(tmp_path):
  live = left(tmp_path / '1', 99)
  set_age(live / HEARTBEAT, -99)
  with work_folder(str(tmp_path / '2')):
    assert live.exists()


@pytest.mark.parametrize(('hours', 'goes'), [('1', True), ('3', False), ('inf', False)])
def test_the_environment_says_after_how_long(tmp_path, monkeypatch, hours, goes):
  monkeypatch.setenv(STALE_VARIABLE, hours)
  dead = left(tmp_path / '1', 2)
  with work_folder(str(tmp_path / '2')):
    assert dead.exists() is not goes


@pytest.mark.parametrize('hours', ['', 'a day', '0', '-1', '0.05', 'nan'])
def test_what_is_no_number_of_hours_is_refused(tmp_path, monkeypatch, hours):
  monkeypatch.setenv(STALE_VARIABLE, hours)
  fault = rf"^{STALE_VARIABLE}='{hours}' is not a number of hours, 0.1 or more; set it to one, or"
  with pytest.raises(ConfigError, match=fault), work_folder(str(tmp_path)):
    pass
  assert list(tmp_path.iterdir()) == []


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  """Returns the folder that stands for every bucket."""
  folder = tmp_path / 'bucket'
  store = LocalStore(folder, mkdir=True, automatic_cleanup=True)
  monkeypatch.setattr(object_store, '_bucket', lambda *_: store)
  monkeypatch.setattr(module, 'storage_of', storage_of)
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
  (tmp_path / 'temporary').mkdir()
  return folder


URI = 's3://bucket/root/7'


@pytest.mark.parametrize('one_machine', [True, False])
def test_the_place_of_work_files_is_chosen(bucket, tmp_path, monkeypatch, caplog, one_machine):
  caplog.set_level('INFO', logger='absl')  # whatever a test before it has set
  with work_folder(URI, one_machine=one_machine) as folder:
    here = str(tmp_path / 'temporary')
    assert folder.startswith(f'{here}/tfx-balance-work-' if one_machine else f'{URI}/.work-')
    write_whole(f'{folder}/spill', b'x')
  root = here if one_machine else os.path.dirname(folder)
  assert f'work files are in {root}: ' in caplog.text
  assert [path for path in tmp_path.rglob('*') if path.is_file()] == []
  monkeypatch.setenv(WORK_VARIABLE, str(tmp_path / 'given'))
  with work_folder(URI, one_machine=one_machine) as folder:
    assert Path(folder).parent == tmp_path / 'given'
    # Workers of other machines may have other user ids.
    assert bool(Path(folder).stat().st_mode & 0o077) is not one_machine


@pytest.mark.parametrize('fails', [False, True])
def test_what_an_attempt_leaves_in_a_bucket_is_deleted(bucket, fails):
  def run():
    with work_folder(URI):
      assert not exists(f'{URI}/Split-train/left')
      write_whole(f'{URI}/Split-train/new', b'')
      if fails:
        raise ValueError('some fault')

  for name in ('Split-train/left', 'class_distribution.json', 'of-another/a', 'notes.txt'):
    write_whole(f'{URI}/{name}', b'x')
  with pytest.raises(ValueError, match='some fault') if fails else contextlib.nullcontext():
    run()
  found = sorted(
    path.relative_to(bucket).as_posix() for path in bucket.rglob('*') if path.is_file()
  )
  kept = ['root/7/notes.txt', 'root/7/of-another/a']
  assert found == [*([] if fails else ['root/7/Split-train/new']), *kept]


def test_a_user_without_a_name_has_a_place_too(bucket, monkeypatch):
  # As in a container that runs as a number.
  for name in ('LOGNAME', 'USER', 'LNAME', 'USERNAME'):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setattr(pwd, 'getpwuid', mock.Mock(side_effect=KeyError('uid not found')))
  with work_folder(URI) as folder:
    assert Path(folder).is_dir()
