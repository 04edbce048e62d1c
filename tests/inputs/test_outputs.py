"""Labels of several outputs: batches are balanced by one, and all of them come to Keras."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_balance.augment import MixUp
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.inputs.helpers_inputs import SPEC, example, write_file

N = 40
X = np.arange(float(N))
KIND = np.repeat(['fine', 'fraud'], [36, 4])
SIZE = X * 10  # tells which record it is
BOX = np.stack([X, X + 0.5], 1)


def test_batches_are_balanced_by_one_output_and_have_all():
  inputs = BalancedInputs.from_arrays(
    X, {'kind': KIND, 'size': SIZE, 'box': BOX}, 3, balance_by='kind'
  )
  assert [str(value) for value in inputs.classes] == ['fine', 'fraud']
  for features, labels in inputs.train(8, label_as='index').take(5):
    assert list(labels) == ['kind', 'size', 'box']
    assert np.bincount(labels['kind']).tolist() == [4, 4]
    np.testing.assert_array_equal(labels['size'], features * 10)
    np.testing.assert_array_equal(labels['box'], np.stack([features, features + 0.5], 1))
    np.testing.assert_array_equal(labels['kind'], features >= 36)
  one = BalancedInputs.from_arrays(X, KIND, 3)
  for (several, _), (alone, _) in zip(inputs.train(8).take(5), one.train(8).take(5), strict=True):
    np.testing.assert_array_equal(several, alone)


@pytest.mark.parametrize(
  ('label_as', 'wanted'),
  [
    ('parsed', [b'fine', b'fraud']),
    ('index', [0, 1]),
    ('one_hot', [[1, 0], [0, 1]]),
  ],
)
def test_the_form_is_that_of_the_balanced_output(label_as, wanted):
  inputs = BalancedInputs.from_arrays(X, (SIZE, KIND), balance_by=1)
  for data in (inputs.train(8, label_as=label_as), inputs.eval(40, data=inputs, label_as=label_as)):
    features, (size, kind) = next(iter(data))
    np.testing.assert_array_equal(size, features * 10)
    assert [wanted[int(x >= 36)] for x in features] == kind.numpy().tolist()


@pytest.mark.parametrize(
  'labels',
  [
    pd.DataFrame({'kind': KIND, 'size': SIZE}, index=np.arange(N)[::-1]),
    {'kind': KIND.tolist(), 'size': SIZE.tolist()},
    {'kind': pd.Series(KIND), 'size': tf.constant(SIZE)},
  ],
  ids=['table', 'lists', 'series and tensor'],
)
def test_outputs_are_of_any_kind(labels):
  inputs = BalancedInputs.from_arrays(X, labels, balance_by='kind')
  features, found = next(iter(inputs.eval(N, data=(X, labels), label_as='index')))
  np.testing.assert_array_equal(features, X)
  assert sorted(found) == ['kind', 'size']
  np.testing.assert_array_equal(found['kind'], KIND == 'fraud')
  np.testing.assert_array_equal(found['size'], SIZE)


@pytest.mark.parametrize('multilabel', [False, True])
def test_a_generator_and_a_dataset_yield_outputs(multilabel):
  kinds = [[0] if kind == 'fine' else [0, 1] for kind in KIND] if multilabel else KIND.tolist()
  rows = [(x, {'kind': kind, 'box': box}) for x, kind, box in zip(X, kinds, BOX, strict=True)]
  made = [BalancedInputs.from_generator(lambda: rows, 0, multilabel=multilabel, balance_by='kind')]
  if not multilabel:
    data = tf.data.Dataset.from_tensor_slices((X, {'kind': KIND, 'box': BOX}))
    made.append(BalancedInputs.from_generator(data.as_numpy_iterator, balance_by='kind'))
  form = 'multi_hot' if multilabel else 'index'
  for inputs in made:
    for features, labels in inputs.train(8, label_as=form).take(2):
      np.testing.assert_array_equal(labels['box'], np.stack([features, features + 0.5], 1))
      fraud = labels['kind'][:, 1] if multilabel else labels['kind']
      np.testing.assert_array_equal(fraud, features >= 36)


@pytest.mark.parametrize('name', ['keras', 'tf_keras'])
@pytest.mark.parametrize('sample_weight', [None, np.ones(N)], ids=['plain', 'weighted'])
def test_fit_trains_both_outputs(name, sample_weight):
  keras = pytest.importorskip(name)
  layer = keras.Input((1,))
  made = {
    'kind': keras.layers.Dense(2, activation='softmax', name='kind')(layer),
    'size': keras.layers.Dense(1, name='size')(layer),
  }
  model = keras.Model(layer, made)
  model.compile('sgd', {'kind': 'sparse_categorical_crossentropy', 'size': 'mse'})
  inputs = BalancedInputs.from_arrays(
    X[:, None] / N, {'kind': KIND, 'size': X / N}, sample_weight=sample_weight, balance_by='kind'
  )
  test = (X[:, None] / N, {'kind': KIND, 'size': X / N})
  found = model.fit(
    inputs.train(8, label_as='index', stop=20),
    validation_data=inputs.eval(8, data=test, label_as='index'),
    verbose=0,
  )
  assert {'kind_loss', 'size_loss', 'val_kind_loss', 'val_size_loss'} <= set(found.history)


@pytest.mark.parametrize(
  ('labels', 'balance_by', 'message'),
  [
    ({'a': KIND, 'b': X}, None, r"balance_by=None is not one .* labels=, \['a', 'b'\]; name the"),
    ((KIND, X), None, r'balance_by=None is not one of the outputs of labels=, \[0, 1\]; name'),
    ({'a': KIND, 'b': X}, 'c', r"balance_by='c' is not one .* labels=, \['a', 'b'\]; name"),
    ((KIND, X), 2, r'balance_by=2 is not one of the outputs of labels=, \[0, 1\]; name'),
    ((KIND, X), True, r'balance_by=True is not one of the outputs of labels=, \[0, 1\]; name'),
    (KIND, 'a', r"balance_by='a' names one of several outputs, .* of one; leave it out, or give a"),
    (KIND.tolist(), 0, 'balance_by=0 names one of several outputs, .* of one; leave it out'),
  ],
)
def test_an_output_that_is_not_there_is_refused(labels, balance_by, message):
  with pytest.raises(ConfigError, match=message):
    BalancedInputs.from_arrays(X, labels, balance_by=balance_by)


def test_outputs_that_no_loss_takes_are_refused():
  for other, message in (
    (X[:3], r"output 'b' of labels= is of shape \(3,\), and there are 40 records; give one row"),
    (5, r"output 'b' of labels= is of shape \(\), and there are 40 records; give one row"),
    (
      KIND,
      r"output 'b' of labels= holds 'fine', and must be numbers, .* 'a' alone; give class num",
    ),
    (
      pd.to_datetime(['2026-01-01'] * N),
      r"output 'b' .* holds .*2026-01-01.*, and must be numbers",
    ),
    (np.ma.array(X, mask=X == 7), r"output 'b' of labels=\[7\] is missing; give a number that the"),
    (
      pd.Series([1, None] * 20, dtype='Int64'),
      r"output 'b' of labels=\[1\] is missing; give a num",
    ),
  ):
    with pytest.raises(DataError, match=message):
      BalancedInputs.from_arrays(X, {'a': X > 20, 'b': other}, balance_by='a')
  with pytest.raises(ConfigError, match=r"balance_by='c', and record 0 .* \['a', 'b'\]; name one"):
    BalancedInputs.from_generator(lambda: [(1.0, {'a': 0, 'b': 1})], balance_by='c')
  with pytest.raises(ConfigError, match=r'record 0 .* has no outputs but a label; name one'):
    BalancedInputs.from_generator(lambda: [(1.0, 0)], balance_by='a')


def test_mixing_and_test_data_of_one_output_are_refused():
  inputs = BalancedInputs.from_arrays({'x': X}, (KIND, SIZE), balance_by=0)
  with pytest.raises(ConfigError, match=r'mix= makes soft targets of one output, .* leave out'):
    inputs.train(8, mix=MixUp(features=['x']))
  with pytest.raises(ConfigError, match='balance_by=0 names one of several outputs'):
    inputs.eval(8, data=({'x': X}, KIND))
  with pytest.raises(ConfigError, match=r'data= is balanced by None, .* balance_by=0; make both'):
    inputs.eval(8, data=BalancedInputs.from_arrays({'x': X}, KIND))


def test_a_feature_of_files_is_made_an_output(tmp_path):
  write_file(tmp_path / 'train', [example(i, i % 2) for i in range(10)])
  inputs = BalancedInputs.from_files(str(tmp_path / 'train'), 'label', SPEC)
  batches = inputs.train(4).map(lambda x, y: (x, {'parity': y, 'id': x.pop('id')}))
  features, labels = next(iter(batches))
  assert 'id' not in features
  np.testing.assert_array_equal(labels['id'] % 2, labels['parity'])
