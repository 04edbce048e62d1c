"""Callbacks of both Keras: shares that follow recall, and the log of what batches held."""

import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.documents.training_log import TrainingLog
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import (
  AdjustableShares,
  BalancedInputs,
  BatchLog,
  log_batches,
  raise_lagging_classes,
)
from tfx_balance.inputs.lagging_classes import class_recall

LABELS = np.repeat(np.arange(3), (60, 20, 4))
KERAS = ['keras', 'tf_keras']
HAS_TENSORBOARD = importlib.util.find_spec('tensorboard') is not None  # the image has none


def inputs():
  return BalancedInputs.from_arrays(np.eye(3, dtype='float32')[LABELS], LABELS)


def blind_model(name):
  """Returns a model that takes class 2 for class 0 whatever it is trained on."""
  keras = importlib.import_module(name)
  model = keras.Sequential([keras.layers.Dense(3, use_bias=False, input_shape=(3,))])
  model.set_weights([np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], 'float32')])
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(keras.optimizers.SGD(0.0), loss)
  if name == 'tf_keras':
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
  return model


def test_epochs_shorter_than_what_is_drawn_ahead_replace_the_change():
  made, shares = BalancedInputs.from_arrays(np.eye(2), [0, 1]), AdjustableShares()
  callback = raise_lagging_classes(made, shares, made.eval(2, label_as='index'))
  callback.set_model(SimpleNamespace(predict_on_batch=lambda features: np.array([[1, 0]] * 2)))
  shares(63)  # as if 64 batches were drawn
  for epoch in range(2):
    callback.on_epoch_begin(epoch)
    callback.on_epoch_end(epoch)
  assert [change.step for change in shares.changes] == [0, 64]


@pytest.mark.parametrize('keras', KERAS)
def test_the_class_whose_recall_lags_is_raised_and_both_are_logged(tmp_path, keras):
  made, shares, log = inputs(), AdjustableShares(), BatchLog()
  path = str(tmp_path / 'model/training_batches.json')
  folder = str(tmp_path / 'logs') if HAS_TENSORBOARD else None
  callbacks = [
    raise_lagging_classes(
      made, shares, made.eval(30, label_as='index'), gain=6, steps_ahead=400, keras=keras
    ),
    log_batches(log, path, folder, keras=keras),
  ]
  model = blind_model(keras)
  data = made.train(12, schedule=shares, log=log, augment='all')
  history = model.fit(data, steps_per_epoch=300, epochs=3, verbose=0, callbacks=callbacks)

  # Recall is 1, 1 and 0: the class is 2/3 below the mean, and 1 + 6 * 2/3 = 5.
  assert [change.step for change in shares.changes] == [0, 700, 1000, 1300]
  assert dict(shares.changes[1].ratios) == {'0': 1.0, '1': 1.0, '2': 5.0}
  assert history.history['recall/2'] == [0, 0, 0]

  written = TrainingLog.from_json((tmp_path / 'model/training_batches.json').read_text(), path)
  assert [str(value) for value in written.classes] == ['0', '1', '2']
  assert [epoch.step for epoch in written.epochs] == [300, 600, 900]
  counts = np.array([epoch.records for epoch in written.epochs])
  np.testing.assert_array_equal(counts[:2], 1200)
  # Steps 600 to 699 with equal shares, 700 to 899 with 1 : 1 : 5.
  ideal = 100 * np.full(3, 4) + 200 * 12 * np.array([1, 1, 5]) / 7
  assert (np.abs(counts[2] - ideal) <= 2).all()
  assert written.changes[1].shares == pytest.approx([1 / 7, 1 / 7, 5 / 7], abs=1e-6)
  assert np.sum([epoch.augmented for epoch in written.epochs]) == 0  # without a function

  if folder is None:
    return
  events = tf.io.gfile.glob(folder + '/*')
  values = {}
  for record in tf.data.TFRecordDataset(events):
    event = tf.compat.v1.Event.FromString(record.numpy())
    for value in event.summary.value:
      values[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
  assert values['records/2', 300] == 1200
  assert values['repeats/2', 300] > values['repeats/0', 300]
  assert ('augmented/1', 900) in values


def test_events_are_refused_where_tensorboard_is_not_installed(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ConfigError, match=r"log_dir='logs' is for TensorBoard, .* install tensorb"):
    log_batches(BatchLog(), log_dir='logs')


@pytest.mark.parametrize('keras', KERAS)
def test_the_log_holds_what_was_trained_on_in_a_fit_and_in_the_next(tmp_path, keras):
  made = inputs()
  seen = []

  def count(features, labels):
    seen.append(np.bincount(labels, minlength=3))
    return features

  expected = [label.numpy() for _, label in made.train(10, epoch=4).take(7)]
  log = BatchLog()
  callback = log_batches(log, str(tmp_path / 'log.json'), keras=keras)
  data = made.train(10, epoch=4, log=log)
  for _ in range(2):  # an iterator begins anew in each fit
    blind_model(keras).fit(data, steps_per_epoch=7, verbose=0, callbacks=[callback])
    (epoch,) = TrainingLog.from_json((tmp_path / 'log.json').read_text(), 'log').epochs
    assert epoch.step == 7
    assert list(epoch.records) == np.bincount(np.concatenate(expected)).tolist()
    # Of class 2 a batch has 3 or 4 and there are 4: all but 4 in an epoch of 4 batches are repeats.
    assert epoch.repeats[2] == epoch.records[2] - 8


def test_a_run_that_goes_on_keeps_its_epochs(tmp_path):
  path = tmp_path / 'log.json'
  for start in (0, 4):
    log = BatchLog()
    data = inputs().train(10, log=log, start_step=start)
    callback = log_batches(log, str(path), start_step=start)
    blind_model('keras').fit(data, steps_per_epoch=2, epochs=3, verbose=0, callbacks=[callback])
  written = TrainingLog.from_json(path.read_text(), 'log')
  assert [epoch.step for epoch in written.epochs] == [2, 4, 6, 8, 10]
  assert sum(sum(epoch.records) for epoch in written.epochs) == 100


@pytest.mark.parametrize(
  ('augment', 'expected'), [('all', [40, 40, 40]), ([2], [0, 0, 40]), ('repeats', [0, 20, 36])]
)
def test_augmented_records_are_counted(augment, expected):
  log = BatchLog()
  made = BalancedInputs.from_arrays({'x': np.eye(3, dtype='float32')[LABELS]}, LABELS)
  data = made.train(12, log=log, augment_fn=lambda features, seed: features, augment=augment)
  for _ in data.take(10):
    pass
  records, repeats, augmented = log.take(0, 10).tolist()
  assert records == [40, 40, 40]
  assert repeats == [0, 20, 36]
  assert augmented == expected


def test_recall_is_counted_by_class_and_absent_classes_have_none():
  made = inputs()
  recall = class_recall(blind_model('keras'), made.eval(30, label_as='index'), 3)
  assert recall == [1.0, 1.0, 0.0]
  first = made.eval(30, label_as='index').take(2)
  assert class_recall(blind_model('keras'), first, 3) == [1.0, None, None]
  with pytest.raises(ConfigError, match=r'outputs of shape \(30, 3\), and must give one for each'):
    class_recall(blind_model('keras'), first, 2)


def test_what_breaks_a_rule_is_refused(tmp_path):
  made, log = inputs(), BatchLog()
  with pytest.raises(ConfigError, match='path=None and log_dir=None'):
    log_batches(log)
  with pytest.raises(ConfigError, match='the log is of no batches'):
    _ = log.weights
  with pytest.raises(ConfigError, match="log='x' must be a BatchLog"):
    made.train(2, log='x')
  made.train(2, log=log)
  with pytest.raises(ConfigError, match='of another call of train'):
    made.train(2, log=log)
  with pytest.raises(ConfigError, match='the batch of step 0 is not in the log'):
    log.take(0, 1)
  evaluation = made.eval(30, label_as='index')
  with pytest.raises(ConfigError, match='shares=0 must be an AdjustableShares'):
    raise_lagging_classes(made, 0, evaluation)
  with pytest.raises(ConfigError, match=r'evaluation=\[\] must be a dataset'):
    raise_lagging_classes(made, AdjustableShares(), [])
  with pytest.raises(ConfigError, match='gain=-1 must be'):
    raise_lagging_classes(made, AdjustableShares(), evaluation, gain=-1)
  with pytest.raises(ConfigError, match="keras='jax' is not one of"):
    raise_lagging_classes(made, AdjustableShares(), evaluation, keras='jax')


def test_the_file_says_what_is_wrong_with_it(tmp_path):
  from tfx_balance.documents.json_document import sealed
  from tfx_balance.errors import DataError

  log = TrainingLog('label', inputs().classes, ())
  data = json.loads(log.dumps())
  assert TrainingLog.from_json(data, 'x') == log
  with pytest.raises(DataError, match=r'x is not whole: epochs\[0\] has no .step.'):
    TrainingLog.from_json(sealed({**data, 'epochs': [{}]}), 'x')


def test_few_large_batches_are_drawn_before_shares_that_are_set_apply():
  made, shares = (
    BalancedInputs.from_arrays({'x': np.arange(900)}, np.arange(900) % 3),
    AdjustableShares(),
  )
  batches = iter(made.train(240, schedule=shares))
  for _ in range(20):
    next(batches)
  assert shares.next_step <= 60
