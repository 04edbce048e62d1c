"""Programs, each a process of its own, forked from one that has imported TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TIMEOUT = 120  # seconds; a program takes 3

# Imports once, for seconds, and becomes each of the programs by a fork: nothing has run by then, so
# that each of them begins as if it had imported by itself, and ends by itself.
_PROGRAMS = """
import json, os, signal, sys, threading, time, warnings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
warnings.simplefilter('ignore')
sys.path.insert(0, {here!r})
import tensorflow as tf
from helpers_inputs import SPEC
from tfx_balance.inputs import BalancedInputs

def fork(name, environment):
  child = os.fork()
  if not child:
    for stream in (1, 2):
      os.dup2(os.open(f'{{name}}.{{stream}}', os.O_WRONLY | os.O_CREAT), stream)
    os.environ.update(environment)  # tf.keras has not been used
  return child

def code_of(child):
  for _ in range({timeout} * 10):
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
      return os.waitstatus_to_exitcode(status)
    time.sleep(0.1)
  os.kill(child, signal.SIGKILL)
  os.waitpid(child, 0)
  return None

programs = json.load(sys.stdin)
codes, running = {{}}, {{}}
for name, (environment, program) in programs.items():
  running[name] = child = fork(name, environment)
  if not child:
    break
  if len(running) == 2:
    first = next(iter(running))
    codes[first] = code_of(running.pop(first))
else:
  codes.update((name, code_of(child)) for name, child in running.items())
  print(json.dumps(codes), flush=True)
  os._exit(0)
exec(program)
"""


def run_programs(folder, sources):
  """Returns the exit code (None if it did not end) and the output of each program.

  A program begins when the one before the last has ended: two run at once.

  Args:
    folder: pathlib.Path of a folder for their output.
    sources: environment variables and Python of each program, by its name.
  """
  programs = {str(folder / str(i)): source for i, source in enumerate(sources.values())}
  done = subprocess.run(
    [sys.executable, '-c', _PROGRAMS.format(here=str(HERE), timeout=TIMEOUT)],
    input=json.dumps(programs),
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  codes = json.loads(done.stdout)
  return {
    case: (codes[name], *(Path(f'{name}.{stream}').read_text() for stream in (1, 2)))
    for case, name in zip(sources, programs, strict=True)
  }
