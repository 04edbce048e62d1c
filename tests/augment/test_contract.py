"""What a function may do, what it may not, and how errors name function and record."""

import functools
import itertools
import random
import time

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.augment import (
  Applier,
  AugmentError,
  ImageAugment,
  Smote,
  apply,
  augment_batch,
  function_name,
  load_augment_fn,
  source_hash,
)
from tfx_balance.augment.contract_checks import stateful_ops
from tfx_balance.errors import ConfigError, DataError

from tests.augment import augment_examples
from tests.augment.helpers_augment import make_seeds

N = 7


@pytest.fixture
def features():
  words = [[b'w%d' % i] * (i % 3) for i in range(N)]
  return {
    'x': tf.constant(np.arange(2 * N, dtype=np.float32).reshape(N, 2)),
    'n': tf.constant(np.arange(N)),
    'label': tf.constant([b'rare'] * N),
    'words': tf.ragged.constant(words, dtype=tf.string),
  }


def test_each_record_is_changed_by_its_own_seed_as_alone(features):
  seeds = make_seeds(N)
  out = apply(augment_examples.jitter, features, seeds, label='label')
  for i in range(N):
    one = {name: value[i] for name, value in features.items()}
    alone = augment_examples.jitter(one, seeds[i])['x']
    np.testing.assert_array_equal(out['x'][i], alone)
  assert out['words'].to_list() == features['words'].to_list()
  again = apply(augment_examples.jitter, features, seeds)['x']
  np.testing.assert_array_equal(out['x'], again)


def test_a_branch_on_a_tensor_works(features):
  out = apply(augment_examples.branching, features, make_seeds(N))
  assert out['n'].numpy().tolist() == [0, 1, 2, 3, 8, 10, 12]


def test_a_varying_length_may_change(features):
  out = apply(augment_examples.longer, features, make_seeds(N))
  assert out['words'].to_list() == [[*row, b'more'] for row in features['words'].to_list()]


def test_an_empty_batch_stays_empty(features):
  none = {name: value[:0] for name, value in features.items()}
  out = Applier(augment_examples.jitter)(none, make_seeds(N)[:0])
  assert out['x'].shape == (0, 2)


def test_traces_once_for_batches_of_every_size(features):
  traces = []

  def counting(given, seed):
    del seed
    traces.append(1)
    return given

  applier = Applier(counting)
  applier(features, make_seeds(N))
  traced = len(traces)
  for size in (1, 3, N):
    applier({name: value[:size] for name, value in features.items()}, make_seeds(size))
  assert len(traces) == traced


def test_works_inside_a_dataset(features):
  seeds = make_seeds(N)
  data = tf.data.Dataset.from_tensors((features, seeds))
  data = data.map(lambda f, s: augment_batch(augment_examples.jitter, f, s))
  wanted = apply(augment_examples.jitter, features, seeds)['x']
  np.testing.assert_array_equal(data.get_single_element()['x'], wanted)


@pytest.mark.parametrize(
  ('name', 'index', 'says'),
  [
    ('drops', 0, r"dropped \['label', 'n', 'words'\]"),
    ('adds', 0, r"added \['y'\]"),
    ('no_dict', 0, r'returned a .*Tensor; return a dict'),
    ('other_dtype', 0, r"changed feature 'x' from float32 to float64"),
    ('other_shape', 0, r"changed feature 'x' from shape \(2,\) to \(1,\)"),
    ('hidden_shape', 4, r'raised InvalidArgumentError'),
    ('other_label', 4, r"changed the label 'label'"),
    ('nan', 4, r"gave NaN in feature 'x', which had none"),
    ('infinity', 4, r"gave infinity in feature 'x', which had none"),
    ('raises', 4, r'raised InvalidArgumentError: .*n is 4'),
    ('asks_for_more', 0, r"raised KeyError: 'z'"),
    ('bad_batch', 0, r'changed the shape of feature x; keep its shape'),
  ],
)
def test_a_broken_rule_names_the_function_and_the_record(features, name, index, says):
  augment_fn = getattr(augment_examples, name)
  with pytest.raises(AugmentError, match=says) as caught:
    Applier(augment_fn, label='label')(features, make_seeds(N))
  assert caught.value.index == index
  assert function_name(augment_fn).rpartition('.')[2] in str(caught.value)
  assert f'at record {index} of the batch' in str(caught.value)
  assert isinstance(caught.value, DataError)


def test_nan_that_was_there_may_stay(features):
  given = {**features, 'x': tf.fill([N, 2], np.float32('nan'))}
  out = Applier(augment_examples.jitter)(given, make_seeds(N))
  assert np.isnan(out['x']).all()


@pytest.mark.parametrize('dtype', [tf.float32, tf.string], ids=lambda d: d.name)
def test_a_label_of_varying_length_is_compared_by_value(dtype):
  values = [[1], [], [2, 3]]
  texts = [[str(v) for v in row] for row in values]
  label = tf.ragged.constant(texts if dtype == tf.string else values, dtype=dtype)
  last = tf.constant('9') if dtype == tf.string else tf.constant(9, dtype)
  given = {'label': label, 'n': tf.constant([0, 1, 2])}

  def change(features, seed):
    del seed
    tail = tf.where(features['n'] == 2, last, features['label'][-1:])
    return {**features, 'label': tf.concat([features['label'][:-1], tail], 0)}

  with pytest.raises(AugmentError, match=r'record 2 of the batch: changed the label'):
    Applier(change, label='label')(given, make_seeds(3))
  assert Applier(lambda f, s: f, label='label')(given, make_seeds(3))['label'].shape[0] == 3


def test_randomness_from_a_state_is_refused(features):
  with pytest.raises(ConfigError, match=r'stateful uses RandomUniform .*use tf.random.stateless_'):
    Applier(augment_examples.stateful)(features, make_seeds(N))


def shifted(features, amount):
  return {**features, 'x': features['x'] + np.float32(amount)}


def toss(features, seed):
  return shifted(features, random.random() < 0.5)


def at_run_time(features, seed):
  drawn = tf.py_function(lambda: np.float32(np.random.random()), [], tf.float32)
  return {**features, 'x': features['x'] + tf.ensure_shape(drawn, [])}


class CallsCounted:
  """A function that is not traced, as those bound to a pool are not."""

  traced = False

  def __init__(self):
    self._calls = itertools.count()

  def batch(self, features, seeds):
    return shifted(features, next(self._calls))


@pytest.mark.parametrize(
  'augment_fn',
  [
    pytest.param(lambda f, s: shifted(f, np.random.random()), id='NumPy'),
    pytest.param(lambda f, s: shifted(f, np.random.default_rng().random()), id='generator'),
    pytest.param(lambda f, s: shifted(f, time.perf_counter()), id='clock'),
    pytest.param(toss, id='a coin a trace'),
    pytest.param(at_run_time, id='py_function'),
    pytest.param(tf.function(lambda f, s: shifted(f, random.random())), id='tf.function'),
    pytest.param(CallsCounted(), id='not traced'),
  ],
)
def test_randomness_from_python_is_refused(features, augment_fn):
  message = r'gives other values for the same record and seed; .* take all randomness from the seed'
  with pytest.raises(ConfigError, match=message):
    Applier(augment_fn)(features, make_seeds(N))


def test_a_timeout_changes_no_outcome_and_no_error(features):
  seeds = make_seeds(N)
  out = Applier(augment_examples.jitter)(features, seeds, timeout=600)
  np.testing.assert_array_equal(out['x'], apply(augment_examples.jitter, features, seeds)['x'])
  with pytest.raises(AugmentError, match='at record 4 of the batch: gave NaN'):
    Applier(augment_examples.nan)(features, seeds, timeout=600)


def test_what_python_does_alike_in_every_trace_may_stay(features):
  def pure(given, seed):
    table = np.random.default_rng(0).random(2).astype(np.float32)
    square = tf.py_function(lambda x: x * x, [given['x']], tf.float32)
    return {**given, 'x': tf.ensure_shape(square, [2]) + table}

  assert Applier(pure)(features, make_seeds(N))['x'].shape == (N, 2)


def test_state_is_found_in_functions_that_are_called():
  inner = tf.function(lambda: tf.random.normal([]))
  outer = tf.function(
    lambda n: tf.while_loop(lambda i: i < n, lambda i: i + tf.cast(inner(), tf.int32), [0])
  )
  assert stateful_ops(outer.get_concrete_function(tf.constant(3)).graph)
  pure = tf.function(lambda s: tf.random.stateless_uniform([2], s))
  assert not stateful_ops(pure.get_concrete_function(tf.constant([1, 2])).graph)


def test_a_function_without_its_pool_is_refused(features):
  with pytest.raises(ConfigError, match=r'needs other records of the class; call its bind\(pool\)'):
    Applier(Smote(['x']))(features, make_seeds(N))


def test_loads_a_function_and_an_object():
  assert load_augment_fn('tests.augment.augment_examples.jitter') is augment_examples.jitter
  assert load_augment_fn('tests.augment.augment_examples.ready') == ImageAugment(rotation=5)


@pytest.mark.parametrize(
  ('path', 'says'),
  [
    ('jitter', r"'jitter' is not a dotted path"),
    ('tests.augment.x-y.jitter', r'is not a dotted path'),
    ('tests.augment.nothing.jitter', r"module 'tests.augment.nothing' does not import"),
    ('tests.augment.augment_examples.jiter', r"has no 'jiter'; it has \['jitter'"),
    ('tests.augment.augment_examples.NUMBER', r'is a int; it must be a function'),
    ('tests.augment.augment_examples.BadBatch', r'is a class; make an object of it'),
  ],
)
def test_a_bad_path_is_refused(path, says):
  with pytest.raises(ConfigError, match=says):
    load_augment_fn(path)


def test_hash_depends_on_source_name_and_parameters():
  functions = [
    augment_examples.jitter,
    augment_examples.branching,
    ImageAugment(rotation=5),
    ImageAugment(rotation=6),
    Smote(['a']),
    Smote(['a'], k=3),
    functools.partial(augment_examples.jitter, strength=1),
    functools.partial(augment_examples.jitter, strength=2),
    functools.partial(augment_examples.jitter, table=np.arange(5000)),
    functools.partial(augment_examples.jitter, table=np.arange(5000)[::-1]),
  ]
  hashes = [source_hash(function) for function in functions]
  assert len(set(hashes)) == len(hashes)
  assert [source_hash(function) for function in functions] == hashes


def test_hash_sees_a_changed_file_and_a_closure(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(tmp_path)
  hashes = set()
  for version in (1, 2):
    name = f'augment_version_{version}'
    (tmp_path / f'{name}.py').write_text(
      f'def make(k):\n  def f(x, seed):\n    return k, x  # {version}\n  return f\n'
    )
    module = pytest.importorskip(name)
    hashes |= {source_hash(module.make(1)), source_hash(module.make(2))}
    assert source_hash(module.make(1)) == source_hash(module.make(1))
  assert len(hashes) == 4


def test_a_hash_of_an_address_is_refused():
  with pytest.raises(ConfigError, match=r'differs in every run'):
    source_hash(augment_examples.bad_batch)


def test_error_survives_being_rebuilt_from_its_text():
  error = AugmentError('raised', 'f', 3)
  assert str(type(error)(str(error))) == 'augment function f at record 3 of the batch: raised'


def test_a_function_that_raises_leaves_nothing_behind():
  def broken(features, seed):
    raise ValueError('no')

  with pytest.raises(AugmentError, match='no'):
    apply(broken, {'x': tf.constant([1.0, 2.0])}, tf.zeros([2, 2], tf.int64))
  with tf.distribute.OneDeviceStrategy('/cpu:0').scope():  # failed when a caching device was left
    assert tf.Variable(1.0).numpy() == 1.0
