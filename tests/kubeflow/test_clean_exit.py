"""How a task's process ends, run as a process with a stand-in for TFX's entrypoint."""

import json
import os
import subprocess
import sys

import pytest
from tfx_balance.kubeflow.entrypoint import INVOCATION, MODULE, TFX_MODULE

# What aborts a process of which the task is done: C++ destroys what threads still use, and so does
# Python. An abort is exit code -6 here, 134 in a shell.
ABORTS = """
import atexit, ctypes, multiprocessing, os, sys, threading, time

class Model:
  def __del__(self):
    os.abort()

sys.kept = Model()
c = ctypes.CDLL(None)
c.__cxa_atexit(ctypes.cast(c.abort, ctypes.c_void_p), None, None)
"""
# What a process that ends well has done.
DONE = """
def upload():
  time.sleep(0.2)
  print('thread', flush=True)

multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,), daemon=True).start()
threading.Thread(target=upload).start()
atexit.register(lambda: print('handler', end=' '))
c.printf(b'C ')
"""


@pytest.fixture
def run_task_process(tmp_path):
  """Returns a function that runs a task whose executor is some code."""
  module = tmp_path.joinpath(*TFX_MODULE.split('.')).with_suffix('.py')
  for folder in module.relative_to(tmp_path).parents[:-1]:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / '__init__.py').touch()

  environment = {**os.environ, 'PYTHONPATH': f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}'}
  environment.pop('PYTHONUNBUFFERED', None)  # so that there is something to flush

  def run(code):
    module.write_text(code)
    message = {'outputs': {'outputFile': str(tmp_path / 'output.json')}}
    return subprocess.run(
      [sys.executable, '-m', MODULE, INVOCATION, json.dumps(message)],
      env=environment,
      capture_output=True,
      text=True,
      timeout=60,
    )

  return run


def test_a_finished_task_is_not_aborted_and_all_that_it_left_is_done(run_task_process):
  done = run_task_process(f'{ABORTS}\n{DONE}')
  assert (done.returncode, done.stderr) == (0, '')
  assert sorted(done.stdout.split()) == ['C', 'handler', 'thread']


@pytest.mark.parametrize(
  ('ending', 'exit_code', 'message'),
  [
    pytest.param('sys.exit(0)', 0, '', id='exit 0'),
    pytest.param('sys.exit(3)', 3, '', id='exit 3'),
    pytest.param("sys.exit('no such split')", 1, 'no such split\n', id='text'),
    pytest.param("raise ValueError('no such split')", 1, 'ValueError: no such split\n', id='error'),
  ],
)
def test_the_exit_code_is_the_tasks(ending, exit_code, message, run_task_process):
  done = run_task_process(f'{ABORTS}\n{ending}')
  assert done.returncode == exit_code
  assert done.stderr.endswith(message)
  assert ('Traceback' in done.stderr) == ending.startswith('raise')
