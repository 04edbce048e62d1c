"""A program that uses BalancedInputs ends, whatever its iterators do at that moment.

Eight iterators, half of them of records that are held and half of streamed ones, make it next to
certain that some thread is about to call Python then.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inputs.helpers_inputs import write_artifact

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

def fork(name, legacy):
  child = os.fork()
  if not child:
    for stream in (1, 2):
      os.dup2(os.open(f'{{name}}.{{stream}}', os.O_WRONLY | os.O_CREAT), stream)
    os.environ['TF_USE_LEGACY_KERAS'] = legacy  # tf.keras has not been used
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
for name, (legacy, program) in programs.items():
  running[name] = child = fork(name, legacy)
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
_START = """
made = [BalancedInputs.load({root!r}, SPEC, memory_budget=n) for n in (1 << 30, 500)]
held, dataset = (inputs.train(4) for inputs in made)
iterators = [iter(one) for one in [held, dataset] * 4]
for iterator in iterators:
  next(iterator)
"""
_ENDS = {
  'in the middle of an epoch': (0, 'print("END", flush=True)'),
  'by an exception': (1, 'raise ValueError("END")'),
  'by Ctrl-C': (
    -signal.SIGINT,
    """
def interrupt():
  time.sleep(0.3)
  while True:  # an interrupt that comes in a destructor of TensorFlow's is lost (docs/findings.md)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)

threading.Thread(target=interrupt, daemon=True).start()
print('END', flush=True)
for _ in dataset:
  pass
""",
  ),
  'by Ctrl-C, and again while a call is waited for': (
    -signal.SIGINT,
    """
from tfx_balance.inputs.python_calls import call_python, options_of_calls

def slow(x):
  time.sleep(2)
  return x

def interrupt():
  while True:
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)

numbers = tf.data.Dataset.range(1000)
called = numbers.map(lambda x: call_python(slow, [x], [tf.int64])[0])
calls = iter(called.prefetch(1).with_options(options_of_calls()))
next(calls)
threading.Thread(target=interrupt, daemon=True).start()
print('END', flush=True)
for _ in calls:
  pass
""",
  ),
  'with a thread that reads on': (
    0,
    """
threading.Thread(target=lambda: [None for _ in dataset], daemon=True).start()
time.sleep(0.3)
print('END', flush=True)
""",
  ),
  'in a call for which a cancelled one waited': (
    0,
    """
from tfx_balance.inputs.python_calls import call_python, options_of_calls

def calling(function):
  numbers = tf.data.Dataset.range(1000)
  called = numbers.map(lambda x: call_python(function, [x], [tf.int64])[0])
  return iter(called.prefetch(1).with_options(options_of_calls()))

def slow(x):
  time.sleep(2)
  return x

first, second = calling(slow), calling(lambda x: x)
next(second), next(first), next(second)  # and both call again
time.sleep(0.3)
del second
print('END', flush=True)
""",
  ),
  'after fit': (
    0,
    """
model = tf.keras.Sequential([tf.keras.layers.Dense(3)])
model.compile('sgd', tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)  # else it takes 10 s
rows = dataset.map(lambda f, y: (tf.cast(f['id'], tf.float32)[:, None], y))
model.fit(rows, steps_per_epoch=5, epochs=2, verbose=0)
print('END', tf.keras.__name__, flush=True)
""",
  ),
}
CASES = [(end, legacy) for end in _ENDS for legacy in ((0, 1) if end == 'after fit' else (0,))]


@pytest.fixture(scope='module')
def ended(tmp_path_factory):
  """Returns the exit code (None if it did not end) and the output of each program by its case."""
  folder = tmp_path_factory.mktemp('exit')
  write_artifact(folder / 'a', [40] * 3, per_file=10)
  start = _START.format(root=str(folder / 'a'))
  programs = {
    str(folder / str(i)): (str(legacy), start + _ENDS[end][1])
    for i, (end, legacy) in enumerate(CASES)
  }
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
    for case, name in zip(CASES, programs, strict=True)
  }


@pytest.mark.parametrize(('end', 'legacy'), CASES)
def test_a_program_ends(ended, end, legacy):
  code, out, err = ended[end, legacy]
  assert 'END' in out + err, err[-2000:]
  assert code == _ENDS[end][0], err[-2000:]
  if end == 'after fit':
    assert out.split()[1].startswith('tf_keras') == bool(legacy), out
