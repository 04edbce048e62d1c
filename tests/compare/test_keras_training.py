"""What compare does with Keras models beside training them."""

import keras
import numpy as np
import pytest
import tf_keras
from tfx_balance.compare import compare, keras_training
from tfx_balance.compare.keras_training import smote_columns
from tfx_balance.errors import ConfigError, DataError

from tests.compare.helpers_folds import first_folds, table

N = 200
KERASES = pytest.mark.parametrize('module', [keras, tf_keras], ids=lambda m: m.__name__)


@pytest.fixture(autouse=True)
def once():
  with first_folds():
    yield


def maker(module, *last):
  def make():
    return module.Sequential([module.Input([3]), *(layer() for layer in last)])

  return make


@KERASES
def test_a_maker_sees_the_rows_that_are_trained_on(module):
  seen = []

  def make(x, y):
    seen.append((x, y))
    normal = module.layers.Normalization()
    normal.adapt(x)
    return module.Sequential([module.Input([3]), normal, module.layers.Dense(2)])

  x, y = table()
  answer = compare(make, x, y, steps=4, processes=1, verbose=False)
  sizes = {len(rows) for rows, _ in seen}
  assert sizes == {N, N * 4 // 5}  # all, to see what the model is like, and those of each fold
  assert all(len(rows) == len(labels) and set(labels) == {0, 1} for rows, labels in seen)
  fitted = answer.fit(x, y)
  assert fitted.predict_proba(x).shape == (N, 2)
  mean = np.asarray(fitted.models[0].model.layers[0].mean).reshape(-1)
  np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-5)
  moved = answer.fit(x + 5, y)  # of as many rows, which are the same after normalization
  np.testing.assert_allclose(moved.predict_proba(x + 5), fitted.predict_proba(x), atol=1e-4)


def test_one_model_is_made_before_the_first_fold(monkeypatch):
  made, before = [], []
  dense = maker(keras, lambda: keras.layers.Dense(2))
  monkeypatch.setattr(
    keras_training.KerasTraining, 'fold', lambda self, task: before.append(len(made))
  )
  for make in (lambda: made.append(0) or dense(), lambda x, y: made.append(0) or dense()):
    with pytest.raises(ConfigError, match='are up before the first'):
      compare(make, *table(), processes=1, verbose=False)
    assert before[0] == 1
    made.clear()
    before.clear()


def test_files_in_place_of_what_is_in_them_are_refused():
  _, y = table()
  with pytest.raises(DataError, match=r"x is a list of files, such as 'photos/0.jpg'"):
    compare(maker(keras), [f'photos/{i}.jpg' for i in range(N)], y)


@KERASES
def test_a_class_of_models_is_called(module):
  class Network(module.Model):
    def __init__(self):
      super().__init__()
      self.dense = module.layers.Dense(2)

    def call(self, x):
      return self.dense(x)

  assert compare(Network, *table(), steps=2, processes=1, verbose=False).document.folds == 5


def test_codes_of_an_embedding_are_not_moved():
  inputs = {'city': keras.Input([], dtype='int64'), 'age': keras.Input([1])}
  city = keras.layers.Embedding(4, 2)(inputs['city'])
  with_codes = keras.Model(inputs, keras.layers.Concatenate()([city, inputs['age']]))
  features = {'city': np.arange(4), 'age': np.zeros((4, 1), np.float32)}
  moved, whole, words = smote_columns(features, with_codes)
  assert (moved, whole) == (('age',), ('city',))
  assert words == ['smote moves age and takes over city.']
  moved, whole, words = smote_columns(features, keras.Sequential([keras.layers.Dense(2)]))
  assert (moved, whole, words) == (('city', 'age'), (), [])


def test_half_precision_reaches_the_processes():
  policy = keras.mixed_precision.global_policy()
  keras.mixed_precision.set_global_policy('mixed_float16')
  try:

    def make():
      last = keras.layers.Dense(2)
      assert last.compute_dtype == 'float16'
      return keras.Sequential([keras.Input([3]), last])

    answer = compare(make, *table(), steps=3, processes=2, verbose=False)
  finally:
    keras.mixed_precision.set_global_policy(policy)
  assert answer.document.folds == 5


def test_half_and_twice_as_many_batches_are_shown():
  answer = compare(
    maker(keras, lambda: keras.layers.Dense(2)), *table(), steps=6, processes=1, verbose=False
  )
  assert 'On the first fold, then with 3 batches and 12 batches: natural 0.' in str(answer)


@KERASES
def test_an_answer_is_fitted_and_pickled(module, tmp_path):
  import joblib

  x, y = table()
  answer = compare(
    maker(module, lambda: module.layers.Dense(2)), x, y, steps=50, processes=1, verbose=False
  )
  fitted = answer.fit(x, y, average=2)
  joblib.dump(fitted, tmp_path / 'fitted')
  again = joblib.load(tmp_path / 'fitted')
  np.testing.assert_allclose(again.predict_proba(x), fitted.predict_proba(x), atol=1e-6)
  assert set(again.predict(x)) <= {'rare', 'usual'}


@KERASES
def test_callbacks_are_new_for_each_training_and_see_records_kept_out(module):
  seen = []

  class Watch(module.callbacks.Callback):
    def __init__(self):
      super().__init__()
      self.losses = []
      seen.append(self.losses)

    def on_epoch_end(self, epoch, logs=None):
      self.losses.append(logs['val_loss'])

  make = maker(module, lambda: module.layers.Dense(2))
  compare(make, *table(), steps=20, callbacks=lambda: [Watch()], processes=1, verbose=False)
  assert len(seen) >= 5 * 6
  assert {len(losses) for losses in seen} == {10}
