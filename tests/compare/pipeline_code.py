"""What Tuner and Trainer run: a comparison of remedies, and a model with the chosen one."""

import tf_keras
from tfx_balance.compare import Remedy, compare_tuner
from tfx_balance.inputs import BalancedInputs


def make_model():
  """Returns a model of two features by name that ends in logits, with a legacy optimizer."""
  x = tf_keras.Input([2], name='x')
  age = tf_keras.Input([1], name='age')
  hidden = tf_keras.layers.Dense(4, activation='relu')(tf_keras.layers.concatenate([x, age]))
  model = tf_keras.Model({'x': x, 'age': age}, tf_keras.layers.Dense(2)(hidden))
  model.compile(tf_keras.optimizers.legacy.Adam(0.01))
  return model


def tuner_fn(fn_args):
  """Returns the comparison."""
  return compare_tuner(make_model, fn_args, steps=5, batch_size=16, processes=1)


def run_fn(fn_args):
  """Trains and exports the model with the remedy that the Tuner chose."""
  remedy = Remedy.from_fn_args(fn_args)
  inputs = BalancedInputs.from_fn_args(fn_args)
  model = make_model()
  model.compile('adam', remedy.loss)
  model.fit(
    inputs.train(16, **remedy.train),
    steps_per_epoch=5,
    class_weight=remedy.class_weight,
    verbose=0,
  )
  remedy.attach(model).save(fn_args.serving_model_dir, save_format='tf')
