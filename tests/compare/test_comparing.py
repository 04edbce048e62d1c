"""compare, with Keras 3 and tf_keras, on small tables."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tfx_balance.compare import compare, keras_training
from tfx_balance.compare.answer_text import answer_text
from tfx_balance.compare.arms import ARMS, TRAINED
from tfx_balance.documents.comparison import ComparisonDocument
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.compare.helpers_folds import first_folds, table


def maker(module=keras, width=2, **last):
  def make():
    return module.Sequential([module.Input([3]), module.layers.Dense(width, **last)])

  return make


@pytest.fixture(autouse=True)
def once():
  with first_folds():
    yield


def learns_fast():
  model = maker()()
  model.compile(keras.optimizers.Adam(0.05))
  return model


@pytest.fixture(scope='module')
def answer():
  with first_folds(10):
    return compare(learns_fast, *table(300, 3000), steps=100, processes=1, verbose=False)


def test_answer_holds_every_arm_and_what_to_paste(answer):
  found = answer.document
  assert [arm.name for arm in found.arms] == list(ARMS)
  assert found.folds == 10
  assert found.records == (300, 2700)
  assert set(answer.verdicts) == set(ARMS) - {'natural'}
  assert answer.verdicts['threshold'] == 'helps'
  assert answer.verdicts['correction'] != 'helps'
  assert repr(answer).startswith('Answer(threshold: macro_recall 0.')
  assert ComparisonDocument.from_json(json.loads(json.dumps(answer.to_json()))) == found

  x, y = table(300, 3000)
  model = maker()()
  model.compile(keras.optimizers.Adam(0.05), answer.loss)
  inputs = BalancedInputs.from_arrays(x, y)
  batches = inputs.train(64, **answer.train)
  model.fit(batches, steps_per_epoch=100, class_weight=answer.class_weight, verbose=0)
  label = answer.attach(model).predict(x, verbose=0)['label']
  is_rare = np.array([value.value for value in answer.remedy.classes])[label] == b'rare'
  recalls = [np.mean(is_rare[y == 'rare']), np.mean(~is_rare[y == 'usual'])]
  assert np.mean(recalls) > 0.7


def test_answer_is_a_table_a_person_reads(answer, tmp_path):
  text = str(answer)
  assert 'macro recall of 2 classes, 3,000 records, 300 of the rarest; 10 folds' in text
  for arm in answer.document.arms:
    assert f'\n{arm.name} ' in text
  assert answer.document.sentence in text.replace('\n', ' ')
  assert max(map(len, text.splitlines())) <= 100
  answer.save(tmp_path / 'comparison.json')
  saved = (tmp_path / 'comparison.json').read_text()
  assert ComparisonDocument.from_json(saved) == answer.document


def test_a_gain_of_nothing_has_no_minus(answer):
  arms = [
    replace(arm, difference=-0.0001, low=-0.0004, high=0.0, to_recommended=None)
    for arm in answer.document.arms
  ]
  text = answer_text(replace(answer.document, arms=tuple(arms)))
  assert text.count('  +0.000  [+0.000, +0.000]') == len(arms)


@pytest.mark.parametrize('module', [keras, tf_keras], ids=lambda module: module.__name__)
def test_two_processes_give_the_answer_of_one(module, capfd):
  x, y = table()
  features = {'number': x[:, 0], 'others': x[:, 1:], 'text': np.where(x[:, 1] > 0, 'a', 'b')}

  def make():
    inputs = {
      'number': module.Input([], name='number'),
      'others': module.Input([2], name='others'),
      'text': module.Input([], dtype='string', name='text'),
    }
    number = module.layers.Reshape([1])(inputs['number'])
    both = module.layers.Concatenate()([number, inputs['others']])
    drawn = module.layers.Dropout(0.5)(both)
    return module.Model(inputs, module.layers.Dense(2)(drawn))

  answers = []
  for processes in (2, 1):
    module.utils.set_random_seed(7)  # as a notebook does, which other processes do not see
    arguments = {'steps': 5, 'minutes': 10, 'seed': 3, 'processes': processes}
    answers.append(compare(make, features, y, 'log_loss', **arguments))
  out = capfd.readouterr().out
  assert f'{len(TRAINED)} ways to train, on 5 folds each; stops after 10 minutes' in out
  assert '  5 of 5 folds' in out
  first, second = (answer.document for answer in answers)
  for one, other in zip(first.arms, second.arms, strict=True):
    assert one.values == pytest.approx(other.values, abs=1e-5)
  assert answers[0].verdicts == answers[1].verdicts


@pytest.mark.parametrize('module', [keras, tf_keras], ids=lambda module: module.__name__)
def test_a_model_without_inputs_of_its_own_is_built_by_a_call(module):
  def make():
    return module.Sequential([module.layers.Dense(2)])

  built, unbuilt = (
    compare(made, *table(), steps=5, processes=1, verbose=False) for made in (maker(module), make)
  )
  assert unbuilt.document.arms == built.document.arms


def test_a_model_in_place_of_a_function_is_refused():
  with pytest.raises(ConfigError, match=r'model=.* is a Keras model; give a function'):
    compare(maker()(), *table())


@pytest.mark.parametrize('module', [keras, tf_keras], ids=lambda module: module.__name__)
def test_models_that_share_what_is_trained_are_refused(module):
  base = module.layers.Dense(4, name='base')

  def make():
    return module.Sequential([module.Input([3]), base, module.layers.Dense(2)])

  with pytest.raises(ConfigError, match=r'two models of make_model share the weights .*kernel'):
    compare(make, *table(), processes=1)
  base.trainable = False
  assert compare(make, *table(), steps=2, processes=1, verbose=False)


def test_weights_that_are_not_numbers_are_an_error():
  x, y = table()
  x[3, 1] = np.nan
  with pytest.raises(DataError, match=r'after 20 steps with natural, the model has weights .* NaN'):
    compare(maker(activation='relu'), x, y, steps=20, processes=1, verbose=False)


def test_few_records_are_not_judged():
  answer = compare(maker(), *table(n_rare=12), steps=5, processes=1, verbose=False)
  assert set(answer.verdicts.values()) == {'cannot tell'}
  assert '12 records of the rarest class are too few' in str(answer)


def test_few_records_tell_a_metric_of_all_records():
  x, y = table(n_rare=20, n=600)
  with first_folds(10):
    answer = compare(learns_fast, x, y, 'log_loss', steps=60, processes=1, verbose=False)
  assert answer.verdicts['balanced'] == 'harms'
  assert 'too few' not in str(answer)


def test_no_time_is_an_error_that_says_so():
  with pytest.raises(ConfigError, match='minutes=0 are up before the first of 5 folds'):
    compare(maker(), *table(), steps=5, minutes=0, processes=1, verbose=False)


def test_groups_stay_together_and_time_goes_forward(monkeypatch):
  x, y = table()
  tasks = []
  real = keras_training.KerasTraining.fold
  monkeypatch.setattr(
    keras_training.KerasTraining, 'fold', lambda self, task: tasks.append(task) or real(self, task)
  )
  groups = np.arange(len(y)) // 4
  options = dict(steps=2, processes=1, verbose=False)
  compare(maker(), x, y, groups=groups, **options)
  for task in tasks:
    assert not set(groups[task.trained]) & set(groups[task.tested])
  tasks.clear()
  times = np.random.default_rng(0).permutation(len(y))
  answer = compare(maker(), x, y, times=times, **options)
  assert answer.document.folds == 5
  for task in tasks[:5]:
    assert times[task.trained].max() < times[task.tested].min()
  with pytest.raises(DataError, match='are of one group, so that a fold has none'):
    compare(maker(), x, y, groups=np.where(y == 'rare', -1, np.arange(len(y)) % 9), **options)
  with pytest.raises(DataError, match='of class rare are later than what is trained on'):
    compare(maker(), x, y, times=(y == 'rare') * len(y) + np.arange(len(y)), **options)
  with pytest.raises(DataError, match=r'times has .*, and must be numbers or times'):
    compare(maker(), x, y, times=times.astype(str), **options)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (maker(activation='softmax'), 'makes probabilities'),
    (lambda: keras.Sequential([maker()(), keras.layers.Lambda(tf.nn.softmax)]), 'add up to 1'),
    (maker(width=1), 'of width 1 with activation linear'),
    (lambda: None, 'is not a Keras model'),
    ('model', 'is not a model; give an estimator'),
  ],
)
def test_models_that_do_not_end_in_logits_are_refused(make, message):
  with pytest.raises(ConfigError, match=message):
    compare(make, *table())


def test_labels_that_cannot_be_in_every_fold_are_refused():
  x, y = table(n_rare=4)
  with pytest.raises(DataError, match='class rare has 4 records, and 5 folds need 5'):
    compare(maker(), x, y)
  with pytest.raises(DataError, match='y has one class'):
    compare(maker(), x, ['usual'] * len(x))
  x, y = table()
  with pytest.raises(DataError, match='199 rows and there are 200 labels'):
    compare(maker(), x[1:], y)
