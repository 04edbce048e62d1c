"""Programs that use BalancedInputs: what needs a process of its own, which has run nothing yet.

A program ends, whatever its iterators do at that moment: eight iterators, half of them of records
that are held and half of streamed ones, make it next to certain that some thread is about to call
Python then.
"""

import signal

import pytest

from tests.inputs.helpers_inputs import write_artifact
from tests.inputs.helpers_programs import run_programs

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
import numpy as np
from tfx_balance.inputs.selection import ClassSelector, selection_dataset
two = np.arange(2)
selected = selection_dataset(two, two, ClassSelector(two), 2)
print('END', tf.keras.__name__, type(selected).__mro__[1].__module__, flush=True)
""",
  ),
}
CASES = [(end, legacy) for end in _ENDS for legacy in ((0, 1) if end == 'after fit' else (0,))]


# The last program reads the checkpoint of the first, which has ended then: only two run at once.
_CHECKPOINT = """
loaded = sorted(m for m in sys.modules if m.split('.')[0] in ('tfx', 'apache_beam'))
assert not loaded, loaded
for strategy, budget in [('exact', 900), ('weighted', 1 << 30)]:  # streamed, held
  made = BalancedInputs.load({root!r}, SPEC, memory_budget=budget)
  iterator = iter(made.train(8, strategy))
  checkpoint, path = tf.train.Checkpoint(iterator=iterator), {folder!r} + strategy
  if {save}:
    [next(iterator) for _ in range(7)]
    checkpoint.write(path)
  else:
    checkpoint.read(path)
  print('IDS', strategy, [next(iterator)[0]['id'].numpy().tolist() for _ in range(30)], flush=True)
"""
_MIRRORED = """
import numpy as np
cpu, = tf.config.list_physical_devices('CPU')
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(['cpu:0', 'cpu:1'])
labels = np.repeat(np.arange(4), (60, 20, 7, 1))
inputs = BalancedInputs.from_arrays({'id': np.arange(88)}, labels)
for made in (
  strategy.experimental_distribute_dataset(inputs.train(24)),
  strategy.distribute_datasets_from_function(lambda c: inputs.train(24, input_context=c)),
):
  parts = [strategy.experimental_local_results(y) for _, (_, y) in zip(range(5), made)]
  print('BATCHES', [[len(part) for part in batch] for batch in parts])
  print('CLASSES', [np.bincount(np.concatenate(batch)).tolist() for batch in parts], flush=True)
"""


@pytest.fixture(scope='module')
def ended(tmp_path_factory):
  """Returns the exit code (None if it did not end) and the output of each program by its name."""
  folder = tmp_path_factory.mktemp('programs')
  write_artifact(folder / 'a', [40] * 3, per_file=10)
  write_artifact(folder / 'b', [60, 20, 7, 1], per_file=15, shared_below=10)
  start = _START.format(root=str(folder / 'a'))
  saving = {'root': str(folder / 'b'), 'folder': f'{folder}/checkpoint-'}
  return run_programs(
    folder,
    {
      'saves': ({}, _CHECKPOINT.format(save=True, **saving)),
      **{(e, keras): (_keras(keras), start + _ENDS[e][1]) for e, keras in CASES},
      'mirrored': ({}, _MIRRORED),
      'restores': ({}, _CHECKPOINT.format(save=False, **saving)),
    },
  )


def _keras(legacy):
  return {'TF_USE_LEGACY_KERAS': str(legacy)}


@pytest.mark.parametrize(('end', 'legacy'), CASES)
def test_a_program_ends(ended, end, legacy):
  code, out, err = ended[end, legacy]
  assert 'END' in out + err, err[-2000:]
  assert code == _ENDS[end][0], err[-2000:]
  if end == 'after fit':
    _, keras, base_of_selected = out.split()
    assert keras.startswith('tf_keras') == bool(legacy), out
    assert (base_of_selected == 'tf_keras.src.utils.data_utils') == bool(legacy), out


def test_a_checkpoint_goes_on_with_the_same_batch_in_a_new_process(ended):
  found = []
  for name in ('saves', 'restores'):
    _, out, err = ended[name]
    found.append([line for line in out.splitlines() if line.startswith('IDS')])
    assert len(found[-1]) == 2, err[-2000:]
  assert found[0] == found[1]


def test_two_replicas_share_each_batch(ended):
  _, out, err = ended['mirrored']
  lines = out.splitlines()
  assert lines.count('BATCHES ' + str([[12, 12]] * 5)) == 2, err[-2000:]
  assert lines.count('CLASSES ' + str([[6, 6, 6, 6]] * 5)) == 2
