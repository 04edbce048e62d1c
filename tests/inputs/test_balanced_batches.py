"""BalancedBatches: the batches of BalancedInputs as row numbers, epoch by epoch."""

import json
import pickle

import numpy as np
import pytest
from tfx_balance import BalancedBatches
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs, progressive

LABELS = np.random.default_rng(0).choice(['a', 'b', 'c', 'd'], 700, p=[0.7, 0.2, 0.08, 0.02])
WAYS = {
  'exact': {},
  'ratios': {'ratios': {'a': 2, 'b': 1, 'c': 1, 'd': 3}},
  'schedule': {'schedule': progressive(steps=30)},
  'weighted': {'strategy': 'weighted', 'q': 0.5},
  'natural': {'strategy': 'natural'},
  'groups': {'strategy': 'classes_per_batch', 'classes': 2, 'records': 6},
}


@pytest.mark.parametrize('way', WAYS)
def test_the_rows_are_those_of_balanced_inputs(way):
  arguments = {'batch_size': 12, 'seed': 5, **WAYS[way]}
  batches = BalancedBatches(LABELS, **arguments)
  inputs = BalancedInputs.from_arrays(np.arange(len(LABELS)), LABELS)
  length = {name: value for name, value in arguments.items() if name != 'seed'}
  assert len(batches) == inputs.steps_per_epoch(**length)
  found = [rows.tolist() for _ in range(2) for rows in batches]
  expected = inputs.train(**arguments).take(len(found)).as_numpy_iterator()
  assert found == [features.tolist() for features, _ in expected]
  assert len(found) == 2 * len(batches)


def test_label_sets_are_those_of_balanced_inputs():
  flags = np.random.default_rng(0).random((300, 4)) < [0.8, 0.3, 0.1, 0.03]
  batches = BalancedBatches(flags.astype(int), 10, multilabel=True)
  inputs = BalancedInputs.from_arrays(np.arange(300), flags.astype(int), multilabel=True)
  found = [rows.tolist() for rows in batches]
  expected = inputs.train(10).take(len(found)).as_numpy_iterator()
  assert found == [features.tolist() for features, _ in expected]
  assert batches.classes[0] == ()


def test_every_batch_is_exact_and_every_row_of_the_largest_class_comes_in_an_epoch():
  batches = BalancedBatches(LABELS, 8)
  shown = np.zeros(len(LABELS), int)
  for n in range(1, 4):
    for rows in batches:
      assert rows.dtype == np.int64
      assert np.unique(LABELS[rows], return_counts=True)[1].tolist() == [2, 2, 2, 2]
      np.add.at(shown, rows, 1)
    assert shown[LABELS == 'a'].min() >= n
  assert batches.epoch == 3


def test_parts_of_replicas_are_the_whole_batches():
  whole = list(BalancedBatches(LABELS, 12))
  parts = [list(BalancedBatches(LABELS, 12, rank=rank, num_replicas=3)) for rank in range(3)]
  assert [np.concatenate(each).tolist() for each in zip(*parts, strict=True)] == [
    rows.tolist() for rows in whole
  ]


def test_an_epoch_is_chosen_and_a_loop_left_early_begins_again():
  batches = BalancedBatches(LABELS, 12)
  epochs = [[rows.tolist() for rows in batches] for _ in range(3)]
  assert epochs[0] != epochs[1]
  batches.set_epoch(1)
  next(iter(batches))
  assert [rows.tolist() for rows in batches] == epochs[1]
  assert [rows.tolist() for rows in batches] == epochs[2]
  batches.set_epoch(0)
  assert [rows.tolist() for rows in batches] == epochs[0]


@pytest.mark.parametrize('way', WAYS)
def test_a_run_goes_on_in_another_process(way):
  arguments = {'batch_size': 12, **WAYS[way]}
  whole = BalancedBatches(LABELS, **arguments)
  rows = [rows.tolist() for _ in range(3) for rows in whole]
  n = len(whole)
  for step in (0, 1, n - 1, n, n + 2):
    first = BalancedBatches(LABELS, **arguments)
    taken = 0
    while taken < step:
      for _ in first:
        taken += 1
        if taken == step:
          break
    states = [json.loads(json.dumps(first.state_dict())), whole.state_dict(step)]
    assert states[0] == states[1]
    again = BalancedBatches(LABELS, **arguments)
    again.load_state_dict(states[0])
    again.set_epoch(step // n)  # as loops do that set it each time
    assert [r.tolist() for r in again] == rows[step : (step // n + 1) * n]
    assert [r.tolist() for r in again] == rows[(step // n + 1) * n :][:n]


def test_it_can_be_pickled_for_worker_processes():
  batches = BalancedBatches(LABELS, 12)
  copy = pickle.loads(pickle.dumps(batches))
  assert [rows.tolist() for rows in copy] == [rows.tolist() for rows in batches]


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'batch_size': 10, 'num_replicas': 4}, r'batch_size=10 is that of all 4 replicas .* of 4; '),
    ({'batch_size': 12, 'num_replicas': 2, 'rank': 2}, r'rank=2 must be a whole number.* to 1'),
    (
      {'strategy': 'classes_per_batch', 'classes': 3, 'records': 4, 'num_replicas': 2},
      r'batch_size=12 .* must be a multiple of 8',
    ),
    ({'batch_size': 0}, 'batch_size=0'),
    ({'batch_size': 12, 'strategy': 'even'}, "strategy='even' is not one of"),
  ],
)
def test_arguments_that_break_a_rule_are_named(arguments, message):
  with pytest.raises(ConfigError, match=message):
    BalancedBatches(LABELS, **arguments)


def test_labels_and_states_that_break_a_rule_are_named():
  with pytest.raises(DataError, match=r'labels of shape \(2, 2\)'):
    BalancedBatches(np.eye(2), 2)
  batches = BalancedBatches(LABELS, 12)
  with pytest.raises(ConfigError, match='state= is of a run with batch_size 8'):
    batches.load_state_dict(BalancedBatches(LABELS, 8).state_dict())
  with pytest.raises(ConfigError, match=r'state=3 must be a dict'):
    batches.load_state_dict(3)
  with pytest.raises(DataError, match='state'):
    batches.load_state_dict({'other': 1})
  with pytest.raises(ConfigError, match='epoch=-1'):
    batches.set_epoch(-1)
