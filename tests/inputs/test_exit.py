"""A program that uses BalancedInputs ends, whatever its iterators do at that moment.

Eight iterators, half of them of records that are held and half of streamed ones, make it next to
certain that some thread is about to call Python then.
"""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.inputs.helpers_inputs import write_artifact

HERE = Path(__file__).parent
TIMEOUT = 120  # seconds; a run takes 5

_START = """
import os, signal, sys, threading, time, warnings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
os.environ['TF_USE_LEGACY_KERAS'] = '{legacy}'
warnings.simplefilter('ignore')
sys.path.insert(0, {here!r})
import tensorflow as tf
from helpers_inputs import SPEC
from tfx_balance.inputs import BalancedInputs
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
rows = dataset.map(lambda f, y: (tf.cast(f['id'], tf.float32)[:, None], y))
model.fit(rows, steps_per_epoch=5, epochs=2, verbose=0)
print('END', tf.keras.__name__, flush=True)
""",
  ),
}
CASES = [(end, legacy) for end in _ENDS for legacy in ((0, 1) if end == 'after fit' else (0,))]


def run(code: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False, timeout=TIMEOUT
  )


@pytest.fixture(scope='module')
def ended(tmp_path_factory):
  """Returns how each program ended: two run at a time, and none is waited for longer than that."""
  root = tmp_path_factory.mktemp('exit') / 'a'
  write_artifact(root, [40] * 3, per_file=10)
  with ThreadPoolExecutor(2) as pool:
    running = {
      case: pool.submit(
        run,
        _START.format(here=str(HERE), root=str(root), legacy=case[1]) + _ENDS[case[0]][1],
      )
      for case in CASES
    }
  return running


@pytest.mark.parametrize(('end', 'legacy'), CASES)
def test_a_program_ends(ended, end, legacy):
  done = ended[end, legacy].result()
  assert 'END' in done.stdout + done.stderr, done.stderr[-2000:]
  assert done.returncode == _ENDS[end][0], done.stderr[-2000:]
  if end == 'after fit':
    assert done.stdout.split()[1].startswith('tf_keras') == bool(legacy), done.stdout
