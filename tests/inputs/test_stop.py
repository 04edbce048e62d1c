"""Where a run stops and how long an epoch is; the same for arrays, a generator and files."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import AdjustableShares, BalancedInputs, deferred
from tfx_balance.plan import epochs
from tfx_balance.plan.labels import label_codes
from tfx_balance.plan.sampling import Sampling

from tests.inputs.helpers_inputs import SPEC, example, write_file

COUNTS = (60, 20, 7)
LABELS = np.repeat(np.arange(3), COUNTS)


def from_arrays(tmp_path):
  return BalancedInputs.from_arrays({'id': np.arange(87)}, LABELS)


def from_generator(tmp_path):
  return BalancedInputs.from_generator(
    lambda: (({'id': i}, label) for i, label in enumerate(LABELS))
  )


def from_files(tmp_path):
  write_file(tmp_path / 'data.gz', [example(i, int(label)) for i, label in enumerate(LABELS)])
  return BalancedInputs.from_files([str(tmp_path / 'data.gz')], 'label', SPEC)


SOURCES = [from_arrays, from_generator, from_files]
RUNS = {
  'exact': {'batch_size': 8},
  'ratios': {'batch_size': 8, 'ratios': {0: 12, 1: 1, 2: 3}},
  'without a class': {'batch_size': 8, 'ratios': {0: 1, 1: 3, 2: 0}},
  'natural': {'batch_size': 8, 'strategy': 'natural'},
  'a schedule': {'batch_size': 8, 'schedule': deferred(2)},
  'weighted': {'batch_size': 8, 'strategy': 'weighted', 'q': 0.5},
  'classes': {'strategy': 'classes_per_batch', 'classes': 2, 'records': 3},
}
WORDS = ['largest', 'smallest', 'first_exhausted', 'all_exhausted', 5]


@pytest.mark.parametrize('run', RUNS)
def test_all_sources_stop_at_the_same_step_with_the_same_batches(tmp_path, run):
  found = []
  for source in SOURCES:
    made = source(tmp_path)
    steps = [made.steps_per_epoch(**RUNS[run], epoch=word) for word in WORDS]
    data = made.train(**RUNS[run], stop='first_exhausted')
    ids = [features['id'].numpy().tolist() for features, _ in data]
    assert len(data) == len(ids) == steps[2]
    found.append((steps, ids))
  assert found[0] == found[1] == found[2]


@pytest.mark.parametrize('run', ['exact', 'ratios', 'without a class'])
def test_classes_are_exhausted_at_the_stop_and_not_before(run):
  made = from_arrays(None)
  drawn = np.array(
    [np.bincount(label, minlength=3) for _, label in made.train(**RUNS[run], stop='all_exhausted')]
  ).cumsum(axis=0)
  used = np.array([n > 0 for n in drawn[-1]])
  done = drawn[:, used] >= np.array(COUNTS)[used]
  first = made.steps_per_epoch(**RUNS[run], epoch='first_exhausted')
  assert done[-1].all()
  assert done[first - 1].any()
  # An exact total is less than one record from its ideal: one step before, at most one is missing.
  assert not done[first - 3].any() if first > 2 else True
  assert not done[-3].all()


def test_natural_batches_stop_after_a_pass():
  made = from_arrays(None)
  assert {made.steps_per_epoch(8, strategy='natural', epoch=word) for word in WORDS[:4]} == {11}


def test_what_is_exhausted_under_a_schedule():
  made = from_arrays(None)
  # Natural for 2 steps of 87, in which all classes are gone through twice.
  assert made.steps_per_epoch(87, schedule=deferred(2), epoch='all_exhausted') == 1
  # 8 records: 5.5 : 1.8 : 0.6 a step, then 2.7 each; of 7 records 5.7 are left after 2 steps.
  assert made.steps_per_epoch(8, schedule=deferred(2), epoch='first_exhausted') == 5
  assert made.steps_per_epoch(8, schedule=AdjustableShares(), epoch='first_exhausted') == 3


def test_a_run_that_goes_on_stops_at_the_same_step():
  made = from_arrays(None)
  whole = [f['id'].numpy().tolist() for f, _ in made.train(8, stop=9)]
  rest = [f['id'].numpy().tolist() for f, _ in made.train(8, stop=9, start_step=4)]
  assert whole[4:] == rest
  context = tf.distribute.InputContext(1, 0, 2)
  assert len(made.train(8, stop=9, input_context=context)) == 18  # two replicas


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'stop': 'exhausted'}, r"stop='exhausted' must be .* or one of \['largest'"),
    ({'stop': 0}, 'stop=0 must be'),
    ({'stop': 4, 'start_step': 4}, 'begins at step 4 and stops at 4'),
    ({'stop': 4, 'start_step': lambda: 1}, 'start_step= is a function'),
    ({'epoch': 'exhausted'}, "epoch='exhausted' must be"),
  ],
)
def test_what_has_no_end_is_refused(arguments, message):
  with pytest.raises(ConfigError, match=message):
    from_arrays(None).train(8, **arguments)


def test_a_schedule_that_leaves_a_class_out_exhausts_it_never():
  counts, _ = label_codes(LABELS)
  weights = Sampling(schedule=lambda step: {0: 1, 1: 1, 2: 0}).weights(counts)
  with pytest.raises(ConfigError, match="stop='all_exhausted' is not reached in 1000 batches"):
    epochs._scheduled_steps(weights, 8, 'all_exhausted', 'stop', longest=1000)
