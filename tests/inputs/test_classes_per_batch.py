"""Batches of classes times records, as a person asks for them."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import BalancedInputs

LABELS = np.repeat(np.arange(5), (60, 20, 7, 4, 1))


def inputs():
  return BalancedInputs.from_arrays({'id': np.arange(92)}, LABELS)


def batches(dataset, n):
  return [(f['id'].numpy(), label.numpy()) for f, label in dataset.take(n)]


def test_a_batch_is_classes_times_records():
  taken = batches(inputs().train(strategy='classes_per_batch', classes=3, records=4), 50)
  for ids, labels in taken:
    groups = labels.reshape(3, 4)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0])) == 3
    for own, group in zip(ids.reshape(3, 4), groups, strict=True):
      assert len(set(own)) == (4 if group[0] < 4 else 1)
  totals = np.bincount(np.concatenate([labels for _, labels in taken]))
  assert totals.tolist() == [120] * 5


def test_replicas_get_whole_classes():
  context = [tf.distribute.InputContext(2, i, 2) for i in range(2)]
  arguments = {'strategy': 'classes_per_batch', 'classes': 4, 'records': 3}
  whole = batches(inputs().train(**arguments), 10)
  parts = [batches(inputs().train(**arguments, input_context=one), 10) for one in context]
  for (ids, _), (a, _), (b, _) in zip(whole, *parts, strict=True):
    np.testing.assert_array_equal(ids, np.concatenate([a, b]))
  with pytest.raises(ConfigError, match='classes=3 of a batch must be a multiple of 2 replicas'):
    inputs().train(strategy='classes_per_batch', classes=3, records=4, input_context=context[0])


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'classes': 2}, 'records=None must be a whole number'),
    ({'records': 2}, 'classes=None must be a whole number'),
    ({'classes': 0, 'records': 2}, 'classes=0 must be'),
    ({'classes': 6, 'records': 2}, 'classes=6 of a batch, and there are 5'),
    ({'classes': 2, 'records': 2, 'batch_size': 5}, 'batch_size=5, and classes=2 times records=2'),
    ({'classes': 2, 'records': 2, 'q': 1}, 'draws classes equally often, and q= is given'),
    ({'classes': 2, 'strategy': 'exact', 'batch_size': 5}, "classes=2 is given with strategy='ex"),
    ({'records': 2, 'strategy': 'natural', 'batch_size': 5}, 'records=2 is given with strategy='),
    ({'strategy': 'exact'}, 'batch_size=None must be'),
  ],
)
def test_what_does_not_fit_is_refused(arguments, message):
  with pytest.raises(ConfigError, match=message):
    inputs().train(**{'strategy': 'classes_per_batch', **arguments})


def test_label_sets_are_refused():
  made = BalancedInputs.from_arrays(np.eye(3), np.eye(3), multilabel=True)
  with pytest.raises(ConfigError, match='takes one label a record'):
    made.train(strategy='classes_per_batch', classes=2, records=1)
