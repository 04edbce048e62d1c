"""Folds are trained with the optimizers of Keras 3 and of tf_keras, legacy ones too."""

import importlib
import time
from dataclasses import replace

import numpy as np
import pytest
from tfx_balance.compare.keras_training import KerasTraining
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.trainers import Task
from tfx_balance.plan.class_value import ClassValue

LABELS = np.arange(80) % 4 // 3
X = (np.random.default_rng(0).normal(size=(80, 4)) + LABELS[:, np.newaxis]).astype('float32')
ROWS = np.arange(80)


def falling(optimizers, kind):
  """Returns an optimizer with a momentum and a learning rate that its steps change."""
  return kind(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), momentum=0.9)


@pytest.mark.parametrize(
  ('name', 'optimizer'),
  [
    pytest.param('keras', lambda of: None, id='keras, not compiled'),
    pytest.param('keras', lambda of: falling(of, of.SGD), id='keras'),
    pytest.param('tf_keras', lambda of: None, id='tf_keras, not compiled'),
    pytest.param('tf_keras', lambda of: falling(of, of.SGD), id='tf_keras'),
    pytest.param('tf_keras', lambda of: falling(of, of.legacy.SGD), id='tf_keras, legacy'),
  ],
)
def test_every_fold_begins_anew(name, optimizer):
  keras = importlib.import_module(name)

  def make_model():
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(2)])
    if (made := optimizer(keras.optimizers)) is not None:
      model.compile(made)
    return model

  classes = (ClassValue('int', 0), ClassValue('int', 1))
  plain = Remedy('natural', classes, tuple(np.bincount(LABELS).tolist()), (0.0, 0.0))
  limits = {'steps': 5, 'batch_size': 16}
  training = KerasTraining.of(make_model, False, X, LABELS, plain, time.time() + 600, **limits)
  training = replace(training, remedies={'natural': training.remedies['natural']})
  folds = [
    training.fold(Task(0, seed, ROWS[ROWS % 5 != 0], ROWS[ROWS % 5 == 0])) for seed in (1, 2, 1)
  ]
  first, other, again = (fold.log_p['natural'] for fold in folds)
  assert np.array_equal(first, again)
  assert not np.array_equal(first, other)
  assert np.allclose(np.exp(first).sum(axis=1), 1)
