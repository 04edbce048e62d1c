"""Several hosts, each a process; training that is killed, and goes on as in docs/input.md."""

import json
import re
import signal
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.inputs.helpers_inputs import write_artifact
from tests.inputs.helpers_programs import run_programs

COUNTS = (60, 20, 7, 1)
DOCS = Path(__file__).parents[2] / 'docs/input.md'
(EXAMPLE,) = re.findall(r'^(import keras  # or.*?\n)inputs = ', DOCS.read_text(), re.M | re.S)

_WORKER = """
strategy = tf.distribute.MultiWorkerMirroredStrategy()
inputs = BalancedInputs.load({root!r}, SPEC)
makers = (
  lambda: strategy.distribute_datasets_from_function(
    lambda context: inputs.train(24, input_context=context, start_step=5)
  ),
  lambda: strategy.experimental_distribute_dataset(inputs.train(24, start_step=5)),
)
found = []
with strategy.scope():
  total = tf.Variable(0, dtype=tf.int64)
for make in makers:
  batches = iter(make())
  for _ in range(3):
    ids = next(batches)[0]['id']
    strategy.run(lambda own: total.assign_add(
      tf.distribute.get_replica_context().all_reduce('sum', tf.reduce_sum(own))
    ), [ids])
    found.append(strategy.gather(ids, 0).numpy().tolist())
print(json.dumps([found, int(total.numpy())]), flush=True)
open({root!r} + '-{index}', 'w').close()
while not all(os.path.exists({root!r} + f'-{{i}}') for i in range(2)):
  time.sleep(0.05)  # the other may still read from this one
os._exit(0)  # its servers have no end
"""
_WHOLE = """
inputs = BalancedInputs.load({root!r}, SPEC)
print(json.dumps([f['id'].numpy().tolist() for f, _ in inputs.train(24).take(8)]), flush=True)
"""
_PARAMETER_SERVERS = """
workers, servers = [{ports[0]!r}, {ports[1]!r}], [{ports[2]!r}]
cluster = tf.train.ClusterSpec({{'worker': workers, 'ps': servers}})
running = [
  tf.distribute.Server(cluster, job_name=job, task_index=i, protocol='grpc')
  for job, of in (('worker', workers), ('ps', servers)) for i in range(len(of))
]
resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer='grpc')
strategy = tf.distribute.ParameterServerStrategy(resolver)
coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
inputs = BalancedInputs.load({root!r}, SPEC)
try:
  coordinator.create_per_worker_dataset(lambda: inputs.train(24))
except Exception as error:
  print(type(error).__name__, error, flush=True)
os._exit(0)
"""
_KERAS = """
from tensorflow.python.autograph.core import config
config.CONVERSION_RULES = (config.DoNotConvert('tf_keras'), *config.CONVERSION_RULES)  # or 10 s
import numpy as np
{example}

class Step(keras.callbacks.Callback):
  def on_train_batch_end(self, batch, logs=None):
    step = int(self.model.optimizer.iterations)
    weights = np.concatenate([w.ravel() for w in self.model.get_weights()])
    print(json.dumps([step, weights.round(5).tolist()]), flush=True)
    if step == {last}:
      os.kill(os.getpid(), signal.SIGKILL)

labels = np.repeat(np.arange(4), {counts})
features = np.random.default_rng(0).normal(size=(88, 4)).astype(np.float32)
keras.utils.set_random_seed(1)
train(BalancedInputs.from_arrays(features, labels), {folder!r}, [Step()])
"""


def keras_program(legacy, folder, last):
  example = EXAMPLE
  if legacy:
    example = example.replace('import keras', 'import tf_keras as keras')
  source = _KERAS.format(example=example, folder=folder, last=last, counts=COUNTS)
  return {'TF_USE_LEGACY_KERAS': str(int(legacy))}, source


def free_ports(n):
  sockets = [socket.socket() for _ in range(n)]
  for each in sockets:
    each.bind(('localhost', 0))
  ports = [f'localhost:{each.getsockname()[1]}' for each in sockets]
  for each in sockets:
    each.close()
  return ports


@pytest.fixture(scope='module')
def ended(tmp_path_factory):
  """Returns the exit code (None if it did not end) and the output of each program by its name."""
  folder = tmp_path_factory.mktemp('hosts')
  root = str(folder / 'a')
  write_artifact(folder / 'a', COUNTS, per_file=15, shared_below=10)
  keras = {}
  for last in ('killed', 'whole', 'resumed'):
    for legacy in (False, True):
      backup = str(folder / f'{legacy}-{"whole" if last == "whole" else "backup"}')
      keras[last, legacy] = keras_program(legacy, backup, 17 if last == 'killed' else None)
  workers = free_ports(2)
  sources = {
    **keras,
    **{
      ('worker', i): (
        {
          'TF_CONFIG': json.dumps(
            {'cluster': {'worker': workers}, 'task': {'type': 'worker', 'index': i}}
          )
        },
        _WORKER.format(root=root, index=i),
      )
      for i in range(2)
    },
    'whole': ({}, _WHOLE.format(root=root)),
    'ps': ({}, _PARAMETER_SERVERS.format(root=root, ports=free_ports(3))),
  }
  return run_programs(folder, sources)


def printed(ended, name, code=0):
  """Returns the lines of JSON that a program printed."""
  found, out, err = ended[name]
  assert found == code, err[-2000:]
  return [json.loads(line) for line in out.splitlines()]


def test_multi_worker_mirrored_strategy_reads_the_global_batches(ended):
  (whole,) = printed(ended, 'whole')
  expected = whole[5:8] * 2
  for i in range(2):
    (found,) = printed(ended, ('worker', i))
    assert found == [expected, int(np.sum(expected))]


def test_parameter_servers_are_refused_by_name(ended):
  code, out, err = ended['ps']
  assert code == 0, err[-2000:]
  assert out.startswith('ConfigError the workers of a ParameterServerStrategy'), out + err[-2000:]
  assert 'use MultiWorkerMirroredStrategy' in out


@pytest.mark.parametrize('legacy', [False, True], ids=['keras 3', 'tf_keras'])
def test_training_that_is_killed_goes_on_with_the_batches_that_it_would_have_had(ended, legacy):
  whole = dict(printed(ended, ('whole', legacy)))
  killed = printed(ended, ('killed', legacy), -signal.SIGKILL)
  resumed = printed(ended, ('resumed', legacy))
  assert [step for step, _ in killed] == list(range(1, 18))
  assert resumed[0][0] == 16  # after the backup of step 15
  assert [step for step, _ in resumed][:25] == list(range(16, 41))
  if legacy:
    assert len(resumed) == 25
  for step, weights in killed + resumed[:25]:
    np.testing.assert_allclose(weights, whole[step], atol=2e-5)
