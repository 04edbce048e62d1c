"""Weights of records in the loss: a person's own, and those of classes as a factor."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_balance.augment import MixUp
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.inputs.lagging_classes import class_recall

LABELS = np.array([0] * 9 + [1] * 3)
OWN = np.arange(12) + 0.5
ID = np.arange(12)


def ids_and_weights(dataset, n_batches=4):
  """Returns the ids and the weights of some batches."""
  batches = list(dataset.take(n_batches))
  return [
    np.concatenate([np.ravel(part.numpy()) for part in parts])
    for parts in zip(*((features['id'], weight) for features, _, weight in batches), strict=True)
  ]


@pytest.mark.parametrize(
  'weights', [OWN, OWN.tolist(), pd.Series(OWN, index=ID[::-1]), OWN[:, None]]
)
def test_an_array_of_weights_goes_with_its_records(weights):
  inputs = BalancedInputs.from_arrays({'id': ID}, LABELS, sample_weight=weights)
  ids, given = ids_and_weights(inputs.train(6))
  assert np.array_equal(given, OWN[ids].astype(np.float32))
  ids, given = ids_and_weights(inputs.train(6, 'natural', sample_weight='balanced'))
  of_class = np.array([12 / (2 * 9), 12 / (2 * 3)])
  np.testing.assert_allclose(given, OWN[ids] * of_class[LABELS[ids]], rtol=1e-6)


def test_a_feature_of_weights_is_taken_out_of_the_features():
  inputs = BalancedInputs.from_arrays({'id': ID, 'w': OWN}, LABELS)
  ids, given = ids_and_weights(inputs.train(6, sample_weight='w'))
  assert np.array_equal(given, OWN[ids].astype(np.float32))
  features, *_ = next(iter(inputs.train(6, sample_weight='w')))
  assert sorted(features) == ['id']
  ids, given = ids_and_weights(inputs.train(6, 'natural', sample_weight=['balanced', 'w']))
  of_class = np.array([12 / (2 * 9), 12 / (2 * 3)])
  np.testing.assert_allclose(given, OWN[ids] * of_class[LABELS[ids]], rtol=1e-6)


def test_without_weights_of_its_own_a_batch_has_none():
  assert len(next(iter(BalancedInputs.from_arrays(ID, LABELS).train(6)))) == 2


def test_evaluated_records_come_with_their_weights():
  inputs = BalancedInputs.from_arrays({'id': ID}, LABELS)
  data = BalancedInputs.from_arrays({'id': ID}, LABELS, sample_weight=OWN)
  decoded = {'label_as': 'index', 'decode_fn': lambda record: {'twice': 2 * record['id']}}
  for arguments in ({}, decoded):
    batches = list(inputs.eval(5, data=data, **arguments))
    assert [len(weight) for _, _, weight in batches] == [5, 5, 2]
    assert np.concatenate([weight for *_, weight in batches]).tolist() == OWN.tolist()
  assert len(next(iter(inputs.eval(5, data=inputs)))) == 2
  model = keras.Sequential([keras.layers.Dense(2)])
  batches = inputs.eval(5, data=data, label_as='index')
  recalls = class_recall(model, batches.map(lambda x, *rest: (x['id'][:, None], *rest)), 2)
  assert len(recalls) == 2


@pytest.mark.parametrize(
  ('weights', 'message'),
  [
    ([1.0] * 11, r'sample_weight is of shape \(11,\), and must be numbers, of shape \[12\]'),
    ([1.0] * 11 + [-1.0], r'sample_weight\[11\] is -1.0, and must be a finite number of 0 or more'),
    ([1.0] * 11 + [np.inf], r'sample_weight\[11\] is inf'),
    ([1.0] * 11 + [None], r'sample_weight\[11\] is missing; give 0 for a record'),
    (['a'] * 12, r"sample_weight\[0\] is 'a', and must be"),
  ],
)
def test_weights_that_are_refused(weights, message):
  with pytest.raises(DataError, match=message):
    BalancedInputs.from_arrays(ID, LABELS, sample_weight=weights)


@pytest.mark.parametrize(
  ('weight', 'features', 'message'),
  [
    ('wieght', {'id': ID}, r"'wieght' is neither one of .* nor in the features, \['id'\]"),
    (['balanced', 'effective'], {'id': ID}, 'the name of a feature, or one of each'),
    ('w', ID, r'which have no names'),
    (
      'w',
      {'w': np.ones((12, 2))},
      r'is float64 of shape \(2,\) a record, and must be one number; give',
    ),
  ],
)
def test_names_that_are_refused(weight, features, message):
  inputs = BalancedInputs.from_arrays(features, LABELS)
  with pytest.raises(ConfigError, match=message):
    inputs.train(6, sample_weight=weight)


def test_a_negative_weight_of_a_feature_ends_training():
  inputs = BalancedInputs.from_arrays({'w': -OWN}, LABELS)
  with pytest.raises(tf.errors.InvalidArgumentError, match='negative or not finite'):
    next(iter(inputs.train(6, sample_weight='w')))


def test_mixed_records_have_no_weights_of_their_own():
  inputs = BalancedInputs.from_arrays({'x': OWN}, LABELS, sample_weight=OWN)
  with pytest.raises(ConfigError, match='leave out mix= or the weights'):
    inputs.train(6, mix=MixUp())
