"""Batches of records that have several labels: from arrays, a generator and files."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs, deferred

from tests.inputs.helpers_inputs import write_file

N = 3000
ROWS = np.random.default_rng(3).random((N, 6)) < 0.5 * 0.55 ** np.arange(6)


def inputs(**arguments):
  return BalancedInputs.from_arrays({'id': np.arange(N)}, ROWS, multilabel=True, **arguments)


def ids(dataset, n):
  return np.array([features['id'].numpy() for features, _ in dataset.take(n)])


def test_labels_have_equal_shares_in_batches():
  batches = ids(inputs().train(64), 100)
  counts = ROWS[batches].sum(axis=1)
  shares = counts.sum(axis=0) / counts.sum()
  np.testing.assert_allclose(shares, 1 / 6, rtol=0.02)
  np.testing.assert_allclose(inputs().label_shares(), 1 / 6, rtol=0.005)
  assert ROWS.sum(axis=0).max() / ROWS.sum(axis=0).min() > 10
  assert counts.min() >= 1  # every label in every batch


def test_label_sets_are_gone_through_once_before_any_record_comes_twice():
  batches = ids(inputs().train(50), 60).reshape(-1)
  names = [str(row.tolist()) for row in ROWS]
  for name in set(names):
    of_set = [i for i in range(N) if names[i] == name]
    drawn = [i for i in batches if names[i] == name]
    assert len(set(drawn[: len(of_set)])) == min(len(drawn), len(of_set))


@pytest.mark.parametrize('strategy', ['exact', 'weighted'])
def test_ratios_and_schedules_are_those_of_labels(strategy):
  ratios = {label: 1 + label for label in range(6)}
  counts = ROWS[ids(inputs().train(100, strategy, ratios=ratios), 100)].sum(axis=(0, 1))
  np.testing.assert_allclose(counts / counts.sum(), np.arange(1, 7) / 21, rtol=0.12)
  if strategy == 'exact':
    batches = ids(inputs().train(300, schedule=deferred(10)), 20)
    first, last = (ROWS[part].sum(axis=(0, 1)) for part in (batches[:10], batches[10:]))
    np.testing.assert_allclose(first / first.sum(), ROWS.sum(axis=0) / ROWS.sum(), atol=0.02)
    np.testing.assert_allclose(last / last.sum(), 1 / 6, rtol=0.05)


def test_natural_batches_and_eval_show_each_record_once():
  natural = ids(inputs().train(60, 'natural'), 50).reshape(-1)
  assert sorted(natural) == list(range(N))
  labels = [label.numpy() for _, label in inputs().eval(70, label_as='multi_hot')]
  np.testing.assert_array_equal(np.concatenate(labels), ROWS.astype(np.float32))


def test_batches_do_not_depend_on_how_many_are_drawn_in_a_call():
  made = inputs()
  a = ids(made.train(16), 40)
  np.testing.assert_array_equal(a, ids(inputs().train(16), 40))
  assert not np.array_equal(a, ids(made.train(16, seed=1), 40))
  context = [tf.distribute.InputContext(2, i, 2) for i in range(2)]
  halves = [ids(made.train(16, input_context=one), 40) for one in context]
  np.testing.assert_array_equal(a, np.concatenate(halves, axis=1))


NAMES = [[f'label-{label}' for label in np.flatnonzero(row)] for row in ROWS]


def test_lists_of_labels_give_what_rows_of_0_and_1_give():
  features = {'id': np.arange(N)}
  made = BalancedInputs.from_arrays(features, NAMES, multilabel=True)
  for batch, labels in made.train(32, label_as='multi_hot').take(5):
    np.testing.assert_array_equal(labels, ROWS[batch['id'].numpy()])
  np.testing.assert_array_equal(ids(made.train(32), 10), ids(inputs().train(32), 10))
  ragged = BalancedInputs.from_arrays(features, tf.ragged.constant(NAMES), multilabel=True)
  np.testing.assert_array_equal(ids(ragged.train(32), 10), ids(inputs().train(32), 10))
  pairs = lambda: (({'id': np.int64(i)}, NAMES[i]) for i in range(N))  # noqa: E731
  yielded = BalancedInputs.from_generator(pairs, multilabel=True)
  np.testing.assert_array_equal(ids(yielded.train(32), 10), ids(inputs().train(32), 10))
  for batch, labels in yielded.eval(500):
    assert [[x.decode() for x in row] for row in labels.to_list()] == [
      NAMES[i] for i in batch['id'].numpy()
    ]


def test_lists_of_labels_need_multilabel():
  with pytest.raises(DataError, match=r'labels is not an array .* multilabel=True for several'):
    BalancedInputs.from_arrays([1, 2], [[1], [1, 2]])
  with pytest.raises(DataError, match=r'record 1 .* shape \(2,\), .* or pass multilabel=True'):
    BalancedInputs.from_generator(lambda: zip([1, 2], [[1], [1, 2]], strict=True))


def test_vectors_of_0_and_1_are_no_lists_of_labels(tmp_path):
  write_file(tmp_path / 'data.gz', [example(i) for i in range(10)])
  spec = {'hot': tf.io.VarLenFeature(tf.int64)}
  with pytest.raises(DataError, match=r"'hot' has 6 values .* give tf.io.FixedLenFeature\(\[6\]\)"):
    BalancedInputs.from_files([str(tmp_path / 'data.gz')], 'hot', spec, multilabel=True)


def example(i):
  def feature(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

  row = ROWS[i]
  names = [b'label-%d' % label for label in np.flatnonzero(row)]
  features = {
    'id': feature([i]),
    'hot': feature(row.astype(int)),
    'tags': tf.train.Feature(bytes_list=tf.train.BytesList(value=names)),
  }
  return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.mark.parametrize(
  ('label', 'kind'),
  [
    ('hot', tf.io.FixedLenFeature([6], tf.int64)),
    ('tags', tf.io.VarLenFeature(tf.string)),
    ('tags', tf.io.RaggedFeature(tf.string)),
  ],
  ids=['rows', 'sparse', 'ragged'],
)
def test_files_give_what_arrays_give(tmp_path, label, kind):
  write_file(tmp_path / 'data.gz', [example(i) for i in range(N)])
  spec = {'id': tf.io.FixedLenFeature([], tf.int64), label: kind}
  made = BalancedInputs.from_files([str(tmp_path / 'data.gz')], label, spec, multilabel=True)
  for features, labels in made.train(32, label_as='multi_hot').take(5):
    np.testing.assert_array_equal(labels, ROWS[features['id'].numpy()])
  np.testing.assert_array_equal(ids(made.train(32), 10), ids(inputs().train(32), 10))
  hot = [labels.numpy() for _, labels in made.eval(500, label_as='multi_hot')]
  np.testing.assert_array_equal(np.concatenate(hot), ROWS)


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda made: made.train(8, label_as='index'), "label_as='index', and a record has several"),
    (
      lambda made: made.eval(8, label_as='one_hot'),
      "label_as='one_hot', and a record has several labels; give label_as='multi_hot' or 'parsed'",
    ),
    (lambda made: made.train(8, sample_weight=True), 'weight the loss of each label'),
    (lambda made: made.class_weight(), 'weight the loss of each label'),
    (lambda made: made.log_prior(), 'weight the loss of each label'),
    (lambda made: made.prior_correction(), 'weight the loss of each label'),
    (lambda made: made.logit_adjusted_loss(), 'weight the loss of each label'),
    (lambda made: made.train(8, ratios={0: 1}), 'leaves out class 1, 2, 3, 4, 5'),
    (
      lambda made: BalancedInputs.from_arrays(np.eye(2), [0, 1]).train(2, label_as='multi_hot'),
      "label_as='multi_hot', and a record has one label",
    ),
    (
      lambda made: BalancedInputs.from_arrays(np.eye(2), [0, 1], multilabel='yes'),
      "multilabel='yes' must be True or False",
    ),
  ],
)
def test_what_is_of_one_label_a_record_is_refused(call, message):
  with pytest.raises(ConfigError, match=message):
    call(inputs())
