"""Processes of a comparison: what they share, a killed parent, a full disk."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from tfx_balance.compare import processes
from tfx_balance.compare.processes import call_in_processes
from tfx_balance.errors import StorageError
from tfx_balance.tfrecord.private_folder import PREFIX

KILLED = """
import os, sys, time
import numpy as np
from tfx_balance.compare.processes import call_in_processes

def call(array, name):
  open(name, 'w').write(str(os.getpid()))
  time.sleep(100)

list(call_in_processes(call, np.ones(600_000), ['one', 'two'], 2))
"""


@pytest.fixture
def shifted_sum():
  """Returns a function that is pickled as a whole: processes do not import this module."""

  def call(arrays, more):
    return float(arrays['x'].sum()) + more, isinstance(arrays['x'], np.memmap), os.getpid()

  return call


def test_results_come_in_order_from_other_processes_that_map_the_data(
  monkeypatch, tmp_path, shifted_sum
):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  for x in (np.ones(200_000), np.zeros(200_000)):  # the second call must not see the first one's
    found = list(call_in_processes(shifted_sum, {'x': x}, range(6), 2))
    assert [total for total, *_ in found] == [x.sum() + i for i in range(6)]
    assert all(mapped and pid != os.getpid() for _, mapped, pid in found)
  assert os.listdir(tmp_path) == []


def test_processes_end_with_a_parent_that_is_killed_and_the_next_call_deletes_its_folder(
  monkeypatch, tmp_path, shifted_sum
):
  environment = {**os.environ, 'TMPDIR': str(tmp_path)}
  parent = subprocess.Popen([sys.executable, '-c', KILLED], cwd=tmp_path, env=environment)
  written = [tmp_path / name for name in ('one', 'two')]
  wait_until(lambda: all(path.exists() and path.read_text() for path in written))
  parent.send_signal(signal.SIGKILL)
  parent.wait()
  wait_until(lambda: not any(Path(f'/proc/{path.read_text()}').exists() for path in written))

  assert [name for name in os.listdir(tmp_path) if name.startswith(PREFIX)]
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  list(call_in_processes(shifted_sum, {'x': np.ones(3)}, [0], 2))
  assert not [name for name in os.listdir(tmp_path) if name.startswith(PREFIX)]


def test_a_full_disk_is_an_error_that_says_what_to_do(monkeypatch, shifted_sum):
  def full(data, path):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(processes.joblib, 'dump', full)
  with pytest.raises(StorageError, match=r'No space left on device.*TMPDIR.*or give processes=1'):
    list(call_in_processes(shifted_sum, {'x': np.ones(3)}, [0], 2))


def test_processes_share_the_cores():
  found = list(call_in_processes(lambda data, task: joblib.cpu_count(), None, range(2), 2))
  assert found == [max(joblib.cpu_count() // 2, 1)] * 2


def test_an_error_in_a_process_is_the_only_one(monkeypatch):
  def call(data, i):
    time.sleep(0.1)
    if i == 3:
      raise ValueError(f'task {i}')
    return i

  others = []
  monkeypatch.setattr(threading, 'excepthook', others.append)
  with pytest.raises(ValueError, match='task 3'):
    list(call_in_processes(call, np.ones(3), range(25), 2))
  assert others == []


def wait_until(condition):
  deadline = time.monotonic() + 60
  while not condition():
    assert time.monotonic() < deadline, 'waited for a minute'
    time.sleep(0.05)
