"""What a dataset holds is freed with it, and not before, in whatever way it is held."""

import gc
import threading
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.inputs import BalancedInputs, python_calls
from tfx_balance.inputs.file_cache import FileCache

from tests.inputs.helpers_inputs import SPEC, write_artifact

LABELS = np.repeat(np.arange(3), 40)


@pytest.fixture(scope='module')
def artifact(tmp_path_factory):
  root = tmp_path_factory.mktemp('release') / 'a'
  write_artifact(root, [40] * 3, per_file=10)
  return str(root)


def streamed(root):
  return BalancedInputs.load(root, SPEC, memory_budget=500)


def in_memory(root):
  return BalancedInputs.load(root, SPEC)


def from_generator(root):
  return BalancedInputs.from_generator(lambda: (({'id': i}, y) for i, y in enumerate(LABELS)))


SOURCES = [streamed, in_memory, from_generator]


def in_use():
  """Returns how many functions and file caches are there."""
  tf.constant(0)  # which lets TensorFlow free the arrays that it is done with
  gc.collect()
  caches = sum(isinstance(each, FileCache) for each in gc.get_objects())
  return len(python_calls._FUNCTIONS), caches


def pool_threads():
  """Returns the threads of pools that do not end, though all pools are gone."""
  threads = [each for each in threading.enumerate() if 'ThreadPool' in each.name]
  for thread in threads:
    thread.join(60)
  return [thread for thread in threads if thread.is_alive()]


def ids(batches):
  return [features['id'].numpy().tolist() for features, _ in batches]


@pytest.mark.filterwarnings('ignore:streaming the classes')
@pytest.mark.parametrize('source', SOURCES)
def test_datasets_that_are_gone_hold_nothing(source, artifact):
  before = in_use()
  made = source(artifact)
  for _ in range(3):
    assert len(ids(made.train(8).take(3))) == 3
    assert len(ids(made.eval(8, split='train') if made.label else made.eval(8, data=made))) == 15
  assert in_use() == before
  dataset, gone = made.train(8), weakref.ref(made.source)
  iterator = iter(dataset)
  assert ids([next(iterator)]) == ids(made.train(8).take(1))
  assert in_use() == (before[0] + 1, before[1] + (source is streamed))
  del dataset, iterator, made
  assert in_use() == before
  assert gone() is None
  assert not pool_threads()


def iterator_alone(inputs):
  return iter(inputs.train(8))


def derived_dataset(inputs):
  return inputs.train(8).take(9).map(lambda features, label: (features, label)).prefetch(1)


def variant(inputs):
  dataset = inputs.train(8)
  kind, stored = dataset.element_spec, tf.data.experimental.to_variant(dataset)
  return tf.data.experimental.from_variant(stored, kind)


def distributed(inputs):
  strategy = tf.distribute.MirroredStrategy(['cpu:0'])
  return strategy.experimental_distribute_dataset(inputs.train(8))


def distributed_function(inputs):
  strategy = tf.distribute.MirroredStrategy(['cpu:0'])
  return strategy.distribute_datasets_from_function(
    lambda context: inputs.train(8, input_context=context)
  )


def graph_loop(inputs):
  @tf.function
  def read(dataset):
    found = tf.TensorArray(tf.int64, 9)
    for i, (features, _) in dataset.take(9).enumerate():
      found = found.write(tf.cast(i, tf.int32), features['id'])
    return found.stack()

  return [({'id': row}, None) for row in read(inputs.train(8))]


@pytest.mark.filterwarnings('ignore:streaming the classes')
@pytest.mark.parametrize(
  'hold',
  [iterator_alone, derived_dataset, variant, distributed, distributed_function, graph_loop],
)
def test_a_dataset_that_is_held_in_any_way_gives_its_batches(hold, artifact):
  expected = ids(streamed(artifact).train(8).take(9))
  before = in_use()
  batches = hold(streamed(artifact))
  in_use()  # frees what nothing holds
  assert ids(batch for _, batch in zip(range(9), batches, strict=False)) == expected
  del batches
  assert in_use() == before


def test_a_call_whose_function_is_gone_says_so():
  key = python_calls.key_of(lambda: np.int64(7))
  copy = tf.constant(key.numpy().tolist(), tf.int64)
  assert python_calls.call_python(copy, [], [tf.int64]) == [7]
  del key
  in_use()
  with pytest.raises(tf.errors.InvalidArgumentError, match=r'was deleted; keep what train\(\)'):
    python_calls.call_python(copy, [], [tf.int64])
