"""Batches hold what each strategy promises, from arrays; two seeds differ, one seed does not."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs, deferred, progressive

COUNTS = (60, 20, 7, 1)
LABELS = np.repeat(np.arange(4), COUNTS)


def inputs(labels=LABELS, **arguments):
  return BalancedInputs.from_arrays({'id': np.arange(len(labels))}, labels, **arguments)


def take(dataset, n):
  return [(f['id'].numpy(), *map(np.asarray, rest)) for f, *rest in dataset.take(n)]


def class_counts(batches, n_classes=4):
  return np.array([np.bincount(label, minlength=n_classes) for _, label in batches])


@pytest.mark.parametrize('batch_size', [1, 3, 4, 10, 64])
def test_exact_batches_hold_floor_or_ceiling_in_any_window(batch_size):
  counts = class_counts(take(inputs().train(batch_size), 40))
  for start, end in itertools.combinations(range(41), 2):
    window = counts[start:end].sum(axis=0)
    assert window.max() - window.min() <= 1


def test_exact_batches_follow_unequal_ratios():
  ratios = {0: 0.5, 1: 0.25, 2: 0.15, 3: 0.1}
  counts = class_counts(take(inputs().train(7, ratios=ratios), 200))
  ideal = 7 * np.outer(np.arange(1, 201), list(ratios.values()))
  assert (np.abs(counts.cumsum(axis=0) - ideal) < 1 + 1e-9).all()
  assert (np.abs(counts - 7 * np.array(list(ratios.values()))) < 1).all()


def test_each_pass_over_a_class_shows_every_record_once_in_a_fresh_order():
  batches = take(inputs().train(12), 40)
  ids = np.concatenate([i for i, _ in batches])
  first, second = ids[ids < 60][:60], ids[ids < 60][60:120]
  assert sorted(first) == sorted(second) == list(range(60))
  assert first.tolist() != second.tolist()


def test_a_seed_gives_the_same_batches_and_another_does_not():
  a, b, c = (take(inputs().train(16, seed=seed), 20) for seed in (1, 1, 2))
  assert all(np.array_equal(x[0], y[0]) for x, y in zip(a, b, strict=True))
  assert not all(np.array_equal(x[0], y[0]) for x, y in zip(a, c, strict=True))


def test_natural_batches_are_whole_passes_over_the_data():
  ids = np.concatenate([i for i, _ in take(inputs().train(11, 'natural'), 16)])
  assert sorted(ids[:88]) == sorted(ids[88:176]) == list(range(88))
  assert ids[:88].tolist() != ids[88:176].tolist()


@pytest.mark.parametrize(
  ('q', 'expected'), [(0, [1, 1, 1, 1]), (1, COUNTS), (0.5, np.sqrt(COUNTS))]
)
def test_weighted_draws_are_independent_with_the_probabilities_asked_for(q, expected):
  counts = class_counts(take(inputs().train(64, 'weighted', q=q), 400))
  p = np.array(expected) / np.sum(expected)
  total = counts.sum()
  assert (np.abs(counts.sum(axis=0) - total * p) < 5 * np.sqrt(total * p * (1 - p))).all()
  variance = counts.var(axis=0) / (64 * p * (1 - p))
  assert ((variance > 0.7) & (variance < 1.4)).all()  # multinomial, not exact


def test_a_schedule_turns_from_natural_to_balanced():
  counts = class_counts(take(inputs().train(88, schedule=deferred(3)), 6))
  assert (counts[:3] == COUNTS).all()
  assert (counts[3:] == 22).all()
  counts = class_counts(take(inputs().train(88, schedule=progressive(10, stages=10)), 12))
  assert (counts[0] == COUNTS).all()
  assert (counts[10:] == 22).all()
  assert (np.diff(counts[:, 0]) <= 1).all()


def test_more_classes_than_slots_and_thousands_of_classes():
  labels = np.repeat(np.arange(10_000), 2)
  counts = class_counts(take(inputs(labels).train(500), 40), 10_000)
  assert (counts.sum(axis=0) == 2).all()
  assert (counts <= 1).all()


@pytest.mark.parametrize(
  ('labels', 'kind'),
  [(['cat', 'dog', 'dog'], b'dog'), ([1.0, 2.0, 2.0], 2.0), ([True, False, False], False)],
)
def test_labels_come_as_parsed_as_an_index_or_one_hot(labels, kind):
  made = inputs(np.array(labels))
  index = [str(value) for value in made.classes].index(
    kind.decode() if isinstance(kind, bytes) else str(int(kind))
  )
  (parsed,) = take(made.train(8), 1)
  (indexed,) = take(made.train(8, label_as='index'), 1)
  assert ((parsed[1] == kind) == (indexed[1] == index)).all()
  assert (parsed[1] == kind).sum() == 4
  ((_, one_hot),) = take(made.train(8, label_as='one_hot'), 1)
  assert one_hot.dtype == np.float32
  np.testing.assert_array_equal(one_hot, np.eye(2)[indexed[1]])
  ((_, labels),), ((_, one_hot),) = made.eval(8), made.eval(8, label_as='one_hot')
  assert one_hot.dtype == tf.float32
  np.testing.assert_array_equal(one_hot[:, index], labels.numpy() == kind)
  assert one_hot.numpy().sum(axis=1).tolist() == [1, 1, 1]


def test_steps_per_epoch_agree_with_what_is_shown():
  made = inputs()
  for batch_size, epoch, class_ in [(12, 'largest', 0), (7, 'largest', 0), (12, 'smallest', 3)]:
    steps = made.steps_per_epoch(batch_size, epoch=epoch)
    counts = class_counts(take(made.train(batch_size, epoch=epoch), steps)).cumsum(axis=0)
    assert counts[-1, class_] >= COUNTS[class_]
    assert (steps - 1) * batch_size / 4 < COUNTS[class_]  # a step less has a smaller share
  assert made.steps_per_epoch(12, epoch=5) == 5
  assert made.steps_per_epoch(12, strategy='natural') == 8
  assert made.steps_per_epoch(88, schedule=deferred(1000)) == 1


def test_eval_is_one_ordered_pass():
  batches = take(inputs().eval(30), 100)
  assert np.concatenate([i for i, _ in batches]).tolist() == list(range(88))
  assert [len(i) for i, _ in batches] == [30, 30, 28]


def test_a_generator_is_read_into_memory():
  made = BalancedInputs.from_generator(lambda: (({'id': i}, int(i > 8)) for i in range(10)))
  assert class_counts(take(made.train(8), 3), 2).tolist() == [[4, 4]] * 3
  with pytest.raises(DataError, match='more than 100 bytes'):
    BalancedInputs.from_generator(
      lambda: ((np.zeros(9), 0) for _ in itertools.count()), memory_budget=100
    )


def test_tf_keras_trains_on_it():
  import tf_keras

  model = tf_keras.Sequential([tf_keras.layers.Dense(4)])
  made = BalancedInputs.from_arrays(np.eye(4)[LABELS].astype('float32'), LABELS)
  model.compile('adam', made.weighted_loss())
  history = model.fit(made.train(16, 'natural', label_as='index'), steps_per_epoch=5, verbose=0)
  assert len(history.history['loss']) == 1


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'batch_size': 0}, 'batch_size=0 must be a whole number from 1'),
    ({'strategy': 'fair'}, r"strategy='fair' is not one of \['exact'"),
    ({'ratios': {0: 1, 9: 1}}, '9 is not a class; the classes are: 0, 1, 2, 3'),
    ({'ratios': {0: 1, 1: 1}}, 'leaves out class 2, 3'),
    ({'ratios': {0: 0, 1: 0, 2: 0, 3: 0}}, 'are all 0'),
    ({'ratios': {0: -1, 1: 0, 2: 0, 3: 0}}, r'ratios\[0\]=-1 must be'),
    ({'q': 1, 'ratios': {0: 1}}, 'q= and ratios= are both given'),
    ({'strategy': 'natural', 'q': 1}, "strategy='natural' takes the data as it is"),
    ({'q': float('nan')}, 'q=nan must be a finite number'),
    ({'schedule': lambda step: 'x'}, "q='x' must be a finite number"),
    ({'epoch': 0}, 'epoch=0 must be'),
    ({'label_as': 'one-hot'}, "label_as='one-hot' is not one of"),
    ({'feature_spec': {'x': tf.io.VarLenFeature(tf.int64)}}, 'arrays are not parsed'),
    ({'augment': 'some', 'augment_fn': lambda f, s: f}, "augment='some' must be"),
    ({'schedule': deferred(3), 'sample_weight': True}, 'a schedule has other weights'),
  ],
)
def test_what_breaks_a_rule_is_refused(arguments, message):
  with pytest.raises(ConfigError, match=message):
    inputs().train(**{'batch_size': 8, **arguments})
