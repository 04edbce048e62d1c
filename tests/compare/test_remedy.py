"""Remedy: its JSON, what it reads from a Trainer, and the model that it attaches."""

import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.compare import Remedy
from tfx_balance.compare.remedy import HYPERPARAMETER, check_logits
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue

CLASSES = tuple(ClassValue('bytes', text) for text in (b'a', b'b', b'c'))
SHIFT = (0.5, 0.0, -1.25)
COST = ((0.0, 1.0, 2.0), (1.0, 0.0, 1.0), (30.0, 5.0, 0.0))
PLAIN = Remedy('threshold', CLASSES, (90, 50, 20), SHIFT)
X = np.random.default_rng(0).normal(size=(50, 4)).astype('float32')

both = pytest.mark.parametrize('name', ['keras', 'tf_keras'])
with_cost = pytest.mark.parametrize('cost', [(), COST], ids=['no cost', 'cost'])


@pytest.fixture(autouse=True)
def _seeded():
  """Draws weights by a seed: of others, all records may be put into one class."""
  for name in ('keras', 'tf_keras'):
    importlib.import_module(name).utils.set_random_seed(1)


def sequential(keras, *layers):
  return keras.Sequential([keras.Input([4]), *(layers or [keras.layers.Dense(3)])])


def of_names(keras):
  """Returns a model of two features by name."""
  inputs = {'x': keras.Input([3], name='x'), 'z': keras.Input([1], name='z')}
  joined = keras.layers.concatenate([inputs['x'], inputs['z']])
  return keras.Model(inputs, keras.layers.Dense(3)(joined))


def softmax(logits):
  powers = np.exp(logits - logits.max(axis=1, keepdims=True))
  return powers / powers.sum(axis=1, keepdims=True)


def assert_outputs(found, logits, cost):
  """Checks the three outputs against NumPy."""
  assert set(found) == {'scores', 'adjusted', 'label'}
  adjusted = softmax(logits + np.array(SHIFT))
  np.testing.assert_allclose(found['scores'], softmax(logits), rtol=1e-4)
  np.testing.assert_allclose(found['adjusted'], adjusted, rtol=1e-4)
  label = np.argmin(adjusted @ np.array(cost), axis=1) if cost else np.argmax(adjusted, axis=1)
  assert np.array_equal(found['label'], label)
  assert len(set(label.tolist())) > 1  # else a constant would do


@both
@with_cost
def test_an_attached_model_gives_scores_and_labels(name, cost):
  keras = importlib.import_module(name)
  model = sequential(keras)
  served = Remedy(PLAIN.name, CLASSES, PLAIN.records, SHIFT, cost).attach(model)
  assert_outputs(served.predict(X, verbose=0), model.predict(X, verbose=0), cost)


@both
def test_it_follows_the_weights_of_the_model(name):
  model = sequential(importlib.import_module(name))
  served = PLAIN.attach(model)
  model.set_weights([weights + 1.0 for weights in model.get_weights()])
  assert_outputs(served.predict(X, verbose=0), model.predict(X, verbose=0), ())


def signature(name, served, folder):
  """Saves a model, and returns its signature, of features by name."""
  if name == 'keras':
    served.export(str(folder), verbose=False)
  else:  # whose export takes no inputs by name
    served.save(str(folder), save_format='tf')
  loaded = tf.saved_model.load(str(folder))
  serve = loaded.signatures['serving_default']
  return lambda features: serve(**{key: tf.constant(value) for key, value in features.items()})


@both
@with_cost
def test_a_saved_model_of_features_by_name_serves_the_same(name, cost, tmp_path):
  keras = importlib.import_module(name)
  model = of_names(keras)
  served = Remedy(PLAIN.name, CLASSES, PLAIN.records, SHIFT, cost).attach(model)
  features = {'x': X[:, :3], 'z': X[:, 3:]}
  found = signature(name, served, tmp_path)(features)
  assert_outputs(found, model.predict(features, verbose=0), cost)


@both
def test_a_model_file_gives_the_same(name, tmp_path):
  keras = importlib.import_module(name)
  model = sequential(keras)
  PLAIN.attach(model).save(tmp_path / 'model.keras')
  loaded = keras.models.load_model(tmp_path / 'model.keras')
  assert_outputs(loaded.predict(X, verbose=0), model.predict(X, verbose=0), ())


@both
def test_a_sequential_model_keeps_its_own_input_after_it_was_called(name):
  keras = importlib.import_module(name)
  model = sequential(keras)
  model(keras.Input([4]))
  found = PLAIN.attach(model).predict(X, verbose=0)
  assert_outputs(found, model.predict(X, verbose=0), ())


def test_a_model_without_inputs_is_refused():
  keras = importlib.import_module('keras')
  with pytest.raises(ConfigError, match='Sequential has no inputs of its own; give a functional'):
    PLAIN.attach(keras.Sequential([keras.layers.Dense(3)]))


@both
@with_cost
def test_several_models_give_their_mean(name, cost, tmp_path):
  keras = importlib.import_module(name)
  models = [sequential(keras) for _ in range(3)]
  served = Remedy('mean_threshold', CLASSES, PLAIN.records, SHIFT, cost).attach(models)
  mean = np.mean([softmax(model.predict(X, verbose=0)) for model in models], axis=0)
  assert_outputs(served.predict(X, verbose=0), np.log(mean), cost)
  served.save(tmp_path / 'model.keras')
  loaded = keras.models.load_model(tmp_path / 'model.keras')
  assert_outputs(loaded.predict(X, verbose=0), np.log(mean), cost)


@both
def test_several_models_of_features_by_name_and_of_one_name(name, tmp_path):
  keras = importlib.import_module(name)
  models = [of_names(keras) for _ in range(2)]
  models = [keras.Model(one.input, one.output, name='mine') for one in models] * 2
  served = PLAIN.attach(tuple(models))
  features = {'x': X[:, :3], 'z': X[:, 3:]}
  mean = np.mean([softmax(model.predict(features, verbose=0)) for model in models], axis=0)
  assert_outputs(served.predict(features, verbose=0), np.log(mean), ())
  assert_outputs(signature(name, served, tmp_path)(features), np.log(mean), ())


@both
def test_several_models_of_a_list_of_inputs(name):
  keras = importlib.import_module(name)

  def of_list(*names):
    inputs = [keras.Input([2], name=one) for one in names]
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.concatenate(inputs)))

  models = [of_list(None, None), of_list(None, None)]
  features = [X[:, :2], X[:, 2:]]
  mean = np.mean([softmax(model.predict(features, verbose=0)) for model in models], axis=0)
  assert_outputs(PLAIN.attach(models).predict(features, verbose=0), np.log(mean), ())
  with pytest.raises(ConfigError, match=r"model 1 has the inputs \['b: float32 \[2\]', 'a: fl"):
    PLAIN.attach([of_list('a', 'b'), of_list('b', 'a')])


@both
def test_models_of_other_inputs_are_refused(name):
  keras = importlib.import_module(name)
  other = keras.Sequential([keras.Input([5]), keras.layers.Dense(3)])
  wanted = (
    r'model 1 has the inputs float32 \[5\], and model 0 has float32 \[4\]; give models of the'
  )
  with pytest.raises(ConfigError, match=wanted):
    PLAIN.attach([sequential(keras), other])
  with pytest.raises(ConfigError, match=r"model 1 has the inputs \{'x': 'float32 \[3\]', 'z': "):
    PLAIN.attach([sequential(keras), of_names(keras)])


def test_a_mean_needs_several_models():
  model = sequential(importlib.import_module('keras'))
  mean = Remedy('mean', CLASSES, PLAIN.records, (0.0,) * 3)
  for given in (model, [model]):
    with pytest.raises(ConfigError, match='has 1 models, and the remedy mean is the mean of sever'):
      mean.attach(given)
  with pytest.raises(
    ConfigError, match=r'model=\[\] has 0 models, and the remedy threshold is for'
  ):
    PLAIN.attach([])


@both
@pytest.mark.parametrize('policy', ['float32', 'mixed_float16'])
def test_shares_below_those_of_float16_are_kept(name, policy):
  keras = importlib.import_module(name)
  keras.mixed_precision.set_global_policy(policy)
  try:
    model = sequential(keras, keras.layers.Dense(3, kernel_initializer='zeros', dtype='float32'))
    model.layers[-1].set_weights([np.zeros((4, 3)), np.array([0.0, -20.0, -21.0])])
    remedy = Remedy('threshold', CLASSES, PLAIN.records, (-30.0, 0.0, 0.0))
    served = [remedy.attach(given).predict(X, verbose=0) for given in (model, [model, model])]
  finally:
    keras.mixed_precision.set_global_policy('float32')
  for found in served:
    np.testing.assert_allclose(found['scores'][0, 1], np.exp(-20), rtol=1e-3)
    np.testing.assert_allclose(found['adjusted'][0, 1], 1 / (1 + np.exp(-1)), rtol=1e-3)
    assert (found['label'] == 1).all()


@both
@pytest.mark.parametrize('activation', ['sigmoid', None])
def test_a_model_of_one_number_is_refused(name, activation):
  layers = importlib.import_module(name).layers
  model = sequential(importlib.import_module(name), layers.Dense(1, activation, name='fraud'))
  wanted = (
    rf"ends in Dense 'fraud' of width 1 with activation {activation or 'linear'}, which makes"
  )
  remedy = Remedy('threshold', CLASSES[:2], (9, 1), (0.0, 1.0))
  with pytest.raises(ConfigError, match=f'{wanted}.* end it in Dense.2. without activation, and'):
    remedy.attach(model)
  with pytest.raises(ConfigError, match=wanted):
    check_logits(model, model(tf.constant(X)), 2)


@both
def test_probabilities_of_a_lambda_are_noticed_by_their_sum(name):
  keras = importlib.import_module(name)
  model = sequential(keras, keras.layers.Dense(3), keras.layers.Lambda(tf.nn.softmax))
  wanted = r'ends in Lambda .* and gives \[0.*\], which add up to 1 as probabilities do'
  with pytest.raises(ConfigError, match=wanted):
    check_logits(model, model(tf.constant(X[:2])), 3)
  logits = sequential(keras)
  assert check_logits(logits, logits(tf.constant(X[:2])), 3).shape == (2, 3)


@both
@pytest.mark.parametrize('ending', ['activation', 'layer', 'within', 'sigmoid', 'operation'])
def test_a_model_that_ends_in_probabilities_is_refused(name, ending):
  keras = importlib.import_module(name)
  dense, given = keras.layers.Dense, keras.Input([4])
  logits = dense(3, name='softmax_99')(given)
  PLAIN.attach(keras.Model(given, logits))
  operations = keras.ops if name == 'keras' else tf.nn
  made = {
    'activation': lambda: dense(3, 'softmax')(given),
    'layer': lambda: keras.layers.Softmax()(logits),
    'within': lambda: sequential(keras, dense(3, 'softmax'))(given),
    'sigmoid': lambda: operations.sigmoid(logits),
    'operation': lambda: operations.softmax(logits),
  }
  with pytest.raises(ConfigError, match=r'makes probabilities.* end it in Dense\(3\) without'):
    PLAIN.attach(keras.Model(given, made[ending]()))


@both
def test_a_model_of_another_width_is_refused(name):
  keras = importlib.import_module(name)
  wanted = r'shape \(None, 2\), and there are 3 classes; end it in Dense\(3\)'
  with pytest.raises(ConfigError, match=wanted):
    PLAIN.attach(sequential(keras, keras.layers.Dense(2)))


@both
def test_a_model_of_several_outputs_is_refused(name):
  keras = importlib.import_module(name)
  given = keras.Input([4])
  model = keras.Model(given, [keras.layers.Dense(3)(given), keras.layers.Dense(3)(given)])
  with pytest.raises(ConfigError, match='of type list, and there are 3 classes'):
    PLAIN.attach(model)
  with pytest.raises(ConfigError, match='of type list, and there are 3 classes'):
    check_logits(model, model(tf.constant(X)), 3)


def test_what_is_no_keras_model_is_refused():
  model = SimpleNamespace(outputs=[tf.zeros([1, 3])], inputs=[1], layers=[])
  with pytest.raises(ConfigError, match='SimpleNamespace is not a Keras model'):
    PLAIN.attach(model)


# --- JSON, and hyperparameters


@pytest.mark.parametrize(
  'remedy',
  [
    PLAIN,
    Remedy('natural', CLASSES, (9, 5, 2), (0.0, 0.0, 0.0), COST),
    Remedy('smote', CLASSES, (9, 5, 2), (0.0, 0.0, 0.0), (), ('x',), ('city',)),
  ],
  ids=lambda remedy: remedy.name,
)
def test_json_gives_the_same_remedy(remedy):
  assert Remedy.from_json(json.loads(remedy.dumps())) == remedy
  assert Remedy.from_json(remedy.dumps()) == remedy


@pytest.mark.parametrize(
  'wrap', [lambda values: {'values': values}, dict], ids=['config', 'values']
)
def test_a_trainer_reads_the_remedy(wrap):
  fn_args = SimpleNamespace(hyperparameters=wrap({HYPERPARAMETER: PLAIN.dumps(), 'rate': 0.1}))
  assert Remedy.from_fn_args(fn_args) == PLAIN


@pytest.mark.parametrize('given', [None, {}, {'values': {'rate': 0.1}}, {'format': 'a plan'}])
def test_hyperparameters_without_a_remedy_are_refused(given):
  with pytest.raises(
    DataError, match=r'has no remedy; give the Trainer hyperparameters=tuner\.out'
  ):
    Remedy.from_fn_args(SimpleNamespace(hyperparameters=given))


def test_a_damaged_remedy_is_named():
  text = PLAIN.dumps().replace('-1.25', '-1.5')
  fn_args = SimpleNamespace(hyperparameters={'values': {HYPERPARAMETER: text}})
  with pytest.raises(DataError, match=r'fn_args\.hyperparameters has the checksum .* damaged'):
    Remedy.from_fn_args(fn_args)


def test_what_each_remedy_trains_with():
  smote = Remedy('smote', CLASSES, (9, 5, 2), (0.0,) * 3, (), ('x',), ('city',))
  assert smote.train['strategy'] == 'exact'
  assert smote.train['augment_fn'] is not None
  assert PLAIN.train == {'strategy': 'natural', 'label_as': 'index'}
  assert PLAIN.class_weight is None
  weights = Remedy('class_weights', CLASSES, (9, 5, 2), (0.0,) * 3).class_weight
  np.testing.assert_allclose([weights[i] * n for i, n in enumerate((9, 5, 2))], 16 / 3)
  logits, log_prior = X[:, :3], np.log(np.array(PLAIN.records) / 160)
  adjusted = Remedy('logit_adjusted', CLASSES, PLAIN.records, (0.0,) * 3)
  for remedy, moved in ((PLAIN, logits), (adjusted, logits + log_prior)):
    found = remedy.loss(tf.zeros([50], tf.int64), tf.constant(logits))
    np.testing.assert_allclose(found, -np.log(softmax(moved)[:, 0]), rtol=1e-4)
